"""Heat maps of routing as SVG text: a row an expert, a column a class, and its drift at the end.

One hue in steps of opacity, so that the page's own light and dark decide what is faint. Everything
that a picture shows is said in its label, and stands in a table beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from effcc.report import markdown

_NAMES, _GRID, _GAP, _SPARK, _MEAN = 54, 224, 12, 62, 30  # widths, from left to right
_WIDE = _NAMES + _GRID + _GAP + _SPARK + _MEAN
_ROW, _FOOT = 24, 18
_PROFILE = 248
_LETTER = 6.2  # about as wide as one is
_LONGEST = 12  # letters of a class's name below its column
# Columns narrower than this have no names below them, nor gaps between and numbers to point at.
_NAMED, _APART = 10.5, 5.0

Cell = float | None  # None: no image


@dataclass(frozen=True, slots=True)
class Row:
    """An expert: its mean weight in each column, over all images, and after each epoch."""

    name: str
    cells: Sequence[Cell]
    mean: float
    drift: Sequence[float] = ()


def block(
    rows: Sequence[Row], columns: Sequence[str], epochs: Sequence[int], described: str
) -> str:
    """A block's heat map.

    Args:
        rows: its experts.
        columns: what the cells of a row are of.
        epochs: those that the rows' drift is of; none if it was not kept.
        described: what is shown, in sentences, for readers who do not see it.

    Returns:
        An `<svg>` element.
    """
    room = _GRID if epochs else _GRID + _GAP + _SPARK
    wide = min(room / len(columns), _ROW)
    foot, names = _names(columns, wide, len(rows) * _ROW)
    height = len(rows) * _ROW + foot
    parts: list[str] = []
    for number, row in enumerate(rows):
        top = number * _ROW
        middle = top + _ROW / 2 + 3
        parts.append(_text(_NAMES - 7, middle, row.name))
        parts.append(_cells(row, columns, wide, top))
        if row.drift:
            parts.append(_spark(row, epochs, top))
        parts.append(_text(_WIDE, middle, f"{row.mean:.2f}", kind="strong"))
    return (
        f'<svg class="routing" viewBox="0 0 {_WIDE} {height:.0f}" text-anchor="end" role="img" '
        f'aria-label="{plain(described)}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}{names}</svg>"
    )


def legend() -> str:
    """The scale of the cells, from 0 to 1, with numbers."""
    steps, wide = 10, 16
    cells = "".join(
        f'<path class="cell" fill-opacity="{(step + 0.5) / steps:g}" d="M{step * wide} 0h{wide}v10'
        f'h-{wide}z"/>'
        for step in range(steps)
    )
    numbers = "".join(
        _text(at * steps * wide, 22, f"{at:g}", anchor)
        for at, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    return (
        '<svg class="routing scale" viewBox="0 0 160 24" role="img" aria-label="Colour of a mean '
        f'weight: faint is 0, full is 1" xmlns="http://www.w3.org/2000/svg">{cells}{numbers}</svg>'
    )


def profile(values: Sequence[Cell], columns: Sequence[str], most: int, described: str) -> str:
    """An expert's mean weight in each column as bars from 0 to 1, column `most` in full colour."""
    wide, tall = _PROFILE / len(columns), 44
    parts = [f'<path class="rule" d="M0 {tall + 0.5}H{_PROFILE}"/>']
    for number, value in enumerate(values):
        if value is not None:
            high = max(1.0, value * tall)
            kind = "bar most" if number == most else "bar"
            parts.append(
                f'<path class="{kind}" d="M{number * wide + 1.5:.1f} {tall - high:.1f}'
                f'h{wide - 3:.1f}v{high:.1f}h-{wide - 3:.1f}z"/>'
            )
    letters = max(map(len, columns))
    if letters * _LETTER <= wide:
        centres = [(number + 0.5) * wide for number in range(len(columns))]
        parts.append(_centred(centres, tall + 12, columns))
    return (
        f'<svg class="routing" viewBox="0 0 {_PROFILE} {tall + 15}" role="img" '
        f'aria-label="{plain(described)}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(parts)}</svg>"
    )


def plain(value: object) -> str:
    """Text for HTML inside Markdown, in an element or an attribute."""
    return str(markdown.escape(value)).replace('"', "&quot;").replace("'", "&#39;")


def _cells(row: Row, columns: Sequence[str], wide: float, top: float) -> str:
    """The cells of a row: each with its number to point at, where they are large enough for it."""
    # Lines as thick as a row is high, which take half the letters of rectangles.
    middle, gap = top + _ROW / 2 - 1, 0.0 if wide < _APART else 1.0 if wide < _NAMED else 1.4
    parts: list[str] = []
    for number, value in enumerate(row.cells):
        if value is None:
            continue
        x = round(_NAMES + number * wide, 1)
        opacity = f"{round(value, 2):g}".lstrip("0") or "0"
        line = f'<path opacity="{opacity}" d="M{x:g} {middle:g}h{wide - gap:g}"'
        title = f"><title>{plain(columns[number])}: {value:.2f}</title></path>" if gap else "/>"
        parts.append(line + title)
    whole = len(columns) * wide - gap
    ground = f'<path class="ground" d="M{_NAMES} {top}h{whole:.1f}v{_ROW - 2}h-{whole:.1f}z"/>'
    return f'{ground}<g class="cells" stroke-width="{_ROW - 2}">{"".join(parts)}</g>'


def _spark(row: Row, epochs: Sequence[int], top: float) -> str:
    """A line over the epochs, from 0 at a row's bottom to 1 at its top."""
    left, high = _NAMES + _GRID + _GAP, _ROW - 2
    span = (epochs[-1] - epochs[0]) or 1
    points = [
        (left + (_SPARK - 4) * (epoch - epochs[0]) / span, top + 1 + (high - 2) * (1 - value))
        for epoch, value in zip(epochs, row.drift, strict=True)
    ]
    points = [(round(x), round(y, 1)) for x, y in points]
    (x, y), *_ = points
    steps = (f"{b[0] - a[0]} {round(b[1] - a[1], 1):g}" for a, b in pairwise(points))
    path = f"{x} {y:g}l{' '.join(steps)}" if len(points) > 1 else f"{x} {y:g}"
    x, y = points[-1]
    return (
        f'<path class="ground" d="M{left} {top}h{_SPARK - 4}v{high}h-{_SPARK - 4}z"/>'
        f'<path class="spark" d="M{path}"/>'
        f'<circle class="end" cx="{x}" cy="{y:g}" r="2"/>'
    )


def _names(columns: Sequence[str], wide: float, base: float) -> tuple[float, str]:
    """The names below the columns, and the room that they take: upright, aslant, or none."""
    if wide < _NAMED:
        return 4, ""
    longest = max(map(len, columns))
    centres = [_NAMES + (number + 0.5) * wide for number in range(len(columns))]
    if longest * _LETTER <= wide:
        return _FOOT, _centred([x - 1 for x in centres], base + 12, columns)
    short = [n if len(n) <= _LONGEST else f"{n[: _LONGEST - 1]}…" for n in columns]
    room = max(map(len, short)) * _LETTER + 8
    return room, "".join(
        f'<text transform="translate({x + 3:.1f} {base + 3})rotate(-90)">{plain(name)}</text>'
        for x, name in zip(centres, short, strict=True)
    )


def _centred(places: Sequence[float], y: float, names: Sequence[str]) -> str:
    texts = "".join(_text(x, y, name) for x, name in zip(places, names, strict=True))
    return f'<g text-anchor="middle">{texts}</g>'


def _text(x: float, y: float, text: str, anchor: str = "", kind: str = "") -> str:
    """Words; whatever they are in says how they are anchored unless `anchor` does."""
    named = f' class="{kind}"' if kind else ""
    anchored = f' text-anchor="{anchor}"' if anchor else ""
    place = f'x="{round(x, 1):g}" y="{round(y, 1):g}"'
    return f"<text{named} {place}{anchored}>{plain(text)}</text>"
