"""Numbers in a sentence, and the known word that a misspelt one was meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def many(number: float, one: str, several: str = "") -> str:
    """`1 image`, `2 images`, `1,257 images`, `2.4 epochs`.

    Args:
        number: how many.
        one: the word for one of them.
        several: the word for any other number; `one` with an s unless stated.
    """
    written = f"{number:,}" if isinstance(number, int) else f"{number:,.5g}"
    return f"{written} {one if number == 1 else several or one + 's'}"


def three(value: float) -> str:
    """A number to three digits, or as many as it has before its point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def closest(word: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    """`; did you mean 'x'?` for the known word nearest to `word`, or nothing when none is near."""
    import difflib

    folded = {other.casefold(): other for other in known}
    match = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=cutoff)
    return f"; did you mean {folded[match[0]]!r}?" if match else ""


def plain(text: str) -> str:
    """A name out of somebody's file on one line, and as any terminal can show it."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
