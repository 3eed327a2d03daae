"""What stops a run from inside: a loss that is no number any more, and what is used up or gone."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from effcc.data.loader import Batch
from effcc.ground import files
from effcc.ground.errors import UserError
from effcc.ground.words import legible, many
from effcc.sources.split import Split
from effcc.train.ema import tensors
from effcc.train.process import LostProcess

# Looking at a loss makes the processor wait for an accelerator, so there it is done once in so many
# batches. On a processor it costs nothing. It is always done before a checkpoint is written.
LOOK_EVERY, LOOK_EVERY_ELSEWHERE = {"cpu": 1}, 50


class Failed(UserError):
    """Training cannot go on as it is."""

    exit_code = 5


class NotFinite(Failed):
    """The loss, or a weight, is infinite or no number; the message names the step."""


class OutOfMemory(Failed):
    """A step needs more memory than there is."""


class Unequipped(UserError):
    """A package is missing that something in the trainer's settings wants."""


class Unwritable(UserError):
    """A run's files could not be written; the checkpoint before is whole."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A batch and what it was trained with."""

    step: int  # optimiser steps, from 1
    epoch: int  # from 1
    lr: float
    loss: Tensor
    positions: Tensor


class Finite(L.Callback):
    """Stops the run at a loss that is not finite, with its batch written to `path`.

    Where several processes train, all stop at the same batch, and those that have such a loss write
    their batch.
    """

    def __init__(self, path: Path, split: Split) -> None:
        self.path, self.split = path, split
        self._lr = 0.0
        self._step = 0
        self._unseen: list[_Step] = []

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """All processes write into the first one's folder."""
        self.path = trainer.strategy.broadcast(self.path)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Note the rate: by the end of the batch it is the next step's."""
        self._lr = float(trainer.optimizers[0].param_groups[0]["lr"])
        self._step = trainer.global_step + 1

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Look at the loss, or keep it until it is time to look."""
        loss, epoch = outputs["loss"].float(), trainer.current_epoch + 1
        self._unseen.append(_Step(self._step, epoch, self._lr, loss, batch.positions))
        if len(self._unseen) >= LOOK_EVERY.get(loss.device.type, LOOK_EVERY_ELSEWHERE):
            self.look(trainer)

    def look(self, trainer: L.Trainer) -> None:
        """Look at the losses that nobody has looked at.

        Raises:
            NotFinite: one is infinite or no number.
        """
        steps, self._unseen = self._unseen, []
        if steps:
            finite = torch.stack([step.loss for step in steps]).isfinite().tolist()
            bad = next((s for s, fine in zip(steps, finite, strict=True) if not fine), None)
            if not trainer.strategy.reduce_boolean_decision(bad is None):
                raise NotFinite(self._record(bad, trainer.global_rank) if bad else _ELSEWHERE)

    def vouch(self, trainer: L.Trainer) -> None:
        """See that weights may be written over those of an earlier step.

        Raises:
            NotFinite: a loss or a weight is infinite or no number.
        """
        self.look(trainer)
        weights = tensors(trainer.lightning_module)
        fine = bool(torch.stack([w.isfinite().all() for w in weights]).all())
        if not trainer.strategy.reduce_boolean_decision(fine):
            raise NotFinite(
                f"a weight is infinite or no number after step {trainer.global_step}, "
                f"learning rate {self._lr:.3g}; a lower --recipe.lr may help"
            )

    def _record(self, bad: _Step, rank: int) -> str:
        """Write the batch down; returns the message."""
        positions = bad.positions.tolist()
        names = [self.split.where(position) for position in positions]
        told = {
            "loss": str(bad.loss.item()),
            "step": bad.step,
            "epoch": bad.epoch,
            "learning_rate": bad.lr,
            "process": rank,
            "positions": positions,
            "images": names,
        }
        path = self.path.with_stem(f"{self.path.stem}-{rank}") if rank else self.path
        files.write(path, legible(json.dumps(told, indent=1, ensure_ascii=False)) + "\n")
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return (
            f"the loss is {told['loss']} at step {bad.step} (epoch {bad.epoch}, learning rate "
            f"{bad.lr:.3g}) on {', '.join(names[:3])}{more}, all named in {path}; "
            "a lower --recipe.lr may help"
        )


_ELSEWHERE = "the loss of another process is infinite or no number; that process says more"


@contextmanager
def explained(batch_size: int) -> Generator[None]:
    """What ends a trainer's work from beside it, in a line; raises as the three inside."""
    with enough_memory(batch_size), loaders_alive(), equipped():
        yield


@contextmanager
def enough_memory(batch_size: int) -> Generator[None]:
    """Say in one line when a step of `batch_size` images per device does not fit.

    Raises:
        OutOfMemory: it did not.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not _is_lack_of_memory(error):
            raise
        raise OutOfMemory(
            f"out of memory with {many(batch_size, 'image')} at a time on a device; lower "
            "--data.batch_size (--trainer.accumulate_grad_batches keeps the images of a step)"
        ) from None


@contextmanager
def loaders_alive() -> Generator[None]:
    """Say in one line that a process which loads images was ended by something else.

    Raises:
        LostProcess: one was; by Linux, most often, because memory ran out.
    """
    try:
        yield
    except RuntimeError as error:
        how = _LOADER_ENDED.search(str(error))
        if not how:
            raise
        raise LostProcess(
            f"a process that loads images {how[1]} (if memory ran out, lower --data.workers)"
        ) from None


@contextmanager
def equipped() -> Generator[None]:
    """Say in one line that a part of the trainer wants a package that is not installed.

    Raises:
        Unequipped: one did, once it was set up; DeviceStatsMonitor wants psutil.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise Unequipped(f"trainer: {' '.join(str(error).split())}") from None


# What torch says, in a handler of the signal that a child has ended, and while it waits for one.
_LOADER_ENDED = re.compile(
    r"^DataLoader worker \(pid.*?\) (is killed by signal: \w+|exited unexpectedly)"
)


def _is_lack_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # The allocator of processors raises a plain RuntimeError, as do threads that have no room.
    if any(words in str(error) for words in _NO_MEMORY):
        return True
    # What fails while a lack of memory is dealt with.
    return error.__context__ is not None and _is_lack_of_memory(error.__context__)


_NO_MEMORY = (
    *("can't allocate memory", "not enough memory", "Cannot allocate memory"),
    *("can't start new thread", "std::bad_alloc"),
)
