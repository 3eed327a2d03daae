"""Whether the BibTeX entries on a page speak of one paper alike.

A page gives the entry to be cited first. What it is held against are the title and the link that
the model-index calls `Paper`, and the page's other entries of the same paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from effcc.claims.bibtex import Bibtex, letters, parse, same_title
from effcc.claims.claim import Claim, Paper
from effcc.proof.comparison import Comparison

# Where papers lie before, or without, being published.
_PREPRINT = ("corr", "arxiv")


def comparisons(claim: Claim) -> Iterator[Comparison]:
    """The first citation on a claim's page beside the paper it names and the other citations."""
    if not claim.bibtex:
        return
    entries = [parse(text) for text in claim.bibtex]
    first, others = entries[0], entries[1:]
    paper = claim.cited or Paper(None, None)
    same = [entry for entry in others if _is_of(entry, first, paper)]
    if paper.title:
        yield Comparison(
            "Citation",
            f"“{first.title}” in its BibTeX",
            f"“{paper.title}” as its Paper",
            same_title(first.title, paper.title),
            claim.place,
        )
    for key, claimed, computed, agrees in _details(first, same):
        yield Comparison(key, claimed, computed, agrees, claim.place)
    for entry in others:
        if entry not in same and entry.arxiv:
            claimed, computed, agrees = _year(entry)
            yield Comparison(f"Citation {entry.key}", claimed, computed, agrees, claim.place)


def _details(first: Bibtex, same: Sequence[Bibtex]) -> Iterator[tuple[str, str, str, bool]]:
    """Everything but the title: (key, claimed, computed, whether they agree)."""
    ids = list(dict.fromkeys(found for entry in (first, *same) for found in entry.arxiv))
    if ids:
        claimed, others = first.arxiv[0] if first.arxiv else "no id", [e for e in same if e.arxiv]
        computed = f"the same in {_keys(others or [first])}"
        if len(ids) > 1:
            unlike = [(i, e.key) for e in (first, *others) for i in e.arxiv if i != claimed]
            computed = "; ".join(f"{found} in {key}" for found, key in unlike)
        yield "Citation arXiv", claimed, computed, len(ids) == 1
    if first.year:
        claimed, computed, agrees = _year(first)
        dated = [(f"{e.year} in {e.key}", e.year == first.year) for e in same if e.year]
        stated = [*dated, *([(computed, agrees)] if computed else [])]
        unlike = [text for text, agreeing in stated if not agreeing]
        if stated:
            told = unlike or [text for text, _ in stated]
            yield "Citation Year", claimed, "; ".join(told), not unlike
    for entry in same:
        names = [", ".join(family.title() for family, _ in e.people) for e in (first, entry)]
        agrees = _same_people(first, entry)
        computed = f"{'the same' if agrees else names[1]} in {entry.key}"
        yield "Citation Authors", names[0], computed, agrees
        agrees = letters(first.venue) == letters(entry.venue)
        preprint = letters(first.venue).startswith(_PREPRINT)
        claimed = f"{first.venue}, a preprint" if preprint else first.venue or "none"
        yield "Citation Venue", claimed, f"{entry.venue or 'none'} in {entry.key}", agrees
        return  # one entry beside the first shows what there is to show


def _is_of(entry: Bibtex, first: Bibtex, paper: Paper) -> bool:
    """Whether an entry is of the paper that the page is about."""
    titles = [title for title in (first.title, paper.title) if title]
    return bool(set(entry.arxiv) & set(first.arxiv)) or any(
        same_title(entry.title, title) for title in titles
    )


def _year(entry: Bibtex) -> tuple[str, str, bool]:
    """An entry's year beside that of its arXiv id, before which no paper can be published."""
    written = entry.year or "no year"
    if not entry.arxiv:
        return written, "", True
    submitted = 2000 + int(entry.arxiv[0][:2])
    agrees = entry.year.isdecimal() and int(entry.year) >= submitted
    return written, f"arXiv:{entry.arxiv[0]} of {submitted}", agrees


def _same_people(one: Bibtex, other: Bibtex) -> bool:
    """Whether the authors are the same in the same order, as far as both name them."""
    if not one.people or not other.people:
        return False
    length = max(len(one.people), len(other.people))
    for entry in (one, other):
        if entry.people[-1][0] == "others":
            length = min(length, len(entry.people) - 1)
    pairs = [(entry.people + [("", "")] * length)[:length] for entry in (one, other)]
    return all(
        a[0] == b[0] and (not a[1] or not b[1] or a[1] == b[1]) for a, b in zip(*pairs, strict=True)
    )


def _keys(entries: Sequence[Bibtex]) -> str:
    return " and ".join(entry.key for entry in entries)
