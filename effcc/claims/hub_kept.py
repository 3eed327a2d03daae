"""What both formats of the Hugging Face Hub have in common: kept words, sources, and losses.

A result keeps in its `extra`, under `hub_terms.KEPT`, what only the Hub has words for: `task`,
`dataset`, `source`, `metrics` by name, and `eval_results` for what only eval results have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from effcc.claims import hub_terms
from effcc.claims.claim import Claim, Fact, Paper, Result
from effcc.claims.converted import loss
from effcc.claims.hub_terms import KEPT
from effcc.ground.errors import Problem
from effcc.ground.nodes import KeyPath

EVAL = "eval_results"
# Kept in the place of a value: that the Hub has the figure as text.
TEXT = "text"
EDITED = "not as effcc keeps it; write it as it stands on the Hub"
# Hosts and folders of papers: a source there is the paper of the model.
_PAPER = re.compile(
    r"""https?://(?:www\.)?(?:arxiv\.org/(?:abs|pdf)/|paperswithcode\.com/paper/|(?:dx\.)?doi\.org/
    |openreview\.net/|openaccess\.thecvf\.com/|aclanthology\.org/|huggingface\.co/papers/
    |papers\.n(?:eur)?ips\.cc/|proceedings\.(?:neurips\.cc|mlr\.press)/|link\.springer\.com/
    |ieeexplore\.ieee\.org/|dl\.acm\.org/)\S+""",
    re.VERBOSE,
)


def held(claim: Claim) -> tuple[Result, ...]:
    """The results of a model, or else those of its collection."""
    return claim.results or (claim.collection.results if claim.collection else ())


def words(of: Claim | Result) -> Any:
    """What stands where the Hub's words are kept, without places; people may have edited it."""
    return hub_terms.bare(of.extra.get(KEPT, {}))


def kept(result: Result) -> Mapping[str, Any]:
    """What a result keeps of the Hub's words; nothing if somebody wrote there what does not fit."""
    return words(result) if fits(result) else {}


def fits(result: Result) -> bool:
    """Whether what is kept of a result is as it is kept here."""
    found = words(result)
    if not isinstance(found, Mapping):
        return False
    metrics = found.get("metrics", {})
    parts = [metrics, *(found.get(key, {}) for key in ("task", "dataset", "source", EVAL))]
    return (
        all(isinstance(part, Mapping) for part in parts)
        and metrics.keys() <= {k for k, fact in result.metrics.items() if fact.data is not None}
        and all(isinstance(m, Mapping) and m.get("value", TEXT) == TEXT for m in metrics.values())
    )


def value(fact: Fact, of_metric: Mapping[str, Any]) -> tuple[Any, str | None]:
    """As `hub_terms.value`, unless it is kept that the Hub has the figure as text."""
    return (fact.text, None) if of_metric.get("value") == TEXT else hub_terms.value(fact)


def worded(fact: Fact) -> dict[str, Any]:
    """What must be kept of a value that was read, so that `value` gives it again."""
    plain = not isinstance(fact.data, str) or hub_terms.value(fact) == (fact.data, None)
    return {} if plain else {"value": TEXT}


def with_papers(results: Sequence[Result]) -> tuple[tuple[Result, ...], tuple[Paper, ...]]:
    """Results, and the paper that all of them name as their source, if it is one."""
    sources = [result.extra.get(KEPT, {}).get("source", {}) for result in results]
    first = sources[0] if sources else {}
    alike = all(source == first for source in sources) and not first.keys() - {"name", "url"}
    if not alike or not _PAPER.fullmatch(first.get("url", "")):
        return tuple(results), ()
    paper = Paper(first.get("name"), first["url"])
    return tuple(_without_source(result) for result in results), (paper,)


def paper_as_source(claim: Claim) -> tuple[str, Paper] | None:
    """The first paper with a link, for results that name no source, after who names it."""
    if all("source" in kept(result) for result in held(claim)):
        return None
    owner = claim if claim.papers or claim.collection is None else claim.collection
    return next(((owner.name, paper) for paper in owner.papers if paper.url), None)


def source(paper: Paper) -> dict[str, Any]:
    """A paper as a source."""
    return ({"name": paper.title} if paper.title else {}) | {"url": paper.url}


def losses(claim: Claim, number: int, result: Result, why: str) -> Iterator[Problem]:
    """What neither format holds of a result."""
    path: KeyPath = ("Models", claim.name, "Results", number)
    for name, fact in result.metrics.items():
        if fact.data is None:
            place = fact.place if fact.place.file else claim.place
            yield loss(place, (*path, "Metrics", name), "no figure")
    for key in result.extra:
        if key != KEPT:
            yield loss(claim.place, (*path, key), why)
    if not fits(result):
        yield loss(claim.place, (*path, KEPT), EDITED)


def _without_source(result: Result) -> Result:
    left = {key: part for key, part in result.extra[KEPT].items() if key != "source"}
    return replace(result, extra={KEPT: left} if left else {})
