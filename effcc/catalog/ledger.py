"""Every record of a project, of any kind: found by what people type, and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effcc.catalog import registry, results, routings, timings
from effcc.catalog.results import Record
from effcc.catalog.routings import Routing
from effcc.catalog.seal import sealed
from effcc.catalog.spec import rule, settings_in_order
from effcc.catalog.timings import Bench
from effcc.ground.errors import Problem, UsageError
from effcc.ground.home import Home
from effcc.ground.words import closest

# What a record says of its own making is no difference between two: names, and what came out.
_OWN = ("schema", "id", "date", "digest", "spec_digest", "seconds", "steps", "metrics", "curve")
_OWN_TIMES = ("timings", "peaks", "machine", "rounds")
_OWN_ROUTING = ("counts", "blocks", "specialists", "drift", "measured_by")

Kept = Record | Bench | Routing


@dataclass(frozen=True, slots=True)
class Line:
    """A record beside the registry of today: `differs` says why it is not the variant's result."""

    record: Kept
    differs: str


def everything(home: Home, variant: str | None = None) -> tuple[list[Line], list[Problem]]:
    """The records of a project or a variant, newest last; and the files that are none.

    Raises:
        UnknownVariant: nothing has this name.
        BadFile: the registry or model-index has problems.
    """
    folders = {path.name for path in home.results.glob("*") if path.is_dir()}
    if variant is not None and variant not in folders:
        registry.file(variant, home)
    entries = {entry.spec.name: entry for entry in registry.entries(home)}
    lines, wrong = list[Line](), list[Problem]()
    for name in sorted(folders) if variant is None else [variant]:
        entry = entries.get(name)
        shelf = results.shelf(home, name)
        accuracies, wrong_accuracies = results.made(shelf, *results.KIND)
        times, wrong_times = results.made(shelf, *timings.KIND)
        routed, wrong_routed = results.made(shelf, *routings.KIND)
        on_images: list[Record | Routing] = [*accuracies, *routed]
        differs = results.beside_registry(entry, on_images) if entry else {}
        for record in on_images:
            lines.append(Line(record, differs.get(record.id, _GONE)))
        for bench in times:
            lines.append(Line(bench, timings.differs(bench, entry.spec) if entry else _GONE))
        wrong += [*wrong_accuracies, *wrong_times, *wrong_routed]
    return sorted(lines, key=lambda line: (line.record.id, line.record.variant)), wrong


_GONE = "the variant is gone"


def find(word: str, home: Home) -> Kept:
    """The record that somebody means: by the start of its id, `variant/` before it, or its path.

    Raises:
        UsageError: none or several; the message names the nearest.
        BadFile: what was meant is no record.
    """
    files = sorted(home.results.glob("*/*.json"))
    if word.endswith(".json"):
        typed = {Path(word).resolve(), (home.root / word).resolve()}
        found = [path for path in files if path.resolve() in typed]
    else:
        variant, slash, start = word.rpartition("/")
        found = [
            path
            for path in files
            if path.stem.startswith(start) and (not slash or path.parent.name == variant)
        ]
        found = [path for path in found if path.stem == start] or found
    if len(found) != 1:
        raise UsageError(_unclear(word, found, files, home))
    return _read(found[0], home)


def fingerprint(record: Record | Routing) -> str:
    """Twelve digits that tell images apart, for people."""
    return record.dataset.fingerprint.removeprefix("sha256:")[:12]


def differences(one: Kept, other: Kept) -> dict[str, tuple[Any, Any]]:
    """What two records do not share, by dotted key: settings, versions, machine, commit, images.

    A setting that one does not have because it is older had its default. None: not in the record.
    """
    left, right = (dict(_flat(_data(record), "")) for record in (one, other))
    defaults: dict[str, Any] = {"engine": results.NETWORK}
    defaults |= {f"settings.{key}": rule(key).get("default") for key in settings_in_order()}
    found: dict[str, tuple[Any, Any]] = {}
    for key in [*left, *(key for key in right if key not in left)]:
        default = defaults.get(key)
        pair = left.get(key, default), right.get(key, default)
        if pair[0] != pair[1]:
            found[key] = pair
    return found


def _unclear(word: str, found: list[Path], files: list[Path], home: Home) -> str:
    def named(path: Path) -> str:
        return f"{path.parent.name}/{path.stem}"

    if found:
        several = ", ".join(named(path) for path in found[:4])
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        return f"{word!r} could be {several}{more}; write more of it"
    variant, _, start = word.removesuffix(".json").rpartition("/")
    elsewhere = [named(path) for path in files if start and path.stem.startswith(start)]
    if variant and len(elsewhere) == 1:
        hint = f"; did you mean {elsewhere[0]!r}?"
    else:
        hint = closest(start, [path.stem for path in files]) or "; effcc results list"
    return f"no record {word!r} in {home.shown(home.results)}/{hint}"


def _read(path: Path, home: Home) -> Kept:
    document = results.opened(path, home)
    kind = results.kind_of(document, path)
    if kind == "bench":
        return timings.read_bench(document)[0]
    if kind == "routing":
        return routings.read_routing(document)[0]
    return results.read_record(document)[0]


def _data(record: Kept) -> Mapping[str, Any]:
    """What is written, or would be."""
    if record.filed:
        return record.filed.data
    assert isinstance(record, Record)
    return sealed(results.plain(record))


def _flat(data: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    own = () if above else (*_OWN, *_OWN_TIMES, *_OWN_ROUTING)
    for key, value in data.items():
        if key in own:
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
