"""Folders of images into tar shards: what `effcc shards` does.

A shard is written under another name, renamed when it is whole, and then added to the manifest.
Nothing in it depends on when or where it was written, so a packing that was stopped at any moment
and begun again ends with the bytes of one that was not.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import tarfile
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from effcc.catalog.spec import Data, rule
from effcc.ground import files
from effcc.ground.errors import UsageError, UserError
from effcc.ground.words import in_a_line, many
from effcc.sources import decode, index, manifest
from effcc.sources.decode import MissingData
from effcc.sources.folder import NAMES, Folder
from effcc.sources.imagenet import ImageNet
from effcc.sources.listing import IMAGE_SUFFIXES
from effcc.sources.manifest import Manifest, Packed, Shard
from effcc.sources.split import Files

# Of the order of images in the shards; every epoch has its own order of shards besides.
SEED = 1797
# How a shard, its index and the manifest are called while they are written.
_LEFT = re.compile(
    r"\.(train|val|test)-\d+\.(tar|index(\.\d+)?)\.partial"
    rf"|\.{re.escape(manifest.NAME)}\.[a-z0-9_]{{8}}"
)
# The disk, the quota, or the process has no more room.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Called with a split, the images of it that are packed, and how many it has.
Report = Callable[[str, int, int], None]


class Stopped(UserError):
    """A packing that goes on when the same command is given again."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def opened(kind: str, folder: str) -> Folder:
    """The source of a kind, `folder` or `imagenet`, that is at its usual place in a folder."""
    settings: dict[str, Any] = {f.name: rule(f"data.{f.name}")["default"] for f in fields(Data)}
    settings |= {"source": kind, "root": folder}
    kinds: dict[str, type[Folder]] = {"folder": Folder, "imagenet": ImageNet}
    return kinds[kind](Data(**settings))


def splits(source: Folder, asked: Sequence[str] = ()) -> list[str]:
    """The splits to pack: those asked for, or all that have images of their own.

    Raises:
        MissingData: one that was asked for has none.
    """
    places = {name: source.place(name) for name in NAMES}
    if places["test"] == places["val"]:  # its stand-in
        places["test"] = None
    if lacking := [name for name in asked if places[name] is None]:
        raise MissingData(f"{source.root.absolute()} has no {lacking[0]} images of its own")
    return [name for name in NAMES if places[name] and (not asked or name in asked)]


def pack(
    source: Folder,
    names: Sequence[str],
    out: Path,
    report: Report,
    *,
    per_shard: int | None = None,
    size: int | None = None,
) -> Manifest:
    """Write splits of a source as shards, going on where an earlier call stopped.

    Args:
        source: of image files.
        names: of `splits`.
        out: the folder for the shards; made if need be.
        report: told of every image and finished shard.
        per_shard: images in a shard.
        size: if not that, the most bytes of a shard.

    Raises:
        Stopped: Ctrl-C, or the disk is full; what is finished is kept.
        MissingData: an image is missing.
        UsageError: `out` holds something else, or is being packed.
    """
    with _alone(out), _resumable(out):
        begun = _begin(source, names, out, per_shard, size)
        for name in names:
            begun = _pack(source, name, begun, out, report)
    return begun


def check(out: Path, report: Report) -> tuple[Manifest, list[str]]:
    """Compare every shard of a folder with its manifest; returns that and what is wrong.

    Raises:
        MissingData: there is no manifest.
    """
    packed = manifest.read(out)
    if packed is None:
        raise MissingData(f"{out}: no {manifest.NAME} here; effcc shards DIR OUT writes one")
    wrong: list[str] = []
    for name, split in packed.splits.items():
        done = 0
        for shard in split.shards:
            wrong += [f"{out / shard.name}: {what}" for what in _differences(out, shard)]
            done += shard.images
            report(name, done, split.images)
        if done < split.images:
            wrong.append(
                f"{out}: {done:,} of {many(split.images, f'{name} image')}; packing goes on"
            )
    strangers = {path.name for path in out.glob("*.tar")} - set(packed.shards)
    wrong += [f"{out / name}: is not in {manifest.NAME}" for name in sorted(strangers)]
    return packed, wrong


def _begin(
    source: Folder, names: Sequence[str], out: Path, per_shard: int | None, size: int | None
) -> Manifest:
    """The manifest of an earlier call, or a new one.

    Raises:
        MissingData: the name of a class cannot stand in one.
        UsageError: `out` holds something else.
    """
    for name in source.classes:  # before hours of packing: nobody could read the manifest
        if in_a_line(name) != name:
            raise MissingData(
                f"{source.root.absolute()}: the class {in_a_line(name)} has characters in its name "
                "that no line of text shows as they are; rename it"
            )
    asked = Manifest(in_a_line(source.title), source.classes, SEED, per_shard, size, {})
    earlier = manifest.read(out)
    if earlier is None and any(out.glob("*.tar")):
        raise UsageError(f"{out}: holds other shards; choose another folder")
    if earlier:  # a folder may be moved and get another title
        asked = replace(asked, title=earlier.title)
    if earlier and replace(earlier, splits={}) != asked:
        raise UsageError(
            f"{out}: was begun from other images or with other sizes of shards; give the same "
            "command as then, or choose another folder"
        )
    packed = dict(earlier.splits) if earlier else {}
    for name in names:
        split = source.split(name)
        begun = packed.setdefault(name, Packed(len(split), split.fingerprint))
        if (begun.images, begun.fingerprint) != (len(split), split.fingerprint):
            raise UsageError(
                f"{out}: the {name} images have changed since packing began; choose another folder"
            )
    _tidy(out)  # after a call that was killed
    return replace(asked, splits={name: packed[name] for name in NAMES if name in packed})


def _pack(source: Folder, name: str, packed: Manifest, out: Path, report: Report) -> Manifest:
    split = source.split(name)
    assert isinstance(split, Files)
    shards: list[Shard] = []
    for shard in packed.splits[name].shards:
        if any(_differences(out, shard)):
            break  # it and all after it are packed again
        shards.append(shard)
        report(name, sum(s.images for s in shards), len(split))
    samples = _Samples(split)
    done = sum(shard.images for shard in shards)
    while True:
        packed = packed.with_shards(name, shards)
        files.write(out / manifest.NAME, packed.text())
        if done == len(split):
            return packed
        path = out / f"{name}-{len(shards):06d}.tar"
        shard = _write(path, samples, done, packed, lambda count: report(name, count, len(split)))
        shards.append(shard)
        done += shard.images


def _write(
    path: Path, samples: _Samples, start: int, packed: Manifest, report: Callable[[int], None]
) -> Shard:
    """One shard, of the samples from `start` on."""
    partial, rows = path.with_name(f".{path.name}.partial"), list[index.Row]()
    with open(partial, "wb") as file:
        hashed = _Hashed(file)
        # It only ever writes, and that is all `hashed` can do; the library's types ask for more.
        with tarfile.open(fileobj=hashed, mode="w", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
            for name, key, label, encoded in samples.since(start):
                if _is_full(packed, rows, tar.offset + len(encoded)):
                    break
                rows.append((_add(tar, name, encoded), len(encoded), label, os.fsencode(name)))
                _add(tar, f"{key}.cls", label)
                report(start + len(rows))
        file.flush()
        os.fsync(file.fileno())
    index.save(index.beside(path), index.make(rows))
    os.replace(partial, path)
    return Shard(path.name, len(rows), hashed.bytes, hashed.sha256.hexdigest())


def _is_full(packed: Manifest, rows: Sequence[index.Row], end: int) -> bool:
    if packed.per_shard:
        return len(rows) == packed.per_shard
    return bool(rows) and packed.size is not None and end > packed.size


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Append a file; returns where its content begins."""
    member = tarfile.TarInfo(name)  # of nobody, and of 1970
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
    blocks = -(-len(content) // tarfile.BLOCKSIZE)
    return tar.offset - blocks * tarfile.BLOCKSIZE


class _Samples:
    """The images of a split in the order of packing, each with its name in a shard."""

    def __init__(self, split: Files) -> None:
        self.split = split
        # RandomState, whose streams never change from one version of NumPy to another.
        self.order: NDArray[np.int64] = np.random.RandomState(SEED).permutation(len(split))
        keys = np.array([os.fsencode(self._key(position)) for position in range(len(split))])
        found, counts = np.unique(keys, return_counts=True)
        self.shared = {os.fsdecode(bytes(key)) for key in found[counts > 1]}

    def since(self, start: int) -> Iterator[tuple[str, str, bytes, bytes]]:
        """(name, key, label, encoded image) from the `start`-th on."""
        for position in map(int, self.order[start:]):
            path = self.split.path(position)
            suffix = path.suffix.lower()
            if suffix not in IMAGE_SUFFIXES:
                known = ", ".join(IMAGE_SUFFIXES)
                raise MissingData(f"{path}: has no suffix of an image ({known}); rename it")
            key = self._key(position)
            if key in self.shared:  # a.jpg and a.png
                key = f"{key}~{position}"
            label = str(int(self.split.labels[position])).encode()
            yield f"{key}{suffix}", key, label, decode.read(path)

    def _key(self, position: int) -> str:
        """The path without suffix; in WebDataset's layout a name ends at its first dot."""
        path = PurePosixPath(os.fsdecode(bytes(self.split.paths[position])))
        parts = [part for part in path.with_suffix("").parts if part not in ("/", "..")]
        return "/".join([*parts[:-1], re.sub(r"[.~]", "_", parts[-1])])


class _Hashed:
    """A file that is only written, and counted and hashed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.bytes, self.sha256 = file, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        self.sha256.update(data)
        return self.file.write(data)

    def tell(self) -> int:
        return self.bytes


def _differences(out: Path, shard: Shard) -> Iterator[str]:
    """How a shard differs from its manifest."""
    path = out / shard.name
    if not path.is_file():
        yield "is missing"
        return
    if (size := path.stat().st_size) != shard.bytes:
        yield f"has {size:,} bytes instead of {shard.bytes:,}"
        return
    with open(path, "rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
            yield "is not what was packed: its SHA-256 differs"
            return
    saved = index.load(index.beside(path), shard.bytes)
    if saved is None or saved.tobytes() != index.read(path).tobytes():
        yield "its index is missing or of another shard"
    elif len(saved) != shard.images:
        yield f"holds {many(len(saved), 'image')} instead of {shard.images}"


@contextlib.contextmanager
def _resumable(out: Path) -> Generator[None]:
    """Turn what may stop a packing into a line that says how to go on."""
    again = "the same command goes on after the last finished shard"
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(f"stopped; {again}", 130) from None
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Stopped(f"{out}: {error.strerror}; make room, then {again}", 3) from None
    finally:
        _tidy(out)


def _tidy(out: Path) -> None:
    """Remove what was not finished, and no file that somebody else keeps there."""
    for path in out.glob(".*"):
        if _LEFT.fullmatch(path.name):
            path.unlink()


@contextlib.contextmanager
def _alone(out: Path) -> Generator[None]:
    """Keep a second packing out of a folder."""
    import fcntl  # not on every system, and only packing needs it

    out.mkdir(parents=True, exist_ok=True)
    folder = os.open(out, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network disks have no locks
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"{out}: is being packed by another process") from None
        yield
    finally:
        os.close(folder)
