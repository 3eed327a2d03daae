"""Zeros around an image, by either of two rules: `same`, TensorFlow's, or `symmetric`."""

from __future__ import annotations

import math

from torch import Tensor


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros (before, after) for an output of ceil(size / stride), as TensorFlow's SAME does.

    On strided layers the odd zero goes after, which a symmetric padding cannot express.
    """
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pads(x: Tensor, kernel: int, stride: int, padding: str) -> tuple[int, int, int, int]:
    """Padding of an image batch in `F.pad`'s order (left, right, top, bottom).

    `padding` is `same` for TensorFlow's rule, or `symmetric` for kernel // 2 on every side.
    """
    if padding == "symmetric":
        return kernel // 2, kernel // 2, kernel // 2, kernel // 2
    height, width = x.shape[-2:]
    return (*same_padding(width, kernel, stride), *same_padding(height, kernel, stride))


def outputs(size: int, kernel: int, stride: int, padding: str) -> int:
    """Pixels along a side that had `size`, see `pads`."""
    if padding == "symmetric":
        return (size + kernel // 2 * 2 - kernel) // stride + 1
    return math.ceil(size / stride)
