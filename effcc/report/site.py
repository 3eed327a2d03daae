"""A plugin of mkdocs: the cards in the navigation, and on the site whatever their figures link to.

It also draws formulas, fills in the changelog and says what search engines read. Without it, in
another engine, the same sources are a plainer site: LaTeX as code, no changelog, no source pages.

A committed card links to files of the project, as a code host shows them. On the site these links
lead to pages that are made when it is built: the file, each line with an anchor, and no script. So
every number can be followed to its origin without a network.
"""

from __future__ import annotations

import json
import posixpath
import re
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from mkdocs.config.base import Config
from mkdocs.plugins import BasePlugin
from mkdocs.structure.files import File, InclusionLevel

from effcc.ground import document
from effcc.report import formulas, jsonld

# Of the project's folders, those that pages may link into.
_ORIGINS = ("model-index", "registry")
# What the pages have beside the theme's own templates.
_THEME = Path(__file__).with_name("theme")
_LINK = re.compile(r"\]\(((?:\.\./)+[^)\s?#]+)(?:\?plain=1)?(#L[0-9]+)?\)")


class NoOptions(Config):
    """The plugin has nothing to set."""


class Cards(BasePlugin[NoOptions]):
    """Fills the section of mkdocs.yml's `nav` that is called Models, and brings in origins."""

    def on_config(self, config: Any) -> Any:
        """Put the pages of docs/models there, the table of all first; add to the theme."""
        config["theme"].dirs.insert(0, str(_THEME))
        config["markdown_extensions"].append(formulas.Formulas())
        fences = config["mdx_configs"].setdefault("pymdownx.superfences", {})
        fences["custom_fences"] = [*fences.get("custom_fences", ()), formulas.fence()]
        models = Path(config["docs_dir"]) / "models"
        cards = sorted(path.name for path in models.glob("*.md") if path.stem != "index")
        for section in config["nav"]:
            if "Models" in section:
                section["Models"] = [f"models/{name}" for name in ("index.md", *cards)]
        return config

    def on_files(self, files: Any, *, config: Any) -> Any:
        """Add a page for each file that any page links to, and records as they are besides."""
        root = Path(config["docs_dir"]).parent
        found = {
            origin
            for file in files.documentation_pages()
            for link in _LINK.finditer(file.content_string)
            if (origin := _origin(link[1], file.src_uri, root))
        }
        for origin in sorted(found):
            text = (root / origin).read_text("utf-8")
            made = {f"sources/{origin}.md": page(origin, text)}
            if origin.endswith(".json"):
                made[_copy(origin)] = text
            for uri, content in made.items():
                beside = InclusionLevel.NOT_IN_NAV
                files.append(File.generated(config, uri, content=content, inclusion=beside))
        return files

    def on_page_markdown(self, markdown: str, *, page: Any, config: Any, files: Any) -> str:
        """Lead links to files of the project to their pages; put the changelog on its page."""
        root, here = Path(config["docs_dir"]).parent, page.file.src_uri
        if here == "changelog.md":
            return changelog(markdown, root / "CHANGELOG.md")

        def led(link: re.Match[str]) -> str:
            origin = _origin(link[1], here, root)
            if not origin:
                return link[0]
            way = posixpath.relpath(f"sources/{origin}.md", posixpath.dirname(here) or ".")
            return f"]({quote(way)}{link[2] or ''})"

        return _LINK.sub(led, markdown)

    def on_page_context(self, context: Any, *, page: Any, config: Any, nav: Any) -> Any:
        """Hand the theme what machines read of a page: plain text, for it to escape."""
        meta, here = page.meta, page.file.src_uri
        description = unescape(meta.get("description") or config["site_description"] or "")
        title = unescape(str(meta.get("title") or page.title))
        linked: dict[str, Any] = {}
        citation = Path(config["docs_dir"]).parent / "CITATION.cff"
        if page.is_homepage and citation.is_file():
            linked = jsonld.software(document.read(citation).data, page.canonical_url)
        elif posixpath.dirname(here) == "models" and here != "models/index.md":
            linked = jsonld.model(title, description, page.markdown, page.canonical_url)
        context["about"] = {
            "title": f"{title} · {config['site_name']}",
            "description": description,
            "linked": jsonld.text(linked) if linked else "",
        }
        return context


def changelog(markdown: str, file: Path) -> str:
    """The page of changes: its own words, and the sections of the file."""
    sections = file.read_text("utf-8").partition("\n## ")[2] if file.is_file() else ""
    if not sections:
        return markdown
    # A version in brackets is a link only where the file says to where.
    return markdown + re.sub(r"^## \[(.*?)\]", r"## \1", f"\n\n## {sections}", flags=re.MULTILINE)


def page(origin: str, text: str) -> str:
    """A file as a page of the site; `#L7` is its seventh line."""
    lines = [
        f'<span id="L{number}">{escape(line)}\n</span>'
        for number, line in enumerate(text.removesuffix("\n").split("\n"), 1)
    ]
    front = {
        "title": escape(origin),  # themes print titles as they are
        "description": escape(f"{origin}, a file of the project, line by line."),
        "search": {"exclude": True},
        "hide": ["toc"],
    }
    return "\n".join(
        (
            f"---\n{json.dumps(front)}\n---\n",
            f"# <code>{escape(origin)}</code>\n",
            _about(origin),
            f'<pre class="source" tabindex="0">{"".join(lines)}</pre>\n',
        )
    )


def _about(origin: str) -> str:
    if not origin.endswith(".json"):
        return ""
    up = "../" * (origin.count("/") + 1)
    name = Path(origin).stem
    return (
        f"A record of a measurement, [as it is]({up}{quote(_copy(origin))}); "
        f"`effcc results show {name}` prints it.\n\n"
    )


def _copy(origin: str) -> str:
    """Where a record lies on the site as it is."""
    return f"records/{origin.removeprefix('registry/results/')}"


def _origin(link: str, page: str, root: Path) -> str | None:
    """The file of the project that a link of a page leads to, relative to the project."""
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), unquote(link)))
    if path.partition("/")[0] not in _ORIGINS or not (root / path).is_file():
        return None
    return path if (root / path).resolve().is_relative_to(root.resolve()) else None
