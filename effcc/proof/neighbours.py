"""Variants that differ in one thing, and what must follow for the figures claimed of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations

from effcc.catalog.registry import Entry
from effcc.catalog.spec import Network
from effcc.claims.claim import Fact
from effcc.proof.comparison import Comparison, figure, of_fact


def comparisons(entries: Iterable[Entry]) -> dict[str, list[Comparison]]:
    """What follows from variants beside each other, by the name of the variant it is said of.

    - The same network has the same parameters.
    - On larger images it takes more operations, by whatever rule they are counted.
    - More experts are more parameters, and no fewer operations. (How many more depends on the
      rule: by definition only those of routing and mixing.)
    """
    alike: dict[Network, list[Entry]] = {}
    for entry in entries:
        alike.setdefault(_without_experts(entry.spec.network), []).append(entry)
    found: dict[str, list[Comparison]] = {}
    for each in alike.values():
        for pair in combinations(each, 2):
            for name, row in _beside(*pair):
                found.setdefault(name, []).append(row)
    return found


def _beside(one: Entry, other: Entry) -> Iterable[tuple[str, Comparison]]:
    pair = (one, other)
    experts = [entry.spec.network.experts for entry in pair]
    sizes = [entry.spec.preprocessing.image_size for entry in pair]
    if experts[0] == experts[1]:
        yield from _compared("Parameters", one, other, "{}, of the same network", _same)
        if sizes[0] != sizes[1]:
            small, large = (one, other) if sizes[0] < sizes[1] else (other, one)
            yield from _compared("FLOPs", small, large, f"over {{}}, at {min(sizes)} px", _more)
    elif sizes[0] == sizes[1]:
        few, many = (one, other) if experts[0] < experts[1] else (other, one)
        than = f"{{}}, of {min(experts)} experts"
        yield from _compared("Parameters", few, many, f"over {than}", _more)
        yield from _compared("FLOPs", few, many, f"at least {than}", _no_fewer)


def _without_experts(network: Network) -> Network:
    """What parameters and operations depend on besides: networks that are one but for experts."""
    return replace(network, experts=1, dropout=0.0, drop_path=0.0, bn_momentum=0.0)


def _compared(
    key: str, less: Entry, more: Entry, follows: str, holds: Callable[[Fact, Fact], bool]
) -> Iterable[tuple[str, Comparison]]:
    facts = [figure(entry.claim, key) for entry in (less, more)]
    if facts[0] and facts[1]:
        name = f"{key} beside {less.spec.name}"
        holding = holds(facts[0], facts[1])
        yield more.spec.name, of_fact(name, facts[1], follows.format(facts[0].text), holding)


def _same(one: Fact, other: Fact) -> bool:
    return one.agrees_with(other.number or 0) or other.agrees_with(one.number or 0)


def _more(less: Fact, more: Fact) -> bool:
    apart = (less.number or 0) < (more.number or 0)
    return apart or (_same(less, more) and (_is_rounded(less) or _is_rounded(more)))


def _no_fewer(less: Fact, more: Fact) -> bool:
    return (less.number or 0) <= (more.number or 0) or _same(less, more)


def _is_rounded(fact: Fact) -> bool:
    """Whether a figure stands for others too, so that two that are written alike may differ."""
    return fact.agrees_with((fact.number or 0) + 1)
