"""The door: `effcc VERB`. A verb resolves its files, calls a room below, and prints.

Verbs that only read (`list`, `show`, `check`, `new`, `docs`) never import torch.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcc import options, terminal
from effcc.catalog import home, page
from effcc.catalog.errors import BadFile, Place, Problem, UsageError, UserError
from effcc.catalog.home import Home
from effcc.catalog.spec import Spec, settings_in_order
from effcc.train import process

if TYPE_CHECKING:
    from rich.console import Console

    from effcc.nn.weights import Checkpoint
    from effcc.sources.known import Source

# What fit, validate and test use when nothing names any data.
DEFAULT_SOURCE = "digits"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code, as docs/getting-started.md lists them."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = options.parser(VERBS)
    args, rest = parser.parse_known_args(arguments)
    args.command = shlex.join(["effcc", *arguments])
    try:
        args.flags = options.flags(args.verb, rest)
        if getattr(args, "seed", None) is not None:
            args.flags["seed"] = args.seed
        return args.run(args)
    except UserError as error:
        process.complain(error)
        return error.exit_code
    except BrokenPipeError:  # `effcc list | head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        print(
            f"{error.filename or 'a file'}: {error.strerror}; nothing was left half-written",
            file=sys.stderr,
        )
        return 3
    except (KeyboardInterrupt, SystemExit):  # the second is how Lightning ends on Ctrl-C
        print("stopped", file=sys.stderr)
        return 130


def fit(args: argparse.Namespace) -> int:
    """Train a variant, measure it, record it, and bring its card up to date."""
    at, spec, checkpoint = _resolve(args)
    if args.print_config:
        return _print_config(spec)
    console = _console()
    _announce(spec, at, console)
    if spec.recipe.pretrained and not checkpoint:
        from effcc import exchange

        exchange.pull(spec)  # before torch is loaded: what is missing is said at once
    from effcc.train import run

    spec, source = run.prepare(spec)
    # All of them before the first step: a split that is missing must not wait for the last.
    train, val, test = (source.split(name) for name in ("train", "val", "test"))
    if args.plan:
        return _plan(spec, source, console)
    console.print(
        f"{source.title}: {len(source.classes):,} classes; {len(train):,} images to train on, "
        f"{len(val):,} to validate, {len(test):,} to test",
        highlight=False,
        markup=False,
    )
    record = run.fit(
        spec, source, at, console, args.command, checkpoint.path if checkpoint else None
    )
    return _conclude(record, at, console)


def validate(args: argparse.Namespace) -> int:
    """Measure a checkpoint on the validation split; nothing is recorded."""
    return _evaluate(args, "val")


def test(args: argparse.Namespace) -> int:
    """Measure a checkpoint on the test split and record it."""
    return _evaluate(args, "test")


def predict(args: argparse.Namespace) -> int:
    """Say what images show."""
    _, spec, checkpoint = _resolve(args, source=None)
    if args.print_config:
        return _print_config(spec)
    assert checkpoint is not None
    if not args.images:
        raise UsageError("predict: name image files or folders after the options")
    from effcc.sources import folder
    from effcc.train import run

    if not process.is_first():  # one device predicts
        return 0
    images = [found for name in args.images for found in folder.find_images(Path(name))]
    spec = spec.with_classes(checkpoint.num_classes or spec.network.num_classes)
    predictions = run.predict(spec, checkpoint, images, args.top)
    if args.json:
        rows = [
            {"file": p.file, "classes": [{"class": c, "probability": v} for c, v in p.classes]}
            for p in predictions
        ]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return 0
    rows = [(p.classes[0][0], f"{100 * p.classes[0][1]:.1f} %", p.file) for p in predictions]
    print(terminal.table(("class", "probability", "file"), rows))
    return 0


def export(args: argparse.Namespace) -> int:
    """Write a checkpoint's averaged weights for others: safetensors, timm, ONNX, a Hub folder."""
    if not args.to and not args.print_config:
        raise UsageError("export: name the folder to write to, as in --to exported")
    at, spec, checkpoint = _resolve(args, source=None)
    if args.print_config:
        return _print_config(spec)
    assert checkpoint is not None
    from effcc import exchange

    formats = {*(args.format or ["safetensors"]), *([] if args.push is None else ["hub"])}
    folder = Path(args.to)
    for line in exchange.export(
        spec, checkpoint, at, folder, formats, routing=args.routing, push=args.push
    ):
        print(line)
    return 0


def weights(args: argparse.Namespace) -> int:
    """Fetch published weights into the cache, or list what is there."""
    from effcc import exchange
    from effcc.catalog import registry

    at = home.find()
    if args.action == "list":
        print(terminal.table(("variant", "cached", "file"), exchange.known(at)))
        return 0
    if not args.name:
        raise UsageError(
            f"weights pull: name a variant; there are: {', '.join(registry.names(at))}"
        )
    spec = registry.load(args.name, at)
    print(exchange.pull(spec, Path(args.file) if args.file else None))
    print(f"start from them: effcc fit --config registry/{spec.name}.yaml --recipe.pretrained true")
    return 0


def list_(args: argparse.Namespace) -> int:
    """List the variants."""
    from effcc.catalog import registry, results
    from effcc.catalog.cost import count

    at = home.find()
    rows: list[dict[str, Any]] = []
    for entry in registry.entries(at):
        spec = entry.spec
        cost = count(spec.network, spec.preprocessing.image_size)
        latest = next((run for run in results.runs(entry, at) if not run.differs), None)
        rows.append(
            {
                "name": spec.name,
                "experts": spec.network.experts,
                "image_size": spec.preprocessing.image_size,
                "parameters": cost.parameters,
                "macs": cost.macs,
                "measured_top1": latest.top1.value if latest else None,
                "measured_on": latest.record.dataset.name if latest else None,
                "summary": spec.summary,
            }
        )
    if args.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return 0
    heads = ("name", "experts", "pixels", "parameters", "MACs", "measured top-1", "")
    cells = [
        (
            row["name"],
            str(row["experts"]),
            str(row["image_size"]),
            terminal.millions(row["parameters"]),
            terminal.millions(row["macs"]),
            f"{100 * row['measured_top1']:.1f} % on {row['measured_on']}"
            if row["measured_on"]
            else "",
            row["summary"],
        )
        for row in rows
    ]
    print(terminal.table(heads, cells))
    return 0


def show(args: argparse.Namespace) -> int:
    """Show one variant: what it is, every resolved value with its origin, or what it trains on."""
    from effcc.catalog import modelindex, registry, verify

    if args.out and not args.augmentations:
        raise UsageError("show: --out names the sheet that --augmentations IMAGE draws")
    at = home.find()
    claims = modelindex.load(at.model_index, at.root)
    spec = registry.load(args.name, at, flags=args.flags, claims=claims)
    if args.augmentations:
        from effcc.data import sheet

        path = Path(args.out or f"{spec.name}-augmentations.png")
        sheet.write(Path(args.augmentations), spec, path)
        print(f"wrote {path}")
        return 0
    if args.resolved:
        ordered = [key for key in settings_in_order() if key in spec.origins]
        for key in [*ordered, *(key for key in spec.origins if key not in ordered)]:
            origin = spec.origins[key]
            was = origin.overrides
            note = f"  (overrides {terminal.setting(was.value)} of {was.place})" if was else ""
            print(f"{key:<31} {terminal.setting(origin.value):<24} {origin.place}{note}")
        return 0
    print(f"{spec.name}: {spec.summary}\nentry {spec.entry} ({claims[spec.entry].place.short})\n")
    rows = [
        (row.key, row.verdict, row.claimed, row.computed)
        for row in verify.compare(claims[spec.entry], spec)
    ]
    print(terminal.table(("figure", "verdict", "claimed", "computed"), rows))
    print(f"\neffcc show {spec.name} --resolved   prints every setting and where it comes from")
    return 0


def check(args: argparse.Namespace) -> int:
    """Check model-index, registry and results; or the model-index files that are named."""
    from effcc.catalog import registry, results, verify

    if args.paths:
        return _check_files([Path(name) for name in args.paths])
    at = home.find()
    entries = registry.entries(at)
    registry.entries(at, source=DEFAULT_SOURCE)  # the profile's problems show only with its source
    records = [record for entry in entries for record in results.load(at, entry.spec.name)]
    disagreements = verify.problems(entries)
    for problem in disagreements:
        print(problem, file=sys.stderr)
    compared = [row for entry in entries for row in verify.compare(entry.claim, entry.spec)]
    disputed = sum(not row.agrees and bool(row.reason) for row in compared)
    verdict = f"{len(disagreements)} problems" if disagreements else "no problem"
    print(f"{len(entries)} variants, {len(records)} records: {verdict}, {disputed} claims disputed")
    return 1 if disagreements else 0


def _check_files(paths: list[Path]) -> int:
    from effcc.catalog import modelindex

    found, problems = 0, list[Problem]()
    for path in paths:
        for file in modelindex.files_in(path) if path.is_dir() else [path]:
            if path.is_dir() and not page.may_hold_index(file):
                continue  # a page beside the cards, such as a README
            try:
                found += len(modelindex.load_file(file, file.parent))
            except BadFile as error:
                problems.extend(error.problems)
    if problems:
        raise BadFile(*problems)
    print(f"{found} models, no problem")
    return 0


def new(args: argparse.Namespace) -> int:
    """Begin a variant: a registry file and a model-index entry to fill in."""
    from effcc.catalog import scaffold

    at = home.find()
    files = scaffold.new(args.name, args.base, at)
    for file in files:
        print(f"wrote {at.shown(file)}")
    print(f"edit them, then: effcc check && effcc fit --config {at.shown(files[0])}")
    return 0


def docs(args: argparse.Namespace) -> int:
    """Write the model cards, or check that they are up to date."""
    from effcc.report import cards

    at = home.find()
    stale = cards.stale(at)
    if args.check:
        for path in stale:
            print(f"{at.shown(path)}: out of date; run effcc docs", file=sys.stderr)
        print(f"{len(stale)} pages out of date" if stale else "all pages are up to date")
        return 1 if stale else 0
    for path in cards.write(at):
        print(f"wrote {at.shown(path)}")
    return 0


def shards(args: argparse.Namespace) -> int:
    """Pack a folder of images into tar shards, or check such shards."""
    from rich.console import Console

    from effcc.sources import pack

    console = Console(soft_wrap=True, highlight=False)
    if args.check:
        with terminal.counting(console) as report:
            packed, wrong = pack.check(Path(args.folder), report)
        for line in wrong:
            print(line, file=sys.stderr)
        found = f"{len(wrong)} problems" if wrong else "no problem"
        images = sum(split.done for split in packed.splits.values())
        print(f"{len(packed.shards)} shards, {images:,} images: {found}")
        return 1 if wrong else 0
    if not args.out:
        raise UsageError("shards: name the folder for the shards too, or --check")
    out = Path(args.out)
    source = pack.opened(args.source, args.folder)
    names = pack.splits(source, args.split or ())
    size = None if args.per_shard else args.size * 10**6
    with terminal.counting(console) as report:
        packed = pack.pack(source, names, out, report, per_shard=args.per_shard, size=size)
    for name in names:
        split = packed.splits[name]
        print(f"{name:<6}{split.images:>10,} images in {len(split.shards):,} shards")
    print(f"train on them: --data.source shards --data.root {shlex.quote(str(out))}")
    return 0


def _plan(spec: Spec, source: Source, console: Console) -> int:
    """Print what a fit would be; nothing is trained or written."""
    from effcc import outlook
    from effcc.train import plan

    if process.is_first():  # of several, one is enough to measure
        console.print("a plan, not a run: measuring for some seconds ...\n", highlight=False)
        console.print(outlook.text(plan.of(spec, source)), highlight=False, markup=False)
    return 0


def _evaluate(args: argparse.Namespace, split: str) -> int:
    at, spec, checkpoint = _resolve(args)
    if args.print_config:
        return _print_config(spec)
    assert checkpoint is not None
    console = _console()
    from effcc.train import run

    spec, source = run.prepare(spec)
    record = run.evaluate(spec, source, at, args.command, checkpoint, split)
    if split == "val" and record:
        console.print(terminal.outcome(record), highlight=False)
        return 0
    return _conclude(record, at, console)


def _resolve(
    args: argparse.Namespace, source: str | None = DEFAULT_SOURCE
) -> tuple[Home, Spec, Checkpoint | None]:
    """The project, the spec and the checkpoint that a command's options name."""
    from effcc.catalog import registry

    process.keep_memory()  # before anything below imports torch

    if not args.config:
        raise UsageError(
            f"{args.verb}: name a variant's file, as in --config registry/cc_b0_4e.yaml"
        )
    paths = [Path(name) for name in args.config]
    for path in paths:
        if not path.is_file():
            known = ", ".join(f"registry/{name}.yaml" for name in registry.names(home.find()))
            raise BadFile(Problem(Place(str(path)), "", f"no such file; there are: {known}"))
    at = home.find(paths[0].resolve().parent)
    checkpoint = _checkpoint(args, at, paths[0].stem)
    layer = (
        (at.shown(checkpoint.path), checkpoint.settings)
        if checkpoint and checkpoint.settings
        else None
    )
    spec = registry.load_file(
        paths[0], at, overlays=paths[1:], flags=args.flags, source=source, checkpoint=layer
    )
    return at, spec, checkpoint


def _checkpoint(args: argparse.Namespace, at: Home, variant: str) -> Checkpoint | None:
    if args.ckpt_path is None:
        if args.verb == "fit" or args.print_config:
            return None
        raise UsageError(
            f"{args.verb}: name weights with --ckpt_path FILE, or `last` for the newest run's"
        )
    from effcc.nn import weights

    if args.ckpt_path != "last":
        return weights.read(Path(args.ckpt_path))
    from effcc.train import checkpoints

    newest = checkpoints.newest(at.runs / variant)
    if newest is None:
        raise UsageError(
            f"--ckpt_path last: no run in {at.shown(at.runs / variant)}/; run effcc fit first"
        )
    if process.is_first():
        if newest.instead:
            print(f"{newest.instead}; taking the one before it", file=sys.stderr)
        print(f"checkpoint {at.shown(newest.checkpoint.path)}", file=sys.stderr)
    return newest.checkpoint


def _announce(spec: Spec, at: Home, console: Console) -> None:
    source = spec.origins["data.source"]
    console.print(f"[bold]{spec.name}[/]  {spec.summary}", highlight=False)
    if source.layer == "default":
        console.print(
            "No data was named: training on the embedded handwritten digits (8x8 scans).\n"
            "  your own images: --data.source folder --data.root DIR, with a folder per class in\n"
            "                   DIR/train and DIR/val\n"
            "  ImageNet:        --data.source imagenet --data.root DIR\n"
            "  or packed:       --data.source shards, or huggingface",
            highlight=False,
            markup=False,
        )
    if typed := spec.overrides():
        words = ", ".join(f"{key}={terminal.setting(value)}" for key, value in typed.items())
        console.print(f"not as registered: {words}", highlight=False, markup=False)


def _conclude(record: Any, at: Home, console: Console) -> int:
    """Save the record, refresh the pages, and say where everything is."""
    from effcc.catalog import results
    from effcc.report import cards

    if record is None:  # the first process of the run does this
        return 0
    path = results.save(record, at)
    cards.write(at)
    console.print(terminal.outcome(record), highlight=False)
    if record.verb == "fit":
        from effcc.train.progress import clock

        console.print(
            f"  trained     {record.steps:,} steps in {clock(record.seconds)}", highlight=False
        )
    console.print(f"  checkpoint  {record.checkpoint['path']}", highlight=False)
    console.print(f"  record      {at.shown(path)}", highlight=False)
    console.print(f"  card        {at.shown(at.models / f'{record.variant}.md')}", highlight=False)
    return 0


def _print_config(spec: Spec) -> int:
    import yaml

    settings = spec.settings()
    if spec.origins["network.num_classes"].layer == "default":
        del settings["network"]["num_classes"]  # still for the data to say
    data = {"model": spec.entry, "summary": spec.summary, "seed": spec.seed} | settings
    print(yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=110), end="")
    return 0


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=True, quiet=not process.is_first())


VERBS = {
    "fit": fit,
    "validate": validate,
    "test": test,
    "predict": predict,
    "export": export,
    "weights": weights,
    "list": list_,
    "show": show,
    "check": check,
    "new": new,
    "docs": docs,
    "shards": shards,
}
