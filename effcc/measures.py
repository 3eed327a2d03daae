"""The verb that measures time."""

from __future__ import annotations

import argparse
import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from effcc import filing, request, terminal
from effcc.ground import home
from effcc.ground.errors import UsageError
from effcc.nn import engines

if TYPE_CHECKING:
    from rich.console import Console

    from effcc.train.bench import Report


# Images a call, or threads: no machine takes more.
_MOST = 65_536


def bench(args: argparse.Namespace) -> int:
    """Time a variant on this machine: by engine and batch, beside its plain network."""
    engines.check(args.verb, args.engine)
    batches = [_whole("--batch", text) for text in args.batch]
    threads = None if args.threads is None else _whole("--threads", args.threads)
    seconds = _seconds(args.seconds)
    if args.name:
        from effcc.catalog import registry

        named = registry.file(args.name, home.find())
        args.config = [str(named), *(args.config or [])]
    elif not args.config:
        raise UsageError("bench: name a variant, as in effcc bench cc_b0_4e")
    at, spec, checkpoint = request.resolve(args, source=None)
    if args.print_config:
        return request.print_config(spec)
    console = terminal.console(soft_wrap=True, highlight=False)
    console.print(f"[bold]{spec.name}[/]  {terminal.plain(spec.summary)}")
    from effcc import stopwatch
    from effcc.catalog import timings
    from effcc.train import bench

    if checkpoint:
        spec = spec.with_classes(checkpoint.num_classes or spec.network.num_classes)
    if not (args.no_record or at.brought):
        filing.ready(spec.name, at)
    names = list(dict.fromkeys(args.engine)) or engines.installed()
    plan = bench.plan(names, batches, threads, seconds)
    console.print(stopwatch.announced(plan))
    with _turning(console) as report:
        found = bench.measure(spec, checkpoint, plan, at, args.command, report)
    console.print(stopwatch.text(found), markup=False)
    if args.no_record:
        console.print("not recorded, as you asked")
        return 0
    if at.brought:
        console.print("not recorded: no project is here; effcc new NAME --from VARIANT begins one")
        return 0
    path = filing.record(found, at, timings.save)
    console.print(f"record    {at.shown(path)}", markup=False)
    console.print(f"card      {filing.card(spec.name, at)}", markup=False)
    return 0


def _whole(flag: str, text: str) -> int:
    if not text.isdecimal() or not text.strip("0"):
        raise UsageError(f"bench: {flag} {text[:20]}: expected a whole number from 1 on")
    if len(text) > len(str(_MOST)) or int(text) > _MOST:
        raise UsageError(f"bench: {flag} {text[:20]}: expected at most {_MOST:,}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"bench: --seconds {text}: expected a number above 0")
    return seconds


@contextmanager
def _turning(console: Console) -> Generator[Report]:
    """A function to call with the turns done and those in all; a bar on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(
        "measuring",
        BarColumn(),
        MofNCompleteColumn(),
        "turns, left",
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
        refresh_per_second=1,  # drawing takes time from what is measured
    )
    with bar:
        task = bar.add_task("turns", total=None)
        yield lambda done, turns: bar.update(task, completed=done, total=turns)
