"""The loaders of a run: a spec over a source, for one of several devices."""

from __future__ import annotations

import os
from typing import Any

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset

from effcc.catalog.spec import Spec
from effcc.data.decode import MissingData
from effcc.data.loader import Batch, Evaluation, Shuffle, Training
from effcc.data.sources import Source
from effcc.data.split import Split
from effcc.data.unreadable import Unreadable


class ImageData(L.LightningDataModule):
    """The loaders of a spec over a source."""

    def __init__(self, spec: Spec, source: Source) -> None:
        super().__init__()
        self.spec, self.source = spec, source
        self._shuffle: Shuffle | None = None
        self._seen = 0
        self._met: dict[tuple[str, str], Unreadable] = {}

    @property
    def workers(self) -> int:
        """Processes that load for a device; 0 when its own process does."""
        workers = self.spec.data.workers
        if workers is None:
            workers = 0 if self.source.name == "digits" else min(os.cpu_count() or 1, 16)
        return workers

    def state_dict(self) -> dict[str, int]:
        """How many images of its share of the epoch a rank has trained on."""
        loop = self.trainer.fit_loop if self.trainer else None
        epoch: Any = loop.epoch_progress.current if loop else None
        if loop is None or epoch is None or epoch.started == epoch.processed:
            return {"seen": 0}
        return {"seen": loop.epoch_loop.batch_progress.current.completed * self.spec.batch_size}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on after the images that were seen; the loader may exist already."""
        self._seen = state_dict["seen"]
        if self._shuffle:
            self._shuffle.skip = self._seen

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, augmented batches; the last, smaller one is left out."""
        spec, split = self.spec, self.source.split("train")
        ranks = self.trainer.world_size if self.trainer else 1
        batches(len(split), spec.batch_size, ranks)
        rank = self.trainer.global_rank if self.trainer else 0
        images = Training(
            split, spec.preprocessing, spec.recipe, spec.data, spec.seed, self._unreadable(split)
        )
        self._shuffle = Shuffle(split, spec.seed, rank, ranks)
        self._shuffle.skip = self._seen
        return self._loader(images, sampler=self._shuffle, drop_last=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation images, in order."""
        return self._evaluation("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test images, in order."""
        return self._evaluation("test")

    def _evaluation(self, name: str) -> DataLoader[Batch]:
        split = self.source.split(name)
        # Every rank its own images, none twice: padding to equal shares would count some double.
        rank, ranks = (
            (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        )
        positions = range(rank, len(split), ranks)
        how, data = self.spec.preprocessing, self.spec.data
        return self._loader(Evaluation(split, positions, how, data, self._unreadable(split)))

    def _unreadable(self, split: Split) -> Unreadable:
        """The same for the same images: those of validation may be measured at the end again."""
        images = (split.name, split.fingerprint)
        if images not in self._met:
            self._met[images] = Unreadable(self.spec.data.on_error, len(split))
        return self._met[images]

    def _loader(self, images: Dataset[Batch], **how: object) -> DataLoader[Batch]:
        return DataLoader(
            images,
            batch_size=self.spec.batch_size,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            **how,  # type: ignore[arg-type]  # sampler and drop_last
        )


def batches(images: int, batch_size: int, devices: int) -> int:
    """Whole batches that each device trains on in an epoch.

    Raises:
        MissingData: there is not one for each.
    """
    share = images // devices
    if share < batch_size:
        raise MissingData(
            f"a batch of {batch_size} on each of {devices} device(s) is more than the "
            f"{images} training images; set --data.batch_size"
        )
    return share // batch_size
