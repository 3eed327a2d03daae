"""A network, drawn from its stage table: as high as its pictures are, as wide as its channels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from effcc.catalog.spec import Network, layout, scale_width
from effcc.ground.words import many
from effcc.report import svg
from effcc.report.svg import LINE

_WIDTH, _HIGH, _TOP = 360, 96, 36
_GAP = 6  # between two parts
_ROWS = ("stage", "channels", "pixels")


@dataclass(frozen=True, slots=True)
class Part:
    """Blocks of one width at one resolution: the stem, a stage, or the head."""

    name: str
    blocks: int
    channels: int
    pixels: int  # the side of what it hands on
    experts: int  # 0: an ordinary part

    @property
    def labels(self) -> tuple[str, str, str]:
        """What stands below it, a line each."""
        return self.name, str(self.channels), str(self.pixels)


def parts(network: Network, image_size: int) -> list[Part]:
    """From the image on; the classifier has no picture to hand on."""
    pixels = math.ceil(image_size / 2)
    found = [Part("stem", 1, scale_width(network.stem, network.width), pixels, 0)]
    blocks = layout(network)
    for number in range(len(network.stages)):
        here = [block for block in blocks if block.stage == number]
        pixels = math.ceil(pixels / here[0].stride)
        last = here[-1]
        found.append(Part(str(number), len(here), last.out_channels, pixels, last.experts))
    return [*found, Part("head", 1, scale_width(network.head, network.width), pixels, 0)]


def draw(network: Network, image_size: int) -> str:
    """The picture: a box for each block, stage by stage.

    Its height is in proportion to the side of the block's output in pixels, its width to the square
    root of the output's channels.
    """
    found = parts(network, image_size)
    left = 10 + max(svg.breadth(row) for row in _ROWS)
    room = [max(svg.breadth(words) for words in part.labels) + _GAP for part in found]
    if sum(room) > _WIDTH - left:  # so many parts that not all can be labelled
        room = [0.0] * len(room)
    gap = _GAP if room[0] else 0
    scale = _scale([_weight(part) for part in found], room, _WIDTH - left, gap)
    middle, foot = _TOP + _HIGH / 2, _TOP + _HIGH + LINE + 2
    drawn = [_key(network)]
    drawn += [svg.text(0, foot + LINE * row, words) for row, words in enumerate(_ROWS)]
    most = max(part.pixels for part in found)
    x = labelled = left
    for part, needed in zip(found, room, strict=True):
        wide = scale * _weight(part)
        slot = max(wide + gap, needed)
        high = _HIGH * part.pixels / most
        start, centre = x + (slot - wide) / 2, x + slot / 2
        kind = "box conditional" if part.experts else "box computed"
        drawn.append(svg.path(kind, _boxes(part.blocks, start, middle - high / 2, wide, high)))
        half = max(svg.breadth(words) for words in part.labels) / 2
        if labelled - 0.1 <= centre - half and centre + half <= _WIDTH + 0.1:
            labelled = centre + half + (0 if needed else _GAP)
            drawn += [
                svg.text(centre, foot + LINE * row, words, "middle")
                for row, words in enumerate(part.labels)
            ]
        x += slot
    said = f"The network at {image_size} px, from the image on: " + "; ".join(map(_told, found))
    return svg.picture(_WIDTH, foot + 2 * LINE + 4, said, "".join(drawn))


def _weight(part: Part) -> float:
    return part.blocks * math.sqrt(part.channels)


def _scale(weights: Sequence[float], room: Sequence[float], width: float, gap: float) -> float:
    """The scale at which boxes with a gap each, or the room their words need, fill the width."""
    low, high = 0.0, width / sum(weights)
    for _ in range(30):
        scale = (low + high) / 2
        slots = (max(scale * w + gap, r) for w, r in zip(weights, room, strict=True))
        low, high = (scale, high) if sum(slots) <= width else (low, scale)
    return low


def _boxes(count: int, x: float, y: float, wide: float, high: float) -> str:
    """The commands of as many boxes side by side, or of one where they would be hairs."""
    each = wide / count
    if each < 2:
        return svg.rectangle(x, y, wide, high)
    return "".join(svg.rectangle(x + number * each, y, each, high) for number in range(count))


def _key(network: Network) -> str:
    items: Iterable[tuple[str, str]] = [("box computed", "a block")]
    if any(stage.conditional for stage in network.stages):
        items = [*items, ("box conditional", f"conditional, {many(network.experts, 'expert')}")]
    return svg.legend(items, 12, _WIDTH)[0]


def _told(part: Part) -> str:
    name = part.name if part.name in ("stem", "head") else f"stage {part.name}"
    blocks = f"{many(part.blocks, 'block')} of " if name not in ("stem", "head") else ""
    experts = f", {many(part.experts, 'expert')}" if part.experts else ""
    return f"{name}, {blocks}{many(part.channels, 'channel')} at {part.pixels} px{experts}"
