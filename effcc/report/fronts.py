"""What accuracy costs: variants as points, each a link to its card, and the front of the best.

A variant is on the front if no other has as much accuracy at less cost, or more at no more. However
many variants there are, the picture stays one that can be read: where points would cover each
other the best is drawn, and names are written where they cover nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from effcc.ground.words import many
from effcc.report import svg
from effcc.report.svg import Axis, linear, logarithmic

_WIDTH, _TOP, _BASE, _HEIGHT = 360, 26.0, 216.0, 254
_MOST = 300  # points that are drawn
_NAMED = 16  # points whose names are written, those on the front first
_TOLD = 12  # points of the front that are told in words
_CROWD = 32  # from more points on, only those on the front have names, and the others are smaller
_RADIUS = 4.0

_Placed = tuple[float, float]
_Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Point:
    """A variant: its cost, above zero, its accuracy as a fraction, and both as they are written."""

    name: str
    cost: float
    accuracy: float
    words: str
    interval: tuple[float, float] | None = None  # of the accuracy, 95 %


@dataclass(frozen=True, slots=True)
class Front:
    """A picture of variants, and how many of them are drawn in it."""

    svg: str
    drawn: int


def front(points: Iterable[Point]) -> list[Point]:
    """The points that no other one beats, from the cheapest on."""
    found: list[Point] = []
    for point in sorted(points, key=lambda point: (point.cost, -point.accuracy, point.name)):
        best = found[-1] if found else point
        same = (point.cost, point.accuracy) == (best.cost, best.accuracy)
        if same or point.accuracy > best.accuracy:
            found.append(point)
    return found


def draw(points: Sequence[Point], described: str, cost: str, accuracy: str, kind: str) -> Front:
    """The picture of at least one point.

    Args:
        points: in any order.
        described: what is shown, in a phrase, for readers who do not see it.
        cost: title of the axis to the right.
        accuracy: title of the axis up, which is in percent.
        kind: claimed, computed or measured, for the colour.
    """
    best = front(points)
    shares = [share for p in points for share in (p.accuracy, *(p.interval or ()))]
    y = linear((100 * share for share in shares), _BASE, _TOP)
    x = logarithmic((p.cost for p in points), svg.margin(y.ticks) + 2, _WIDTH)
    labels = [svg.short(tick) for tick in x.ticks]
    room = max(12.0, svg.breadth(labels[-1]) / 2)  # so that the last one stands under its tick
    x = replace(x, end=_WIDTH - room)
    title = f"{cost}, log scale" if x.logarithmic else cost
    shown = _apart([*best, *sorted(points, key=lambda p: (-p.accuracy, p.cost, p.name))], x, y)
    crowd = len(shown) > _CROWD
    names = _names([point for point, _ in shown], best, x, y, crowd=crowd)
    on_it = set(best)
    parts = [
        svg.axes(x, y, (title, accuracy), labels, room=room),
        svg.path(f"front {kind}", _stairs(best, x, y)),
    ]
    if not crowd:
        parts += [_whisker(point, kind, x, y) for point, _ in shown if point.interval]
    # The front last, which is on top; a keyboard goes along it from the cheapest on.
    for point, hidden in sorted(shown, key=lambda one: one[0] in on_it):
        dot = f"best {kind}" if point in on_it else f"point {kind}"
        radius = _RADIUS if point in on_it or not crowd else _RADIUS - 1.5
        parts.append(_link(point, hidden, _circle(point, dot, radius, x, y), names))
    told = "; ".join(f"{point.name}, {point.words}" for point in best[:_TOLD])
    told += f"; and {len(best) - _TOLD} more" if len(best) > _TOLD else ""
    said = f"{described}, of {many(len(points), 'variant')}. None is better than {told}."
    return Front(svg.picture(_WIDTH, _HEIGHT, said, "".join(parts), links=True), len(shown))


def _at(point: Point, x: Axis, y: Axis) -> _Placed:
    return x.at(point.cost), y.at(100 * point.accuracy)


def _apart(points: Iterable[Point], x: Axis, y: Axis) -> list[tuple[Point, int]]:
    """Points that do not cover each other, the first first; and how many others each stands for."""
    unique = list(dict.fromkeys(points))
    size = 1.5 * _RADIUS
    while True:
        cells: dict[tuple[int, int], list[Point]] = {}
        for point in unique:
            left, up = _at(point, x, y)
            cells.setdefault((round(left / size), round(up / size)), []).append(point)
        if len(cells) <= _MOST:
            return [(found[0], len(found) - 1) for found in cells.values()]
        size *= 1.5


def _stairs(best: Sequence[Point], x: Axis, y: Axis) -> str:
    """The most accuracy that each cost buys, to the right edge."""
    places = _places(best, x, y)
    start = f"M{places[0][0]:.1f} {places[0][1]:.1f}"
    steps = dict.fromkeys(f"H{left:.1f}V{up:.1f}" for left, up in places[1:])
    return start + "".join(steps) + f"H{x.end:.1f}"


def _whisker(point: Point, kind: str, x: Axis, y: Axis) -> str:
    assert point.interval
    low, high = (y.at(100 * share) for share in point.interval)
    return svg.path(f"whisker {kind}", f"M{x.at(point.cost):.1f} {low:.1f}V{high:.1f}")


def _circle(point: Point, kind: str, radius: float, x: Axis, y: Axis) -> str:
    left, up = _at(point, x, y)
    return f'<circle class="{kind}" cx="{left:.1f}" cy="{up:.1f}" r="{radius:g}"/>'


def _link(point: Point, hidden: int, circle: str, names: dict[str, str]) -> str:
    """A point that leads to its card, as Markdown has it; the site makes it an address."""
    others = f", and {many(hidden, 'other')} here" if hidden else ""
    said = svg.quoted(f"{point.name}: {point.words}{others}")
    return (
        f'<a href="{svg.quoted(point.name)}.md" aria-label="{said}"><title>{said}</title>'
        f"{circle}{names.get(point.name, '')}</a>"
    )


def _names(
    points: Sequence[Point], best: Sequence[Point], x: Axis, y: Axis, *, crowd: bool
) -> dict[str, str]:
    """The names that find room, by name: beside, above or below their points, off the line."""
    taken = [(a - _RADIUS, b - _RADIUS, a + _RADIUS, b + _RADIUS) for a, b in _places(points, x, y)]
    line = [*_places(best, x, y), (x.end, _at(best[-1], x, y)[1])]
    for (left, low), (right, high) in pairwise(line):
        taken += [(left, low - 1, right, low + 1), (right - 1, high, right + 1, low)]
    found: dict[str, str] = {}
    first = set(best)
    others = [] if crowd else [point for point in points if point not in first]
    for point in (*(point for point in points if point in first), *others):
        for place, anchor, box in _sides(point, x, y):
            if _inside(box, x.start) and not any(_cover(box, other) for other in taken):
                taken.append(box)
                found[point.name] = svg.text(*place, point.name, anchor, beside=True)
                break
        if len(found) == _NAMED:
            break
    return found


def _places(points: Iterable[Point], x: Axis, y: Axis) -> list[_Placed]:
    return [_at(point, x, y) for point in points]


def _sides(point: Point, x: Axis, y: Axis) -> Iterator[tuple[_Placed, str, _Box]]:
    left, up = _at(point, x, y)
    long = svg.breadth(point.name)
    for across, down, anchor in (
        (8, 0, "start"),
        (-8, 0, "end"),
        (-6, -10, "end"),
        (6, 10, "start"),
        (0, -12, "middle"),
        (0, 12, "middle"),
        (6, -10, "start"),
        (-6, 10, "end"),
    ):
        at, level = left + across, up + down
        start = at - {"start": 0.0, "end": long, "middle": long / 2}[anchor]
        yield (at, level), anchor, (start, level - 6, start + long, level + 6)


def _inside(box: _Box, start: float) -> bool:
    left, top, right, bottom = box
    return left >= start and right <= _WIDTH and top >= _TOP - 9 and bottom <= _BASE


def _cover(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
