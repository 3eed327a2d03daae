"""Pixels to the network's size: the evaluation's centre crop and the training's random one."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from effcc.catalog.spec import Augment, Preprocessing
from effcc.data import tf_bicubic
from effcc.sources.decode import Pixels

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Pillow's weights of 8-bit levels are whole multiples of 1/UNIT (PRECISION_BITS in its Resample.c).
UNIT = 2**22
# What torch resizes as Pillow does.
_BY_TORCH = ("bilinear", "bicubic")
# Images that are so many times as long as they are wide are not resized whole: a line of 65,535
# pixels would become one of gigabytes, of which the middle is wanted. It is what the whole would
# be, but for the order of two passes that round: Pillow begins with what makes fewer pixels.
_LONG = 16

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


def for_evaluation(pixels: Pixels, how: Preprocessing) -> Tensor:
    """The centre of an image at the network's size: (3, size, size).

    With Pillow's filters the shorter side is resized to image_size / crop_pct, or by `crop_padding`
    more than image_size, and the centre cropped: uint8. With `tf_bicubic` it is the other way
    round, as the authors do, and not rounded: float32.
    """
    size = how.image_size
    if how.interpolation == "tf_bicubic":
        share = how.crop_pct if how.crop_padding is None else size / (size + how.crop_padding)
        return tensor(tf_bicubic.resize(tf_bicubic.centre_crop(pixels, share), size))
    padding, image = how.crop_padding, Image.fromarray(pixels)
    shorter = math.floor(size / how.crop_pct) if padding is None else size + padding
    scale = shorter / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    box: Box = (0.0, 0.0, float(image.width), float(image.height))
    if width > _LONG * size:  # what follows sees the middle alone
        box = (left * image.width / width, 0.0, (left + size) * image.width / width, box[3])
        width, left = size, 0
    if height > _LONG * size:
        box = (0.0, top * image.height / height, box[2], (top + size) * image.height / height)
        height, top = size, 0
    resized = image.resize((width, height), _FILTERS[how.interpolation], box=box)
    return tensor(resized.crop((left, top, left + size, top + size)))


def matrix(length: int, how: Preprocessing) -> NDArray[np.int64]:
    """`for_evaluation` of a square image as arithmetic, for where there is no Pillow.

    With this matrix m, (size, length), in units of `UNIT`, the levels x of a channel become m x m':
    first along each row, then along each column; after each of the two, halves are rounded up and
    what is beyond 0 and 255 is cut off. Pillow computes in the same units.

    Args:
        length: pixels along a side of the image.
        how: with one of Pillow's filters.

    Raises:
        ValueError: it is not one of Pillow's.
    """
    if how.interpolation not in _FILTERS:
        raise ValueError(f"{how.interpolation} is not rounded to whole levels")
    size, padding = how.image_size, how.crop_padding
    longer = max(size, math.floor(size / how.crop_pct) if padding is None else size + padding)
    units = Image.fromarray(UNIT * np.eye(length, dtype=np.int32))  # row i: what pixel i adds
    rows = np.asarray(units.resize((longer, length), _FILTERS[how.interpolation]), np.int64)
    start = (longer - size) // 2
    return rows[:, start : start + size].T.copy()


def blank(how: Preprocessing) -> Tensor:
    """Black, of the shape and type that `for_evaluation` gives."""
    kind = torch.float32 if how.interpolation == "tf_bicubic" else torch.uint8
    return torch.zeros(3, how.image_size, how.image_size, dtype=kind)


def for_training(
    pixels: Pixels,
    how: Preprocessing,
    augment: Augment,
    random: np.random.Generator,
    fast: bool = False,
) -> Pixels:
    """A random crop of random area and aspect, resized, perhaps mirrored: (size, size, 3).

    The crop is Inception's (C. Szegedy et al., CVPR 2015, section 6) with edges between pixels
    allowed, which matters on tiny images only. `fast` leaves images that are larger than `size`
    both ways to torch, with edges on whole pixels.
    """
    box = crop_box(pixels.shape[1], pixels.shape[0], augment, random)
    resized = _resize(pixels, box, how, fast)
    return resized[:, ::-1].copy() if random.random() < augment.hflip else resized


def crop_box(width: int, height: int, augment: Augment, random: np.random.Generator) -> Box:
    """A random (left, top, right, bottom) inside an image, in pixels."""
    low, high = (math.log(aspect) for aspect in augment.crop_aspect)
    for _ in range(10):
        area = width * height * random.uniform(*augment.crop_area)
        aspect = math.exp(random.uniform(low, high))
        w, h = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if w <= width and h <= height:
            left, top = random.uniform(0, width - w), random.uniform(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)  # the image is longer than any crop may be: its centre
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def tensor(image: Image.Image | Pixels | tf_bicubic.Floats) -> Tensor:
    """Pixels (height, width, 3) as torch has them: (3, height, width)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _resize(pixels: Pixels, box: Box, how: Preprocessing, fast: bool) -> Pixels:
    size, name = how.image_size, how.interpolation
    if name == "tf_bicubic":
        levels = tf_bicubic.resize(_crop(pixels, box), size)
        return levels.clip(0, 255).round().astype(np.uint8)
    if fast and name in _BY_TORCH and min(pixels.shape[:2]) > size:
        crop = tensor(_crop(pixels, box))[None]
        resized = F.interpolate(crop, (size, size), mode=name, antialias=True)
        return resized[0].permute(1, 2, 0).numpy()
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((size, size), _FILTERS[name], box=box))


def _crop(pixels: Pixels, box: Box) -> Pixels:
    """What is inside the whole pixels nearest to a box's edges; at least one."""
    left, top, right, bottom = (round(edge) for edge in box)
    left, top = min(left, pixels.shape[1] - 1), min(top, pixels.shape[0] - 1)
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
