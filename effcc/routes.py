"""The verb that measures routing: what the experts of a trained variant do."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from effcc import filing, request, terminal
from effcc.ground.words import many, three
from effcc.terminal import item, numbers
from effcc.train import process

if TYPE_CHECKING:
    from effcc.catalog.routings import Routed, Routing

_NAME = 18  # characters of a class's name in a table


def routing(args: argparse.Namespace) -> int:
    """Measure what a checkpoint's experts do with the images of each class, and record it."""
    at, spec, checkpoint = request.resolve(args)
    if args.print_config:
        return request.print_config(spec)
    assert checkpoint is not None
    if not process.is_first():  # one device measures
        return 0
    from effcc.catalog import routings
    from effcc.train import routing, run

    console = terminal.console(soft_wrap=True, highlight=False)
    spec, source = run.prepare(spec)
    if not args.no_record:
        filing.ready(spec.name, at)
    made = routing.measure(spec, source, at, args.command, checkpoint, args.split, args.images)
    console.print(f"[bold]{spec.name}[/]  what its experts do")
    console.print(text(made), markup=False)
    if args.no_record:
        console.print("not recorded, as you asked")
        return 0
    path = filing.record(made, at, routings.save)
    console.print(f"record    {at.shown(path)}, {path.stat().st_size:,} bytes", markup=False)
    console.print(f"card      {filing.card(spec.name, at)}", markup=False)
    return 0


def text(made: Routing) -> str:
    """A record of routing, 80 columns wide: a line a block, then what the columns are."""
    heads = ("block", "entropy", "apart", "dead", "on", "expert", "share", "most for class")
    lines = numbers(heads, [_row(block, made) for block in made.blocks], names=1)
    return "\n".join([*lines, "", *_notes(made)])


def _row(block: Routed, made: Routing) -> tuple[str, ...]:
    counts = (str(len(block.dead)), str(len(block.always_on)))
    row = (block.name, f"{block.entropy:.3f}", f"{block.distance:.3f}", *counts)
    expert = block.specialist
    if expert is None:
        return (*row, "", "", "no weight moves")
    share, favourite = block.experts[expert].share, block.favourite(expert)
    name, weight = made.classes[favourite], block.by_class(expert)[favourite]
    name = name if len(name) <= _NAME else f"{name[: _NAME - 3]}..."
    return (*row, str(expert), f"{100 * share:.0f} %", f"{name} ({weight:.2f})")


def _notes(made: Routing) -> list[str]:
    from effcc.catalog.routings import DEAD, MOVES

    data = made.dataset
    unread = f"; {data.unreadable:,} unreadable do not count" if data.unreadable else ""
    images = f"{many(made.images, 'image')} of {data.title}, {data.split}{unread}"
    drift = "no: the checkpoint's run did not keep it"
    if made.drift:
        drift = f"{many(len(made.drift.epochs), 'epoch')}, over the validation split"
    return [
        *item("entropy", "bits of a routing weight, as a coin's: 0 on or off, 1 a half"),
        *item("apart", "by how much two classes' mean weights differ, over pairs and experts"),
        *item("dead, on", f"mean weight below {DEAD} for every class, or above {1 - DEAD}"),
        *item(
            "expert",
            "the most class-specific: the share of its weight's variance that lies",
            f"between classes is largest; by chance: {three(100 * made.by_chance)} %. "
            f"Left out: standard",
            f"deviations below {MOVES}",
        ),
        *item("images", images),
        *item("drift", drift),
        *item("weights", f"{made.checkpoint['path']}, {made.checkpoint['sha256'][:16]}"),
        *item("accuracy", made.measured_by or "no record has measured this checkpoint"),
    ]
