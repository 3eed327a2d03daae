"""Batch norm whose statistics are those of all processes: torch has it for accelerators only.

Mean and variance are taken in two passes, as the one-process kernel takes them: the mean of the
squares less the square of the mean would lose the digits that the two have in common.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, which must be of one size.

    Outside training, and in a process of its own, it is `nn.BatchNorm2d`.
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
        return centred * scale[:, None, None] + self.bias[:, None, None]


def synced(model: nn.Module) -> nn.Module:
    """The same model with its batch norms synchronised; their tensors stay the same objects."""
    return _replaced(model, nn.BatchNorm2d, SyncedBatchNorm2d)


def local(model: nn.Module) -> nn.Module:
    """The same model with its batch norms on their own again."""
    return _replaced(model, SyncedBatchNorm2d, nn.BatchNorm2d)


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


def _replaced(model: nn.Module, old: type[nn.BatchNorm2d], new: type[nn.BatchNorm2d]) -> nn.Module:
    for parent in list(model.modules()):
        for name, norm in parent.named_children():
            if type(norm) is old:
                other = new(norm.num_features, norm.eps, norm.momentum)
                other.weight, other.bias = norm.weight, norm.bias
                for buffer, value in norm.named_buffers():
                    other.register_buffer(buffer, value)
                setattr(parent, name, other.train(norm.training))
    return model
