"""Model cards from catalog and results: text in, text out; rendering twice gives the same bytes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape as html_escape
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined

from effcc.catalog import query, registry, results, routings, rows, timings
from effcc.catalog.cost import Cost, count
from effcc.catalog.registry import Entry
from effcc.catalog.results import Run
from effcc.catalog.rows import Row
from effcc.catalog.spec import Block, Origin, Spec, Stage, layout, settings_in_order
from effcc.catalog.timings import Bench
from effcc.claims import modelindex
from effcc.claims.claim import Claim, Fact, Result
from effcc.ground import document, files, garbage, workers
from effcc.ground.errors import Place
from effcc.ground.home import Home
from effcc.ground.words import many, three
from effcc.proof import verify
from effcc.proof.comparison import Comparison
from effcc.report import experts, html, markdown, origins, pictures
from effcc.report.experts import Experts
from effcc.report.origins import Figure

_Used = TypeVar("_Used")
# The source whose profile a card shows beside the documented recipe: the one everybody has.
SHOWN_PROFILE = "digits"
_WRITTEN = "<!-- Written by `effcc docs`"  # on every page that is, by a template
_REPEATS = 2  # earlier runs whose learning curves a card shows
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
    profile: Spec  # as the source of SHOWN_PROFILE has it
    claim: Claim
    cost: Cost
    comparisons: Sequence[Comparison]
    runs: Sequence[Run]  # newest first
    headlines: Sequence[Run]  # the newest of the registered variant on each data set
    settings: Sequence[Setting]
    bench: Bench | None  # the newest of the registered variant
    other_benches: Sequence[tuple[Bench, str]]  # newest first, and what differs
    experts: Experts | None  # what the newest record of routing shows
    strange: Sequence[str]  # files among the records that are none
    row: Row  # its line in the table of all

    @property
    def disagreements(self) -> list[Comparison]:
        """Claims that the code contradicts."""
        return [row for row in self.comparisons if row.agrees is False]

    @property
    def repeats(self) -> list[Run]:
        """Runs of the variant as registered that are not its newest, with a curve: a handful."""
        newest = {run.record.id for run in self.headlines}
        curved = (run for run in self.runs if not run.differs and len(run.record.curve) > 1)
        return [run for run in curved if run.record.id not in newest][:_REPEATS]

    @property
    def shows_experts_of_a_headline(self) -> bool:
        """Whether the network whose experts are shown is one whose accuracy stands on top."""
        return any(self._is_routed(run) for run in self.headlines)

    @property
    def routed_run(self) -> Run | None:
        """The newest run that measured the accuracy of the network whose experts are shown."""
        same = (run for run in self.runs if self._is_routed(run))
        return next((run for run in same if not results.edited(run.record)), None)

    def _is_routed(self, run: Run) -> bool:
        weights = self.experts and self.experts.record.checkpoint["sha256"]
        return run.record.checkpoint["sha256"] == weights

    @property
    def compared_figures(self) -> int:
        """How many claims something is known of."""
        return sum(row.agrees is not None for row in self.comparisons)

    @property
    def ledger(self) -> list[Figure]:
        """Every figure with its origin."""
        return [
            *origins.claimed(self.claim, self.comparisons),
            *origins.computed(self.spec, self.cost),
            *origins.measured(self.headlines, self.bench),
            *origins.routed(self.experts),
        ]

    @property
    def stages(self) -> list[tuple[Stage, list[Block]]]:
        """The stages with their blocks."""
        blocks = layout(self.spec.network)
        return [
            (stage, [block for block in blocks if block.stage == number])
            for number, stage in enumerate(self.spec.network.stages)
        ]

    def compared(self, key: str) -> Comparison | None:
        """The comparison of one figure, if the entry claims it."""
        return next((row for row in self.comparisons if row.key == key), None)


def write(home: Home, beside: Mapping[Path, str] = NOTHING) -> list[Path]:
    """Bring every card up to date, and what stands beside them; returns the pages that changed.

    Raises:
        BadFile: catalog or results have problems; nothing was written.
    """

    def bring(path: Path, text: str) -> bool:
        if is_new := _differs(path, text):
            files.write(path, text, lasting=False)
        return is_new

    home.hold(home.models)
    # Another command may save a record and write cards too: who comes last has read all of them.
    with files.alone(home.models):
        changed, gone = _brought(home, beside, bring)
        for path in [*gone, *files.leftovers(home.models)]:
            path.unlink()
    return sorted([*changed, *gone])


def stale(home: Home, beside: Mapping[Path, str] = NOTHING) -> list[Path]:
    """Pages that are missing, out of date, or of a variant that is gone."""
    changed, gone = _brought(home, beside, _differs)
    return sorted([*changed, *gone])


def pages(home: Home) -> dict[Path, str]:
    """The text of every card and of the table of all, by path."""
    return dict(_made(home, lambda _, text: text))


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_bytes() != text.encode()


def _brought(
    home: Home, beside: Mapping[Path, str], bring: Callable[[Path, str], bool]
) -> tuple[list[Path], list[Path]]:
    """The pages of which `bring` says that they changed, and those of variants that are gone."""
    home.hold(home.models)
    made = _made(home, bring) + [(path, bring(path, text)) for path, text in beside.items()]
    others = set(home.models.glob("*.md")) - {path for path, _ in made}
    # Somebody may keep a page of their own there.
    gone = [path for path in others if _WRITTEN in (document.glance(path) or "")]
    return [path for path, is_new in made if is_new], gone


def _made(home: Home, use: Callable[[Path, str], _Used]) -> list[tuple[Path, _Used]]:
    """What comes of each page where it is made: of many, all texts at once are too much."""
    with garbage.left():
        entries = registry.entries(home)
        beside = verify.across(entries)

        def card(entry: Entry) -> tuple[Row, pictures.Points, _Used]:
            made = make(entry, home, beside.get(entry.spec.name, ()))
            points = pictures.points(made.spec, made.claim, made.cost, made.headlines, made.bench)
            return made.row, points, use(_page(home, made.row), render(made))

        made = workers.each(card, entries)
        table = index([row for row, _, _ in made], [points for _, points, _ in made])
        found = [(_page(home, row), used) for row, _, used in made]
        path = home.models / "index.md"
        return [*found, (path, use(path, table))]


def _page(home: Home, row: Row) -> Path:
    return home.models / f"{row.name}.md"


def index(every: Sequence[Row], points: Sequence[pictures.Points] = ()) -> str:
    """The page of all variants: a row for each, and pictures of their points."""
    shown = {name: field.about for name, field in query.FIELDS.items()}
    drawn = pictures.comparisons(points)
    return template("index.md.j2").render(rows=every, fields=shown, comparisons=drawn)


def make(entry: Entry, home: Home, beside: Sequence[Comparison] = ()) -> Card:
    """Collect what a card says; `beside` is what follows from other variants, if any."""
    spec = entry.spec
    shelf = results.shelf(home, spec.name)
    runs = results.beside(entry, results.made(shelf, *results.KIND)[0])
    profile = entry.on(SHOWN_PROFILE)
    bench, others = timings.benches(spec, results.made(shelf, *timings.KIND)[0])
    routed, _ = results.made(shelf, *routings.KIND)
    cost, headlines = count(spec.network, spec.preprocessing.image_size), results.headlines(runs)
    return Card(
        spec=spec,
        profile=profile,
        claim=entry.claim,
        cost=cost,
        comparisons=verify.compare(entry.claim, spec, runs, beside),
        runs=runs,
        headlines=headlines,
        settings=list(_settings(spec, profile)),
        bench=bench,
        other_benches=others,
        experts=experts.of(entry, routed),
        strange=shelf.strange,
        row=rows.make(entry, cost, headlines, bench),
    )


def render(card: Card) -> str:
    """A card as a Markdown page."""
    return template("card.md.j2").render(
        card=card,
        name=markdown.Markup(
            card.spec.name
        ),  # a file's stem of a-z, 0-9 and _: safe in code and links
        spec=card.spec,
        claim=card.claim,
        cost=card.cost,
        pictures=pictures,
        description=_quoted(card.spec.summary),
        tag=_quoted(card.spec.entry),  # so that search finds the card by its entry's name
        data=markdown.Markup(modelindex.dump([with_results(card.claim, card.headlines)])),
    )


def _quoted(text: str) -> markdown.Markup:
    """A text for a quoted value of the front matter, which themes print as it is."""
    return markdown.Markup(html_escape(markdown.line(text)).replace("\\", "&#92;"))


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
        auto_reload=False,
    )
    environment.globals |= {  # pyright: ignore[reportAttributeAccessIssue]  (typed as Jinja's own)
        "code": markdown.code,
        "html": html,
        "link": markdown.link,
        "fence": markdown.fence,
        "mark": markdown.mark,
        "data": markdown.data,
        "origin": markdown.origin,
        "many": many,
        "setting": _setting,
        "title": experts.title,
        "page_link": lambda name: markdown.Markup(f"[{name}]({name}.md)"),
    }
    environment.filters["percent"] = lambda value, places=1: f"{100 * value:.{places}f} %"
    environment.filters["three"] = three
    environment.filters["grouped"] = lambda value: f"{value:,}"
    return environment.get_template(name)


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


@functools.lru_cache(maxsize=4096)  # most settings are those of the next card too
def _setting(row: Setting) -> markdown.Markup:
    """A row of the recipe; in Python, because a template takes ten times as long."""
    written = str(html.origin(html.code(row.place.short), row.place))
    if row.overridden:
        at = html.origin(html.code(row.overridden_at.short), row.overridden_at)
        written += f", overriding {markdown.escape(row.overridden)} in {at}"
    profile = html.origin(row.profile, row.profile_at) if row.profile else ""
    cells = (html.code(row.name), markdown.escape(row.documented), profile, written)
    return markdown.Markup(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")


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
