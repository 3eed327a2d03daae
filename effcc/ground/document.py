"""Text to data that remembers its lines.

A scalar's written text is kept with its place, because `77.32%`, `'0.875'` and `1.0e-05` are how
somebody published a figure. `nodes` says what YAML may hold; the marks of a document are made only
when somebody asks for one, and JSON is read without them.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from yaml import ScalarNode, SequenceNode

from effcc.ground import files, jsontext
from effcc.ground.errors import BadFile, Place, Problem
from effcc.ground.nodes import (
    MAX_DEPTH,
    MAX_NODES,
    UNPRINTABLE,
    KeyPath,
    Nodes,
    compose,
    dotted,
)
from effcc.ground.page import PAGES, model_index_comment, place_of

# Far above any real card, far below what makes a machine swap: bounds on hostile files.
MAX_BYTES = 16 * 2**20
_FEW = 40  # places in a JSON file that are worth looking for one by one

_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


class Mark(NamedTuple):
    """Where a value stands, where its key stands, and how a scalar was written."""

    value: Place
    key: Place
    text: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's data (dicts, lists, scalars) and a mark for every value in it, by key path."""

    file: str
    data: Any
    marks: Mapping[KeyPath, Mark] = field(repr=False)
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


def read(path: Path, shown: str | None = None) -> Document:
    """Read a YAML, JSON or Markdown file; of Markdown, the model-index comment.

    Args:
        path: the file.
        shown: the name used in messages and provenance, usually relative to the project.

    Raises:
        BadFile: the file is missing, not text, not YAML, or breaks a rule of this module.
    """
    shown = shown or str(path)
    text = read_text(path, shown)
    if path.suffix.lower() in PAGES:
        return parse(model_index_comment(text, shown), shown, text)
    if path.suffix.lower() == ".json" and (document := _plain_json(text, shown)):
        return document
    return parse(text, shown)


def _plain_json(text: str, shown: str) -> Document | None:
    """JSON without a node for each value; None if it is too large or has anything unusual in it."""
    if len(text) > MAX_NODES or UNPRINTABLE.search(text):  # so it has no more values than may be
        return None
    try:
        data = jsontext.parse(text, MAX_DEPTH)
    except jsontext.NotPlain:
        return None
    return Document(shown, data, _Found(text, shown), text)


def read_text(path: Path | str, shown: str) -> str:
    """A file's text, whatever byte order mark it begins with.

    Raises:
        BadFile: the file is missing, too large, or not UTF-8.
    """
    try:
        with open(path, "rb", opener=files.plain) as file:
            # No more than is there: asking for 16 MiB costs more than reading a card.
            raw = file.read(min(os.fstat(file.fileno()).st_size, MAX_BYTES) + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise BadFile(Problem(Place(shown), "", message, "MI001")) from None
    if len(raw) > MAX_BYTES:
        message = f"larger than {MAX_BYTES >> 20} MiB; no card is"
        raise BadFile(Problem(Place(shown), "", message, "MI001"))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(shown, raw.count(b"\n", 0, error.start) + 1, 1)
        message = "not UTF-8; save the file as UTF-8"
        raise BadFile(Problem(place, "", message, "MI002")) from None
    # YAML has another escape for characters beyond 16 bits than JSON's two in a row.
    return _SURROGATES.sub(_joined, text) if str(path)[-5:].lower() == ".json" else text


def glance(path: Path) -> str | None:
    """A file's text, whatever it is, as far as it may be read; None if it cannot be at all."""
    if path.exists() and not path.is_file():  # a device gives without end, a pipe not at all
        return None
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8-sig", errors="replace")
    except OSError:
        return None


def parse(text: str, shown: str = "<text>", page: str = "") -> Document:
    """Turn YAML text into a `Document`; `page` is the whole text that it was cut from, if it was.

    Raises:
        BadFile: syntax, a key given twice, a forbidden tag, or nesting and aliases beyond any real
            file.
    """
    root = compose(text, shown)
    nodes = Nodes(shown)
    data = nodes.data(root, ()) if root else None
    if nodes.problems:
        raise BadFile(*nodes.problems)
    return Document(shown, data, _Marks(root, shown), page or text)


def _joined(pair: re.Match[str]) -> str:
    """Two of JSON's escapes as the one character they stand for."""
    return json.loads(f'"{pair[0]}"')


class _Marks(Mapping[KeyPath, Mark]):
    """The marks of a document, made when the first is asked for."""

    def __init__(self, root: Any, shown: str) -> None:
        self.root, self.nodes = root, Nodes(shown)

    @functools.cached_property
    def all(self) -> dict[KeyPath, Mark]:
        found: dict[KeyPath, Mark] = {}
        if self.root:
            self.collect(self.root, (), self.nodes.place(self.root), found)
        return found

    def collect(self, node: Any, path: KeyPath, key: Place, found: dict[KeyPath, Mark]) -> None:
        if isinstance(node, ScalarNode):
            found[path] = Mark(self.nodes.place(node), key, node.value)
            return
        found[path] = Mark(self.nodes.place(node), key)
        if isinstance(node, SequenceNode):
            for number, item in enumerate(node.value):
                self.collect(item, (*path, number), self.nodes.place(item), found)
        else:
            for name, (own, value) in self.nodes.pairs(node, path).items():
                self.collect(value, (*path, name), self.nodes.place(own), found)

    def __getitem__(self, path: KeyPath) -> Mark:
        return self.all[path]

    def __iter__(self) -> Iterator[KeyPath]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)


class _Found(_Marks):
    """The marks of a JSON text: a few are looked for one by one, for more all are made."""

    def __init__(self, text: str, shown: str) -> None:
        super().__init__(None, shown)
        self.text, self.shown, self.asked = text, shown, 0

    @functools.cached_property
    def all(self) -> dict[KeyPath, Mark]:
        self.root = compose(self.text, self.shown)
        return super().all

    def __getitem__(self, path: KeyPath) -> Mark:
        self.asked += 1
        if self.asked > _FEW:
            return self.all[path]
        at, key = jsontext.find(self.text, path)
        value, own = (place_of(self.text, where, self.shown) for where in (at, key))
        return Mark(value, own, jsontext.written(self.text, at))
