"""What git says of a folder, without running anything that the folder says.

A repository's own configuration may name commands: a file monitor, filters, hooks, a way to fetch.
Cloning brings none of it, but a folder that somebody packed and sent brings all. What this machine
or its user has configured stays in force.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# A question is answered in less; whoever asks can do without an answer.
_PATIENCE = 60  # seconds
_NOTHING_RUN = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_SURROUNDINGS = {
    "GIT_NO_LAZY_FETCH": "1",  # nothing is fetched that is missing
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",  # a question writes nothing
}


def ask(folder: Path, *words: str, patience: float = _PATIENCE) -> str | None:
    """What git answers; None if it refuses, takes longer than `patience`, or is not there."""
    return _git(folder, *_NOTHING_RUN, *words, patience=patience)


def has_changes(folder: Path, *paths: str) -> bool | None:
    """Whether files of a folder differ from its last commit; None outside a repository."""
    asked = ("status", "--porcelain", "--ignore-submodules=dirty", "--", *paths)
    answer = _git(folder, *_NOTHING_RUN, *_no_filters(folder), *asked)
    return None if answer is None else bool(answer)


def _no_filters(folder: Path) -> list[str]:
    """Options that empty the filters which a repository defines itself."""
    answer = _git(folder, "config", "--show-scope", "--includes", "--name-only", "-z", "--list")
    words = (answer or "").split("\0")
    own = (name for scope, name in zip(words[::2], words[1::2], strict=False) if scope in _OWN)
    return [word for name in own if name.startswith("filter.") for word in ("-c", f"{name}=")]


_OWN = ("local", "worktree")


def _git(folder: Path, *words: str, patience: float = _PATIENCE) -> str | None:
    # A hook, which runs inside git, would hand its own repository on.
    environment = {k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env=environment | _SURROUNDINGS,
            stdin=subprocess.DEVNULL,
            timeout=patience,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
