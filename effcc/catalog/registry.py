"""What we build: a registry file over the entry it names, resolved into a frozen `Spec`.

A registry file states what its entry in model-index/ does not. Here the files that speak of a
variant are found, checked and put in order; `resolve` writes them over each other.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from effcc.catalog import resolve, schema
from effcc.catalog.resolve import Layer, Stack
from effcc.catalog.spec import SECTIONS, Spec, rule, settings_in_order
from effcc.claims import modelindex
from effcc.claims.claim import Claim
from effcc.ground.document import Document, Mark, read
from effcc.ground.errors import COMMAND_LINE, BadFile, Place, Problem, UsageError
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


class UnknownVariant(UsageError):
    """No registry file has this name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A variant as the registry holds it: the claim that it builds and its spec."""

    claim: Claim
    spec: Spec
    files: Files = field(repr=False)

    def on(self, source: str) -> Spec:
        """The spec as it trains on a data source, if no file names another one.

        Raises:
            BadFile: the source's profile has problems.
        """
        return self.files.resolved(source=source)


@dataclass(frozen=True, slots=True)
class Files:
    """What a project's files say of one variant, read and checked once, to be resolved often."""

    name: str
    home: Home
    layers: tuple[Layer, ...]  # from the shared file up to the variant's own
    stack: Stack  # these over the defaults

    def resolved(
        self, over: Iterable[Layer] = (), source: str | None = None, *, located: bool = True
    ) -> Spec:
        """The spec of these layers and those `over` them; else as `load_file`."""
        over = list(over)
        source = _source([*self.layers, *over]) or source
        profiles = _profiles(source, [*self.layers, *over], self.home)
        stack = Stack(*profiles, *over, over=self.stack)
        variant = self.layers[-1][1]
        return resolve.resolve(
            self.name, variant.data["model"], stack, variant.file, source, located=located
        )


def names(home: Home) -> list[str]:
    """The variants of a project: the YAML files directly in `registry/`."""
    return sorted(path.stem for path in home.registry.glob("*.yaml"))


def entries(home: Home, *, source: str | None = None) -> list[Entry]:
    """Every variant of the project, resolved; see `load` for `source`.

    Raises:
        BadFile: with the problems of all files at once.
    """
    found, problems = sound(home, source=source)
    if problems:
        raise BadFile(*problems)
    return found


def sound(home: Home, *, source: str | None = None) -> tuple[list[Entry], list[Problem]]:
    """The variants whose files are right, resolved, and the problems of all other files.

    Raises:
        BadFile: model-index/ has problems.
    """
    claims = modelindex.load(home.model_index, home.root)
    found, problems = list[Entry](), set[Problem]()
    for name in names(home):
        try:
            files = read_files(file(name, home), home, claims)
            spec = files.resolved(source=source)
            found.append(Entry(claims[spec.entry], spec, files))
        except BadFile as error:
            problems.update(error.problems)
    return found, list(problems)


def on(entries: Iterable[Entry], source: str) -> list[Spec]:
    """Each variant on a data source, see `Entry.on`.

    Raises:
        BadFile: with the problems of all files at once.
    """
    found, problems = list[Spec](), set[Problem]()
    for entry in entries:
        try:
            found.append(entry.on(source))
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
    return load_file(file(name, home), home, **how)


def file(name: str, home: Home) -> Path:
    """The registry file of the variant `name`.

    Raises:
        UnknownVariant: there is none; the message names the nearest.
    """
    path = home.registry / f"{name}.yaml"
    if not path.is_file():
        if os.path.lexists(path):
            place = Place(path.relative_to(home.root).as_posix())
            raise BadFile(Problem(place, "", "no file, or a link to none; remove it"))
        known = names(home)
        hint = closest(name, known) or f"; there are: {', '.join(known)}"
        raise UnknownVariant(f"no variant {name!r} in {home.shown(home.registry)}/{hint}")
    return path


def load_file(
    path: Path,
    home: Home,
    *,
    overlays: Iterable[Path] = (),
    flags: Mapping[str, Any] | None = None,
    source: str | None = None,
    checkpoint: tuple[str, Mapping[str, Any]] | None = None,
    claims: Mapping[str, Claim] | None = None,
    located: bool = True,
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
        located: whether data in files must say where it lies; not if nothing will be read.

    Raises:
        BadFile: a file has problems; all of them.
    """
    claims = claims if claims is not None else modelindex.load(home.model_index, home.root)
    over, problems = list[Layer](), list[Problem]()

    def attempt(kind: str, make: Callable[..., Document], *of: Any) -> None:
        _attempt(over, problems, kind, make, *of)

    try:
        files = read_files(path, home, claims)
    except BadFile as error:
        files = None
        problems += error.problems
    if checkpoint:
        attempt("checkpoint", _checkpoint_layer, *checkpoint)
    for overlay in overlays:
        attempt("overlay", _read, overlay, home)
    attempt("flag", typed, flags or {})
    if files is None or problems:
        raise BadFile(*problems)
    return files.resolved(over, source, located=located)


def read_files(path: Path, home: Home, claims: Mapping[str, Claim]) -> Files:
    """Read and check what the project's files say of the variant in `path`.

    Raises:
        BadFile: a file has problems; all of them.
    """
    variant = _read(path, home)
    layers, problems = list[Layer](), list[Problem]()
    if "extends" in variant.data:
        _attempt(layers, problems, "shared", _shared, variant, home)
    _attempt(layers, problems, "claim", _claim_layer, variant, claims, home)
    if problems:
        raise BadFile(*problems)
    layers.append(("variant", variant))
    return Files(path.stem, home, tuple(layers), Stack(*layers, over=_defaults()))


def around(path: Path, home: Home) -> list[Document]:
    """A settings file, and those that a run with it may lay under it and over it.

    That is what it extends, and the profile of every data source: which one, a command line says.

    Raises:
        BadFile: a file has problems; all of them.
    """
    layers, problems = list[Layer](), list[Problem]()
    _attempt(layers, problems, "variant", _read, path, home)
    if layers and "extends" in layers[0][1].data:
        _attempt(layers, problems, "shared", _shared, layers[0][1], home)
    for source in filter(None, rule("data.source")["enum"]):
        if (profile := home.shared / f"{source}.yaml").is_file():
            _attempt(layers, problems, "profile", _read_shared, profile, home)
    if problems:
        raise BadFile(*problems)
    return [document for _, document in layers]


def _attempt(
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


def _read_shared(path: Path, home: Home) -> Document:
    """A file that many variants build on: read again only when it has changed."""
    stat = path.stat()
    return _kept(path, home, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=64)
def _kept(path: Path, home: Home, changed: int, size: int) -> Document:
    return _read(path, home)


def _read(path: Path, home: Home) -> Document:
    document = read(home.hold(path), home.shown(path))
    if document.data is None:
        raise BadFile(Problem(Place(document.file), "", "empty; start with `effcc new`"))
    _validate(document)
    return document


def _validate(document: Document) -> None:
    if problems := schema.problems(document, "registry"):
        raise BadFile(*problems)


def _shared(variant: Document, home: Home) -> Document:
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


@functools.cache
def _defaults() -> Stack:
    data: dict[str, Any] = {"seed": schema.load("registry")["properties"]["seed"]["default"]}
    for setting in settings_in_order():
        if "default" in (of := rule(setting)):
            _set(data, setting, of["default"])
    return Stack(("default", Document("default", data, {})))


def _set(data: dict[str, Any], setting: str, value: Any) -> None:
    *parents, last = setting.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
    data[last] = value


def _claim_layer(variant: Document, claims: Mapping[str, Claim], home: Home) -> Document:
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


@functools.lru_cache(maxsize=4096, typed=True)  # entries repeat each other
def _fits(setting: str, value: Any) -> bool:
    """Whether the schema takes a value for a setting."""
    data: dict[str, Any] = {}
    _set(data, setting, value)
    return not schema.problems(Document("", data, {}), "registry")


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


def _checkpoint_layer(name: str, settings: Mapping[str, Any]) -> Document:
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


def _source(layers: list[Layer]) -> str | None:
    named = [
        document.data["data"].get("source") for _, document in layers if document.data.get("data")
    ]
    return next((source for source in reversed(named) if source), None)


def _profiles(source: str | None, layers: list[Layer], home: Home) -> Iterator[Layer]:
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
