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
from effcc.train import signals


class ImageData(L.LightningDataModule):
    """The loaders of a spec over a source."""

    def __init__(self, spec: Spec, source: Source) -> None:
        super().__init__()
        self.spec, self.source = spec, source
        self._shuffle: Shuffle | None = None
        self._begun = (0, 0)  # see Shuffle

    def state_dict(self) -> dict[str, int]:
        """The epoch, from 0, and how many images of its share of it a rank has trained on."""
        if not self.trainer:
            return {"epoch": 0, "seen": 0}
        loop = self.trainer.fit_loop
        epoch: Any = loop.epoch_progress.current
        batch: Any = loop.epoch_loop.batch_progress.current
        batches = batch.processed if epoch.started > epoch.processed else 0
        return {"epoch": epoch.processed, "seen": batches * self.spec.batch_size}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on after the images that were seen."""
        self._begun = state_dict.get("epoch", 0), state_dict["seen"]
        if self._shuffle and self.trainer:
            # A loader exists, and its workers may have begun to read at the wrong place. Lightning
            # asks for another when it has none.
            self.trainer.fit_loop._combined_loader = None

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, augmented batches; the last, smaller one is left out."""
        spec, split = self.spec, self.source.split("train")
        ranks = self.trainer.world_size if self.trainer else 1
        if len(split) // ranks < spec.batch_size:
            raise MissingData(
                f"a batch of {spec.batch_size} on each of {ranks} device(s) is more than the "
                f"{len(split)} training images; set --data.batch_size"
            )
        rank = self.trainer.global_rank if self.trainer else 0
        images = Training(split, spec.preprocessing, spec.recipe, spec.data, spec.seed)
        self._shuffle = Shuffle(split, spec.seed, rank, ranks)
        self._shuffle.begun = self._begun
        # Workers begin to read before Lightning says which epoch it is.
        self._shuffle.set_epoch(self._begun[0])
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
        return self._loader(Evaluation(split, positions, self.spec.preprocessing, self.spec.data))

    def _loader(self, images: Dataset[Batch], **how: object) -> DataLoader[Batch]:
        workers = self.spec.data.workers
        if workers is None:
            workers = 0 if self.source.name == "digits" else min(os.cpu_count() or 1, 16)
        return DataLoader(
            images,
            batch_size=self.spec.batch_size,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=signals.in_worker,
            **how,  # type: ignore[arg-type]  # sampler and drop_last
        )
