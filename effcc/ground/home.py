"""Where a project keeps its files: the folder that holds `model-index/` and `registry/`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from effcc.ground.errors import BadFile, Place, Problem, UsageError

_PACKAGE = Path(__file__).resolve().parents[1]
# What an installed wheel brings: variants to read where there is no project.
_BROUGHT = _PACKAGE / "project"


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one project."""

    root: Path

    def __post_init__(self) -> None:
        # Whether a path is inside is asked of real paths, whatever folder is entered later.
        object.__setattr__(self, "root", Path(os.path.realpath(self.root)))

    @property
    def model_index(self) -> Path:
        """What others claim."""
        return self.root / "model-index"

    @property
    def registry(self) -> Path:
        """What we build: one file per variant."""
        return self.root / "registry"

    @property
    def shared(self) -> Path:
        """Parts that several variants share, and the profile of each data source."""
        return self.registry / "shared"

    @property
    def results(self) -> Path:
        """What was measured: one file per run, a folder per variant."""
        return self.registry / "results"

    @property
    def docs(self) -> Path:
        """The pages of the site."""
        return self.root / "docs"

    @property
    def models(self) -> Path:
        """The generated model cards."""
        return self.docs / "models"

    @property
    def citation(self) -> Path:
        """How to cite the project, in the Citation File Format."""
        return self.root / "CITATION.cff"

    @property
    def runs(self) -> Path:
        """Checkpoints and logs, not committed."""
        return self.root / "runs"

    @property
    def brought(self) -> bool:
        """Whether this is the installed package's own copy: to read, never to write to."""
        return self.root == _BROUGHT

    def hold(self, path: Path) -> Path:
        """A path of the project, which no link on its way leads out of.

        Whoever sent a project chose where its links lead. A path that is outside anyway is what
        somebody typed, and stays as it is.

        Raises:
            BadFile: one does.
        """
        written, real = os.path.abspath(path), os.path.realpath(path)
        if self._has(written) and not self._has(real):
            place = Place(os.path.relpath(written, self.root).replace(os.sep, "/"))
            message = f"a link leads out of the project, to {real}; put there what it leads to"
            raise BadFile(Problem(place, "", message))
        return path

    def _has(self, path: str) -> bool:
        root = str(self.root)
        return path == root or path.startswith(root.rstrip(os.sep) + os.sep)

    def shown(self, path: Path) -> str:
        """`path` as messages name it: relative to the project where it is inside."""
        path = path.resolve()
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )


def cache() -> Path:
    """Where what can be fetched or made again is kept, for all projects; it may be deleted.

    `$EFFCC_CACHE`, or `effcc` in the platform's cache directory: `$XDG_CACHE_HOME` or `~/.cache`,
    `~/Library/Caches`, or `%LOCALAPPDATA%`.
    """
    from platformdirs import user_cache_path  # few commands need it

    if named := os.environ.get("EFFCC_CACHE"):
        return Path(named).expanduser()
    return user_cache_path("effcc", appauthor=False)


def around(start: Path | None = None) -> Home | None:
    """The project that somebody is in at `start` (default: the working directory), if any.

    The one that the environment variable `EFFCC_HOME` names, else the nearest folder upwards that
    holds `registry/` and `model-index/`.

    Raises:
        UsageError: `EFFCC_HOME` names a folder that is no project.
    """
    if named := os.environ.get("EFFCC_HOME"):
        if _is_project(Path(named)):
            return Home(Path(named).resolve())
        raise UsageError(
            f"no folder with registry/ and model-index/ in {named}; let EFFCC_HOME name a project"
        )
    here = (start or Path.cwd()).resolve()
    return next((Home(folder) for folder in (here, *here.parents) if _is_project(folder)), None)


def find(start: Path | None = None) -> Home:
    """The project around `start`, or the one that this package brings: to read from.

    Without a project around, it is the checkout this package was installed from, or the copy in
    an installed package.

    Raises:
        UsageError: none of them exists.
    """
    for found in (around(start), Home(_PACKAGE.parent), Home(_BROUGHT)):
        if found and _is_project(found.root):
            return found
    here = (start or Path.cwd()).resolve()
    raise UsageError(
        f"no folder with registry/ and model-index/ in {here} or above; run effcc inside a project"
    )


def own(start: Path | None = None) -> Home:
    """As `find`, to write to: not the installed package's copy, which the next version replaces.

    Raises:
        UsageError: there is no other project, or none at all.
    """
    found = find(start)
    if found.brought:
        here = (start or Path.cwd()).resolve()
        raise UsageError(
            f"{here} is in no project to write to; begin one in an empty folder: "
            "effcc new NAME --from cc_b0_4e"
        )
    return found


def _is_project(folder: Path) -> bool:
    return (folder / "registry").is_dir() and (folder / "model-index").is_dir()
