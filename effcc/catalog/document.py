"""Text to data that remembers its lines: the only place where YAML is read.

Strict where leniency would hide a mistake: a key given twice, an unknown tag, a tab, a NUL are
problems with a place. Numbers follow YAML 1.2 (`1e-5` is a number, `no` is a word), and a scalar's
written text is kept, because `77.32%`, `'0.875'` and `1.0e-05` are how somebody published a figure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from effcc.catalog.errors import UsageError, UserError

KeyPath = tuple[str | int, ...]
COMMAND_LINE = "command line"  # the file of what was typed there

# Far above any real card, far below what makes a machine swap: bounds on hostile files.
MAX_BYTES = 16 * 2**20
MAX_NODES = 200_000
MAX_DEPTH = 60

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
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_PAGES = (".md", ".mdx", ".markdown")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_COMMENT = re.compile(r"<!--\s*\r?\n?\s*[Tt]ype:\s*['\"]?model-index\b")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file, counted from 1; line 0 is the whole file, or a command line."""

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.col}" if self.line else self.file

    @property
    def short(self) -> str:
        """`file:line`, as a card prints it."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something wrong in a file, in words that say what to write instead."""

    place: Place
    key: str
    message: str

    def __str__(self) -> str:
        return (
            f"{self.place}: {self.key}: {self.message}"
            if self.key
            else f"{self.place}: {self.message}"
        )


class BadFile(UserError):
    """A file, or a command line, that cannot be used, with every problem found in it."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))
        if all(problem.place.file == COMMAND_LINE for problem in problems):
            self.exit_code = UsageError.exit_code


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
    if path.suffix.lower() in _PAGES:
        return parse(model_index_comment(text, shown), shown, text)
    return parse(text, shown)


def may_hold_index(path: Path) -> bool:
    """Whether a file is worth reading for a model-index: data, or a page that names it."""
    if path.suffix.lower() not in _PAGES:
        return True
    return _COMMENT.search(path.read_text("utf-8", errors="replace")) is not None


def model_index_comment(text: str, shown: str = "<text>") -> str:
    """The model-index comment of a Markdown page, at the lines and columns it has there.

    Comments inside code fences are examples, not data.

    Raises:
        BadFile: there is no such comment, or it does not end.
    """
    lines, fence = text.splitlines(keepends=True), ""
    start = 0
    for line in lines:
        opening = _FENCE.match(line)
        if opening and not fence:
            fence = opening[1]
        elif opening and opening[1].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        elif (
            not fence and (begin := line.find("<!--")) >= 0 and _COMMENT.match(text, start + begin)
        ):
            return _comment_body(text, start + begin + 4, shown)
        start += len(line)
    raise BadFile(Problem(Place(shown), "", "no `<!-- Type: model-index` comment on this page"))


def _comment_body(text: str, start: int, shown: str) -> str:
    # A line holding only the arrow ends the comment, so that a value may hold an arrow.
    end = re.compile(r"^[ \t]*-->", re.MULTILINE).search(text, start)
    stop = end.start() if end else text.find("-->", start)
    if stop < 0:
        line = text.count("\n", 0, start) + 1
        raise BadFile(
            Problem(Place(shown, line, 1), "", "the model-index comment does not end; add `-->`")
        )
    line_start = text.rfind("\n", 0, start) + 1
    return "\n" * text.count("\n", 0, start) + " " * (start - line_start) + text[start:stop]


def parse(text: str, shown: str = "<text>", page: str = "") -> Document:
    """Turn YAML text into a `Document`; `page` is the whole text that it was cut from, if it was.

    Raises:
        BadFile: syntax, a key given twice, a forbidden tag, or nesting and aliases beyond any real
            file.
    """
    if bad := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        col = bad.start() - text.rfind("\n", 0, bad.start())
        raise BadFile(
            Problem(Place(shown, line, col), "", f"control character {bad[0]!r}; remove it")
        )
    builder = _Builder(shown)
    try:
        data = builder.document(yaml.parse(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(shown, mark.line + 1, mark.column + 1) if mark else Place(shown)
        raise BadFile(Problem(place, "", f"not YAML: {error.problem or error.context}")) from None
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
            node = _Node("seq", place, [])
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                node.value.append(self.node(item, events, depth + 1))
        else:
            node = _Node("map", place, [])
            while not isinstance(key := next(events), yaml.MappingEndEvent):
                pair = self.node(key, events, depth + 1), self.node(next(events), events, depth + 1)
                node.value.append(pair)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def data(self, node: _Node, path: KeyPath, key: Place) -> Any:
        self.count += 1
        if self.count > MAX_NODES:
            self.fail(node.place, f"more than {MAX_NODES} values once aliases are followed")
        if len(path) > MAX_DEPTH:
            self.fail(node.place, f"nested more than {MAX_DEPTH} deep")
        if node.kind == "scalar":
            self.marks[path] = Mark(node.place, key, node.value)
            return self.scalar(node, path)
        self.marks[path] = Mark(node.place, key)
        if node.kind == "seq":
            return [self.data(item, (*path, i), item.place) for i, item in enumerate(node.value)]
        return self.mapping(node, path)

    def mapping(self, node: _Node, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        own: dict[str, Place] = {}
        for key, value in node.value:
            if key.kind != "scalar":
                self.problems.append(
                    Problem(key.place, dotted(path), "a key must be a word, not a list")
                )
            elif key.value == "<<" and not key.quoted:
                for source in reversed(value.value if value.kind == "seq" else [value]):
                    if source.kind == "map":
                        result = self.mapping(source, path) | result
                    else:
                        self.problems.append(
                            Problem(value.place, dotted(path), "<< takes a mapping")
                        )
            elif key.value in own:
                first = own[key.value]
                message = f"given twice, first on line {first.line}; keep one"
                self.problems.append(Problem(key.place, dotted((*path, key.value)), message))
            else:
                own[key.value] = key.place
        for key, value in node.value:
            if key.kind == "scalar" and own.get(key.value) is key.place:
                result[key.value] = self.data(value, (*path, key.value), key.place)
        return result

    def scalar(self, node: _Node, path: KeyPath) -> Any:
        if (node.quoted and node.tag in (None, _CORE + "str")) or node.tag == _CORE + "str":
            return node.value
        if node.value in _CONSTANTS:
            return _CONSTANTS[node.value]
        if _INT.fullmatch(node.value):
            if len(node.value) > 400:
                self.problems.append(
                    Problem(node.place, dotted(path), "a number of more than 400 digits")
                )
                return 0
            base = {"0o": 8, "0x": 16}.get(node.value[:2], 10)
            return int(node.value, base)
        if _FLOAT.fullmatch(node.value):
            return float(node.value)
        if node.tag is not None and node.tag != _CORE + "str":
            kind = node.tag.removeprefix(_CORE)
            self.problems.append(
                Problem(node.place, dotted(path), f"{node.value!r} is not of type {kind}")
            )
        return node.value

    def place(self, event: Any) -> Place:
        return Place(self.shown, event.start_mark.line + 1, event.start_mark.column + 1)

    def fail(self, place: Place, message: str) -> None:
        raise BadFile(Problem(place, "", message), *self.problems)
