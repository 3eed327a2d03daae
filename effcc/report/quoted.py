"""Files of the project as pages of the site: each line with an anchor, and no script.

The theme lays out one page for each depth of folders. The others are that page with their own name
and text: a thousand cards link to thousands of files, and to lay out each would take minutes.
"""

from __future__ import annotations

import functools
import json
import posixpath
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote

# Of the project's folders, those that pages may link into.
FOLDERS = ("model-index", "registry")
_RECORDS = "registry/results/"
# What the page that is laid out says instead of a file's name and of its text.
_NAME, _TEXT = "name-of-a-quoted-file", "text-of-a-quoted-file"


def uri(origin: str) -> str:
    """What a file's page would be made of, among the documentation's pages."""
    return f"sources/{origin}.md"


def address(origin: str) -> str:
    """Where a file's page is on the site."""
    return f"sources/{origin}.html"


def depth(origin: str) -> int:
    """How far down a file lies: pages of the same depth link to the theme's files alike."""
    return origin.count("/")


def blank() -> str:
    """The page to lay out, as Markdown."""
    front = {
        "title": _NAME,
        "description": f"{_NAME}, a file of the project, line by line.",
        "search": {"exclude": True},
        "hide": ["toc"],
    }
    return f"---\n{json.dumps(front)}\n---\n\n# <code>{_NAME}</code>\n\n<div>{_TEXT}</div>\n"


def filled(page: str, own: str, origin: str, url: str, text: str, record: str = "") -> str:
    """A file's page.

    Args:
        page: the blank page, laid out.
        own: that page's address on the site.
        origin: the file, relative to the project.
        url: the address of its page.
        text: what is in it.
        record: where the file itself is on the site, relative to the page, if it is a record.
    """
    named = page.replace(own, url).replace(_NAME, escape(origin))
    return named.replace(f"<div>{_TEXT}</div>", _about(origin, record) + lines(text))


def lines(text: str) -> str:
    """A text as HTML; `#L7` is its seventh line."""
    spans = (
        f'<span id="L{number}">{escape(line)}\n</span>'
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1)
    )
    return f'<pre class="source" tabindex="0">{"".join(spans)}</pre>'


def copy(origin: str) -> str:
    """Where a record lies on the site as it is; empty of other files."""
    if not (origin.startswith(_RECORDS) and origin.endswith(".json")):
        return ""
    return f"records/{origin.removeprefix(_RECORDS)}"


def _about(origin: str, record: str) -> str:
    if not record:
        return ""
    command = escape(f"effcc results show {Path(origin).stem}")
    link = f'<a href="{escape(quote(record))}">as it is</a>'
    return f"<p>A record of a measurement, {link}; <code>{command}</code> prints it.</p>"


@functools.lru_cache(maxsize=65536)  # every card links to the files that variants share
def origin(link: str, page: str, root: Path) -> str | None:
    """The file of the project that a link of a page leads to, relative to the project.

    Args:
        link: as the page has it, without query and anchor.
        page: the page's place among the documentation's.
        root: the project.
    """
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), unquote(link)))
    return path if _is_quotable(path, root) else None


def forget() -> None:
    """Look again for files that may have come or gone."""
    origin.cache_clear()
    _is_quotable.cache_clear()


@functools.lru_cache(maxsize=65536)
def _is_quotable(path: str, root: Path) -> bool:
    if path.partition("/")[0] not in FOLDERS or not (root / path).is_file():
        return False
    real, base = (root / path).resolve(), root.resolve()
    return any(real.is_relative_to(base / folder) for folder in FOLDERS)
