"""What a person sees while training: a bar for the run, or a line an epoch off a terminal."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class RunProgress(ProgressBar):
    """Epochs, steps, time left and the latest validation figures of a fit."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self._bar: Progress | None = None
        self._started = 0.0

    def disable(self) -> None:
        """Lightning asks ranks other than the first to be quiet."""
        self.console = Console(quiet=True)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar at the step the run starts from."""
        self._started = time.monotonic()
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("steps"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(elapsed_when_finished=False),
                TextColumn("{task.fields[figures]}"),
                console=self.console,
                refresh_per_second=4,
            )
            total = trainer.estimated_stepping_batches
            self._task = self._bar.add_task(
                "epoch 1", total=total, completed=trainer.global_step, figures=""
            )
            self._bar.start()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bar."""
        if self._bar:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._bar.update(self._task, completed=trainer.global_step, description=epoch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the epoch's figures; validation has run by then."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        figures = f"loss {values['train_loss']:.3f}" if "train_loss" in values else ""
        if "val_top1" in values:
            figures += f"  val top-1 {100 * values['val_top1']:.1f} %"
        if self._bar:
            self._bar.update(self._task, figures=figures)
        else:
            done, spent = trainer.current_epoch + 1, time.monotonic() - self._started
            total = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else done
            left = spent * (trainer.estimated_stepping_batches / max(1, trainer.global_step) - 1)
            self.console.print(
                f"epoch {done}/{total}  {figures}  {clock(spent)} spent, about {clock(left)} left",
                highlight=False,
            )

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that the message has the terminal to itself."""
        self._close()

    def _close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
