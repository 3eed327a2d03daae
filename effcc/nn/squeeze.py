"""Channel gates from the global average (squeeze-and-excite, arXiv:1709.01507).

On processors the gate and the average share their passes over the map on the way back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from effcc.nn import native


class SqueezeExcite(nn.Module):
    """x times sigmoid(expand(silu(reduce(average of x)))), channel by channel."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, squeezed, 1)
        self.conv_expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Gate x (batch, channels, height, width)."""
        # On a 1x1 map a convolution is a matrix product; asking for that one is several times
        # faster.
        weights = self.conv_reduce.weight.flatten(1), self.conv_expand.weight.flatten(1)
        biases = self.conv_reduce.bias, self.conv_expand.bias
        if torch.is_grad_enabled() and native.takes(x):
            return _Excite.apply(x, weights[0], biases[0], weights[1], biases[1])  # pyright: ignore[reportReturnType]
        squeezed = F.silu(F.linear(x.mean((2, 3)), weights[0], biases[0]))
        return x * F.linear(squeezed, weights[1], biases[1]).sigmoid()[:, :, None, None]


class _Excite(torch.autograd.Function):
    """First derivatives only."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        reduce: Tensor,
        reduce_bias: Tensor,
        expand: Tensor,
        expand_bias: Tensor,
    ) -> Tensor:
        average = x.mean((2, 3))
        hidden = F.linear(average, reduce, reduce_bias)
        gate = F.linear(F.silu(hidden), expand, expand_bias).sigmoid()
        y = torch.empty_like(x)
        native.call("effcc_gate", *_shape(x), x, gate, y)
        ctx.save_for_backward(x, average, hidden, gate, reduce, expand)
        return y

    @staticmethod
    @once_differentiable  # which hides the names that torch's declaration has
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, average, hidden, gate, reduce, expand = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        to_gate, to_x = torch.empty_like(gate), torch.empty_like(x)
        native.call("effcc_gate_sums", *_shape(x), dy, x, to_gate)
        before_sigmoid = to_gate * gate * (1 - gate)
        share = hidden.sigmoid()
        before_silu = (before_sigmoid @ expand) * (share + hidden * share * (1 - share))
        offset = (before_silu @ reduce) * (gate.numel() / x.numel())  # the average's share
        native.call("effcc_gate_to_input", *_shape(x), dy, gate, offset, to_x)
        return (
            to_x,
            before_silu.t() @ average,
            before_silu.sum(0),
            before_sigmoid.t() @ F.silu(hidden),
            before_sigmoid.sum(0),
        )


def _shape(x: Tensor) -> tuple[int, int, int]:
    batch, channels, height, width = x.shape
    return batch, height * width, channels
