"""The averaged weights that are evaluated, as the authors average them.

Lightning's `WeightAveraging` saves, restores and swaps the two sets of weights. What differs here:
the decay warms up as TensorFlow's does, the average starts from the initial weights, and a step is
one call over all tensors instead of one per tensor.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import AveragedModel

from effcc.ground.errors import UsageError
from effcc.nn import native


class Ema(WeightAveraging):
    """Exponential moving average of weights and batch-norm statistics.

    After optimiser step n (from 1) the average keeps min(decay, (1 + n) / (10 + n)) of itself,
    which is tf.train.ExponentialMovingAverage with `num_updates`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self._swapped = False
        self._pairs: Pairs | None = None

    @property
    def other(self) -> nn.Module:
        """The network with the weights that the module does not have now.

        The averages, but while it validates: then the weights that train.
        """
        assert self._average_model is not None
        return self._average_model.module

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Start from the initial weights."""
        if stage == "fit":
            device = pl_module.device
            self._average_model = AveragedModel(pl_module, device=device, use_buffers=True).eval()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give the averages the precision that the strategy has given the weights by now.

        Raises:
            UsageError: it is half, in which a small share of a value is nothing.
        """
        assert self._average_model is not None
        dtype = next(pl_module.parameters()).dtype
        if dtype in (torch.float16, torch.bfloat16):
            raise UsageError(
                "trainer.precision: half has too few digits for averaged weights; say bf16-mixed, "
                "or --recipe.ema_decay 0"
            )
        self._average_model.to(dtype)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Fold the weights in after each optimiser step; gradients may accumulate over batches."""
        if trainer.global_step > self._latest_update_step:
            assert self._average_model is not None
            self._latest_update_step = trainer.global_step
            # Found once: walking the modules at every step takes as long as the arithmetic.
            self._pairs = self._pairs or pairs(self._average_model.module, pl_module)
            fold(self._pairs, self.decay, trainer.global_step)
            self._average_model.n_averaged += 1

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Stopped during validation: put both back, so that the checkpoint has them in place."""
        if self._swapped:
            self._swap_models(pl_module)

    def _copy_average_to_current(self, pl_module: L.LightningModule) -> None:
        assert self._average_model is not None
        torch._foreach_copy_(tensors(pl_module), tensors(self._average_model.module))

    def _swap_models(self, pl_module: L.LightningModule) -> None:
        assert self._average_model is not None
        self._swapped = not self._swapped
        averages, values = tensors(self._average_model.module), tensors(pl_module)
        kept = [value.clone() for value in values]
        torch._foreach_copy_(values, averages)
        torch._foreach_copy_(averages, kept)


# (averages, values) of what torch averages, of the counters that are copied, and of what the layers
# in C average, pair by pair.
Pairs = tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor], list[tuple[Tensor, Tensor]]]


def update(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move `average` towards `model`, in place; `step` counts optimiser steps from 1."""
    fold(pairs(average, model), decay, step)


@torch.no_grad()
def fold(found: Pairs, decay: float, step: int) -> None:
    """`update`, on tensors that were found before."""
    averages, values, old_counts, counts, dense = found
    share = 1 - min(decay, (1 + step) / (10 + step))
    for average, value in dense:
        native.call("effcc_average", value.numel(), share, value, average)
    if averages:
        torch._foreach_lerp_(averages, values, share)
    if counts:
        torch._foreach_copy_(old_counts, counts)


def pairs(average: nn.Module, model: nn.Module) -> Pairs:
    """The tensors of two models of one shape, floats apart from counters."""
    both = list(zip(tensors(average), tensors(model), strict=True))
    dense, rest = [], []
    for pair in both:
        (dense if native.together(*pair) else rest).append(pair)
    floats = [pair for pair in rest if pair[0].is_floating_point()]
    counts = [pair for pair in both if not pair[0].is_floating_point()]
    return (
        [old for old, _ in floats],
        [new for _, new in floats],
        [old for old, _ in counts],
        [new for _, new in counts],
        dense,
    )


def of_first_rank(model: nn.Module) -> None:
    """Take over the batch-norm statistics of the first rank: each has those of its own images."""
    for buffer in model.buffers():
        dist.broadcast(buffer, 0)


def tensors(model: nn.Module) -> list[Tensor]:
    """All parameters and buffers, without their history; of sharded ones, this process's part."""
    found = (tensor.detach() for tensor in (*model.parameters(), *model.buffers()))
    return [tensor.to_local() if isinstance(tensor, DTensor) else tensor for tensor in found]
