"""The loaders of a run: a spec over a source, for one of several devices."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from effcc.catalog.spec import Preprocessing, Spec
from effcc.data import resize
from effcc.data.loader import Batch, Evaluation, Shuffle, Training
from effcc.data.unreadable import Unreadable
from effcc.ground.errors import UsageError
from effcc.ground.words import many
from effcc.sources.decode import MissingData
from effcc.sources.known import Source
from effcc.sources.split import Split
from effcc.train import signals


class ImageData(L.LightningDataModule):
    """The loaders of a spec over a source."""

    def __init__(self, spec: Spec, source: Source) -> None:
        super().__init__()
        self.spec, self.source = spec, source
        self._shuffle: Shuffle | None = None
        self._begun = (0, 0)  # see Shuffle
        self._made: list[DataLoader[Batch]] = []
        self._met: dict[tuple[str, str], Unreadable] = {}

    @property
    def workers(self) -> int:
        """Processes that load for a device; 0 when its own process does."""
        workers = self.spec.data.workers
        if workers is None:
            workers = 0 if self.source.name == "digits" else max(1, min(self._cores, 16))
        return workers

    def state_dict(self) -> dict[str, int]:
        """The epoch, from 0, how many of its images all ranks have seen, and how many at a time."""
        if not self.trainer:
            return {"epoch": 0, "seen": 0, "at_a_time": self._at_a_time, "ranks": self._ranks}
        loop = self.trainer.fit_loop
        epoch: Any = loop.epoch_progress.current
        batch: Any = loop.epoch_loop.batch_progress.current
        seen = batch.processed * self._at_a_time if epoch.started > epoch.processed else 0
        place = {"epoch": epoch.processed, "seen": seen}
        return place | {"at_a_time": self._at_a_time, "ranks": self._ranks}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on after the images that were seen.

        Raises:
            UsageError: the epoch was begun in batches of another size over all devices, or was
                dealt to another number of them in runs.
        """
        ranks = state_dict.get("ranks", self._ranks)
        in_runs = not self.source.split("train").takes_turns
        if state_dict["seen"] and in_runs and ranks != self._ranks:
            raise UsageError(
                f"the checkpoint stands within an epoch that {self.source.name} dealt to "
                f"{many(ranks, 'device')}, but this run has {self._ranks}; use as many until it "
                "ends"
            )
        now, then = self._at_a_time, state_dict.get("at_a_time", self._at_a_time)
        if state_dict["seen"] and then != now:
            raise UsageError(
                f"the checkpoint stands within an epoch of {many(then, 'image')} at a time over "
                f"all devices, but this run takes {now}; set --data.batch_size to make them equal"
            )
        self._begun = state_dict.get("epoch", 0), state_dict["seen"] // self._ranks
        if self._shuffle and self.trainer:
            # A loader exists, and its workers may have begun to read at the wrong place. Lightning
            # asks for another when it has none.
            self.trainer.fit_loop._combined_loader = None

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, augmented batches; the last, smaller one is left out."""
        spec, split = self.spec, self.source.split("train")
        ranks = self._ranks
        batches(len(split), spec.batch_size, ranks)
        rank = self.trainer.global_rank if self.trainer else 0
        images = Training(
            split, spec.preprocessing, spec.recipe, spec.data, spec.seed, self._unreadable(split)
        )
        self._shuffle = Shuffle(split, spec.seed, rank, ranks)
        self._shuffle.begun = self._begun
        # Workers begin to read before Lightning says which epoch it is.
        self._shuffle.set_epoch(self._begun[0])
        return self._loader(
            images, batch_size=spec.batch_size, sampler=self._shuffle, drop_last=True
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation images, in order."""
        return self._evaluation("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test images, in order."""
        return self._evaluation("test")

    def _evaluation(self, name: str) -> DataLoader[Batch]:
        # Every rank its own images, none twice: padding to equal shares would count some double.
        # All have as many batches, so that they keep in step; the last may be empty.
        split, how, size = self.source.split(name), self.spec.preprocessing, self.spec.batch_size
        rank = self.trainer.global_rank if self.trainer else 0
        mine = range(rank, len(split), self._ranks)
        most = -(-len(split) // self._ranks)
        batches = [range(len(mine))[start : start + size] for start in range(0, most, size)]
        images = Evaluation(split, mine, how, self.spec.data, self._unreadable(split))
        return self._loader(images, batch_sampler=batches, collate_fn=partial(_collate, how))

    def _unreadable(self, split: Split) -> Unreadable:
        """The same for the same images: those of validation may be measured at the end again."""
        images = (split.name, split.fingerprint)
        if images not in self._met:
            self._met[images] = Unreadable(self.spec.data.on_error, len(split))
        return self._met[images]

    @property
    def _ranks(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    @property
    def _at_a_time(self) -> int:
        return self.spec.batch_size * self._ranks

    @property
    def _cores(self) -> int:
        """This rank's, of those that the devices of a machine share."""
        devices = self.trainer.num_devices if isinstance(self.trainer, L.Trainer) else 1
        cores = (os.cpu_count() or 1) // devices
        if hasattr(os, "sched_getaffinity"):  # SLURM may have divided them
            cores = min(cores, len(os.sched_getaffinity(0)))
        return cores

    def end(self) -> None:
        """End the loader processes, which an error may leave: Python's exit would wait for them."""
        for loader in self._made:
            if iterator := loader._iterator:
                iterator._shutdown_workers()  # pyright: ignore[reportAttributeAccessIssue]
        self._made = []

    def _loader(self, images: Dataset[Batch], **how: object) -> DataLoader[Batch]:
        loader: DataLoader[Batch] = DataLoader(
            images,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=signals.in_worker,
            # Which images, in which batches: torch's types know no arguments in a dictionary.
            **how,  # type: ignore[arg-type]
        )
        if self.workers:
            self._made.append(loader)
        return loader


def batches(images: int, batch_size: int, devices: int) -> int:
    """Whole batches that each device trains on in an epoch.

    Raises:
        MissingData: there is not one for each.
    """
    share = images // devices
    if share < batch_size:
        raise MissingData(
            f"a batch of {batch_size} on each of {many(devices, 'device')} is more than the "
            f"{many(images, 'training image')}; set --data.batch_size"
        )
    return share // batch_size


def _collate(how: Preprocessing, samples: list[Batch]) -> Batch:
    if samples:
        return default_collate(samples)
    labels = torch.zeros(0, dtype=torch.int64)
    return Batch(resize.blank(how)[None][:0], labels, labels, labels.bool())
