"""Verbs that train, measure or look at images with a variant."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcc import exchange, filing, request, terminal
from effcc.ground.errors import UsageError
from effcc.ground.words import alike_but_for_case, many
from effcc.nn import engines
from effcc.train import process

if TYPE_CHECKING:
    from rich.console import Console

    from effcc.catalog.spec import Spec
    from effcc.ground.home import Home
    from effcc.sources.known import Source


def fit(args: argparse.Namespace) -> int:
    """Train a variant, measure it, record it, and bring its card up to date."""
    at, spec, checkpoint = request.resolve(args)
    if args.print_config:
        return request.print_config(spec)
    console = _console()
    _announce(spec, at, console)
    if spec.recipe.pretrained is True and not checkpoint:
        exchange.pull(spec)  # before torch is loaded: what is missing is said at once
    from effcc.train import run

    if why := run.slower():
        console.print(f"training by torch's own layers, which is slower: {why}", markup=False)
    spec, source = run.prepare(spec)
    # All of them before the first step: a split that is missing must not wait for the last.
    train, val, test = (source.split(name) for name in ("train", "val", "test"))
    if args.plan:
        return _plan(spec, source, console)
    if process.is_first():
        filing.ready(spec.name, at)
    console.print(
        f"{source.title}: {many(len(source.classes), 'class', 'classes')}; "
        f"{many(len(train), 'image')} to train on, "
        f"{len(val):,} to validate, {len(test):,} to test",
        highlight=False,
        markup=False,
    )
    if alike := alike_but_for_case(source.classes):
        console.print(
            f"classes {alike[0]!r} and {alike[1]!r} are two here, and one wherever names are alike "
            "in capitals and small letters",
            highlight=False,
            markup=False,
        )
    record = run.fit(
        spec,
        source,
        at,
        console,
        args.command,
        checkpoint.path if checkpoint else None,
        args.compile,
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
    engines.check(args.verb, [args.engine])
    _, spec, checkpoint = request.resolve(args, source=None)
    if args.print_config:
        return request.print_config(spec)
    assert checkpoint is not None
    if not args.images:
        raise UsageError("predict: name image files or folders after the options")
    from effcc.sources import folder
    from effcc.train import run

    if not process.is_first():  # one device predicts
        return 0
    images = [found for name in args.images for found in folder.find_images(Path(name))]
    spec = spec.with_classes(checkpoint.num_classes or spec.network.num_classes)
    predictions = run.predict(spec, checkpoint, images, args.top, args.engine)
    if args.json:
        rows = [
            {"file": p.file, "classes": [{"class": c, "probability": v} for c, v in p.classes]}
            for p in predictions
        ]
        terminal.say_data(rows)
        return 0
    rows = [(p.classes[0][0], f"{100 * p.classes[0][1]:.1f} %", p.file) for p in predictions]
    terminal.say(terminal.table(("class", "probability", "file"), rows))
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
    engines.check(args.verb, [args.engine])
    at, spec, checkpoint = request.resolve(args)
    if args.print_config:
        return request.print_config(spec)
    assert checkpoint is not None
    console = _console()
    from effcc.train import run

    spec, source = run.prepare(spec)
    if split == "test" and process.is_first():
        filing.ready(spec.name, at)
    record = run.evaluate(spec, source, at, args.command, checkpoint, split, args.engine)
    if split == "val" and record:
        console.print(terminal.outcome(record), highlight=False)
        return 0
    return _conclude(record, at, console)


def _announce(spec: Spec, at: Home, console: Console) -> None:
    source = spec.origins["data.source"]
    console.print(f"[bold]{spec.name}[/]  {terminal.plain(spec.summary)}", highlight=False)
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
    if spec.recipe.freeze_stages and not spec.recipe.pretrained:
        console.print(
            "the frozen stages keep what they start from, which is chance: "
            "--recipe.pretrained true starts from published weights, FILE from a file's",
            highlight=False,
            markup=False,
        )
    if typed := spec.overrides():
        words = ", ".join(f"{key}={terminal.setting(value)}" for key, value in typed.items())
        console.print(f"not as registered: {words}", highlight=False, markup=False)


def _conclude(record: Any, at: Home, console: Console) -> int:
    """Save the record, refresh the pages, and say where everything is."""
    from effcc.catalog import results

    if record is None:  # the first process of the run does this
        return 0
    again = "the same command measures again"
    if record.verb == "fit":
        kept = shlex.quote(record.checkpoint["path"])
        again = f"the same command with --ckpt_path {kept} measures, without training again"
    path = filing.record(record, at, results.save, again)
    console.print(terminal.outcome(record), highlight=False)
    if record.verb == "fit":
        from effcc.train.progress import clock

        console.print(
            f"  trained     {many(record.steps, 'step')} in {clock(record.seconds)}",
            highlight=False,
        )
    console.print(f"  checkpoint  {record.checkpoint['path']}", highlight=False, markup=False)
    console.print(f"  record      {at.shown(path)}", highlight=False, markup=False)
    card = filing.card(record.variant, at)
    console.print(f"  card        {card}", highlight=False, markup=False)
    return 0


def _console() -> Console:
    return terminal.console(soft_wrap=True, quiet=not process.is_first())
