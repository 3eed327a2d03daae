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
from effcc.data import augment, resize
from effcc.data.unreadable import Unreadable
from effcc.sources import decode
from effcc.sources.decode import BadImage, Pixels
from effcc.sources.split import Split

# So many broken images in a row are no accident: the folder is gone, or holds something else.
BROKEN_IN_A_ROW = 100


class Batch(NamedTuple):
    """What leaves a loader; one sample is the same with the first axis left out.

    `images` are uint8 (batch, 3, size, size), or float32 on the same 0..255 scale when the resize
    is `tf_bicubic`. `unreadable` marks places whose own image could not be decoded: in training
    the next that can be stands there, with its own label and position; in evaluation the place is
    black and does not count.
    """

    images: Tensor
    labels: Tensor  # int64 (batch,)
    positions: Tensor  # int64 (batch,): which images of the split these are
    unreadable: Tensor  # bool (batch,)


class Training(Dataset[Batch]):
    """A split as training samples; an index is (epoch, position)."""

    def __init__(
        self,
        split: Split,
        how: Preprocessing,
        recipe: Recipe,
        data: Data,
        seed: int,
        unreadable: Unreadable | None = None,
    ) -> None:
        self.split, self.how, self.recipe, self.data, self.seed = split, how, recipe, data, seed
        self.unreadable = unreadable or Unreadable(data.on_error, len(split))
        self.fast = decode.fast(data.decoder)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: tuple[int, int]) -> Batch:
        """One sample."""
        epoch, position = index
        shown, pixels = self._readable(position)
        random = np.random.default_rng((self.seed, epoch, position))
        image = resize.for_training(pixels, self.how, self.recipe.augment, random, self.fast)
        image = augment.apply(image, augment.draw(self.recipe.augment, random))
        label = int(self.split.labels[shown])
        return sample(resize.tensor(image), label, shown, unreadable=shown != position)

    def _readable(self, position: int) -> tuple[int, Pixels]:
        """The first image from a position on that can be decoded, and where it was found."""
        tried = min(len(self.split), BROKEN_IN_A_ROW)
        for step in range(tried):
            at = (position + step) % len(self.split)
            try:
                return at, self.split.pixels(at, self.data.decoder)
            except BadImage as error:
                self.unreadable.met(at, error)
        raise BadImage(
            f"{self.split.where(position)}: of this image and those after it, {tried} in a row "
            "cannot be decoded"
        )


class Evaluation(Dataset[Batch]):
    """Positions of a split as samples for measuring, without chance."""

    def __init__(
        self,
        split: Split,
        positions: range,
        how: Preprocessing,
        data: Data,
        unreadable: Unreadable | None = None,
    ) -> None:
        self.split, self.positions, self.how, self.data = split, positions, how, data
        self.unreadable = unreadable or Unreadable(data.on_error, len(split))

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Batch:
        """One sample."""
        position = self.positions[index]
        label = int(self.split.labels[position])
        try:
            pixels = self.split.pixels(position, self.data.decoder)
        except BadImage as error:
            self.unreadable.met(position, error)
            return sample(resize.blank(self.how), label, position, unreadable=True)
        return sample(resize.for_evaluation(pixels, self.how), label, position)


class Unlabelled(Dataset[Tensor]):
    """Image files without labels, for prediction; `unreadable` knows which are black instead."""

    def __init__(
        self, paths: list[Path], how: Preprocessing, decoder: str = "auto", on_error: str = "fail"
    ) -> None:
        self.paths, self.how, self.decoder = paths, how, decoder
        self.unreadable = Unreadable(on_error, len(paths))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """The image (3, size, size), as in `Batch`."""
        path = self.paths[index]
        try:
            pixels = decode.decode(decode.read(path), str(path), self.decoder)
        except BadImage as error:
            self.unreadable.met(index, error)
            return resize.blank(self.how)
        return resize.for_evaluation(pixels, self.how)


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
