"""A plugin of mkdocs: the cards in the navigation, and on the site whatever their figures link to.

It also draws formulas, fills in the changelog and says what search engines read. Without it, in
another engine, the same sources are a plainer site: LaTeX as code, no changelog, no source pages.
Besides, each page gets its policy, see `policy`, and what `effcc docs --build` asks for: a model to
try, see `demo`, and search on pages that are opened from a file.

A committed card links to files of the project, as a code host shows them. On the site these links
lead to pages that are made when it is built, see `quoted`. So every number can be followed to its
origin without a network.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from mkdocs.config.base import Config
from mkdocs.config.config_options import Type
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, CombinedEvent, event_priority
from mkdocs.structure.files import File, InclusionLevel
from mkdocs.utils import get_relative_url, write_file

from effcc.claims import cff
from effcc.ground import garbage, workers
from effcc.ground.errors import BadFile
from effcc.ground.home import Home
from effcc.report import demo, formulas, jsonld, offline, quoted
from effcc.report.policy import Policy

# What the pages have beside the theme's own templates.
_THEME = Path(__file__).with_name("theme")
# Of more cards than that, the navigation, which every page repeats, leads to their table alone.
_MANY = 24
# Every visitor loads the index of the search. It holds no code, of cards nothing from the first
# section on that tells of records, and of many cards only what they are.
_PRE = re.compile(r"<pre\b.*?</pre>", re.S)
_RECORDED = re.compile(r'<h2 id="(?:measured-here|what-the-experts-do|speed|use-it)"')
_SUMMARY = re.compile(r"</h1>\s*(<p>.*?</p>)", re.S)
# A link in a picture: mkdocs leaves what is HTML in a page as it is.
_DRAWN = re.compile(r'(<a href=")([^":?#]+\.md)(?=")')
# Code of a Markdown page, in fences and in lines. It is shown as it stands, so patterns of what is
# taken apart begin with it and pass it by.
_FENCE = r"^[ \t]*(?P<fence>`{3,}|~{3,})(?![`~])[^`\n]*\n.*?^[ \t]*(?P=fence)[ \t]*$"
_CODE = r"(?<![`\\])(?P<ticks>`+)(?!`)[^\n]*?[^`\n](?P=ticks)(?!`)"
# Links out of docs/, as Markdown has them and as HTML does.
_LINK = re.compile(
    rf"{_FENCE}|{_CODE}"
    r"|\]\((?P<way>(?:\.\./)+[^)\s?#]+)(?:\?plain=1)?(?P<line>#L[0-9]+)?\)",
    re.M | re.S,
)
_MENTIONED = re.compile(r"""(?<=[("])(?:\.\./)+(?:model-index|registry)/[^)\s?#"]+""")
_HREF = re.compile(
    r'(?P<tag><a\b[^<>]*?\s)href="(?P<way>(?:\.\./)+[^"?#]+)(?:\?plain=1)?(?P<line>#L[0-9]+)?"'
)
# The same link between the two, which mkdocs leaves alone.
_KEPT = "effcc-file:"
_KEPT_HREF = re.compile(rf'href="{_KEPT}([^"#]+)(#L[0-9]+)?"')
# Tables and pictures as cards have them, and what stands for one while Markdown is read.
_TABLE = re.compile(
    rf"{_FENCE}"
    r'|^<(?:(table|details)(?: class="note")?>\n.*?^</\2>'
    r'|(figure|div)[^>\n]* markdown="0">[^\n]*</\3>)$',
    re.M | re.S,
)
_PLACE = "<div>table-{}-of-this-page</div>"
_PLACED = re.compile(_PLACE.format("([0-9]+)"))

# What the theme's pages lack for people who do not see them: the name of a dialog.
_NAMELESS = 'data-md-component="search" role="dialog"'


class Options(Config):
    """What `effcc docs --build` sets; mkdocs.yml leaves all as it is."""

    # A folder of what a model to try is made of, see `report.demo`.
    demo = Type(str, default="")
    # Whether pages and search work when they are opened from files.
    offline = Type(bool, default=False)


class Cards(BasePlugin[Options]):
    """Fills the section of mkdocs.yml's `nav` that is called Models, and brings in origins."""

    _policy: Policy | None = None
    _is_served = False
    _addresses: frozenset[str] = frozenset()
    _uncollected = contextlib.ExitStack()  # nothing, until a build begins

    def on_startup(self, *, command: str, dirty: bool) -> None:
        """Know whether pages are served while they are written: that puts a script into each."""
        self._is_served = command == "serve"

    def on_pre_build(self, *, config: Any) -> None:
        """Collect no garbage: the pages of a whole site are made, and none is thrown away."""
        self._uncollected = contextlib.ExitStack()
        self._uncollected.enter_context(garbage.left())

    def on_build_error(self, *, error: Exception) -> None:
        """Collect again, as after a build."""
        self._uncollected.close()

    def on_config(self, config: Any) -> Any:
        """Put the pages of docs/models there, the table of all first; add to the theme."""
        _hold_links(Path(config["docs_dir"]))
        config["theme"].dirs.insert(0, str(_THEME))
        config["markdown_extensions"].append(formulas.Formulas())
        fences = config["mdx_configs"].setdefault("pymdownx.superfences", {})
        fences["custom_fences"] = [*fences.get("custom_fences", ()), formulas.fence()]
        models = Path(config["docs_dir"]) / "models"
        cards = sorted(path.name for path in models.glob("*.md") if path.stem != "index")
        self._are_many = len(cards) > _MANY
        shown = [] if self._are_many else cards
        for section in config["nav"]:
            if "Models" in section:
                section["Models"] = [f"models/{name}" for name in ("index.md", *shown)]
        if self.config.offline:
            config["use_directory_urls"] = False  # a folder's address opens no page of it
            config["extra"]["from_a_file"] = True
        return config

    def on_files(self, files: Any, *, config: Any) -> Any:
        """Find the files that pages link to, and have a page laid out for each of their depths."""
        if self.config.demo:
            _bring(Path(self.config.demo), files, config)
        self._root = Path(config["docs_dir"]).parent
        quoted.forget()
        # All that look like one, in code too: what nobody links to is a page more.
        found = {
            origin
            for file in files.documentation_pages()
            for link in set(_MENTIONED.findall(file.content_string))
            if (origin := quoted.origin(unescape(link), file.src_uri, self._root))
        }
        # A page that is not laid out is no page of mkdocs, but its address is as if it were.
        self._origins = {origin: _page_of(origin, config) for origin in sorted(found)}
        self._laid_out: dict[int, tuple[str, str]] = {}  # by depth: address and page
        depths = {quoted.depth(origin): file for origin, file in self._origins.items()}
        self._blanks = {file.src_uri: depth for depth, file in depths.items()}
        for file in depths.values():
            files.append(file)
        records = filter(None, map(quoted.copy, self._origins))
        self._addresses = frozenset(
            {file.dest_uri for file in (*files, *self._origins.values())} | set(records)
        )
        return files

    def on_page_markdown(self, markdown: str, *, page: Any, config: Any, files: Any) -> str:
        """Keep out of the hands of mkdocs what it would take apart for nothing.

        That is links to files of the project, which it does not know, and long tables and pictures.
        """
        self._tables: list[str] = []
        if page.file.src_uri == "changelog.md":
            return changelog(markdown, _held(self._root, "CHANGELOG.md"))

        def table(found: re.Match[str]) -> str:
            if found["fence"]:
                return found[0]
            self._tables.append(found[0])
            return _PLACE.format(len(self._tables) - 1)

        def kept(link: re.Match[str]) -> str:
            way = link["way"]
            origin = way and quoted.origin(way, page.file.src_uri, self._root)
            return f"]({_KEPT}{quote(origin)}{link['line'] or ''})" if origin else link[0]

        if page.file.src_uri == demo.PAGE and self.config.demo:
            page.meta["scripts"] = [demo.SCRIPT]
        return _LINK.sub(kept, _TABLE.sub(table, markdown))

    def on_page_content(self, html: str, *, page: Any, config: Any, files: Any) -> str:
        """Lead links to files of the project to their pages, and those in pictures to cards."""

        def led(origin: str, line: str | None) -> str:
            way = get_relative_url(self._origins[origin].url, page.url)
            return f'href="{escape(way)}{line or ""}"'

        def from_html(link: re.Match[str]) -> str:
            origin = quoted.origin(unescape(link["way"]), page.file.src_uri, self._root)
            return link["tag"] + led(origin, link["line"]) if origin else link[0]

        def drawn(link: re.Match[str]) -> str:
            uri = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), link[2]))
            target = files.get_file_from_path(uri)
            return link[1] + (target.url_relative_to(page.file) if target else link[2])

        def placed(place: re.Match[str]) -> str:
            number = int(place[1])
            known = number < len(self._tables)
            return self._tables[number].replace(' markdown="0">', ">", 1) if known else place[0]

        html = _PLACED.sub(placed, html)
        html = _DRAWN.sub(drawn, html)
        html = _KEPT_HREF.sub(lambda link: led(_plain(link[1]), link[2]), html)
        return _HREF.sub(from_html, html)

    @event_priority(50)
    def _before_search(self, context: Any, *, page: Any, **_: Any) -> None:
        self._whole = page.content
        page.content = _PRE.sub("", page.content)
        if page.file.src_uri.startswith("models/"):
            page.content = _RECORDED.split(page.content, 1)[0]
            if self._are_many and (summary := _SUMMARY.search(page.content)):
                page.content = summary[1]

    @event_priority(-100)
    def _after_search(self, context: Any, *, page: Any, **_: Any) -> None:
        page.content = self._whole

    def _for_machines(self, context: Any, *, page: Any, config: Any, nav: Any) -> Any:
        # What machines read of a page is plain text, for the theme to escape.
        meta, here = page.meta, page.file.src_uri
        description = unescape(meta.get("description") or config["site_description"] or "")
        title = unescape(str(meta.get("title") or page.title))
        linked: dict[str, Any] = {}
        citation = _held(Path(config["docs_dir"]).parent, "CITATION.cff")
        if page.is_homepage and citation.is_file():
            linked = jsonld.software(_cited(citation), page.canonical_url)
        elif posixpath.dirname(here) == "models" and here != "models/index.md":
            linked = jsonld.model(title, description, page.markdown, page.canonical_url)
        context["about"] = {
            "title": f"{title} · {config['site_name']}",
            "description": description,
            "linked": jsonld.text(linked) if linked else "",
        }
        return context

    # The theme's search reads a page when it is about to be laid out.
    on_page_context = CombinedEvent(_before_search, _after_search, _for_machines)

    def on_post_template(self, output: str, *, template_name: str, config: Any) -> str:
        """Give the page for addresses that lead nowhere its policy, and know the theme by it."""
        if template_name != "404.html":
            return output
        output = _named(output)
        if self._is_served:
            return output
        self._policy = Policy(output)
        return self._policy.written(output)

    def on_post_page(self, output: str, *, page: Any, config: Any) -> str:
        """Give a page its policy, and keep those that are laid out for files."""
        output = _named(output)
        if self.config.offline:
            output = offline.led(output, page.file.dest_uri, self._addresses)
        if self._policy:
            tried = page.file.src_uri == demo.PAGE and bool(self.config.demo)
            output = self._policy.written(output, wasm=tried)
        depth = self._blanks.get(page.file.src_uri)
        if depth is not None:
            self._laid_out[depth] = (page.url, output)
        return output

    @event_priority(-100)  # search has written its index
    def on_post_build(self, *, config: Any) -> None:
        """Write the page of every file that is linked to, and records as they are besides."""
        site = Path(config["site_dir"])

        def write(origin: str) -> None:
            for path, content in self._quoted(origin):
                write_file(content, str(site / path))

        workers.each(write, list(self._origins))
        if self.config.offline:
            offline.write_index(site)
        self._uncollected.close()

    def _quoted(self, origin: str) -> Iterator[tuple[str, bytes]]:
        """A file's page and, of a record, the file itself, each with its place on the site."""
        file, path, record = self._origins[origin], self._root / origin, quoted.copy(origin)
        own, page = self._laid_out[quoted.depth(origin)]
        if record:
            yield record, path.read_bytes()
        way = get_relative_url(record, file.url) if record else ""
        text = quoted.filled(page, own, origin, file.url, path.read_text("utf-8"), way)
        yield file.dest_uri, text.encode()


def _hold_links(docs: Path, above: tuple[Path, ...] = ()) -> None:
    """Refuse links that bring onto the site what is not of the project, or lead round in circles.

    Raises:
        PluginError: there is one.
    """
    root = (above[0] if above else docs).resolve().parent
    way = [folder.resolve() for folder in (*above, docs)]
    for path in sorted(docs.iterdir()):
        real = path.resolve()
        if not real.is_relative_to(root):
            raise PluginError(f"{path}: a link leads out of the project, to {real}; remove it")
        if not real.exists() or not (real.is_dir() or real.is_file()):
            raise PluginError(f"{path}: no file, or a link to none; remove it")
        if path.is_dir():
            if any(folder.is_relative_to(real) for folder in way):
                raise PluginError(f"{path}: a link to a folder that it is in; remove it")
            _hold_links(path, (*above, docs))


def changelog(markdown: str, file: Path) -> str:
    """The page of changes: its own words, and the sections of the file."""
    sections = file.read_text("utf-8").partition("\n## ")[2] if file.is_file() else ""
    if not sections:
        return markdown
    # A version in brackets is a link only where the file says to where.
    return markdown + re.sub(r"^## \[(.*?)\]", r"## \1", f"\n\n## {sections}", flags=re.MULTILINE)


def _held(root: Path, name: str) -> Path:
    try:
        return Home(root.resolve()).hold(root.resolve() / name)
    except BadFile as error:
        raise PluginError(str(error)) from None


def _cited(file: Path) -> cff.Software:
    try:
        return cff.read(file, file.name)
    except BadFile as error:
        raise PluginError(str(error)) from None


def _named(output: str) -> str:
    return output.replace(_NAMELESS, f'{_NAMELESS} aria-label="Search"')


def _bring(made: Path, files: Any, config: Any) -> None:
    """Put a model to try on the site, and its page."""
    for path in sorted(made.iterdir()):
        uri = f"{demo.ASSETS}/{path.name}"
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    tried = files.get_file_from_path(demo.PAGE)
    tried.content_string = demo.page(tried.content_string, made)


def _page_of(origin: str, config: Any) -> File:
    beside = InclusionLevel.NOT_IN_NAV
    page = File.generated(config, quoted.uri(origin), content=quoted.blank(), inclusion=beside)
    page.dest_uri = quoted.address(origin)  # no folder for each: there are thousands
    return page


def _plain(link: str) -> str:
    return unquote(unescape(link))
