"""What happens as epochs end: checkpoints are kept, and figures collected for the record."""

from __future__ import annotations

import math
import time
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

# A checkpoint of the large variant takes half a second to write, an epoch on digits five.
KEEP_EVERY_SECONDS = 60


class Keeper(ModelCheckpoint):
    """Writes `last.ckpt` once a minute, as epochs end, and when training does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            "last",
            save_on_exception=True,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
        self._written = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write, if it is time."""
        done = trainer.should_stop or trainer.global_step >= trainer.estimated_stepping_batches
        due = time.monotonic() - self._written > KEEP_EVERY_SECONDS
        # Writing waits for every rank, so one clock decides for all.
        if trainer.strategy.broadcast(done or due):
            super().on_train_epoch_end(trainer, pl_module)
            self._written = time.monotonic()


class Curve(L.Callback):
    """The figures of every epoch, for the record."""

    def __init__(self) -> None:
        self.points: tuple[dict[str, float], ...] = ()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add a point; validation has run by then."""
        point: dict[str, float] = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        point["lr"] = float(f"{trainer.optimizers[0].param_groups[0]['lr']:.4g}")
        for name in ("train_loss", "val_loss", "val_top1"):
            # Validation of which no image could be read has no figures.
            if math.isfinite(value := float(trainer.callback_metrics.get(name, math.nan))):
                point[name] = round(value, 4)
        self.points += (point,)
