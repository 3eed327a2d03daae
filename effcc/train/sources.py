"""Where images come from: a source knows its classes and hands out splits; nothing is random.

`SOURCES` maps the registry's names to the classes below: the whole extension point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from effcc.catalog.errors import UserError
from effcc.catalog.spec import Data

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
# Where a folder of images may keep each split; the first that exists is taken.
FOLDERS = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test", "val", "valid", "validation"),
}


class MissingData(UserError):
    """The named images are not there, or cannot be used; the message says where was looked."""


class BadImage(MissingData):
    """A file that should be an image and cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Split:
    """Images with labels; the fingerprint, `sha256:` and 64 hex digits, is of what they hold."""

    name: str
    items: tuple[tuple[Any, int], ...]  # (path or array, class index)
    fingerprint: str

    def __len__(self) -> int:
        return len(self.items)

    def image(self, index: int) -> Image.Image:
        """The image at `index`, decoded, in RGB."""
        item = self.items[index][0]
        return decode(item) if isinstance(item, Path) else Image.fromarray(item).convert("RGB")


class Source(Protocol):
    """A named set of images in splits train, val and test."""

    name: str
    title: str
    classes: tuple[str, ...]

    def split(self, name: str) -> Split:
        """The images of one split."""
        ...


class Digits:
    """1,797 handwritten digits of 8x8 grey levels, scanned for NIST and shipped with scikit-learn.

    A subset of E. Alpaydin and C. Kaynak's "Optical Recognition of Handwritten Digits" (UCI, 1998).
    The split is fixed by a shuffle of its own: 360 test, 180 validation, 1,257 training images.
    """

    name = "digits"
    title = "handwritten digits"
    classes = tuple("0123456789")

    def __init__(self, data: Data) -> None:
        from sklearn.datasets import load_digits  # half a second, and only this source needs it

        bundle: Any = load_digits()
        order = np.random.RandomState(1797).permutation(len(bundle.target))
        levels = np.round(bundle.images * (255 / 16)).astype(np.uint8)
        bounds = {"test": order[:360], "val": order[360:540], "train": order[540:]}
        self._splits = {
            name: Split(
                name,
                tuple((levels[i], int(bundle.target[i])) for i in chosen),
                _fingerprint(
                    levels[chosen].tobytes(), bundle.target[chosen].astype(np.uint8).tobytes()
                ),
            )
            for name, chosen in bounds.items()
        }

    def split(self, name: str) -> Split:
        """The images of `train`, `val` or `test`."""
        return self._splits[name]


class Folder:
    """A folder with train/ and val/ (and test/ if there is one), each with a folder per class.

    Without test/ the validation images are also the test images, and records name that split `val`.
    The fingerprint covers relative paths and sizes, not contents: reading a million files would
    take an hour.
    """

    name = "folder"

    def __init__(self, data: Data) -> None:
        self.root = Path(data.root or "").expanduser()
        self._splits: dict[str, Split] = {}
        if not self.root.is_dir():
            raise MissingData(
                f"no folder {self.root.absolute()}; "
                "name the folder that holds train/ and val/ with --data.root"
            )
        self.title = f"images of {self.root.name}"
        first = next((self._folder(s) for s in ("train", "val") if self._folder(s)), None)
        if first is None:
            found = ", ".join(sorted(p.name for p in self.root.iterdir())[:6]) or "nothing"
            raise MissingData(
                f"{self.root.absolute()} has no train/ or val/ folder; it holds {found}"
            )
        self.classes = tuple(
            sorted(p.name for p in first.iterdir() if p.is_dir() and not p.name.startswith("."))
        )
        if len(self.classes) < 2:
            raise MissingData(
                f"{first} needs a folder per class, at least two; it has {len(self.classes)}"
            )

    def split(self, name: str) -> Split:
        """The images of `train`, `val` or `test`; found once, since a million take a while."""
        if name not in self._splits:
            self._splits[name] = self._find(name)
        return self._splits[name]

    def _find(self, name: str) -> Split:
        folder = self._folder(name)
        if folder is None:
            names = " or ".join(f"{n}/" for n in FOLDERS[name])
            raise MissingData(f"{self.root.absolute()} has no {names} folder")
        label = {name: i for i, name in enumerate(self.classes)}
        items: list[tuple[Path, int]] = []
        for entry in sorted(folder.iterdir()):
            if not entry.is_dir() or entry.name.startswith("."):
                continue
            if entry.name not in label:
                raise MissingData(f"{entry} is a class that the training images do not have")
            items += [(file, label[entry.name]) for file in images_in(entry)]
        if not items:
            raise MissingData(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
        sizes = (
            f"{file.relative_to(folder).as_posix()} {file.stat().st_size}\n" for file, _ in items
        )
        return Split(folder.name, tuple(items), _fingerprint("".join(sizes).encode()))

    def _folder(self, split: str) -> Path | None:
        return next(
            (self.root / name for name in FOLDERS[split] if (self.root / name).is_dir()), None
        )


SOURCES: dict[str, Callable[[Data], Source]] = {"digits": Digits, "folder": Folder}


def images_in(folder: Path) -> list[Path]:
    """Image files in a folder and below, sorted."""
    return sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()
    )


def find_images(path: Path) -> list[Path]:
    """The image a path names, or all in the folder it names.

    Raises:
        MissingData: there is nothing there.
    """
    if path.is_dir():
        if found := images_in(path):
            return found
        raise MissingData(f"{path}: no image in this folder ({', '.join(IMAGE_SUFFIXES)})")
    if not path.is_file():
        raise MissingData(f"{path}: no such image")
    return [path]


def decode(path: Path) -> Image.Image:
    """Read an image file as RGB.

    Raises:
        BadImage: it is missing, cut short, too large, or no image.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I;16"):  # convert() would clip all but the darkest to white
                return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
            if image.mode == "P" and "transparency" in image.info:
                return image.convert("RGBA").convert("RGB")
            return image.convert("RGB")
    except FileNotFoundError:
        raise BadImage(f"{path}: no such image") from None
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:
        reason = (
            "no image format that Pillow knows"
            if isinstance(error, UnidentifiedImageError)
            else error
        )
        raise BadImage(f"{path}: cannot be decoded: {reason}") from None


def _fingerprint(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return f"sha256:{digest.hexdigest()}"
