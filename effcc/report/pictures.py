"""Which picture of which data: what a card and the table of models show, each as SVG text.

What depends on the network or the recipe alone is drawn once, however many variants share it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from effcc.catalog.cost import Cost, shares
from effcc.catalog.results import Run
from effcc.catalog.spec import Network, Recipe, Spec
from effcc.catalog.timings import PLAIN, VARIANT, Bench
from effcc.claims.claim import Claim
from effcc.ground.words import many, three
from effcc.report import blueprint, figures, fronts, svg
from effcc.report.fronts import Point
from effcc.report.markdown import Markup

# The data set that measured accuracies are compared on: everybody has it.
_COMPARED = "digits"
_CLAIMED = ("ImageNet", "Top 1 Accuracy")


# What figures must share to be compared: the split's fingerprint and title, the machine, its
# threads, and the engine.
_Where = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Variants beside each other, and what the picture leaves unsaid."""

    svg: Markup
    note: str


def learning(run: Run) -> Markup:
    """How a run learned; nothing if it has fewer than two epochs on record."""
    record = run.record
    return Markup(figures.learning_curve(record.curve, f"Learning curve of {record.id}"))


def speed(bench: Bench) -> Markup:
    """Images a second by engine, a panel for each batch."""
    labels = {VARIANT: bench.variant, PLAIN: "plain network"}
    groups: dict[str, dict[str, list[float]]] = {}
    for batch in bench.batches:
        groups[f"images/s, {batch:,} a call"] = {
            engine: [bench.timing(engine, name, batch).images_per_second for name in labels]
            for engine in bench.engines
        }
    return Markup(figures.bars(groups, list(labels.values()), f"Speed in {bench.id}"))


@functools.lru_cache(maxsize=64)
def network(network: Network, image_size: int) -> Markup:
    """The network, drawn."""
    return Markup(blueprint.draw(network, image_size))


@functools.lru_cache(maxsize=64)
def cost(network: Network, image_size: int) -> Markup:
    """Where its parameters are, and its multiply-accumulates."""
    found = shares(network, image_size)
    conditional = {f"stage {n}" for n, s in enumerate(network.stages) if s.conditional}
    drawn = ""
    for title, parts, other in (
        ("parameters", found.parameters, conditional),
        (f"multiply-accumulates at {image_size} px", found.macs, {"mixing kernels", "routing"}),
    ):
        named = f"{title}, {svg.short(sum(parts.values()))}"
        rows = {named: {name: [number] for name, number in parts.items()}}
        drawn += figures.bars(
            rows, [""], "Computed", kind="computed", written=svg.short, other=other
        )
    return Markup(drawn)


def learning_rates(documented: Recipe, profile: Recipe, source: str) -> Markup:
    """The schedule as documented, and a source's where it is another."""
    words = "as documented"
    first = _learning_rate(documented, words)
    if _learning_rate(profile, words) == first:
        return first
    return first + _learning_rate(profile, f"on {source}")


@functools.lru_cache(maxsize=256)
def _learning_rate(recipe: Recipe, title: str) -> Markup:
    return Markup(figures.learning_rate(recipe, title))


@dataclass(frozen=True, slots=True)
class Points:
    """A variant in the pictures of all: small enough to be handed on without its card."""

    published: Point | None
    measured: tuple[tuple[_Where, Point], ...]


def points(
    spec: Spec, claim: Claim, counted: Cost, runs: Sequence[Run], bench: Bench | None
) -> Points:
    """What is claimed beside what the code counts, and accuracy beside time, measured here."""
    timed = [each for run in runs for each in _timed(spec.name, run, bench)]
    return Points(_published(spec, claim, counted), tuple(timed))


def comparisons(variants: Sequence[Points]) -> list[Comparison]:
    """All pictures of variants beside each other for which there are figures."""
    found = (
        published([each.published for each in variants if each.published]),
        measured([each for variant in variants for each in variant.measured]),
    )
    return [comparison for comparison in found if comparison]


def published(points: Sequence[Point]) -> Comparison | None:
    """Claimed accuracy on ImageNet beside computed operations; None where nobody claims."""
    described = f"Claimed {_CLAIMED[0]} top-1 beside computed multiply-accumulates"
    titles = ("multiply-accumulates, computed", f"{_CLAIMED[0]} top-1, %, claimed", "claimed")
    return _compared(points, described, titles, "")


def measured(points: Iterable[tuple[_Where, Point]]) -> Comparison | None:
    """What was measured here: accuracy on one test split, and time on one machine by one engine.

    Of several splits, machines or engines the one that most variants were measured with is shown;
    None where that is fewer than two.
    """
    groups: dict[_Where, list[Point]] = {}
    for where, point in points:
        groups.setdefault(where, []).append(point)
    # Of equals the fastest, and in any case always the same.
    best = max(
        groups, key=lambda g: (len(groups[g]), -sum(p.cost for p in groups[g]), g), default=None
    )
    if best is None or len(groups[best]) < 2:
        return None
    _, title, device, threads, engine = best
    note = (
        f"On {title}, as the variants train on them, with 95 % intervals; the time of one image at "
        f"each variant's own size, by {engine} on {device}, {threads}."
    )
    titles = ("ms an image, measured", f"{svg.clipped(title, 200)} top-1, %, measured", "measured")
    return _compared(groups[best], f"Measured top-1 on {title} beside measured time", titles, note)


def _published(spec: Spec, claim: Claim, counted: Cost) -> Point | None:
    dataset, metric = _CLAIMED
    on = [result.metrics for result in claim.results if result.dataset == dataset]
    facts = [metrics[metric] for metrics in on if metric in metrics]
    share = facts[0].share if facts else None
    if not share or not 0 < share <= 1:
        return None
    words = f"{100 * share:.2f} % at {svg.short(counted.macs)} multiply-accumulates"
    return Point(spec.name, counted.macs, share, words)


def _timed(name: str, run: Run, bench: Bench | None) -> Iterator[tuple[_Where, Point]]:
    """A variant's accuracy beside its time, by each engine."""
    data, top1 = run.record.dataset, run.top1
    if data.name != _COMPARED or top1.low is None or top1.high is None:
        return
    if bench is None or 1 not in bench.batches:
        return
    for engine in bench.engines:
        ms = 1000 * bench.timing(engine, VARIANT, 1).median
        words = f"{100 * top1.value:.1f} % at {three(ms)} ms"
        machine = str(bench.device["name"]), many(bench.threads, "thread")
        point = Point(name, ms, top1.value, words, (top1.low, top1.high))
        yield (data.fingerprint, data.title, *machine, engine), point


def _compared(
    points: Sequence[Point], described: str, titles: tuple[str, str, str], note: str
) -> Comparison | None:
    if not points:
        return None
    found = fronts.draw(points, described, *titles)
    if found.drawn < len(points):
        counts = f"{many(found.drawn, 'point')} for {many(len(points), 'variant')}"
        note += f" {counts}: of those that would cover each other the best is drawn."
    return Comparison(Markup(found.svg), note.strip())
