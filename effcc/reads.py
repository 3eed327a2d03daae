"""Verbs that only read and write text; they never import torch."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from effcc import filing, options, terminal
from effcc.ground import home
from effcc.ground.errors import BadFile, UsageError
from effcc.ground.words import many, three

if TYPE_CHECKING:
    from effcc.catalog.rows import Row

# What `show` prints beside what disagrees.
_SHOWN = ("Parameters", "FLOPs", "File Size")


def list_(args: argparse.Namespace) -> int:
    """List the variants, or those that a query asks for: 'top1>78 experts=8'."""
    from effcc.catalog import query, rows

    every, problems = rows.load(home.find())
    if args.json and problems:
        raise BadFile(*problems)
    found = query.select(every, " ".join(args.query))
    if args.sort:
        found = query.ordered(found, args.sort)
    if args.json:
        terminal.say_data([rows.plain(row) for row in found])
        return 0
    if found:
        cells = [_cells(row) for row in found]
        terminal.say(terminal.table(_HEADS, cells, last_yields=True))
    if len(found) < len(every):
        terminal.say(f"{len(found)} of {many(len(every), 'variant')}", error=True)
    if problems:  # one wrong file hides no variant but its own
        raise BadFile(*problems)
    return 0


_HEADS = (
    *("name", "experts", "pixels", "parameters", "MACs"),
    *("claimed top-1", "measured top-1", "latency", ""),
)


def _cells(row: Row) -> tuple[str, ...]:
    claimed, measured = (row.of_kind(kind) for kind in ("claimed", "measured"))
    return (
        row.name,
        str(row.experts),
        str(row.pixels),
        terminal.millions(row.params),
        terminal.millions(row.macs),
        "; ".join(f"{r.text} on {r.dataset}" for r in claimed if r.top1 is not None),
        "; ".join(terminal.measured(r.top1, r.dataset) for r in measured),
        f"{three(1000 * row.latency.seconds)} ms" if row.latency else "",
        row.summary,
    )


def show(args: argparse.Namespace) -> int:
    """Show one variant: what it is, every resolved value with its origin, or what it trains on."""
    from effcc.catalog import registry
    from effcc.catalog.cost import count
    from effcc.catalog.spec import settings_in_order
    from effcc.claims import modelindex
    from effcc.proof import verify
    from effcc.report import origins

    if args.out and not args.augmentations:
        raise UsageError("show: --out names the sheet that --augmentations IMAGE draws")
    at = home.find()
    claims = modelindex.load(at.model_index, at.root)
    spec = registry.load(args.name, at, flags=args.flags, claims=claims, located=False)
    if args.augmentations:
        from effcc.data import sheet

        path = Path(args.out or f"{spec.name}-augmentations.png")
        sheet.write(Path(args.augmentations), spec, path)
        terminal.say(f"wrote {path}")
        return 0
    if args.resolved:
        ordered = [key for key in settings_in_order() if key in spec.origins]
        for key in [*ordered, *(key for key in spec.origins if key not in ordered)]:
            origin = spec.origins[key]
            was = origin.overrides
            note = f"  (overrides {terminal.setting(was.value)} of {was.place})" if was else ""
            terminal.say(f"{key:<31} {terminal.setting(origin.value):<24} {origin.place}{note}")
        return 0
    terminal.say(
        f"{spec.name}: {spec.summary}\nentry {spec.entry} ({claims[spec.entry].place.short})\n"
    )
    rows = [
        (row.key, row.verdict, row.claimed, row.computed)
        for row in verify.compare(claims[spec.entry], spec)
        if row.key in _SHOWN or row.agrees is False
    ]
    if rows:
        terminal.say(terminal.table(("figure", "verdict", "claimed", "computed"), rows), end="\n\n")
    cost = count(spec.network, spec.preprocessing.image_size)
    counted = [(figure.name, figure.value) for figure in origins.computed(spec, cost)]
    terminal.say(terminal.table(("computed from the code", ""), counted))
    terminal.say(
        f"\neffcc show {spec.name} --resolved   prints every setting and where it comes from"
    )
    terminal.say(
        f"effcc verify {spec.name}            holds everything that is claimed against the code"
    )
    return 0


def new(args: argparse.Namespace) -> int:
    """Begin a variant: two files to fill in, and a project for them where there is none."""
    from effcc.catalog import scaffold

    around = home.around()
    at = around or home.Home(Path.cwd().resolve())
    within = None if around else at.root
    files = scaffold.new(args.name, args.base, around or home.find(), within=within)
    if within:
        print(f"began a project in {within}: registry/ and model-index/, as effcc brings them")
    for file in files:
        terminal.say(f"wrote {at.shown(file)}")
    terminal.say(f"edit them, then: effcc check && effcc fit --config {at.shown(files[0])}")
    return 0


def docs(args: argparse.Namespace) -> int:
    """Write the model cards and the other generated pages, check them, or build the site."""
    at = home.own()
    beside = _pages_beside(at, args.verbs)
    if args.build:
        from effcc import sitebuild

        return sitebuild.build(args, at, beside)
    if args.out or args.offline or args.demo or args.no_demo:
        raise UsageError("docs: --out, --offline, --demo and --no-demo go with --build")
    if args.check:
        from effcc.report import cards

        stale = cards.stale(at, beside)
        for path in stale:
            terminal.say(f"{at.shown(path)}: out of date; run effcc docs", error=True)
        verdict = f"{many(len(stale), 'page')} out of date" if stale else "all pages are up to date"
        terminal.say(verdict)
        return 1 if stale else 0
    filing.pages(at, beside)
    return 0


def _pages_beside(at: home.Home, verbs: Mapping[str, options.Verb]) -> dict[Path, str]:
    """The generated pages that are no cards, where a project has them: they are about effcc."""
    from effcc.report import citing, commands

    pages: dict[Path, str] = {}
    if (path := at.docs / "commands.md").is_file():
        pages[path] = commands.page(options.parser(verbs, list(verbs)), options.TAKE_SETTINGS)
    if (path := at.docs / "citation.md").is_file() and at.citation.is_file():
        pages[path] = citing.page(at)
    return pages
