"""Whether a record is still what was written: a digest of its data, kept with the data.

A digest shows accidents and casual edits. It is no signature: whoever edits a record can compute it
anew, and only the history of the repository tells then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from effcc.ground.document import Document
from effcc.ground.errors import Place
from effcc.ground.words import legible

# What a record's `schema` is since it has a digest, and was before.
SCHEMA, UNSEALED_SCHEMA = 2, 1


class Seal(StrEnum):
    """What a record's digest says of it, or where it has none, the repository."""

    WHOLE = "sealed"
    BROKEN = "edited by hand"
    NONE = "from before records were sealed"
    COMMITTED = "from before records were sealed, as committed"  # where somebody asked git


@dataclass(frozen=True, slots=True)
class Filed:
    """A record's file, as it was read."""

    document: Document = field(repr=False)
    seal: Seal

    @property
    def data(self) -> Mapping[str, Any]:
        """Everything in it."""
        return self.document.data

    def place(self, *path: str | int) -> Place:
        """The line of a value in it, as in `place("metrics", "top1", "value")`."""
        return self.document.mark(path).value


def digest(data: Mapping[str, Any]) -> str:
    """SHA-256 of a record without its digest, as 64 hex digits.

    It is taken of the record's canonical JSON, `json.dumps(data, sort_keys=True, separators=(",",
    ":"))` in Python: keys sorted, no white space, ASCII with escapes, and every float as the
    shortest digits that read back as it. So a file may be indented anew and stays the same record.
    """
    bare = {key: value for key, value in data.items() if key != "digest"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """A new record as plain data of JSON's kinds, with its schema first and its digest last."""
    text = legible(json.dumps(data, allow_nan=False, ensure_ascii=False))
    whole = {"schema": SCHEMA, **json.loads(text)}
    return whole | {"digest": digest(whole)}


def seal(data: Mapping[str, Any]) -> Seal:
    """What the digest of a record says; one that should have a digest and has none was edited."""
    if "digest" not in data and data.get("schema") == UNSEALED_SCHEMA:
        return Seal.NONE
    return Seal.WHOLE if data.get("digest") == digest(data) else Seal.BROKEN
