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


def fresh(variant: str, what: str, home: Home) -> str:
    """A name later than that of every run and record of a variant, as `20260131T120000Z-WHAT`."""
    time = f"{datetime.now(UTC):{_FORM}}"
    if newest := max(_times(home.runs / variant, home.results / variant), default=""):
        time = max(time, _after(newest))
    return f"{time}-{what}"


def save(record: Any, home: Home, save: Any = results.save) -> Path:
    """Save a record of any kind by the function for it; under a fresh id if its own is taken.

    Two commands that end in the same second may have taken the same one.
    """
    while True:
        try:
            return save(record, home)
        except FileExistsError:
            what = _TIME.sub("", record.id).removeprefix("-")
            record = replace(record, id=fresh(record.variant, what, home))


def _times(*folders: Path) -> set[str]:
    found: set[str] = set()
    for folder in folders:
        with suppress(FileNotFoundError), os.scandir(folder) as entries:
            found |= {match[0] for entry in entries if (match := _TIME.match(entry.name))}
    return found


def _after(time: str) -> str:
    try:
        then = datetime.strptime(time, _FORM).replace(tzinfo=UTC)
        return f"{then + timedelta(seconds=1):{_FORM}}"
    except (ValueError, OverflowError):  # a name that somebody made up
        return ""
