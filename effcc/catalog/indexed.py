"""Which records there are, and which are worth reading, without reading all of them.

A folder of many records has an index in the cache: a line a record, see `glance`, beside what the
file system said of its file when it was read, which is size, inode and the times of its last change
of content and of anything. A line stands for its file only while all four are the same. Whoever
edits a record and sets its time back changes the last of them, which nobody can set. So a list may
believe the index; `effcc check` and cards never ask it and read every record.

An index is only ever a shorter way. One that is damaged, or cannot be written, is none.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from effcc.catalog import glance, results, routings, schema, timings
from effcc.catalog.glance import Glance, Kept
from effcc.catalog.registry import Entry
from effcc.catalog.results import Run
from effcc.catalog.seal import Seal
from effcc.catalog.timings import Bench
from effcc.ground import files, workers
from effcc.ground.errors import BadFile
from effcc.ground.home import Home, cache

# A folder with fewer records is read as it is: an index would cost as much.
WORTH = 64
# Raised when a line comes to say something else of the same record, or in another way.
_FORMAT = 1
# A file that changed so shortly before it was read, in nanoseconds, may change again within one
# tick of the clock, and nothing would show it: FAT's takes two seconds.
_SETTLED = 2_000_000_000
# Names that a line can hold; others are read each time.
_NAME = re.compile(r"[\w.-]+\.json", re.ASCII)
# What the file system says of a file, and the later of the times in it, in nanoseconds.
_Said = tuple[str, int]
_WRONG = "wrong"  # the kind of a file that is no record


class Line(NamedTuple):
    """A file among a variant's records, and what tells whether it must be read."""

    name: str
    stamp: str  # what the file system said of it; empty if that may be said of another one soon
    kind: str  # as a glance has it; or that it is no record
    seal: str
    like: str  # empty of a record that is nobody's result
    images: str
    text: str

    @property
    def glance(self) -> Glance:
        """What a list shows of it."""
        return glance.read(self.text)

    @property
    def is_none(self) -> bool:
        """Whether the file is no record."""
        return self.kind == _WRONG

    @property
    def is_wrong(self) -> bool:
        """Whether the file is no record, or an edited one."""
        return self.is_none or self.seal == Seal.BROKEN


def lines(home: Home, variant: str) -> list[Line]:
    """A line for each file among a variant's records, oldest first, as they are now."""
    folder, before = home.results / variant, time.time_ns()
    found = _listed(folder)
    if len(found) < WORTH:
        return [_line(home, folder / name, "") for name in found]
    return _current(home, folder, found, before)


def newest(entry: Entry, home: Home) -> tuple[list[Run], Bench | None] | None:
    """A variant's headlines and newest time, as `results.headlines` and `timings.benches` say.

    The index only says which records need not be read: those that are like one that is not the
    variant's result, and those behind a newer one of the same images. None if the variant has so
    few that all may as well be read.
    """
    folder, before = home.results / entry.spec.name, time.time_ns()
    found = _listed(folder)
    if len(found) < WORTH:
        return None
    headlines: dict[str, Run] = {}
    bench, unlike = None, {""}
    for line in reversed(_current(home, folder, found, before)):
        wanted = line.kind == glance.ACCURACY and line.images not in headlines
        if line.like in unlike or not (wanted or (line.kind == glance.TIME and bench is None)):
            continue
        with contextlib.suppress(BadFile):  # it was there a moment ago
            record = opened(folder / line.name, home)
            if differs(entry, record):
                unlike.add(line.like)
            elif isinstance(record, Bench):
                bench = record
            elif isinstance(record, results.Record):
                headlines[line.images] = Run(record, "")
    return list(headlines.values()), bench


def differs(entry: Entry, record: Kept) -> str:
    """Why a record is not the registered variant's result; empty if it is."""
    if isinstance(record, Bench):
        return timings.differs(record, entry.spec)
    return results.beside_registry(entry, [record])[record.id]


def opened(path: Path, home: Home) -> Kept:
    """A record of any kind.

    Raises:
        BadFile: it is no record, or was moved.
    """
    document = results.opened(path, home)
    kind = results.kind_of(document, path)
    if kind == "bench":
        return timings.read_bench(document)[0]
    if kind == "routing":
        return routings.read_routing(document)[0]
    return results.read_record(document)[0]


def _listed(folder: Path) -> dict[str, _Said]:
    """What the file system says of each record: size, inode, times; and the later of the times."""
    found: dict[str, _Said] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith(".json"):
                continue
            try:
                of = entry.stat()
            except OSError:  # a link to nothing, or gone: whoever reads it says so
                found[entry.name] = "", 0
                continue
            changed, moved = of.st_mtime_ns, of.st_ctime_ns
            stamp = f"{of.st_size} {of.st_ino} {changed} {moved}"
            found[entry.name] = stamp, max(changed, moved)
    return dict(sorted(found.items()))


def _current(home: Home, folder: Path, found: Mapping[str, _Said], before: int) -> list[Line]:
    """The lines of files that the file system said something of, at `before` or later."""
    kept = _kept(folder)
    known = [kept.get(name) for name in found]
    unread = [
        (name, stamp if newest < before - _SETTLED and _NAME.fullmatch(name) else "")
        for (name, (stamp, newest)), line in zip(found.items(), known, strict=True)
        if line is None or not stamp or line.stamp != stamp
    ]
    read = workers.each(lambda one: _line(home, folder / one[0], one[1]), unread)
    fresh = {line.name: line for line in read}
    now = [fresh.get(name) or kept[name] for name in found]
    if any(line.stamp for line in read) or len(kept) > sum(bool(line.stamp) for line in now):
        _keep(folder, now)
    return now


def _line(home: Home, path: Path, stamp: str) -> Line:
    """The line of a file, read."""
    try:
        seen = glance.of(opened(path, home))
    except BadFile:
        return Line(path.name, stamp, _WRONG, "", "", "", "")
    like = "" if seen.own else seen.like
    return Line(path.name, stamp, seen.kind, seen.seal, like, seen.images, glance.text(seen))


def _place(folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
    return cache() / "records" / f"{name}.index"


def _kept(folder: Path) -> dict[str, Line]:
    """The lines of a folder's index, by name; none if there is no sound one."""
    try:
        head, _, body = _place(folder).read_bytes().partition(b"\n")
        if head != _head(body):
            return {}
        rows = body.decode().split("\n")
        return {line.name: line for line in (Line(*row.split("\t", 6)) for row in rows if row)}
    except (OSError, ValueError, TypeError):
        return {}


def _keep(folder: Path, now: Sequence[Line]) -> None:
    """Write a folder's index, whole or not at all; whoever else writes it now is as right."""
    body = "\n".join("\t".join(line) for line in now if line.stamp).encode()
    with contextlib.suppress(OSError):  # a cache that cannot be written is no cache
        files.write(_place(folder), _head(body) + b"\n" + body, lasting=False)


def _head(body: bytes) -> bytes:
    """What an index begins with: its format, who read the records, their schemas, its digest.

    Another version may find wrong what this one took for a record, or right.
    """
    digest = hashlib.sha256(body).hexdigest()
    version = sys.modules["effcc"].__version__  # the door's, which no floor below imports
    return f"records {_FORMAT} {version} {_schemas()} {digest}".encode()


@functools.cache
def _schemas() -> str:
    held = [repr(schema.load(name)) for name in ("result", "bench", "routing")]
    return hashlib.sha256("".join(held).encode()).hexdigest()[:16]
