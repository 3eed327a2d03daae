"""A Markdown page as far as its data goes: where its model-index comment stands."""

from __future__ import annotations

import re
from pathlib import Path

from effcc.catalog.errors import BadFile, Place, Problem

PAGES = (".md", ".mdx", ".markdown")
# What a page is made of, as far as finding its data goes: code blocks, code in a line, comments.
_PIECES = re.compile(
    r"""^\ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n(?:.*?^\ {0,3}(?P=fence)[`~]*[ \t]*$|.*\Z)
      | (?P<ticks>`+)[^`\n]+(?P=ticks)
      | <!--(?P<index>\s*[Tt]ype:\s*['"]?model-index(?![\w-]))?""",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)


def may_hold_index(path: Path) -> bool:
    """Whether a file is worth reading for a model-index: data, or a page that holds one."""
    if path.suffix.lower() not in PAGES:
        return True
    return bool(_comments(path.read_text("utf-8", errors="replace")))


def model_index_comment(text: str, shown: str = "<text>") -> str:
    """The model-index comment of a Markdown page, at the lines and columns it has there.

    Comments inside code fences are examples, not data.

    Raises:
        BadFile: there is no such comment, there are two, or one does not end.
    """
    found = _comments(text)
    if not found:
        message = "no `<!-- Type: model-index` comment on this page"
        raise BadFile(Problem(Place(shown), "", message))
    start, stop = found[0]
    if stop < 0:
        message = "the model-index comment does not end; add `-->`"
        raise BadFile(Problem(place_of(text, start, shown), "", message))
    if len(found) > 1:
        message = "a second model-index comment; keep one a page"
        raise BadFile(Problem(place_of(text, found[1][0], shown), "", message))
    column = start - text.rfind("\n", 0, start) - 1
    return "\n" * text.count("\n", 0, start) + " " * (column + 4) + text[start + 4 : stop]


def _comments(text: str) -> list[tuple[int, int]]:
    """Start and end of each model-index comment; the end is -1 if there is none."""
    found: list[tuple[int, int]] = []
    position = 0
    while piece := _PIECES.search(text, position):
        position = piece.end()
        if not piece[0].startswith("<!--"):
            continue
        # A line that begins with the arrow ends the data, so that a value may hold an arrow.
        line = re.compile(r"^[ \t]*-->", re.MULTILINE).search(text, position)
        arrow = text.find("-->", position)
        if piece["index"] is None:
            position = arrow + 3 if arrow >= 0 else position
            continue
        stop = line.start() if line else arrow
        found.append((piece.start(), stop))
        position = stop if stop >= 0 else len(text)
    return found


def place_of(text: str, position: int, shown: str) -> Place:
    """The line and column of a position in a text."""
    line = text.count("\n", 0, position) + 1
    return Place(shown, line, position - text.rfind("\n", 0, position))
