"""The verb that carries results between registries: out of a file in one format, into another."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from effcc import terminal
from effcc.ground.errors import BadFile, Place, Problem, UsageError
from effcc.ground.words import printable

if TYPE_CHECKING:
    from effcc.claims.claim import Claim

# Bytes of a folder's name: systems take no more than 255, and a file in it has another beside it.
_LONGEST = 200


def convert(args: argparse.Namespace) -> int:
    """Convert model-index files, Hugging Face cards and eval results into one another."""
    from effcc.claims import formats

    path = Path(args.file)
    found = formats.read(path, args.to, args.model)
    claims = _chosen(found.claims, args.model, path)
    files = dict(_files(claims, args.to, Path(args.out) if args.out else None, path))
    lost, texts, doubts = list(found.apart), dict[Path | None, str](), list(found.doubts)
    for file, share in files.items():
        converted = formats.dump(share, args.to, path.name)
        lost += converted.lost
        if converted.text.strip() != "[]":
            texts[file] = _placed(converted.text, args.to, file, share)
            doubts += formats.doubts(texts[file], args.to, str(file or "output"))
    for line in (*doubts, *(f"left out: {problem}" for problem in lost)):
        terminal.say(line, error=True)
    if not texts or (lost and args.strict):
        terminal.say("nothing was written", error=True)
        return 1
    for file, text in texts.items():
        _write(file, text)
    return 0


def _chosen(claims: list[Claim], model: str | None, path: Path) -> list[Claim]:
    names = ", ".join(claim.name for claim in claims)
    if model is not None and not any(claim.name == model for claim in claims):
        raise UsageError(f"convert: no model {model!r} in {path}; there are: {names or 'none'}")
    if not claims:
        raise BadFile(Problem(Place(str(path)), "", "holds no model"))
    return [claim for claim in claims if model in (None, claim.name)]


def _files(
    claims: Sequence[Claim], to: str, out: Path | None, path: Path
) -> Iterator[tuple[Path | None, Sequence[Claim]]]:
    """Which entries go into which file; a card and eval results are one model's.

    Raises:
        UsageError: they are of several and no folder was named, or the file is of another kind.
    """
    from effcc.claims.formats import EVAL_RESULTS, HF, PWC
    from effcc.ground.page import PAGES

    kinds = {PWC: (*PAGES, ".yml", ".yaml"), HF: PAGES, EVAL_RESULTS: (".yaml",)}
    ending = "" if out is None or out.is_dir() else out.suffix.lower()
    a_file = ending in kinds[to]
    if not a_file and ending in kinds[PWC]:
        raise UsageError(f"convert --out {out}: name a {kinds[to][0]} file, or a folder")
    if to == PWC:
        yield (out if out is None or a_file else out / f"{path.stem}.md"), claims
        return
    if len(claims) > 1 and (out is None or a_file):
        names = ", ".join(claim.name for claim in claims)
        message = "a card holds one model; name one with --model, or a folder for all with --out"
        raise UsageError(f"convert: {message}; there are: {names}")
    by_folder: dict[str, str] = {}
    for claim in claims:
        folder = _folder(claim.name)  # alike to systems that ignore case, too
        if (other := by_folder.setdefault(folder.casefold(), claim.name)) != claim.name:
            message = f"{other!r} and {claim.name!r} would both be in {folder}/"
            raise UsageError(f"convert: {message}; convert each by itself, with --model")
    for claim in claims:
        if out is None or a_file:
            yield out, [claim]
            continue
        folder = out / _folder(claim.name) if len(claims) > 1 else out
        yield folder / ("README.md" if to == HF else ".eval_results/results.yaml"), [claim]


def _folder(name: str) -> str:
    """A model's name as that of a folder."""
    plain = re.sub(r"[^\w.+-]+", "-", name).strip(".-") or "model"
    return plain.encode()[:_LONGEST].decode(errors="ignore")


def _placed(text: str, to: str, file: Path | None, claims: Sequence[Claim]) -> str:
    """A text as its file has it: a card keeps all of the page but its results.

    Raises:
        UsageError: there is such a file, and it is no card, or one of another model.
    """
    from effcc.claims import formats, front_matter, modelindex

    if to == formats.HF:
        if file is None or not file.exists():
            return f"---\n{text}---\n"
        page = file.read_bytes().decode("utf-8", errors="surrogateescape")
        others = {*formats.models_in(page, str(file))} - {claim.name for claim in claims}
        if others:
            names = ", ".join(sorted(others))
            raise UsageError(f"{file}: holds results of {names}; they would be lost, remove them")
        return front_matter.replaced(page, formats.INDEX, text, str(file))
    if file is not None and file.exists():
        raise UsageError(f"{file}: there is such a file; remove it, or name another")
    if file is not None and file.suffix.lower() in (".yml", ".yaml") and to == formats.PWC:
        return modelindex.dump(claims)
    return text


def _write(file: Path | None, text: str) -> None:
    from effcc.ground import files

    if file is None:
        # A program is given what it asked for; a person sees it.
        print(printable(text) if sys.stdout.isatty() else text, end="")
        return
    files.write(file, text.encode("utf-8", errors="surrogateescape"))
    terminal.say(f"wrote {file}")
