"""Records as text in a terminal: one, or several side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from effcc import terminal
from effcc.ground.words import in_a_line, three

if TYPE_CHECKING:
    from effcc.catalog.glance import Kept
    from effcc.catalog.results import Record
    from effcc.catalog.seal import Seal
    from effcc.catalog.timings import Bench


def commit(commit: str | None, dirty: bool | None) -> str:
    """A commit, short; with a plus if files differed from it, a question mark if nobody knows."""
    return f"{commit[:7]}{_DIFFERED[dirty]}" if commit else "none"


_DIFFERED = {True: "+", False: "", None: "?"}


def _commit(record: Kept) -> str:
    return commit(record.git["commit"], record.git["dirty"])


def kind(record: Kept) -> str:
    """What a record is of, with its article."""
    return {"bench": "a time", "routing": "a routing"}.get(record.verb, "an accuracy")


def seal(seal: Seal) -> str:
    """What a digest says, in a word or three."""
    from effcc.catalog.seal import Seal

    return {Seal.NONE: "none", Seal.COMMITTED: "none, as committed"}.get(seal, seal.value)


def _seal(record: Kept) -> str:
    assert record.filed
    return seal(record.filed.seal)


def changes(found: Mapping[str, tuple[Any, Any]], heads: Sequence[str]) -> str:
    """Differences of two records as a table."""
    cells = [(key, _value(one), _value(other)) for key, (one, other) in found.items()]
    return terminal.table(("", *heads), cells)


def outline(data: Mapping[str, Any], indent: str = "") -> list[str]:
    """Everything in a record, in its order: a line a value, a table for a list of figures."""
    lines: list[str] = []
    named = [(in_a_line(key), value) for key, value in data.items()]
    wide = max((len(key) for key, value in named if not isinstance(value, dict)), default=0)
    for key, value in named:
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}", *outline(value, f"{indent}  ")]
        elif value and isinstance(value, list) and all(isinstance(item, dict) for item in value):
            heads = list(dict.fromkeys(name for item in value for name in item))
            rows = [[_value(item.get(name, "")) for name in heads] for item in value]
            table = terminal.numbers(heads, rows)
            lines += [f"{indent}{key}", *(f"{indent}  {row}" for row in table)]
        else:
            lines.append(f"{indent}{key:<{wide}}  {_value(value)}")
    return lines


def accuracies(records: Sequence[Record]) -> list[str]:
    """Accuracies side by side, and whether chance explains how they differ."""
    from effcc.catalog import chance, ledger
    from effcc.catalog.glance import on, share

    names = list(dict.fromkeys(name for record in records for name in record.metrics))
    rows = [
        (name, *(share(r.metrics[name]) if name in r.metrics else "" for r in records))
        for name in sorted(names, key=lambda name: (name == "loss", name))
    ]
    top1 = [record.metrics.get("top1") for record in records]
    rows += [
        ("right", *(f"{m.correct} of {m.n}" if m and m.n else "" for m in top1)),
        ("images", *(f"{on(r)}, {ledger.fingerprint(r)}" for r in records)),
        ("seed", *(str(r.seed) for r in records)),
        ("commit", *(_commit(r) for r in records)),
        ("seal", *(_seal(r) for r in records)),
    ]
    heads = ("", *(f"{record.variant}/{record.id}" for record in records))
    lines = [terminal.table(heads, rows), ""]
    tested = False
    for pair in compared(records):
        beside = f"{pair['other']} beside {pair['one']}"
        if "p" not in pair:
            lines.append(f"{beside}: {pair['verdict']}")
            continue
        tested = True
        points = f"{100 * pair['difference']:+.1f} points"
        lines.append(f"{beside}: {points}, {pair['verdict']} (p = {pair['p']:.2g})")
    if tested:
        lines.append(
            f"p: how often chance alone makes two equal ones differ so much, by {chance.TEST}.\n"
            "   It speaks of the images only, not of what another seed does; which ones each got\n"
            "   right is not on record: it takes them as drawn apart, and errs to no difference.\n"
            "   An interval is of its own figure alone; an equal one may well lie outside it."
        )
    return lines


def compared(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Each record beside the first: the difference in top-1 and whether chance explains it."""
    from effcc.catalog import chance
    from effcc.catalog.results import edited

    found: list[dict[str, Any]] = []
    for other in records[1:]:
        one = records[0]
        pair: dict[str, Any] = {"one": one.id, "other": other.id}
        a, b = one.metrics.get("top1"), other.metrics.get("top1")
        if changed := next((r for r in (one, other) if edited(r)), None):
            pair["verdict"] = f"not compared, {changed.id} was edited by hand"
        elif one.dataset.fingerprint != other.dataset.fingerprint:
            pair["verdict"] = "on other images, so the figures cannot be compared"
        elif not (a and b and a.correct is not None and b.correct is not None and a.n and b.n):
            pair["verdict"] = "no accuracy that could be compared"
        else:
            p = chance.p_value(a.correct, a.n, b.correct, b.n)
            larger = "more than chance explains" if p < chance.LEVEL else "which chance explains"
            pair |= {"difference": b.value - a.value, "p": p, "test": chance.TEST}
            pair["verdict"] = larger
        found.append(pair)
    return found


def times(records: Sequence[Bench]) -> list[str]:
    """Times side by side, each as a multiple of the first record's."""
    from effcc.catalog.glance import on
    from effcc.catalog.results import edited

    heads = ("ms a call", *(f"{record.variant}/{record.id}" for record in records))
    cells = [
        (row["what"], *(_with_ratio(*pair) for pair in zip(row["ms"], row["ratios"], strict=True)))
        for row in ratios(records)
    ]
    cells += [
        ("machine", *(on(record) for record in records)),
        ("pixels", *(str(record.image_size) for record in records)),
        ("commit", *(_commit(record) for record in records)),
        ("seal", *(_seal(record) for record in records)),
    ]
    lines = [terminal.table(heads, cells), ""]
    first = records[0]
    lines.append("medians; in brackets, how many times as long as the first")
    for record in records[1:]:
        if (record.device, record.threads) != (first.device, first.threads):
            lines.append(
                f"{record.id}: another machine or other threads, so the ratio is theirs too"
            )
    lines += [f"{record.id}: edited by hand" for record in records if edited(record)]
    return lines


def ratios(records: Sequence[Bench]) -> list[dict[str, Any]]:
    """Each thing that any record timed: its median in ms, and how many times the first's."""
    medians = [
        {(t.engine, t.network, t.batch): 1000 * t.median for t in record.timings}
        for record in records
    ]
    rows: list[dict[str, Any]] = []
    for key in dict.fromkeys(key for times in medians for key in times):
        engine, network, batch = key
        ms = [times.get(key) for times in medians]
        ratios = [value / ms[0] if value and ms[0] else None for value in ms]
        what = f"{engine}, {network}, batch {batch}"
        rows.append({"what": what, "ms": ms, "ratios": ratios})
    return rows


def _with_ratio(ms: float | None, ratio: float | None) -> str:
    return "" if ms is None else three(ms) + (f" ({ratio:.2f}×)" if ratio else "")


def _value(value: Any) -> str:
    return in_a_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
