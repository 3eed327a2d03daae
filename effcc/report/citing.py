"""The page of citations: the software as CITATION.cff has it, papers as model-index pages do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from effcc.claims import bibtex, cff
from effcc.claims.bibtex import Bibtex
from effcc.claims.cff import Author, Software
from effcc.ground import document
from effcc.ground.home import Home
from effcc.ground.page import PAGES
from effcc.report import cards

# What TeX takes for more than a letter. Braces have names: BibTeX counts them, escaped or not.
_TEX = str.maketrans(
    {each: f"\\{each}" for each in "&%$#_"}
    | {"{": r"\textbraceleft{}", "}": r"\textbraceright{}", "\\": r"\textbackslash{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


@dataclass(frozen=True, slots=True)
class Cited:
    """A BibTeX entry that pages of the model-index print."""

    entry: Bibtex
    text: str
    again: str  # the title that an entry before gives the same paper, if that is another


def page(home: Home) -> str:
    """The page of citations as Markdown.

    Raises:
        BadFile: CITATION.cff, or a page, cannot be read.
    """
    software = cff.read(home.hold(home.citation), home.shown(home.citation))
    return cards.template("citation.md.j2").render(
        cff=software.text,
        software=_bibtex(software),
        papers=list(_papers(home)),
    )


def _bibtex(software: Software) -> str:
    """The software as BibTeX; `@software` is biblatex's, and older styles take it for `@misc`."""
    about = f": {_tex(software.abstract.rstrip('.'))}" if software.abstract else ""
    fields = {
        "author": " and ".join(map(_called, software.authors)),
        "title": f"{{{_tex(software.title)}}}{about}",
        "version": _tex(software.version),
        "license": _tex(software.license),
    }
    lines = [f"  {key:<7} = {{{value}}}" for key, value in fields.items() if value]
    key = re.sub(r"[^A-Za-z0-9_-]+", "-", software.title).strip("-") or "software"
    return f"@software{{{key},\n" + ",\n".join(lines) + "\n}"


def _called(author: Author) -> str:
    """An author as BibTeX takes names apart; an entity's name is whole."""
    if not author.is_person:
        return f"{{{_tex(author.name)}}}"
    return ", ".join(map(_tex, filter(None, (author.family, author.suffix, author.given))))


def _tex(text: str) -> str:
    return text.translate(_TEX)


def _papers(home: Home) -> Iterator[Cited]:
    """Every BibTeX entry of the model-index pages once, by title."""
    files = sorted(path for path in home.model_index.glob("*") if path.suffix in PAGES)
    pages = (document.read_text(home.hold(path), home.shown(path)) for path in files)
    texts = {text for page in pages for text in bibtex.printed(page)}
    titles: dict[str, str] = {}
    for entry, text in sorted(((bibtex.parse(text), text) for text in texts), key=_by_title):
        known = next((titles[number] for number in entry.arxiv if number in titles), entry.title)
        titles |= dict.fromkeys(entry.arxiv, known)
        yield Cited(entry, text, known if known != entry.title else "")


def _by_title(cited: tuple[Bibtex, str]) -> tuple[str, str]:
    return cited[0].title, cited[1]
