"""The figures of a run for its record: a point an epoch, and what they took."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning as L
import torch
from torch import Tensor

# The figures of a validation; those of the raw weights are where there are averaged ones.
_VALIDATED = ("val_loss", "val_top1", "val_top5")


class Curve(L.Callback):
    """The figures of every epoch, and the steps and seconds spent, over all parts of a run.

    They are kept in checkpoints, so that a run that was stopped or killed has the curve of one that
    was not. What was done after the checkpoint that it went on from does not count: it was lost.
    """

    def __init__(self) -> None:
        self.points: tuple[dict[str, float], ...] = ()
        self._steps, self._seconds = 0, 0.0  # of the parts before
        self._from, self._started = 0, time.monotonic()  # of this one
        self._loss: Tensor | float = 0.0  # sum over batches; a tensor, not to wait for the device
        self._batches = 0
        self._validated = False  # in this epoch

    @property
    def seconds(self) -> float:
        """Wall time, validation included."""
        return self._seconds + time.monotonic() - self._started

    def steps(self, trainer: L.Trainer) -> int:
        """Optimiser steps."""
        return self._steps + trainer.global_step - self._from

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count from here."""
        self._from = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the batch's loss."""
        self._loss = self._loss + outputs["loss"] * trainer.accumulate_grad_batches
        self._batches += 1

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """An epoch without validation must not show the figures of the one before."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a point; validation has run by then."""
        epoch = trainer.current_epoch + 1
        point: dict[str, float] = {"epoch": epoch, "step": trainer.global_step}
        point["lr"] = float(f"{trainer.optimizers[0].param_groups[0]['lr']:.4g}")
        if self._batches:
            point["train_loss"] = round(self._sum(trainer) / self._batches, 4)
        for name in (*_VALIDATED, *(f"raw_{name}" for name in _VALIDATED)):
            value = float(trainer.callback_metrics.get(name, math.nan))
            # Validation of which no image could be read has no figures.
            if self._validated and math.isfinite(value):
                point[name] = round(value, 4)
        self.points = (*(p for p in self.points if p["epoch"] != epoch), point)
        self._loss, self._batches, self._validated = 0.0, 0, False

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep what there is, a begun epoch included."""
        checkpoint["curve"] = {
            "points": list(self.points),
            "steps": self.steps(trainer),
            "seconds": self.seconds,
            "loss": self._sum(trainer),
            "batches": self._batches,
        }

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from what was kept."""
        if found := checkpoint.get("curve"):
            self.points = tuple(found["points"])
            self._steps, self._seconds = found["steps"], found["seconds"]
            self._loss, self._batches = found["loss"], found["batches"]

    def _sum(self, trainer: L.Trainer) -> float:
        """The losses' sum, the mean over devices."""
        loss = torch.as_tensor(self._loss, device=trainer.strategy.root_device)
        return float(trainer.strategy.reduce(loss, reduce_op="mean"))
