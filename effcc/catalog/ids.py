"""Names of runs and of their records: times in UTC that never go back, whatever the clock does.

Names are sorted by people and by programs, and the last is taken for the newest. So where a clock
has gone back, or another run has the second already, a name follows the newest there is by a
second. What the clock said is in the record, as its `date`.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from effcc.catalog import results
from effcc.ground.home import Home

_FORM = "%Y%m%dT%H%M%SZ"
_TIME = re.compile(r"2\d{3}[01]\d[0-3]\dT[0-2]\d(?:[0-5]\d){2}Z(?=-)")
# From here on a name is one that somebody made up, and passed over. A clock that is decades ahead
# is followed, or what runs after it would not be the newest; but what follows a name must have one
# itself, and nothing could follow the last second that `_TIME` knows.
_LAST = "2999"
# Two commands may take one name, and many may; that so many do one after another is no chance.
TRIES = 100


def fresh(variant: str, what: str, home: Home) -> str:
    """A name later than that of every run and record of a variant, as `20260131T120000Z-WHAT`."""
    time = f"{datetime.now(UTC):{_FORM}}"
    there = sorted(_times(home.runs / variant, home.results / variant), reverse=True)
    if newest := next((name for name in there if name < _LAST and _is_time(name)), ""):
        time = max(time, _after(newest))
    return f"{time}-{what}"


def save(record: Any, home: Home, save: Any = results.save) -> Path:
    """Save a record of any kind by the function for it; under a fresh id if its own is taken.

    Two commands that end in the same second may have taken the same one.

    Raises:
        OSError: it cannot be written.
    """
    for left in reversed(range(TRIES)):
        try:
            return save(record, home)
        except FileExistsError:  # also of a folder that is something else
            taken = home.results / record.variant / f"{record.id}.json"
            if not left or not os.path.lexists(taken):
                raise
            what = _TIME.sub("", record.id).removeprefix("-")
            record = replace(record, id=fresh(record.variant, what, home))
    raise AssertionError("the last try returns or raises")


def _times(*folders: Path) -> set[str]:
    found: set[str] = set()
    for folder in folders:
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            found |= {match[0] for entry in entries if (match := _TIME.match(entry.name))}
    return found


def _is_time(text: str) -> bool:
    """Whether there is such a time: no month 13, no second 60."""
    try:
        return bool(datetime.strptime(text, _FORM))
    except ValueError:
        return False


def _after(time: str) -> str:
    then = datetime.strptime(time, _FORM).replace(tzinfo=UTC)
    return f"{then + timedelta(seconds=1):{_FORM}}"
