"""The verb that says what a file could have imported, run, read or fetched, and whether it is."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from effcc import terminal
from effcc.ground import home
from effcc.ground.errors import COMMAND_LINE, BadFile, Place, Problem
from effcc.ground.words import in_a_line, many

if TYPE_CHECKING:
    from effcc.catalog.reach import Lead
    from effcc.claims.claim import Claim
    from effcc.ground.document import Document
    from effcc.ground.home import Home

_WEIGHTS = (".ckpt", ".pth", ".pt", ".bin", ".safetensors")


def audit(args: argparse.Namespace) -> int:
    """Print what settings, records and checkpoints could have imported, and what is refused."""
    from effcc.catalog import imports, layers, reach

    found: dict[Lead, None] = {}
    problems: list[Problem] = []
    for name in args.files:
        try:
            for lead in _in_file(Path(name)):
                found[lead] = None
        except BadFile as error:
            problems += error.problems
    if args.flags:
        found |= dict.fromkeys(reach.of(layers.typed(args.flags), typed=True))
    if args.json and problems:
        raise BadFile(*dict.fromkeys(problems))
    refused = sum(bool(lead.why) for lead in found)
    if args.json:
        leads = [_as_data(lead) for lead in found]
        terminal.say_data({"found": leads, "refused": refused, "allowed": list(imports.ALLOWED)})
        return 1 if refused else 0
    for lead in found:
        verdict = f"refused, {lead.why}" if lead.why else "allowed"
        means = f" ({lead.means})" if lead.means != lead.name else ""
        place = COMMAND_LINE if lead.place.file.startswith("--") else lead.place
        terminal.say(in_a_line(f"{place}: {lead.key}: {verdict}: {lead.kind} {lead.name}{means}"))
    if problems:  # after what was found all the same: a file that fits no schema may hold the worst
        raise BadFile(*dict.fromkeys(problems))
    terminal.say(f"allowed are names that begin with a capital, in: {', '.join(imports.ALLOWED)}")
    files, leads = many(len(args.files), "file"), many(len(found), "name")
    terminal.say(f"{files}, {leads}: {f'{refused} refused' if refused else 'none refused'}")
    return 1 if refused else 0


def _in_file(path: Path) -> Iterator[Lead]:
    from effcc.catalog import layers, reach
    from effcc.ground import document
    from effcc.ground.page import PAGES

    if not path.is_file():
        what = "a folder; name files in it" if path.is_dir() else "no such file; name files"
        raise BadFile(Problem(Place(str(path)), "", f"{what}: settings, records, checkpoints"))
    if path.suffix.lower() in PAGES:
        message = "a page, from which nothing is imported; effcc check FILE reads it"
        raise BadFile(Problem(Place(str(path)), "", message))
    suffix, at = path.suffix.lower(), home.find(path.absolute().parent)
    if suffix in _WEIGHTS or _is_pickled(path):
        yield from _in_weights(path, at)
    elif suffix == ".json":
        yield from reach.of(document.read(path, at.shown(path)))
    else:
        alone = document.read(path, at.shown(path))
        yield from reach.of(alone)
        for settings in layers.around(path, at):
            yield from reach.of(settings)
        yield from _published(alone, at)


def _is_pickled(path: Path) -> bool:
    """Whether a file begins as torch's do, whatever it is called: as an archive, or as a pickle."""
    from effcc.ground import files

    try:
        with open(path, "rb", opener=files.plain) as file:
            start = file.read(4)
    except OSError:
        return False  # which its reader says better
    return start == b"PK\3\4" or start[:1] == b"\x80"


def _published(settings: Document, at: Home) -> Iterator[Lead]:
    """The address that a variant's weights are fetched from, if `weights pull` is asked to."""
    from effcc.claims import modelindex

    stated = settings.data.get("weights") or {}
    hashed = bool(stated.get("sha256"))
    if url := stated.get("url"):
        yield _fetched(settings.mark(("weights", "url")).value, "weights.url", url, hashed)
        return
    claims: dict[str, Claim] = modelindex.load(at.model_index, at.root)
    claim = claims.get(settings.data.get("model", ""))
    for url in claim.weights if claim else ():
        assert claim
        yield _fetched(claim.place, "Weights", url, hashed)


def _fetched(place: Place, key: str, url: str, hashed: bool) -> Lead:
    from effcc.catalog.reach import Lead
    from effcc.nn import published

    why = ""
    try:
        published.hold(url)
        if not hashed and not published.digits_in(url):
            why = "no hash in its name, and no weights.sha256"
    except published.BadDownload as error:
        why = str(error).removeprefix(f"{url}: ")
    return Lead(place, key, "fetch", url, "held against its hash before anything reads it", why)


def _in_weights(path: Path, at: Home) -> Iterator[Lead]:
    """What a checkpoint names for import, and what the settings in it do."""
    from effcc.catalog import reach
    from effcc.catalog.reach import Lead
    from effcc.ground.document import Document
    from effcc.nn import pickles, screen, weights

    shown, refused = at.shown(path), False
    if path.suffix.lower() != ".safetensors":
        try:
            named = pickles.named(path)
        except weights.BadCheckpoint as error:
            message = str(error).removeprefix(f"{path}: ")
            raise BadFile(Problem(Place(shown), "", message)) from None
        for found in named:
            why = "" if screen.allows(found.name) else "no tensor and no plain data"
            refused = refused or bool(why)
            key = f"{found.part} byte {found.at}"
            yield Lead(Place(shown), key, "import", found.name, found.name, why)
    if refused:
        return
    try:
        settings = weights.read(path).settings
    except weights.BadCheckpoint as error:
        message = str(error).removeprefix(f"{path}: ")
        raise BadFile(Problem(Place(shown), "", message)) from None
    yield from reach.of(Document(shown, dict(settings), {}))


def _as_data(lead: Lead) -> dict[str, str | int]:
    return {
        "file": lead.place.file,
        "line": lead.place.line,
        "col": lead.place.col,
        "key": lead.key,
        "kind": lead.kind,
        "name": lead.name,
        "means": lead.means,
        "verdict": "refused" if lead.why else "allowed",
        "why": lead.why,
    }
