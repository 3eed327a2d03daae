"""What is kept between runs and may be deleted: copies of piped shards, indexes of foreign ones."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Generator
from pathlib import Path

from effcc.ground import home
from effcc.sources import index
from effcc.sources.decode import MissingData
from effcc.sources.index import Index


def indexed(shard: Path) -> Index:
    """The index of a shard; its headers are read once, and again when the file changes.

    Raises:
        MissingData: as `index.read`.
    """
    state = shard.stat()
    kept = _place(f"{shard.resolve()} {state.st_size} {state.st_mtime_ns}", ".index")
    found = index.load(kept, state.st_size)
    if found is None:
        found = index.read(shard)
        with contextlib.suppress(OSError):  # a cache that cannot be written is no cache
            kept.parent.mkdir(parents=True, exist_ok=True)
            index.save(kept, found)
    return found


def piped(command: str) -> Path:
    """The shard that a shell command writes; it runs once, and its output is kept.

    Raises:
        MissingData: the command fails, or what it writes is no shard.
    """
    kept = _place(command, ".tar")
    with _alone(kept):
        if not kept.exists():  # perhaps another process made it while this one waited
            partial = kept.with_suffix(".partial")
            try:
                _run(command, partial)
                index.read(partial)  # a copy that was cut short must not be kept
                os.replace(partial, kept)
            except MissingData as error:
                reason = str(error).removeprefix(f"{partial}: ")
                raise MissingData(f"pipe:{command}: {reason}") from None
            finally:
                partial.unlink(missing_ok=True)
    return kept


def _place(of: str, suffix: str) -> Path:
    return home.cache() / "shards" / (hashlib.sha256(os.fsencode(of)).hexdigest()[:32] + suffix)


def _run(command: str, to: Path) -> None:
    shell = ["/bin/sh", "-c", command]
    with open(to, "wb") as file:
        done = subprocess.run(
            shell, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, check=False
        )
        os.fsync(file.fileno())
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise MissingData(f"the command ended with {done.returncode}: {said[-1][:200]}")


@contextlib.contextmanager
def _alone(kept: Path) -> Generator[None]:
    """Let one process of a machine at a time make a file."""
    import fcntl  # not on every system, and only pipes need it

    kept.parent.mkdir(parents=True, exist_ok=True)
    with open(kept.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
