"""Measurements: one JSON file a run, with its provenance, written once and never changed.

A folder of records holds three kinds: accuracies, which are `Record`s here, times, see `timings`,
and what experts do, see `routings`. One that somebody edited is still read, and says so: it is
nobody's result. A file that is no record is a problem to report, and spoils none of the others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import starmap
from pathlib import Path
from typing import Any, Protocol, TypeVar

from effcc.catalog import schema, seal
from effcc.catalog.registry import Entry
from effcc.catalog.seal import Filed, Seal
from effcc.catalog.spec import digest, rule
from effcc.ground import files
from effcc.ground.document import Document, read
from effcc.ground.errors import BadFile, Place, Problem
from effcc.ground.home import Home

_Made = TypeVar("_Made")
# The schema of a record, by its verb; the others' is `result`.
_SCHEMAS = {"bench": "bench", "routing": "routing"}
# The names of the files of one kind: they may be large, and whoever wants another need not read
# them.
_ROUTING = "-routing-"
# Who computes the logits where no engine does: the network as it trains.
NETWORK = "network"
# Whose weights were measured, where their file does not say how they were trained.
PUBLISHED, UNKNOWN = "published", "unknown"
_COMMAND = 2000  # characters of what was typed that a record holds, as its schemas say
_GLANCE = 60  # characters of a value that a list or a card still prints
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
    """The images a measurement was made on; a fingerprint changes when they do."""

    name: str
    title: str
    split: str
    images: int
    classes: int
    fingerprint: str
    train_images: int = 0
    train_fingerprint: str = ""  # of the images that were trained on; empty if that is not known
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
    start: Mapping[str, Any] = field(default_factory=dict)  # empty: its weights were drawn
    filed: Filed | None = field(default=None, compare=False, repr=False)  # None: not yet written

    def place(self, *path: str | int) -> Place:
        """The line of a value in the record's file."""
        assert self.filed
        return self.filed.place(*path)


class OnImages(Protocol):
    """What records of either kind say of the images and settings that they were made with.

    Its members are described where they are fields, in `Record` and in `routings.Routing`.
    """

    @property
    def id(self) -> str: ...  # noqa: D102  (a field there)
    @property
    def settings(self) -> Mapping[str, Any]: ...  # noqa: D102  (a field there)
    @property
    def overrides(self) -> Mapping[str, Any]: ...  # noqa: D102  (a field there)
    @property
    def dataset(self) -> Dataset: ...  # noqa: D102  (a field there)
    @property
    def checkpoint(self) -> Mapping[str, Any]: ...  # noqa: D102  (a field there)


@dataclass(frozen=True, slots=True)
class Run:
    """A record beside the registry of today: `differs` says why it is not the variant's result."""

    record: Record
    differs: str

    @property
    def top1(self) -> Metric:
        """Its top-1 accuracy."""
        return self.record.metrics["top1"]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A variant's files among the records, each read once: those that fit a schema, by kind."""

    documents: Mapping[str, Sequence[Document]]  # oldest first
    problems: Mapping[str, Sequence[Problem]]

    @property
    def strange(self) -> list[str]:
        """Files that are no records."""
        wrong = {problem.place.file for found in self.problems.values() for problem in found}
        return sorted(wrong)


def runs(entry: Entry, home: Home) -> list[Run]:
    """A variant's records with an accuracy, newest first, beside the registry."""
    return beside(entry, load(home, entry.spec.name))


def beside(entry: Entry, records: Sequence[Record]) -> list[Run]:
    """Those of the records, oldest first, that have an accuracy, as `runs`."""
    differs = beside_registry(entry, records)
    accurate = [record for record in reversed(records) if "top1" in record.metrics]
    return [Run(record, differs[record.id]) for record in accurate]


def headlines(runs: Iterable[Run]) -> list[Run]:
    """The newest of the registered variant on each data set; `runs` are newest first."""
    found: dict[tuple[str, str], Run] = {}
    for run in runs:
        if not run.differs:
            found.setdefault((run.record.dataset.name, run.record.dataset.fingerprint), run)
    return list(found.values())


def beside_registry(entry: Entry, records: Iterable[OnImages]) -> dict[str, str]:
    """Why each record, by id, is not the registered variant's result; empty if it is.

    It is if it is as it was written, nothing was overridden, and the settings that decide a result
    are those that the registry has now.
    """
    digests: dict[str, str] = {}
    found: dict[str, str] = {}
    for record in records:
        source = record.dataset.name
        if source not in digests:
            digests[source] = _digest_on(entry, source)
        differs = overridden(record)
        if edited(record):
            differs = Seal.BROKEN
        elif not differs and digest(record.settings) != digests[source]:
            differs = "the registry has changed since"
        found[record.id] = differs
    return found


def overridden(record: OnImages) -> str:
    """What was set anew for a run, or is not known of it, in a phrase; empty if nothing is."""
    found = [*starmap(_changed, record.overrides.items())]
    if record.checkpoint.get("source") == UNKNOWN:
        found.append("weights of no known run")
    return ", ".join(found)


def _digest_on(entry: Entry, source: str) -> str:
    """The registered variant's digest on a data source; empty if this version knows no such one."""
    if source not in rule("data.source")["enum"]:
        return ""
    typed = Document("", {"data": {"source": source}}, {})
    return entry.files.resolved([("flag", typed)], located=False).digest


def _changed(key: str, value: Any) -> str:
    """What was set anew, as a file writes it; only its name where that takes more than a glance."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"{key} {text}" if len(text) <= _GLANCE else f"{key} changed"


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
    return write(plain(record), home)


def plain(record: Record) -> dict[str, Any]:
    """A record as it is written, but for schema and digest."""
    data = asdict(replace(record, filed=None))
    for name, metric in record.metrics.items():
        # A plain value has no counts.
        known = {key: v for key, v in asdict(metric).items() if v is not None}
        data["metrics"][name] = known
    del data["filed"]
    if not record.start:
        del data["start"]
    data["dataset"] = images(record.dataset)
    return data


def images(dataset: Dataset) -> dict[str, Any]:
    """The images of a record of any kind as it is written: nothing is said of what is not known."""
    return {key: value for key, value in asdict(dataset).items() if value != ""}


def write(data: Mapping[str, Any], home: Home) -> Path:
    """Seal a record of any kind, as plain data, and write it to its place; as `save`."""
    path = home.hold(home.results / data["variant"] / f"{data['id']}.json")
    command = data["command"]
    if len(command) > _COMMAND:  # the settings say all of it once more
        data = {**data, "command": f"{command[: _COMMAND - 3]}..."}
    files.create(path, json.dumps(seal.sealed(data), indent=1, ensure_ascii=False) + "\n")
    return path


def load(home: Home, variant: str) -> list[Record]:
    """A variant's records of accuracy that can be read, oldest first."""
    return made(shelf(home, variant, KIND[0]), *KIND)[0]


def made(
    shelf: Shelf, kind: str, make: Callable[[Document], tuple[_Made, list[Problem]]]
) -> tuple[list[_Made], list[Problem]]:
    """The records of one kind on a shelf, and what is wrong with them or only with their files."""
    found, wrong = list[_Made](), list(shelf.problems.get(kind, ()))
    for document in shelf.documents.get(kind, ()):
        record, more = make(document)
        found.append(record)
        wrong += more
    return found, wrong


def shelf(home: Home, variant: str, only: str = "") -> Shelf:
    """Read a variant's files among the records, or `only` those that may be of one kind."""
    documents: dict[str, list[Document]] = {}
    problems: dict[str, list[Problem]] = {}
    try:
        folder = home.hold(home.results / variant)
    except BadFile as error:
        return Shelf({}, {only or "result": error.problems})
    for path in sorted(folder.glob("*.json")):
        if only and (_ROUTING in path.name) != (only == "routing"):
            continue
        kind = "routing" if _ROUTING in path.name else "result"  # of what cannot be read
        try:
            document = _whole(home.hold(path) if path.is_symlink() else path, home)
            kind = kind_of(document, path)
            _hold(document, path)
            documents.setdefault(kind, []).append(document)
        except BadFile as error:
            problems.setdefault(kind, []).extend(error.problems)
    return Shelf(documents, problems)


def opened(path: Path, home: Home) -> Document:
    """A record of any kind, held against its schema and its place.

    Raises:
        BadFile: it is no record, or was moved.
    """
    document = _whole(home.hold(path), home)
    _hold(document, path)
    return document


def _whole(path: Path, home: Home) -> Document:
    """A file that is JSON to its end, as a write that was cut off is not; raises BadFile."""
    mend = "not as it was written: restore the record from the repository, or delete it"
    try:
        document = read(path, home.shown(path))
    except BadFile as error:
        found = (p._replace(message=f"{p.message}; {mend}") for p in error.problems)
        raise BadFile(*found) from None
    if not isinstance(document.data, dict):
        raise BadFile(Problem(Place(document.file), "", mend))
    return document


def _hold(document: Document, path: Path) -> None:
    """Hold a record against its schema and its place; raises BadFile."""
    if found := schema.problems(document, kind_of(document, path)):
        raise BadFile(*found)
    data = document.data
    if (data["variant"], data["id"]) != (path.parent.name, path.stem):
        message = f"holds {data['variant']}/{data['id']}; records do not move"
        raise BadFile(Problem(Place(document.file), "id", message))


def kind_of(document: Document, path: Path) -> str:
    """The schema that a file should follow, by its verb; one of routing also by its name."""
    if _ROUTING in path.name:
        return "routing"
    verb = document.data.get("verb") if isinstance(document.data, dict) else None
    found = _SCHEMAS.get(str(verb), "result")
    return "result" if found == "routing" else found


def filed(document: Document, wrong: list[Problem]) -> tuple[Filed, list[Problem]]:
    """A record's file, and what shows that it was edited: `wrong` with it, or its digest."""
    found = seal.seal(document.data)
    if found is Seal.BROKEN:
        message = "edited by hand: not what was written; restore the record"
        wrong = [*wrong, document.problem(("digest",), message, at_key=True)]
    return Filed(document, Seal.BROKEN if wrong else found), wrong


def edited(record: Any) -> bool:
    """Whether a record of any kind is not what was written."""
    return record.filed is not None and record.filed.seal is Seal.BROKEN


def read_record(document: Document) -> tuple[Record, list[Problem]]:
    """A record from a file that fits the schema, and what shows that it was edited."""
    data = dict(document.data)
    message = "value or interval do not follow from correct and n; restore the record"
    wrong = [
        document.problem(("metrics", name), message)
        for name, metric in data["metrics"].items()
        if "n" in metric
        and (
            metric["correct"] > metric["n"]
            or accuracy(metric["correct"], metric["n"]) != Metric(**metric)
        )
    ]
    file, wrong = filed(document, wrong)
    for name in ("schema", "digest"):
        data.pop(name, None)
    data["dataset"] = Dataset(**data["dataset"])
    data["metrics"] = {name: Metric(**metric) for name, metric in data["metrics"].items()}
    data["curve"] = tuple(data["curve"])
    return Record(**data, filed=file), wrong


# The schema of these records, and who reads one.
KIND = ("result", read_record)
