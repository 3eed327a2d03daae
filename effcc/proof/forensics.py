"""Where a published figure came from: the search for the rule that somebody counted by.

Every choice in `counting.Rule` is tried with every other, on every size of input that has a reason.
An input's layers are counted once; then what the kinds that multiply may add up to, and what the
others may, meet in the middle.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from effcc.catalog.spec import Network, Preprocessing
from effcc.proof import counting
from effcc.proof.counting import ARITHMETIC, BIAS, POOL, PRODUCTS, SCALE, Picture, Rule, Tally

# Operations an element that counters give a batch norm: none; one; a product and a sum, as it is
# once trained; or those of subtracting, dividing, scaling and shifting.
NORM, ACTIVATION = (0, 1, 2, 4), (0, 1)
# The long side over the short side of pictures that people try a network on.
ASPECTS = {
    # pytorch/hub, images/dog.jpg: the picture of its examples, and of timm's pages about models.
    "1546 x 1213, the dog of PyTorch Hub": Fraction(1546, 1213),
    "640 x 480, as many of COCO's": Fraction(640, 480),  # also of ImageNet's 500 x 375
    "3 to 2, as cameras have it": Fraction(3, 2),
    "1280 x 720, a frame of a film": Fraction(1280, 720),
    "2048 x 1024, Cityscapes": Fraction(2048, 1024),
    "1333 x 800, the usual limits of detectors": Fraction(1333, 800),
    "606 x 517, torchvision's picture of G. Hopper": Fraction(606, 517),
}
# All that fits is counted; this much of it is kept, the simplest.
KEPT = 200
NEAREST = 3


@dataclass(frozen=True, slots=True)
class Fit:
    """A rule, an input, and what that comes to; `parts` are before the rule's `scale`."""

    rule: Rule
    picture: Picture
    counts: Mapping[str, Tally]

    @property
    def parts(self) -> dict[str, int]:
        """Operations by kind of layer."""
        return counting.parts(self.rule, self.counts)

    @property
    def total(self) -> int:
        """The figure that it gives."""
        return counting.total(self.rule, self.counts)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a search found.

    Attributes:
        figure: what was to be explained.
        within: how far from it a rounded figure may be.
        tried: how many rules, on each input.
        chance: how many of them would give one figure of this size by accident.
        fits: how many of them give it.
        rules: those that do, the simplest first; of several that add up the same numbers, one.
        nearest: if none does, those that come nearest.
    """

    figure: int
    within: int
    tried: int
    chance: float
    fits: int
    rules: tuple[Fit, ...]
    nearest: tuple[Fit, ...]


def explain(
    network: Network, preprocessing: Preprocessing, figure: int, within: int = 0
) -> Explanation:
    """Search the rules that give `figure`, or at most `within` more or less.

    Inputs with a reason come first. Only if none of them fits is every long side up to twice the
    short one tried too: among more, accidents are likelier.
    """
    reasoned = pictures(preprocessing)
    found = _search(network, reasoned, figure, within)
    if found.fits:
        return found
    return _search(network, [*reasoned, *_any_width(preprocessing)], figure, within)


def pictures(preprocessing: Preprocessing) -> list[Picture]:
    """The inputs that somebody may have counted on, the likeliest first."""
    size = preprocessing.image_size
    whole = int(size / preprocessing.crop_pct)
    found = [
        Picture(size, size, "square, as it is evaluated"),
        Picture(224, 224, "square, 224 whatever the network"),
        Picture(whole, whole, "square, resized but not cropped"),
    ]
    for side, shorter in ((size, "as it is evaluated"), (whole, "resized but not cropped")):
        for name, aspect in ASPECTS.items():
            # As torchvision's Resize does, which drops the fraction of the longer side.
            why = f"shorter side {shorter}, aspect of {name}"
            found.append(Picture(side, int(side * aspect), why))
    return found


def _any_width(preprocessing: Preprocessing) -> Iterator[Picture]:
    size = preprocessing.image_size
    for width in range(size + 1, 2 * size + 1):
        yield Picture(size, width, "shorter side as it is evaluated, aspect of no known picture")


@dataclass(frozen=True, slots=True)
class _Products:
    """Which kinds that multiply are counted, what they come to, and how many are left out."""

    sum: int
    kinds: frozenset[str]
    skipped: int


@dataclass(frozen=True, slots=True)
class _Others:
    """How the kinds that do not multiply are counted, what they come to, in how many choices."""

    sum: int
    norm: int
    activation: int
    pool: str
    steps: int


@dataclass(frozen=True, slots=True)
class _Way:
    """All rules that differ only in `products`, which are sorted by their sums, on one input."""

    order: int
    picture: Picture
    counts: Mapping[str, Tally]
    arithmetic: str
    bias: str
    products: list[_Products]
    sums: list[int]
    others: _Others
    scale: Fraction

    def window(self, low: int, high: int) -> tuple[int, int]:
        """The first of `products` whose figure is at least `low`, and at least `high`."""
        over, under = self.scale.denominator, self.scale.numerator
        return (
            bisect_left(self.sums, -(-low * over // under) - self.others.sum),
            bisect_left(self.sums, -(-high * over // under) - self.others.sum),
        )

    def steps(self, index: int) -> int:
        """How many choices are not those of the plainest count, of everything that multiplies."""
        chosen = (self.order > 0, self.arithmetic != "macs", bool(self.bias), self.scale != 1)
        return self.products[index].skipped + self.others.steps + sum(chosen)

    def fit(self, index: int) -> Fit:
        """One of the rules."""
        rule = Rule(
            products=self.products[index].kinds,
            arithmetic=self.arithmetic,
            bias=self.bias,
            norm=self.others.norm,
            activation=self.others.activation,
            pool=self.others.pool,
            scale=self.scale,
        )
        return Fit(rule, self.picture, self.counts)


class _Tray:
    """What was tried and found."""

    def __init__(self, figure: int, within: int) -> None:
        self.figure, self.within = figure, within
        self.tried = self.fits = self.about = self.divisor = 0
        # Heaps with the worst on top: (how plain or how near, negated; serial number; what).
        self.simplest: list[tuple[tuple[int, int], int, Fit]] = []
        self.nearest: list[tuple[int, int, Fit]] = []
        self.serial = itertools.count()

    def look(self, way: _Way) -> None:
        """Take what fits; while nothing does, what comes near."""
        self.tried += len(way.sums)
        one_percent = abs(self.figure) // 100
        first, last = way.window(self.figure - one_percent, self.figure + one_percent + 1)
        self.about += last - first
        first, last = way.window(self.figure - self.within, self.figure + self.within + 1)
        self.fits += last - first
        for index in range(first, last):
            rank = (-way.steps(index), -way.order)
            if len(self.simplest) < KEPT or rank > self.simplest[0][0]:
                self._push(self.simplest, KEPT, (rank, -next(self.serial), way.fit(index)))
        if self.fits:
            return
        for index in {first - 1, first} & set(range(len(way.sums))):
            away = abs(int((way.sums[index] + way.others.sum) * way.scale) - self.figure)
            if len(self.nearest) < KEPT or -away > self.nearest[0][0]:
                self._push(self.nearest, KEPT, (-away, -next(self.serial), way.fit(index)))

    def explanation(self) -> Explanation:
        """Everything that was found, the best first."""
        # As many as come within a hundredth, spread evenly over the numbers there are; sums of
        # multiples of a number are multiples of it.
        width = 2 * (abs(self.figure) // 100) + 1
        chance = self.about * (2 * self.within + 1) * max(1, self.divisor) / width
        return Explanation(
            figure=self.figure,
            within=self.within,
            tried=self.tried,
            chance=chance,
            fits=self.fits,
            rules=tuple(_different(fit for *_, fit in sorted(self.simplest, reverse=True))),
            nearest=()
            if self.fits
            else tuple(_different(fit for *_, fit in sorted(self.nearest, reverse=True)))[:NEAREST],
        )

    @staticmethod
    def _push(heap: list[Any], most: int, item: tuple[Any, int, Fit]) -> None:
        (heapq.heappushpop if len(heap) >= most else heapq.heappush)(heap, item)


def _search(network: Network, inputs: Iterable[Picture], figure: int, within: int) -> Explanation:
    tray = _Tray(figure, within)
    for way in _ways(network, inputs):
        tray.look(way)
    return tray.explanation()


def _ways(network: Network, inputs: Iterable[Picture]) -> Iterator[_Way]:
    seen: set[tuple[Tally, ...]] = set()
    for order, picture in enumerate(inputs):
        counts = counting.tallies(network, picture.height, picture.width)
        # Strides round up: a pixel more often changes nothing.
        if (key := tuple(counts.values())) in seen:
            continue
        seen.add(key)
        others = list(_others(counts))
        for arithmetic, bias in itertools.product(ARITHMETIC, BIAS):
            products = sorted(_products(counts, arithmetic, bias), key=lambda side: side.sum)
            sums = [side.sum for side in products]
            for other, scale in itertools.product(others, SCALE):
                yield _Way(order, picture, counts, arithmetic, bias, products, sums, other, scale)


def _products(counts: Mapping[str, Tally], arithmetic: str, bias: str) -> Iterator[_Products]:
    there = [kind for kind in PRODUCTS if kind in counts]
    worth = {kind: counting.product(arithmetic, bias, kind, counts[kind]) for kind in there}
    for chosen in itertools.product((True, False), repeat=len(there)):
        kinds = frozenset(itertools.compress(there, chosen))
        # Who knows how experts are mixed knows the convolution that they are mixed for.
        if "mixing" not in kinds or "condconv" in kinds:
            yield _Products(sum(worth[kind] for kind in kinds), kinds, len(there) - len(kinds))


def _others(counts: Mapping[str, Tally]) -> Iterator[_Others]:
    for norm, activation, pool in itertools.product(NORM, ACTIVATION, POOL):
        rule = Rule(frozenset(), norm=norm, activation=activation, pool=pool)
        steps = bool(norm) + bool(activation) + bool(pool)
        yield _Others(sum(counting.parts(rule, counts).values()), norm, activation, pool, steps)


def _different(fits: Iterable[Fit]) -> Iterator[Fit]:
    """Those that add up other numbers than any before them."""
    seen: set[tuple[Fraction, ...]] = set()
    for fit in fits:
        key = tuple(part * fit.rule.scale for part in fit.parts.values())
        if key not in seen:
            seen.add(key)
            yield fit
