"""Links and file names that a claim gives: what is known of them without following any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from effcc.catalog.spec import Spec
from effcc.claims.bibtex import arxiv_id, parse
from effcc.claims.claim import Claim
from effcc.proof.comparison import Comparison

# Hosts that are known not to serve any more what links to them mean, since when, and what they do.
DEAD = {"paperswithcode.com": "closed in July 2025; its links lead elsewhere"}
# Files that are called the same whatever is in them, as on the Hugging Face Hub.
GENERIC = ("model", "pytorch_model", "weights", "")
# torch hub's convention: name, dash, the first digits of the file's SHA-256.
_HASHED = re.compile(r"(.+)-([0-9a-f]{8,64})")


def comparisons(claim: Claim, spec: Spec) -> Iterator[Comparison]:
    """A claim's links beside the hosts that are known dead, its files beside its name."""
    url = claim.cited.url if claim.cited else None
    if url:
        computed, agrees = dead(url), False
        if not computed:
            computed, agrees = _same_paper(url, claim)
        yield Comparison("Paper URL", url, computed, agrees, claim.place)
    if claim.code:
        computed = dead(claim.code)
        yield Comparison("Code", claim.code, computed, False if computed else None, claim.place)
    if fact := claim.facts.get("ID"):
        agrees = fact.text == claim.name
        computed = "the entry's name" if agrees else f"{claim.name}, the entry's name"
        yield Comparison("ID", fact.text, computed, agrees, fact.place)
    if claim.weights:
        yield from _weights(claim.weights[0], claim, spec)


def dead(url: str) -> str:
    """What became of a link's host; empty if nothing is known against it."""
    host = (_parts(url)[0]).removeprefix("www.")
    return f"{host} {DEAD[host]}" if host in DEAD else ""


def _same_paper(url: str, claim: Claim) -> tuple[str, bool | None]:
    """A link to arXiv beside the page's first citation."""
    named, cited = arxiv_id(url), parse(claim.bibtex[0]).arxiv if claim.bibtex else []
    if not named or not cited:
        return "", None
    return f"arXiv:{', '.join(cited)} in its BibTeX", cited == [named]


def _weights(url: str, claim: Claim, spec: Spec) -> Iterator[Comparison]:
    """A weights file's name beside the entry's, the hash in it beside the registry's."""
    host, path = _parts(url)
    file = unquote(path.rpartition("/")[2])
    stem = file.rpartition(".")[0] or file
    match = _HASHED.fullmatch(stem)
    name, digits = (match[1], match[2]) if match else (stem, "")
    computed, agrees = dead(url), False
    if not computed and name not in GENERIC:
        agrees = name == claim.name
        computed = "the entry's name" if agrees else f"{claim.name}, the entry's name"
    known = agrees if computed else None
    yield Comparison("Weights", file or host, computed, known, claim.place)
    stated = spec.weights.sha256 or ""
    if digits or stated:
        # Of a hash that only one of the two knows there is nothing to say until a file is there.
        computed = f"{stated[: len(digits) or 8]} in the registry" if stated else ""
        agrees = stated.startswith(digits) if stated and digits else None
        yield Comparison("Weights SHA-256", digits, computed, agrees, claim.place)


def _parts(url: str) -> tuple[str, str]:
    """Host and path of a link; empty if it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    return (parts.hostname or "").lower(), parts.path
