"""The text of a model-index as entries, lenient as its readers are, with every doubt collected.

The format is documented at https://github.com/paperswithcode/model-index.
"""

from __future__ import annotations

import re
from typing import Any

from yaml import MappingNode

from effcc.claims import bibtex
from effcc.claims.claim import Collection
from effcc.claims.fields import (
    COLLECTIONS,
    INDEX,
    METADATA,
    MODELS,
    RESULTS,
    Asked,
    Entry,
    Fields,
    Follow,
    Text,
    is_scalar,
)
from effcc.claims.values import NO_VALUE, Doubt
from effcc.ground.errors import BadFile, Problem
from effcc.ground.nodes import KeyPath, Pairs, compose, dotted

_ODD_NAME = re.compile(r"[<>\"'`|\\{}*\[\]\x00-\x1f]|--|^[-.\s]|\s$|.{128}.")


class Parser(Fields):
    """One text's nodes to entries."""

    def __init__(self, shown: str, page: str = "", follow: Follow | None = None) -> None:
        super().__init__(shown, follow)
        self.bibtex = bibtex.printed(page)

    def parse(self, text: str, part: str = INDEX) -> Text:
        """The entries of a text that is a whole index, or the part of one that a field imports."""
        try:
            root = compose(text, self.found.shown)
            if root:
                self.root(root, part)
        except BadFile as error:
            self.nodes.problems.extend(error.problems)
        # What an alias repeats is wrong once, where it stands.
        told = {(p.place, p.code, p.message): p for p in reversed(self.nodes.problems)}
        self.nodes.problems[:] = reversed(told.values())
        return self.found

    def root(self, root: Any, part: str) -> None:
        """A text's outermost value."""
        if not isinstance(root, MappingNode):
            of = MODELS if part == INDEX else part
            if is_scalar(root):
                return self.wrong(root, (), "a mapping (key: value)")
            return self.part(root, (), of)
        folded = {key.casefold(): key for key in self.nodes.pairs(root, ())}
        if part == INDEX:
            whole = folded.keys() & {"models", "collections", "import", "library", "type"}
            return self.index(root) if whole or "name" not in folded else self.model(root, ())
        for word in (part.casefold(), part.casefold().removesuffix("s")):
            if word in folded:
                key = folded[word]
                return self.part(self.nodes.pairs(root, ())[key][1], (key,), part)
        return self.part(root, (), part)

    def index(self, root: Any) -> None:
        """A whole index: its collections and models, and what it imports."""
        keys, extra = self.keys(root, (), INDEX)
        for key, (own, _) in extra.items():
            if not key.startswith((".", "_", "x-")):  # where people keep what aliases repeat
                self.report(own, (key,), Doubt("MI025", "nobody reads this key here"))
        for key, part in (("Collections", COLLECTIONS), ("Models", MODELS)):
            if key in keys:
                node = keys[key][1]
                if is_scalar(node) and not self.text(node):
                    self.report(node, (key,), NO_VALUE)
                self.part(node, (key,), part)
        if "Import" in keys:
            node = keys["Import"][1]
            for item, path in self.one_or_many(node, ("Import",)):
                if pattern := self.words(item, path):
                    self.found.imports.append(Asked(pattern, self.nodes.place(item), dotted(path)))

    def part(self, node: Any, path: KeyPath, part: str) -> None:
        """The value of a key that stands for a whole part of the index."""
        if part == METADATA:
            self.found.metadata = self.facts(node, path)
        elif part == RESULTS:
            self.found.results = self.results(node, path)
        else:
            entry = self.model if part == MODELS else self.collection
            for item, where in self.one_or_many(node, path):
                if isinstance(item, MappingNode):
                    entry(item, where)
                elif not is_scalar(item) or not self.text(item):
                    self.wrong(item, where, "a mapping (key: value)")
                else:
                    for text in self.imported(item, where, part):
                        self.found.models += text.models
                        self.found.collections += text.collections

    def model(self, node: Any, path: KeyPath) -> None:
        """One of `Models`."""
        keys, extra = self.keys(node, path, MODELS)
        claim = self.entry(node, keys, extra, path)
        named, where = "", (*path, "In Collection")
        holder = keys.get("In Collection", (node, node))[1]
        if "In Collection" in keys:
            named = self.words(holder, where) or ""
        message = f"no collection {named!r}"
        missing = Problem(self.nodes.place(holder), dotted(where), message, "MI030")
        if _ODD_NAME.search(claim["name"]):
            doubt = Doubt("MI026", f"{claim['name']!r}: pages and shells trip over such a name")
            self.report(keys["Name"][1], (*path, "Name"), doubt)
        if claim["name"]:
            self.found.models.append(
                Entry(claim | {"bibtex": self.bibtex}, dotted((*path, "Name")), named, missing)
            )

    def collection(self, node: Any, path: KeyPath) -> None:
        """One of `Collections`."""
        keys, extra = self.keys(node, path, COLLECTIONS)
        fields = self.entry(node, keys, extra, path)
        if not fields["name"]:
            return
        collection = Collection(**fields)
        for other in self.found.collections:
            if other.name == collection.name and other != collection:
                line = other.place.line
                doubt = Doubt("MI032", f"{other.name!r} is on line {line} too, and differs")
                self.report(keys["Name"][1], (*path, "Name"), doubt)
        self.found.collections.append(collection)

    def entry(self, node: Any, keys: Pairs, extra: Pairs, path: KeyPath) -> dict[str, Any]:
        """The fields that models and collections share."""
        fields: dict[str, Any] = {"name": "", "place": self.nodes.place(node)}
        if "Name" not in keys:
            self.nodes.report(node, path, "`Name:` is missing; add it", "MI024")
        for key, (_, value) in keys.items():
            where = (*path, key)
            match key:
                case "Name":
                    fields |= {"name": self.name(value, where), "place": self.nodes.place(value)}
                case "Metadata":
                    fields["metadata"] = self.facts(value, where)
                case "Results":
                    fields["results"] = self.results(value, where)
                case "Paper":
                    fields["papers"] = self.papers(value, where)
                case "Code":
                    fields |= self.code(value, where)
                case "Weights":
                    fields["weights"] = self.weights(value, where)
                case "README":
                    fields["readme"] = self.words(value, where)
                    self.mention(value, where, (".md", ".mdx", ".markdown"))
                case "Image":
                    self.mention(value, where, ("",))
                case _:
                    pass
        known = {key: keys[key] for key in ("Config", "Image") if key in keys}
        if kept := known | extra:
            fields["extra"] = {
                key: self.fact(value, (*path, key)) for key, (_, value) in kept.items()
            }
        return fields

    def mention(self, node: Any, path: KeyPath, endings: tuple[str, ...]) -> None:
        """A file that should be there, if a value reads like one."""
        name = self.text(node) if is_scalar(node) else ""
        if name.endswith(endings) and 0 < len(name) < 256 and "://" not in name:
            self.found.mentions.append(Asked(name, self.nodes.place(node), dotted(path)))
