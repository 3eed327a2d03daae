"""Collection of garbage, put off while much is made and nothing is thrown away."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator


@contextlib.contextmanager
def left() -> Generator[None]:
    """No collection in the block: it would walk what is being made again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()  # what was made counts as old, and is not walked when
            gc.unfreeze()  # collection goes on
            gc.enable()
