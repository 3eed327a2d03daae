"""Where a project keeps its files: the folder that holds `model-index/` and `registry/`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from effcc.ground.errors import BadFile, Place, Problem, UsageError


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one project."""

    root: Path

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


def find(start: Path | None = None) -> Home:
    """The project around `start` (default: the working directory).

    Looked for in this order: the environment variable `EFFCC_HOME`, the nearest folder upwards that
    holds `registry/` and `model-index/`, the checkout this package was installed from, the copy in
    the package.

    Raises:
        UsageError: none of them exists.
    """
    if named := os.environ.get("EFFCC_HOME"):
        candidates = [Path(named)]
    else:
        here = (start or Path.cwd()).resolve()
        package = Path(__file__).resolve().parents[1]
        candidates = [here, *here.parents, package.parent, package / "project"]
    for folder in candidates:
        if (folder / "registry").is_dir() and (folder / "model-index").is_dir():
            return Home(folder.resolve())
    where = named or f"{candidates[0]} or above"
    raise UsageError(
        f"no folder with registry/ and model-index/ in {where}; run effcc inside a project"
    )
