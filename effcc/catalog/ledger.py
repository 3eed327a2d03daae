"""Every record of a project, of any kind: found by what people type, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effcc.catalog import indexed, registry, results
from effcc.catalog.glance import Glance, Kept
from effcc.catalog.indexed import Line
from effcc.catalog.results import Record
from effcc.catalog.routings import Routing
from effcc.catalog.seal import sealed
from effcc.catalog.spec import rule, settings_in_order
from effcc.ground import garbage
from effcc.ground.errors import UsageError
from effcc.ground.home import Home
from effcc.ground.words import closest

# What a record says of its own making is no difference between two: names, and what came out.
_OWN = ("schema", "id", "date", "digest", "spec_digest", "seconds", "steps", "metrics", "curve")
_OWN_TIMES = ("timings", "peaks", "machine", "rounds")
_OWN_ROUTING = ("counts", "blocks", "specialists", "drift", "measured_by")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file among a variant's records, as `indexed` knows it."""

    variant: str
    line: Line

    def path(self, home: Home) -> Path:
        """Where it is."""
        return home.results / self.variant / self.line.name


def listed(home: Home, variant: str | None = None) -> list[Listed]:
    """The files among the records of a project or a variant, newest last.

    Raises:
        UnknownVariant: nothing has this name.
    """
    with garbage.left():
        found = [
            Listed(name, line)
            for name in _folders(home, variant)
            for line in indexed.lines(home, name)
        ]
        # A record's id is its file's name, which begins with a date.
        return sorted(found, key=lambda one: (one.line.name.removesuffix(".json"), one.variant))


def differing(home: Home) -> Callable[[Listed, Glance], str]:
    """A function that says why a record is not the registered variant's result; empty if it is.

    Of records that are like each other one is read.

    Raises:
        BadFile: model-index/ has problems.
    """
    entries = {entry.spec.name: entry for entry in registry.sound(home)[0]}
    wrong = {*registry.names(home)} - {*entries}
    known: dict[tuple[str, str], str] = {}

    def differs(one: Listed, seen: Glance) -> str:
        if one.variant not in entries:
            return "the variant's file is wrong" if one.variant in wrong else "the variant is gone"
        if seen.own:
            return seen.own
        key = one.variant, seen.like
        if key not in known:
            record = indexed.opened(one.path(home), home)
            known[key] = indexed.differs(entries[one.variant], record)
        return known[key]

    return differs


def _folders(home: Home, variant: str | None) -> list[str]:
    folders = {path.name for path in home.results.glob("*") if path.is_dir()}
    if variant is None:
        return sorted(folders)
    if variant not in folders:
        registry.file(variant, home)
    return [variant]


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
    return indexed.opened(found[0], home)


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
