"""The verb that runs a record's command again and says whether its figure comes back.

The record's settings lie over everything else, so that it is the run of then whatever the registry
says now. It leaves nothing behind, unless it is told to keep it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcc import checkout, exchange, filing, rerun, tally, terminal
from effcc.ground import home
from effcc.ground.errors import UsageError, UserError
from effcc.ground.home import Home
from effcc.nn import engines
from effcc.train import process

if TYPE_CHECKING:
    from rich.console import Console

    from effcc.catalog.results import Record
    from effcc.catalog.spec import Spec
    from effcc.sources.known import Source

# What the last bit of a figure depends on besides settings, seed and images; and what to call it.
_OF_BITS = {
    "git.commit": "commit",
    "versions": "packages",
    "engine": "engine",
    "device.kind": "kind of device",
    "device.name": "processor",
    "device.model": "processor's model",
    "device.instructions": "vector instructions",
    "device.threads": "threads",
    "device.layers": "layers in C",
    "device.count": "processes",
}
_NOT_THE_SAME = "not the same"


def reproduce(args: argparse.Namespace) -> int:
    """Run a record's command again, and say whether its figure comes back."""
    process.check_numbers()
    process.keep_memory()  # before anything below imports torch
    if args.record and args.at_commit:
        raise UsageError("reproduce: --record keeps a run of today's code; leave out --at-commit")
    at = home.own()
    record = _of_accuracy(args.id, at)
    elsewhere = rerun.allowed(args.flags)
    console = _console()
    _announce(record, console)
    weights = rerun.weights(record, at, args.ckpt_path) if record.verb == "test" else None
    if args.at_commit:
        again = _at_commit(record, at, elsewhere, weights)
    else:
        again = _now(record, at, elsewhere, weights, console, args)
    if again is None:  # the first process of the run says it
        return 0
    return _conclude(record, again, console)


def _of_accuracy(word: str, at: Home) -> Record:
    from effcc.catalog.ledger import find
    from effcc.catalog.results import Record

    found = find(word, at)
    if not isinstance(found, Record):
        again, then = f"bench {found.variant}", "compare"
        if found.verb == "routing":
            again, then = f"routing --config registry/{found.variant}.yaml --ckpt_path FILE", "diff"
        raise UsageError(
            f"{found.id} is {tally.kind(found)}: measure again with effcc {again}, then effcc "
            f"results {then}"
        )
    if "top1" not in found.metrics:
        raise UsageError(f"{found.id} has no accuracy that could come back")
    return found


def _announce(record: Record, console: Console) -> None:
    from effcc.catalog import glance, results

    console.print(f"[bold]{record.variant}/{record.id}[/]", highlight=False)
    console.print(f"  {record.command}", highlight=False, markup=False)
    top1 = record.metrics["top1"]
    at = tally.commit(record.git["commit"], record.git["dirty"])
    console.print(
        f"  {glance.share(top1)}: {top1.correct} of {top1.n}, at commit {at}",
        highlight=False,
        markup=False,
    )
    if results.edited(record):
        console.print("  edited by hand: this is not what was measured", highlight=False)
    if "--ckpt_path" in record.command and record.verb == "fit":
        console.print("  went on from a checkpoint; this begins at the beginning", highlight=False)


def _now(
    record: Record,
    at: Home,
    elsewhere: Mapping[str, Any],
    weights: Path | None,
    console: Console,
    args: argparse.Namespace,
) -> Record | None:
    """The run once more, with today's code."""
    spec = rerun.spec(record, at, elsewhere)
    engines.check("reproduce", [record.engine] if record.engine != "network" else [])
    if spec.recipe.pretrained is True and not weights:
        exchange.pull(spec)
    from effcc.nn import transfer
    from effcc.nn import weights as checkpoints
    from effcc.train import provenance, run

    spec, source = run.prepare(spec)
    rerun.same_images(record, source)
    if spec.recipe.pretrained and not weights:
        rerun.same_start(record, transfer.file(spec, spec.recipe.pretrained))
    if threads := _threads(record):
        process.take_threads(threads)
    with _place(at, keep=args.record) as place:
        if weights:
            read = checkpoints.read(weights)
            again = run.evaluate(spec, source, place, args.command, read, engine=record.engine)
        else:
            compiled = "--compile" in record.command.split()
            again = _trained(run.fit, spec, source, place, console, args, compiled)
        if again:
            again = replace(again, git=provenance.git(at.root))
        if again and args.record:
            _keep(again, at, console)
    return again


def _trained(
    fit: Callable[..., Record | None],
    spec: Spec,
    source: Source,
    place: Home,
    console: Console,
    args: argparse.Namespace,
    compiled: bool,
) -> Record | None:
    try:
        return fit(spec, source, place, console, args.command, None, compiled)
    except UserError as error:
        if not args.record:  # what it says of going on is over with the folder
            error.args = (str(error).partition("; go on with ")[0],)
        raise


@contextmanager
def _place(at: Home, *, keep: bool) -> Generator[Home]:
    """Where the run's checkpoints go: the project, or a folder that is gone afterwards.

    So `--ckpt_path last` stays the last run that somebody made for its own sake.
    """
    if keep:
        yield at
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="effcc-") as folder:
        yield Home(Path(folder).resolve())


def _at_commit(
    record: Record, at: Home, elsewhere: Mapping[str, Any], weights: Path | None
) -> Record:
    """The run once more, with the code of then."""
    from effcc.catalog.ledger import find
    from effcc.catalog.results import Record

    rerun.same_images(record, rerun.source(record, elsewhere))
    begun = record.settings["recipe"].get("pretrained")
    if isinstance(begun, str) and not weights:  # published ones are held against their hash
        rerun.same_start(record, Path(begun))
    words = [record.verb, "--config", f"registry/{record.variant}.yaml"]
    with checkout.of(record.git, at.root) as there, rerun.overlay(record, complete=False) as over:
        words += ["--config", str(over)]
        words += ["--ckpt_path", str(weights)] if weights else []
        words += ["--engine", record.engine] if record.engine != "network" else []
        words += ["--compile"] if "--compile" in record.command.split() else []
        words += [f"--{key}={json.dumps(value)}" for key, value in elsewhere.items()]
        before = set(there.results.glob("*/*.json"))
        checkout.run(there, words, _threads(record))
        (made,) = set(there.results.glob("*/*.json")) - before
        again = find(str(made), there)
        assert isinstance(again, Record)
        return again


def _threads(record: Record) -> int | None:
    found = record.device.get("threads")
    return found if isinstance(found, int) else None


def _keep(record: Record, at: Home, console: Console) -> None:
    """Record the run as any other, and bring its card up to date."""
    from effcc.catalog import results

    path = filing.record(record, at, results.save)
    filing.card(record.variant, at)
    console.print(f"  checkpoint  {record.checkpoint['path']}", highlight=False, markup=False)
    console.print(f"  record      {at.shown(path)}", highlight=False, markup=False)


def _conclude(then: Record, now: Record, console: Console) -> int:
    """Say whether the figure came back; 0 if it lies within the record's interval, 1 if not.

    The interval is that of the count on record.
    """
    from effcc.catalog import glance, results
    from effcc.catalog.ledger import differences

    was, found = then.metrics["top1"], now.metrics["top1"]
    assert was.low is not None
    assert was.high is not None
    within = was.low <= found.value <= was.high
    others = {
        key: pair
        for key, pair in differences(then, now).items()
        if key.partition(".")[0] in ("git", "versions", "device", "settings", "engine")
    }
    made = tally.changes(others, ("then", "now")) if others else "same code, packages and machine"
    (pair,) = tally.compared([then, now])
    both = pair["verdict"]
    if "p" in pair:
        points = f"{100 * pair['difference']:+.1f} points"
        both = f"{points}, {both} (p = {pair['p']:.2g}, {pair['test']})"
    lines = [
        f"\n{made}\n",
        f"recorded  {glance.share(was)}: {was.correct} of {was.n}",
        f"now       {100 * found.value:.1f} %: {found.correct} of {found.n}, "
        f"{'within' if within else 'outside'} the interval, which is of the recorded figure alone",
        f"both      {both}",
        f"bits      {(bits := _bits(then, now))}",
    ]
    if bits.startswith(_NOT_THE_SAME):
        lines.append(f"          {_why(others)}")
    console.print("\n".join(lines), highlight=False, markup=False)
    # Of a record that somebody edited nothing can come back, even if some of it is as it was.
    return 0 if within and not results.edited(then) else 1


def _bits(then: Record, now: Record) -> str:
    """Whether every figure is the same to its last digit.

    A checkpoint's hash can say it too, but a file also holds how long its training took.
    """
    if then.verb == "fit" and then.checkpoint["sha256"] == now.checkpoint["sha256"]:
        return "the same checkpoint, byte for byte"
    for name, metric in then.metrics.items():
        found = now.metrics.get(name)
        if found is None:
            return f"{_NOT_THE_SAME}: no {name} now"
        if found.value != metric.value:
            return f"{_NOT_THE_SAME}: {name} {metric.value:.17g} then, {found.value:.17g} now"
        if found != metric:
            return f"{_NOT_THE_SAME}: {name} of {metric.correct} then, of {found.correct} now"
    for before, after in zip(then.curve, now.curve, strict=False):
        shared = before.keys() & after.keys()
        if any(before[key] != after[key] for key in shared):
            return f"{_NOT_THE_SAME}: the figures of epoch {before['epoch']} differ"
    return "the same: every figure to its last digit"


def _why(others: Mapping[str, tuple[Any, Any]]) -> str:
    """What two records do not share that the last bits depend on."""
    found: list[str] = []
    for key, name in _OF_BITS.items():
        pairs = [pair for other, pair in others.items() if f"{other}.".startswith(f"{key}.")]
        if any(then is None for then, _ in pairs):
            name += " (not on record then)"
        found += [name] * bool(pairs)
    if not found:
        return "nothing on record explains that: code, packages and machine are the same"
    return (
        "they come back on the same machine with the same code, and these are others: "
        f"{', '.join(found)}"
    )


def _console() -> Console:
    return terminal.console(soft_wrap=True, quiet=not process.is_first())
