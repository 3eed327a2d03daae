"""Images in folders: a folder per class under one per split, or lists that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from effcc.catalog.spec import Data
from effcc.sources import listing
from effcc.sources.decode import MissingData
from effcc.sources.listing import IMAGE_SUFFIXES, LIST_SUFFIXES, Listing
from effcc.sources.split import Files, Split

# What a folder of images may call each split; the first that exists is taken.
NAMES = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test", "val", "valid", "validation"),
}


class Folder:
    """A folder with train and val, and test if there is one: each a folder per class, or a list.

    A split is `train/`, `train.csv`, `train.tsv` or `train.txt`, or what `data.train` names.
    Without test the validation images are also the test images, and records name that split `val`.
    The fingerprint covers relative paths and sizes, not contents: reading a million files would
    take an hour.
    """

    name = "folder"
    names: ClassVar[Mapping[str, Sequence[str]]] = NAMES

    def __init__(self, data: Data) -> None:
        self.data, self.root = data, Path(data.root or "").expanduser()
        self._listed: dict[Path, Listing] = {}  # what the classes were read from
        self._splits: dict[Path, Split] = {}
        if not self.root.is_dir():
            raise MissingData(
                f"no folder {self.root.absolute()}; "
                "name the folder that holds train/ and val/ with --data.root"
            )
        first = self.place("train") or self.place("val")
        if first is None:
            found = ", ".join(sorted(p.name for p in self.root.iterdir())[:6]) or "nothing"
            raise MissingData(
                f"{self.root.absolute()} has no train/ or val/ folder; it holds {found}"
            )
        around = self.root if data.root else first.parent
        self.title = f"images of {around.absolute().name}"
        self.classes = self._classes(first)
        if len(self.classes) < 2:
            wanted = "a folder per class" if first.is_dir() else "labels of several classes"
            raise MissingData(f"{first} needs {wanted}, at least two; it has {len(self.classes)}")

    def split(self, name: str) -> Split:
        """The images of `train`, `val` or `test`; found once, since a million take a while."""
        place = self.place(name)
        if place is None:
            names = " or ".join(f"{n}/" for n in self.names[name])
            raise MissingData(f"{self.root.absolute()} has no {names} folder")
        if place not in self._splits:
            found = self._listed.pop(place, None) or self._list(place)
            called = place.name if place.is_dir() else place.stem
            labels = found.numbered(self.classes)
            self._splits[place] = Files(called, found.root, found.paths, labels, found.fingerprint)
        return self._splits[place]

    def place(self, split: str) -> Path | None:
        """The folder or list that a split is in, if it is anywhere."""
        if named := getattr(self.data, split):
            return self._named(split, named)
        for name in self.names[split]:
            if split == "test" and name in self.names["val"]:
                return self.place("val")  # which a setting may name
            if (self.root / name).is_dir():
                return self.root / name
            for suffix in LIST_SUFFIXES:
                if (self.root / f"{name}{suffix}").is_file():
                    return self.root / f"{name}{suffix}"
        return None

    def _named(self, split: str, named: str | tuple[str, ...]) -> Path:
        if not isinstance(named, str):
            raise MissingData(f"data.{split}: name one list or folder, not {len(named)}")
        places = (self.root / Path(named).expanduser(), Path(named).expanduser())
        if place := next((place for place in places if place.exists()), None):
            return place
        raise MissingData(f"data.{split}: no file or folder {named}, here or in {self.root}")

    def _classes(self, place: Path) -> tuple[str, ...]:
        if place.is_dir():
            return tuple(listing.class_folders(place))
        self._listed[place] = self._list(place)
        return listing.classes_of(self._listed[place].labels)

    def _list(self, place: Path) -> Listing:
        if place.is_dir():
            return listing.in_folders(place)
        return listing.in_file(place, self.root if self.data.root else None)


def find_images(path: Path) -> list[Path]:
    """The image a path names, or all in the folder it names.

    Raises:
        MissingData: there is nothing there.
    """
    if path.is_dir():
        if found := [Path(entry.path) for entry in listing.walk(path)]:
            return found
        raise MissingData(f"{path}: no image in this folder ({', '.join(IMAGE_SUFFIXES)})")
    if not path.is_file():
        raise MissingData(f"{path}: no such image")
    return [path]
