"""Images in folders: a folder per class under one per split."""

from __future__ import annotations

from pathlib import Path

from effcc.catalog.spec import Data
from effcc.data.decode import MissingData
from effcc.data.split import Files, Split, fingerprint

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
# Where a folder of images may keep each split; the first that exists is taken.
FOLDERS = {
    "train": ("train",),
    "val": ("val", "valid", "validation"),
    "test": ("test", "val", "valid", "validation"),
}


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
        files: list[Path] = []
        labels: list[int] = []
        for entry in sorted(folder.iterdir()):
            if not entry.is_dir() or entry.name.startswith("."):
                continue
            if entry.name not in label:
                raise MissingData(f"{entry} is a class that the training images do not have")
            found = images_in(entry)
            files += found
            labels += [label[entry.name]] * len(found)
        if not files:
            raise MissingData(f"{folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
        paths = [file.relative_to(folder).as_posix() for file in files]
        sizes = (f"{path} {file.stat().st_size}\n" for path, file in zip(paths, files, strict=True))
        return Files(folder.name, folder, paths, labels, fingerprint("".join(sizes).encode()))

    def _folder(self, split: str) -> Path | None:
        return next(
            (self.root / name for name in FOLDERS[split] if (self.root / name).is_dir()), None
        )


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
