"""Files written whole or not at all, and what tells two of them apart."""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import glob
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Generator, Iterable
from pathlib import Path

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # not on every system
# How `mkstemp` names a file that is being written for another one.
_LEFT = re.compile(r"\..+\.[a-z0-9_]{8}")


def write(path: Path, content: str | bytes, *, lasting: bool = True) -> None:
    """Replace `path` by `content` in one step; a crash or full disk leaves the old file whole.

    What can be made again need not be `lasting`: nobody waits until the disk has it.
    """
    with _temporary(path, content, lasting) as temporary:
        os.replace(temporary, path)


def create(path: Path, text: str) -> None:
    """As `write`, but never over an existing file.

    Raises:
        FileExistsError: `path` exists.
    """
    with _temporary(path, text) as temporary:
        os.link(temporary, path)  # unlike a rename, a link fails where something stands already


@contextlib.contextmanager
def whole(path: Path) -> Generator[Path]:
    """A path beside `path` to write to; it takes the place of `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)


@contextlib.contextmanager
def alone(folder: Path) -> Generator[None]:
    """Wait until no other process is in here with the same folder, where the system can tell."""
    try:
        import fcntl  # not on every system
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network disks have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def leftovers(folder: Path) -> list[Path]:
    """What processes that were killed while they wrote into a folder have left there."""
    return [path for path in sorted(folder.glob(".*")) if _LEFT.fullmatch(path.name)]


def refusal(folder: Path) -> str:
    """Why nobody may write into a folder, or make it; empty if somebody may."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.exists():
        return "a link to nothing"
    if not there.is_dir():
        return "Not a directory"
    try:
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def matching(folder: Path | str, pattern: str) -> list[str]:
    """What a pattern such as `data/*.yml` or `**/x.yml` names in a folder, sorted.

    As `glob.glob`, but each thing once, by whichever ways it is reached: those that `*/../*/../*`
    and links in circles lead are without number. `**` follows no link to a folder.
    """
    found = {os.path.realpath(folder): str(folder)}
    before = ""
    for part in Path(os.path.normpath(pattern)).parts:
        if part == "**":
            ways = [] if before == part else _below(found.values())
        elif glob.has_magic(part):
            names = ((way, entry.name) for way in found.values() for entry in _entries(way))
            ways = [os.path.join(way, name) for way, name in names if _fits(name, part)]
        else:
            ways = [os.path.join(way, part) for way in found.values()]
        reached = {os.path.realpath(way): way for way in sorted(ways) if os.path.lexists(way)}
        found = found | reached if part == "**" else reached
        before = part
    return sorted(found.values())


def plain(path: str, how: int) -> int:
    """The `opener` for what others sent: a device gives without end, a pipe is waited for.

    Raises:
        OSError: it is one of them.
    """
    descriptor = os.open(path, how | _NO_WAIT)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "no file but a folder, a device or a pipe", path)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _below(folders: Iterable[str]) -> list[str]:
    found, queue = list[str](), list(folders)
    seen = set(queue)
    while queue:
        for entry in _entries(queue.pop()):
            if _fits(entry.name, "*") and entry.path not in seen:
                seen.add(entry.path)
                found.append(entry.path)
                queue += [entry.path] * entry.is_dir(follow_symlinks=False)
    return found


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # no folder, or nobody may look into it
        return []


def _fits(name: str, pattern: str) -> bool:
    """Whether a pattern means a name: a hidden one only if it says so."""
    return (name[0] != "." or pattern[0] == ".") and fnmatch.fnmatch(name, pattern)


@contextlib.contextmanager
def _temporary(path: Path, content: str | bytes, lasting: bool = True) -> Generator[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _named(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with _named(path), open(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(name, _mode(path))
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _mode(path: Path) -> int:
    """Who may read a file: as before, where there was one; a new one is for everybody."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0o644


@contextlib.contextmanager
def _named(path: Path) -> Generator[None]:
    """Have an error name the file that somebody asked for; a failing write names none."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise
