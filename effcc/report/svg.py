"""What pictures are drawn with: scales, axes, text and paths, as SVG in the colours of the page.

A picture is laid out for a phone, where its text is as large as it gets; on a wider screen the
style sheet makes the same text smaller beside the rest. So what fits here fits everywhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from effcc.ground.words import three
from effcc.report import markdown

LINE = 14  # from one line of text to the next
# How wide letters are at most, in units of a picture: most of them, capitals, wide ones, any other.
_NARROW, _CAPITAL, _WIDE, _OTHER = 6.2, 8.0, 10.5, 11.5


@dataclass(frozen=True, slots=True)
class Axis:
    """Where values stand: `low` at `start`, `high` at `end`, which may be above or left of it."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return self.start + (self.end - self.start) * (value - low) / (high - low)


def linear(values: Iterable[float], start: float, end: float) -> Axis:
    """Round limits around the values, and a step between ticks that makes three to six gaps."""
    known = list(values)
    least, most = min(known), max(known)
    # Values that hardly differ get ticks whose numbers do; they have six digits.
    span = max(most - least, 1e-4 * max(abs(least), abs(most)), 1e-12)
    power = 10.0 ** math.floor(math.log10(span))
    step = next(
        power * factor for factor in (0.2, 0.25, 0.5, 1, 2, 2.5) if span / (power * factor) <= 5
    )
    first = step * math.floor(least / step)
    gaps = max(math.ceil((most - first) / step), 1)
    ticks = tuple(first + number * step for number in range(gaps + 1))
    return Axis(ticks[0], ticks[-1], start, end, ticks)


def epochs(last: float, start: float, end: float) -> Axis:
    """From the beginning to the end of a training, whole epochs as ticks."""
    ticks = linear((0.0, last), start, end).ticks
    whole = tuple(tick for tick in ticks if tick <= last and tick == round(tick))
    return Axis(0.0, last, start, end, whole)


def logarithmic(values: Iterable[float], start: float, end: float) -> Axis:
    """Ticks at 1, 2 and 5 times powers of ten, or at these powers where those would be too many.

    Values that lie close together, or hopelessly far apart, or are not all above zero, get a linear
    axis.
    """
    known = list(values)
    least, most = min(known), max(known)
    if least <= 0 or not 4 * least <= most <= 1e12 * least:
        return linear(known, start, end)
    decades = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    round_ones = [factor * 10.0**power for power in decades for factor in (1, 2, 5)]
    low = max(tick for tick in round_ones if tick <= least * (1 + 1e-9))
    high = min(tick for tick in round_ones if tick >= most * (1 - 1e-9))
    ticks = [tick for tick in round_ones if low <= tick <= high]
    if len(ticks) > 7:
        every = math.ceil(len(decades) / 7)
        ticks = [10.0**power for power in decades[::every] if low <= 10.0**power <= high]
    return Axis(min(low, least), max(high, most), start, end, tuple(ticks), logarithmic=True)


def picture(width: float, height: float, said: str, parts: str, *, links: bool = False) -> str:
    """An `<svg>` element.

    Args:
        width: of its frame.
        height: of its frame.
        said: what it shows, in words, for readers who do not see it.
        parts: what is drawn.
        links: whether there are links in it, which an image cannot have.
    """
    role = "group" if links else "img"
    return (
        f'<svg class="curve" viewBox="0 0 {width:g} {height:g}" role="{role}" '
        f'aria-label="{quoted(said)}">{parts}</svg>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", *, beside: bool = False) -> str:
    """Words from, around or up to a place; on a line, or `beside` what is as high as the place."""
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    where += ' dy=".35em"' if beside else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{where}>{quoted(words)}</text>'


def path(kind: str, commands: str) -> str:
    """A path of a kind that the style sheet knows."""
    return f'<path class="{kind}" d="{commands}"/>'


def box(kind: str, x: float, y: float, width: float, height: float) -> str:
    """A rectangle from its upper left corner."""
    return path(kind, rectangle(x, y, width, height))


def rectangle(x: float, y: float, width: float, height: float) -> str:
    """Its commands."""
    return f"M{x:.1f} {y:.1f}h{width:.1f}v{height:.1f}h{-width:.1f}z"


def polyline(x: Axis, y: Axis, points: Iterable[tuple[float, float]]) -> str:
    """The commands of a line through points."""
    return "M" + "L".join(f"{x.at(a):.1f} {y.at(b):.1f}" for a, b in points)


def axes(
    x: Axis, y: Axis, titles: tuple[str, str], labels: Sequence[str] = (), *, room: float = 6
) -> str:
    """Grid lines across, ticks on both axes, and their titles: x below, y above.

    Args:
        x: the axis to the right.
        y: the axis up.
        titles: of x and of y.
        labels: of the ticks of x, where they are not the numbers.
        room: between the right end of x and the frame.
    """
    left, right = min(x.start, x.end), max(x.start, x.end)
    parts = [text(0, 12, titles[1])]
    for tick in y.ticks:
        parts.append(path("grid", f"M{left:.1f} {y.at(tick):.1f}H{right:.1f}"))
        parts.append(text(left - 6, y.at(tick), number(tick), "end", beside=True))
    for tick, label in zip(x.ticks, labels or map(number, x.ticks), strict=True):
        parts.append(text(held(x.at(tick), label, right + room), y.start + 16, label, "middle"))
    parts.append(text((left + right) / 2, y.start + 31, titles[0], "middle"))
    return "".join(parts)


def legend(items: Iterable[tuple[str, str]], y: float, right: float) -> tuple[str, float]:
    """Samples with their words, in as many lines as they take.

    Args:
        items: the kind of path, and the words. A kind of `line` has a line as its sample.
        y: the foot of the first line.
        right: where lines end; they begin at 0.

    Returns:
        What is drawn, and the foot of the last line.
    """
    parts: list[str] = []
    x = 0.0
    for kind, words in items:
        if x and x + 20 + breadth(words) > right:
            x, y = 0.0, y + LINE
        line = kind.startswith("line")
        parts.append(path(kind, f"M{x:.1f} {y - 4:.1f}h15") if line else box(kind, x, y - 9, 15, 9))
        parts.append(text(x + 20, y, words))
        x += 20 + breadth(words) + 10
    return "".join(parts), y


def held(x: float, words: str, right: float) -> float:
    """The place for words around `x`, moved as far as they would leave a frame up to `right`."""
    half = breadth(words) / 2
    return max(half, min(x, right - half))


@functools.lru_cache(maxsize=4096)
def breadth(words: str) -> float:
    """How wide words are at most."""
    return sum(_letter(letter) for letter in words)


@functools.cache
def _letter(letter: str) -> float:
    if letter in "mwMW@%&":
        return _WIDE
    if not letter.isascii() and letter not in "×…":
        return _OTHER
    return _CAPITAL if letter.isupper() else _NARROW


def margin(ticks: Iterable[float]) -> float:
    """The room that the numbers left of an axis need."""
    return 8 + max(breadth(number(tick)) for tick in ticks)


def clipped(words: str, room: float) -> str:
    """Words, or as many letters of them as there is room for."""
    words = " ".join(words.split())
    if breadth(words) <= room:
        return words
    while words and breadth(words) > room - breadth("…"):
        words = words[:-1]
    return words + "…"


def number(value: float) -> str:
    """A tick's number."""
    return f"{value:,g}"


def short(value: float) -> str:
    """A count as people say it: `950`, `13.3 k`, `397 M`, `1.2 G`."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * unit:
            return f"{three(value / unit)} {name}"
    return three(value)


def quoted(words: str) -> str:
    """Words as text or as an attribute."""
    return escape(markdown.line(words))
