"""The site as a folder that any host can serve: cards, a model to try, pages, perhaps a zip."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shlex
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from effcc import filing, terminal
from effcc.ground.errors import UsageError, UserError

if TYPE_CHECKING:
    from effcc.ground.home import Home

# What a built site has, and hardly another folder: only such a folder is replaced by a new one.
_SIGNS = ("index.html", "404.html", "search/search_index.json")


class NotBuilt(UserError):
    """Pages that contradict each other or their configuration; the site before is as it was."""


def build(args: argparse.Namespace, at: Home, beside: Mapping[Path, str]) -> int:
    """Write the cards and the pages `beside`, then the site; say how to look at it."""
    config = at.root / "mkdocs.yml"
    if not config.is_file():
        raise UsageError(
            f"docs --build: no mkdocs.yml in {at.root}; the site is built in a checkout of effcc"
        )
    if args.out == "":
        raise UsageError("docs: --out needs the name of a folder")
    out = (Path(args.out) if args.out else at.root / "site").resolve()
    if out.is_relative_to(at.docs):
        raise UsageError(f"docs --out {out}: inside what the site is made of; name another")
    archive = out.with_name(f"{out.name}.zip") if args.offline else None
    _check(out, archive)
    with tempfile.TemporaryDirectory(prefix="effcc-site-") as folder:
        made = Path(folder)
        if not args.no_demo:
            _exhibit(at, args.demo, made)
        filing.pages(at, beside)
        pages(config, out, demo=None if args.no_demo else made, offline=args.offline)
    shown = shlex.quote(at.shown(out))
    terminal.say(
        f"built {shown}/; look at it: python -m http.server -d {shown}, at http://localhost:8000"
    )
    if archive:
        from effcc.report import offline

        offline.pack(out, archive)
        size = archive.stat().st_size / 1e6
        terminal.say(
            f"wrote {at.shown(archive)}, {size:.1f} MB; unpacked, index.html opens as a file too"
        )
    return 0


def pages(config: Path, out: Path, *, demo: Path | None = None, offline: bool = False) -> None:
    """Build a project's pages, strictly, in place of what was in `out`, if all goes well.

    Args:
        config: its mkdocs.yml.
        out: where to.
        demo: the folder of what a model to try is made of, see `exhibit`.
        offline: whether they are to work as files.

    Raises:
        NotBuilt: there are errors or warnings; `out` is as it was.
    """
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")  # the theme's, about a version not used here
    from mkdocs.commands import build as mkdocs
    from mkdocs.config import load_config
    from mkdocs.exceptions import MkDocsException

    heard = _Heard(logging.WARNING)
    logging.getLogger("mkdocs").addHandler(heard)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.")
    except OSError as error:
        raise NotBuilt(f"{out}: cannot be made: {error.strerror}; name another") from None
    with beside as folder:
        new, old = Path(folder, "new"), Path(folder, "old")
        try:
            loaded = load_config(str(config), site_dir=str(new), strict=True)
            if "effcc" not in loaded.plugins:
                raise NotBuilt(f"{config}: plugins does not name effcc, which makes the pages")
            loaded.plugins["effcc"].load_config(
                {"demo": str(demo) if demo else "", "offline": offline}
            )
            mkdocs.build(loaded)
        except (MkDocsException, SystemExit) as error:  # a strict build ends with the second
            said = "\n".join(heard.warnings or [str(error)])
            raise NotBuilt(f"{said}\nthe site was not built") from None
        finally:
            logging.getLogger("mkdocs").removeHandler(heard)
        _replace(new, out, old)


def _replace(new: Path, out: Path, old: Path) -> None:
    """Put a new site in the place of the one before, which comes back if that fails."""
    if not out.exists():
        os.replace(new, out)
        return
    try:
        os.replace(out, old)
    except OSError as error:  # a disk of its own, say
        raise NotBuilt(f"{out}: cannot be replaced: {error.strerror}; name another") from None
    try:
        os.replace(new, out)
    except BaseException:
        os.replace(old, out)
        raise


class _Heard(logging.Handler):
    """Remembers what a build warns of."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings.append(record.getMessage())


def _check(out: Path, archive: Path | None) -> None:
    """Refuse to replace what is no site."""
    if archive and archive.exists() and not _holds_site(archive, out.name):
        raise UsageError(
            f"docs --out {out}: {archive.name} beside it is no built site; name another"
        )
    if out.is_dir() and (not any(out.iterdir()) or all((out / sign).is_file() for sign in _SIGNS)):
        return
    if out.exists():
        raise UsageError(f"docs --out {out}: holds something other than a built site; name another")


def _holds_site(archive: Path, name: str) -> bool:
    with contextlib.suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(archive) as found:
        return {f"{name}/{sign}" for sign in ("index.html", "404.html")} <= set(found.namelist())
    return False


def _exhibit(at: Home, named: str | None, folder: Path) -> None:
    from effcc import exhibit
    from effcc.train import process

    process.keep_memory()  # before torch is loaded
    shown = exhibit.make(at, Path(named) if named else None, folder)
    measured = shown.measured
    right = f", right on {measured.correct} of {measured.n}" if measured else ""
    terminal.say(f"a model to try: {shown.variant}, SHA-256 {shown.sha256[:8]}…{right}")
