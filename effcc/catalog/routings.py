"""Records of routing: what the experts of a trained variant do with the images of a split.

They stand among a variant's other records and are told apart by their verb, `routing`. Weights by
class are written a row a class, as text of four decimals: a thousand classes stay a megabyte, and
a row a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from effcc.catalog import results
from effcc.catalog.results import Dataset
from effcc.catalog.seal import Filed
from effcc.ground.document import Document
from effcc.ground.errors import Place, Problem
from effcc.ground.home import Home

# An expert is dead if its mean weight is below this for every class, and always on if it is above
# one less this for every class.
DEAD = 0.01
# Of experts whose weight hardly moves, a share of the little that it does says nothing.
MOVES = 0.01
# Of a record, how many experts are shown with their images.
SPECIALISTS = 6

# A class's weight for each expert; None for a class without images.
Row = tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Expert:
    """One expert of a block over all images of the split."""

    mean: float  # of its routing weight
    spread: float  # its standard deviation
    share: float  # of its variance, what lies between classes


@dataclass(frozen=True, slots=True)
class Routed:
    """One conditional block.

    `entropy` is in bits, the mean over images and experts of a routing weight's, as a coin's;
    `distance` the mean over pairs of classes, and over experts, of how far their mean weights are
    apart.
    """

    name: str
    entropy: float
    distance: float
    experts: tuple[Expert, ...]
    means: tuple[Row, ...]  # a row a class
    spreads: tuple[Row, ...]  # standard deviations within a class

    def by_class(self, expert: int) -> dict[int, float]:
        """An expert's mean weight by class, of classes with images."""
        return {number: row[expert] for number, row in enumerate(self.means) if row}

    @property
    def dead(self) -> list[int]:
        """Experts that no class uses."""
        return [e for e in range(len(self.experts)) if max(self.by_class(e).values()) < DEAD]

    @property
    def always_on(self) -> list[int]:
        """Experts that every class uses whole."""
        return [e for e in range(len(self.experts)) if min(self.by_class(e).values()) > 1 - DEAD]

    def favourite(self, expert: int) -> int:
        """The class with an expert's largest mean weight; of equal ones the first."""
        found = self.by_class(expert)
        return max(found, key=lambda number: (found[number], -number))

    def least(self, expert: int) -> int:
        """The class with the smallest."""
        found = self.by_class(expert)
        return min(found, key=lambda number: (found[number], number))

    @property
    def specialist(self) -> int | None:
        """The most class-specific expert, see `specialists`; None if no weight moves."""
        found = specialists([self], 1)
        return found[0][1] if found else None


@dataclass(frozen=True, slots=True)
class Example:
    """An image that an expert weighs much on."""

    position: int  # in the split
    label: int
    weight: float
    name: str  # what its source calls it
    picture: str  # as a data URI; empty if it may not be shown


@dataclass(frozen=True, slots=True)
class Specialist:
    """An expert, and the images of the split with its largest weights."""

    block: str
    expert: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """Each expert's mean weight over the validation split, after every epoch that was validated."""

    epochs: tuple[int, ...]  # from 1
    means: Mapping[str, tuple[tuple[float, ...], ...]]  # by block: a row an epoch

    @classmethod
    def of(cls, kept: Mapping[Any, Any]) -> Drift | None:
        """From what a run's checkpoint keeps, by epoch and block; None if it is not that.

        Epochs count in which every block was heard as the last one heard them, and every weight is
        one: of a network that diverged they are no numbers.
        """
        try:
            by_epoch = {
                int(epoch): {str(b): tuple(map(float, row)) for b, row in means.items()}
                for epoch, means in sorted(kept.items())
            }
        except (AttributeError, TypeError, ValueError):
            return None
        by_epoch = {epoch: means for epoch, means in by_epoch.items() if _are_weights(means)}
        shapes = {e: {b: len(row) for b, row in means.items()} for e, means in by_epoch.items()}
        epochs = [e for e, shape in shapes.items() if shape and shape == shapes[max(shapes)]]
        if not epochs:
            return None
        blocks = by_epoch[epochs[-1]]
        return cls(tuple(epochs), {b: tuple(by_epoch[e][b] for e in epochs) for b in blocks})


@dataclass(frozen=True, slots=True)
class Routing:
    """One measurement of routing. `schemas/routing.schema.json` describes the fields."""

    id: str
    variant: str
    verb: str
    date: str
    command: str
    settings: Mapping[str, Any]
    overrides: Mapping[str, Any]
    seed: int
    dataset: Dataset
    classes: tuple[str, ...]
    counts: tuple[int, ...]  # images of each class
    blocks: tuple[Routed, ...]
    specialists: tuple[Specialist, ...]
    drift: Drift | None  # None: the run did not keep it
    measured_by: str | None  # the record of the same checkpoint's accuracy
    seconds: float
    git: Mapping[str, Any]
    versions: Mapping[str, str]
    device: Mapping[str, str | int]
    checkpoint: Mapping[str, Any]
    filed: Filed | None = field(default=None, compare=False, repr=False)  # None: not yet written

    def place(self, *path: str | int) -> Place:
        """The line of a value in the record's file."""
        assert self.filed
        return self.filed.place(*path)

    @property
    def images(self) -> int:
        """Those that were counted."""
        return sum(self.counts)

    @property
    def by_chance(self) -> float:
        """What `Expert.share` is on average of weights that know nothing of classes.

        (classes - 1) / (images - 1), of classes that have images: its mean over all ways to deal
        the labels anew.
        """
        seen = sum(count > 0 for count in self.counts)
        return (seen - 1) / max(1, self.images - 1)

    def block(self, name: str) -> Routed:
        """The block of this name."""
        return next(block for block in self.blocks if block.name == name)


def specialists(blocks: Sequence[Routed], most: int = SPECIALISTS) -> list[tuple[Routed, int]]:
    """The experts that know most of classes: the largest shares of variance between them.

    Experts whose weight has a standard deviation below `MOVES` are left out.
    """
    found = [
        (block, number)
        for block in blocks
        for number, expert in enumerate(block.experts)
        if expert.spread >= MOVES
    ]
    return sorted(found, key=lambda pair: -pair[0].experts[pair[1]].share)[:most]


def save(routing: Routing, home: Home) -> Path:
    """Write it to `registry/results/<variant>/<id>.json`.

    Raises:
        FileExistsError: a record of that id exists.
    """
    data = asdict(replace(routing, filed=None))
    del data["filed"]
    data["dataset"] = results.images(routing.dataset)
    for block in data["blocks"]:
        for name in ("means", "spreads"):
            block[name] = [_written(row) for row in block[name]]
    if routing.drift:
        data["drift"]["means"] = {
            block: [_written(row) for row in rows] for block, rows in routing.drift.means.items()
        }
    return results.write(data, home)


def read_routing(document: Document) -> tuple[Routing, list[Problem]]:
    """A record from a file that fits the schema, and what shows that it was edited."""
    data = dict(document.data)
    for name in ("schema", "digest"):
        data.pop(name, None)
    data["dataset"] = Dataset(**data["dataset"])
    for name in ("classes", "counts"):
        data[name] = tuple(data[name])
    data["blocks"] = tuple(
        Routed(
            **block
            | {"experts": tuple(Expert(**expert) for expert in block["experts"])}
            | {name: tuple(map(_row, block[name])) for name in ("means", "spreads")}
        )
        for block in data["blocks"]
    )
    data["specialists"] = tuple(
        Specialist(**each | {"examples": tuple(Example(**one) for one in each["examples"])})
        for each in data["specialists"]
    )
    if data["drift"]:
        means = {
            b: tuple(_row(r) or () for r in rows) for b, rows in data["drift"]["means"].items()
        }
        data["drift"] = Drift(tuple(data["drift"]["epochs"]), means)
    made = Routing(**data)
    wrong = [document.problem(path, message) for path, message in _unfit(made)]
    file, wrong = results.filed(document, wrong)
    return replace(made, filed=file), wrong


def _unfit(made: Routing) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What does not fit together, and where: the schema cannot know how long rows are."""
    if len(made.counts) != len(made.classes) or not 0 < made.images <= made.dataset.images:
        yield ("counts",), "not an image count for each class; restore the record"
    for number, block in enumerate(made.blocks):
        wanted = [len(block.experts) if count else 0 for count in made.counts]
        found = [[len(row or ()) for row in rows] for rows in (block.means, block.spreads)]
        if found != [wanted, wanted]:
            yield (("blocks", number), "not a weight for each class and expert; restore the record")
    sizes = {block.name: len(block.experts) for block in made.blocks}
    for number, each in enumerate(made.specialists):
        labels = [example.label for example in each.examples]
        if each.expert >= sizes.get(each.block, 0) or max(labels) >= len(made.classes):
            yield ("specialists", number), "no such block, expert or class; restore the record"
    if made.drift:
        epochs = len(made.drift.epochs)
        wanted = {name: [size] * epochs for name, size in sizes.items()}
        if wanted != {name: [*map(len, rows)] for name, rows in made.drift.means.items()}:
            yield ("drift",), "not a weight for each epoch, block and expert; restore the record"


def _are_weights(means: Mapping[str, tuple[float, ...]]) -> bool:
    return all(0 <= weight <= 1 for row in means.values() for weight in row)


def _written(row: Row) -> str:
    return " ".join(f"{value:.4f}" for value in row or ())


def _row(text: str) -> Row:
    return tuple(map(float, text.split())) or None


# The schema of these records, and who reads one.
KIND = ("routing", read_routing)
