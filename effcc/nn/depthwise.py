"""Depthwise convolution whose kernels may differ by sample: the form that small kernels need.

A library convolves a batch with one kernel. With a kernel per sample its way out is a group per
sample and channel, and on processors that, and its gradient, cost several times the arithmetic.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from effcc.nn import native
from effcc.nn.native import Depthwise
from effcc.nn.padding import outputs


def depthwise(
    x: Tensor, weight: Tensor, routing: Tensor | None, *, kernel: int, stride: int, padding: str
) -> Tensor:
    """Convolve every channel of every sample with a kernel of its own.

    First derivatives only; `native.takes(x)` must hold. The mixed kernels are not kept for the way
    back but mixed again.

    Args:
        x: images, (batch, channels, height, width), channels-last.
        weight: one flattened kernel per expert, (experts, channels * kernel * kernel).
        routing: each sample's weight for each expert, (batch, experts); None where one kernel is
            everybody's.
        kernel: side of the kernels in pixels.
        stride: step in pixels.
        padding: `same` or `symmetric`, see `padding.pads`.

    Returns:
        (batch, channels, height / stride, width / stride), rounded up; channels-last.
    """
    filtered: Tensor = _Depthwise.apply(x, weight, routing, kernel, stride, padding)  # pyright: ignore[reportAssignmentType]
    return filtered


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        routing: Tensor | None,
        kernel: int,
        stride: int,
        padding: str,
    ) -> Tensor:
        batch, channels, height, width = x.shape
        symmetric, shared = padding == "symmetric", routing is None
        ctx.shape = Depthwise(batch, height, width, channels, kernel, stride, symmetric, shared)
        ctx.save_for_backward(x, weight, routing)
        out = [outputs(size, kernel, stride, padding) for size in (height, width)]
        y = _image(batch, channels, *out)
        native.call("effcc_depthwise", ctx.shape, x, _mixed(_taps(weight, channels), routing), y)
        return y

    @staticmethod
    @once_differentiable  # which hides the names that torch's declaration has
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, weight, routing = ctx.saved_tensors
        channels = x.shape[1]
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        taps = _taps(weight, channels)
        to_x = to_weight = to_routing = None
        if ctx.needs_input_grad[0]:
            to_x = _image(*x.shape)
            native.call("effcc_depthwise_to_input", ctx.shape, dy, _mixed(taps, routing), to_x)
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            to_mixed = taps.new_empty(len(x), taps.shape[1])
            native.call("effcc_depthwise_to_kernels", ctx.shape, x, dy, to_mixed)
            if routing is None:
                to_taps = to_mixed.sum(0)
            else:
                to_taps, to_routing = routing.t() @ to_mixed, to_mixed @ taps.t()
            to_weight = to_taps.view(len(weight), -1, channels).transpose(1, 2).reshape_as(weight)
        return to_x, to_weight, to_routing, None, None, None


def _taps(weight: Tensor, channels: int) -> Tensor:
    """Kernels with channels last too: (experts, kernel * kernel * channels)."""
    return weight.view(len(weight), channels, -1).transpose(1, 2).flatten(1).contiguous()


def _mixed(taps: Tensor, routing: Tensor | None) -> Tensor:
    return taps if routing is None else routing @ taps


def _image(*shape: int) -> Tensor:
    return torch.empty(shape, memory_format=torch.channels_last)
