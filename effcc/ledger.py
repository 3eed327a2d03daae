"""The verb that reads records: which there are, what one says, and what tells two apart."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from effcc import tally, terminal
from effcc.ground import home
from effcc.ground.errors import UsageError
from effcc.ground.words import many

if TYPE_CHECKING:
    from effcc.catalog.ledger import Kept, Line


def results(args: argparse.Namespace) -> int:
    """List what was measured, show one record, or set records side by side."""
    return _ACTIONS[args.action](args.records, args.json)


def _list(words: Sequence[str], as_json: bool) -> int:
    if len(words) > 1:
        raise UsageError("results list: name one variant, or none for all")
    from effcc import history
    from effcc.catalog import ledger
    from effcc.catalog.results import edited

    at = home.find()
    lines, problems = ledger.everything(at, *words)
    beside = history.beside([line.record for line in lines], at)
    lines = [_standing(line, record) for line, record in zip(lines, beside, strict=True)]
    if as_json:
        terminal.say_data([_row(line) for line in lines])
        return 0
    heads = (
        *("record", "variant", "verb", "on", "top-1, ms a call, or apart", "seed", "commit"),
        *("seal", "differs from the registry"),
    )
    cells = [
        (
            line.record.id,
            line.record.variant,
            line.record.verb,
            tally.on(line.record),
            tally.figure(line.record),
            str(line.record.seed),
            tally.commit(line.record),
            tally.seal(line.record),
            "" if line.differs == tally.seal(line.record) else line.differs,
        )
        for line in lines
    ]
    terminal.say(
        terminal.table(heads, cells) if lines else "nothing was measured yet: effcc fit does"
    )
    wrong = [line.record for line in lines if edited(line.record)]
    files = sorted({p.place.file for p in problems} | {r.place().file for r in wrong})
    if files:
        terminal.say(f"\nwrong, as effcc check says: {', '.join(files)}")
    return 0


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


_ACTIONS = {"list": _list, "show": _show, "compare": _compare, "diff": _diff}


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


def _standing(line: Line, record: Kept) -> Line:
    """A record's line with what the repository says of it."""
    from effcc.catalog import results
    from effcc.catalog.seal import Seal

    differs = Seal.BROKEN if results.edited(record) else line.differs
    return replace(line, record=record, differs=differs)


def _row(line: Line) -> dict[str, Any]:
    from effcc.catalog.results import Record
    from effcc.catalog.timings import Bench

    record = line.record
    assert record.filed
    row: dict[str, Any] = {
        "id": record.id,
        "variant": record.variant,
        "verb": record.verb,
        "on": tally.on(record),
        "seed": record.seed,
        "commit": record.git["commit"],
        "dirty": record.git["dirty"],
        "seal": record.filed.seal,
        "differs": line.differs,
    }
    if isinstance(record, Record):
        top1 = record.metrics.get("top1")
        row["fingerprint"] = record.dataset.fingerprint
        if top1:
            row |= {"top1": top1.value, "low": top1.low, "high": top1.high, "n": top1.n}
    elif isinstance(record, Bench):
        row["seconds_a_call"] = {
            f"{t.engine}, {t.network}, batch {t.batch}": t.median for t in record.timings
        }
    else:
        row["fingerprint"] = record.dataset.fingerprint
        row["classes_apart"] = {block.name: block.distance for block in record.blocks}
    return row
