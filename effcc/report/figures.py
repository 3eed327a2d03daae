"""Pictures as SVG text: they take their colours from the page, and read aloud what they show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from effcc.ground.words import three

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 330, 210, 40, 34, 26
_BAR = 14  # from one bar to the next


def learning_curve(points: Sequence[Mapping[str, float]], described: str) -> str:
    """Accuracy and losses over the epochs of a run, side by side.

    Args:
        points: one mapping an epoch, with `epoch` and any of `val_top1`, `train_loss`, `val_loss`.
        described: what is shown, in a sentence, for readers who do not see it.

    Returns:
        An `<svg>` element for each, or nothing when there are fewer than two epochs.
    """
    if len(points) < 2:
        return ""
    epochs = [point["epoch"] for point in points]
    top1 = (
        {"validation top-1, %": [100 * p["val_top1"] for p in points]}
        if all("val_top1" in p for p in points)
        else {}
    )
    losses = {
        label: [point[name] for point in points]
        for name, label in (("train_loss", "training loss"), ("val_loss", "validation loss"))
        if all(name in point for point in points)
    }
    return "".join(
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(described)}: {escape(" and ".join(lines))}" '
        f'xmlns="http://www.w3.org/2000/svg">{_panel(epochs, lines)}</svg>'
        for lines in (top1, losses)
        if lines
    )


def bars(
    groups: Mapping[str, Mapping[str, Sequence[float]]], labels: Sequence[str], described: str
) -> str:
    """Horizontal bars from 0, a panel for each group.

    Args:
        groups: by a panel's title, the values of each row; one value for each of `labels`.
        labels: what the values of a row are, at most two.
        described: what is shown, in a sentence, for readers who do not see it.

    Returns:
        An `<svg>` element for each group, all on one scale.
    """
    scale = _scale(
        0, max(v for rows in groups.values() for values in rows.values() for v in values)
    )
    drawn: list[str] = []
    for title, rows in groups.items():
        told = "; ".join(
            f"{name} " + ", ".join(f"{three(v)} {n}" for v, n in zip(values, labels, strict=True))
            for name, values in rows.items()
        )
        height = _TOP + _BAR + len(rows) * _row_height(labels) + 18
        drawn.append(
            f'<svg class="curve" viewBox="0 0 {_WIDTH} {height}" role="img" '
            f'aria-label="{escape(f"{described}, {title}: {told}")}" '
            f'xmlns="http://www.w3.org/2000/svg">{_rows(title, rows, labels, scale, height)}</svg>'
        )
    return "".join(drawn)


def _rows(
    title: str,
    rows: Mapping[str, Sequence[float]],
    labels: Sequence[str],
    scale: tuple[float, float, float],
    height: int,
) -> str:
    _, most, step = scale
    left, right, top = 78, _WIDTH - 44, _TOP + _BAR
    parts = [_text(0, 12, title, "start")]
    x = left
    for number, label in enumerate(labels):
        parts.append(f'<path class="bar bar{number}" d="M{x} {_TOP - 6}h12v9h-12z"/>')
        parts.append(_text(x + 17, _TOP + 3, label, "start"))
        x += 31 + round(6.5 * len(label))  # about as wide as its letters
    for tick in range(round(most / step) + 1):
        x = left + (right - left) * tick * step / most
        parts.append(f'<path class="grid" d="M{x:.1f} {top}V{height - 18}"/>')
        parts.append(_text(x, height - 4, f"{tick * step:g}", "middle"))
    for place, (name, values) in enumerate(rows.items()):
        y = top + place * _row_height(labels) + _BAR / 2
        parts.append(_text(left - 6, y + len(values) * _BAR / 2 + 4, name, "end"))
        for number, value in enumerate(values):
            wide = (right - left) * value / most
            high = y + number * _BAR
            parts.append(
                f'<path class="bar bar{number}" '
                f'd="M{left} {high:.1f}h{wide:.1f}v{_BAR - 2}H{left}z"/>'
            )
            parts.append(_text(left + wide + 4, high + _BAR - 4, three(value), "start"))
    return "".join(parts)


def _row_height(labels: Sequence[str]) -> int:
    return (len(labels) + 1) * _BAR


def _panel(epochs: Sequence[float], lines: Mapping[str, Sequence[float]]) -> str:
    values = [value for line in lines.values() for value in line]
    low, high, step = _scale(min(values), max(values))
    left, right, base = _LEFT, _WIDTH - 8, _HEIGHT - _BOTTOM

    def x(epoch: float) -> float:
        return left + (right - left) * (epoch - epochs[0]) / (epochs[-1] - epochs[0])

    def y(value: float) -> float:
        return base - (base - _TOP) * (value - low) / (high - low)

    middle = (left + right) / 2
    parts: list[str] = []
    for tick in range(round((high - low) / step) + 1):
        value = low + tick * step
        parts.append(f'<path class="grid" d="M{left:.1f} {y(value):.1f}H{right:.1f}"/>')
        parts.append(_text(left - 6, y(value) + 4, f"{value:g}", "end"))
    parts += [
        _text(x(epoch), base + 16, f"{epoch:g}", "middle") for epoch in (epochs[0], epochs[-1])
    ]
    parts.append(_text(middle, base + 30, "epoch", "middle"))
    for number, (label, line) in enumerate(lines.items()):
        points = zip(epochs, line, strict=True)
        path = "L".join(f"{x(epoch):.1f} {y(value):.1f}" for epoch, value in points)
        parts.append(f'<path class="line line{number}" d="M{path}"/>')
        start = left + number * 120
        parts.append(f'<path class="line line{number}" d="M{start:.1f} 10h16"/>')
        parts.append(_text(start + 21, 14, label, "start"))
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """Round limits around the values, and a step that makes three to six gaps."""
    span = max(high - low, 1e-6)
    power = 10.0 ** math.floor(math.log10(span))
    step = next(
        power * factor for factor in (0.2, 0.25, 0.5, 1, 2, 2.5) if span / (power * factor) <= 5
    )
    first = step * math.floor(low / step)
    gaps = math.ceil((high - first) / step)
    return first, first + max(gaps, 1) * step, step
