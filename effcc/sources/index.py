"""Where the images of a tar shard lie, so that any of them is one read away.

The layout is WebDataset's (A. Aizman, G. Maltby, T. Breuel, IEEE Big Data 2019): files that share
a name up to its first dot are one sample, `key.jpg` its image and `key.cls` its class; a `key.json`
may hold the class instead. Headers are read, nothing is ever unpacked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effcc.ground import files
from effcc.ground.words import in_a_line
from effcc.sources.decode import MissingData
from effcc.sources.listing import IMAGE_SUFFIXES
from effcc.sources.members import BadTar, Member, members

# A row an image: offset and size in bytes, the class as it is written, the image's name.
Index = NDArray[np.void]
Row = tuple[int, int, bytes, bytes]

_IMAGES = tuple(suffix[1:] for suffix in IMAGE_SUFFIXES)
_LABELS = ("label", "cls", "class", "target")  # keys of a JSON label, the first that is there
# Bytes that a class and a name may have: an index has as many for every image as the longest.
_LONGEST_LABEL, _LONGEST_NAME = 255, 4096
# What `np.save` writes before the rows of an index. Its own reader would parse any Python there.
_HEAD = re.compile(
    rb"\x93NUMPY\x01\0..\{'descr': \[\('offset', '<i8'\), \('size', '<i8'\), "
    rb"\('label', '\|S(\d{1,3})'\), \('name', '\|S(\d{1,4})'\)\], "
    rb"'fortran_order': False, 'shape': \((\d{1,12}),\), \} *\n",
    re.DOTALL,
)


def make(rows: Iterable[Row]) -> Index:
    """An index of rows (offset, size, label, name)."""
    found = list(rows)
    label = max((len(row[2]) for row in found), default=1)
    name = max((len(row[3]) for row in found), default=1)
    return np.array(found, _kind(label, name))


def read(shard: Path) -> Index:
    """The index of a shard, from its headers.

    Raises:
        MissingData: it is no plain tar file, holds what no shard may, or half a sample.
    """
    images: dict[str, tuple[int, int, str]] = {}
    labels: dict[str, str] = {}
    try:
        with open(shard, "rb") as file:
            for member in members(file.fileno()):
                _note(shard, file.fileno(), member, images, labels)
    except BadTar as error:
        message = f"{shard}: is no whole, uncompressed tar file ({error}); copy or pack it again"
        raise MissingData(message) from None
    except OSError as error:
        raise MissingData(f"{shard}: cannot be read: {error.strerror or error}") from None
    if lone := next((key for key in images if key not in labels), None):
        raise MissingData(
            f"{shard}: {in_a_line(images[lone][2])} has no class; add {in_a_line(lone)}.cls with "
            f'its number or name, or {in_a_line(lone)}.json with a "label"'
        )
    if lone := next((key for key in labels if key not in images), None):
        known = ", ".join(IMAGE_SUFFIXES)
        raise MissingData(f"{shard}: {in_a_line(lone)} has a class and no image ({known})")
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
        with open(file, "rb", opener=files.plain) as opened:
            content = opened.read()
    except OSError:
        return None
    head = _HEAD.match(content)
    if head is None:
        return None
    label, name, rows = map(int, head.groups())
    kind = _kind(label, name)
    if label > _LONGEST_LABEL or name > _LONGEST_NAME:
        return None
    if len(content) != head.end() + rows * kind.itemsize:
        return None
    index = np.frombuffer(content, kind, rows, head.end())
    offset, size = index["offset"], index["size"]
    inside = (offset >= 0) & (size >= 0) & (size <= shard_bytes) & (offset <= shard_bytes - size)
    return index if inside.all() else None


def _kind(label: int, name: int) -> np.dtype[np.void]:
    """The type of an index's rows, for the longest label and name in bytes."""
    return np.dtype(
        [("offset", "<i8"), ("size", "<i8"), ("label", f"S{label}"), ("name", f"S{name}")]
    )


def _note(
    shard: Path,
    descriptor: int,
    member: Member,
    images: dict[str, tuple[int, int, str]],
    labels: dict[str, str],
) -> None:
    """Remember what a member is of its sample."""
    name = member.name
    if member.folder:
        return
    if not member.plain:
        raise MissingData(f"{shard}: {name!r} is a link, device or sparse file; pack plain files")
    if name.startswith("/") or ".." in name.split("/"):
        raise MissingData(f"{shard}: {name!r} leads out of the shard; pack it with relative names")
    if len(os.fsencode(name)) > _LONGEST_NAME:
        raise MissingData(f"{shard}: {in_a_line(name[:50])}... is too long for a name; shorten it")
    match = re.fullmatch(r"((?:.*/)?[^./][^./]*)\.([^/]*)", name)
    if match is None:  # hidden, or without a suffix: no part of a sample
        return
    key, kind = match[1], match[2].rpartition(".")[2].lower()
    if kind in _IMAGES:
        if key in images:
            two = f"{in_a_line(images[key][2])} and {in_a_line(name)}"
            raise MissingData(f"{shard}: {in_a_line(key)} has two images, {two}")
        images[key] = (member.offset, member.size, name)
    elif kind == "cls":
        labels[key] = _checked(shard, member, _text(shard, descriptor, member))
    elif kind == "json" and (label := _label(shard, member, _text(shard, descriptor, member))):
        labels.setdefault(key, _checked(shard, member, label))


def _text(shard: Path, descriptor: int, member: Member) -> str:
    try:
        text = os.pread(descriptor, min(member.size, 1 << 20), member.offset).decode().strip()
    except UnicodeDecodeError:
        raise MissingData(f"{shard}: {in_a_line(member.name)} is no UTF-8 text") from None
    if not text:
        raise MissingData(
            f"{shard}: {in_a_line(member.name)} is empty; write the class's number or name"
        )
    return text


def _label(shard: Path, member: Member, text: str) -> str | None:
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise MissingData(f"{shard}: {in_a_line(member.name)} is no JSON") from None
    if not isinstance(data, dict):
        return None
    label = next((data[name] for name in _LABELS if name in data), None)
    return str(label) if isinstance(label, int | str) and not isinstance(label, bool) else None


def _checked(shard: Path, member: Member, label: str) -> str:
    """A label that is one line of text, and no longer than a name."""
    if in_a_line(label) != label or len(label.encode()) > _LONGEST_LABEL:
        raise MissingData(
            f"{shard}: {in_a_line(member.name)} holds {label[:50]!r}; write the class's number or "
            "name"
        )
    if re.fullmatch(r"[+-]\d+", label):
        raise MissingData(
            f"{shard}: {in_a_line(member.name)} holds {label[:50]}, no class's number; they count "
            "from 0"
        )
    return label
