"""The outcome of a conversion: a text, and what it has no place for.

Nothing is left out silently: whatever an entry says and the text does not is in the list, by key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from effcc.claims.claim import Claim, Collection, Paper
from effcc.claims.hub_terms import KEPT
from effcc.ground.errors import Place, Problem
from effcc.ground.nodes import KeyPath, dotted


@dataclass(frozen=True, slots=True)
class Converted:
    """A text, and a problem for each thing it does not hold."""

    text: str
    lost: tuple[Problem, ...] = ()


def unheld(
    claims: Iterable[Claim], why: str, papers: Iterable[tuple[str, Paper]]
) -> Iterator[Problem]:
    """What entries and their collections say beside results, each with its key and its place.

    Args:
        claims: the entries; a collection that several are in is listed once.
        why: why the target has no place for it.
        papers: those that the target does hold, with the name of the entry or collection.
    """
    claims, held = list(claims), set(papers)
    shown: set[str] = set()
    for claim in claims:
        path: KeyPath = ("Models", claim.name)
        yield from _of_entry(path, claim, why, held)
        for number, _ in enumerate(claim.bibtex):
            yield loss(claim.place, (*path, "BibTeX", number), why)
        if claim.collection is None:
            continue
        yield loss(claim.place, (*path, "In Collection"), why)
        if claim.collection.name not in shown:
            shown.add(claim.collection.name)
            path = ("Collections", claim.collection.name)
            yield from _of_entry(path, claim.collection, why, held)
            members = (c for c in claims if c.collection == claim.collection)
            if claim.collection.results and all(member.results for member in members):
                yield loss(claim.collection.place, (*path, "Results"), why)


def loss(place: Place, path: KeyPath, why: str) -> Problem:
    """One thing that a text does not hold."""
    return Problem(place, dotted(path), why)


def _of_entry(
    path: KeyPath, entry: Claim | Collection, why: str, held: set[tuple[str, Paper]]
) -> Iterator[Problem]:
    for number, paper in enumerate(entry.papers):
        if (entry.name, paper) not in held:
            yield loss(entry.place, (*path, "Paper", number), why)
    for key, fact in entry.metadata.items():
        yield loss(fact.place if fact.place.file else entry.place, (*path, "Metadata", key), why)
    if entry.code is not None:
        yield loss(entry.place, (*path, "Code"), why)
    if entry.code_version is not None:
        yield loss(entry.place, (*path, "Code", "Version"), why)
    for number, _ in enumerate(entry.weights):
        yield loss(entry.place, (*path, "Weights", number), why)
    if entry.readme is not None:
        yield loss(entry.place, (*path, "README"), why)
    for key in entry.extra:
        if key != KEPT:
            yield loss(entry.place, (*path, key), why)
