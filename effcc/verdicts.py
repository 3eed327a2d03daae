"""The verb that holds every claim against code and records, and traces a figure to its rule."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from effcc import terminal
from effcc.ground import home
from effcc.ground.errors import Place, UsageError

if TYPE_CHECKING:
    from effcc.catalog.registry import Entry
    from effcc.catalog.spec import Spec
    from effcc.claims.claim import Fact
    from effcc.ground.home import Home
    from effcc.nn.census import Census
    from effcc.proof.comparison import Comparison

# The figures that are counts by some rule.
EXPLAINED = ("FLOPs",)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A variant built anew, and every figure claimed of it."""

    entry: Entry
    census: Census
    rows: Sequence[Comparison]


def verify(args: argparse.Namespace) -> int:
    """Hold claims against networks built anew and against records, or explain a claimed figure."""
    from effcc.catalog import registry

    at = home.find()
    if args.explain not in (None, *EXPLAINED):
        known = ", ".join(EXPLAINED)
        raise UsageError(f"verify: --explain {args.explain}: only {known} can be explained")
    for name in args.names:
        registry.file(name, at)
    entries = registry.entries(at)
    chosen = [entry for entry in entries if not args.names or entry.spec.name in args.names]
    if args.explain:
        return _explain(args.explain, chosen, as_json=args.json)
    return _verify(entries, chosen, at, as_json=args.json)


def judge(entry: Entry, compared: Sequence[Comparison]) -> Verdict:
    """Build a variant's network without weights and add what only that can tell.

    Args:
        entry: the variant.
        compared: what could be compared without building it, as `proof.verify.compare` gives it.
    """
    from effcc.nn.census import census, file_bytes
    from effcc.nn.efficientnet import unfilled

    network, size = entry.spec.network, entry.spec.preprocessing.image_size
    model = unfilled(network)
    found = census(model, network.in_channels, size, size)
    rows = [modules(entry.spec, found)]
    for row in compared:
        if row.key == "File Size":
            row = replace(row, measured=f"{file_bytes(model):,}")
        elif row.key == "BatchNorm Momentum":
            row = momentum(row, entry.spec, found)
        elif row.key == "Weights SHA-256":
            row = cached(row, entry.spec)
        rows.append(row)
    return Verdict(entry, found, rows)


def modules(spec: Spec, found: Census) -> Comparison:
    """Whether the modules are what is counted, without torch, from the layout."""
    from effcc.catalog.cost import Cost, count
    from effcc.proof.comparison import Comparison

    counted = count(spec.network, spec.preprocessing.image_size)
    macs = found.macs
    built = Cost(found.parameters, macs.total, macs.mixing, found.state_bytes, found.tensors)
    place = Place(f"registry/{spec.name}.yaml")
    if built == counted:
        text = f"{found.tensors} tensors, as the layout has them"
        return Comparison("Modules", "", text, True, place)
    return Comparison("Modules", "", f"{counted} by the layout", False, place, f"{built} built")


def momentum(row: Comparison, spec: Spec, found: Census) -> Comparison:
    """The claimed momentum beside that of the modules, which is PyTorch's."""
    ours = 1 - spec.network.bn_momentum
    agrees = all(abs(value - ours) < 1e-9 for value in found.momenta)
    built = ", ".join(f"{value:.6g}" for value in found.momenta) or "none"
    # They follow the convention; that the registry's figure is right, they cannot tell.
    return replace(row, measured=f"{built} built", agrees=row.agrees if agrees else False)


def cached(row: Comparison, spec: Spec) -> Comparison:
    """The hash in a weights file's name beside the file's own, if it is in the cache."""
    from effcc.ground import files
    from effcc.ground.errors import UserError
    from effcc.nn.published import Published

    try:
        published = Published.of(spec)
    except UserError:
        return row
    if not published.path.is_file():
        return row
    digits = files.sha256(published.path)
    is_right = digits.startswith(published.digits)
    note = "" if is_right else f"{published.path} is another file, or damaged; delete it."
    agrees = row.agrees is not False and is_right
    return replace(row, measured=f"{digits[:8]}…", agrees=agrees, note=note)


def _verify(entries: Sequence[Entry], chosen: Sequence[Entry], at: Home, *, as_json: bool) -> int:
    from effcc.catalog import results
    from effcc.proof import verify
    from effcc.proof.comparison import DIFFERS

    compared = verify.every(entries, lambda entry: results.runs(entry, at))
    verdicts = [judge(entry, compared[entry.spec.name]) for entry in chosen]
    rows = [row for verdict in verdicts for row in verdict.rows]
    problems = [verify.problem(row) for row in rows if row.verdict == DIFFERS]
    problems = sorted({*problems, *verify.unneeded(entries, compared)})
    if as_json:
        found = {"variants": [_data(v) for v in verdicts], "problems": [str(p) for p in problems]}
        terminal.say_data(found)
    else:
        from effcc import evidence

        for verdict in verdicts:
            evidence.show(verdict.entry, verdict.census, verdict.rows)
        evidence.conclude(rows, problems)
    return 1 if problems else 0


def _data(verdict: Verdict) -> dict[str, Any]:
    macs = verdict.census.macs
    return {
        "name": verdict.entry.spec.name,
        "entry": verdict.entry.claim.name,
        "parameters": verdict.census.parameters,
        "macs": {
            "convolution": macs.convolution,
            "linear": macs.linear,
            "mixing": macs.mixing,
            "total": macs.total,
        },
        "state_bytes": verdict.census.state_bytes,
        "tensors": verdict.census.tensors,
        "figures": [
            {
                "figure": row.key,
                "claimed": row.claimed,
                "place": row.place.short,
                "computed": row.computed,
                "measured": row.measured,
                "verdict": row.verdict,
                "reason": row.reason,
                "note": row.note,
            }
            for row in verdict.rows
        ],
    }


def _explain(figure: str, entries: Sequence[Entry], *, as_json: bool) -> int:
    from effcc import traces
    from effcc.proof import comparison, forensics

    width, told = shutil.get_terminal_size().columns, list[Any]()
    for entry in entries:
        spec, found = entry.spec, None
        if fact := comparison.figure(entry.claim, figure):
            number = round(fact.number or 0)
            found = forensics.explain(spec.network, spec.preprocessing, number, reach(fact))
        if as_json:
            told.append(traces.data(entry, fact, found))
        else:
            told.append(traces.text(entry, figure, fact, found, width))
    if as_json:
        terminal.say_data(told)
    else:
        terminal.say("\n\n".join(told))
    return 0


def reach(fact: Fact) -> int:
    """How far from a figure the numbers lie that round to it as it is written."""
    number, step = round(fact.number or 0), 1
    while fact.agrees_with(number + step):
        step *= 2
    low = step // 2  # the last that agreed
    while step - low > 1:
        middle = (low + step) // 2
        low, step = (middle, step) if fact.agrees_with(number + middle) else (low, middle)
    return low
