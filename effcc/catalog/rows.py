"""A variant as one row: what is claimed, computed and measured of it, for a list of all variants.

`effcc list` and the site's table of models are both made of these, so they cannot say different
things; `query` asks for some of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from effcc.catalog import indexed, registry, results, timings
from effcc.catalog.cost import Cost, count
from effcc.catalog.registry import Entry
from effcc.catalog.results import Run
from effcc.catalog.timings import VARIANT, Bench
from effcc.claims.claim import Claim
from effcc.ground.errors import Problem
from effcc.ground.home import Home

CLAIMED: Literal["claimed"] = "claimed"
MEASURED: Literal["measured"] = "measured"


@dataclass(frozen=True, slots=True)
class Result:
    """Accuracies on one data set, as fractions; a measured one has its top-1's 95 % interval."""

    kind: Literal["claimed", "measured"]
    dataset: str
    top1: float | None
    top5: float | None
    text: str = ""  # the claimed top-1 (or, without one, top-5) as it was written
    low: float | None = None
    high: float | None = None
    pixels: int | None = None  # side of the images that were measured, which may be smaller ones


@dataclass(frozen=True, slots=True)
class Latency:
    """The median of calls of one image, in seconds, by the engine that was fastest."""

    seconds: float
    engine: str
    device: str
    threads: int


@dataclass(frozen=True, slots=True)
class Row:
    """One variant. What nobody claimed or measured is None, or missing among the results."""

    name: str
    summary: str
    experts: int
    pixels: int  # side of the square image
    params: int  # computed
    macs: int  # computed, of one image
    claimed_params: float | None
    claimed_flops: float | None  # the entry's word; what it counts is for `proof.counting` to say
    results: tuple[Result, ...]  # claimed ones first, as their entry has them; then newest first
    latency: Latency | None

    def of_kind(self, kind: str) -> list[Result]:
        """The claimed or the measured results."""
        return [result for result in self.results if result.kind == kind]


def load(home: Home) -> tuple[list[Row], list[Problem]]:
    """A row for each variant of a project whose files are right, by name; problems of the others.

    Raises:
        BadFile: model-index/ has problems.
    """
    entries, problems = registry.sound(home)
    return [_loaded(entry, home) for entry in entries], problems


def make(entry: Entry, cost: Cost, headlines: Sequence[Run], bench: Bench | None) -> Row:
    """A row of what is known already: see `results.headlines` and `timings.benches`."""
    spec, facts = entry.spec, entry.claim.facts
    return Row(
        name=spec.name,
        summary=_line(spec.summary),
        experts=spec.network.experts,
        pixels=spec.preprocessing.image_size,
        params=cost.parameters,
        macs=cost.macs,
        claimed_params=facts["Parameters"].number if "Parameters" in facts else None,
        claimed_flops=facts["FLOPs"].number if "FLOPs" in facts else None,
        results=(*_claimed(entry.claim), *_measured(headlines)),
        latency=_latency(bench) if bench else None,
    )


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON has it: every field of a query under its own name, by kind where it has one."""

    def of(kind: str) -> list[dict[str, Any]]:
        return [
            {key: value for key, value in asdict(result).items() if key not in ("kind", "text")}
            for result in row.of_kind(kind)
        ]

    measured_only = ("low", "high", "pixels")
    claimed = [{k: v for k, v in one.items() if k not in measured_only} for one in of(CLAIMED)]
    return {
        "name": row.name,
        "summary": row.summary,
        "experts": row.experts,
        "pixels": row.pixels,
        "claimed": {
            "params": row.claimed_params,
            "flops": row.claimed_flops,
            "results": claimed,
        },
        "computed": {"params": row.params, "macs": row.macs},
        "measured": {
            "results": of(MEASURED),
            "latency": asdict(row.latency) if row.latency else None,
        },
    }


def _loaded(entry: Entry, home: Home) -> Row:
    spec = entry.spec
    cost = count(spec.network, spec.preprocessing.image_size)
    if found := indexed.newest(entry, home):
        return make(entry, cost, *found)
    shelf = results.shelf(home, spec.name, results.KIND[0])
    accuracies, _ = results.made(shelf, *results.KIND)
    headlines = results.headlines(results.beside(entry, accuracies))
    bench, _ = timings.benches(spec, results.made(shelf, *timings.KIND)[0])
    return make(entry, cost, headlines, bench)


def _claimed(claim: Claim) -> Iterator[Result]:
    for result in claim.results:
        top1, top5 = (result.metrics.get(f"Top {n} Accuracy") for n in (1, 5))
        shares = [fact.share if fact else None for fact in (top1, top5)]
        if shares != [None, None]:
            shown = top1 if top1 and top1.share is not None else top5
            assert shown
            yield Result(CLAIMED, _line(result.dataset), *shares, text=_line(shown.text))


def _measured(headlines: Iterable[Run]) -> Iterator[Result]:
    for run in headlines:
        top1, top5 = run.top1, run.record.metrics.get("top5")
        title = _line(run.record.dataset.title)
        share = top5.value if top5 else None
        pixels = run.record.settings["preprocessing"]["image_size"]
        found = (MEASURED, title, top1.value, share)
        yield Result(*found, low=top1.low, high=top1.high, pixels=pixels)


def _latency(bench: Bench) -> Latency | None:
    single = [t for t in bench.timings if (t.network, t.batch) == (VARIANT, 1)]
    if not single:
        return None
    best = min(single, key=lambda timing: timing.median)
    return Latency(best.median, best.engine, _line(str(bench.device["name"])), bench.threads)


def _line(text: str) -> str:
    """A file's text on one line, as a table shows it."""
    return " ".join(text.split())
