"""Depthwise CondConv on GPUs: kernels are mixed where they are used and never reach global memory.

Written in Triton. Nobody has timed it on a GPU yet, so `condconv` takes it only where the
environment says `EFFCC_TRITON=1`; Triton's interpreter holds its values and gradients equal to the
definition, and its compiler takes it for several generations of GPU.

What is notable: no kernel per sample is stored, forward or backward, nor kept for the backward; the
gradients of experts and routing are summed in an order that depends on shapes alone, without
atomics, so that equal runs have equal bits; everything is accumulated in float32, in float64 for
float64. `torch.compile` sees opaque operators. Second derivatives are refused.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from effcc.nn import triton_kernels

KERNELS: Any = triton_kernels  # what Triton makes of a function has no types
# A program's share of an image, and its warps: chosen by what Triton's compiler makes of them for
# an H100, the fewest instructions among those that spill next to no registers, not by timing.
PIXELS, CHANNELS, WARPS = 32, 64, 2
# The same for the gradient of the kernels: numbers of one mixed kernel, of all experts' kernels.
MIXED, EXPERTS, KERNEL_WARPS = 1024, 8192, 4
# Programs that fill a large GPU once. They share the samples among them, and each writes its sum.
PROGRAMS = 512


def depthwise(
    x: Tensor,
    weight: Tensor,
    routing: Tensor,
    *,
    kernel: int,
    stride: int,
    pads: tuple[int, int, int, int],
    shift: Tensor | None = None,
) -> Tensor:
    """Depthwise `condconv_loop`, in one pass over the images and one for each gradient.

    Args:
        x: images, (batch, channels, height, width); channels-last is read as it lies.
        weight: one flattened kernel per expert, (experts, channels * kernel * kernel).
        routing: each sample's weight for each expert, (batch, experts).
        kernel: side of the kernel in pixels.
        stride: step of the kernel in pixels.
        pads: zeros around the images in `F.pad`'s order (left, right, top, bottom).
        shift: (channels,) to add before SiLU, in the same pass: what remains of a batch norm whose
            scale is in the weight. This form only predicts.

    Returns:
        (batch, channels, height / stride, width / stride), channels-last, of the dtype of x; under
        autocast of autocast's.

    Raises:
        ValueError: a gradient is asked for through the form with a shift.
    """
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    taps = weight.view(len(weight), -1, kernel * kernel).transpose(1, 2)
    return _depthwise(x, taps, routing, shift, kernel, stride, list(pads))


@torch.library.custom_op("effcc::depthwise", mutates_args=())
def _depthwise(
    x: Tensor,
    taps: Tensor,  # (experts, kernel * kernel, channels): neighbouring programs' reads adjoin
    routing: Tensor,
    shift: Tensor | None,
    kernel: int,
    stride: int,
    pads: list[int],
) -> Tensor:
    y = _output(x, taps, routing, shift, kernel, stride, pads)
    _run_convolve(x, taps, routing, shift, y, kernel, stride, pads, reverse=False)
    return y


@_depthwise.register_fake
def _output(
    x: Tensor,
    taps: Tensor,
    routing: Tensor,
    shift: Tensor | None,
    kernel: int,
    stride: int,
    pads: list[int],
) -> Tensor:
    left, right, top, bottom = pads
    height = (x.shape[2] + top + bottom - kernel) // stride + 1
    width = (x.shape[3] + left + right - kernel) // stride + 1
    return _images(x, height, width)


@torch.library.custom_op("effcc::depthwise_of_x", mutates_args=())
def _of_x(
    grad: Tensor,
    taps: Tensor,
    routing: Tensor,
    kernel: int,
    stride: int,
    pads: list[int],
    size: list[int],
) -> Tensor:
    of_x = _images(grad, *size)
    _run_convolve(grad, taps, routing, None, of_x, kernel, stride, pads, reverse=True)
    return of_x


@_of_x.register_fake
def _(grad: Tensor, taps: Any, routing: Any, kernel: Any, stride: Any, pads: Any, size: list[int]):
    return _images(grad, *size)


@torch.library.custom_op("effcc::depthwise_of_kernels", mutates_args=())
def _of_kernels(
    x: Tensor,
    grad: Tensor,
    taps: Tensor,
    routing: Tensor,
    kernel: int,
    stride: int,
    pads: list[int],
) -> tuple[Tensor, Tensor]:
    batch, channels, height, width = x.shape
    x, grad = (t.contiguous(memory_format=torch.channels_last) for t in (x, grad))
    experts, padded = len(taps), _power_of_two(len(taps))
    rows = _power_of_two(kernel * kernel)
    columns = max(16, min(MIXED, EXPERTS // padded) // rows)
    blocks = _shares(channels, columns)
    samples = max(1, _shares(batch * blocks, PROGRAMS))
    groups = _shares(batch, samples)
    real = torch.float64 if x.dtype == torch.float64 else torch.float32
    of_taps = taps.new_empty((groups, *taps.shape), dtype=real)
    of_routing = taps.new_empty((blocks, batch, experts), dtype=real)
    with torch.cuda.device_of(x):
        KERNELS.correlate[(blocks * groups,)](
            x,
            grad,
            taps.contiguous(),
            routing.contiguous(),
            of_taps,
            of_routing,
            batch,
            samples,
            height,
            width,
            *grad.shape[2:],
            channels,
            STRIDE=stride,
            LEFT=pads[0],
            TOP=pads[2],
            KERNEL=kernel,
            EXPERTS=experts,
            EXPERTS_PADDED=padded,
            TAPS=rows,
            CHANNELS=columns,
            num_warps=KERNEL_WARPS,
            enable_fp_fusion=True,
        )
    return of_taps.sum(0).to(taps.dtype), of_routing.sum(0).to(routing.dtype)


@_of_kernels.register_fake
def _(x: Any, grad: Any, taps: Tensor, routing: Tensor, kernel: Any, stride: Any, pads: Any):
    return taps.new_empty(taps.shape), routing.new_empty(routing.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, taps, routing, shift, *ctx.how = inputs
    if shift is not None:
        raise ValueError("depthwise with a shift only predicts: call it in torch.inference_mode()")
    ctx.save_for_backward(x, taps, routing)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, taps, routing = ctx.saved_tensors
    of_x = of_taps = of_routing = None
    if ctx.needs_input_grad[0]:
        of_x = _of_x(grad, taps, routing, *ctx.how, x.shape[2:])
    if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
        of_taps, of_routing = _of_kernels(x, grad, taps, routing, *ctx.how)
    return of_x, of_taps, of_routing, None, None, None, None


_depthwise.register_autograd(_backward, setup_context=_keep)


def _images(like: Tensor, height: int, width: int) -> Tensor:
    """Room for images of another size, channels-last."""
    return torch.empty(
        (*like.shape[:2], height, width),
        dtype=like.dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )


def _run_convolve(
    x: Tensor,
    taps: Tensor,
    routing: Tensor,
    shift: Tensor | None,
    y: Tensor,
    kernel: int,
    stride: int,
    pads: list[int],
    *,
    reverse: bool,
) -> None:
    """Fill y, channels-last, from x; with `reverse` from its gradient."""
    batch, channels, height, width = y.shape
    x = x.contiguous(memory_format=torch.channels_last)
    programs = batch * _shares(height * width, PIXELS) * _shares(channels, CHANNELS)
    with torch.cuda.device_of(x):
        KERNELS.convolve[(programs,)](
            x,
            taps.contiguous(),
            routing.contiguous(),
            shift,
            y,
            *x.shape[2:],
            height,
            width,
            channels,
            STRIDE=stride,
            LEFT=pads[0],
            TOP=pads[2],
            KERNEL=kernel,
            EXPERTS=len(taps),
            REVERSE=reverse,
            PIXELS=PIXELS,
            CHANNELS=CHANNELS,
            num_warps=WARPS,
            enable_fp_fusion=True,
        )


def _shares(number: int, size: int) -> int:
    """How many shares of that size it takes."""
    return -(-number // size)


def _power_of_two(number: int) -> int:
    """The next one that is not smaller: the sides that a tile may have."""
    return 1 << (number - 1).bit_length()
