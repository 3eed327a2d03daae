"""Conditionally parameterised convolution: every sample has its own mix of expert kernels.

The definition is `condconv_loop`, eight lines that can be read against the paper (arXiv:1904.04971,
section 3): kernel(sample) = sum over experts of routing[sample, expert] * kernel[expert]. It is
slow. `condconv` computes the same thing by whichever rearrangement suits the shape:

- pointwise, small maps: convolve with all experts in one matrix product, then mix the *outputs*.
  No kernel per sample exists, forward or backward.
- pointwise, large maps: mix the kernels in one matrix product, then one batched product.
- depthwise, tiny maps: write each kernel as the small matrix it is on that map, mix the matrices.
- depthwise, larger maps: mix the kernels, then convolve each sample with its own: in C on
  processors, elsewhere as one convolution with a group per sample and channel.

On CUDA devices `EFFCC_TRITON=1` replaces both depthwise forms by `depthwise_triton`, tested
but not yet timed on a GPU, so it is off unless asked for.

Second derivatives go through every path but those in C and Triton, which refuse them; in double
precision, which C does not know, they are all torch's operations.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effcc.nn import native
from effcc.nn.depthwise import depthwise
from effcc.nn.padding import outputs, pads

# Moving one float to memory and back costs about as much as this many multiply-accumulates. It
# decides where mixing kernels (memory) beats convolving with every expert (arithmetic); only speed
# depends on it.
MACS_PER_FLOAT_MOVED = 40
# A depthwise kernel becomes a matrix when it has at most this many entries (pixels out * pixels
# in).
SMALL_MAP = 64
# Read once: a compiled network cannot watch its environment.
TRITON = os.environ.get("EFFCC_TRITON") == "1"


def condconv_loop(
    x: Tensor,
    weight: Tensor,
    routing: Tensor,
    *,
    kernel: int,
    stride: int,
    groups: int,
    padding: str,
) -> Tensor:
    """The definition of CondConv, one sample at a time: the reference for `condconv`.

    Args:
        x: images, (batch, in, height, width).
        weight: one flattened kernel per expert, (experts, out * in / groups * kernel * kernel).
        routing: each sample's weight for each expert, (batch, experts).
        kernel: side of the kernel in pixels.
        stride: step of the kernel in pixels.
        groups: 1 (dense) or `in` (depthwise).
        padding: `same` or `symmetric`, see `pads`.

    Returns:
        (batch, out, height / stride, width / stride), rounded up.
    """
    padded = F.pad(x, pads(x, kernel, stride, padding))
    kernels = weight.view(len(weight), -1, x.shape[1] // groups, kernel, kernel)
    outputs = []
    for image, weights in zip(padded, routing, strict=True):
        mixed = torch.stack([w * k for w, k in zip(weights, kernels, strict=True)]).sum(0)
        outputs.append(F.conv2d(image[None], mixed, stride=stride, groups=groups))
    return torch.cat(outputs)


def condconv(
    x: Tensor,
    weight: Tensor,
    routing: Tensor,
    *,
    kernel: int,
    stride: int,
    groups: int,
    padding: str,
) -> Tensor:
    """`condconv_loop`, fast: same arguments, same values and gradients up to rounding.

    Raises:
        ValueError: the convolution is neither pointwise (1x1, dense, unstrided) nor depthwise.
    """
    if kernel == stride == groups == 1:
        return _pointwise(x, weight, routing)
    if groups == x.shape[1] and weight.shape[1] == groups * kernel * kernel:
        return _depthwise(x, weight, routing, kernel, stride, padding)
    raise ValueError(
        "condconv is pointwise (kernel 1, stride 1, groups 1) or depthwise (groups = in = out)"
    )


def _pointwise(x: Tensor, weight: Tensor, routing: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    experts, area = len(weight), height * width
    pixels = x.permute(0, 2, 3, 1).reshape(batch, area, channels)  # a view when channels-last
    if area * experts <= area + experts + MACS_PER_FLOAT_MOVED:
        every = pixels @ weight.view(-1, channels).t()  # (batch, area, experts * out)
        y = (every.view(batch, area, experts, -1) * routing[:, None, :, None]).sum(2)
    else:
        mixed = (routing @ weight).view(batch, -1, channels)  # (batch, out, in)
        y = pixels @ mixed.transpose(1, 2)
    return y.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _depthwise(
    x: Tensor, weight: Tensor, routing: Tensor, kernel: int, stride: int, padding: str
) -> Tensor:
    batch, channels, height, width = x.shape
    left, right, top, bottom = around = pads(x, kernel, stride, padding)
    if TRITON and x.is_cuda and not torch.compiler.is_exporting():
        from effcc.nn import depthwise_triton

        return depthwise_triton.depthwise(
            x, weight, routing, kernel=kernel, stride=stride, pads=around
        )
    out_height = outputs(height, kernel, stride, padding)
    out_width = outputs(width, kernel, stride, padding)
    if height * width * out_height * out_width <= SMALL_MAP:
        rows = taps_to_pairs(height, out_height, kernel, stride, top, x)
        columns = taps_to_pairs(width, out_width, kernel, stride, left, x)
        pairs = torch.einsum("iph,jqw->ijpqhw", rows, columns).reshape(kernel * kernel, -1)
        matrices = (weight.view(-1, channels, kernel * kernel) @ pairs).transpose(1, 2)
        mixed = (routing @ matrices.flatten(1)).view(batch, -1, height * width, channels)
        pixels = x.permute(0, 2, 3, 1).reshape(batch, 1, -1, channels)
        y = (mixed * pixels).sum(2)
        return y.view(batch, out_height, out_width, channels).permute(0, 3, 1, 2)
    if native.takes(x):
        return depthwise(x, weight, routing, kernel=kernel, stride=stride, padding=padding)
    even = left if left == right == top == bottom else 0
    if not even:  # what the convolution cannot do itself, with a copy
        x = F.pad(x, (left, right, top, bottom))
    grouped = x.reshape(1, batch * channels, *x.shape[2:])
    mixed = (routing @ weight).view(batch * channels, 1, kernel, kernel)
    y = F.conv2d(grouped, mixed, stride=stride, padding=even, groups=batch * channels)
    return y.view(batch, channels, out_height, out_width)


def taps_to_pairs(
    size: int, outputs: int, kernel: int, stride: int, before: int, like: Tensor
) -> Tensor:
    """Which input pixel each tap of a one-dimensional kernel reads for each output: ones and zeros.

    Multiplying a kernel by it gives the convolution as a small matrix. Taps that only ever meet
    padding have empty rows: a 5x5 kernel on a 1x1 map is its centre.

    Returns:
        (kernel, outputs, size), of the dtype and device of `like`.
    """
    tap = torch.arange(kernel, device=like.device)[:, None, None]
    output = torch.arange(outputs, device=like.device)[None, :, None]
    pixel = torch.arange(size, device=like.device)
    return (output * stride + tap - before == pixel).to(like.dtype)


class CondConv2d(nn.Module):
    """A convolution with `experts` kernels, mixed for each sample by the routing it is given.

    The weight is stored flat, (experts, out * in / groups * kernel * kernel): published checkpoints
    depend on that shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int,
        groups: int,
        experts: int,
        padding: str,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.groups, self.padding = kernel, stride, groups, padding
        self.out_channels = out_channels
        self.weight = nn.Parameter(
            torch.empty(experts, out_channels * in_channels // groups * kernel * kernel)
        )

    def forward(self, x: Tensor, routing: Tensor) -> Tensor:
        """Convolve x (batch, in, height, width) with kernels mixed by routing (batch, experts)."""
        return condconv(
            x,
            self.weight,
            routing.to(x.dtype),
            kernel=self.kernel,
            stride=self.stride,
            groups=self.groups,
            padding=self.padding,
        )
