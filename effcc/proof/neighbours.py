"""Variants that differ in one thing, and what must follow for the figures claimed of them.

A variant is held against the one next to it, not against each that differs from it in one thing:
what is more than its neighbour is more than its neighbour's. Rounded figures hide small steps, so
that they could wander off along a long row, each next to the one before; therefore the one that
leaves least room is held against all that follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from effcc.catalog.registry import Entry
from effcc.catalog.spec import Network
from effcc.claims.claim import Fact
from effcc.proof.comparison import Comparison, figure, of_fact

Found = tuple[str, Comparison]  # the variant it is said of, and what follows for it


def comparisons(entries: Iterable[Entry]) -> dict[str, list[Comparison]]:
    """What follows from variants beside each other, by the name of the variant it is said of.

    - The same network has the same parameters.
    - On larger images it takes more operations, by whatever rule they are counted.
    - More experts are more parameters, and no fewer operations. (How many more depends on the
      rule: by definition only those of routing and mixing.)
    """
    found: dict[str, list[Comparison]] = {}
    for alike in _groups(entries, lambda entry: _without_experts(entry.spec.network)):
        for name, row in _beside(alike):
            found.setdefault(name, []).append(row)
    return found


def _beside(alike: Sequence[Entry]) -> Iterator[Found]:
    for same in _groups(alike, _experts):
        yield from _equal("Parameters", same)
        yield from _rising("FLOPs", same, _pixels, "over {figure}, at {below} px", _more)
    for same in _groups(alike, _pixels):
        than = "{figure}, of {below} experts"
        yield from _rising("Parameters", same, _experts, f"over {than}", _more)
        yield from _rising("FLOPs", same, _experts, f"at least {than}", _no_fewer)


def _without_experts(network: Network) -> Network:
    """What parameters and operations depend on besides: networks that are one but for experts."""
    return replace(network, experts=1, dropout=0.0, drop_path=0.0, bn_momentum=0.0)


def _experts(entry: Entry) -> int:
    return entry.spec.network.experts


def _pixels(entry: Entry) -> int:
    return entry.spec.preprocessing.image_size


def _groups(entries: Iterable[Entry], of: Callable[[Entry], object]) -> Iterable[list[Entry]]:
    """Those that have the same of something, in their order."""
    found: dict[object, list[Entry]] = {}
    for entry in entries:
        found.setdefault(of(entry), []).append(entry)
    return found.values()


def _equal(key: str, entries: Iterable[Entry]) -> Iterator[Found]:
    """Entries of one network: each beside the one before, and the one written most precisely."""
    before: list[tuple[Entry, Fact]] = []
    for entry, fact in _claiming(key, entries):
        for one, said in before:
            yield _row(key, one, said, entry, fact, f"{said.text}, of the same network", _same)
        precise = min([(entry, fact), *before], key=lambda one: one[1].margin)
        before = _apart([(entry, fact), precise])


def _rising(
    key: str,
    entries: Iterable[Entry],
    along: Callable[[Entry], int],
    follows: str,
    holds: Callable[[Fact, Fact], bool],
) -> Iterator[Found]:
    """Entries that differ in one number: each beside the next below, and the most that is there."""
    levels = _groups(sorted(_claimers(key, entries), key=along), along)
    before: list[tuple[Entry, Fact]] = []
    for level in levels:
        here = list(_claiming(key, level))
        for entry, fact in here:
            for one, said in before:
                words = follows.format(figure=said.text, below=along(one))
                yield _row(key, one, said, entry, fact, words, holds)
        most = max([*here, *before], key=lambda one: (one[1].number or 0) - one[1].margin)
        before = _apart([here[-1], most])


def _claimers(key: str, entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry, _ in _claiming(key, entries)]


def _claiming(key: str, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Fact]]:
    for entry in entries:
        if fact := figure(entry.claim, key):
            yield entry, fact


def _apart(found: list[tuple[Entry, Fact]]) -> list[tuple[Entry, Fact]]:
    """Each variant once."""
    return list({entry.spec.name: (entry, fact) for entry, fact in found}.values())


def _row(
    key: str,
    one: Entry,
    said: Fact,
    other: Entry,
    fact: Fact,
    follows: str,
    holds: Callable[[Fact, Fact], bool],
) -> Found:
    name = f"{key} beside {one.spec.name}"
    return other.spec.name, of_fact(name, fact, follows, holds(said, fact))


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
