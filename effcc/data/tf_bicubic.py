"""The bicubic resize of TensorFlow 1, which the published accuracies were measured with.

It differs from what everybody else calls bicubic in four ways: the cubic's parameter is -0.75
(Pillow's is -0.5), the grid starts at the corner of the first pixel and not at its centre, nothing
is averaged when an image shrinks, and weights come from a table of 1,024 steps. The result is not
clipped: it overshoots 0..255 by up to 60 levels at hard edges.

Source: `tf.image.resize_bicubic` of TensorFlow 1 (core/kernels/image/resize_bicubic_op.cc, with
align_corners and half_pixel_centers off); the crop is that of the authors' preprocessing.py.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from effcc.sources.decode import Pixels

Floats = NDArray[np.float32]

_A = -0.75
_STEPS = 1024  # of the table of weights, between one pixel and the next


def centre_crop(pixels: Pixels, share: float) -> Pixels:
    """The square in an image's middle whose side is a share of the shorter side, rounded down."""
    height, width = pixels.shape[:2]
    # In float32, as TensorFlow multiplies: a side may come out a pixel shorter than exactly.
    side = max(1, int(np.float32(share) * np.float32(min(height, width))))
    top, left = (height - side + 1) // 2, (width - side + 1) // 2
    return pixels[top : top + side, left : left + side]


def resize(pixels: Pixels, size: int) -> Floats:
    """Pixels (height, width, 3) to float32 (size, size, 3) on the 0..255 scale, not clipped."""
    rows, row_weights = _taps(pixels.shape[0], size)
    columns, column_weights = _taps(pixels.shape[1], size)
    wide = np.einsum("kyxc,ky->yxc", pixels[rows], row_weights)
    return np.einsum("ykxc,kx->yxc", wide[:, columns], column_weights)


@functools.lru_cache(256)
def _taps(length: int, size: int) -> tuple[NDArray[np.int64], Floats]:
    """For each of `size` places, the four pixels of a line and their weights: both (4, size)."""
    at = np.arange(size, dtype=np.float32) * (np.float32(length) / np.float32(size))
    first = np.floor(at).astype(np.int64)
    pixels = np.clip(first + np.arange(-1, 3)[:, None], 0, length - 1)  # edges repeat
    part = np.rint((at - first.astype(np.float32)) * _STEPS) / _STEPS
    distance = np.stack([1 + part, part, 1 - part, 2 - part])
    return pixels, _cubic(distance).astype(np.float32)


def _cubic(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """R. Keys' cubic convolution (IEEE ASSP 29, 1981) at a distance of 0 to 2 pixels."""
    near = ((_A + 2) * x - (_A + 3)) * x * x + 1
    far = ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A
    return np.where(x <= 1, near, far)
