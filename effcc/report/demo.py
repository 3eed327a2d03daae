"""A page on which a reader draws a digit and a model says what it sees, as data.

The page's script, docs/assets/demo.js, knows no figure: how a drawing becomes the network's input
stands in the manifest beside the model, written by those who know, when the site is built.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from effcc.report import markdown

# The page; what it loads, by the address on the site; and what the model and manifest are called.
PAGE = "try.md"
SCRIPT = "assets/demo.js"
ASSETS = "assets/demo"
MODEL, MANIFEST = "model.onnx", "manifest.json"
# What stands between these two lines of the page is of a site without a model.
_BEGIN, _END = "<!-- without a model -->", "<!-- /without a model -->"


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a drawing becomes what the network takes, in the terms of the script's own comments.

    Args:
        side: pixels along a side of the data's images.
        levels: the grey level of a pixel in which 0, 1, 2, ... points of a finer scan are ink; it
            has as many points as there are levels but one, in a square.
        ink: points that are ink in an image of the data, on average.
        box: how wide and tall the middle of a drawing's line may be, in points.
        size: pixels along a side of the network's input.
        resize: the matrix (size, side) that enlarges, see `data.resize.matrix`.
        unit: what its whole numbers are multiples of: 1 / unit.
        mean: of a channel, subtracted from levels.
        std: of a channel, what the difference is divided by.
    """

    side: int
    levels: tuple[int, ...]
    ink: int
    box: tuple[int, int]
    size: int
    resize: tuple[tuple[int, ...], ...]
    unit: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A real image of the data: its class, and its levels row by row."""

    label: str
    levels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a record says of the very checkpoint."""

    correct: int
    n: int
    title: str  # of the data
    split: str
    record: str  # its file, relative to the project


@dataclass(frozen=True, slots=True)
class Demo:
    """A model to try, and all that its page says of it.

    Args:
        variant: its name.
        sha256: of the checkpoint's file, as records name it.
        measured: by the newest record of it; None if there is none.
        classes: in the order of the logits.
        blocks: those that route, in the order of the routing.
        experts: of each.
        drawing: how its input is made.
        samples: images of the test split, one a class.
        bytes: what is fetched for the model and for what computes it.
    """

    variant: str
    sha256: str
    measured: Measured | None
    classes: tuple[str, ...]
    blocks: tuple[str, ...]
    experts: int
    drawing: Drawing
    samples: tuple[Sample, ...]
    bytes: Mapping[str, int]


def write(demo: Demo, folder: Path) -> None:
    """Write the manifest into the folder of what the page loads."""
    text = json.dumps(asdict(demo), ensure_ascii=False, separators=(",", ":"))
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def page(text: str, folder: Path) -> str:
    """The page's Markdown on a site with a model, whose manifest lies in `folder`.

    Raises:
        ValueError: the page has no place for it.
    """
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no lines {_BEGIN} and {_END}")
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    environment = Environment(
        loader=PackageLoader("effcc.report"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"text": markdown.escape, "code": markdown.code}
    template = environment.get_template("demo.md.j2")
    return before + template.render(demo=manifest, assets=ASSETS) + after
