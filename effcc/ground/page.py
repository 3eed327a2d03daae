"""A Markdown page as far as its data goes: its front matter, and its model-index comments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from effcc.ground.errors import BadFile, Place, Problem

PAGES = (".md", ".mdx", ".markdown")
_MOST = 16 * 2**20  # bytes; see `document.MAX_BYTES`
_INDEX = (
    r"\s*(?:[Tt]ype:\s*['\"]?[Mm]odel-?[Ii]ndex(?![\w-])|(?:Models|Collections|Import):[ \t]*\n)"
)
# What a page is made of, as far as finding its data goes: code blocks, code in a line, comments.
_PIECES = re.compile(
    rf"""^\ {{0,3}}(?P<fence>`{{3,}}+|~{{3,}}+)[^\n]*+\n
        (?:.*?^\ {{0,3}}(?P=fence)[`~]*[ \t]*\r?$|.*\Z)
      | (?<!`)(?P<ticks>`++)[^`\n]+(?P=ticks)
      | <!--(?P<index>{_INDEX})?""",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_TYPE_BELOW = re.compile(r"^type:\s*['\"]?model-?index['\"]?\s*$", re.MULTILINE | re.IGNORECASE)
_FRONT_MATTER = re.compile(
    r"---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*\r?$", re.MULTILINE | re.DOTALL
)
_ARROW_LINE = re.compile(r"^[ \t]*-->", re.MULTILINE)
_HUB_KEY = re.compile(r"^(['\"]?)model[-_]index\1\s*:", re.MULTILINE)


class Part(NamedTuple):
    """YAML that stands on a page, moved nowhere: blank before it, so that places are the page's."""

    text: str
    front_matter: bool
    arrow: int = -1  # where an arrow stands inside, at which the comment ends on the page


def glance(path: Path) -> str:
    """A file's text, to see what it is; nothing of what is no file, and no more than a page has."""
    if not path.is_file():  # a device gives without end, a pipe not at all
        return ""
    with path.open("rb") as file:
        return file.read(_MOST).decode("utf-8-sig", errors="replace")


def may_hold_index(path: Path) -> bool:
    """Whether a page is worth reading for a model-index."""
    text = glance(path)
    return bool(_comments(text)) or _front_matter(text) is not None


def parts(text: str, shown: str = "<text>") -> list[Part]:
    """The model-index comments of a page, and its front matter if that holds a model-index.

    Comments inside code fences are examples, not data.

    Raises:
        BadFile: a comment does not end.
    """
    found: list[Part] = []
    if front := _front_matter(text):
        found.append(Part(_blank(text, front[0]) + text[slice(*front)], True))
    for start, stop, arrow in _comments(text):
        if stop < 0:
            message = "the model-index comment does not end; add `-->`"
            raise BadFile(Problem(place_of(text, start, shown), "", message, "MI011"))
        inside = text[start + 4 : stop]
        first, _, below = inside.partition("\n")
        if first.strip() and below.strip():  # the type beside the arrow, the rest set at column 1
            inside = f"{' ' * len(first)}\n{below}"
        found.append(Part(_blank(text, start + 4) + inside, False, arrow if arrow < stop else -1))
    return found


def model_index_comment(text: str, shown: str = "<text>") -> str:
    """The only model-index comment of a page, at the lines and columns it has there.

    Raises:
        BadFile: there is no such comment, there are two, or one does not end.
    """
    comments = [part.text for part in parts(text, shown) if not part.front_matter]
    if len(comments) == 1:
        return comments[0]
    wrong = "a second model-index comment" if comments else "no `<!-- Type: model-index` comment"
    raise BadFile(Problem(Place(shown), "", f"{wrong} on this page", "MI010"))


def place_of(text: str, position: int, shown: str) -> Place:
    """The line and column of a position in a text."""
    line = text.count("\n", 0, position) + 1
    return Place(shown, line, position - text.rfind("\n", 0, position))


def _blank(text: str, start: int) -> str:
    """Nothing, up to the line and column of a position."""
    column = start - text.rfind("\n", 0, start) - 1
    return "\n" * text.count("\n", 0, start) + " " * column


def _front_matter(text: str) -> tuple[int, int] | None:
    """Start and end of a front matter that holds a model-index."""
    match = _FRONT_MATTER.match(text)
    return match.span(1) if match and _HUB_KEY.search(match[1]) else None


def _comments(text: str) -> list[tuple[int, int, int]]:
    """Start, end and first arrow of each model-index comment; -1 if there is none."""
    found: list[tuple[int, int, int]] = []
    if "<!--" not in text:
        return found
    matter = _FRONT_MATTER.match(text)
    position = matter.end() if matter else 0
    arrow = position
    while piece := _PIECES.search(text, position):
        position = piece.end()
        if not piece[0].startswith("<!--"):
            continue
        arrow = text.find("-->", position) if arrow >= 0 else -1  # behind the last there is none
        is_index = piece["index"] is not None or (
            arrow >= 0 and _TYPE_BELOW.search(text, position, arrow)
        )
        if not is_index:
            position = arrow + 3 if arrow >= 0 else position
            continue
        # A line that begins with the arrow ends the data, so that a value may hold an arrow.
        line = _ARROW_LINE.search(text, position)
        nearest = arrow if line and text.find("<!--", arrow, line.start()) > arrow >= 0 else -1
        stop = line.start() if line and nearest < 0 else arrow
        found.append((piece.start(), stop, arrow))
        position = stop if stop >= 0 else len(text)
    return found
