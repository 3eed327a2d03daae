"""What a card says of experts: a record of routing as sentences, pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from effcc.catalog import results, routings
from effcc.catalog.registry import Entry
from effcc.catalog.routings import Example, Routed, Routing, Specialist
from effcc.ground.errors import Place
from effcc.ground.words import many
from effcc.report import heatmap
from effcc.report.heatmap import Cell, Row, plain
from effcc.report.markdown import Markup

# More classes than this are shown in so many groups; more than that have no column in a table.
MOST, GROUPS, TABLED = 60, 50, 20
# Classes that a sentence or a table names.
_FEW = 3


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a heat map: one a class, or of many classes one a group of like ones."""

    names: Sequence[str]
    groups: Sequence[Sequence[int]]  # the classes in each
    said: str  # how they were made; empty if each is a class

    def cells(self, block: Routed, expert: int) -> list[Cell]:
        """An expert's mean weight in each, every class counting alike."""
        found: list[Cell] = []
        for group in self.groups:
            values = [row[expert] for number in group if (row := block.means[number])]
            found.append(sum(values) / len(values) if values else None)
        return found


@dataclass(frozen=True)
class Experts:
    """A record of routing as a card shows it, and the records that it does not."""

    record: Routing
    others: Sequence[tuple[Routing, str]] = ()  # newest first, and what differs

    @cached_property
    def columns(self) -> Columns:
        """Of every heat map."""
        return columns(self.record)

    @cached_property
    def furthest(self) -> Routed:
        """The block whose classes' routing is furthest apart."""
        return max(self.record.blocks, key=lambda block: block.distance)

    @cached_property
    def nearest(self) -> Routed:
        """The one whose classes' routing is nearest."""
        return min(self.record.blocks, key=lambda block: block.distance)

    def place(self, block: Routed, key: str) -> Place:
        """The line of a block's figure in the record."""
        return self.record.place("blocks", self.record.blocks.index(block), key)

    @property
    def idle(self) -> str:
        """Which experts are dead or always on, in a sentence."""
        found = [
            f"expert {number} of {title(block.name)} is {state}"
            for block in self.record.blocks
            for numbers, state in ((block.dead, "dead"), (block.always_on, "always on"))
            for number in numbers
        ]
        low, high = f"{routings.DEAD:g}", f"{1 - routings.DEAD:g}"
        meaning = f"a mean weight below {low} for every class, or above {high} for every class"
        if not found:
            return f"No expert is dead and none is always on, which would be {meaning}."
        shown = "; ".join(found[:6]) + (f"; {len(found) - 6} more" if len(found) > 6 else "")
        return f"{shown[0].upper()}{shown[1:]}: {meaning}."

    @cached_property
    def maps(self) -> Markup:
        """A heat map of every block, as HTML."""
        return Markup("".join(self._map(block) for block in self.record.blocks))

    @cached_property
    def legend(self) -> Markup:
        """What the heat maps' rows, columns, lines and numbers are, as HTML."""
        column = "some classes" if self.columns.said else "a class"
        said = (
            f"mean routing weight: a row an expert, a column {column}, the number over all images"
        )
        if drift := self.record.drift:
            first, last = drift.epochs[0], drift.epochs[-1]
            said += (
                f", the line over epochs {first} to {last}, from 0 at the bottom to 1 at the top"
            )
        return Markup(f'<div class="scale">{heatmap.legend()}<span>{said}</span></div>')

    @cached_property
    def specialists(self) -> Markup:
        """The most class-specific experts with their images, as HTML."""
        return Markup("".join(self._specialist(each) for each in self.record.specialists))

    @cached_property
    def named(self) -> bool:
        """Whether there are few enough classes for a table to have a column for each."""
        return len(self.record.classes) <= TABLED

    def row(self, block: Routed, expert: int) -> list[str]:
        """A table's row: a mean with its deviation for each class, or the extremes of many."""
        if self.named:
            return [
                f"{mean[expert]:.2f} ±{spread[expert]:.2f}" if mean and spread else ""
                for mean, spread in zip(block.means, block.spreads, strict=True)
            ]
        high, low = self._extremes(block, expert)
        return [self._listed(high), self._listed(low)]

    def _map(self, block: Routed) -> str:
        drift = self.record.drift
        experts = range(len(block.experts))
        rows = [
            Row(
                name=f"expert {number}",
                cells=self.columns.cells(block, number),
                mean=block.experts[number].mean,
                drift=[row[number] for row in drift.means[block.name]] if drift else (),
            )
            for number in experts
        ]
        epochs = drift.epochs if drift else ()
        svg = heatmap.block(rows, self.columns.names, epochs, self._described(block))
        return (
            f"<figure><figcaption><strong>{plain(title(block.name).capitalize())}</strong>"
            f"<span>{block.distance:.2f} apart · {block.entropy:.2f} bits</span></figcaption>"
            f"{svg}</figure>"
        )

    def _described(self, block: Routed) -> str:
        """A heat map in words."""
        lines = [
            f"{title(block.name).capitalize()}: mean routing weight of "
            f"{many(len(block.experts), 'expert')} for "
            f"{many(len(self.record.classes), 'class', 'classes')}",
            f"classes {block.distance:.2f} apart, entropy {block.entropy:.2f} bits",
        ]
        for number in range(len(block.experts)):
            found = block.by_class(number)
            most, least = block.favourite(number), block.least(number)
            lines.append(
                f"expert {number} from {found[least]:.2f} for {self.record.classes[least]} "
                f"to {found[most]:.2f} for {self.record.classes[most]}"
            )
        return "; ".join(lines)

    def _specialist(self, each: Specialist) -> str:
        block = self.record.block(each.block)
        head = f"Expert {each.expert}, {title(block.name)}"
        shown = [example for example in each.examples if example.picture]
        images = "".join(map(self._image, shown)) or self._files(each.examples)
        kind = "images" if shown else "files"
        return (
            f"<figure><figcaption><strong>{plain(head)}</strong></figcaption>"
            f'<div class="{kind}">{images}</div>{self._profile(block, each.expert)}'
            f"<p>{self._sentence(block, each.expert)}</p></figure>"
        )

    def _image(self, example: Example) -> str:
        name = self.record.classes[example.label]
        alt = plain(f"class {name}, weight {example.weight:.2f}")
        return (
            f'<span><img src="{plain(example.picture)}" alt="{alt}" title="{alt}">'
            f"{example.weight:.2f}</span>"
        )

    def _files(self, examples: Sequence[Example]) -> str:
        return "".join(
            f"<span><code>{plain(one.name)}</code> {one.weight:.2f}</span>" for one in examples
        )

    def _profile(self, block: Routed, expert: int) -> str:
        if self.columns.said:
            return ""
        said = ", ".join(
            f"{self.record.classes[number]} {weight:.2f}"
            for number, weight in block.by_class(expert).items()
        )
        return heatmap.profile(
            self.columns.cells(block, expert),
            self.columns.names,
            block.favourite(expert),
            f"Mean weight by class: {said}",
        )

    def _sentence(self, block: Routed, expert: int) -> str:
        high, low = self._extremes(block, expert)
        most = self._listed(high) if self.columns.said else f"class {self._listed(high[:1])}"
        return (
            f"Its weight is largest for {plain(most)} and smallest for class "
            f"{plain(self._listed(low[:1]))}; the class explains "
            f"{100 * block.experts[expert].share:.0f} % of how it varies."
        )

    def _extremes(self, block: Routed, expert: int) -> tuple[list[tuple[int, float]], ...]:
        """The classes with the largest mean weights, and those with the smallest."""
        found = block.by_class(expert).items()
        high = sorted(found, key=lambda pair: (-pair[1], pair[0]))
        low = sorted(found, key=lambda pair: (pair[1], pair[0]))
        return high[:_FEW], low[:_FEW]

    def _listed(self, found: Sequence[tuple[int, float]]) -> str:
        return ", ".join(
            f"{self.record.classes[number]} ({weight:.2f})" for number, weight in found
        )


def of(entry: Entry, records: Sequence[Routing]) -> Experts | None:
    """The newest record of the registered variant's routing, and the others; None if there is none.

    `records` are all of them, oldest first. If each has other settings, nothing is shown: `effcc
    results list` has them.
    """
    if not records:
        return None
    differs = results.beside_registry(entry, records)
    newest = [(record, differs[record.id]) for record in records[::-1]]
    shown = next((record for record, why in newest if not why), None)
    return shown and Experts(shown, [pair for pair in newest if pair[0] is not shown])


def columns(record: Routing) -> Columns:
    """A column a class; of more than `MOST` classes, `GROUPS` groups of like ones.

    Alike is who leans on the same expert of the block whose classes are furthest apart, that is,
    whose mean weight is furthest above that expert's own mean; and then, by how much. The order is
    the same for every block.
    """
    classes = len(record.classes)
    if classes <= MOST:
        return Columns(record.classes, [[number] for number in range(classes)], "")
    furthest = max(record.blocks, key=lambda block: block.distance)
    order = sorted(range(classes), key=lambda number: _leaning(furthest, number))
    cuts = [round(step * classes / GROUPS) for step in range(GROUPS + 1)]
    groups = [order[low:high] for low, high in pairwise(cuts)]
    names = [_group(group, record.classes) for group in groups]
    said = (
        f"{many(classes, 'class', 'classes')} in {GROUPS} columns of {_sizes(groups)}: sorted by "
        f"the expert of {title(furthest.name)} that each leans on most, in the same order for "
        "every block."
    )
    return Columns(names, groups, said)


def _leaning(block: Routed, number: int) -> tuple[int, float, int]:
    row = block.means[number]
    if row is None:  # no image: at the end
        return len(block.experts), 0.0, number
    above = [weight - expert.mean for weight, expert in zip(row, block.experts, strict=True)]
    most = max(range(len(above)), key=lambda expert: above[expert])
    return most, -above[most], number


def _group(group: Sequence[int], classes: Sequence[str]) -> str:
    shown = ", ".join(classes[number] for number in group[:_FEW])
    return f"{shown} and {len(group) - _FEW} more" if len(group) > _FEW else shown


def _sizes(groups: Sequence[Sequence[int]]) -> str:
    sizes = sorted({len(group) for group in groups})
    return " or ".join(map(str, sizes))


def title(name: str) -> str:
    """A block's name in the state dict as words: `blocks.5.2` is stage 5, block 2."""
    _, stage, index = name.split(".")
    return f"stage {stage}, block {index}"
