"""Many file names in one pattern, as shells have it: `train-{000000..000146}.tar`, `val-*.tar`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from effcc.ground import files
from effcc.sources.decode import MissingData

_RANGE = r"(\d{1,18})\.\.(\d{1,18})"  # Python makes no number of thousands of digits
_MOST = 100_000


def expand(pattern: str, *, lists: bool = True) -> Iterator[str]:
    """Every name that a pattern stands for, in order.

    Args:
        pattern: with `{first..last}`, padded with zeros as `first` is, and `{one,other}`.
        lists: whether to expand the second form too; in a shell command it may mean something else.

    Raises:
        MissingData: a range runs backwards, or there are more than 100,000 names.
    """
    for number, name in enumerate(_expanded(pattern, lists)):
        if number == _MOST:
            raise MissingData(f"{pattern[:80]!r} stands for more than {_MOST:,} names; name fewer")
        yield name


def _expanded(pattern: str, lists: bool) -> Iterator[str]:
    match = re.search(rf"\{{({_RANGE}{'|[^{}]*,[^{}]*' if lists else ''})\}}", pattern)
    if match is None:
        yield pattern
        return
    for choice in _choices(match[1]):
        yield from _expanded(pattern[: match.start()] + choice + pattern[match.end() :], lists)


def matches(name: str, *folders: Path) -> list[Path]:
    """The files of a name that may have `*` in it, in the first of the folders that has any."""
    name = os.path.expanduser(name)
    for folder in folders:
        if (folder / name).exists():
            return [folder / name]
        if found := files.matching(folder, name):
            return [Path(path) for path in found]
    return []


def _choices(braces: str) -> list[str]:
    span = re.fullmatch(_RANGE, braces)
    if span is None:
        return braces.split(",")
    first, last = int(span[1]), int(span[2])
    if not 0 <= last - first < _MOST:
        raise MissingData(f"{{{braces}}} stands for no names, or too many; write {{first..last}}")
    return [str(number).zfill(len(span[1])) for number in range(first, last + 1)]
