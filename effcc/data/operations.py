"""What augmentation does to one image: each operation by name, and what a level means to it.

The definitions are those of the authors' TensorFlow code (tensorflow/tpu,
models/official/efficientnet/autoaugment.py at 7dc921f); Pillow computes them where its colours are
within one level of TensorFlow's. Nothing here is random: whatever chance decides is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

# What stands where an image was moved away or cut out.
FILL = (128, 128, 128)

# Operations whose argument is as often negative.
SIGNED = frozenset({"Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"})


@dataclass(frozen=True, slots=True)
class Reach:
    """What policies disagree on: how far the last level goes.

    `translate` and `cutout` are pixels at level 10, the second half a side of the square;
    `posterize` is the bits kept at levels 0 and 10.
    """

    translate: float
    cutout: float
    posterize: tuple[int, int]


def argument(op: str, level: float, reach: Reach) -> float | None:
    """What an operation is called with at a level of 0 to 10, sign apart; None for nothing."""
    share = level / 10
    match op:
        case "Color" | "Contrast" | "Brightness" | "Sharpness":
            return share * 1.8 + 0.1
        case "ShearX" | "ShearY":
            return share * 0.3
        case "Rotate":
            return share * 30
        case "TranslateX" | "TranslateY":
            return share * reach.translate
        case "Posterize":
            least, most = reach.posterize
            return least + int(share * (most - least))
        case "Solarize":
            return int(share * 256)
        case "SolarizeAdd":
            return int(share * 110)
        case "Cutout":
            return int(share * reach.cutout)
        case _:
            return None


def _enhance(kind: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    return lambda image, factor: kind(image).enhance(factor)


def _posterize(image: Image.Image, bits: float) -> Image.Image:
    # TensorFlow shifts by 7 at most, and so keeps the first bit when asked for none. Pillow's
    # function gives black then, and from version 13 on an error.
    kept = 256 - (1 << min(8 - int(bits), 7))
    return image.point([level & kept for level in range(256)] * 3)


def _solarize(image: Image.Image, threshold: float) -> Image.Image:
    return ImageOps.solarize(image, int(threshold))


def _solarize_add(image: Image.Image, addition: float) -> Image.Image:
    added = int(addition)
    return image.point([min(v + added, 255) if v < 128 else v for v in range(256)] * 3)


def _shear_x(image: Image.Image, slope: float) -> Image.Image:
    return _move(image, (1, slope, 0, 0, 1, 0))


def _shear_y(image: Image.Image, slope: float) -> Image.Image:
    return _move(image, (1, 0, 0, slope, 1, 0))


def _translate_x(image: Image.Image, pixels: float) -> Image.Image:
    return _move(image, (1, 0, pixels, 0, 1, 0))


def _translate_y(image: Image.Image, pixels: float) -> Image.Image:
    return _move(image, (1, 0, 0, 0, 1, pixels))


def _rotate(image: Image.Image, degrees: float) -> Image.Image:
    """Counterclockwise, about the centre."""
    x, y = ((side - 1) / 2 for side in image.size)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _move(image, (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y))


def _move(
    image: Image.Image, matrix: tuple[float, float, float, float, float, float]
) -> Image.Image:
    """Give (x, y) the pixel nearest to (ax + by + c, dx + ey + f), or FILL if there is none."""
    a, b, c, d, e, f = matrix
    # The matrix counts from the centre of the first pixel, Pillow from its corner.
    from_corner = (a, b, c + (1 - a - b) / 2, d, e, f + (1 - d - e) / 2)
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        from_corner,
        Image.Resampling.NEAREST,
        fillcolor=FILL,
    )


def _cutout(image: Image.Image, half: float, x: float, y: float) -> Image.Image:
    """A square of side 2 * half about a pixel at shares x and y of width and height, in FILL.

    T. DeVries and G. W. Taylor, arXiv:1708.04552.
    """
    (width, height), pad = image.size, int(half)
    column, row = int(x * width), int(y * height)
    box = (
        max(column - pad, 0),
        max(row - pad, 0),
        min(column + pad, width),
        min(row + pad, height),
    )
    cut = image.copy()
    cut.paste(FILL, box)
    return cut


def _erase(
    image: Image.Image, left: float, top: float, right: float, bottom: float, seed: float
) -> Image.Image:
    """Noise in a rectangle given by shares of width and height (arXiv:1708.04896, section 3)."""
    pixels = np.array(image)
    height, width, _ = pixels.shape
    rows = slice(round(top * height), round(bottom * height))
    columns = slice(round(left * width), round(right * width))
    erased = pixels[rows, columns]
    erased[:] = np.random.default_rng(int(seed)).integers(0, 256, erased.shape, np.uint8)
    return Image.fromarray(pixels)


Operation = Callable[..., Image.Image]  # an RGB image and arguments to one of the same size

OPERATIONS: dict[str, Operation] = {
    "AutoContrast": ImageOps.autocontrast,
    "Equalize": ImageOps.equalize,
    "Invert": ImageOps.invert,
    "Rotate": _rotate,
    "Posterize": _posterize,
    "Solarize": _solarize,
    "SolarizeAdd": _solarize_add,
    "Color": _enhance(ImageEnhance.Color),
    # About the mean grey, as Pillow and the papers have it. The TensorFlow code divides the number
    # of pixels by 256 instead, which is no property of the picture; v0 has no Contrast.
    "Contrast": _enhance(ImageEnhance.Contrast),
    "Brightness": _enhance(ImageEnhance.Brightness),
    "Sharpness": _enhance(ImageEnhance.Sharpness),
    "ShearX": _shear_x,
    "ShearY": _shear_y,
    "TranslateX": _translate_x,
    "TranslateY": _translate_y,
    "Cutout": _cutout,
    "Erase": _erase,
}
