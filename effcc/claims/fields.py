"""The fields of an entry in a model-index, in every form that its readers take, with doubts.

Keys are found whatever their case, because the format's own reader does the same; a value that it
takes in several forms (a paper as a link, a list or a mapping) becomes one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from yaml import MappingNode, ScalarNode, SequenceNode

from effcc.claims import values
from effcc.claims.claim import Collection, Fact, Paper, Result
from effcc.claims.values import Doubt
from effcc.ground.errors import Place, Problem
from effcc.ground.nodes import (
    MAX_DIGITS,
    PLAIN,
    QUOTED,
    KeyPath,
    Nodes,
    Pairs,
    dotted,
    is_plain,
    unquoted,
)
from effcc.ground.words import closest

# What a text may be: a whole index or, where a field imports it, a part of one.
INDEX, MODELS, COLLECTIONS, METADATA, RESULTS = (
    *("index", "Models", "Collections", "Metadata", "Results"),
)
_ENTRY = ("Name", "Metadata", "Results", "Paper", "Code", "Weights", "README")
_LISTED = {
    INDEX: ("Type", "Import", "Models", "Collections", "Library"),
    MODELS: (*_ENTRY, "In Collection", "Config", "Image"),
    COLLECTIONS: (*_ENTRY, "Config"),
    METADATA: (
        *values.FIGURES,
        *("Architecture", "Tasks", "Training Data", "Training Techniques", "Training Resources"),
        "ID",
    ),
    RESULTS: ("Task", "Dataset", "Metrics"),
    "Paper": ("Title", "URL"),
    "Code": ("URL", "Version"),
}
_KNOWN = {level: dict.fromkeys(known) for level, known in _LISTED.items()}  # found at once
_FOLDED = {level: {key.casefold(): key for key in known} for level, known in _KNOWN.items()}
_FOLDED[MODELS]["in collections"] = "In Collection"  # as a large toolbox writes it

# Counts under names of their own, such as `Flops(G)` and `Params (M)`, which hold their unit.
_AMOUNT = re.compile(r"(?:flops|macs|params|parameters)\s*\(", re.IGNORECASE)


@dataclass(slots=True)
class Entry:
    """A model whose collection is not found yet."""

    claim: dict[str, Any]  # the fields of a Claim
    key: str  # the key path of its name
    collection: str
    missing: Problem  # what is wrong if nobody has that collection


class Asked(NamedTuple):
    """Files that a text asks for: their pattern, and where it stands."""

    pattern: str
    place: Place
    key: str

    def problem(self, message: str, code: str) -> Problem:
        """Something wrong with what is asked for."""
        return Problem(self.place, self.key, message, code)


@dataclass(slots=True)
class Text:
    """What one text says. It imports whole files, and mentions pages and pictures beside it."""

    shown: str
    problems: list[Problem]
    models: list[Entry] = field(default_factory=list)
    collections: list[Collection] = field(default_factory=list)
    metadata: dict[str, Fact] = field(default_factory=dict)
    results: tuple[Result, ...] = ()
    imports: list[Asked] = field(default_factory=list)
    mentions: list[Asked] = field(default_factory=list)


# Reads the files that a field names instead of saying: by whom, which, for which part.
Follow = Callable[[Text, Asked, str], list[Text]]


class Fields:
    """Nodes to the values of fields, with what is doubtful about them in `found.problems`."""

    def __init__(self, shown: str, follow: Follow | None = None) -> None:
        self.nodes = Nodes(shown)
        self.found = Text(shown, self.nodes.problems)
        self.follow = follow
        self.is_json = shown.lower().endswith(".json")

    def report(self, node: Any, path: KeyPath, doubt: Doubt) -> None:
        """Collect a doubt about the value that stands at a node."""
        mend = (node.value, doubt.mend) if doubt.mend else None
        place = self.nodes.place(node)
        self.nodes.problems.append(Problem(place, dotted(path), doubt.message, doubt.code, mend))

    def name(self, node: Any, path: KeyPath) -> str:
        """A name, which must be there."""
        name = self.words(node, path) or ""
        if not name:
            self.nodes.report(node, path, "a name is missing; add it", "MI024")
        return name

    def papers(self, node: Any, path: KeyPath) -> tuple[Paper, ...]:
        """`Paper`: a title, a link, a mapping of both, or a list of these."""
        found: list[Paper] = []
        for item, where in self.one_or_many(node, path):
            if isinstance(item, MappingNode):
                keys = self.only(item, where, "Paper")
                title = self.words(keys["Title"][1], (*where, "Title")) if "Title" in keys else None
                url = self.address(keys["URL"][1], (*where, "URL")) if "URL" in keys else None
                found += [Paper(title, url)] if title or url else []
            elif text := self.words(item, where):
                is_link = "/" in text and not re.search(r"\s", text)
                if is_link and (url := self.address(item, where)):
                    found.append(Paper(None, url))
                elif not is_link:
                    found.append(Paper(text, None))
        return tuple(found)

    def code(self, node: Any, path: KeyPath) -> dict[str, Any]:
        """`Code`: a link, or a mapping of `URL` and `Version`."""
        for item, where in self.one_or_many(node, path):
            if not isinstance(item, MappingNode):
                return {"code": self.address(item, where)}
            keys = self.only(item, where, "Code")
            url, version = (keys.get(key, (None, None))[1] for key in ("URL", "Version"))
            return {
                "code": self.address(url, (*where, "URL")) if url else None,
                "code_version": self.words(version, (*where, "Version")) if version else None,
            }
        return {}

    def weights(self, node: Any, path: KeyPath) -> tuple[str, ...]:
        """`Weights`: a link, or a list of links."""
        found = (self.address(item, where) for item, where in self.one_or_many(node, path))
        return tuple(url for url in found if url)

    def results(self, node: Any, path: KeyPath) -> tuple[Result, ...]:
        """`Results`: a list, one alone, or the name of a file that holds them."""
        found: list[Result] = []
        for item, where in self.one_or_many(node, path):
            if isinstance(item, MappingNode):
                found.append(self.result(item, where))
            elif is_scalar(item) and self.text(item):
                for text in self.imported(item, where, RESULTS):
                    found.extend(text.results)
            else:
                self.wrong(item, where, "a mapping (key: value)")
        return tuple(found)

    def result(self, node: Any, path: KeyPath) -> Result:
        """One of `Results`."""
        keys, extra = self.keys(node, path, RESULTS)
        of = {key: self.named(keys, key, path) for key in ("Task", "Dataset")}
        for key, word in of.items():
            if not word:
                self.report(node, path, Doubt("MI047", f"`{key}:` is missing; say which"))
        metrics: dict[str, Fact] = {}
        if "Metrics" in keys:
            metrics = self.metrics(keys["Metrics"][1], (*path, "Metrics"))
        else:
            self.report(
                node, path, Doubt("MI040", "`Metrics:` is missing; the result says nothing")
            )
        kept = {key: self.fact(value, (*path, key)) for key, (_, value) in extra.items()}
        return Result(of["Task"], of["Dataset"], metrics, kept)

    def named(self, keys: Pairs, key: str, path: KeyPath) -> str:
        """A task or a data set: its name, or a mapping that holds one."""
        if key not in keys:
            return ""
        node, where = keys[key][1], (*path, key)
        if isinstance(node, MappingNode):
            pairs = self.nodes.pairs(node, where)
            named = [value for name, (_, value) in pairs.items() if name.casefold() == "name"]
            return (self.words(named[0], where) if named else None) or ""
        return self.words(node, where) or ""

    def metrics(self, node: Any, path: KeyPath) -> dict[str, Fact]:
        """Metrics as a mapping, or as a list of mappings with a name and a value each."""
        metrics: dict[str, Fact] = {}
        tops: dict[int, tuple[Fact, Any, str]] = {}
        for name, value, where in self.measured(node, path):
            if name.isdecimal() and is_scalar(value) and not self.text(value):
                message = "a number cut in two by its comma; write it with a dot"
                self.report(value, where, Doubt("MI044", message))
                continue
            fact = metrics[name] = self.fact(value, where)
            if not is_scalar(value):
                continue
            doubt = values.metric(name, fact.text) if self.text(value) else values.NO_VALUE
            if doubt:
                self.report(value, where, doubt)
            elif (k := values.top(name)) and fact.number is not None:
                tops[k] = fact, value, name
        if tops.keys() >= {1, 5}:
            (one, node, name), (five, _, other) = tops[1], tops[5]
            in_one_unit = one.text.endswith("%") == five.text.endswith("%")
            if in_one_unit and (one.number or 0) > (five.number or 0):
                message = f"{name} is above {other}; one of them is wrong"
                self.report(node, (*path, name), Doubt("MI046", message))
        return metrics

    def measured(self, node: Any, path: KeyPath) -> Iterator[tuple[str, Any, KeyPath]]:
        """Names, nodes and key paths of metrics."""
        for item, where in self.one_or_many(node, path, doubt=True):
            if not isinstance(item, MappingNode):
                self.wrong(item, where, "a mapping (key: value)")
                continue
            pairs = self.nodes.pairs(item, where)
            folded = {key.casefold(): value for key, (_, value) in pairs.items()}
            if isinstance(node, SequenceNode) and {"name", "value"} <= folded.keys():
                yield self.words(folded["name"], where) or "", folded["value"], where
            else:
                yield from ((key, value, (*where, key)) for key, (_, value) in pairs.items())

    def facts(self, node: Any, path: KeyPath) -> dict[str, Fact]:
        """Metadata: a mapping, a list of them, or the name of a file that holds it."""
        found: dict[str, Fact] = {}
        known, folded = _KNOWN[METADATA], _FOLDED[METADATA]
        for item, where in self.one_or_many(node, path):
            if is_scalar(item) and self.text(item):
                for text in self.imported(item, where, METADATA):
                    found |= text.metadata
                continue
            if not isinstance(item, MappingNode):
                self.wrong(item, where, "a mapping (key: value)")
                continue
            pairs = self.nodes.pairs(item, where)
            for key, (own, value) in pairs.items():
                at = (*where, key)
                name = key
                if key not in known:
                    name = folded.get(key.casefold().replace("_", " "), key)
                    if name in pairs and name != key:
                        name = key
                    self.spelt(own, at, key, name)
                kind = values.FIGURES.get(name) or ("amount" if _AMOUNT.match(name) else None)
                found[name] = self.figure(value, at, kind)
        return found

    def spelt(self, node: Any, path: KeyPath, key: str, name: str) -> None:
        """Say if a key of the metadata is a known one in other letters, or almost."""
        if name != key:
            message = f"write {name!r}; readers look for that"
            self.report(node, path, Doubt("MI021", message, name))
        elif hint := _near(key, METADATA):
            self.report(node, path, Doubt("MI023", f"unknown key{hint}"))

    def figure(self, node: Any, path: KeyPath, kind: str | None) -> Fact:
        """A value of the metadata; `kind` is what it must be, see `values.FIGURES`."""
        if isinstance(node, ScalarNode):
            fact = self.fact(node, path)
            if fact.data is None or not fact.text:
                doubt = values.NO_VALUE
            else:
                doubt = values.figure(kind, fact.text) if kind else None
        else:
            fact = self.fact(node, path)
            doubt = values.unlike(kind, "a list") if kind else None
        if doubt:
            self.report(node, path, doubt)
        return fact

    def fact(self, node: Any, path: KeyPath) -> Fact:
        """Any value as it was written, figures in lists and mappings too."""
        mark = node.start_mark
        place = Place(self.found.shown, mark.line + 1, mark.column + 1)
        if isinstance(node, ScalarNode):
            return Fact(self.scalar(node, path), node.value, place)
        if isinstance(node, SequenceNode):
            items = enumerate(self.nodes.items(node, path))
            return Fact(tuple([self.item(item, (*path, i)) for i, item in items]), "", place)
        pairs = self.nodes.pairs(node, path)
        return Fact({k: self.fact(v, (*path, k)) for k, (_, v) in pairs.items()}, "", place)

    def item(self, node: Any, path: KeyPath) -> Any:
        """A value in a list: a fact, or, of a word, the word."""
        if isinstance(node, ScalarNode):
            data = self.scalar(node, path)
            return data if isinstance(data, str) else Fact(data, node.value, self.nodes.place(node))
        return self.fact(node, path)

    def scalar(self, node: Any, path: KeyPath) -> Any:
        """The data of a scalar, and what readers disagree about in it."""
        text = node.value
        if node.tag == QUOTED or (len(text) > 5 and text[0].isalpha() and node.tag == PLAIN):
            return text  # a longer word is a word to everybody
        if node.tag != PLAIN or self.is_json or len(text) > MAX_DIGITS:
            return self.nodes.scalar(node, path)
        data, doubt = values.reading(text)
        if doubt:
            self.report(node, path, doubt)
        return data

    def words(self, node: Any, path: KeyPath) -> str | None:
        """A value that is meant as text, or None if nothing stands there."""
        if not is_scalar(node):
            self.wrong(node, path, "text")
            return None
        if not is_plain(node):
            return str(self.nodes.scalar(node, path)) or None
        if not self.is_json and (doubt := values.worded(node.value)):
            self.report(node, path, doubt)
        return None if unquoted(node.value) is None else node.value

    def text(self, node: Any) -> str:
        """A scalar's text as it was written; empty if it stands for nothing."""
        return "" if is_plain(node) and unquoted(node.value) is None else node.value

    def address(self, node: Any, path: KeyPath) -> str | None:
        """A link, or None if nothing stands there or a browser must not follow it."""
        text = self.words(node, path)
        if not text or not text.strip("- "):
            return None
        doubt = values.link(text)
        if doubt:
            self.report(node, path, doubt)
        return None if doubt and doubt.code == "MI050" else text

    def imported(self, node: Any, path: KeyPath, part: str) -> list[Text]:
        """What the files say that a field names."""
        if self.follow is None:
            message = "names a file, and there is no folder to look in"
            self.nodes.report(node, path, message, "MI033")
            return []
        asked = Asked(self.text(node), self.nodes.place(node), dotted(path))
        return self.follow(self.found, asked, part)

    def one_or_many(
        self, node: Any, path: KeyPath, *, doubt: bool = False
    ) -> Iterator[tuple[Any, KeyPath]]:
        """The items of a list, or the value itself; nothing of nothing, which may be a doubt."""
        if isinstance(node, SequenceNode):
            yield from ((v, (*path, i)) for i, v in enumerate(self.nodes.items(node, path)))
        elif not (is_scalar(node) and not self.text(node)):
            yield node, path
        elif doubt:
            self.report(node, path, values.NO_VALUE)

    def only(self, node: Any, path: KeyPath, level: str) -> Pairs:
        """The known keys of a mapping whose others are lost."""
        keys, extra = self.keys(node, path, level)
        for key, (own, _) in extra.items():
            self.report(own, (*path, key), Doubt("MI025", "nobody reads this key here"))
        return keys

    def keys(self, node: Any, path: KeyPath, level: str) -> tuple[Pairs, Pairs]:
        """The known keys of a mapping, under their proper names, and the others."""
        known, folded = _KNOWN[level], _FOLDED[level]
        found: Pairs = {}
        extra: Pairs = {}
        pairs = self.nodes.pairs(node, path)
        for key, pair in pairs.items():
            if key in known:
                found[key] = pair
                continue
            name = folded.get(key.casefold().replace("_", " "))
            if name and name not in pairs and name not in found:
                self.report(
                    pair[0],
                    (*path, key),
                    Doubt("MI021", f"write {name!r}; readers look for that", name),
                )
                found[name] = pair
            elif name:
                message = f"given twice, as {name!r} too; keep one"
                self.nodes.report(pair[0], (*path, key), message, "MI005")
            elif hint := _near(key, level):
                self.nodes.report(pair[0], (*path, key), f"unknown key{hint}", "MI022")
            else:
                extra[key] = pair
        return found, extra

    def wrong(self, node: Any, path: KeyPath, expected: str) -> None:
        """Report a value of another kind than its key takes."""
        kinds = {"ScalarNode": "text", "SequenceNode": "a list", "MappingNode": "a mapping"}
        found = kinds[type(node).__name__]
        if is_scalar(node):
            found = f"{node.value!r}" if self.text(node) else "nothing"
        self.nodes.report(node, path, f"expected {expected}, found {found}", "MI020")


@functools.lru_cache(maxsize=4096)
def _near(key: str, level: str) -> str:
    # Models, collections and metadata may have keys of their own; elsewhere any other is a mistake.
    open_ended = level in (MODELS, COLLECTIONS, METADATA)
    return closest(key, _KNOWN[level], 0.84 if open_ended else 0.7)


def is_scalar(node: Any) -> bool:
    """Whether a node is neither list nor mapping."""
    return isinstance(node, ScalarNode)
