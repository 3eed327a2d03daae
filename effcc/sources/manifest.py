"""What `effcc shards` says of the shards it packs: classes, counts and checksums.

`manifest.json` lies beside the shards. It is written again after every shard, so what it lists is
whole, and packing goes on after it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from effcc.ground import files
from effcc.ground.words import in_a_line
from effcc.sources.decode import MissingData

NAME = "manifest.json"
VERSION = 1
# What `effcc shards` calls a shard: no way out of the folder.
_NAME = re.compile(r"[a-z]+-\d+\.tar")


@dataclass(frozen=True, slots=True)
class Shard:
    """A finished shard."""

    name: str
    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Packed:
    """A split: of how many images and with what fingerprint it is packed, and its shards so far."""

    images: int
    fingerprint: str
    shards: tuple[Shard, ...] = ()

    @property
    def done(self) -> int:
        """Images in finished shards."""
        return sum(shard.images for shard in self.shards)


@dataclass(frozen=True)
class Manifest:
    """Everything in a folder of shards.

    `per_shard` is the images of a shard, or None; `size` else the most bytes of one.
    """

    title: str
    classes: tuple[str, ...]
    seed: int
    per_shard: int | None
    size: int | None
    splits: Mapping[str, Packed]

    @functools.cached_property
    def shards(self) -> Mapping[str, Shard]:
        """The finished shards of all splits, by name."""
        return {shard.name: shard for split in self.splits.values() for shard in split.shards}

    def with_shards(self, split: str, shards: Sequence[Shard]) -> Manifest:
        """The same with other finished shards in a split."""
        changed = replace(self.splits[split], shards=tuple(shards))
        return replace(self, splits={**self.splits, split: changed})

    def text(self) -> str:
        """As it is written."""
        return json.dumps({"version": VERSION} | asdict(self), indent=1, ensure_ascii=False) + "\n"


def read(folder: Path) -> Manifest | None:
    """The manifest of a folder, if it has one.

    Raises:
        MissingData: the file is not one that this version wrote.
    """
    path = folder / NAME
    try:
        with open(path, encoding="utf-8", opener=files.plain) as file:
            data: Any = json.load(file)
        if data.pop("version") != VERSION:
            raise ValueError
        splits = {name: _packed(**split) for name, split in data.pop("splits").items()}
        return _checked(Manifest(splits=splits, classes=tuple(data.pop("classes")), **data))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        message = f"{path}: is no manifest of effcc shards; restore it or pack again"
        raise MissingData(message) from None


def _packed(images: Any, fingerprint: Any, shards: Any) -> Packed:
    return Packed(images, fingerprint, tuple(Shard(**shard) for shard in shards))


def _checked(read: Manifest) -> Manifest:
    """What was read, if every value is of its kind; somebody may have edited it.

    Raises:
        ValueError: one is not, or a shard would be a file outside of the folder.
    """
    sizes = [size for size in (read.per_shard, read.size) if size is not None]
    counts, texts = [read.seed, *sizes], [read.title, *read.classes]
    for split in read.splits.values():
        counts.append(split.images)
        texts.append(split.fingerprint)
        for shard in split.shards:
            counts += [shard.images, shard.bytes]
            texts += [shard.name, shard.sha256]
            if not _NAME.fullmatch(shard.name):
                raise ValueError
    if not all(type(count) is int and 0 <= count < 2**63 for count in counts):
        raise ValueError
    if not all(type(text) is str and in_a_line(text) == text for text in texts):
        raise ValueError
    return read
