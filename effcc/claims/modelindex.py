"""Model-index files: what they and the files they import claim, and claims back as text."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from effcc.claims import hub_texts, yamltext
from effcc.claims.claim import Claim, Collection, Paper, Result
from effcc.claims.entries import Parser
from effcc.claims.fields import COLLECTIONS, INDEX, MODELS, Asked, Text
from effcc.ground import files, garbage, page
from effcc.ground.document import glance, read_text
from effcc.ground.errors import BadFile, Place, Problem
from effcc.ground.words import closest, listed

# Doubts about figures, which a project may quote all the same.
_AS_PUBLISHED = ("MI012", "MI040", "MI041", "MI042", "MI043", "MI044", "MI046", "MI047")
# Misspelt names that a nearest one is looked for: it takes a while where there are thousands.
_HINTS = 50
_DATA = (".yml", ".yaml", ".json")
# What a data file begins a line with if it is a model-index, among all the YAML of a repository.
_INDEX_KEY = re.compile(r"^[ \t{]*[\"']?(models|collections|import)[\"']?\s*:", re.I | re.M)


@dataclass(slots=True)
class Found:
    """What files claim, everything wrong with them, and where the files are that places name."""

    claims: list[Claim] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def load(folder: Path, root: Path) -> dict[str, Claim]:
    """Every claim in a folder's Markdown, YAML and JSON files, by model name.

    Args:
        folder: usually `model-index/`.
        root: imports may not leave it; messages name files relative to it.

    Raises:
        BadFile: with the problems of all files, and their doubts but for those about figures: what
            somebody published stands as it was published.
    """
    suffixes = (*page.PAGES, *_DATA)
    files = sorted(file for file in folder.glob("*") if file.suffix.lower() in suffixes)
    return {claim.name: claim for claim in _strictly(check(files, root))}


def load_file(path: Path, root: Path) -> list[Claim]:
    """The claims of one file and of those it imports, each file once.

    Raises:
        BadFile: as `load`.
    """
    return _strictly(check([path], root))


def parse(text: str, shown: str = "<text>", page: str = "") -> Found:
    """What a YAML text claims that imports nothing; `page` is what it was cut from, if it was."""
    found = Parser(shown, page).parse(text)
    return Found(_linked([found]), found.problems)


def check(
    paths: Iterable[Path], root: Path, *, outside: bool = False, named_from: Path | None = None
) -> Found:
    """Read files, and what they import, for everything that is wrong with them.

    Args:
        paths: the files, which are one index: no model may be in two of them.
        root: imports may not leave it
        outside: unless this allows them to.
        named_from: messages name files relative to this folder, or else to the root.
    """
    reader = _Reader(root, outside, named_from or root)
    with garbage.left():
        for path in paths:
            reader.file(path)
        claims = _linked(reader.texts)
    problems = [problem for text in reader.texts for problem in text.problems]
    return Found(claims, problems, reader.files)


def files_in(folder: Path) -> list[Path]:
    """The files below a folder that hold a model-index or eval results, sorted.

    Hidden folders are passed over, except those of eval results; and so is whatever is no file or a
    link that leads out of the folder.
    """
    found: list[Path] = []
    inside = os.path.realpath(folder) + os.sep
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "." or name == hub_texts.FOLDER]
        for name in names:
            path = Path(base, name)
            suffix = path.suffix.lower()
            if suffix not in (*page.PAGES, *_DATA) or not _is_within(path, inside):
                continue
            text = glance(path)
            if text is None:  # to be reported
                found.append(path)
            elif suffix in page.PAGES:
                found += [path] * page.may_hold_index(text)
            elif _INDEX_KEY.search(text) or hub_texts.are_eval_results(str(path), text):
                found.append(path)
    return sorted(found)


def dump(claims: Iterable[Claim]) -> str:
    """Claims as the body of a model-index comment; parsing it gives equal claims back.

    No value can end the comment early: an arrow inside one is written with an escape.
    """
    claims = list(claims)
    collections = {claim.collection.name: claim.collection for claim in claims if claim.collection}
    data: dict[str, Any] = {"Type": "model-index"}
    if collections:
        data["Collections"] = [_written(collection) for collection in collections.values()]
    data["Models"] = [_written(claim) for claim in claims]
    text = yamltext.dump(data)
    return text.replace("<", "\\x3c").replace(">", "\\x3e")  # they are in double quotes alone


def _is_within(path: Path, folder: str) -> bool:
    """Whether a path is a file, and not by a link that leads out of a folder."""
    if path.is_symlink() and not os.path.realpath(path).startswith(folder):
        return False
    return path.is_file()


def _written(of: Claim | Collection) -> dict[str, Any]:
    collection = of.collection if isinstance(of, Claim) else None
    code = of.code
    if of.code_version is not None:
        code = _without_none({"URL": of.code, "Version": of.code_version})
    return _without_none(
        {
            "Name": of.name,
            "In Collection": collection.name if collection else None,
            "Paper": _alone([_without_none(_paper(paper)) for paper in of.papers]),
            "README": of.readme,
            "Metadata": dict(of.metadata) or None,
            "Code": code,
            "Weights": _alone(list(of.weights)),
            "Results": [_result(result) for result in of.results] or None,
            **of.extra,
        }
    )


def _paper(paper: Paper) -> dict[str, Any]:
    return {"Title": paper.title, "URL": paper.url}


def _result(result: Result) -> dict[str, Any]:
    of = {"Task": result.task or None, "Dataset": result.dataset or None}
    return {**_without_none(of), "Metrics": dict(result.metrics), **result.extra}


def _alone(items: list[Any]) -> Any:
    """A list as the format has it: nothing, its only item, or the list."""
    return items if len(items) > 1 else items[0] if items else None


def _without_none(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def _strictly(found: Found) -> list[Claim]:
    if refused := [problem for problem in found.problems if problem.code not in _AS_PUBLISHED]:
        raise BadFile(*refused)
    return found.claims


def _linked(texts: list[Text]) -> list[Claim]:
    """Claims with their collections, of their own text or any; what is wrong goes to its text."""
    everywhere: dict[str, Collection] = {}
    hints = _HINTS
    for text in texts:
        for collection in text.collections:
            everywhere.setdefault(collection.name, collection)
    claims: list[Claim] = []
    # A Hub card beside a page may well be of a model that the page is of.
    first: dict[tuple[str, bool], Place] = {}
    for text in texts:
        own = {collection.name: collection for collection in reversed(text.collections)}
        for entry in text.models:
            collection = own.get(entry.collection) or everywhere.get(entry.collection)
            if entry.collection and not collection:
                hints -= 1
                hint = closest(entry.collection, everywhere) if hints > 0 else ""
                there = hint or f"; there are: {listed(everywhere)}"
                if not everywhere:
                    there = " in what was read; check it with the files that it belongs to"
                text.problems.append(entry.missing._replace(message=entry.missing.message + there))
            claim = Claim(**entry.claim, collection=collection)
            named = claim.name, entry.key.startswith(hub_texts.INDEX)
            if named in first:
                message = f"{claim.name!r} is already in {first[named].short}; rename one"
                text.problems.append(Problem(claim.place, entry.key, message, "MI031"))
            first.setdefault(named, claim.place)
            claims.append(claim)
    return claims


class _Reader:
    """Files and their imports, each read once, with what each one says."""

    def __init__(self, root: Path, outside: bool, named_from: Path) -> None:
        self.root = os.path.realpath(root)
        self.below = os.path.realpath(named_from).rstrip(os.sep) + os.sep
        self.outside = outside
        self.texts: list[Text] = []
        self.files: dict[str, str] = {}
        self.seen: set[str] = set()
        self.folders: dict[str, str] = {}

    def file(self, path: Path | str, importers: tuple[str, ...] = ()) -> None:
        """Read a file as a whole index, and then what it imports."""
        real = self.real(path)
        if real in self.seen:
            return
        self.seen.add(real)
        if not self.inside(real) and self.inside(os.path.abspath(path)):
            shown = self.shown(os.path.abspath(path))
            message = f"a link leads to {real}, outside {self.root}"
            self.texts.append(Text(shown, [Problem(Place(shown), "", message, "MI035")]))
            return
        chain = (*importers, real)
        for text in self.read(real, INDEX, chain):
            self.texts.append(text)
            for asked in text.mentions:
                self.missing(asked, real, text)
            for asked in text.imports:
                for file in self.matches(asked, real, text):
                    if file in chain:
                        self.circle(chain, file, text, asked)
                    else:
                        self.file(file, chain)

    def read(self, real: str, part: str, chain: tuple[str, ...]) -> list[Text]:
        """What a file's parts say: one of data, as many as a page holds."""
        shown = self.shown(real)
        self.files[shown] = real
        follow = functools.partial(self.follow, real, chain)
        texts: list[Text] = []
        try:
            whole = read_text(real, shown)
            if os.path.splitext(real)[1].lower() not in page.PAGES:
                if hub_texts.are_eval_results(real, whole):
                    return [hub_texts.figures(whole, shown)]
                parser = Parser(shown, follow=follow)
                return [parser.parse(whole, part)]
            parts = page.parts(whole, shown)
            if not parts:
                message = "no `<!-- Type: model-index` comment on this page"
                raise BadFile(Problem(Place(shown), "", message, "MI010"))
            for cut in parts:
                if cut.front_matter:
                    texts.append(hub_texts.front_matter(cut.text, shown, whole))
                    continue
                parser = Parser(shown, whole, follow)
                texts.append(parser.parse(cut.text, part))
                if cut.arrow >= 0:
                    message = "on the page the comment ends at this arrow; write it in other words"
                    place = page.place_of(whole, cut.arrow, shown)
                    texts[-1].problems.append(Problem(place, "", message, "MI012"))
        except BadFile as error:
            texts.append(Text(shown, list(error.problems)))
        return texts

    def follow(
        self, real: str, chain: tuple[str, ...], text: Text, asked: Asked, part: str
    ) -> list[Text]:
        """What the files say that a field of `text`, in the file `real`, names."""
        found: list[Text] = []
        for file in self.matches(asked, real, text):
            if file in chain:
                self.circle(chain, file, text, asked)
            elif part not in (MODELS, COLLECTIONS) or file not in self.seen:
                self.seen.add(file)
                found += self.read(file, part, (*chain, file))
        self.texts += [Text(other.shown, other.problems) for other in found]
        return found

    def matches(self, asked: Asked, real: str, text: Text) -> list[str]:
        """The files that a pattern beside a file names; problems for those it may not or cannot."""
        folder, pattern = os.path.dirname(real), asked.pattern
        target = os.path.normpath(os.path.join(folder, pattern))
        upwards = os.path.isabs(pattern) or ".." in pattern
        if upwards and not self.inside(target) and not self.inside(os.path.realpath(target)):
            message = f"{pattern!r} leaves {self.root}; imports may not"
            text.problems.append(asked.problem(message, "MI035"))
            return []
        named = map(self.real, files.matching(folder, pattern))
        found = [file for file in named if os.path.isfile(file)]
        if not found:
            message = f"no file matches {pattern!r} beside {text.shown}"
            text.problems.append(asked.problem(message, "MI033"))
        for file in found:
            if not self.inside(file):
                message = f"{pattern!r} leads to {file}, outside {self.root}"
                text.problems.append(asked.problem(message, "MI035"))
        return [file for file in found if self.inside(file)]

    def missing(self, asked: Asked, real: str, text: Text) -> None:
        """Report a page that is neither beside the file that mentions it nor below the root."""
        folders = (os.path.dirname(real), self.root)
        if not any(os.path.isfile(os.path.join(folder, asked.pattern)) for folder in folders):
            message = f"no file {asked.pattern!r} beside {text.shown}, nor from the root"
            text.problems.append(asked.problem(message, "MI037"))

    def circle(self, chain: tuple[str, ...], file: str, text: Text, asked: Asked) -> None:
        """Report imports that lead back to a file they came from."""
        names = " -> ".join(self.shown(name) for name in (*chain, file))
        text.problems.append(asked.problem(f"imports go in a circle: {names}", "MI034"))

    def real(self, path: Path | str) -> str:
        """A path without links; that of a folder is looked up once."""
        folder, name = os.path.split(os.path.abspath(path))
        if folder not in self.folders:
            self.folders[folder] = os.path.realpath(folder)
        real = os.path.join(self.folders[folder], name)
        return os.path.realpath(real) if os.path.islink(real) else real

    def inside(self, path: str) -> bool:
        return self.outside or path == self.root or path.startswith(self.root + os.sep)

    def shown(self, real: str) -> str:
        """A file's name in messages."""
        below = self.below
        return real[len(below) :].replace(os.sep, "/") if real.startswith(below) else real
