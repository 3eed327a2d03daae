"""BibTeX entries as fields, read as people write them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

_ARXIV = re.compile(r"(?:abs|pdf|arXiv)[/:.](\d{4}\.\d{4,5})|^(\d{4}\.\d{4,5})(?:v\d+)?$", re.I)
_PRINTED = re.compile(r"^```+ *bibtex *\r?\n((?:(?!```).*\n)*+)^```+ *\r?$", re.I | re.M)
_FIELD = re.compile(r"\s*,?\s*([A-Za-z][\w-]*)\s*=\s*")


@dataclass(frozen=True, slots=True)
class Bibtex:
    """One BibTeX entry: its key and its fields by lower-case name, braces and line ends removed."""

    key: str
    fields: Mapping[str, str]

    @property
    def title(self) -> str:
        """What it calls the paper; empty if it does not say."""
        return self.fields.get("title", "")

    @property
    def year(self) -> str:
        """As written."""
        return self.fields.get("year", "")

    @property
    def venue(self) -> str:
        """The proceedings or the journal."""
        return self.fields.get("booktitle") or self.fields.get("journal", "")

    @property
    def arxiv(self) -> list[str]:
        """The arXiv ids that its fields name, each once."""
        named = (self.fields.get(name, "") for name in ("eprint", "url", "volume", "journal"))
        return list(dict.fromkeys(found for text in named if (found := arxiv_id(text))))

    @property
    def authors(self) -> list[str]:
        """The authors in order, each as they are called: given name first."""
        parted = (re.split(r"\s*,\s*", name, maxsplit=1) for name in self._names)
        return [" ".join(reversed(parts)) for parts in parted]

    @property
    def people(self) -> list[tuple[str, str]]:
        """Family name and first initial of each author, small letters; `others` stays a name."""
        return [_person(name) for name in self._names]

    @property
    def _names(self) -> list[str]:
        names = re.split(r"\s+and\s+", self.fields.get("author", ""))
        return [name.strip() for name in names if name.strip()]


@functools.lru_cache(maxsize=1024)  # cards repeat each other
def parse(text: str) -> Bibtex:
    """Read one entry as people write them: values in braces, in quotes, or bare."""
    head = re.match(r"\s*@\w+\s*\{\s*([^,\s]*)\s*,", text)
    fields: dict[str, str] = {}
    if not head:
        return Bibtex("", fields)
    at = head.end()
    while match := _FIELD.match(text, at):
        value, at = _value(text, match.end())
        plain = " ".join(value.replace("{", "").replace("}", "").split())
        fields.setdefault(match[1].lower(), plain)
    return Bibtex(head[1], fields)


def printed(page: str) -> tuple[str, ...]:
    """The entries that a Markdown page prints, each in a fence called BibTeX, in order.

    Lines may end as on Windows; those of the entries do not.
    """
    found = _PRINTED.findall(page) if "```" in page else ()
    return tuple(entry.replace("\r", "").strip() for entry in found)


def same_title(one: str, other: str) -> bool:
    """Whether two titles are one; case and punctuation do not count."""
    return letters(one) == letters(other)


def arxiv_id(text: str) -> str | None:
    """The arXiv id in a link, a volume such as `abs/1904.04971`, or by itself; no version."""
    match = _ARXIV.search(text.strip())
    return (match[1] or match[2]) if match else None


def letters(text: str) -> str:
    """A text without what may differ in how it is written: small letters and digits."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _person(name: str) -> tuple[str, str]:
    family, comma, given = (part.strip() for part in name.partition(","))
    if not comma:
        *before, family = name.split()
        given = " ".join(before)
    return letters(family), letters(given)[:1]


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that begins at a position, and the position after it."""
    if at < len(text) and text[at] in '{"':
        closing = "}" if text[at] == "{" else '"'
        depth, end = 0, at + 1
        while end < len(text) and (depth or text[end] != closing):
            depth += (text[end] == "{") - (text[end] == "}")
            end += 1
        return text[at + 1 : end], end + 1
    match = re.compile(r"[^,}\n]*").match(text, at)
    assert match
    return match[0], match.end()
