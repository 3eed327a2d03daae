"""Images to batches: cropping and resizing on the processor, uint8 until they reach the device.

Every random choice is drawn from (seed, epoch, index of the image), so neither the number of
workers nor the batch size changes what an image looks like in an epoch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from effcc.catalog.spec import Augment, Preprocessing, Spec
from effcc.train.sources import MissingData, Source, Split, decode

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def for_evaluation(image: Image.Image, how: Preprocessing) -> Tensor:
    """Resize the shorter side to image_size / crop_pct, crop the centre: uint8 (3, size, size)."""
    size = how.image_size
    scale = math.floor(size / how.crop_pct) / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    resized = image.resize((width, height), _FILTERS[how.interpolation])
    left, top = (width - size) // 2, (height - size) // 2
    return _tensor(resized.crop((left, top, left + size, top + size)))


def for_training(
    image: Image.Image, how: Preprocessing, augment: Augment, random: np.random.Generator
) -> Tensor:
    """A random crop of random area and aspect, resized, perhaps mirrored: uint8 (3, size, size).

    The crop is Inception's (C. Szegedy et al., CVPR 2015, section 6) with edges between pixels
    allowed, which matters on tiny images only.
    """
    box = crop_box(*image.size, augment, random)
    resized = image.resize((how.image_size, how.image_size), _FILTERS[how.interpolation], box=box)
    if random.random() < augment.hflip:
        resized = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _tensor(resized)


def crop_box(
    width: int, height: int, augment: Augment, random: np.random.Generator
) -> tuple[float, float, float, float]:
    """A random (left, top, right, bottom) inside an image, in pixels."""
    low, high = (math.log(aspect) for aspect in augment.crop_aspect)
    for _ in range(10):
        area = width * height * random.uniform(*augment.crop_area)
        aspect = math.exp(random.uniform(low, high))
        w, h = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if w <= width and h <= height:
            left, top = random.uniform(0, width - w), random.uniform(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)  # the image is longer than any crop may be: its centre
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


class Images(Dataset[tuple[Tensor, int]]):
    """A split as tensors; an index is (epoch, position) when training and a position when not."""

    def __init__(
        self, split: Split, how: Preprocessing, augment: Augment | None = None, seed: int = 0
    ) -> None:
        self.split, self.how, self.augment, self.seed = split, how, augment, seed

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int | tuple[int, int]) -> tuple[Tensor, int]:
        """The uint8 image (3, size, size) and its class."""
        epoch, position = index if isinstance(index, tuple) else (0, index)
        image, label = self.split.image(position), self.split.items[position][1]
        if self.augment is None:
            return for_evaluation(image, self.how), label
        random = np.random.default_rng((self.seed, epoch, position))
        return for_training(image, self.how, self.augment, random), label


class Files(Dataset[Tensor]):
    """Image files without labels, for prediction."""

    def __init__(self, paths: list[Path], how: Preprocessing) -> None:
        self.paths, self.how = paths, how

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """The uint8 image (3, size, size)."""
        return for_evaluation(decode(self.paths[index]), self.how)


class Shuffle(Sampler[tuple[int, int]]):
    """(epoch, position) in an order drawn from seed and epoch; each rank takes an equal share.

    The next epoch leaves out its first `skip` images: those that a continued run has seen.
    """

    def __init__(self, length: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.length, self.seed, self.rank, self.ranks = length, seed, rank, ranks
        self.epoch, self.skip = 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.ranks

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        mine = order[self.rank :: self.ranks][: len(self)]
        mine, self.skip = mine[self.skip :], 0
        return ((self.epoch, int(position)) for position in mine)


class ImageData(L.LightningDataModule):
    """The loaders of a spec over a source."""

    def __init__(self, spec: Spec, source: Source) -> None:
        super().__init__()
        self.spec, self.source = spec, source
        self._shuffle: Shuffle | None = None
        self._seen = 0

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

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """Shuffled, augmented batches; the last, smaller one is left out."""
        spec, split = self.spec, self.source.split("train")
        ranks = self.trainer.world_size if self.trainer else 1
        if len(split) // ranks < spec.batch_size:
            raise MissingData(
                f"a batch of {spec.batch_size} on each of {ranks} device(s) is more than the "
                f"{len(split)} training images; set --data.batch_size"
            )
        rank = self.trainer.global_rank if self.trainer else 0
        images = Images(split, spec.preprocessing, spec.recipe.augment, spec.seed)
        self._shuffle = Shuffle(len(split), spec.seed, rank, ranks)
        self._shuffle.skip = self._seen
        return self._loader(images, sampler=self._shuffle, drop_last=True)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """The validation images, in order."""
        return self._evaluation("val")

    def test_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """The test images, in order."""
        return self._evaluation("test")

    def _evaluation(self, name: str) -> DataLoader[tuple[Tensor, int]]:
        split = self.source.split(name)
        images = Images(split, self.spec.preprocessing)
        # Every rank its own images, none twice: padding to equal shares would count some double.
        rank, ranks = (
            (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        )
        mine = (
            torch.utils.data.Subset(images, range(rank, len(split), ranks)) if ranks > 1 else images
        )
        return self._loader(mine)

    def _loader(
        self, images: Dataset[tuple[Tensor, int]], **how: object
    ) -> DataLoader[tuple[Tensor, int]]:
        workers = self.spec.data.workers
        if workers is None:
            workers = 0 if self.source.name == "digits" else min(os.cpu_count() or 1, 16)
        return DataLoader(
            images,
            batch_size=self.spec.batch_size,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            **how,  # type: ignore[arg-type]  # sampler and drop_last
        )


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
