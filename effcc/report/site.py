"""A plugin of mkdocs: the cards in the navigation, and on the site whatever their figures link to.

A committed card links to files of the project, as a code host shows them. On the site these links
lead to pages that are made when it is built, see `quoted`. So every number can be followed to its
origin without a network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from mkdocs.config.base import Config
from mkdocs.plugins import BasePlugin
from mkdocs.structure.files import File, InclusionLevel
from mkdocs.utils import get_relative_url, write_file

from effcc.report import quoted

# What the pages have beside the theme's own templates.
_THEME = Path(__file__).with_name("theme")
# Every page repeats the navigation: of more cards than that, it leads to their table alone.
_IN_NAVIGATION = 24
# Links out of docs/, as Markdown has them and as HTML does.
_LINK = re.compile(r"\]\(((?:\.\./)+[^)\s?#]+)(?:\?plain=1)?(#L[0-9]+)?\)")
_HREF = re.compile(r'href="((?:\.\./)+[^"?#]+)(?:\?plain=1)?(#L[0-9]+)?"')
# The same link between the two, which mkdocs leaves alone.
_KEPT = "effcc-file:"
_KEPT_HREF = re.compile(rf'href="{_KEPT}([^"#]+)(#L[0-9]+)?"')


class NoOptions(Config):
    """The plugin has nothing to set."""


class Cards(BasePlugin[NoOptions]):
    """Fills the section of mkdocs.yml's `nav` that is called Models, and brings in origins."""

    def on_config(self, config: Any) -> Any:
        """Put the pages of docs/models there, the table of all first; add to the theme."""
        config["theme"].dirs.insert(0, str(_THEME))
        models = Path(config["docs_dir"]) / "models"
        cards = sorted(path.name for path in models.glob("*.md") if path.stem != "index")
        shown = cards if len(cards) <= _IN_NAVIGATION else []
        for section in config["nav"]:
            if "Models" in section:
                section["Models"] = [f"models/{name}" for name in ("index.md", *shown)]
        return config

    def on_files(self, files: Any, *, config: Any) -> Any:
        """Find the files that pages link to, and have a page laid out for each of their depths."""
        self._root = Path(config["docs_dir"]).parent
        quoted.forget()
        found = {
            origin
            for file in files.documentation_pages()
            for pattern in (_LINK, _HREF)
            for link in pattern.finditer(file.content_string)
            if (origin := quoted.origin(unescape(link[1]), file.src_uri, self._root))
        }
        # A page that is not laid out is no page of mkdocs, but its address is as if it were.
        self._origins = {origin: _page_of(origin, config) for origin in sorted(found)}
        self._laid_out: dict[int, tuple[str, str]] = {}  # by depth: address and page
        depths = {quoted.depth(origin): file for origin, file in self._origins.items()}
        self._blanks = {file.src_uri: depth for depth, file in depths.items()}
        for file in depths.values():
            files.append(file)
        return files

    def on_page_markdown(self, markdown: str, *, page: Any, config: Any, files: Any) -> str:
        """Keep links to files of the project out of the hands of mkdocs, which knows none."""

        def kept(link: re.Match[str]) -> str:
            origin = quoted.origin(link[1], page.file.src_uri, self._root)
            return f"]({_KEPT}{quote(origin)}{link[2] or ''})" if origin else link[0]

        return _LINK.sub(kept, markdown)

    def on_page_content(self, html: str, *, page: Any, config: Any, files: Any) -> str:
        """Lead links to files of the project to their pages."""

        def led(origin: str, line: str | None) -> str:
            way = get_relative_url(self._origins[origin].url, page.url)
            return f'href="{escape(way)}{line or ""}"'

        def from_html(link: re.Match[str]) -> str:
            origin = quoted.origin(unescape(link[1]), page.file.src_uri, self._root)
            return led(origin, link[2]) if origin else link[0]

        html = _KEPT_HREF.sub(lambda link: led(_plain(link[1]), link[2]), html)
        return _HREF.sub(from_html, html)

    def on_post_page(self, output: str, *, page: Any, config: Any) -> str:
        """Keep the pages that are laid out; they are written with the others."""
        depth = self._blanks.get(page.file.src_uri)
        if depth is not None:
            self._laid_out[depth] = (page.url, output)
        return output

    def on_post_build(self, *, config: Any) -> None:
        """Write the page of every file that is linked to, and records as they are besides."""
        for path, content in self._written():
            write_file(content.encode(), str(Path(config["site_dir"], path)))

    def _written(self) -> Iterator[tuple[str, str]]:
        for origin, file in self._origins.items():
            own, page = self._laid_out[quoted.depth(origin)]
            text = (self._root / origin).read_text("utf-8")
            record = quoted.copy(origin)
            if record:
                yield record, text
            way = get_relative_url(record, file.url) if record else ""
            yield file.dest_uri, quoted.filled(page, own, origin, file.url, text, way)


def _page_of(origin: str, config: Any) -> File:
    beside = InclusionLevel.NOT_IN_NAV
    return File.generated(config, quoted.uri(origin), content=quoted.blank(), inclusion=beside)


def _plain(link: str) -> str:
    return unquote(unescape(link))
