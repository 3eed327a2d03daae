"""The verb that reads records: which there are, what one says, and what tells two apart."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from effcc import tally, terminal
from effcc.ground import home, jsontext
from effcc.ground.errors import UsageError
from effcc.ground.words import many

if TYPE_CHECKING:
    from effcc.catalog.glance import Glance
    from effcc.catalog.ledger import Kept, Listed

# Records that a list shows unless it is asked for all.
_MOST = 1000


def results(args: argparse.Namespace) -> int:
    """List what was measured, show one record, or set records side by side."""
    if args.action == "list":
        return _list(args.records, args.json, args.all)
    if args.all:
        raise UsageError("results: --all goes with list")
    return _ACTIONS[args.action](args.records, args.json)


def _list(words: Sequence[str], as_json: bool, whole: bool) -> int:
    if len(words) > 1:
        raise UsageError("results list: name one variant, or none for all")
    from effcc import history
    from effcc.catalog import ledger
    from effcc.catalog.seal import Seal

    at = home.find()
    differs = ledger.differing(at)
    files = ledger.listed(at, *words)
    unsealed = {one: at.shown(one.path(at)) for one in files if one.line.seal == Seal.NONE}
    seals = history.seals(unsealed.values(), at)

    def seen(one: Listed) -> tuple[Glance, str]:
        glance = one.line.glance
        seal = seals.get(unsealed.get(one, ""), glance.seal)
        why = seal.value if seal is Seal.BROKEN else differs(one, glance)
        return replace(glance, seal=seal), why

    records = [one for one in files if not one.line.is_none]
    if as_json:
        _stream(_row(*seen(one)) for one in records)
        return 0
    shown = records if whole else records[-_MOST:]
    heads = (
        *("record", "variant", "verb", "on", "top-1, ms a call, or apart", "seed", "commit"),
        *("seal", "differs from the registry"),
    )
    cells = [_cells(*seen(one)) for one in shown]
    if cells:
        terminal.say(terminal.table(heads, cells, last_yields=True))
    else:
        terminal.say("nothing was measured yet: effcc fit does")
    wrong = {at.shown(one.path(at)) for one in files if one.line.is_wrong}
    wrong |= {name for name, seal in seals.items() if seal is Seal.BROKEN}
    if wrong:
        terminal.say(f"\nwrong, as effcc check says: {', '.join(sorted(wrong))}")
    if len(shown) < len(records):
        said = f"the newest {len(shown):,} of {many(len(records), 'record')}"
        terminal.say(f"{said}; --all lists the others too", error=True)
    return 0


def _stream(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print a JSON list, a row a line, without holding all of it."""
    between = "[\n "
    for row in rows:
        print(between + jsontext.text(row, indent=None), end="")
        between = ",\n "
    print("[]" if between.startswith("[") else "\n]")


def _show(words: Sequence[str], as_json: bool) -> int:
    (record,) = _named("show", words, 1, 1)
    assert record.filed
    data = dict(record.filed.data)
    if as_json:
        terminal.say_data(data)
        return 0
    terminal.say(f"{record.variant}/{record.id}: {record.filed.seal}\n")
    terminal.say("\n".join(tally.outline(data)))
    return 0


def _compare(words: Sequence[str], as_json: bool) -> int:
    from effcc.catalog.results import Record
    from effcc.catalog.timings import Bench

    found = _named("compare", words, 2)
    _of_one_kind("compare", found)
    if kind := next((tally.kind(r) for r in found if not isinstance(r, Record | Bench)), ""):
        raise UsageError(f"results compare: {kind} is a picture, not a figure; see the card")
    accuracies = [record for record in found if isinstance(record, Record)]
    times = [record for record in found if isinstance(record, Bench)]
    if as_json:
        terminal.say_data(tally.compared(accuracies) or tally.ratios(times))
        return 0
    terminal.say("\n".join(tally.accuracies(accuracies) if accuracies else tally.times(times)))
    return 0


def _diff(words: Sequence[str], as_json: bool) -> int:
    from effcc.catalog import ledger

    one, other = pair = _named("diff", words, 2, 2)
    _of_one_kind("diff", pair)
    found = ledger.differences(one, other)
    if as_json:
        terminal.say_data(found)
        return 0
    heads = (one.id, other.id)
    terminal.say(tally.changes(found, heads) if found else "no difference but in what came out")
    return 0


_ACTIONS = {"show": _show, "compare": _compare, "diff": _diff}


def _named(action: str, words: Sequence[str], least: int, most: int = 99) -> list[Kept]:
    if not least <= len(words) <= most:
        wanted = many(least, "record") + ("" if most == least else " or more")
        raise UsageError(f"results {action}: name {wanted}; effcc results list prints them")
    from effcc import history
    from effcc.catalog import ledger

    at = home.find()
    return history.beside([ledger.find(word, at) for word in words], at)


def _of_one_kind(action: str, records: Sequence[Kept]) -> None:
    """Refuse records of two kinds: they have next to nothing in common.

    Raises:
        UsageError: there are several.
    """
    kinds = list(dict.fromkeys(tally.kind(record) for record in records))
    if len(kinds) > 1:
        both = " and ".join(kinds)
        raise UsageError(f"results {action}: {both}; name records of one kind")


def _cells(record: Glance, differs: str) -> tuple[str, ...]:
    return (
        record.id,
        record.variant,
        record.verb,
        record.on,
        record.figure,
        str(record.seed),
        tally.commit(record.commit, record.dirty),
        tally.seal(record.seal),
        "" if differs == tally.seal(record.seal) else differs,
    )


def _row(record: Glance, differs: str) -> dict[str, Any]:
    return {
        "id": record.id,
        "variant": record.variant,
        "verb": record.verb,
        "on": record.on,
        "seed": record.seed,
        "commit": record.commit,
        "dirty": record.dirty,
        "seal": record.seal,
        "differs": differs,
        **record.figures,
    }
