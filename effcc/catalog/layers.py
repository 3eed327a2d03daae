"""Who speaks of a variant: files, entry, flags and checkpoint, each read, checked, and a layer.

`registry` says which of them there are; `resolve` writes them over each other.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from effcc.catalog import schema
from effcc.catalog.resolve import Layer, Stack
from effcc.catalog.spec import SECTIONS, rule, settings_in_order
from effcc.claims.claim import Claim
from effcc.ground import document as reader
from effcc.ground.document import Document, Mark
from effcc.ground.errors import COMMAND_LINE, BadFile, Place, Problem
from effcc.ground.home import Home
from effcc.ground.words import closest

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
# A variant's name is a file's, a page's and an argument; docs/models/index.md is taken.
NAME = re.compile(r"(?!index$)[a-z0-9][a-z0-9_]{0,63}")


def read(path: Path, home: Home) -> Document:
    """A registry file that fits the schema.

    Raises:
        BadFile: it does not, or is outside of the project; all of its problems.
    """
    document = reader.read(home.hold(path), home.shown(path))
    if document.data is None:
        raise BadFile(Problem(Place(document.file), "", "empty; start with `effcc new`"))
    _validate(document)
    return document


def shared(variant: Document, home: Home) -> Document:
    """The file in `registry/shared/` that a variant's file extends.

    Raises:
        BadFile: there is none, or it has problems.
    """
    path = home.shared / f"{variant.data['extends']}.yaml"
    if not os.path.isfile(path):  # unlike Path's, of a name that no file could have too
        known = sorted(file.stem for file in home.shared.glob("*.yaml"))
        hint = closest(path.stem, known) or f"; there are: {', '.join(known)}"
        raise BadFile(variant.problem(("extends",), f"no file {home.shown(path)}{hint}"))
    document = _read_shared(path, home)
    if "extends" in document.data:
        raise BadFile(
            document.problem(
                ("extends",), "a shared file builds on nothing; remove it", at_key=True
            )
        )
    return document


def claimed(variant: Document, claims: Mapping[str, Claim], home: Home) -> Document:
    """What the entry that a variant builds says of its settings, see `CLAIMED`.

    Raises:
        BadFile: there is no such entry, or it says what no setting takes.
    """
    claim = _claim(variant, claims, home)
    data: dict[str, Any] = {}
    marks: dict[tuple[str | int, ...], Mark] = {}
    for key, target in CLAIMED.items():
        if fact := claim.facts.get(key):
            section, name = target.split(".")
            number = fact.number
            value = (
                fact.data if number is None else int(number) if number == int(number) else number
            )
            data.setdefault(section, {})[name] = value
            marks[section, name] = Mark(fact.place, fact.place, fact.text)
    if claim.weights:
        data["weights"] = {"url": claim.weights[0]}
        marks["weights", "url"] = Mark(claim.place, claim.place)
    document = Document(claim.place.file, data, marks)
    values = [(f"{of}.{key}", v) for of, found in data.items() for key, v in found.items()]
    if not all(isinstance(v, str | int | float) and _fits(key, v) for key, v in values):
        _validate(document)
    return document


def typed(flags: Mapping[str, Any]) -> Document:
    """Settings by dotted name, as they are typed, as a document.

    Raises:
        BadFile: one is wrong.
    """
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


def of_checkpoint(name: str, settings: Mapping[str, Any]) -> Document:
    """Everything but the architecture, which is the variant's and must fit the weights as it is."""
    data = {
        key: value for key, value in settings.items() if key in (*SECTIONS, "trainer") and value
    }
    free = {"num_classes", "dropout", "drop_path", "bn_momentum"}
    data["network"] = {key: value for key, value in data.get("network", {}).items() if key in free}
    if "seed" in settings:
        data["seed"] = settings["seed"]
    document = Document(name, data, {})
    _validate(document)
    return document


@functools.cache
def defaults() -> Stack:
    """What holds where nobody says anything: the schema's defaults."""
    data: dict[str, Any] = {"seed": schema.load("registry")["properties"]["seed"]["default"]}
    for setting in settings_in_order():
        if "default" in (of := rule(setting)):
            _set(data, setting, of["default"])
    return Stack(("default", Document("default", data, {})))


def source(layers: list[Layer]) -> str | None:
    """The data source that the topmost of the layers names, if any does."""
    named = [
        document.data["data"].get("source") for _, document in layers if document.data.get("data")
    ]
    return next((source for source in reversed(named) if source), None)


def profiles(source: str | None, layers: list[Layer], home: Home) -> Iterator[Layer]:
    """The source's shared profile, then what the files of the variant change in it."""
    if source and (home.shared / f"{source}.yaml").is_file():
        yield "profile", _read_shared(home.shared / f"{source}.yaml", home)
    for _, document in layers:
        if changes := (document.data.get("profiles") or {}).get(source):
            marks = {
                path[2:]: mark
                for path, mark in document.marks.items()
                if path[:2] == ("profiles", source)
            }
            yield "profile", Document(document.file, changes, marks)


def around(path: Path, home: Home) -> list[Document]:
    """A settings file, and those that a run with it may lay under it and over it.

    That is what it extends, and the profile of every data source: which one, a command line says.

    Raises:
        BadFile: a file has problems; all of them.
    """
    layers, problems = list[Layer](), list[Problem]()
    attempt(layers, problems, "variant", read, path, home)
    if layers and "extends" in layers[0][1].data:
        attempt(layers, problems, "shared", shared, layers[0][1], home)
    for source in filter(None, rule("data.source")["enum"]):
        if (profile := home.shared / f"{source}.yaml").is_file():
            attempt(layers, problems, "profile", _read_shared, profile, home)
    if problems:
        raise BadFile(*problems)
    return [document for _, document in layers]


def attempt(
    layers: list[Layer],
    problems: list[Problem],
    kind: str,
    make: Callable[..., Document],
    *of: Any,
) -> None:
    """Add a layer, or the problems of its file."""
    try:
        layers.append((kind, make(*of)))
    except BadFile as error:
        problems.extend(error.problems)


def _validate(document: Document) -> None:
    if problems := schema.problems(document, "registry"):
        raise BadFile(*problems)


def _read_shared(path: Path, home: Home) -> Document:
    """A file that many variants build on: read again only when it has changed."""
    stat = path.stat()
    return _kept(path, home, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=64)
def _kept(path: Path, home: Home, changed: int, size: int) -> Document:
    return read(path, home)


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
        hint = closest(name, claims) or f"; there are: {', '.join(claims)}"
        raise BadFile(
            variant.problem(
                ("model",), f"no entry {name!r} in {home.shown(home.model_index)}/{hint}"
            )
        )
    return claims[name]


@functools.lru_cache(maxsize=4096, typed=True)  # entries repeat each other
def _fits(setting: str, value: Any) -> bool:
    """Whether the schema takes a value for a setting."""
    data: dict[str, Any] = {}
    _set(data, setting, value)
    return not schema.problems(Document("", data, {}), "registry")


def _set(data: dict[str, Any], setting: str, value: Any) -> None:
    *parents, last = setting.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
    data[last] = value
