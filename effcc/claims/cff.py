"""CITATION.cff: what a citation of the software says, read as people write the format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effcc.ground import document
from effcc.ground.document import Document
from effcc.ground.errors import BadFile

_NEEDS = "`authors`, each with `name`, or with `family-names` and `given-names`"


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote it: a person, or an entity, which has a family name alone."""

    family: str
    given: str = ""
    suffix: str = ""
    is_person: bool = True

    @property
    def name(self) -> str:
        """As they are called: given name first."""
        return " ".join(filter(None, (self.given, self.family, self.suffix)))


@dataclass(frozen=True, slots=True)
class Software:
    """A file's software; what the file leaves out is empty."""

    title: str
    authors: tuple[Author, ...]
    abstract: str
    version: str
    license: str
    keywords: tuple[str, ...]
    text: str  # the file, its lines ending as ours do


def read(path: Path, shown: str | None = None) -> Software:
    """Read a CITATION.cff.

    The format: https://github.com/citation-file-format/citation-file-format, version 1.2.0. Of what
    it requires, only what a citation cannot do without has to be there.

    Raises:
        BadFile: it cannot be read, or has no title or no author.
    """
    file = document.read(path, shown)
    if not isinstance(file.data, Mapping) or not _words(file.data.get("title")):
        raise BadFile(file.problem((), "no CITATION.cff: it needs a `title`"))
    authors = file.data.get("authors")
    if not isinstance(authors, list) or not authors:
        raise BadFile(file.problem(("authors",), f"it needs {_NEEDS}"))
    return Software(
        title=_words(file.data["title"]),
        authors=tuple(_author(file, number) for number in range(len(authors))),
        abstract=_words(file.data.get("abstract")),
        version=_words(file.data.get("version")),
        license=" OR ".join(_listed(file.data.get("license"))),
        keywords=_listed(file.data.get("keywords")),
        text=file.text.replace("\r\n", "\n").replace("\r", "\n"),
    )


def _author(file: Document, number: int) -> Author:
    given: Any = file.data["authors"][number]
    known = {key: _words(value) for key, value in given.items()} if _is_map(given) else {}
    if name := known.get("name"):
        return Author(name, is_person=False)
    family = " ".join(filter(None, map(known.get, ("name-particle", "family-names"))))
    names = family, known.get("given-names", "")
    if not any(names):
        names = known.get("alias", ""), ""
    if not any(names):
        raise BadFile(file.problem(("authors", number), f"it needs {_NEEDS}"))
    return Author(*names, known.get("name-suffix", ""))


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


def _listed(value: Any) -> tuple[str, ...]:
    """A list's items, or the one that stands there by itself."""
    every: list[Any] = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
    return tuple(filter(None, map(_words, every)))


def _words(value: Any) -> str:
    """A scalar on one line; empty of anything else."""
    return "" if value is None or isinstance(value, list | dict) else " ".join(str(value).split())
