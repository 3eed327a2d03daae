"""Mends that need no thought, put into a file with nothing else in it changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from effcc.ground import files
from effcc.ground.errors import Problem

_MARK = b"\xef\xbb\xbf"  # of UTF-8, which some editors put before a text


def mended(text: str, problems: Iterable[Problem]) -> tuple[str, int]:
    """A text with its mends put in, and how many those are.

    A mend whose old text does not stand at its place any more is left out.
    """
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    wanted = {
        (starts[problem.place.line - 1] + problem.place.col - 1, *problem.mend)
        for problem in problems
        if problem.mend and 0 < problem.place.line < len(starts)
    }
    done, after = 0, len(text)
    for start, old, new in sorted(wanted, reverse=True):
        if start + len(old) <= after and text.startswith(old, start):
            text = text[:start] + new + text[start + len(old) :]
            done, after = done + 1, start
    return text, done


def file(path: Path, problems: Iterable[Problem]) -> int:
    """Put mends into a file, whole or not at all; returns how many."""
    problems = [problem for problem in problems if problem.mend]
    if not problems:  # it may be no text
        return 0
    raw = path.read_bytes()
    mark = _MARK if raw.startswith(_MARK) else b""
    text, done = mended(raw.removeprefix(mark).decode(), problems)
    if done:
        files.write(path, mark + text.encode())
    return done
