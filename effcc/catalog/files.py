"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path


def write(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` in one step; a crash or full disk leaves the old file whole."""
    with _temporary(path, content) as temporary:
        os.replace(temporary, path)


def create(path: Path, text: str) -> None:
    """As `write`, but never over an existing file.

    Raises:
        FileExistsError: `path` exists.
    """
    with _temporary(path, text) as temporary:
        os.link(temporary, path)  # unlike a rename, a link fails where something stands already


@contextlib.contextmanager
def _temporary(path: Path, content: str | bytes) -> Generator[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
