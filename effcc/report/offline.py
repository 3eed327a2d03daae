"""A site that works from a folder of files: without a server, and so without a network.

Opened from a file, an address of a folder leads to a list of files, not to the page in it; and
nothing may be fetched, so that the theme reads the index of search as a script. That it can search
without a worker is up to theme/assets/from-a-file.js.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Set
from html import unescape
from pathlib import Path
from urllib.parse import quote, unquote

from effcc.ground import files

_LINK = re.compile(r"""(\bhref=)(["'])((?:&#?\w+;|[^"'#?:])+)(["'#?])""")
# The earliest that a zip can say: when a site was built is nobody's business.
_WHEN = (1980, 1, 1, 0, 0, 0)


def led(html: str, here: str, addresses: Set[str]) -> str:
    """A page whose links, written for a page that is a folder, lead where they did.

    mkdocs knows the links of Markdown. Those in HTML and pictures are written for the usual site,
    in which `models/cc_b0_4e.html` is `models/cc_b0_4e/`.

    Args:
        html: the page.
        here: its address, `models/cc_b0_4e.html`.
        addresses: of all that is on the site.
    """
    folder = here.removesuffix("index.html").removesuffix(".html")

    def lead(link: re.Match[str]) -> str:
        before, mark, way, after = link.groups()
        way = unescape(way)
        if _joined(posixpath.dirname(here), way) in addresses:
            return link[0]
        target = _meant(folder, way, addresses)
        if target not in addresses:
            return link[0]
        path = posixpath.relpath(target, posixpath.dirname(here) or ".")
        return f"{before}{mark}{quote(path)}{after}"

    return _LINK.sub(lead, html)


def write_index(site: Path) -> None:
    """Put the index of search into a script beside it."""
    index = site / "search" / "search_index.json"
    files.write(index.with_suffix(".js"), f"var __index = {index.read_text('utf-8')}")


def pack(site: Path, path: Path) -> None:
    """Write a zip of a site, in a folder of the site's name; the same site gives the same bytes."""
    with files.whole(path) as new, zipfile.ZipFile(new, "w") as archive:
        for file in sorted(site.rglob("*")):
            if file.is_file():
                name = f"{site.name}/{file.relative_to(site).as_posix()}"
                entry = zipfile.ZipInfo(name, _WHEN)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, file.read_bytes())


def _meant(folder: str, way: str, addresses: Set[str]) -> str:
    """The address of what a link leads to from a folder; of nothing there, if there is none."""
    path = _joined(folder, way)
    if path in addresses:
        return path
    page = "index.html" if path == "." else f"{path}.html"
    return page if page in addresses else f"{path}/index.html"


def _joined(folder: str, way: str) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(way)))
