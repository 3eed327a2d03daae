"""A record to its place, and its pages after it; failures there cost nothing that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effcc import terminal
from effcc.ground.errors import BadFile, UserError

if TYPE_CHECKING:
    from effcc.ground.home import Home


def ready(variant: str, at: Home) -> None:
    """See before hours of work that a record of a variant can be written after them.

    Raises:
        UserError: it could not.
    """
    from effcc.ground import files

    if why := files.refusal(at.hold(at.results / variant)):
        raise UserError(
            f"{at.shown(at.results)}/{variant}: {why}; the record of what is measured goes there: "
            "let it be a folder that you may write to"
        )


def record(made: Any, at: Home, save: Any, again: str = "the same command measures again") -> Path:
    """Write a record of any kind; returns where it is.

    Args:
        made: the record.
        at: the project.
        save: the function for its kind.
        again: what to do once there is room.

    Raises:
        UserError: it cannot be written.
    """
    from effcc.catalog import ids

    try:
        return ids.save(made, at, save)
    except OSError as error:
        place = error.filename or at.shown(at.results)
        raise UserError(
            f"{place}: the record cannot be written: {error.strerror}; make room, or the folder "
            f"writable; then {again}"
        ) from None


def pages(at: Home, beside: Mapping[Path, str]) -> None:
    """Bring the cards and the pages `beside` them up to date, and say which changed."""
    from effcc.report import cards

    for path in cards.write(at, beside):
        terminal.say(f"{'wrote' if path.exists() else 'removed'} {at.shown(path)}")


def card(variant: str, at: Home) -> str:
    """Bring the cards up to date after a record; returns the variant's, as messages name it.

    Raises:
        UserError: they cannot be written, or the registry has problems by now.
    """
    from effcc.report import cards

    later = "the record is kept; with this mended, `effcc docs` writes its card"
    try:
        cards.write(at)
    except OSError as error:
        raise UserError(f"{error.filename or at.models}: {error.strerror}; {later}") from None
    except BadFile as error:
        raise UserError(f"{error}\n{later}") from None
    return at.shown(at.models / f"{variant}.md")
