"""Claimed accuracies: whether they can be counts of images, and whether a record bears them out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from effcc.catalog.results import Dataset, Metric, Record, Run
from effcc.claims.claim import Claim, Fact
from effcc.ground.errors import Place
from effcc.ground.words import many
from effcc.proof.comparison import Comparison, of_fact

# The metrics that are counts of images, by the names that model-index files and records give them.
METRICS = {"Top 1 Accuracy": "top1", "Top 5 Accuracy": "top5"}
# Images that accuracies are counted on, where a name leaves no doubt: those of ILSVRC 2012's
# validation (O. Russakovsky et al., IJCV 2015, table 2). The labels of its test images were never
# published.
IMAGES = {"imagenet": 50_000, "imagenet-1k": 50_000, "ilsvrc 2012": 50_000}


def comparisons(claim: Claim, runs: Sequence[Run]) -> Iterator[Comparison]:
    """Each claimed accuracy beside what it can be and, on the same images, the newest record.

    It agrees only with a record. What merely could be so is not compared.
    """
    for result in claim.results:
        for name, fact in result.metrics.items():
            key = f"{name}, {result.dataset}"
            if name in METRICS and fact.number is not None:
                record = _newest(runs, result.dataset, METRICS[name])
                least = result.metrics.get("Top 1 Accuracy") if name == "Top 5 Accuracy" else None
                yield _accuracy(key, fact, least, result.dataset, record, METRICS[name])
            else:
                yield of_fact(key, fact, "", None)
    if runs:
        yield _records([run.record for run in runs])


def is_count(fact: Fact, images: int) -> bool:
    """Whether some number of `images`, as a percentage rounded as the figure is, gives it."""
    nearest = round((fact.share or 0) * images)
    near = (count for count in (nearest - 1, nearest, nearest + 1) if 0 <= count <= images)
    return any(fact.agrees_with(fact.whole * count / images) for count in near)


def lies_within(fact: Fact, metric: Metric) -> bool:
    """Whether the figure, as precisely as it is written, may be within a measured interval."""
    assert metric.low is not None
    assert metric.high is not None
    ends = (fact.agrees_with(fact.whole * end) for end in (metric.low, metric.high))
    return metric.low <= (fact.share or 0) <= metric.high or any(ends)


def _accuracy(
    key: str, fact: Fact, least: Fact | None, dataset: str, record: Record | None, metric: str
) -> Comparison:
    value = fact.share or 0
    if not 0 <= value <= 1:
        return of_fact(key, fact, "from none to all of the images", False)
    if least and (least.share or 0) > value:
        return of_fact(key, fact, f"no less than top-1, {least.text}", False)
    images = IMAGES.get(dataset.casefold()) or (record.dataset.images if record else None)
    computed = f"no less than top-1, {least.text}" if least else ""
    if images and not is_count(fact, images):
        return of_fact(key, fact, f"no count of {many(images, 'image')}", False)
    if images:
        computed = f"about {round(value * images):,} of {images:,}"
    if not record:  # it may be so, but nobody here has seen it
        return of_fact(key, fact, computed, None)
    found = record.metrics[metric]
    return of_fact(key, fact, computed, lies_within(fact, found), measured=interval(found))


def interval(metric: Metric) -> str:
    """`342 of 360, 92.2 to 96.8 %`: a measured accuracy with its Wilson interval."""
    assert metric.low is not None
    assert metric.high is not None
    ends = f"{100 * metric.low:.1f} to {100 * metric.high:.1f} %"
    return f"{metric.correct:,} of {metric.n:,}, {ends}"


def _records(records: Sequence[Record]) -> Comparison:
    """Whether in every record as many images are right within five answers as within one."""
    rule = "top-1 no more than top-5"
    for record in records:
        top1, top5 = (record.metrics.get(name) for name in ("top1", "top5"))
        if top1 and top5 and top1.value > top5.value:
            place = Place(f"registry/results/{record.variant}/{record.id}.json")
            measured = f"{100 * top1.value:.2f} and {100 * top5.value:.2f} % in {record.id}"
            return Comparison("Records", "", rule, False, place, measured)
    place = Place(f"registry/results/{records[0].variant}")
    return Comparison("Records", "", rule, True, place, many(len(records), "record"))


def _newest(runs: Sequence[Run], dataset: str, metric: str) -> Record | None:
    """The newest record of the variant as registered, on the claimed images."""
    for run in runs:
        measured: Mapping[str, Metric] = run.record.metrics
        if not run.differs and metric in measured and _is_on(run.record.dataset, dataset):
            return run.record if measured[metric].n else None
    return None


def _is_on(measured: Dataset, claimed: str) -> bool:
    """Whether a claim's data set is a record's; a subset has the source's name, not its title."""
    names = [f"{measured.title}, {measured.split} split"]
    names += [measured.title] if measured.split == "test" else []
    return claimed.casefold() in {name.casefold() for name in names}
