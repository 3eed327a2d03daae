"""What we build: a registry file over the entry it names, resolved into a frozen `Spec`.

A registry file states what its entry in model-index/ does not. Here the files that speak of a
variant are found and put in order; `layers` reads them, `resolve` writes them over each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from effcc.catalog import layers, resolve
from effcc.catalog.resolve import Layer, Stack
from effcc.catalog.spec import Spec
from effcc.claims import modelindex
from effcc.claims.claim import Claim
from effcc.ground.document import Document
from effcc.ground.errors import BadFile, Place, Problem, UsageError
from effcc.ground.home import Home
from effcc.ground.words import closest


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
        source = layers.source([*self.layers, *over]) or source
        profiles = layers.profiles(source, [*self.layers, *over], self.home)
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
        layers.attempt(over, problems, kind, make, *of)

    try:
        files = read_files(path, home, claims)
    except BadFile as error:
        files = None
        problems += error.problems
    if checkpoint:
        attempt("checkpoint", layers.of_checkpoint, *checkpoint)
    for overlay in overlays:
        attempt("overlay", layers.read, overlay, home)
    attempt("flag", layers.typed, flags or {})
    if files is None or problems:
        raise BadFile(*problems)
    return files.resolved(over, source, located=located)


def read_files(path: Path, home: Home, claims: Mapping[str, Claim]) -> Files:
    """Read and check what the project's files say of the variant in `path`.

    Raises:
        BadFile: a file has problems; all of them.
    """
    variant = layers.read(path, home)
    found, problems = list[Layer](), list[Problem]()
    if "extends" in variant.data:
        layers.attempt(found, problems, "shared", layers.shared, variant, home)
    layers.attempt(found, problems, "claim", layers.claimed, variant, claims, home)
    if problems:
        raise BadFile(*problems)
    found.append(("variant", variant))
    return Files(path.stem, home, tuple(found), Stack(*found, over=layers.defaults()))
