"""Labelled images, in memory or as files; what a source hands out."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effcc.sources import decode
from effcc.sources.decode import Pixels


class Split(ABC):
    """Images with labels, at positions from 0.

    Args:
        name: as records name it.
        labels: int64 (images,), each a class's index.
        fingerprint: `sha256:` and 64 hex digits, of what the split holds.
    """

    # Whether ranks take turns in one order: what is left of an epoch is then the same for any
    # number of them.
    takes_turns = True

    def __init__(
        self, name: str, labels: Sequence[int] | NDArray[np.int64], fingerprint: str
    ) -> None:
        self.name, self.fingerprint = name, fingerprint
        # One array, not a million Python numbers: loader processes share its memory.
        self.labels: NDArray[np.int64] = np.asarray(labels, np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def pixels(self, position: int, decoder: str = "auto") -> Pixels:
        """The image at a position, decoded: uint8 (height, width, 3).

        Raises:
            BadImage: it cannot be.
        """

    @abstractmethod
    def where(self, position: int) -> str:
        """What a message calls the image at a position."""

    def share(self, random: np.random.Generator, rank: int, ranks: int) -> NDArray[np.int64]:
        """The positions that one of `ranks` devices trains on in an epoch, in order.

        No image is another rank's, every rank has as many, and at most ranks - 1 images are left
        out. Step by step, the ranks together see what one device with a larger batch would.
        """
        order = random.permutation(len(self))
        return order[rank::ranks][: len(self) // ranks]


class Arrays(Split):
    """Images in memory."""

    def __init__(
        self, name: str, images: Sequence[Pixels], labels: Sequence[int], fingerprint: str
    ) -> None:
        super().__init__(name, labels, fingerprint)
        self.images = images

    def pixels(self, position: int, decoder: str = "auto") -> Pixels:
        """As `Split.pixels`."""
        return self.images[position]

    def where(self, position: int) -> str:
        """As `Split.where`."""
        return f"image {position} of {self.name}"


class Files(Split):
    """Image files below a folder."""

    def __init__(
        self, name: str, root: Path, paths: Sequence[str], labels: Sequence[int], fingerprint: str
    ) -> None:
        super().__init__(name, labels, fingerprint)
        self.root = root
        # Relative to `root`, in one array: see `labels`.
        self.paths = np.asarray([path.encode("utf-8", "surrogateescape") for path in paths], "S")

    def pixels(self, position: int, decoder: str = "auto") -> Pixels:
        """As `Split.pixels`."""
        path = self.path(position)
        return decode.decode(decode.read(path), str(path), decoder)

    def where(self, position: int) -> str:
        """As `Split.where`."""
        return str(self.path(position))

    def path(self, position: int) -> Path:
        """The file at a position."""
        return self.root / bytes(self.paths[position]).decode("utf-8", "surrogateescape")


def fingerprint(*parts: bytes) -> str:
    """`sha256:` and the digest of all parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return f"sha256:{digest.hexdigest()}"
