"""What others publish about models: a model-index as frozen claims, and back to text.

A claim is somebody's word. Its figures keep their written form and precision and the line they
stand on; nothing here decides whether they are true. The format is documented at
https://github.com/paperswithcode/model-index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from effcc.catalog import schema
from effcc.catalog.claim import Claim, Collection, Fact, Paper, Result
from effcc.catalog.document import Document, KeyPath, read, unquoted
from effcc.catalog.errors import BadFile, Problem

_BIBTEX = re.compile(r"^```+ *bibtex *\n(.*?)^```+ *$", re.IGNORECASE | re.MULTILINE | re.DOTALL)


def load(folder: Path, root: Path) -> dict[str, Claim]:
    """Every claim in a folder's Markdown, YAML and JSON files, by model name.

    Args:
        folder: usually `model-index/`.
        root: imports may not leave it; messages name files relative to it.

    Raises:
        BadFile: with the problems of all files.
    """
    reader = _Reader(root)
    claims: dict[str, Claim] = {}
    for file in files_in(folder):
        for claim in reader.read(file):
            if other := claims.get(claim.name):
                message = f"{claim.name!r} is already in {other.place.short}; rename one"
                reader.problems.append(Problem(claim.place, "Name", message))
            claims.setdefault(claim.name, claim)
    if reader.problems:
        raise BadFile(*reader.problems)
    return claims


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that may hold a model-index, sorted."""
    return sorted(f for f in folder.glob("*") if f.suffix in (".md", ".yml", ".yaml", ".json"))


def load_file(path: Path, root: Path) -> list[Claim]:
    """The claims of one file and of those it imports, each file once.

    Raises:
        BadFile: with every problem of all of them.
    """
    reader = _Reader(root)
    claims = reader.read(path)
    if reader.problems:
        raise BadFile(*reader.problems)
    return claims


def parse(document: Document) -> list[Claim]:
    """The claims of a document, in order.

    Raises:
        BadFile: with everything the schema or the references between entries do not allow.
    """
    problems = schema.problems(document, "model-index")
    if problems:
        raise BadFile(*problems)
    data = document.data or {}
    collections: dict[str, Collection] = {}
    for number, item in enumerate(data.get("Collections", ())):
        if item["Name"] in collections:
            problems.append(
                document.problem(
                    ("Collections", number, "Name"), f"{item['Name']!r} is given twice"
                )
            )
        collections[item["Name"]] = Collection(
            name=item["Name"],
            papers=_papers(item.get("Paper")),
            metadata=_facts(document, ("Collections", number, "Metadata"), item.get("Metadata")),
            code=item.get("Code"),
            readme=item.get("README"),
        )
    claims: dict[str, Claim] = {}
    bibtex = tuple(match.strip() for match in _BIBTEX.findall(document.text))
    for number, item in enumerate(data.get("Models", ())):
        path: KeyPath = ("Models", number)
        named = item.get("In Collection")
        if named is not None and named not in collections:
            hint = (
                schema.closest(named, collections)
                or f"; this file has: {', '.join(collections) or 'none'}"
            )
            problems.append(
                document.problem((*path, "In Collection"), f"no collection {named!r}{hint}")
            )
        if item["Name"] in claims:
            problems.append(
                document.problem((*path, "Name"), f"{item['Name']!r} is given twice; rename one")
            )
        claims[item["Name"]] = Claim(
            name=item["Name"],
            collection=collections.get(named) if named else None,
            papers=_papers(item.get("Paper")),
            metadata=_facts(document, (*path, "Metadata"), item.get("Metadata")),
            code=item.get("Code"),
            weights=(item["Weights"],) if item.get("Weights") else (),
            readme=item.get("README"),
            results=tuple(
                _result(document, (*path, "Results", i), r)
                for i, r in enumerate(item.get("Results", ()))
            ),
            place=document.mark((*path, "Name")).value,
            bibtex=bibtex,
        )
    if problems:
        raise BadFile(*problems)
    return list(claims.values())


def dump(claims: Iterable[Claim]) -> str:
    """Claims as the body of a model-index comment; parsing it gives equal claims back.

    No value can end the comment early: an arrow inside one is written with an escape.
    """
    claims = list(claims)
    collections = {claim.collection.name: claim.collection for claim in claims if claim.collection}
    data: dict[str, Any] = {"Type": "model-index"}
    if collections:
        data["Collections"] = [_without_none(_collection_data(c)) for c in collections.values()]
    data["Models"] = [_without_none(_claim_data(claim)) for claim in claims]
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)
    return text.replace("<", "\\x3c").replace(">", "\\x3e")  # only in double quotes, see _Dumper


def _collection_data(collection: Collection) -> dict[str, Any]:
    return {
        "Name": collection.name,
        "Paper": _paper_data(collection.papers),
        "README": collection.readme,
        "Metadata": dict(collection.metadata) or None,
        "Code": collection.code,
    }


def _claim_data(claim: Claim) -> dict[str, Any]:
    results = [
        {"Task": r.task, "Dataset": r.dataset, "Metrics": dict(r.metrics)} for r in claim.results
    ]
    return {
        "Name": claim.name,
        "In Collection": claim.collection.name if claim.collection else None,
        "Paper": _paper_data(claim.papers),
        "README": claim.readme,
        "Metadata": dict(claim.metadata) or None,
        "Code": claim.code,
        "Weights": claim.weights[0] if claim.weights else None,
        "Results": results or None,
    }


def _papers(data: dict[str, Any] | None) -> tuple[Paper, ...]:
    return (Paper(data.get("Title"), data.get("URL")),) if data else ()


def _paper_data(papers: tuple[Paper, ...]) -> dict[str, Any] | None:
    return _without_none({"Title": papers[0].title, "URL": papers[0].url}) if papers else None


def _without_none(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def _facts(document: Document, path: KeyPath, data: dict[str, Any] | None) -> dict[str, Fact]:
    facts = {}
    for key, value in (data or {}).items():
        facts[key] = _fact(document, (*path, key), value)
    return facts


def _fact(document: Document, path: KeyPath, value: Any) -> Fact:
    mark = document.mark(path)
    if isinstance(value, list):
        items = (_fact(document, (*path, number), item) for number, item in enumerate(value))
        value = tuple(item.data if isinstance(item.data, str) else item for item in items)
    return Fact(value, mark.text, mark.value)


def _result(document: Document, path: KeyPath, data: dict[str, Any]) -> Result:
    return Result(
        data["Task"], data["Dataset"], _facts(document, (*path, "Metrics"), data["Metrics"])
    )


def _shown(path: Path, root: Path) -> str:
    path, root = path.resolve(), root.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


class _Reader:
    """Files and their imports, each read once, with the problems of all."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.seen: set[Path] = set()
        self.problems: list[Problem] = []

    def read(self, path: Path, importers: tuple[Path, ...] = ()) -> list[Claim]:
        path = path.resolve()
        if path in self.seen:
            return []
        self.seen.add(path)
        try:
            document = read(path, _shown(path, self.root))
            claims = parse(document)
        except BadFile as error:
            self.problems.extend(error.problems)
            return []
        chain = (*importers, path)
        imports = (document.data or {}).get("Import") or []
        for number, pattern in enumerate([imports] if isinstance(imports, str) else imports):
            key: KeyPath = ("Import", number) if isinstance(imports, list) else ("Import",)
            for file in self.imported(pattern, path, document, key):
                if file in chain:
                    names = " -> ".join(_shown(p, self.root) for p in (*chain, file))
                    message = f"imports go in a circle: {names}"
                    self.problems.append(document.problem(key, message))
                else:
                    claims += self.read(file, chain)
        return claims

    def imported(self, pattern: str, path: Path, document: Document, key: KeyPath) -> list[Path]:
        """The files that an import names; problems for those it may not or cannot."""
        leaves = ".." in Path(pattern).parts and not self.inside(path.parent / pattern)
        if Path(pattern).is_absolute() or leaves:
            message = f"{pattern!r} leaves {self.root}; imports may not"
            self.problems.append(document.problem(key, message))
            return []
        try:
            files = [file.resolve() for file in sorted(path.parent.glob(pattern)) if file.is_file()]
        except (ValueError, IndexError, OSError):  # what pathlib makes of a pattern that is none
            files = []
        if not files:
            message = f"no file matches {pattern!r} beside {document.file}"
            self.problems.append(document.problem(key, message))
        for file in files:
            if not self.inside(file):
                message = f"{pattern!r} leads to {file}, outside {self.root}"
                self.problems.append(document.problem(key, message))
        return [file for file in files if self.inside(file)]

    def inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root)


class _Dumper(yaml.SafeDumper):
    """Facts as they were written; texts that could end a comment or a line in double quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    style = None
    if re.search(r"[<>]|--|[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe]", text):
        style = '"'
    elif not isinstance(unquoted(text), str):
        style = "'"  # a word to YAML 1.1, a number to 1.2
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


def _represent_fact(dumper: _Dumper, fact: Fact) -> yaml.Node:
    if isinstance(fact.data, str):
        return _represent_text(dumper, fact.data)
    if isinstance(fact.data, dict):
        return dumper.represent_data(fact.data)
    if isinstance(fact.data, tuple):
        return dumper.represent_data(list(fact.data))
    # YAML 1.1 takes `1e-5` for a word; under whatever tag it resolves to, it is printed plain.
    tag = dumper.resolve(yaml.ScalarNode, fact.text, (True, False))
    return dumper.represent_scalar(tag, fact.text)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(Fact, _represent_fact)
