"""Text from files, made safe for a page: nothing that a YAML or a record says becomes markup."""

from __future__ import annotations

import functools
import re
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from effcc.ground.errors import Place

# What Markdown, HTML or a table could take for more than a letter: anywhere, and where a line
# begins. An underscore inside a word is left alone, as Markdown itself does.
_SPECIAL = re.compile(
    r"""[&<>`*\[\]|\\~${}] | (?<![A-Za-z0-9])_ | _(?![A-Za-z0-9])
    | ^[#=:!?] | ^[-+](?![0-9.]) | ^[0-9](?=[0-9]*[.)](\s|$))""",
    re.VERBOSE,
)
# What no page may hold, and a page's reader may keep for marks of its own.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_LINK = re.compile(r"https?://[^\s<>\"'()\[\]{}\\`|]+")


def escape(value: Any) -> Markup:
    """A value as plain text on a Markdown page; markup made by this module passes unchanged."""
    return value if isinstance(value, Markup) else _escaped(str(value))


@functools.lru_cache(maxsize=16384)  # cards repeat each other
def _escaped(text: str) -> Markup:
    return _inert(line(text))


def line(text: str) -> str:
    """A text on one line; a control character as its escape, so that it is seen."""
    return _shown(" ".join(text.split()))


def code(value: Any) -> Markup:
    """A value in code type."""
    return _code(str(value))


@functools.lru_cache(maxsize=8192)
def _code(text: str) -> Markup:
    words = line(text)
    if re.search(r"[`|<&]", words) or not words:
        return Markup(f"<code>{escape(words)}</code>")
    return Markup(f"`{words}`")


def prose(text: str) -> Markup:
    """A sentence as plain text, but for what it has between backticks: that is code."""
    parts = re.split(r"`([^`]*)`", line(text))
    return Markup("").join(code(part) if n % 2 else _inert(part) for n, part in enumerate(parts))


def link(text: Any, url: str | None) -> Markup:
    """A link, if `url` is a plain http(s) address; the text alone if not."""
    if url is None or not _LINK.fullmatch(url):
        return escape(text)
    return Markup(f"[{escape(text)}]({url})")


def origin(text: Any, place: Place) -> Markup:
    """A link from a page in docs/models/ to where something was written; the text alone if nowhere.

    A code host shows lines of a Markdown file only in its plain view. On the site the same link
    leads to a page of the site, see `report.site`.
    """
    return _origin(escape(text), place)


@functools.lru_cache(maxsize=8192)
def _origin(text: Markup, place: Place) -> Markup:
    leads = address(place)
    return Markup(f"[{text}]({leads})") if leads else text


def address(place: Place) -> str:
    """Where a link from a page in docs/models/ to a place leads; empty if it is in no file."""
    if not place.line or place.file.startswith(("/", "--")):
        return ""
    plain = "?plain=1" if place.file.endswith(".md") else ""
    return f"../../{quote(place.file)}{plain}#L{place.line}"


def _shown(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _inert(text: str) -> Markup:
    return Markup(_SPECIAL.sub(lambda match: f"&#{ord(match[0])};", text))


def fence(text: str, language: str) -> Markup:
    """A code block that its content cannot close."""
    text = _shown(text)
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    ticks = "`" * (longest + 1)
    return Markup(f"{ticks}{language}\n{text.rstrip()}\n{ticks}")


def data(shown: Any, value: float | None, **more: float | None) -> Markup:
    """A figure as people read it, with the numbers that programs do; those that are None left out.

    The element is HTML's own for this; where a code host drops it, the text is left.
    """
    numbers = {"value": value} | {f"data-{name}": number for name, number in more.items()}
    stated = (
        f' {name}="{_shortest(number)}"' for name, number in numbers.items() if number is not None
    )
    return Markup(f"<data{''.join(stated)}>{escape(shown)}</data>")


def _shortest(number: float) -> str:
    """The fewest digits that mean a number."""
    return repr(number).removesuffix(".0")


def mark(kind: str) -> Markup:
    """The badge that says where a figure comes from: claimed, computed or measured."""
    return Markup(f'<span class="mark {kind}">{kind}</span>')
