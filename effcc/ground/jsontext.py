"""JSON as Python's own parser reads it, and where a value stands, found when somebody asks.

A record is thousands of values, of which a card links to three. So no marks are made: a value is
found by reading past those before it.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
# Escapes that could be half a character, and numbers that no measurement gives.
_ODD = re.compile(r"\\u|[0-9]{300}")

# What JSON leaves as it is and a terminal does not; see `words.printable`.
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


class NotPlain(ValueError):
    """Not JSON as everybody writes it; the reader of YAML says what is wrong, or takes it."""


def parse(text: str, depth: int) -> Any:
    """The data of a JSON text.

    Raises:
        NotPlain: anything but JSON with each key once, no escape by number, and no more than
            `depth` lists and mappings in each other.
    """
    if _ODD.search(text):
        raise NotPlain("an escape, or a number too long")
    try:
        data = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise NotPlain(str(error)) from None
    _hold(data, depth)
    return data


def text(data: Any, indent: int | None = 1) -> str:
    """Data as JSON for people and programs: what no terminal should be sent is an escape."""
    written = json.dumps(data, indent=indent, ensure_ascii=False)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", written)


def find(text: str, path: tuple[str | int, ...]) -> tuple[int, int]:
    """Where the value at `path` begins and where its key does, in a text that `parse` took.

    Of an item of a list both are its own beginning.

    Raises:
        KeyError: there is no such value.
    """
    at = key = _after_space(text, 0)
    for part in path:
        opening = text[at]
        if opening != ("[" if isinstance(part, int) else "{"):
            raise KeyError(path)
        at = _after_space(text, at + 1)
        number = 0
        while text[at] not in "]}":
            key, name = at, number
            if opening == "{":
                name, at = _DECODER.raw_decode(text, at)
                at = _after_space(text, _after_space(text, at) + 1)  # past the colon
                if name != part:
                    at = _past(text, at)
            elif number != part:
                at = _past(text, at)
            if name == part:
                break
            number += 1
            at = _after_space(text, at)
            if text[at] == ",":
                at = _after_space(text, at + 1)
        else:
            raise KeyError(path)
        if opening == "[":
            key = at
    return at, key


def _hold(value: Any, depth: int) -> None:
    if isinstance(value, dict | list):
        if depth == 0:
            raise NotPlain("nested too deep")
        for item in value.values() if isinstance(value, dict) else value:
            _hold(item, depth - 1)


def written(text: str, at: int) -> str:
    """The scalar at a position: of text its content, else as it is written; empty of others."""
    if text[at] in "[{":
        return ""
    value, end = _DECODER.raw_decode(text, at)
    return value if isinstance(value, str) else text[at:end]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key given twice")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number)


def _past(text: str, at: int) -> int:
    return _DECODER.raw_decode(text, at)[1]


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match
    return match.end()
