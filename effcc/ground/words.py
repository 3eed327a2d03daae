"""Numbers in a sentence, and the known word that a misspelt one was meant to be."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Characters that move or colour a terminal, turn the order of letters round, or are half of one.
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
)
_IN_LINES, _IN_A_LINE = re.compile(f"[{_UNSEEN}]"), re.compile(rf"[\t\n{_UNSEEN}]")
_LONGEST = 200  # letters of a name


def many(number: float, one: str, several: str = "") -> str:
    """`1 image`, `2 images`, `1,257 images`, `2.4 epochs`.

    Args:
        number: how many.
        one: the word for one of them.
        several: the word for any other number; `one` with an s unless stated.
    """
    written = f"{number:,}" if isinstance(number, int) else f"{number:,.5g}"
    return f"{written} {one if number == 1 else several or one + 's'}"


def legible(text: str) -> str:
    """A text that may hold bytes of a file's name, as letters: U+FFFD for what is no UTF-8.

    Python keeps such bytes as halves of characters, which no file of text can hold.
    """
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def alike_but_for_case(words: Iterable[str]) -> tuple[str, str] | None:
    """The first two words that a file system which ignores case would take for one, if any."""
    seen: dict[str, str] = {}
    for word in words:
        if (other := seen.setdefault(word.casefold(), word)) != word:
            return other, word
    return None


def three(value: float) -> str:
    """A number to three digits, or as many as it has before its point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def printable(words: str) -> str:
    """Lines with escapes in the place of what moves, colours or misleads a terminal."""
    return _IN_LINES.sub(_escape, words)


def in_a_line(words: str) -> str:
    """The same of what is to stay in a line, or a cell of a table."""
    return _IN_A_LINE.sub(_escape, words)


def listed(names: Iterable[str], most: int = 10) -> str:
    """Names with commas between them, of many the first."""
    names = list(names)
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def closest(word: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """`; did you mean 'x'?` for the known word nearest to `word`, or nothing when none is near."""
    import difflib

    if len(word) > _LONGEST:  # nobody mistyped that, and to compare it takes long
        return ""
    folded = {other.casefold(): other for other in known if len(other) <= _LONGEST}
    match = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=cutoff)
    return f"; did you mean {folded[match[0]]!r}?" if match else ""


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
