"""What search engines read of a page: schema.org's terms in JSON-LD.

The software is described by CITATION.cff, a model by its card: nothing is said here that a reader
of the page could not see.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from effcc.claims import bibtex
from effcc.claims.cff import Software

# What could end the script element that holds it, or a line of JavaScript.
_UNSAFE = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def software(cited: Software, url: str | None) -> dict[str, Any]:
    """The software, as its CITATION.cff describes it."""
    known = {
        "name": cited.title,
        "description": cited.abstract,
        "version": cited.version,
        "license": cited.license,
        "keywords": list(cited.keywords),
        "author": [
            {"@type": "Person" if author.is_person else "Organization", "name": author.name}
            for author in cited.authors
        ],
        "programmingLanguage": "Python",
    }
    return _entity("SoftwareSourceCode", known, url)


def model(name: str, description: str, card: str, url: str | None) -> dict[str, Any]:
    """A model, with the papers that its card cites."""
    cited = [_paper(bibtex.parse(text)) for text in bibtex.printed(card)]
    known = {"name": name, "description": description, "genre": "model card", "citation": cited}
    return _entity("CreativeWork", known, url)


def text(entity: Mapping[str, Any]) -> str:
    """An entity as JSON that may stand in a script element, whatever it says."""
    return json.dumps(entity, ensure_ascii=False).translate(_UNSAFE)


def _paper(cited: bibtex.Bibtex) -> dict[str, Any]:
    known = {
        "name": cited.title,
        "author": [{"@type": "Person", "name": name} for name in cited.authors],
        "datePublished": cited.year,
        "isPartOf": cited.venue,
    }
    link = f"https://arxiv.org/abs/{cited.arxiv[0]}" if cited.arxiv else None
    return _entity("ScholarlyArticle", known, link)


def _entity(kind: str, known: Mapping[str, Any], url: str | None) -> dict[str, Any]:
    said = {key: value for key, value in known.items() if value}
    context = {} if kind == "ScholarlyArticle" else {"@context": "https://schema.org"}
    return {**context, "@type": kind, **said, **({"url": url} if url else {})}
