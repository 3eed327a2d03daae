"""Model cards from catalog and results: text in, text out; rendering twice gives the same bytes."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape as html_escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from effcc.catalog import registry, results, timings
from effcc.catalog.cost import Cost, count
from effcc.catalog.registry import Entry
from effcc.catalog.results import Run
from effcc.catalog.spec import Block, Origin, Spec, layout, settings_in_order
from effcc.catalog.timings import PLAIN, VARIANT, Bench
from effcc.claims import modelindex
from effcc.claims.claim import Claim, Fact, Result
from effcc.ground import files
from effcc.ground.errors import Place
from effcc.ground.home import Home
from effcc.ground.words import many, three
from effcc.proof import verify
from effcc.proof.comparison import Comparison
from effcc.report import figures, markdown, origins
from effcc.report.origins import Figure

# The source whose profile a card shows beside the documented recipe: the one everybody has.
SHOWN_PROFILE = "digits"
# No pages beside the cards.
NOTHING: Mapping[Path, str] = MappingProxyType({})
_PERCENT_METRICS = {"top1": "Top 1 Accuracy", "top5": "Top 5 Accuracy"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the recipe: the documented value, and the profile's where it differs."""

    name: str
    documented: str
    profile: str
    profile_at: Place
    place: Place
    overridden: str  # the entry's value, where another one is stated
    overridden_at: Place


@dataclass(frozen=True, slots=True)
class Card:
    """Everything a card says of one variant, before it is text."""

    spec: Spec
    claim: Claim
    cost: Cost
    comparisons: Sequence[Comparison]
    runs: Sequence[Run]  # newest first
    headlines: Sequence[Run]  # the newest of the registered variant on each data set
    settings: Sequence[Setting]
    bench: Bench | None  # the newest of the registered variant
    other_benches: Sequence[tuple[Bench, str]]  # newest first, and what differs
    strange: Sequence[str]  # files among the records that are none

    @property
    def disagreements(self) -> list[Comparison]:
        """Claims that the code contradicts."""
        return [row for row in self.comparisons if row.agrees is False]

    @property
    def ledger(self) -> list[Figure]:
        """Every figure with its origin."""
        return [
            *origins.claimed(self.claim, self.comparisons),
            *origins.computed(self.spec, self.cost),
            *origins.measured(self.headlines, self.bench),
        ]

    def blocks(self, stage: int) -> list[Block]:
        """The blocks of a stage."""
        return [block for block in layout(self.spec.network) if block.stage == stage]

    def compared(self, key: str) -> Comparison | None:
        """The comparison of one figure, if the entry claims it."""
        return next((row for row in self.comparisons if row.key == key), None)


def write(home: Home, beside: Mapping[Path, str] = NOTHING) -> list[Path]:
    """Bring every card up to date, and what stands beside them; returns the pages that changed.

    Raises:
        BadFile: catalog or results have problems.
    """
    texts = {**pages(home), **beside}
    changed = _stale(texts, home)
    for path in changed:
        if path in texts:
            files.write(path, texts[path])
        else:
            path.unlink()
    return changed


def stale(home: Home, beside: Mapping[Path, str] = NOTHING) -> list[Path]:
    """Pages that are missing, out of date, or of a variant that is gone."""
    return _stale({**pages(home), **beside}, home)


def _stale(texts: Mapping[Path, str], home: Home) -> list[Path]:
    gone = set(home.models.glob("*.md")) - set(texts)
    return sorted(
        gone
        | {
            path
            for path, text in texts.items()
            if not path.is_file() or path.read_text("utf-8") != text
        }
    )


def pages(home: Home) -> dict[Path, str]:
    """The text of every card and of the table of all, by path."""
    entries = registry.entries(home)
    beside = verify.across(entries)
    cards = [make(entry, home, beside.get(entry.spec.name, ())) for entry in entries]
    texts = {home.models / f"{card.spec.name}.md": render(card) for card in cards}
    texts[home.models / "index.md"] = template("index.md.j2").render(cards=cards)
    return texts


def make(entry: Entry, home: Home, beside: Sequence[Comparison] = ()) -> Card:
    """Collect what a card says; `beside` is what follows from other variants, if any."""
    spec = entry.spec
    runs = results.runs(entry, home)
    headlines: dict[tuple[str, str], Run] = {}
    for run in runs:
        if not run.differs:
            headlines.setdefault((run.record.dataset.name, run.record.dataset.fingerprint), run)
    profile = registry.load(
        spec.name, home, source=SHOWN_PROFILE, claims={entry.claim.name: entry.claim}
    )
    bench, others = _benches(spec, home)
    return Card(
        spec=spec,
        claim=entry.claim,
        cost=count(spec.network, spec.preprocessing.image_size),
        comparisons=verify.compare(entry.claim, spec, runs, beside),
        runs=runs,
        headlines=list(headlines.values()),
        settings=list(_settings(spec, profile)),
        bench=bench,
        other_benches=others,
        strange=_strange(spec.name, home),
    )


def render(card: Card) -> str:
    """A card as a Markdown page."""
    curve = next((run for run in card.headlines if len(run.record.curve) > 1), None)
    described = ""
    if curve:
        ends = curve.record.curve[-1].get("val_top1", 0)
        described = (
            f"Learning curve of {curve.record.id}; validation top-1 ends at {100 * ends:.1f} %"
        )
    return template("card.md.j2").render(
        card=card,
        name=markdown.Markup(
            card.spec.name
        ),  # a file's stem of a-z, 0-9 and _: safe in code and links
        spec=card.spec,
        claim=card.claim,
        cost=card.cost,
        curve=curve,
        speed=markdown.Markup(_speed(card.bench) if card.bench else ""),
        svg=markdown.Markup(figures.learning_curve(curve.record.curve, described) if curve else ""),
        description=_quoted(card.spec.summary),
        tag=_quoted(card.spec.entry),  # so that search finds the card by its entry's name
        data=markdown.Markup(modelindex.dump([with_results(card.claim, card.headlines)])),
    )


def _quoted(text: str) -> markdown.Markup:
    """A text for a quoted value of the front matter, which themes print as it is."""
    return markdown.Markup(html_escape(" ".join(text.split())).replace("\\", "&#92;"))


def with_results(claim: Claim, runs: Iterable[Run]) -> Claim:
    """The claim and, after others' results, what was measured here."""
    measured: list[Result] = []
    for run in runs:
        metrics: dict[str, Fact] = {}
        for name, label in _PERCENT_METRICS.items():
            if metric := run.record.metrics.get(name):
                text = f"{100 * metric.value:.2f}%"
                metrics[label] = Fact(text, text)
        data = run.record.dataset
        measured.append(
            Result("Image Classification", f"{data.title}, {data.split} split", metrics)
        )
    return replace(claim, results=(*claim.results, *measured))


@functools.cache
def template(name: str) -> Any:
    """A template of `templates/`; whatever it prints is made plain text, see `markdown.escape`."""
    environment = Environment(
        loader=PackageLoader("effcc.report"),
        undefined=StrictUndefined,
        autoescape=False,
        finalize=markdown.escape,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {  # pyright: ignore[reportAttributeAccessIssue]  (typed as Jinja's own)
        "code": markdown.code,
        "link": markdown.link,
        "fence": markdown.fence,
        "mark": markdown.mark,
        "origin": markdown.origin,
        "many": many,
        "page_link": lambda name: markdown.Markup(f"[{name}]({name}.md)"),
    }
    environment.filters["percent"] = lambda value, places=1: f"{100 * value:.{places}f} %"
    environment.filters["three"] = three
    environment.filters["grouped"] = lambda value: f"{value:,}"
    return environment.get_template(name)


def _benches(spec: Spec, home: Home) -> tuple[Bench | None, list[tuple[Bench, str]]]:
    """The record of time that a card shows, and the others with what is different in them."""
    newest_first = timings.load(home, spec.name)[::-1]
    differs = [(bench, timings.differs(bench, spec)) for bench in newest_first]
    shown = next((bench for bench, why in differs if not why), None)
    return shown, [(bench, why) for bench, why in differs if bench is not shown]


def _strange(name: str, home: Home) -> list[str]:
    accuracies, problems = results.judged(home, name)
    found = [*accuracies, *timings.load(home, name)]
    records = {record.place().file for record in found}
    return sorted({problem.place.file for problem in problems} - records)


def _settings(spec: Spec, profile: Spec) -> Iterable[Setting]:
    for key in settings_in_order():
        if key.startswith("data.") or (key.startswith("network.") and key not in _NETWORK_RECIPE):
            continue
        origin, there = spec.origins[key], profile.origins[key]
        before = _overridden(origin)
        yield Setting(
            name=key,
            documented=_shown(origin.value),
            profile=_shown(there.value) if there.value != origin.value else "",
            profile_at=there.written,
            place=origin.written,
            overridden=_shown(before.value) if before else "",
            overridden_at=before.written if before else Place(""),
        )


_NETWORK_RECIPE = ("network.dropout", "network.drop_path", "network.bn_momentum")


def _overridden(origin: Origin) -> Origin | None:
    """The entry's value, where the registry states another."""
    before = origin.overrides
    while before and before.layer != "claim":
        before = before.overrides
    return before if before and before.value != origin.value else None


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return (
            " to ".join(_shown(v) for v in value)
            if len(value) == 2
            else ", ".join(_shown(v) for v in value)
        )  # pyright: ignore[reportUnknownVariableType]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _speed(bench: Bench) -> str:
    """Images a second by engine, a panel for each batch."""
    labels = {VARIANT: bench.variant, PLAIN: "plain network"}
    groups: dict[str, dict[str, list[float]]] = {}
    for batch in bench.batches:
        groups[f"images/s, {batch:,} a call"] = {
            engine: [bench.timing(engine, name, batch).images_per_second for name in labels]
            for engine in bench.engines
        }
    return figures.bars(groups, list(labels.values()), f"Speed in {bench.id}")
