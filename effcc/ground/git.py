"""What git says of a folder, without running anything that the folder says.

A repository's own configuration may name commands: a file monitor, filters, hooks, a way to fetch.
Cloning brings none of it, but a folder that somebody packed and sent brings all. What this machine
or its user has configured stays in force.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

# Seconds in which a question is answered; whoever asks can do without. A repository that somebody
# sent may have git wait for good. To look at every file takes longer.
_PATIENCE, _FOR_EVERY_FILE = 5, 60
_NOTHING_RUN = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
_SURROUNDINGS = {
    "GIT_NO_LAZY_FETCH": "1",  # nothing is fetched that is missing
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",  # a question writes nothing
}


def ask(folder: Path, *words: str, patience: float = _PATIENCE, protocols: str = "") -> str | None:
    """What git answers; None if it refuses, takes longer than `patience`, or is not there.

    Args:
        folder: where it is asked.
        words: the question.
        patience: seconds to wait.
        protocols: what it may fetch by, with colons between; not even from this machine by default,
            as a repository says itself which program to fetch with.
    """
    return _git(folder, *_NOTHING_RUN, *words, patience=patience, protocols=protocols)


def has_changes(folder: Path, *paths: str) -> bool | None:
    """Whether files of a folder differ from its last commit; None if that cannot be told.

    So it is outside a repository, and where its filters cannot be turned off.
    """
    filters = _filters(folder)
    if filters is None:
        return None
    asked = ("status", "--porcelain", "--ignore-submodules=dirty", "--", *paths)
    empty = dict.fromkeys(filters, "")
    answer = _git(folder, *_NOTHING_RUN, *asked, patience=_FOR_EVERY_FILE, setting=empty)
    return None if answer is None else bool(answer)


def _filters(folder: Path) -> list[str] | None:
    """What a repository itself says of filters, by key; None if git does not tell."""
    words = ("config", "--show-scope", "--includes", "--name-only", "-z", "--list")
    answer = _git(folder, *words, setting={_HEARD: "true"})
    cells = (answer or "").split("\0")
    told = list(zip(cells[::2], cells[1::2], strict=False))
    if ("command", _HEARD) not in told:  # an older git would not hear of the filters either
        return None
    return [name for scope, name in told if scope in _OWN and name.startswith("filter.")]


_OWN = ("local", "worktree")
_HEARD = "effcc.heard"


def _git(
    folder: Path,
    *words: str,
    patience: float = _PATIENCE,
    protocols: str = "",
    setting: Mapping[str, str] | None = None,
) -> str | None:
    # A hook, which runs inside git, would hand its own repository on.
    environment = {k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE")}
    environment |= _SURROUNDINGS | {"GIT_ALLOW_PROTOCOL": protocols}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env=environment | _settings(environment, setting or {}),
            stdin=subprocess.DEVNULL,
            timeout=patience,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _settings(environment: Mapping[str, str], setting: Mapping[str, str]) -> dict[str, str]:
    """Configuration as variables, after any there: `-c` would end a key at its first `=`."""
    there = environment.get("GIT_CONFIG_COUNT", "")
    first = int(there) if there.isdecimal() else 0
    variables = {"GIT_CONFIG_COUNT": str(first + len(setting))}
    for number, (key, value) in enumerate(setting.items(), first):
        # The bytes that git wrote, whatever the locale writes them as.
        key = os.fsdecode(key.encode("utf-8", "surrogateescape"))
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
