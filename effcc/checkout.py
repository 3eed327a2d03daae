"""The code of a commit in a folder of its own, to run with this interpreter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from effcc.ground import git
from effcc.ground.errors import UserError
from effcc.ground.home import Home

_PATIENCE = 600  # seconds that a large repository may take to write its files
_COMMIT = re.compile("[0-9a-f]{7,64}")


class NoSuchCode(UserError):
    """The code that a record was made with is not to be had."""


@contextmanager
def of(made_with: Mapping[str, Any], root: Path) -> Generator[Home]:
    """A record's commit, checked out while the block lasts.

    It is a clone that borrows the repository's objects and writes nothing to it: a process that is
    killed leaves a folder among the temporary ones, where a worktree would stay registered.

    Args:
        made_with: the record's `git`, with `commit` and `dirty`.
        root: of the project, in whose repository the commit should be.

    Raises:
        NoSuchCode: no commit has that code, or this repository lacks it.
    """
    import tempfile  # only this verb needs it

    commit = made_with["commit"]
    if not commit:
        raise NoSuchCode("the record was made outside version control: no commit has its code")
    if not _COMMIT.fullmatch(commit):  # else it could be an option of git's
        raise NoSuchCode(f"{commit[:80]!r} is no name of a commit; restore the record")
    if made_with["dirty"]:
        raise NoSuchCode(
            f"the record was made with changes to {commit[:12]} that were not committed: "
            "no commit has its code"
        )
    if made_with["dirty"] is None:
        raise NoSuchCode(
            f"git did not tell whether there were changes to {commit[:12]} when the record was "
            "made: nothing says which code it has"
        )
    with tempfile.TemporaryDirectory(prefix="effcc-") as folder:
        top = git.ask(root, "rev-parse", "--show-prefix")
        if top is None:
            raise NoSuchCode(f"{root} is in no repository, or git is not installed")
        if git.ask(root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
            raise NoSuchCode(f"this repository has no commit {commit[:12]}; fetch it")
        clone = Path(folder).resolve() / "code"
        source = git.ask(root, "rev-parse", "--show-toplevel") or str(root)
        quiet = ("--quiet", "--shared", "--no-checkout")
        copy = ("clone", *quiet, source, str(clone))
        made = git.ask(root, *copy, patience=_PATIENCE, protocols="file")
        out = ("checkout", "--quiet", "--detach", commit)
        if made is None or git.ask(clone, *out, patience=_PATIENCE) is None:
            raise NoSuchCode(f"{commit[:12]} could not be checked out")
        yield Home(clone / top)


def run(home: Home, words: Sequence[str], threads: int | None = None) -> None:
    """`effcc WORDS` by the code that is checked out there; what it prints passes through.

    Raises:
        NoSuchCode: it did not end well.
    """
    environment = os.environ | {"PYTHONPATH": str(home.root)}
    environment.pop("EFFCC_HOME", None)
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    done = subprocess.run(
        [sys.executable, "-m", "effcc", *words], cwd=home.root, env=environment, check=False
    )
    if done.returncode:
        raise NoSuchCode(f"the code of that commit ended with exit code {done.returncode}")
