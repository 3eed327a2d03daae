"""Records held against the repository's last commit: where there are no digests, and in a check.

What no digest tells, the commit does, where there is one. Cards do not ask: they are the same bytes
in a copy without a history.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from effcc.ground import git
from effcc.ground.errors import Place, Problem

if TYPE_CHECKING:
    from effcc.catalog.glance import Kept
    from effcc.catalog.seal import Seal
    from effcc.ground.home import Home


def beside(records: Sequence[Kept], home: Home) -> list[Kept]:
    """The records, the unsealed ones with what the last commit says of their files.

    One process of git answers for all. Where it knows nothing of a file, or there is no git, the
    record stays as it is.
    """
    from effcc.catalog.seal import Seal

    unsealed = {r.place().file for r in records if r.filed and r.filed.seal is Seal.NONE}
    known = seals(unsealed, home)
    found: list[Kept] = []
    for record in records:
        assert record.filed
        if (name := record.place().file) in known:
            record = replace(record, filed=replace(record.filed, seal=known[name]))
        found.append(record)
    return found


def seals(records: Iterable[str], home: Home) -> dict[str, Seal]:
    """What the last commit says of files of records, named as messages name them.

    Those that it knows nothing of are left out.
    """
    from effcc.catalog.seal import Seal

    records = list(records)
    blobs = _blobs(home) if records else {}
    found: dict[str, Seal] = {}
    for name in records:
        if name in blobs:
            same = _is_blob((home.root / name).read_bytes(), blobs[name])
            found[name] = Seal.COMMITTED if same else Seal.BROKEN
    return found


def problems(seals: Mapping[str, Seal]) -> list[Problem]:
    """Records that only the commit shows to be edited, of what `seals` says."""
    from effcc.catalog.seal import Seal

    message = "edited by hand: not what was committed; restore the record"
    edited = [name for name, seal in seals.items() if seal is Seal.BROKEN]
    return [Problem(Place(name), "", message) for name in edited]


def words(unsealed: Sequence[str], seals: Mapping[str, Seal]) -> str:
    """How many have no digest, and of how many the commit tells that they are what was made."""
    from effcc.catalog.seal import Seal

    told = [seals[name] for name in unsealed if name in seals]
    known = told.count(Seal.COMMITTED)
    unknown = len(unsealed) - len(told)
    if not known:
        return f"{unknown} unsealed" if unknown else ""
    part = f"{known} of them " if unknown else ""
    return f"{known + unknown} unsealed, {part}as committed"


def _blobs(home: Home) -> dict[str, str]:
    """The hash of each committed record, by the path that messages name; empty without git."""
    folder = home.results.relative_to(home.root).as_posix()
    # Paths are relative to the project, also where the repository begins above it.
    answer = git.ask(home.root, "ls-tree", "-r", "-z", "HEAD", "--", folder) or ""
    rows = (row.partition("\t") for row in answer.split("\0") if row)
    return {path: about.split()[2] for about, _, path in rows}


def _is_blob(content: bytes, name: str) -> bool:
    """Whether git names this content so; Windows may have given its lines other ends."""
    hashed = hashlib.sha256 if len(name) == 64 else hashlib.sha1
    texts = (content, content.replace(b"\r\n", b"\n"))
    return any(hashed(b"blob %d\0" % len(text) + text).hexdigest() == name for text in texts)
