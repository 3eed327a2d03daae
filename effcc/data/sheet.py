"""A contact sheet: what training sees of one image, drawn as training draws it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from effcc.catalog.spec import Spec
from effcc.data import augment, resize
from effcc.data.augment import Change
from effcc.ground import files
from effcc.ground.errors import UsageError
from effcc.sources import decode
from effcc.sources.decode import Pixels

_COLUMNS, _ROWS = 8, 4
_TILE, _CAPTION, _GAP = 224, 22, 8  # pixels


def write(image: Path, spec: Spec, out: Path) -> None:
    """Write the sheet of an image file.

    Raises:
        UsageError: `out` is not named as a PNG file.
        BadImage: the image is missing or cannot be decoded.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out {out}: a sheet is a PNG file; name it {out.with_suffix('.png')}")
    pixels = decode.decode(decode.read(image), str(image), spec.data.decoder)
    file = io.BytesIO()
    sheet(pixels, spec).save(file, "PNG")
    files.write(out, file.getvalue())


def sheet(pixels: Pixels, spec: Spec) -> Image.Image:
    """The evaluation's crop of an image, and what the first epochs of a run see of it.

    A caption says what was done after crop and flip. Mixup and CutMix need other images and are
    not shown.

    Args:
        pixels: uint8 (height, width, 3).
        spec: whose recipe and seed.
    """
    tiles = [(_evaluation(pixels, spec), "evaluation")]
    for epoch in range(_COLUMNS * _ROWS - 1):
        image, changes = training(pixels, spec, epoch)
        tiles.append((image, caption(changes)))
    across, down = _TILE + _GAP, _TILE + _CAPTION + _GAP
    paper = Image.new("RGB", (_COLUMNS * across + _GAP, _ROWS * down + _GAP), "white")
    pen, font = ImageDraw.Draw(paper), ImageFont.load_default(13)
    for number, (image, words) in enumerate(tiles):
        left, top = _GAP + number % _COLUMNS * across, _GAP + number // _COLUMNS * down
        paper.paste(_tile(image), (left, top))
        pen.text((left + _TILE / 2, top + _TILE + 5), words, "#333333", font, anchor="mt")
    return paper


def training(pixels: Pixels, spec: Spec, epoch: int) -> tuple[Pixels, tuple[Change, ...]]:
    """What `loader.Training` makes of the image at position 0, and the changes that led there."""
    random, settings = np.random.default_rng((spec.seed, epoch, 0)), spec.recipe.augment
    fast = decode.fast(spec.data.decoder)
    cropped = resize.for_training(pixels, spec.preprocessing, settings, random, fast)
    changes = augment.draw(settings, random)
    return augment.apply(cropped, changes), changes


def caption(changes: Sequence[Change]) -> str:
    """What was done, in few words."""
    return ", ".join(_words(change) for change in changes) or "crop only"


def _words(change: Change) -> str:
    if change.op == "Erase" or not change.arguments:  # where it erases can be seen
        return change.op
    return f"{change.op} {change.arguments[0]:.3g}"


def _evaluation(pixels: Pixels, spec: Spec) -> Pixels:
    image = resize.for_evaluation(pixels, spec.preprocessing)
    # TensorFlow's bicubic gives numbers beyond 0 and 255.
    return image.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def _tile(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    smooth = image.width > _TILE  # enlarged pixels are to be seen as they are
    filter_ = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return image.resize((_TILE, _TILE), filter_)
