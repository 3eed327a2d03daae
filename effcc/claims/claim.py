"""What somebody published about a model, as frozen data.

A claim is somebody's word. Its figures keep their written form and precision and the line they
stand on; nothing here decides whether they are true.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from effcc.ground.errors import Place

_NUMBER = re.compile(r"\s*([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]{1,3})?)\s*([%kKMGT]?)\s*")
_LONGEST = 400  # letters of a number, which is more than a float has
_SCALE = {"": 1, "%": Decimal("0.01"), "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_NO_FACTS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Fact:
    """One published value: its data, the text it was written as, and where.

    `'0.875'` has a string as data and `0.875` a float; both read as the number 0.875. A list is a
    tuple, its figures facts themselves.
    """

    data: Any
    text: str
    place: Place = field(default=Place(""), compare=False)

    @property
    def words(self) -> str:
        """The value as it was written; the items of a list beside each other."""
        return _words(self)

    @property
    def number(self) -> float | None:
        """The value in plain units: percent as a fraction, `13.3M` as 13300000.

        None for words, and for numbers that no measurement gives: beyond the range of a float.
        """
        match = _number(self.text)
        value = float(Decimal(match[1]) * _SCALE[match[2]]) if match else math.inf
        return value if math.isfinite(value) else None

    @property
    def whole(self) -> int:
        """What an accuracy is written in parts of: 100 where percent is meant and no % stands."""
        return 100 if "%" not in self.text and (self.number or 0) > 1 else 1

    @property
    def share(self) -> float | None:
        """An accuracy as a fraction: 77.32% and a plain 77.32 are both 0.7732."""
        if self.number is None:
            return None
        return float(Decimal(repr(self.number)) / self.whole)

    def agrees_with(self, exact: float) -> bool:
        """Whether `exact`, rounded as this figure was, gives this figure.

        Trailing zeros of a whole number are taken as rounding: 13310000 agrees with 13314116.
        """
        found = self._rounded()
        return found is not None and abs(found[0] - Decimal(exact)) <= found[1]

    @property
    def margin(self) -> float:
        """How far from this figure one may lie that gives it by rounding; 0 of words."""
        found = self._rounded()
        return float(found[1]) if found else 0.0

    def _rounded(self) -> tuple[Decimal, Decimal] | None:
        """The figure in plain units, and half of the last place that it was written to."""
        match = _number(self.text)
        if not match:
            return None
        digits = Decimal(match[1])
        exponent = (
            digits.as_tuple().exponent
            if "." in match[1]
            else digits.normalize().as_tuple().exponent
        )
        half = Decimal(10) ** int(exponent) * _SCALE[match[2]] / 2
        return digits * _SCALE[match[2]], half


def _number(text: str) -> re.Match[str] | None:
    return _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None


def _words(value: Any) -> str:
    data = value.data if isinstance(value, Fact) else value
    if isinstance(data, tuple):
        return ", ".join(_words(item) for item in data)
    if isinstance(data, dict):
        return ", ".join(f"{key}: {_words(item)}" for key, item in data.items())
    return value.text if isinstance(value, Fact) else str(value)


@dataclass(frozen=True, slots=True)
class Paper:
    """A title and a link, either of which may be missing."""

    title: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """Somebody's measurement: metrics by name. Task or data set is empty if nobody says."""

    task: str
    dataset: str
    metrics: Mapping[str, Fact]
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stated:
    """What an entry of a model-index says, be it a model's or a collection's.

    `extra` holds the keys that the format does not know, as they stand.
    """

    name: str
    papers: tuple[Paper, ...] = ()
    metadata: Mapping[str, Fact] = field(default_factory=dict)
    code: str | None = None
    code_version: str | None = None
    weights: tuple[str, ...] = ()
    readme: str | None = None
    results: tuple[Result, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    place: Place = field(default=Place(""), compare=False)


@dataclass(frozen=True, slots=True)
class Collection(Stated):
    """Models published together. What it says holds for each of them that says nothing else."""


@dataclass(frozen=True, slots=True)
class Claim(Stated):
    """Everything one entry of a model-index says of one model.

    The fields hold what the entry itself says; `facts` and `cited` add what it inherits. `bibtex`
    holds the BibTeX entries printed on the entry's page, in order.
    """

    collection: Collection | None = None
    bibtex: tuple[str, ...] = field(default=(), compare=False)

    @property
    def facts(self) -> Mapping[str, Fact]:
        """The metadata that holds for the model: its collection's, and its own over them."""
        return {**self.collection.metadata, **self.metadata} if self.collection else self.metadata

    @property
    def cited(self) -> Paper | None:
        """The first paper of the model, or else of its collection."""
        papers = self.papers or (self.collection.papers if self.collection else ())
        return papers[0] if papers else None

    def origin(self, key: str) -> str:
        """Who says the metadata `key`: own, inherited from a collection, or own overriding one."""
        theirs = self.collection.metadata if self.collection else _NO_FACTS
        name = self.collection.name if self.collection else ""
        if key in self.metadata:
            return f"own, overriding {name}" if key in theirs else "own"
        return f"inherited from {name}" if key in theirs else ""
