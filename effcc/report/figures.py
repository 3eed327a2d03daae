"""Lines and bars: they take their colours from the page, and say in words what they show."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from effcc.catalog import schedule
from effcc.catalog.spec import Recipe
from effcc.ground.words import many, three
from effcc.report import svg
from effcc.report.svg import LINE, Axis, linear, logarithmic

_WIDTH, _PLOT = 330, 150  # of a picture; the height of what its axes enclose
_LIMIT = 1e9  # of figures that are drawn
_MOST = 120  # points of a line; a screen shows no more of a picture this wide
_STAIRS = 300  # of a falling rate that are drawn
_PERCENT = ("top-1", "top-5")


@dataclass(frozen=True, slots=True)
class Line:
    """Values over the epochs, and the kind of line they are drawn as."""

    label: str
    kind: str
    points: Sequence[tuple[float, float]]


def learning_curve(points: Sequence[Mapping[str, float]], described: str) -> str:
    """Accuracies and losses over the epochs of a run, side by side.

    Args:
        points: one mapping an epoch, with `epoch` and any of `train_loss`, `val_loss`, `val_top1`,
            `val_top5`, and the same with `raw_` before them. What two epochs have is drawn.
        described: what is shown, in a phrase, for readers who do not see it.

    Returns:
        An `<svg>` element for each, or nothing where there is no line to draw.
    """
    accuracies = [
        *_lines(points, "top-1", "line0", "val_top1", 100),
        *_lines(points, "top-5", "line1", "val_top5", 100),
    ]
    losses = [
        *_lines(points, "validation", "line0", "val_loss"),
        *_lines(points, "training", "line2", "train_loss"),
    ]
    return "".join(
        _curve(title, scaled, lines, described)
        for title, scaled, lines in (
            ("accuracy in validation, %", linear, accuracies),
            # One step that went wrong leaves room to see where all the others led.
            ("loss", logarithmic, losses),
        )
        if lines
    )


def _lines(
    points: Sequence[Mapping[str, float]], label: str, kind: str, name: str, factor: int = 1
) -> Iterable[Line]:
    """A line, and a dashed one for the raw weights, of what at least two epochs have."""
    for prefix, suffix, more in (("", "", ""), ("raw_", ", raw weights", " raw")):
        key = prefix + name
        # What is no number, or no figure of a run, is in a record that somebody wrote.
        found = [
            (p["epoch"], factor * p[key])
            for p in points
            if 0 < p.get("epoch", 0) < _LIMIT and abs(p.get(key, math.inf)) < _LIMIT
        ]
        if len(found) > 1:
            yield Line(label + suffix, f"line {kind}{more}", found)


def _curve(title: str, scaled: Callable[..., Axis], lines: Sequence[Line], described: str) -> str:
    items = [(line.kind, line.label) for line in lines if "raw" not in line.kind]
    if any("raw" in line.kind for line in lines):
        items.append(("line raw", "raw weights"))
    key, foot = svg.legend(items, 12 + LINE, _WIDTH)
    top = foot + 10
    base = top + _PLOT
    y = scaled((value for line in lines for _, value in line.points), base, top)
    title += ", log scale" if y.logarithmic else ""
    last = max(epoch for line in lines for epoch, _ in line.points)
    x = svg.epochs(last, svg.margin(y.ticks), _WIDTH - 8)
    parts = [svg.axes(x, y, ("epoch", title)), key]
    # The raw ones below: where both are the same, the averages are what counts.
    for line in sorted(lines, key=lambda line: "raw" not in line.kind):
        parts.append(svg.path(line.kind, svg.polyline(x, y, _thinned(line.points))))
    return svg.picture(_WIDTH, base + 36, f"{described}: {_told(lines)}", "".join(parts))


def _told(lines: Sequence[Line]) -> str:
    unit = {line.label: " %" if line.label.startswith(_PERCENT) else "" for line in lines}
    return "; ".join(
        f"{line.label} from {three(line.points[0][1])}{unit[line.label]} after epoch "
        f"{line.points[0][0]:g} to {three(line.points[-1][1])}{unit[line.label]} after epoch "
        f"{line.points[-1][0]:g}"
        for line in lines
    )


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """The points themselves, or every so many of them and the last."""
    every = math.ceil(len(points) / _MOST)
    return points if every == 1 else [*points[:-1:every], points[-1]]


def bars(
    groups: Mapping[str, Mapping[str, Sequence[float]]],
    labels: Sequence[str],
    described: str,
    *,
    kind: str = "measured",
    written: Callable[[float], str] = three,
    other: Container[str] = (),
) -> str:
    """Horizontal bars from 0, a panel for each group.

    Args:
        groups: by a panel's title, the values of each row; one value for each of `labels`.
        labels: what the values of a row are, at most two; of one alone there is no legend.
        described: what is shown, in a phrase, for readers who do not see it.
        kind: claimed, computed or measured, for the colour.
        written: how a value is written.
        other: rows whose bars have the colour of conditional stages.

    Returns:
        An `<svg>` element for each group, all on one scale.
    """
    rows = [row for group in groups.values() for row in group.items()]
    names = {name: svg.clipped(name, 120) for name, _ in rows}
    left = 6 + max(svg.breadth(name) for name in names.values())
    room = max(svg.breadth(written(value)) for _, values in rows for value in values)
    scale = linear((0, *(value for _, values in rows for value in values)), left, _WIDTH - room - 4)
    drawn: list[str] = []
    for title, group in groups.items():
        parts = [svg.text(0, 12, svg.clipped(title, _WIDTH))]
        y = LINE + 8.0
        if len(labels) > 1:
            items = [
                (f"bar{n} {kind}", svg.clipped(label, _WIDTH - 20))
                for n, label in enumerate(labels)
            ]
            key, foot = svg.legend(items, 12 + LINE, _WIDTH)
            parts.append(key)
            y = foot + 8
        end = y + len(group) * (len(labels) * LINE + 6)
        parts.append(svg.path("grid", f"M{left:.1f} {y - 2:.1f}V{end - 4:.1f}"))
        for name, values in group.items():
            parts.append(
                svg.text(
                    left - 6, y + (len(values) * LINE - 3) / 2, names[name], "end", beside=True
                )
            )
            for number, value in enumerate(values):
                colour = "conditional" if name in other else kind
                parts.append(
                    svg.box(f"bar{number} {colour}", left, y, scale.at(value) - left, LINE - 3)
                )
                parts.append(
                    svg.text(scale.at(value) + 4, y + (LINE - 3) / 2, written(value), beside=True)
                )
                y += LINE
            y += 6
        said = f"{described}, {title}: {_values(group, labels, written)}"
        drawn.append(svg.picture(_WIDTH, end, said, "".join(parts)))
    return "".join(drawn)


def _values(
    rows: Mapping[str, Sequence[float]], labels: Sequence[str], written: Callable[[float], str]
) -> str:
    told: list[str] = []
    for name, values in rows.items():
        pairs = zip(values, labels, strict=True)
        each = (f"{written(value)} {label}".strip() for value, label in pairs)
        told.append(f"{name} {', '.join(each)}")
    return "; ".join(told)


def learning_rate(recipe: Recipe, title: str) -> str:
    """A recipe's learning rate over its epochs, at the batch that it is stated for.

    Args:
        recipe: of which only what `schedule` reads is shown.
        title: whose it is, in a phrase that ends the axis's title.
    """
    start, end = min(recipe.warmup_epochs, recipe.epochs), recipe.epochs
    peak = recipe.lr * (start / recipe.warmup_epochs if start else 1)
    falls = schedule.stairs(recipe, _STAIRS)
    top = 26.0
    y = linear((0.0, peak), top + _PLOT, top)
    x = svg.epochs(end, svg.margin(y.ticks), _WIDTH - 8)
    drawn = svg.polyline(x, y, ((0.0, 0.0 if start else peak), (start, peak)))
    drawn += "".join(f"H{x.at(epoch):.1f}V{y.at(rate):.1f}" for epoch, rate in falls)
    drawn += f"H{x.at(end):.1f}"
    last = falls[-1][1] if falls else peak
    said = (
        f"Learning rate {title}, for {many(recipe.batch_size, 'image')} a step: up to {peak:.3g} "
        f"in {many(start, 'epoch')}, then times {recipe.decay_rate:g} every "
        f"{many(recipe.decay_epochs, 'epoch')}, and {last:.2g} in epoch {end}"
    )
    parts = svg.axes(x, y, ("epoch", f"learning rate {title}"))
    return svg.picture(_WIDTH, top + _PLOT + 36, said, parts + svg.path("line computed", drawn))
