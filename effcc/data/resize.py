"""Pixels to the network's size: the evaluation's centre crop and the training's random one."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from effcc.catalog.spec import Augment, Preprocessing
from effcc.data.decode import Pixels

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def for_evaluation(pixels: Pixels, how: Preprocessing) -> Tensor:
    """Resize the shorter side to image_size / crop_pct, crop the centre: uint8 (3, size, size)."""
    size, image = how.image_size, Image.fromarray(pixels)
    scale = math.floor(size / how.crop_pct) / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    resized = image.resize((width, height), _FILTERS[how.interpolation])
    left, top = (width - size) // 2, (height - size) // 2
    return tensor(resized.crop((left, top, left + size, top + size)))


def for_training(
    pixels: Pixels, how: Preprocessing, augment: Augment, random: np.random.Generator
) -> Pixels:
    """A random crop of random area and aspect, resized, perhaps mirrored: (size, size, 3).

    The crop is Inception's (C. Szegedy et al., CVPR 2015, section 6) with edges between pixels
    allowed, which matters on tiny images only.
    """
    image, size = Image.fromarray(pixels), how.image_size
    box = crop_box(*image.size, augment, random)
    resized = image.resize((size, size), _FILTERS[how.interpolation], box=box)
    if random.random() < augment.hflip:
        resized = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(resized)


def crop_box(
    width: int, height: int, augment: Augment, random: np.random.Generator
) -> tuple[float, float, float, float]:
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


def tensor(image: Image.Image | Pixels) -> Tensor:
    """Pixels as torch has them: uint8 (3, height, width)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
