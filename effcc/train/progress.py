"""What a person sees while training: a bar for the run, or lines off a terminal."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from effcc.data.loader import Batch

# Off a terminal, an epoch that takes longer says at this interval how far it is.
LINE_EVERY_SECONDS = 60


class RunProgress(ProgressBar):
    """Epochs, steps, speed, time left and the latest figures of a fit.

    Off a terminal that is a line an epoch, and a line a minute within an epoch.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console
        self._bar: Progress | None = None
        self._started = 0.0  # the run here, and the step it started from
        self._from = 0
        self._epoch_started = self._said = self._paused = 0.0
        self._images = 0  # of this epoch, over all devices

    def disable(self) -> None:
        """Lightning asks ranks other than the first to be quiet."""
        self.console = Console(quiet=True)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar at the step the run starts from."""
        self._started, self._from = time.monotonic(), trainer.global_step
        # Of an epoch that goes on within, Lightning does not say that it starts.
        self._epoch_started = self._said = self._started
        if self.console.is_terminal:
            self._bar = Progress(
                *_columns(self.console.width),
                console=self.console,
                expand=True,
                refresh_per_second=4,
            )
            total = trainer.estimated_stepping_batches
            self._task = self._bar.add_task(
                "epoch 1", total=total, completed=trainer.global_step, figures="", speed=""
            )
            self._bar.start()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count the epoch's images from here."""
        self._epoch_started = self._said = time.monotonic()
        self._images = 0

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Move the bar, or say how far a long epoch is."""
        self._images += len(batch.labels) * trainer.world_size
        now = time.monotonic()
        if self._bar:
            self._bar.update(
                self._task,
                completed=trainer.global_step,
                description=f"epoch {self._epoch(trainer)}",
                speed=self._speed(now),
            )
        elif now - self._said > LINE_EVERY_SECONDS:
            self._said = now
            loss = float(outputs["loss"]) * trainer.accumulate_grad_batches
            done = f"batch {batch_idx + 1:,} of {trainer.num_training_batches:,}"
            self._line(trainer, f"{done}  loss {loss:.3f}", self._speed(now))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the epoch's clock, which is for training."""
        self._paused = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let it go on."""
        self._epoch_started += time.monotonic() - self._paused

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the epoch's figures; validation has run by then."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        figures = f"loss {values['train_loss']:.3f}" if "train_loss" in values else ""
        if "val_top1" in values:
            figures += f"  val top-1 {100 * values['val_top1']:.1f} %"
        if self._bar:
            self._bar.update(self._task, figures=figures)
        else:
            self._line(trainer, figures, self._speed(time.monotonic()))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that the message has the terminal to itself."""
        self._close()

    def _line(self, trainer: L.Trainer, figures: str, speed: str) -> None:
        spent, steps = time.monotonic() - self._started, trainer.global_step - self._from
        left = spent * (trainer.estimated_stepping_batches - trainer.global_step) / max(1, steps)
        ahead = f", about {clock(left)} left" if math.isfinite(left) else ""  # max_epochs: -1
        self.console.print(
            f"epoch {self._epoch(trainer)}  {figures}  {speed}  {clock(spent)} spent{ahead}",
            highlight=False,
        )

    def _epoch(self, trainer: L.Trainer) -> str:
        done, last = trainer.current_epoch + 1, trainer.max_epochs
        return f"{done}/{last}" if last and last > 0 else f"{done}"

    def _speed(self, now: float) -> str:
        rate = self._images / max(1e-9, now - self._epoch_started)
        return f"{rate:,.0f} images/s" if rate >= 10 else f"{rate:.1f} images/s"

    def _close(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None


def _columns(width: int) -> list[ProgressColumn]:
    """What fits on a line; the bar takes the room that is left."""
    short, details = Column(no_wrap=True), list[ProgressColumn]()
    if width >= 120:
        details = [MofNCompleteColumn(table_column=short), TextColumn("steps")]
        details += [TimeElapsedColumn(table_column=short)]
    return [
        TextColumn("[bold]{task.description}", table_column=short),
        BarColumn(None, table_column=Column(ratio=1)),
        TaskProgressColumn(table_column=short),
        *details,
        TextColumn("left"),
        TimeRemainingColumn(table_column=short, elapsed_when_finished=False),
        TextColumn("{task.fields[speed]}", table_column=short),
        TextColumn("{task.fields[figures]}", table_column=short),
    ]


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
