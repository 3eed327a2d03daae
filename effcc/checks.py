"""The verb that checks: a project, or any model-index."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import effcc
from effcc import terminal
from effcc.ground import home
from effcc.ground.errors import BadFile, Place, Problem, UsageError
from effcc.ground.words import many

if TYPE_CHECKING:
    from effcc.catalog.registry import Entry
    from effcc.catalog.results import Run
    from effcc.claims.claim import Claim
    from effcc.claims.modelindex import Found

# A file that is no YAML shows one problem at a time.
_PASSES = 100


def check(args: argparse.Namespace) -> int:
    """Check a project, or any model-index: its files, its folders."""
    if args.paths:
        return _check_paths(args)
    for name in ("fix", "facts", "outside", "root"):
        if getattr(args, name):
            raise UsageError(f"check: --{name} needs the files or folders to check")
    return _check_project(args)


def _check_project(args: argparse.Namespace) -> int:
    from effcc import history
    from effcc.catalog import registry
    from effcc.claims import modelindex
    from effcc.proof import verify
    from effcc.proof.comparison import DISPUTED
    from effcc.request import DEFAULT_SOURCE

    at = home.find()
    try:
        entries = registry.entries(at)
        registry.on(entries, DEFAULT_SOURCE)  # a profile's problems show only with it
    except BadFile as error:
        if args.format == "text":
            raise
        _say(args, error.problems, {}, {})
        return error.exit_code
    measured = _Measured(at)
    rows = verify.every(entries, lambda entry: measured.read(entry.spec.name, entry))
    named = measured.records
    for gone in sorted({path.name for path in at.results.glob("*")} - set(rows)):
        measured.read(gone)
    # A digest that was computed anew shows no edit; the last commit does.
    seals = history.seals([*measured.unsealed, *measured.sealed], at)
    problems = [
        *verify.problems(entries, rows),
        *measured.problems,
        *history.problems(seals),
    ]
    disputed = sum(row.verdict == DISPUTED for each in rows.values() for row in each)
    where = {problem.place.file: str(at.root / problem.place.file) for problem in problems}
    counts = {"variants": len(entries), "records": named, "disputed": disputed}
    doubts = modelindex.check(modelindex.files_in(at.model_index), at.root)
    _say(
        args,
        [*problems, *doubts.problems, *_unsaid(entries), *_unread(at), *_left(at)],
        where | doubts.files,
        counts,
    )
    if args.format == "text":
        verdict = many(len(problems), "problem") if problems else "no problem"
        found = f"{many(len(entries), 'variant')}, {many(named, 'record')}"
        unsealed = history.words(measured.unsealed, seals)
        found += f" ({unsealed})" if unsealed else ""
        terminal.say(f"{found}: {verdict}, {many(disputed, 'claim')} disputed")
    return 1 if problems else 0


def _unsaid(entries: Sequence[Entry]) -> Iterator[Problem]:
    """Summaries that nobody has written for their variant; the rest of it may be right."""
    from effcc.catalog import scaffold

    first = dict[str, str]()
    for entry in entries:
        summary = entry.spec.summary
        other = first.setdefault(summary, entry.spec.name)
        _, variant = entry.files.layers[-1]
        if scaffold.UNSAID in summary:
            yield variant.problem(("summary",), "as effcc new wrote it; say what is different")
        elif summary and other != entry.spec.name:
            yield variant.problem(("summary",), f"that of {other} too; say what is different")


def _unread(at: home.Home) -> Iterator[Problem]:
    """Files that somebody may take for a variant's."""
    for path in sorted(at.registry.glob("*.yml")):
        message = f"not read: a variant's file is called {path.with_suffix('.yaml').name}"
        yield Problem(Place(at.shown(path)), "", message)


def _left(at: home.Home) -> Iterator[Problem]:
    """Files of commands that were killed while they wrote; they are no evidence of anything."""
    from effcc.ground import files

    for folder in (*sorted(at.results.glob("*/")), at.models, at.registry, at.model_index):
        for path in files.leftovers(folder):
            message = "left by a command that was killed while it wrote; delete it"
            yield Problem(Place(at.shown(path)), "", message)


class _Measured:
    """Every record of a project, read a variant at a time: only what is wrong is kept.

    `sealed` are the files that a digest answers for, as messages name them, `unsealed` the others.
    """

    def __init__(self, at: home.Home) -> None:
        self.at, self.records = at, 0
        self.problems: list[Problem] = []
        self.sealed: list[str] = []
        self.unsealed: list[str] = []

    def read(self, name: str, entry: Entry | None = None) -> list[Run]:
        """Read a variant's records; its accuracies, newest first, if there is such a variant."""
        from effcc.catalog import results, routings, timings
        from effcc.catalog.seal import Seal

        shelf = results.shelf(self.at, name)
        accuracies, wrong = results.made(shelf, *results.KIND)
        self.problems += wrong
        read = [*accuracies]
        for kind in (timings.KIND, routings.KIND):
            more, wrong = results.made(shelf, *kind)
            read += more
            self.problems += wrong
        self.records += len(read)
        filed = [record.filed for record in read if record.filed]
        for seal, files in ((Seal.WHOLE, self.sealed), (Seal.NONE, self.unsealed)):
            files += [one.document.file for one in filed if one.seal is seal]
        return results.beside(entry, accuracies) if entry else []


def _check_paths(args: argparse.Namespace) -> int:
    from effcc.claims import rules

    paths = [Path(name) for name in args.paths]
    for path in paths:
        if not path.exists():
            raise BadFile(Problem(Place(str(path)), "", "cannot be read: no such file or folder"))
    mended = _fix(args, paths) if args.fix else 0
    found = _found(args, paths)
    problems = sorted(found.problems)
    errors = sum(rules.is_error(problem.code) for problem in problems)
    warnings = len(problems) - errors
    counts = {"files": len(found.files), "models": len(found.claims), "mended": mended}
    facts = [_facts(claim) for claim in found.claims] if args.facts else None
    _say(args, problems, found.files, counts, facts)
    if args.format == "text":
        for claim in found.claims if args.facts else ():
            _print_facts(claim)
        verdicts = [many(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
        mendable = sum(problem.mend is not None for problem in problems)
        verdict = ", ".join(verdicts) or "no problem"
        hint = f" (--fix mends {mendable})" if mendable else ""
        done = f", {many(mended, 'mend')} made" if args.fix else ""
        read = f"{many(len(found.files), 'file')}, {many(len(found.claims), 'model')}"
        terminal.say(f"{read}: {verdict}{hint}{done}")
    return 1 if errors or (args.strict and warnings) else 0


def _found(args: argparse.Namespace, paths: Sequence[Path]) -> Found:
    """What is in the files: those in a folder are one index, and so is each file alone."""
    from effcc.claims import modelindex

    whole = modelindex.Found()
    for path in paths:
        files = modelindex.files_in(path) if path.is_dir() else [path]
        root = Path(args.root) if args.root else _root(path)
        found = modelindex.check(files, root, outside=args.outside, named_from=Path())
        whole.claims += found.claims
        whole.problems += found.problems
        whole.files |= found.files
    return whole


def _root(path: Path) -> Path:
    """What imports may not leave: the repository that a file or folder is in, or the folder."""
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    return next((above for above in (folder, *folder.parents) if (above / ".git").exists()), folder)


def _fix(args: argparse.Namespace, paths: Sequence[Path]) -> int:
    """Mend what needs no thought; returns how much."""
    from effcc.claims import mend

    total = 0
    for _ in range(_PASSES):
        found = _found(args, paths)
        by_file: dict[str, list[Problem]] = {}
        for problem in found.problems:
            if problem.mend:
                by_file.setdefault(found.files[problem.place.file], []).append(problem)
        done = sum(mend.file(Path(file), problems) for file, problems in by_file.items())
        total += done
        if not done:
            break
    return total


def _say(
    args: argparse.Namespace,
    problems: Sequence[Problem],
    files: Mapping[str, str],
    counts: Mapping[str, int],
    facts: list[Any] | None = None,
) -> None:
    from effcc.report import findings

    if args.format == "json":
        data: dict[str, Any] = {**counts, "problems": [findings.as_data(p) for p in problems]}
        if facts is not None:
            data["facts"] = facts
        terminal.say_data(data)
    elif args.format == "sarif":
        terminal.say(findings.sarif(problems, effcc.__version__))
    elif args.format == "github":
        terminal.say(findings.github(problems))
    elif problems:
        terminal.say(findings.text(problems, files), error=True)


def _facts(claim: Claim) -> dict[str, Any]:
    facts = {
        key: {"value": value, "origin": origin, "place": str(place)}
        for key, origin, value, place in _said(claim)
    }
    return {"name": claim.name, "place": str(claim.place), "facts": facts}


def _said(claim: Claim) -> Iterator[tuple[str, str, str, Place]]:
    """Everything that is said of a model: key, whose word it is, value, place."""
    for key, fact in claim.facts.items():
        yield key, claim.origin(key), fact.words, fact.place
    for key, of in {"Paper": "papers", "Code": "code", "Weights": "weights"}.items():
        own, theirs = getattr(claim, of), getattr(claim.collection, of, None)
        origin = "own" if own else f"inherited from {claim.collection and claim.collection.name}"
        if value := own or theirs:
            links = [value] if isinstance(value, str) else value
            words = [link if isinstance(link, str) else link.title or link.url for link in links]
            place = claim.place if own or not claim.collection else claim.collection.place
            yield key, origin, ", ".join(words), place
    for result in claim.results:
        for name, fact in result.metrics.items():
            yield f"{name}, {result.dataset}", "own", fact.words, fact.place


def _print_facts(claim: Claim) -> None:
    terminal.say(f"{claim.name} ({claim.place.short})")
    rows = [(f"  {key}", origin, value) for key, origin, value, _ in _said(claim)]
    terminal.say(terminal.table(("  fact", "origin", "value"), rows) + "\n")
