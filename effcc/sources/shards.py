"""Images in tar shards, read like files: any of them at any time, in an order that disks like.

What `effcc shards` packed is read by its manifest and indexes; of other shards in WebDataset's
layout the headers are read once.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcc.catalog.reach import PIPE
from effcc.catalog.spec import Data
from effcc.ground.words import in_a_line, many
from effcc.sources import cache, decode, index, listing, manifest, patterns, share
from effcc.sources.decode import BadImage, MissingData, Pixels
from effcc.sources.folder import NAMES
from effcc.sources.index import Index
from effcc.sources.manifest import Manifest
from effcc.sources.split import Split, fingerprint

# Shards whose images are mixed while training, and so are read at a time.
WINDOW = 4
# A file's path, or as text a `pipe:COMMAND`: no file's name can become a command.
Named = Path | str
# A label above this is a mistake, not a million classes.
_MOST_CLASSES = 1_000_000
# Shards that a process keeps open.
_OPEN = 64


class Shards:
    """A folder of shards `train-*.tar`, `val-*.tar` and perhaps `test-*.tar`.

    `data.train`, `val` and `test` may name others: by a brace pattern such as
    `train-{000000..000146}.tar`, with `*`, or as `pipe:COMMAND` on a command line. Classes are the
    manifest's, else the lines of a `classes.txt`, else what the training images are labelled with;
    a label that is a number is a position among them.
    """

    name = "shards"

    def __init__(self, data: Data) -> None:
        self.data, self.root = data, Path(data.root or "").expanduser()
        if not self.root.is_dir():
            raise MissingData(
                f"no folder {self.root.absolute()}; name the folder of the shards with --data.root"
            )
        self._manifest = functools.cache(manifest.read)
        self._listed: dict[tuple[Named, ...], list[Shard]] = {}  # what the classes were read from
        self._splits: dict[tuple[Named, ...], Split] = {}
        called, first = self._find("train")
        if not first:
            called, first = self._find("val")
        path = next((shard for shard in first if isinstance(shard, Path)), None)
        packed = self._manifest(path.parent) if path else None
        self.title = packed.title if packed else f"shards of {self.root.absolute().name}"
        self.classes, self._numbers = self._classes(packed, self._need(called, first))

    def split(self, name: str) -> Split:
        """The images of `train`, `val` or `test`."""
        called, shards = self._find(name)
        shards = self._need(name, shards)
        if shards not in self._splits:
            opened = self._listed.pop(shards, None) or self._open(shards)
            for packed in map(self._manifest, {shard.path.parent for shard in opened}):
                if packed and packed.classes != self.classes:
                    raise MissingData(
                        f"{opened[0].called}: its classes are not the training images'"
                    )
            labels = np.concatenate([self._labels(shard) for shard in opened])
            if not len(labels):
                raise MissingData(f"{opened[0].called}: holds no image; pack it again")
            digest = fingerprint(*(shard.digest.encode() for shard in opened))
            self._splits[shards] = Tars(called, opened, labels, digest)
        return self._splits[shards]

    def _need(self, name: str, shards: tuple[Named, ...]) -> tuple[Named, ...]:
        if not shards:
            names = " or ".join(f"{n}-*.tar" for n in NAMES[name])
            raise MissingData(f"{self.root.absolute()} holds no {names}; name them: --data.{name}")
        return shards

    def _find(self, split: str) -> tuple[str, tuple[Named, ...]]:
        """What a split is called, and its shards."""
        if named := getattr(self.data, split):
            texts = (named,) if isinstance(named, str) else named
            found = tuple(shard for text in texts for shard in self._named(split, text))
            if len(set(found)) < len(found):
                twice = next(shard for shard in found if found.count(shard) > 1)
                raise MissingData(f"data.{split}: {twice} is named twice; its images would be too")
            return split, found
        packed = self._manifest(self.root)
        for name in NAMES[split]:
            if packed and name in packed.splits:
                return name, self._packed(packed, name)
            for pattern in (f"{name}-*.tar", f"*-{name}-*.tar", f"{name}/*.tar"):
                if found := sorted(self.root.glob(pattern)):
                    return name, tuple(found)
        return split, ()

    def _packed(self, packed: Manifest, name: str) -> tuple[Path, ...]:
        split = packed.splits[name]
        if split.done < split.images:
            raise MissingData(
                f"{self.root.absolute()} holds {split.done:,} of "
                f"{many(split.images, f'{name} image')}; "
                "run the `effcc shards` that began it again, and it goes on"
            )
        return tuple(self.root / shard.name for shard in split.shards)

    def _named(self, split: str, text: str) -> Iterator[Named]:
        # Before anything is expanded, so that no pattern can become a command.
        if text.startswith(PIPE):
            yield from patterns.expand(text, lists=False)
            return
        for name in patterns.expand(text):
            found = patterns.matches(name, self.root, Path())
            if not found:
                raise MissingData(f"data.{split}: no shard {name}, here or in {self.root}")
            yield from found

    def _open(self, shards: Sequence[Named]) -> list[Shard]:
        from rich.console import Console
        from rich.progress import track

        console = Console(stderr=True)
        shown = track(
            shards,
            "reading what the shards hold",
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        return [self._shard(shard) for shard in shown]

    def _shard(self, named: Named) -> Shard:
        path = cache.piped(named.removeprefix(PIPE)) if isinstance(named, str) else named
        try:
            state = path.stat()
        except OSError as error:
            raise MissingData(f"{path}: cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(state.st_mode):  # a fifo would be waited for without end
            raise MissingData(f"{path}: is no file")
        size = state.st_size
        packed = self._manifest(path.parent)
        stated = packed.shards.get(path.name) if packed else None
        if stated and stated.bytes != size:
            raise MissingData(
                f"{path}: has {size:,} bytes, in {manifest.NAME} {stated.bytes:,}; copy it again"
            )
        found = index.load(index.beside(path), size) if stated else None
        if found is None:
            found = cache.indexed(path)
        if stated and stated.images != len(found):
            raise MissingData(
                f"{path}: holds {many(len(found), 'image')}, in {manifest.NAME} {stated.images:,}; "
                "pack it again"
            )
        digest = stated.sha256 if stated else hashlib.sha256(found.tobytes()).hexdigest()
        return Shard(path, str(named), size, found, digest)

    def _classes(
        self, packed: Manifest | None, first: tuple[Named, ...]
    ) -> tuple[tuple[str, ...], Mapping[str, int]]:
        """The names of the classes, and the class that each label stands for."""
        file = self.root / "classes.txt"
        if packed:
            names = packed.classes
        elif file.is_file():
            lines = file.read_text("utf-8", errors="replace").splitlines()
            names = tuple(line.strip() for line in lines if line.strip())
        else:
            self._listed[first] = opened = self._open(first)
            found = {label for shard in opened for label in _texts(shard.index["label"])[0]}
            names = listing.classes_of(found)
            if not names:
                raise MissingData(f"{opened[0].called}: holds no image; pack it again")
            if not all(name.isdecimal() for name in names):
                return names, {name: number for number, name in enumerate(names)}
            most = max(map(int, names))
            if most >= _MOST_CLASSES:
                raise MissingData(
                    f"{opened[0].path.parent}: a class {most} is no number of a class"
                )
            names = tuple(map(str, range(most + 1)))
        numbers = {name: number for number, name in enumerate(names)}
        return names, numbers | {str(number): number for number in range(len(names))}

    def _labels(self, shard: Shard) -> NDArray[np.int64]:
        texts, which = _texts(shard.index["label"])
        try:
            return np.array([self._numbers[text] for text in texts], np.int64)[which]
        except KeyError as error:
            raise MissingData(
                f"{shard.called}: {error.args[0]!r} is none of the {len(self.classes)} classes of "
                "the training images"
            ) from None


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard on disk: what messages call it, its size in bytes, and where its images lie."""

    path: Path
    called: str
    bytes: int
    index: Index
    digest: str


class Tars(Split):
    """Images in tar shards, one read each."""

    takes_turns = False

    def __init__(
        self, name: str, shards: Sequence[Shard], labels: NDArray[np.int64], fingerprint: str
    ) -> None:
        super().__init__(name, labels, fingerprint)
        self.shards = [(shard.path, shard.called, shard.bytes) for shard in shards]
        self.starts = np.cumsum([0, *(len(shard.index) for shard in shards)])
        columns = ("offset", "size", "name")
        self.offsets, self.sizes, self.names = (
            np.concatenate([shard.index[column] for shard in shards]) for column in columns
        )
        self._file = functools.lru_cache(_OPEN)(self._opened)

    def pixels(self, position: int, decoder: str = "auto") -> Pixels:
        """As `Split.pixels`."""
        size = int(self.sizes[position])
        file = self._file(self._shard(position))
        # One call that moves no shared position: threads and forked processes do not meet.
        try:
            encoded = os.pread(file.descriptor, size, int(self.offsets[position]))
        except OSError as error:
            raise MissingData(f"{self.where(position)}: cannot be read: {error.strerror}") from None
        if len(encoded) < size:
            raise BadImage(f"{self.where(position)}: the shard ends before it")
        return decode.decode(encoded, self.where(position), decoder)

    def where(self, position: int) -> str:
        """As `Split.where`."""
        name = bytes(self.names[position]).decode("utf-8", "surrogateescape")
        return f"{self.shards[self._shard(position)][1]}: {in_a_line(name)}"

    def share(self, random: np.random.Generator, rank: int, ranks: int) -> NDArray[np.int64]:
        """As `Split.share`, but a rank's images come from few shards at a time."""
        return share.in_runs(self.starts, WINDOW, random, rank, ranks)

    def _shard(self, position: int) -> int:
        return int(np.searchsorted(self.starts, position, "right")) - 1

    def _opened(self, shard: int) -> _File:
        path, called, size = self.shards[shard]
        try:
            file = _File(path)
        except OSError as error:
            raise MissingData(f"{called}: cannot be read: {error.strerror}") from None
        if os.fstat(file.descriptor).st_size != size:
            raise MissingData(f"{called}: has changed since it was indexed; start again")
        return file

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_file"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._file = functools.lru_cache(_OPEN)(self._opened)


class _File:
    """An open file, closed when nobody uses it any more: another thread may still read."""

    descriptor = -1

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


def _texts(labels: NDArray[np.bytes_]) -> tuple[list[str], NDArray[np.int64]]:
    """The different labels, and which of them each is; numbers without leading zeros."""
    found, which = np.unique(labels, return_inverse=True)
    texts = [bytes(label).decode("utf-8", "surrogateescape") for label in found]
    return [str(int(text)) if text.isdecimal() else text for text in texts], which
