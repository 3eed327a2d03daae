"""Text from files inside HTML, where Markdown is not read: the long tables of a card.

Python's Markdown takes a millisecond for a few cells, and leaves HTML as it is.
"""

from __future__ import annotations

import functools
from typing import Any

from markupsafe import Markup

from effcc.ground.errors import Place
from effcc.report import markdown


def code(value: Any) -> Markup:
    """A value in code type."""
    return _code(str(value))


@functools.lru_cache(maxsize=8192)  # cards repeat each other
def _code(text: str) -> Markup:
    return Markup(f"<code>{markdown.escape(text)}</code>")


def origin(text: Any, place: Place) -> Markup:
    """A link to where something was written, as `markdown.origin`."""
    return _origin(markdown.escape(text), place)


@functools.lru_cache(maxsize=8192)
def _origin(text: Markup, place: Place) -> Markup:
    address = markdown.address(place)
    return Markup(f'<a href="{address}">{text}</a>') if address else text
