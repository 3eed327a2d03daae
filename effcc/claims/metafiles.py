"""Metafiles of other model zoos, such as timm's and OpenMMLab's, as pages of a `model-index/`.

They are model-index files with habits of their own: a unit in the key (`Params(M): 6.5`), and
accuracies in percent without its sign (`Top 1 Accuracy: 76.55`). Here the unit goes to the figure,
whose digits stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from effcc.claims import modelindex
from effcc.claims.claim import Claim, Collection, Fact, Result

# `Params(M)`, `FLOPs (G)`: what is counted, and in what.
_COUNT = re.compile(r"(params|parameters|flops|macs) ?\(([KMGT])\)", re.IGNORECASE)
_COUNTED = {"params": "Parameters", "parameters": "Parameters", "flops": "FLOPs", "macs": "MACs"}
_ACCURACY = re.compile(r"(top[ -]?[0-9]+ )?accuracy", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]+(\.[0-9]+)?")


def understood(claims: Sequence[Claim]) -> list[Claim]:
    """Claims whose figures carry their unit themselves.

    `Params(M): 6.5` becomes `Parameters: 6.5M`, unless the entry has `Parameters` as well. An
    accuracy above 1 is in percent and gets the sign. A key without a value, which a reader reports,
    is left out. Everything else stays as it is.
    """
    collections: dict[int, Collection] = {}
    found: list[Claim] = []
    for claim in claims:
        theirs = claim.collection
        if theirs is not None:
            theirs = collections.setdefault(
                id(theirs),
                replace(theirs, metadata=_counts(theirs.metadata), results=_shares(theirs.results)),
            )
        own = _counts(claim.metadata), _shares(claim.results)
        found.append(replace(claim, collection=theirs, metadata=own[0], results=own[1]))
    return found


def page(claims: Sequence[Claim], source: str) -> str:
    """A Markdown page with claims in its comment, and the citations that their page had.

    Args:
        claims: the entries, at least one.
        source: where they come from, for the reader.
    """
    names = dict.fromkeys(claim.collection.name for claim in claims if claim.collection)
    title = next(iter(names)) if len(names) == 1 else claims[0].name if len(claims) == 1 else ""
    title = re.sub(r"([\\`*_\[\]<>#])", r"\\\1", " ".join((title or source).split()))
    citations = dict.fromkeys(entry for claim in claims for entry in claim.bibtex)
    parts = [f"# {title}\n", f"Claims of others, converted from `{source}`.\n"]
    if citations:
        parts += ["## Citation\n", *(f"```BibTeX\n{entry}\n```\n" for entry in citations)]
    return "\n".join([*parts, f"<!--\n{modelindex.dump(claims)}-->\n"])


def _counts(metadata: Mapping[str, Fact]) -> dict[str, Fact]:
    found: dict[str, Fact] = {}
    for key, fact in metadata.items():
        if fact.data is None:
            continue
        count = _COUNT.fullmatch(key)
        name = _COUNTED[count[1].lower()] if count else key
        if count and name not in metadata and name not in found and _DIGITS.fullmatch(fact.text):
            text = fact.text + count[2].upper()
            found[name] = Fact(text, text, fact.place)
        else:
            found[key] = fact
    return found


def _shares(results: tuple[Result, ...]) -> tuple[Result, ...]:
    return tuple(
        replace(
            result,
            metrics={
                name: _share(fact) if _ACCURACY.fullmatch(name) else fact
                for name, fact in result.metrics.items()
                if fact.data is not None
            },
        )
        for result in results
    )


def _share(fact: Fact) -> Fact:
    number = fact.number if _DIGITS.fullmatch(fact.text) else None
    if number is None or not 1 < number <= 100:
        return fact
    return Fact(f"{fact.text}%", f"{fact.text}%", fact.place)
