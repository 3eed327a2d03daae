"""Splits to samples: what one position gives, in which order, and what happens to a bad file.

Every random choice is drawn from (seed, epoch, position of the image), so neither the number of
workers nor the batch size changes what an image looks like in an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from effcc.catalog.spec import Data, Preprocessing, Recipe
from effcc.data import decode, resize
from effcc.data.split import Split


class Batch(NamedTuple):
    """What leaves a loader; one sample is the same with the first axis left out.

    `images` are uint8 (batch, 3, size, size), or float32 on the same 0..255 scale when the resize
    is `tf_bicubic`. `unreadable` marks places whose own image could not be decoded: in training
    another stands there, in evaluation the place does not count.
    """

    images: Tensor
    labels: Tensor  # int64 (batch,)
    positions: Tensor  # int64 (batch,): which images of the split these are
    unreadable: Tensor  # bool (batch,)


class Training(Dataset[Batch]):
    """A split as training samples; an index is (epoch, position)."""

    def __init__(
        self, split: Split, how: Preprocessing, recipe: Recipe, data: Data, seed: int
    ) -> None:
        self.split, self.how, self.recipe, self.data, self.seed = split, how, recipe, data, seed

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: tuple[int, int]) -> Batch:
        """One sample."""
        epoch, position = index
        pixels = self.split.pixels(position, self.data.decoder)
        random = np.random.default_rng((self.seed, epoch, position))
        image = resize.for_training(pixels, self.how, self.recipe.augment, random)
        return sample(resize.tensor(image), int(self.split.labels[position]), position)


class Evaluation(Dataset[Batch]):
    """Positions of a split as samples for measuring, without chance."""

    def __init__(self, split: Split, positions: range, how: Preprocessing, data: Data) -> None:
        self.split, self.positions, self.how, self.data = split, positions, how, data

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Batch:
        """One sample."""
        position = self.positions[index]
        pixels = self.split.pixels(position, self.data.decoder)
        image = resize.for_evaluation(pixels, self.how)
        return sample(image, int(self.split.labels[position]), position)


class Unlabelled(Dataset[Tensor]):
    """Image files without labels, for prediction."""

    def __init__(self, paths: list[Path], how: Preprocessing) -> None:
        self.paths, self.how = paths, how

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """The image (3, size, size), as in `Batch`."""
        path = self.paths[index]
        return resize.for_evaluation(decode.decode(decode.read(path), str(path)), self.how)


class Shuffle(Sampler[tuple[int, int]]):
    """(epoch, position) in an order drawn from seed and epoch; each rank takes an equal share.

    `begun` is the epoch that a continued run stands in, and how many images of its share of it a
    rank has seen: those are left out.
    """

    def __init__(self, split: Split, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.split, self.seed, self.rank, self.ranks = split, seed, rank, ranks
        self.epoch, self.begun = 0, (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.split) // self.ranks

    def __iter__(self) -> Iterator[tuple[int, int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        mine = self.split.share(random, self.rank, self.ranks)
        epoch, seen = self.begun
        mine = mine[seen if epoch == self.epoch else 0 :]
        return ((self.epoch, int(position)) for position in mine)


def sample(image: Tensor, label: int, position: int, unreadable: bool = False) -> Batch:
    """One place of a batch."""
    return Batch(
        image,
        torch.tensor(label),
        torch.tensor(position),
        torch.tensor(unreadable, dtype=torch.bool),
    )
