"""What we build: a registry file over the entry it names, resolved into a frozen `Spec`.

Values come in layers, each written over the ones before it, and every value keeps its origin:

    default < shared file < model-index entry < variant < profile of the data source
            < checkpoint that is continued < --config < flags

A registry file states what the entry does not. Stating an entry's fact again overrides it, in plain
sight: `Origin.overrides` remembers what was there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effcc.catalog import imports, modelindex, schema
from effcc.catalog.document import BadFile, Document, Mark, Place, Problem, read
from effcc.catalog.errors import UsageError
from effcc.catalog.home import Home
from effcc.catalog.modelindex import Claim
from effcc.catalog.spec import (
    SECTIONS,
    Augment,
    Data,
    Network,
    Origin,
    Preprocessing,
    Recipe,
    Spec,
    Stage,
)

# The entry's facts that are settings, and the setting each one is.
CLAIMED = {
    "Epochs": "recipe.epochs",
    "Batch Size": "recipe.batch_size",
    "LR": "recipe.lr",
    "Momentum": "recipe.momentum",
    "RMSProp Decay": "recipe.rmsprop_decay",
    "Weight Decay": "recipe.weight_decay",
    "Label Smoothing": "recipe.label_smoothing",
    "BatchNorm Momentum": "network.bn_momentum",
    "Image Size": "preprocessing.image_size",
    "Crop Pct": "preprocessing.crop_pct",
    "Interpolation": "preprocessing.interpolation",
}
COMMAND_LINE = "command line"
NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,63}")
_Layer = tuple[str, Document]


class UnknownVariant(UsageError):
    """No registry file has this name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A variant as the registry holds it: the claim that it builds and its spec."""

    claim: Claim
    spec: Spec


def names(home: Home) -> list[str]:
    """The variants of a project: the YAML files directly in `registry/`."""
    return sorted(path.stem for path in home.registry.glob("*.yaml"))


def entries(home: Home, *, source: str | None = None) -> list[Entry]:
    """Every variant of the project, resolved; see `load` for `source`.

    Raises:
        BadFile: with the problems of all files at once.
    """
    claims = modelindex.load(home.model_index, home.root)
    found, problems = [], set[Problem]()
    for name in names(home):
        try:
            spec = load(name, home, source=source, claims=claims)
            found.append(Entry(claims[spec.entry], spec))
        except BadFile as error:
            problems.update(error.problems)
    if problems:
        raise BadFile(*problems)
    return found


def load(name: str, home: Home, **how: Any) -> Spec:
    """Resolve the variant `name`; `how` is as for `load_file`.

    Raises:
        UnknownVariant: no such file; the message names the nearest.
        BadFile: a file has problems; all of them.
    """
    path = home.registry / f"{name}.yaml"
    if not path.is_file():
        known = names(home)
        hint = schema.closest(name, known) or f"; there are: {', '.join(known)}"
        raise UnknownVariant(f"no variant {name!r} in {home.shown(home.registry)}/{hint}")
    return load_file(path, home, **how)


def load_file(
    path: Path,
    home: Home,
    *,
    overlays: Iterable[Path] = (),
    flags: Mapping[str, Any] | None = None,
    source: str | None = None,
    checkpoint: tuple[str, Mapping[str, Any]] | None = None,
    claims: Mapping[str, Claim] | None = None,
) -> Spec:
    """Resolve one registry file.

    Args:
        path: the variant's file; its stem is the variant's name.
        home: the project that holds its entry and shared files.
        overlays: further registry files, each over the one before.
        flags: settings by dotted name, above everything: `{"recipe.lr": 0.01}`.
        source: the data source if no layer names one; None leaves the recipe as documented.
        checkpoint: name and settings of a checkpoint to continue or evaluate as it was made.
        claims: the project's claims, if the caller has them already.

    Raises:
        BadFile: a file has problems; all of them.
    """
    variant = _read(path, home)
    claims = claims if claims is not None else modelindex.load(home.model_index, home.root)
    layers: list[_Layer] = [("default", _defaults())]
    if base := variant.data.get("extends"):
        layers.append(("shared", _shared(base, variant, home)))
    claim = _claim(variant, claims, home)
    layers += [("claim", _claim_layer(claim)), ("variant", variant)]
    over: list[_Layer] = [("overlay", _read(overlay, home)) for overlay in overlays]
    over.append(("flag", _flags_layer(flags or {})))
    if checkpoint:
        over.insert(0, ("checkpoint", _checkpoint_layer(*checkpoint)))
    source = _source([*layers, *over]) or source
    layers += [*_profiles(source, [*layers, *over], home), *over]
    return _Resolution(path.stem, claim.name, layers).spec(source)


def _read(path: Path, home: Home) -> Document:
    document = read(path, home.shown(path))
    if document.data is None:
        raise BadFile(Problem(Place(document.file), "", "empty; start with `effcc new`"))
    _validate(document)
    return document


def _validate(document: Document) -> None:
    if problems := schema.problems(document, "registry"):
        raise BadFile(*problems)


def _shared(name: str, variant: Document, home: Home) -> Document:
    path = home.shared / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in home.shared.glob("*.yaml"))
        hint = schema.closest(name, known) or f"; there are: {', '.join(known)}"
        raise BadFile(variant.problem(("extends",), f"no file {home.shown(path)}{hint}"))
    document = _read(path, home)
    if "extends" in document.data:
        raise BadFile(
            document.problem(
                ("extends",), "a shared file builds on nothing; remove it", at_key=True
            )
        )
    return document


def _claim(variant: Document, claims: Mapping[str, Claim], home: Home) -> Claim:
    if not NAME.fullmatch(Path(variant.file).stem):
        place = Place(variant.file)
        raise BadFile(
            Problem(place, "", "rename the file: a variant's name is of a-z, 0-9 and _, at most 64")
        )
    name = variant.data.get("model")
    if name is None:
        raise BadFile(
            variant.problem(
                (), "`model:` is missing; name the entry in model-index/ that this builds"
            )
        )
    if name not in claims:
        hint = schema.closest(name, claims) or f"; there are: {', '.join(claims)}"
        raise BadFile(
            variant.problem(
                ("model",), f"no entry {name!r} in {home.shown(home.model_index)}/{hint}"
            )
        )
    return claims[name]


def _defaults() -> Document:
    root = schema.load("registry")
    data: dict[str, Any] = {section: {} for section in SECTIONS} | {"trainer": {}}
    for section in SECTIONS:
        for key, rule in root["$defs"][section]["properties"].items():
            if "default" in rule:
                data[section][key] = rule["default"]
    data["seed"] = root["properties"]["seed"]["default"]
    return Document("default", data, {})


def _claim_layer(claim: Claim) -> Document:
    data: dict[str, Any] = {}
    marks: dict[tuple[str | int, ...], Mark] = {}
    for key, target in CLAIMED.items():
        if fact := claim.metadata.get(key):
            section, name = target.split(".")
            number = fact.number
            value = (
                fact.data if number is None else int(number) if number == int(number) else number
            )
            data.setdefault(section, {})[name] = value
            marks[section, name] = Mark(fact.place, fact.place, fact.text)
    document = Document(claim.place.file, data, marks)
    _validate(document)
    return document


def _flags_layer(flags: Mapping[str, Any]) -> Document:
    data: dict[str, Any] = {}
    marks: dict[tuple[str | int, ...], Mark] = {}
    for name, value in flags.items():
        *parents, last = name.split(".")
        level = data
        for parent in parents:
            level = level.setdefault(parent, {})
            if not isinstance(level, dict):
                raise BadFile(
                    Problem(Place(COMMAND_LINE), f"--{name}", f"{parent!r} is a value already")
                )
        level[last] = value
        flag = Place(f"--{name}")
        marks[tuple(name.split("."))] = Mark(flag, flag)
    document = Document(COMMAND_LINE, data, marks)
    if problems := schema.problems(document, "registry"):
        raise BadFile(*(Problem(Place(COMMAND_LINE), f"--{p.key}", p.message) for p in problems))
    return document


def _checkpoint_layer(name: str, settings: Mapping[str, Any]) -> Document:
    """Everything but the architecture, which is the variant's and must fit the weights as it is."""
    data = {
        key: value for key, value in settings.items() if key in (*SECTIONS, "trainer") and value
    }
    free = {"num_classes", "dropout", "drop_path", "bn_momentum"}
    data["network"] = {key: value for key, value in data.get("network", {}).items() if key in free}
    document = Document(name, data, {})
    _validate(document)
    return document


def _source(layers: list[_Layer]) -> str | None:
    named = [
        document.data["data"].get("source") for _, document in layers if document.data.get("data")
    ]
    return next((source for source in reversed(named) if source), None)


def _profiles(source: str | None, layers: list[_Layer], home: Home) -> Iterator[_Layer]:
    """The source's shared profile, then what the files of the variant change in it."""
    if source and (home.shared / f"{source}.yaml").is_file():
        yield "profile", _read(home.shared / f"{source}.yaml", home)
    for _, document in layers:
        if changes := (document.data.get("profiles") or {}).get(source):
            marks = {
                path[2:]: mark
                for path, mark in document.marks.items()
                if path[:2] == ("profiles", source)
            }
            yield "profile", Document(document.file, changes, marks)


class _Resolution:
    """Layers written over each other, setting by setting, and made into a `Spec`."""

    def __init__(self, name: str, entry: str, layers: list[_Layer]) -> None:
        self.name, self.entry = name, entry
        self.origins: dict[str, Origin] = {}
        self.disputes: dict[str, str] = {}
        self.summary = ""
        self.problems: list[Problem] = []
        self.variant = next(document for kind, document in layers if kind == "variant")
        for kind, document in layers:
            self.apply(kind, document)

    def apply(self, kind: str, document: Document) -> None:
        network = document.data.get("network") or {}
        if compound := network.get("compound"):
            for setting, value in _compound(compound).items():
                self.put(setting, value, kind, document.mark(("network", "compound")).key)
        for section in (*SECTIONS, "trainer"):
            for key, value in (document.data.get(section) or {}).items():
                if (section, key) == ("recipe", "augment"):
                    for part, choice in value.items():
                        self.put(
                            f"recipe.augment.{part}",
                            choice,
                            kind,
                            document.mark((section, key, part)).key,
                        )
                elif (section, key) != ("network", "compound"):
                    self.put(f"{section}.{key}", value, kind, document.mark((section, key)).key)
        if "seed" in document.data:
            self.put("seed", document.data["seed"], kind, document.mark(("seed",)).key)
        self.disputes.update(document.data.get("disputes") or {})
        self.summary = document.data.get("summary", self.summary)

    def put(self, setting: str, value: Any, kind: str, place: Place) -> None:
        self.origins[setting] = Origin(place.short, kind, value, self.origins.get(setting))

    def spec(self, source: str | None) -> Spec:
        if source and self.value("data.source") is None:
            self.put("data.source", source, "default", Place("default"))
        stages = self.value("network.stages") or []
        network = self.section(
            Network, "network", stages=tuple(Stage(**_STAGE | row) for row in stages)
        )
        augment = self.section(Augment, "recipe.augment")
        recipe = self.section(Recipe, "recipe", augment=augment)
        preprocessing = self.section(Preprocessing, "preprocessing")
        data = self.section(Data, "data")
        if not self.problems:
            self.check(network, augment)
        if self.problems:
            raise BadFile(*self.problems)
        return Spec(
            name=self.name,
            entry=self.entry,
            summary=self.summary,
            network=network,
            preprocessing=preprocessing,
            recipe=recipe,
            data=data,
            trainer=self.trainer(),
            seed=self.value("seed"),
            disputes=self.disputes,
            origins=self.origins,
        )

    def value(self, setting: str) -> Any:
        origin = self.origins.get(setting)
        return origin.value if origin else None

    def section(self, kind: type, name: str, **built: Any) -> Any:
        values = {}
        for key in kind.__dataclass_fields__:
            setting = f"{name}.{key}"
            if key in built:
                values[key] = built[key]
            elif setting in self.origins:
                value = self.origins[setting].value
                values[key] = tuple(value) if isinstance(value, list) else value
            if key not in values or (key == "stages" and not values[key]):
                message = "is not set here, in what this file extends, or by its entry; add it"
                self.problems.append(Problem(Place(self.variant.file), setting, message))
        return kind(**values) if len(values) == len(kind.__dataclass_fields__) else None

    def check(self, network: Network, augment: Augment) -> None:
        """Rules between values, which a schema cannot state."""
        for number, stage in enumerate(network.stages):
            if stage.conditional and stage.expand == 1:
                message = f"stage {number} is conditional; that needs `expand` above 1"
                self.wrong("network.stages", message)
        for setting, (low, high) in (
            ("crop_area", augment.crop_area),
            ("crop_aspect", augment.crop_aspect),
        ):
            if low > high:
                self.wrong(
                    f"recipe.augment.{setting}",
                    f"runs from {low} down to {high}; write [{high}, {low}]",
                )
        if self.value("data.source") == "folder" and not self.value("data.root"):
            self.wrong("data.source", "a folder source needs its folder; add --data.root DIR")
        if 0 in self.value("preprocessing.std"):
            self.wrong("preprocessing.std", "a zero would divide by zero")

        for key, text in imports.forbidden(self.trainer()):
            self.wrong(
                key, f"{text!r} may not be imported; allowed are {', '.join(imports.ALLOWED)}"
            )

    def trainer(self) -> dict[str, Any]:
        return {
            key[8:]: origin.value
            for key, origin in self.origins.items()
            if key.startswith("trainer.")
        }

    def wrong(self, setting: str, message: str) -> None:
        file, _, line = self.origins[setting].place.partition(":")
        place = (
            Place(COMMAND_LINE)
            if file.startswith("--")
            else Place(file, int(line or 0), 1 if line else 0)
        )
        self.problems.append(Problem(place, setting, message))


_STAGE: dict[str, Any] = {"conditional": False}


def _compound(given: dict[str, Any]) -> dict[str, Any]:
    """Depth, width and image size at a compound coefficient (EfficientNet, equation 3)."""
    rules = schema.load("registry")["$defs"]["network"]["properties"]["compound"]["properties"]
    c = {key: rule.get("default") for key, rule in rules.items()} | given
    size = c["image_size"] * c["gamma"] ** c["phi"]
    return {
        "network.depth": round(c["alpha"] ** c["phi"], 6),
        "network.width": round(c["beta"] ** c["phi"], 6),
        # To a multiple of 8, so that most strided layers divide it evenly.
        "preprocessing.image_size": max(8, round(size / 8) * 8),
    }
