"""Times as text in a terminal, 80 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from effcc import outlook
from effcc.catalog.timings import PLAIN, VARIANT, Bench, Timing
from effcc.ground.words import three
from effcc.terminal import item, many, numbers, size

if TYPE_CHECKING:
    from effcc.train.bench import Plan


def announced(plan: Plan) -> str:
    """What is about to be measured, before it is."""
    batches = ", ".join(f"{batch:,}" for batch in plan.batches)
    return (
        f"{', '.join(plan.engines)}; images a call: {batches}; {many(plan.threads, 'thread')}; "
        f"at least {outlook.span(plan.whole_seconds)} once everything is loaded"
    )


def text(bench: Bench) -> str:
    """A record of time: throughput; latency, if it was measured; memory and the machine."""
    parts = [_throughput(bench), *([_latency(bench)] if 1 in bench.batches else []), _notes(bench)]
    return "\n\n".join("\n".join(lines) for lines in parts)


def _throughput(bench: Bench) -> list[str]:
    heads = ("engine", "batch", "images/s", "quartiles", "plain", "of plain", "of limit")
    rows: list[tuple[str, ...]] = []
    for engine in bench.engines:
        for batch in bench.batches:
            ours, plain = (bench.timing(engine, name, batch) for name in (VARIANT, PLAIN))
            quartiles = f"{three(batch / ours.high)} to {three(batch / ours.low)}"
            rows.append(
                (
                    engine if batch == bench.batches[0] else "",
                    f"{batch:,}",
                    three(ours.images_per_second),
                    quartiles,
                    three(plain.images_per_second),
                    f"{bench.beside_plain(engine, batch):.2f}x",
                    f"{100 * bench.share(ours):.0f} %",
                )
            )
    return numbers(heads, rows, names=1)


def _latency(bench: Bench) -> list[str]:
    heads = ("one image, ms", "median", "quartiles", "p99", "calls", "plain", "p99")
    rows: list[tuple[str, ...]] = []
    for engine in bench.engines:
        ours, plain = (bench.timing(engine, name, 1) for name in (VARIANT, PLAIN))
        quartiles = f"{_ms(ours.low)} to {_ms(ours.high)}"
        row = (engine, _ms(ours.median), quartiles, _p99(ours), f"{ours.calls:,}")
        rows.append((*row, _ms(plain.median), _p99(plain)))
    return numbers(heads, rows, names=1)


def _notes(bench: Bench) -> list[str]:
    memory = [
        f"{engine} {size(bench.peak(engine, VARIANT).bytes)}, "
        f"plain {size(bench.peak(engine, PLAIN).bytes)}"
        for engine in bench.engines
    ]
    machine, work = bench.machine, bench.work[VARIANT]
    weights = "fresh" if bench.checkpoint is None else bench.checkpoint["path"]
    return [
        *item("plain", "the same network with no conditional stage, by the same engine"),
        *item(
            "memory",
            *memory,
            "the most resident in a process of its own, with torch in it",
        ),
        *item(
            "machine",
            f"{bench.device['name']}, {many(bench.threads, 'thread')}",
            f"{three(machine.flops / 1e9)} GFLOP/s in a matrix product, "
            f"{three(machine.copy_bytes / 1e9)} GB/s in a copy",
        ),
        *item(
            "limit",
            f"{work.macs:,} multiply-accumulates an image, at that speed: "
            f"{_ms(2 * work.macs / machine.flops)} ms",
            f"{work.weight_bytes:,} bytes of weights a call, at that speed: "
            f"{_ms(work.weight_bytes / machine.copy_bytes)} ms",
            "of a call, whichever takes longer",
        ),
        *item(
            "rounds",
            f"{bench.rounds} in {outlook.span(bench.seconds)}, with a turn for everything in each:",
            "noise hits all alike, so trust ratios more than times",
        ),
        *item("weights", f"{weights}; {bench.image_size} pixels"),
    ]


def _ms(seconds: float) -> str:
    return three(1000 * seconds)


def _p99(timing: Timing) -> str:
    return "" if timing.p99 is None else _ms(timing.p99)
