"""Text to data that remembers its lines: the only place where YAML is read.

Strict where leniency would hide a mistake: a key given twice, an unknown tag, a tab, a NUL are
problems with a place. Numbers follow YAML 1.2 (`1e-5` is a number, `no` is a word), and a scalar's
written text is kept, because `77.32%`, `'0.875'` and `1.0e-05` are how somebody published a figure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from effcc.catalog.errors import BadFile, Place, Problem
from effcc.catalog.page import PAGES, model_index_comment, place_of

KeyPath = tuple[str | int, ...]

# Far above any real card, far below what makes a machine swap: bounds on hostile files.
MAX_BYTES = 16 * 2**20
MAX_NODES = 200_000
MAX_DEPTH = 60
MAX_DIGITS = 400

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[Any, str] = {
    None: " ~ null Null NULL",
    True: "true True TRUE",
    False: "false False FALSE",
    math.inf: ".inf .Inf .INF +.inf +.Inf +.INF",
    -math.inf: "-.inf -.Inf -.INF",
    math.nan: ".nan .NaN .NAN",
}
_CONSTANTS = {word: value for value, words in _WORDS.items() for word in words.split(" ")}
_CORE = "tag:yaml.org,2002:"
_TAGS = {_CORE + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq")}
_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "null": (type(None),),
}
# Control characters, lone surrogates, and the line ends that YAML 1.1 and 1.2 disagree about.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffe\uffff]"
)
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value stands, where its key stands, and how a scalar was written."""

    value: Place
    key: Place
    text: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's data (dicts, lists, scalars) and a mark for every value in it, by key path."""

    file: str
    data: Any
    marks: dict[KeyPath, Mark] = field(repr=False)
    text: str = field(repr=False, default="")

    def mark(self, path: KeyPath) -> Mark:
        """The mark at `path`, or at its nearest ancestor that is in the file."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, Mark(Place(self.file), Place(self.file)))

    def problem(self, path: KeyPath, message: str, *, at_key: bool = False) -> Problem:
        """A problem with the value (or the key) at `path`."""
        mark = self.mark(path)
        return Problem(mark.key if at_key else mark.value, dotted(path), message)


def dotted(path: KeyPath) -> str:
    """A key path as people write it: Models[0].Metadata.LR."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read(path: Path, shown: str | None = None) -> Document:
    """Read a YAML, JSON or Markdown file; of Markdown, the model-index comment.

    Args:
        path: the file.
        shown: the name used in messages and provenance, usually relative to the project.

    Raises:
        BadFile: the file is missing, not text, not YAML, or breaks a rule of this module.
    """
    shown = shown or str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadFile(
                Problem(Place(shown), "", f"larger than {MAX_BYTES >> 20} MiB; no card is")
            )
        raw = path.read_bytes()
    except OSError as error:
        raise BadFile(Problem(Place(shown), "", f"cannot be read: {error.strerror}")) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadFile(
            Problem(Place(shown, line, 1), "", "not UTF-8; save the file as UTF-8")
        ) from None
    if path.suffix.lower() in PAGES:
        return parse(model_index_comment(text, shown), shown, text)
    if path.suffix.lower() == ".json":
        text = _SURROGATES.sub(_joined, text)
    return parse(text, shown)


def unquoted(text: str) -> Any:
    """What a scalar without quotes is in YAML 1.2: a number, true, false, nothing, or the text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    return float(text) if _FLOAT.fullmatch(text) else text


def _joined(pair: re.Match[str]) -> str:
    """Two of JSON's escapes as the one character they stand for; YAML has another escape for it."""
    return json.loads(f'"{pair[0]}"')


def parse(text: str, shown: str = "<text>", page: str = "") -> Document:
    """Turn YAML text into a `Document`; `page` is the whole text that it was cut from, if it was.

    Raises:
        BadFile: syntax, a key given twice, a forbidden tag, or nesting and aliases beyond any real
            file.
    """
    if bad := _UNPRINTABLE.search(text):
        message = f"control character {bad[0]!r}; remove it"
        raise BadFile(Problem(place_of(text, bad.start(), shown), "", message))
    builder = _Builder(shown)
    try:
        data = builder.document(yaml.parse(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(shown, mark.line + 1, mark.column + 1) if mark else Place(shown)
        reason = f"not YAML: {error.problem or error.context}"
        # The parser has a limit of its own, far above ours, and sees the whole nesting first.
        if "nesting depth" in reason:
            reason = f"nested more than {MAX_DEPTH} deep"
        raise BadFile(Problem(place, "", reason)) from None
    except yaml.YAMLError as error:
        raise BadFile(Problem(Place(shown), "", f"not YAML: {error}")) from None
    if builder.problems:
        raise BadFile(*builder.problems)
    return Document(shown, data, builder.marks, page or text)


@dataclass(slots=True)
class _Node:
    kind: str  # scalar, map, seq
    place: Place
    value: Any  # text, [(key node, value node)], [node]
    tag: str | None = None
    quoted: bool = False


class _Builder:
    """Events to nodes, nodes to data and marks, with the limits counted on the way."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.problems: list[Problem] = []
        self.marks: dict[KeyPath, Mark] = {}
        self.anchors: dict[str, _Node] = {}
        self.count = 0

    def document(self, events: Iterator[Any]) -> Any:
        documents = 0
        data = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.fail(self.place(event), "a second document; keep one a file")
                node = self.node(next(events), events, 0)
                data = self.data(node, (), node.place)
        return data

    def node(self, event: Any, events: Iterator[Any], depth: int) -> _Node:
        place = self.place(event)
        if depth > MAX_DEPTH:
            self.fail(place, f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                self.fail(
                    place, f"alias *{event.anchor} has no anchor before it (or stands inside it)"
                )
            return self.anchors[event.anchor]
        tag = event.tag if event.tag != "!" else _CORE + "str"
        if tag is not None and tag not in _TAGS:
            self.fail(place, f"tag {tag.replace(_CORE, '!!')} is not allowed; data only")
        if isinstance(event, yaml.ScalarEvent):
            node = _Node("scalar", place, event.value, tag, event.style in ("'", '"', "|", ">"))
        elif isinstance(event, yaml.SequenceStartEvent):
            node = _Node("seq", place, [], tag)
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                node.value.append(self.node(item, events, depth + 1))
        else:
            node = _Node("map", place, [], tag)
            while not isinstance(key := next(events), yaml.MappingEndEvent):
                pair = self.node(key, events, depth + 1), self.node(next(events), events, depth + 1)
                node.value.append(pair)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def data(self, node: _Node, path: KeyPath, key: Place) -> Any:
        if node.kind == "scalar":
            self.enter(node, len(path))
            self.marks[path] = Mark(node.place, key, node.value)
            return self.scalar(node, path)
        if node.tag not in (None, _CORE + node.kind):
            message = f"a {node.kind} is not of type {(node.tag or '').removeprefix(_CORE)}"
            self.problems.append(Problem(node.place, dotted(path), message))
        self.marks[path] = Mark(node.place, key)
        if node.kind == "map":
            return self.mapping(node, path)
        self.enter(node, len(path))
        return [self.data(item, (*path, i), item.place) for i, item in enumerate(node.value)]

    def mapping(self, node: _Node, path: KeyPath, depth: int = 0) -> dict[str, Any]:
        self.enter(node, len(path) + depth)
        merged: dict[str, Any] = {}
        own: dict[str, Place] = {}
        for key, value in node.value:
            if key.kind != "scalar":
                message = "a key must be a word, not a list"
                self.problems.append(Problem(key.place, dotted(path), message))
            elif key.value in own:
                message = f"given twice, first on line {own[key.value].line}; keep one"
                self.problems.append(Problem(key.place, dotted((*path, key.value)), message))
            else:
                own[key.value] = key.place
                if key.value == "<<" and not key.quoted:
                    merged = self.merge(value, path, depth)
        result = merged
        for key, value in node.value:
            stated = key.kind == "scalar" and own.get(key.value) is key.place
            if stated and (key.value != "<<" or key.quoted):
                result[key.value] = self.data(value, (*path, key.value), key.place)
        return result

    def merge(self, value: _Node, path: KeyPath, depth: int) -> dict[str, Any]:
        """What `<<` brings; of several mappings the first that has a key gives it."""
        merged: dict[str, Any] = {}
        for source in reversed(value.value if value.kind == "seq" else [value]):
            if source.kind == "map":
                merged |= self.mapping(source, path, depth + 1)
            else:
                self.problems.append(Problem(value.place, dotted(path), "<< takes a mapping"))
        return merged

    def scalar(self, node: _Node, path: KeyPath) -> Any:
        value = self.untagged(node, path)
        kind = (node.tag or "").removeprefix(_CORE)
        if kind and (type(value) not in _KINDS.get(kind, ())):
            message = f"{node.value!r} is not of type {kind}"
            self.problems.append(Problem(node.place, dotted(path), message))
        return value

    def untagged(self, node: _Node, path: KeyPath) -> Any:
        if node.tag == _CORE + "str" or (node.quoted and node.tag is None):
            return node.value
        if len(node.value) > MAX_DIGITS and _INT.fullmatch(node.value):
            message = f"a number of more than {MAX_DIGITS} digits"
            self.problems.append(Problem(node.place, dotted(path), message))
            return 0
        return unquoted(node.value)

    def enter(self, node: _Node, depth: int) -> None:
        self.count += 1
        if self.count > MAX_NODES:
            self.fail(node.place, f"more than {MAX_NODES} values once aliases are followed")
        if depth > MAX_DEPTH:
            self.fail(node.place, f"nested more than {MAX_DEPTH} deep")

    def place(self, event: Any) -> Place:
        return Place(self.shown, event.start_mark.line + 1, event.start_mark.column + 1)

    def fail(self, place: Place, message: str) -> None:
        raise BadFile(Problem(place, "", message), *self.problems)
