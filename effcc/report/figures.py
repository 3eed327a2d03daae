"""Pictures as SVG text: they take their colours from the page, and read aloud what they show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 330, 210, 40, 34, 26


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
