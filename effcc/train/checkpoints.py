"""Checkpoints of a run: when they are written, that they are whole, and which one is the last.

A run keeps two: `last.ckpt`, and `previous.ckpt`, which was the last before. Both are only ever
renamed into place, so that there is a whole one at any moment, whatever ends the process.
"""

from __future__ import annotations

import math
import os
import time
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint as CheckpointCallback
from lightning.pytorch.plugins.io import TorchCheckpointIO

from effcc.ground.errors import UsageError
from effcc.nn import weights
from effcc.nn.weights import BadCheckpoint, Checkpoint
from effcc.train.guard import Finite, NotFinite, Unwritable
from effcc.train.signals import Signals, Stopped

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
# In a run's folder: which torchrun started it, so that it goes on when that starts it again.
LAUNCH = "launch.txt"

# Written so often, but for no more than this share of the time: a large one on a slow disk is
# written less often.
KEEP_EVERY_SECONDS = 60.0
KEEP_SHARE = 0.02

# Several processes ask each other every so many steps: an answer is a wait for all their devices.
ASK_EVERY = 16


class Keeper(CheckpointCallback):
    """Writes the last checkpoint: after the first step, in intervals, at the end, and on a signal.

    It writes only where a continued run would go on with the same bits: after an optimiser step,
    when no gradients of accumulated batches are pending. The last step of an epoch counts as
    part of its end; a run that is stopped during the validation there repeats the validation.

    Args:
        folder: of the run.
        signals: whether somebody asked the run to stop.
        finite: whether the weights are worth keeping.
        every: seconds between two checkpoints.
        share: of the time, that writing may take.
    """

    def __init__(
        self,
        folder: Path,
        signals: Signals,
        finite: Finite,
        *,
        every: float = KEEP_EVERY_SECONDS,
        share: float = KEEP_SHARE,
    ) -> None:
        self.path = folder / LAST
        self.signals, self.finite = signals, finite
        self.every, self.share = every, share
        self._due = -math.inf  # a full disk shows at the first step, not in the night
        self._step, self._written = 0, -1
        self._whole = False  # whether the run stands between two optimiser steps
        self._failed = False  # whether one could not be written

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """All processes name the first one's file, and write it whole."""
        self.path = trainer.strategy.broadcast(self.path)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = WholeFiles()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin at the step that the run goes on from."""
        self._step = trainer.global_step

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """From here on, weights and counts do not belong together."""
        self._whole = False

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write, if it is time; stop, if somebody asked for it."""
        if trainer.global_step == self._step:  # accumulating
            return
        self._step, self._whole = trainer.global_step, True
        asking = trainer.world_size == 1 or self._step % ASK_EVERY == 0 or self._written < 0
        if asking and not trainer.is_last_batch and self._step != trainer.max_steps:
            self._act(trainer)

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any, **__: Any) -> None:
        """Stop, if somebody asked for it; of several processes, each would be at another batch."""
        if self.signals.received and trainer.world_size == 1:
            raise Stopped

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write, if it is time or training is over; stop, if somebody asked for it."""
        over = trainer.should_stop or trainer.global_step >= trainer.estimated_stepping_batches
        self._act(trainer, over)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Write what was done, if it is whole; others of several processes may not be there."""
        useless = self._failed or isinstance(exception, KeyboardInterrupt | NotFinite)
        written = self._written == trainer.global_step
        if self._whole and not (useless or written) and trainer.world_size == 1:
            with suppress(Unwritable):  # the error that ends the run has the word
                self._write(trainer)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Have a validation that was not finished repeated from its start."""
        if trainer.validating:
            # The counts by which Lightning knows a validation that was interrupted: one batch was
            # begun, none is done.
            progress = checkpoint["loops"]["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            nothing = dict.fromkeys(progress["current"], 0)
            progress |= {"current": nothing, "total": nothing | {"ready": 1, "started": 1}}

    def _act(self, trainer: L.Trainer, over: bool = False) -> None:
        any_of = trainer.strategy.reduce_boolean_decision
        stop = any_of(self.signals.received is not None, all=False)
        if over or stop or any_of(time.monotonic() >= self._due, all=False):
            self._write(trainer)
        if stop:
            raise Stopped

    def _write(self, trainer: L.Trainer) -> None:
        self.finite.vouch(trainer)
        started, failure = time.monotonic(), ""
        try:
            trainer.save_checkpoint(self.path)
        except OSError as error:
            self._failed = True
            failure = f"{self.path}: cannot be written: {error.strerror}"
            trainer.strategy.barrier()  # the others wait there, who had nothing to write
        if failure := trainer.strategy.broadcast(failure):
            raise Unwritable(failure)
        now = time.monotonic()
        self._written = trainer.global_step
        self._due = now + max(self.every, (now - started) / self.share)


class BySteps(L.Callback):
    """Has a run whose length is given in steps go on as one whose length is given in epochs.

    Lightning takes every checkpoint of such a run for one from within an epoch. Of one from between
    two, it would leave out the second. Stands before all callbacks that ask how long a run is.
    """

    def __init__(self) -> None:
        self._steps: int | None = None

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Hide the number of steps while Lightning finds its place."""
        self._steps = trainer.max_steps
        trainer.fit_loop.epoch_loop.max_steps = -1

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show it again."""
        if self._steps is not None:
            trainer.fit_loop.epoch_loop.max_steps = self._steps


class WholeFiles(TorchCheckpointIO):
    """Files that are there whole or not at all, also after a loss of power."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write beside `path`, then rename; what was the last checkpoint becomes the previous one.

        Raises:
            OSError: it cannot be written; what was there is untouched.
        """
        if "://" in str(path):  # somebody's own checkpoints, elsewhere
            return super().save_checkpoint(checkpoint, path, storage_options)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        try:
            with part.open("wb") as file:
                try:
                    torch.save(checkpoint, file)
                except RuntimeError as error:  # it may fail a second time, on the end of the file
                    raise _written(error) from None
                file.flush()
                os.fsync(file.fileno())
            if path.name == LAST:
                with suppress(FileNotFoundError):
                    os.replace(path, path.with_name(PREVIOUS))
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        _settle(path.parent)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest whole checkpoint of a run, and why it is not the last one, if it is not."""

    checkpoint: Checkpoint
    instead: str = ""


def kept(folder: Path) -> Path | None:
    """The last checkpoint that a run has kept, if any."""
    return next((path for name in (LAST, PREVIOUS) if (path := folder / name).exists()), None)


def newest(runs: Path) -> Newest | None:
    """The last whole checkpoint of the newest run in a variant's folder; None if there is no run.

    Raises:
        BadCheckpoint: the newest run has none that is whole.
    """
    folders = [folder for folder in sorted(runs.glob("*/")) if kept(folder)]
    return _newest_in(folders[-1]) if folders else None


def of_launch(runs: Path, launch: str) -> Checkpoint | None:
    """The last whole checkpoint of the newest run that a launcher has begun; None if none has one.

    Raises:
        UsageError: it cannot be told which launcher began a run.
        BadCheckpoint: as `newest`.
    """
    if not launch:
        raise UsageError(
            "torchrun started this again, but which run to go on with cannot be told: give it "
            "--rdzv-id NAME, another one for every run"
        )
    begun = [file.parent for file in sorted(runs.glob(f"*/{LAUNCH}")) if _says(file, launch)]
    folders = [folder for folder in begun if kept(folder)]
    return _newest_in(folders[-1]).checkpoint if folders else None


def _says(file: Path, launch: str) -> bool:
    return file.read_text("utf-8", errors="replace") == launch


def _newest_in(folder: Path) -> Newest:
    last, previous = (folder / name for name in (LAST, PREVIOUS))
    try:
        return Newest(_read_whole(last))
    except BadCheckpoint as error:
        if not previous.exists():
            raise
        return Newest(_read_whole(previous), str(error))


def _read_whole(path: Path) -> Checkpoint:
    checkpoint = weights.read(path)  # maps the file, so damage in the middle is not seen yet
    try:
        with zipfile.ZipFile(path) as parts:
            damaged = parts.testzip()
    except (zipfile.BadZipFile, zlib.error) as error:
        raise BadCheckpoint(f"{path}: damaged: {error}") from None
    if damaged:
        raise BadCheckpoint(f"{path}: damaged: {damaged} is not what was written")
    return checkpoint


def _written(error: BaseException) -> BaseException:
    """The failure to write that an error followed upon, if it did."""
    before = error.__context__
    while before and not isinstance(before, OSError):
        before = before.__context__
    return before or error


def _settle(folder: Path) -> None:
    """Have the names of a folder's files on the disk."""
    with suppress(OSError):  # not every system opens folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
