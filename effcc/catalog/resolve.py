"""Layers of settings, written over each other and made into a `Spec`, every value with its origin.

Values come in layers, each written over the ones before it, and every value keeps its origin:

    default < shared file < model-index entry < variant < profile of the data source
            < checkpoint that is continued < --config < flags

A layer that states a lower one's value again overrides it in plain sight: `Origin.overrides`
remembers what was there.
"""

from __future__ import annotations

import math
from typing import Any

from effcc.catalog import imports, schema
from effcc.catalog.reach import PIPE
from effcc.catalog.spec import (
    SECTIONS,
    Augment,
    Data,
    Dispute,
    Network,
    Origin,
    Preprocessing,
    Recipe,
    Spec,
    Stage,
    Weights,
)
from effcc.ground.document import Document
from effcc.ground.errors import COMMAND_LINE, BadFile, Place, Problem
from effcc.ground.words import many

MAX_BLOCKS = 2000  # of a network; more take seconds to count
Layer = tuple[str, Document]  # (kind, settings): default, shared, claim, variant, profile, ...


class Stack:
    """Layers written over each other, setting by setting; more may be written over a copy."""

    def __init__(self, *layers: Layer, over: Stack | None = None) -> None:
        self.origins: dict[str, Origin] = dict(over.origins) if over else {}
        self.disputes: dict[str, Dispute] = dict(over.disputes) if over else {}
        self.weights: dict[str, str] = dict(over.weights) if over else {}
        self.summary = over.summary if over else ""
        for kind, document in layers:
            self.apply(kind, document)

    def apply(self, kind: str, document: Document) -> None:
        """Write a checked document over what is there."""
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
        if kind in ("overlay", "flag"):
            self.forget_length(document)
        if "seed" in document.data:
            self.put("seed", document.data["seed"], kind, document.mark(("seed",)).key)
        for key in document.data.get("disputes") or {}:
            self.disputes[key] = _dispute(document, key)
        self.weights.update(document.data.get("weights") or {})
        self.summary = document.data.get("summary", self.summary)

    def forget_length(self, document: Document) -> None:
        """A checkpoint's `trainer.max_epochs` does not outlast epochs that are stated anew."""
        length = self.origins.get("trainer.max_epochs")
        stated = "epochs" in (document.data.get("recipe") or {})
        if stated and length and length.layer == "checkpoint":
            del self.origins["trainer.max_epochs"]

    def put(self, setting: str, value: Any, kind: str, place: Place) -> None:
        """Write one setting over what it was."""
        self.origins[setting] = Origin(place, kind, value, self.origins.get(setting))

    def value(self, setting: str) -> Any:
        """A setting, or None if no layer has it."""
        origin = self.origins.get(setting)
        return origin.value if origin else None


def resolve(
    name: str, entry: str, stack: Stack, file: str, source: str | None, *, located: bool = True
) -> Spec:
    """Make layers that are written over each other into a spec.

    Args:
        name: the variant's.
        entry: name of the model-index entry that it builds.
        stack: the layers.
        file: the variant's own, where what is missing can be added.
        source: the data source if no layer names one.
        located: whether data in files must say where it lies.

    Raises:
        BadFile: settings are missing or contradict each other; every such problem.
    """
    if source and stack.value("data.source") is None:
        stack.put("data.source", source, "default", Place("default"))
    return _Resolution(name, entry, stack, file, located).spec()


class _Resolution:
    """A spec in the making."""

    def __init__(self, name: str, entry: str, stack: Stack, file: str, located: bool) -> None:
        self.name, self.entry, self.file, self.located = name, entry, file, located
        self.stack, self.origins, self.value = stack, stack.origins, stack.value
        self.problems: list[Problem] = []

    def spec(self) -> Spec:
        stages = self.value("network.stages") or []
        network = self.section(Network, "network", stages=tuple(map(Stage.of, stages)))
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
            summary=self.stack.summary,
            network=network,
            preprocessing=preprocessing,
            recipe=recipe,
            data=data,
            trainer=self.trainer(),
            weights=Weights(self.stack.weights.get("url"), self.stack.weights.get("sha256")),
            seed=self.value("seed"),
            disputes=self.stack.disputes,
            origins=self.origins,
        )

    def section(self, kind: type, name: str, **built: Any) -> Any:
        values = {}
        for key, field in kind.__dataclass_fields__.items():
            setting = f"{name}.{key}"
            if key in built:
                values[key] = built[key]
            elif setting in self.origins:
                values[key] = _typed(self.origins[setting].value, field.type)
            if key not in values or (key == "stages" and not values[key]):
                message = "is not set here, in what this file extends, or by its entry; add it"
                self.problems.append(Problem(Place(self.file), setting, message))
        return kind(**values) if len(values) == len(kind.__dataclass_fields__) else None

    def check(self, network: Network, augment: Augment) -> None:
        """Rules between values, which a schema cannot state."""
        blocks = math.ceil(sum(stage.repeats for stage in network.stages) * network.depth)
        if blocks > MAX_BLOCKS:
            message = f"makes {many(blocks, 'block')} of the stages; at most {MAX_BLOCKS:,} fit"
            self.wrong("network.depth", message)
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
        self.check_data()
        if self.value("recipe.freeze_stages") > len(network.stages):
            message = f"the network has {many(len(network.stages), 'stage')}; freeze no more"
            self.wrong("recipe.freeze_stages", message)
        if 0 in self.value("preprocessing.std"):
            self.wrong("preprocessing.std", "a zero would divide by zero")

        for key, text in imports.forbidden(self.trainer()):
            self.wrong(
                key, f"{text!r} may not be imported; allowed are {', '.join(imports.ALLOWED)}"
            )

        for led in imports.led(self.trainer()):
            # As with a command: what files say stays in the folder that somebody is in.
            if self.origins[led.setting].layer != "flag":
                self.wrong(
                    led.setting, f"{led.text!r} is {led.what}, which may only be typed, as a flag"
                )

    def check_data(self) -> None:
        """Whether the source and what is said of its files belong together."""
        source, named = self.value("data.source"), ("data.train", "data.val", "data.test")
        if source in (None, "digits"):
            for setting in ("data.root", *named):
                if self.value(setting):
                    self.wrong(setting, "is for images in files; add --data.source folder")
        elif self.located and not any(self.value(setting) for setting in ("data.root", *named)):
            self.wrong("data.source", f"{source} needs the folder it is in; add --data.root DIR")
        for setting in named:
            value = self.value(setting)
            texts = [value] if isinstance(value, str) else value or []
            # A file is data: only a person at the keyboard may name a command to run.
            if any(t.startswith(PIPE) for t in texts) and self.origins[setting].layer != "flag":
                self.wrong(setting, "runs a command; a pipe may only be typed, as a flag")

    def trainer(self) -> dict[str, Any]:
        return {
            key[8:]: origin.value
            for key, origin in self.origins.items()
            if key.startswith("trainer.")
        }

    def wrong(self, setting: str, message: str) -> None:
        origin = self.origins[setting]
        place = Place(COMMAND_LINE) if origin.layer == "flag" else origin.written
        self.problems.append(Problem(place, setting, message))


def _dispute(document: Document, key: str) -> Dispute:
    """A dispute with what it is of as that is written: 1.0e-05 is no 1e-05."""
    path = ("disputes", key)
    given = document.data["disputes"][key]
    several = isinstance(given["claimed"], list)
    paths = [(*path, "claimed", i) for i in range(len(given["claimed"]))] if several else []
    written = [document.mark(where).text for where in paths or [(*path, "claimed")]]
    claimed = tuple(" ".join(text.split()) for text in written)
    return Dispute(claimed, given["reason"], document.mark(path).key)


def _typed(value: Any, kind: Any) -> Any:
    """A value as its field's type writes it: a rate of 1 is 1.0, a range is a tuple."""
    if isinstance(value, list):
        return tuple(item if isinstance(item, str) else float(item) for item in value)
    return float(value) if kind == "float" else value


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
