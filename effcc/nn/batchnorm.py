"""Batch norm with the activation behind it, and with the statistics of all processes.

On processors the two are computed together, a pass for the statistics and a pass for the values,
and only the input is kept for the way back. Mean and variance are taken around a value near the
mean: the mean of the squares less the square of the mean would lose the digits that the two have
in common.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from effcc.nn import native


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm, and SiLU behind it if `activate`; names and state are those of torch's."""

    def __init__(
        self, num_features: int, eps: float, momentum: float | None, activate: bool = False
    ) -> None:
        super().__init__(num_features, eps, momentum)
        self.activate = activate

    def forward(self, input: Tensor) -> Tensor:
        """Normalise a batch (batch, channels, height, width)."""
        if self.training and self.momentum is not None and native.takes(input):
            return self._together(input)
        return self._activated(super().forward(input))

    def _activated(self, y: Tensor) -> Tensor:
        if not self.activate:
            return y
        return F.silu(y, inplace=not y.requires_grad)

    def _together(self, input: Tensor) -> Tensor:
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        y, mean, variance = _Normalise.apply(input, self.weight, self.bias, self.eps, self.activate)  # pyright: ignore[reportGeneralTypeIssues]
        number = input.numel() // input.shape[1]
        if number == 1:
            raise ValueError("batch norm needs more than one value per channel when training")
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (number / (number - 1)), self.momentum)
        return y


class SyncedBatchNorm2d(BatchNorm2d):
    """Batch norm over the batches of all processes, which must be of one size.

    Outside training, and in a process of its own, it is `BatchNorm2d`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise a batch (batch, channels, height, width)."""
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        if not self.training or not dist.is_initialized():
            return super().forward(input)
        ranks = dist.get_world_size()
        mean = _Sum.apply(input.mean((0, 2, 3))) / ranks  # (channels,)
        centred = input - mean[:, None, None]
        variance = _Sum.apply(centred.square().mean((0, 2, 3))) / ranks
        with torch.no_grad():
            number = ranks * input.numel() // input.shape[1]
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (number / (number - 1)), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return self._activated(centred * scale[:, None, None] + self.bias[:, None, None])


def synced(model: nn.Module) -> nn.Module:
    """The same model with its batch norms synchronised; their tensors stay the same objects."""
    return _replaced(model, BatchNorm2d, SyncedBatchNorm2d)


def local(model: nn.Module) -> nn.Module:
    """The same model with its batch norms on their own again."""
    return _replaced(model, SyncedBatchNorm2d, BatchNorm2d)


class _Normalise(torch.autograd.Function):
    """Batch norm's training form, and SiLU, with mean and variance (biased) beside them.

    First derivatives only, of the normalised values alone.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, activate: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        pixels, channels = x.numel() // x.shape[1], x.shape[1]
        moments = x.new_empty(2, channels)
        native.call("effcc_moments", pixels, channels, x, _scratch(x), moments[0], moments[1])
        mean, variance = moments
        inverse = (variance + eps).rsqrt()
        scale = weight * inverse
        shift = bias - mean * scale
        y = torch.empty_like(x)
        native.call("effcc_scale", pixels, channels, activate, x, scale, shift, y)
        ctx.save_for_backward(x, mean, inverse, scale, shift)
        ctx.activate = activate
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @once_differentiable  # which hides the names that torch's declaration has
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, mean, inverse, scale, shift = ctx.saved_tensors
        pixels, channels = x.numel() // x.shape[1], x.shape[1]
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        shape, sums = (pixels, channels, ctx.activate), x.new_empty(2, channels)
        given = (x, dy, mean, scale, shift)
        native.call("effcc_norm_sums", *shape, *given, _scratch(x), sums[0], sums[1])
        to_bias, to_weight = sums[0], sums[1] * inverse
        slope, offset = -scale * inverse * to_weight / pixels, -scale * to_bias / pixels
        to_x = torch.empty_like(x)
        native.call("effcc_norm_to_input", *shape, *given, slope, offset, to_x)
        return to_x, to_weight, to_bias, None, None


def _scratch(x: Tensor) -> Tensor:
    return x.new_empty(native.call("effcc_norm_scratch", x.numel() // x.shape[1], x.shape[1]))


class _Sum(torch.autograd.Function):
    """The sum over processes; each process's share of the gradient is the sum of all gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _replaced(model: nn.Module, old: type[BatchNorm2d], new: type[BatchNorm2d]) -> nn.Module:
    for parent in list(model.modules()):
        for name, norm in parent.named_children():
            if type(norm) is old:
                other = new(norm.num_features, norm.eps, norm.momentum, norm.activate)
                other.weight, other.bias = norm.weight, norm.bias
                for buffer, value in norm.named_buffers():
                    other.register_buffer(buffer, value)
                setattr(parent, name, other.train(norm.training))
    return model
