"""The YAML between dashes at the head of a Markdown page: read with its lines, changed by key."""

from __future__ import annotations

import re
from typing import Any

from effcc.ground.document import Document, parse
from effcc.ground.errors import BadFile, Place, Problem

# As the Hub finds it: nothing but space before it, and up to the first line of dashes after.
_BLOCK = re.compile(r"(\s*---(?:\r\n|\n))(.*?(?:\r\n|\n))(---[ \t]*(?:\r\n|\n|\Z))", re.DOTALL)


def read(text: str, shown: str = "<text>") -> Document | None:
    """The front matter of a page as data with the lines it has there; None if there is none.

    Raises:
        BadFile: it is not YAML, or breaks a rule of `document`.
    """
    block = _BLOCK.match(text.removeprefix("\ufeff"))
    if block is None:
        return None
    return parse("\n" * block[1].count("\n") + block[2], shown, text)


def replaced(text: str, key: str, written: str, shown: str = "<text>") -> str:
    """A page with one key of its front matter replaced or added; not a byte of the rest changes.

    Args:
        text: the page.
        key: the key.
        written: the key with its value, as YAML that ends with a line break.
        shown: the page's name, for messages.

    Raises:
        BadFile: the front matter is not written one key a line, or its keys lean on each other.
    """
    document, mark = read(text, shown), "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    end = "\r\n" if "\r\n" in text.partition("\n")[0] + "\n" else "\n"
    written = written.replace("\n", end)
    if document is None:
        return f"{mark}---{end}{written}---{end}{text}"
    block = _BLOCK.match(text)
    assert block is not None
    lines = block[2].splitlines(keepends=True)
    first, last = _lines(document, key, block[1].count("\n"), lines)
    body = "".join([*lines[:first], written, *lines[last:]])
    changed = mark + block[1] + body + block[3] + text[block.end() :]
    _check(document, key, written, changed)
    return changed


def _lines(document: Document, key: str, above: int, lines: list[str]) -> tuple[int, int]:
    """Where the lines of a key begin and end; both at the end of the front matter if it is new."""
    data = document.data if isinstance(document.data, dict) else {}
    if key not in data:
        return len(lines), len(lines)
    starts = sorted(document.marks[(name,)].key.line - above - 1 for name in data)
    first = document.marks[(key,)].key.line - above - 1
    last = next((start for start in starts if start > first), len(lines))
    # What is said before the next key is said of that key.
    while last > first + 1 and re.match(r"#|\s*$", lines[last - 1]):
        last -= 1
    return first, last


def _check(document: Document, key: str, written: str, changed: str) -> None:
    """Whether a changed page says what it said before, but for the key; raises BadFile."""
    try:
        after = read(changed, document.file)
        same = after is not None and _of(after.data) == _of(document.data) | parse(written).data
    except BadFile:
        same = False
    if not same:
        message = f"{key} cannot be set without touching other keys; write one key a line"
        raise BadFile(Problem(Place(document.file), key, message))


def _of(data: Any) -> dict[str, Any]:
    return data if isinstance(data, dict) else {"": data} if data is not None else {}
