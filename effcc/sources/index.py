"""Where the images of a tar shard lie, so that any of them is one read away.

The layout is WebDataset's (A. Aizman, G. Maltby, T. Breuel, IEEE Big Data 2019): files that share
a name up to its first dot are one sample, `key.jpg` its image and `key.cls` its class; a `key.json`
may hold the class instead. Headers are read, nothing is ever unpacked.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcc.sources.decode import MissingData
from effcc.sources.listing import IMAGE_SUFFIXES

# A row an image: offset and size in bytes, the class as it is written, the image's name.
Index = NDArray[np.void]
Row = tuple[int, int, bytes, bytes]

_IMAGES = tuple(suffix[1:] for suffix in IMAGE_SUFFIXES)
_LABELS = ("label", "cls", "class", "target")  # keys of a JSON label, the first that is there


def make(rows: Iterable[Row]) -> Index:
    """An index of rows (offset, size, label, name)."""
    found = list(rows)
    label = max((len(row[2]) for row in found), default=1)
    name = max((len(row[3]) for row in found), default=1)
    kinds = [("offset", "<i8"), ("size", "<i8"), ("label", f"S{label}"), ("name", f"S{name}")]
    return np.array(found, dtype=kinds)


def read(shard: Path) -> Index:
    """The index of a shard, from its headers.

    Raises:
        MissingData: it is no plain tar file, holds what no shard may, or half a sample.
    """
    images: dict[str, tuple[int, int, str]] = {}
    labels: dict[str, str] = {}
    try:
        with open(shard, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                _note(shard, file.fileno(), member, images, labels)
            # tarfile takes a damaged header for the end; at the true one is a block of zeros.
            if os.pread(file.fileno(), tarfile.BLOCKSIZE, tar.offset) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"it breaks off at byte {tar.offset:,}")
    except tarfile.TarError as error:
        message = f"{shard}: is no whole, uncompressed tar file ({error}); copy or pack it again"
        raise MissingData(message) from None
    except OSError as error:
        raise MissingData(f"{shard}: cannot be read: {error.strerror or error}") from None
    if lone := next((key for key in images if key not in labels), None):
        raise MissingData(
            f"{shard}: {images[lone][2]} has no class; add {lone}.cls with its number or name, or "
            f'{lone}.json with a "label"'
        )
    if lone := next((key for key in labels if key not in images), None):
        raise MissingData(f"{shard}: {lone} has a class and no image ({', '.join(IMAGE_SUFFIXES)})")
    return make(
        (offset, size, os.fsencode(labels[key]), os.fsencode(name))
        for key, (offset, size, name) in images.items()
    )


def beside(shard: Path) -> Path:
    """Where `effcc shards` leaves a shard's index."""
    return shard.with_suffix(".index")


def save(file: Path, index: Index) -> None:
    """Write an index, whole or not at all."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as opened:
            np.save(opened, index)
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def load(file: Path, shard_bytes: int) -> Index | None:
    """A saved index, if there is a sound one that fits a shard of so many bytes."""
    try:
        index = np.load(file, allow_pickle=False)
        ends = index["offset"] + index["size"]
        sound = index["label"].dtype.kind == index["name"].dtype.kind == "S"
    except (OSError, ValueError, EOFError, IndexError):
        return None
    inside = not len(index) or (ends.max() <= shard_bytes and index["offset"].min() >= 0)
    return index if sound and inside else None


def _note(
    shard: Path,
    descriptor: int,
    member: tarfile.TarInfo,
    images: dict[str, tuple[int, int, str]],
    labels: dict[str, str],
) -> None:
    """Remember what a member is of its sample."""
    name = member.name
    if member.isdir():
        return
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        raise MissingData(f"{shard}: {name!r} is a link, device or sparse file; pack plain files")
    if name.startswith("/") or ".." in name.split("/"):
        raise MissingData(f"{shard}: {name!r} leads out of the shard; pack it with relative names")
    match = re.fullmatch(r"((?:.*/)?[^./][^./]*)\.([^/]*)", name)
    if match is None:  # hidden, or without a suffix: no part of a sample
        return
    key, kind = match[1], match[2].rpartition(".")[2].lower()
    if kind in _IMAGES:
        if key in images:
            raise MissingData(f"{shard}: {key} has two images, {images[key][2]} and {name}")
        images[key] = (member.offset_data, member.size, name)
    elif kind == "cls":
        labels[key] = _text(shard, descriptor, member)
    elif kind == "json" and (label := _label(shard, member, _text(shard, descriptor, member))):
        labels.setdefault(key, label)


def _text(shard: Path, descriptor: int, member: tarfile.TarInfo) -> str:
    try:
        text = os.pread(descriptor, min(member.size, 1 << 20), member.offset_data).decode().strip()
    except UnicodeDecodeError:
        raise MissingData(f"{shard}: {member.name} is no UTF-8 text") from None
    if not text:
        raise MissingData(f"{shard}: {member.name} is empty; write the class's number or name")
    return text


def _label(shard: Path, member: tarfile.TarInfo, text: str) -> str | None:
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise MissingData(f"{shard}: {member.name} is no JSON") from None
    if not isinstance(data, dict):
        return None
    label = next((data[name] for name in _LABELS if name in data), None)
    return str(label) if isinstance(label, int | str) and not isinstance(label, bool) else None
