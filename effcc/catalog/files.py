"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step; a crash or a full disk leaves the old file whole."""
    with _temporary(path, text) as temporary:
        os.replace(temporary, path)


def create(path: Path, text: str) -> None:
    """As `write`, but never over an existing file.

    Raises:
        FileExistsError: `path` exists.
    """
    with _temporary(path, text) as temporary:
        os.link(temporary, path)  # unlike a rename, a link fails where something stands already


@contextlib.contextmanager
def _temporary(path: Path, text: str) -> Generator[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
