"""Which code a configuration may name: what is not listed here is never imported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

ALLOWED = tuple(
    f"lightning.pytorch.{part}"
    for part in ("loggers", "callbacks", "profilers", "strategies", "plugins", "accelerators")
)
_ALLOWED = re.compile(rf"({'|'.join(re.escape(place) for place in ALLOWED)})\.[A-Z]\w*")
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
# Trainer arguments that are looked up as classes when given as text.
_CLASSES = ("logger", "callbacks", "profiler", "strategy", "plugins", "accelerator")


def forbidden(trainer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Import paths in Trainer arguments that are not allowed: (`trainer.<argument>`, path).

    Inside a class's arguments every dotted name counts, because an argument may be a callable that
    is imported by name.
    """
    for key, value in trainer.items():
        for text in _texts(value):
            suspect = key in _CLASSES or not isinstance(value, str)
            # Only what these places bring themselves: a name below one could be what it imports.
            if suspect and _DOTTED.fullmatch(text) and not _ALLOWED.fullmatch(text):
                yield f"trainer.{key}", text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
