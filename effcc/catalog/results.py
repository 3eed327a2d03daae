"""Measurements: one JSON file a run, with its provenance, written once and never changed.

A folder of records holds two kinds: accuracies, which are `Record`s here, and times, see `timings`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from effcc.catalog import files, registry, schema
from effcc.catalog.document import Document, read
from effcc.catalog.errors import BadFile, Place, Problem
from effcc.catalog.home import Home
from effcc.catalog.registry import Entry
from effcc.catalog.spec import digest

_Made = TypeVar("_Made")
# The schema of a record, by its verb; the others' is `result`.
_SCHEMAS = {"bench": "bench"}
# Who computes the logits where no engine does: the network as it trains.
NETWORK = "network"
_Z95 = 1.959963984540054  # 97.5th percentile of the normal distribution


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured value; an accuracy (a fraction) also has its counts and their 95 % interval."""

    value: float
    correct: int | None = None
    n: int | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """The images a measurement was made on; the fingerprint changes when they do."""

    name: str
    title: str
    split: str
    images: int
    classes: int
    fingerprint: str
    train_images: int = 0
    unreadable: int = 0  # images of the split that could not be decoded and do not count


@dataclass(frozen=True, slots=True)
class Record:
    """One measurement of accuracy. `schemas/result.schema.json` describes the fields."""

    id: str
    variant: str
    verb: str
    date: str
    command: str
    spec_digest: str
    settings: Mapping[str, Any]
    overrides: Mapping[str, Any]
    seed: int
    dataset: Dataset
    metrics: Mapping[str, Metric]
    curve: tuple[Mapping[str, float], ...]
    seconds: float
    steps: int
    git: Mapping[str, Any]
    versions: Mapping[str, str]
    device: Mapping[str, str | int]
    checkpoint: Mapping[str, Any]
    engine: str = NETWORK


@dataclass(frozen=True, slots=True)
class Run:
    """A record beside the registry of today: `differs` says why it is not the variant's result."""

    record: Record
    differs: str

    @property
    def top1(self) -> Metric:
        """Its top-1 accuracy."""
        return self.record.metrics["top1"]


def runs(entry: Entry, home: Home) -> list[Run]:
    """A variant's records with an accuracy, newest first.

    A record is the registered variant's result if nothing was overridden and the settings that
    decide a result are those that the registry has now.

    Raises:
        BadFile: as `load`.
    """
    claims, name = {entry.claim.name: entry.claim}, entry.spec.name
    digests: dict[str, str] = {}
    found: list[Run] = []
    for record in reversed(load(home, name)):
        source = record.dataset.name
        if source not in digests:
            flags = {"data.source": source} | ({"data.root": "."} if source != "digits" else {})
            try:
                digests[source] = registry.load(name, home, flags=flags, claims=claims).digest
            except BadFile:  # a source that this version does not know
                digests[source] = ""
        differs = ", ".join(f"{key} {value}" for key, value in record.overrides.items())
        if not differs and digest(record.settings) != digests[source]:
            differs = "the registry has changed since"
        if "top1" in record.metrics:
            found.append(Run(record, differs))
    return found


def accuracy(correct: int, n: int) -> Metric:
    """An accuracy with its 95 % Wilson score interval (E. B. Wilson, JASA 22, 1927).

    Raises:
        ValueError: nothing was counted.
    """
    if not 0 <= correct <= n or n < 1:
        raise ValueError("an accuracy needs at least one image, and no more right than there are")
    share, z2 = correct / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Metric(
        share, correct, n, round(max(0.0, centre - half), 6), round(min(1.0, centre + half), 6)
    )


def save(record: Record, home: Home) -> Path:
    """Write a record to `registry/results/<variant>/<id>.json`.

    Raises:
        FileExistsError: a record of that id exists.
    """
    data = asdict(record)
    for name, metric in record.metrics.items():
        # A plain value has no counts.
        known = {key: v for key, v in asdict(metric).items() if v is not None}
        data["metrics"][name] = known
    return write(data, home)


def write(data: Mapping[str, Any], home: Home) -> Path:
    """Write a record of either kind, as plain data, to its place; as `save`."""
    path = home.results / data["variant"] / f"{data['id']}.json"
    text = json.dumps({"schema": 1, **data}, indent=1, ensure_ascii=False, allow_nan=False)
    files.create(path, text + "\n")
    return path


def load(home: Home, variant: str) -> list[Record]:
    """A variant's records of accuracy, oldest first.

    Raises:
        BadFile: records that do not fit the schema, or were moved; all of them.
    """
    return every(home, variant, "result", _record)


def every(home: Home, variant: str, kind: str, make: Callable[[Document], _Made]) -> list[_Made]:
    """A variant's records of one kind, the name of its schema, oldest first; raises as `load`."""
    found, problems = list[_Made](), list[Problem]()
    for path in sorted((home.results / variant).glob("*.json")):
        try:
            document = read(path, home.shown(path))
            if _kind(document) == kind:
                _check(document, kind, variant, path.stem)
                found.append(make(document))
        except BadFile as error:
            problems.extend(error.problems)
    if problems:
        raise BadFile(*problems)
    return found


def _kind(document: Document) -> str:
    verb = document.data.get("verb") if isinstance(document.data, dict) else None
    return _SCHEMAS.get(str(verb), "result")


def _check(document: Document, kind: str, variant: str, name: str) -> None:
    """Hold a record against its schema and its place; raises BadFile."""
    if problems := schema.problems(document, kind):
        raise BadFile(*problems)
    data = document.data
    if (data["variant"], data["id"]) != (variant, name):
        raise BadFile(
            Problem(
                Place(document.file),
                "id",
                f"holds {data['variant']}/{data['id']}; records do not move",
            )
        )


def _record(document: Document) -> Record:
    data = dict(document.data)
    for name, metric in data["metrics"].items():
        if "n" in metric and (
            metric["correct"] > metric["n"]
            or accuracy(metric["correct"], metric["n"]) != Metric(**metric)
        ):
            message = "value or interval do not follow from correct and n; restore the record"
            raise BadFile(document.problem(("metrics", name), message))
    del data["schema"]
    data["dataset"] = Dataset(**data["dataset"])
    data["metrics"] = {name: Metric(**metric) for name, metric in data["metrics"].items()}
    data["curve"] = tuple(data["curve"])
    return Record(**data)
