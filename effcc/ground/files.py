"""Files written whole or not at all, and what tells two of them apart."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Generator
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
        os.chmod(name, 0o644)
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


@contextlib.contextmanager
def _named(path: Path) -> Generator[None]:
    """Have an error name the file that somebody asked for; a failing write names none."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise
