"""A record as one line of a list, whatever it measures: small enough to be kept of 100,000 records.

A glance knows nothing of the registry. What the registry decides, whether a record is the variant's
result today, depends on settings that are a kilobyte; `like` stands for them: two records of a
variant that are like each other are its results both or neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from effcc.catalog import results
from effcc.catalog.results import Metric, Record
from effcc.catalog.routings import Routing
from effcc.catalog.seal import Seal
from effcc.catalog.timings import VARIANT, Bench
from effcc.ground.words import many, three

Kept = Record | Bench | Routing
# What a record is of, as far as a list of variants cares: those with a top-1, and those of time.
ACCURACY, TIME, OTHER = "accuracy", "time", "other"


@dataclass(frozen=True, slots=True)
class Glance:
    """What a list shows of a record. `own` says why it is nobody's result, by the record alone."""

    id: str
    variant: str
    verb: str
    on: str
    figure: str
    seed: int
    commit: str | None
    dirty: bool | None
    seal: Seal
    own: str
    like: str
    kind: str
    images: str  # which data set and which of its images, as a digest; empty of a time
    figures: Mapping[str, Any] = field(default_factory=dict)  # for programs, by its kind


def of(record: Kept) -> Glance:
    """The glance of a record that was read from its file."""
    assert record.filed
    own = Seal.BROKEN.value if results.edited(record) else ""
    kind, images = OTHER, ""
    if isinstance(record, Bench):
        kind, decides = TIME, [record.image_size, record.settings.get("network")]
    else:
        own = own or results.overridden(record)
        decides = [record.dataset.name, record.settings]
        images = _digest([record.dataset.name, record.dataset.fingerprint])
        if isinstance(record, Record) and "top1" in record.metrics:
            kind = ACCURACY
    return Glance(
        id=record.id,
        variant=record.variant,
        verb=record.verb,
        on=on(record),
        figure=figure(record),
        seed=record.seed,
        commit=record.git["commit"],
        dirty=record.git["dirty"],
        seal=record.filed.seal,
        own=own,
        like=_digest([kind == TIME, *decides]),
        kind=kind,
        images=images,
        figures=_figures(record),
    )


def text(glance: Glance) -> str:
    """A glance as a line of JSON."""
    return json.dumps(asdict(glance), separators=(",", ":"))


def read(text: str) -> Glance:
    """A glance from such a line."""
    data = json.loads(text)
    return Glance(**data | {"seal": Seal(data["seal"])})


def on(record: Kept) -> str:
    """What was measured on: images, or a machine."""
    if isinstance(record, Bench):
        return f"{record.device['name']}, {many(record.threads, 'thread')}"
    return f"{record.dataset.title}, {record.dataset.split}"


def figure(record: Kept) -> str:
    """What a list shows of a record.

    An accuracy with its interval; the time of the fastest engine's smallest batch; or how far the
    routing of classes is apart where it is most.
    """
    if isinstance(record, Record):
        top1 = record.metrics.get("top1")
        return share(top1) if top1 else ""
    if not isinstance(record, Bench):
        most = max(record.blocks, key=lambda block: block.distance)
        return f"{most.distance:.3f} in {most.name}"
    fastest = min(
        (t for t in record.timings if t.network == VARIANT),
        key=lambda t: (t.batch, t.median),
        default=None,
    )
    if fastest is None:
        return ""
    return f"{three(1000 * fastest.median)} ms of {fastest.batch} by {fastest.engine}"


def share(metric: Metric) -> str:
    """An accuracy with its interval."""
    if metric.low is None or metric.high is None:
        return f"{metric.value:.6g}"
    low, high = 100 * metric.low, 100 * metric.high
    return f"{100 * metric.value:.1f} % ({low:.1f} to {high:.1f})"


def _figures(record: Kept) -> dict[str, Any]:
    if isinstance(record, Bench):
        times = {f"{t.engine}, {t.network}, batch {t.batch}": t.median for t in record.timings}
        return {"seconds_a_call": times}
    found: dict[str, Any] = {"fingerprint": record.dataset.fingerprint}
    if isinstance(record, Routing):
        return found | {"classes_apart": {block.name: block.distance for block in record.blocks}}
    if top1 := record.metrics.get("top1"):
        found |= {"top1": top1.value, "low": top1.low, "high": top1.high, "n": top1.n}
    return found


def _digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:32]
