"""The averaged weights that are evaluated, as the authors average them.

Lightning's `WeightAveraging` saves, restores and swaps the two sets of weights. What differs here:
the decay warms up as TensorFlow's does, the average starts from the initial weights, and a step is
one call over all tensors instead of one per tensor.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn


class Ema(WeightAveraging):
    """Exponential moving average of weights and batch-norm statistics.

    After optimiser step n (from 1) the average keeps min(decay, (1 + n) / (10 + n)) of itself,
    which is tf.train.ExponentialMovingAverage with `num_updates`.
    """

    def __init__(self, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self._swapped = False

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
            update(self._average_model.module, pl_module, self.decay, trainer.global_step)
            self._average_model.n_averaged += 1

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Stopped during validation: put both back, so that the checkpoint has them in place."""
        if self._swapped:
            self._swap_models(pl_module)

    def _swap_models(self, pl_module: L.LightningModule) -> None:
        assert self._average_model is not None
        self._swapped = not self._swapped
        averages, values = tensors(self._average_model.module), tensors(pl_module)
        kept = [value.clone() for value in values]
        torch._foreach_copy_(values, averages)
        torch._foreach_copy_(averages, kept)


@torch.no_grad()
def update(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move `average` towards `model`, in place; `step` counts optimiser steps from 1."""
    keep = min(decay, (1 + step) / (10 + step))
    averages, values = tensors(average), tensors(model)
    floats = [i for i, value in enumerate(values) if value.is_floating_point()]
    torch._foreach_lerp_([averages[i] for i in floats], [values[i] for i in floats], 1 - keep)
    for old, new in zip(averages, values, strict=True):
        if not new.is_floating_point():
            old.copy_(new)


def tensors(model: nn.Module) -> list[Tensor]:
    """All parameters and buffers, without their history."""
    return [tensor.detach() for tensor in (*model.parameters(), *model.buffers())]
