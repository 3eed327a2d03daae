"""Every figure of a card with where it comes from: a line, a command, or a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from effcc.catalog.cost import Cost
from effcc.catalog.results import Run
from effcc.catalog.spec import Spec
from effcc.catalog.timings import VARIANT, Bench
from effcc.claims.claim import Claim
from effcc.ground.errors import Place
from effcc.ground.words import three
from effcc.proof.verify import Comparison
from effcc.report.experts import Experts, title

CLAIMED, COMPUTED, MEASURED = "claimed", "computed", "measured"
_ACCURACIES = {"top1": "Top 1 Accuracy", "top5": "Top 5 Accuracy"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, what kind it is, and its origin: a place in a file, or else a command."""

    name: str
    kind: str
    value: str
    place: Place | None = None
    command: str = ""


def claimed(claim: Claim, comparisons: Iterable[Comparison]) -> Iterator[Figure]:
    """What an entry says, where it says it."""
    for row in comparisons:
        fact = claim.metadata.get(row.key)
        if fact is None or fact.number is None:
            continue
        yield Figure(row.key, CLAIMED, row.claimed, row.place)
    for result in claim.results:
        for name, fact in result.metrics.items():
            yield Figure(f"{name}, {result.dataset}", CLAIMED, fact.text, fact.place)


def computed(spec: Spec, cost: Cost) -> Iterator[Figure]:
    """What the code counts, and the command that counts it again."""
    size = f"at {spec.preprocessing.image_size} px"
    for name, value in (
        ("Parameters", f"{cost.parameters:,}"),
        (f"Multiply-accumulates {size}", f"{cost.macs:,}"),
        (f"Multiply-accumulates to mix kernels {size}", f"{cost.mixing_macs:,}"),
        ("Weights as float32, bytes", f"{cost.state_bytes:,}"),
    ):
        yield Figure(name, COMPUTED, value, command=f"effcc show {spec.name}")


def measured(runs: Sequence[Run], bench: Bench | None) -> Iterator[Figure]:
    """What was recorded, at its line in the record."""
    for run in runs:
        for key, label in _ACCURACIES.items():
            if metric := run.record.metrics.get(key):
                name = f"{label}, {run.record.dataset.title}"
                place = run.record.place("metrics", key, "value")
                yield Figure(name, MEASURED, f"{100 * metric.value:.1f} %", place)
    for number, timing in enumerate(bench.timings if bench else ()):
        assert bench
        if timing.network == VARIANT:
            name = f"ms a call of {timing.batch} by {timing.engine}"
            place = bench.place("timings", number, "median")
            yield Figure(name, MEASURED, three(1000 * timing.median), place)


def routed(experts: Experts | None) -> Iterator[Figure]:
    """What was recorded of routing, at its line in the record."""
    for block in experts.record.blocks if experts else ():
        assert experts
        where = title(block.name)
        for name, key in (
            ("Distance of classes' routing", "distance"),
            ("Routing, bit", "entropy"),
        ):
            value = f"{getattr(block, key):.3f}"
            yield Figure(f"{name}, {where}", MEASURED, value, experts.place(block, key))
