"""Which code a configuration may name, and which places: what is not listed is never imported.

Lightning's parser reads text in a class's place as YAML once more, so a name may stand inside text
that looks like none. Here every text is taken apart as far as that parser would, and further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from effcc.ground.errors import BadFile
from effcc.ground.nodes import KeyPath, compose

# Trainer arguments that are looked up as classes when given as text, and where.
PLACES = {
    "logger": "lightning.pytorch.loggers",
    "callbacks": "lightning.pytorch.callbacks",
    "profiler": "lightning.pytorch.profilers",
    "strategy": "lightning.pytorch.strategies",
    "plugins": "lightning.pytorch.plugins",
    "accelerator": "lightning.pytorch.accelerators",
}
ALLOWED = tuple(PLACES.values())
# What `trainer.logger` may say in a word, and the class that it means.
LOGGERS = {
    "csv": "effcc.train.logfiles.CSV",
    "tensorboard": "effcc.train.logfiles.TensorBoard",
    "wandb": "lightning.pytorch.loggers.WandbLogger",
    "mlflow": "lightning.pytorch.loggers.MLFlowLogger",
}
_ALLOWED = re.compile(rf"({'|'.join(re.escape(place) for place in ALLOWED)})\.[A-Z]\w*", re.ASCII)
# The name of a class there, or of something that Lightning has in a table: ddp, auto.
_WORD = re.compile(r"[A-Za-z][\w-]*", re.ASCII)


# Text that leads out of the folder that somebody is in, to whatever takes it for a path.
_AWAY = re.compile(
    r"""\s*[/\\~]  # from the root or a home
    | .*:(?:[/\\~]|$)  # from a drive, an address, a `file:`; in `{epoch:/>9}` what fills a path
    | (?:.*[/\\:])?\s*\.\.\s*(?:[/\\]|$)  # upwards
    | .*::  # a chain of places, to fsspec
    | .*(?:\$[\w{]|%\w+%)  # whatever a variable says
    | .*\{[^{}:]*\]  # letters out of what Python says of a figure: `{epoch].__doc__[0:s}`
    | .*:(?:.?[<>=^])?[-+ ]?z?\#?\d*[_,]?c\}  # a figure as a letter: 47 is a slash in `{step:c}`
    """,
    re.DOTALL | re.VERBOSE,
)
# Arguments that are an address whatever they look like.
_HOSTS = {"host", "base_url", "http_proxy", "https_proxy"}


class Led(NamedTuple):
    """A text in Trainer arguments that leads to a place which nobody named on a command line."""

    path: KeyPath  # below `trainer`
    text: str
    kind: str  # write or connect

    @property
    def what(self) -> str:
        """What it leads to, in words."""
        return "an address" if self.kind == "connect" else "a path out of the working folder"

    @property
    def setting(self) -> str:
        """The Trainer argument that it is in."""
        return f"trainer.{self.path[0]}"


class Named(NamedTuple):
    """A name in Trainer arguments that could be imported, where it stands, and what it means."""

    path: KeyPath  # below `trainer`
    text: str
    means: str
    allowed: bool

    @property
    def setting(self) -> str:
        """The Trainer argument that it is in."""
        return f"trainer.{self.path[0]}"


def named(trainer: Mapping[str, Any]) -> Iterator[Named]:
    """Everything in Trainer arguments that could be imported, in their order.

    Inside a class's arguments every dotted name counts, because an argument may be a callable that
    is imported by name.
    """
    for key, value in trainer.items():
        for path, text, in_class in _texts(value, (key,), key in PLACES):
            plain = len(path) == 1 and not in_class  # of an argument that holds no class
            for name in [] if plain else [text]:
                if in_class or _is_dotted(name):
                    yield _judged(path, name, in_class)
            for name in _inside(text):
                if _is_dotted(name):
                    yield _judged(path, name, False)


def forbidden(trainer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Import paths in Trainer arguments that are not allowed: (`trainer.<argument>`, path)."""
    refused = ((found.setting, found.text) for found in named(trainer) if not found.allowed)
    yield from dict.fromkeys(refused)


def led(trainer: Mapping[str, Any]) -> Iterator[Led]:
    """Every text in Trainer arguments that leads out of the working folder, or to a host.

    Which arguments are paths only their classes know, so each text is taken for one.
    """
    for key, value in trainer.items():
        for path, text, _ in _texts(value, (key,), key in PLACES):
            inner = list(_inside(text, itself=True))
            for part in dict.fromkeys([text, *inner]):
                if _AWAY.match(part):
                    is_file = "://" not in part or part.strip().lower().startswith("file:")
                    yield Led(path, part, "write" if is_file else "connect")
            if not _HOSTS.isdisjoint([path[-1], *inner]) and text not in _HOSTS:
                yield Led(path, text, "connect")


def _judged(path: KeyPath, text: str, in_class: bool) -> Named:
    place = PLACES.get(str(path[0]), "")
    if in_class and _WORD.fullmatch(text):
        means = f"{place}.{text}" if text[0].isupper() else f"{place}: {text}"
        if path[0] == "logger":
            means = LOGGERS.get(text, means)
        return Named(path, text, means, True)
    # Only what these places bring themselves: a name below one could be what it imports.
    return Named(path, text, text.strip(), _ALLOWED.fullmatch(text) is not None)


def _texts(value: Any, path: KeyPath, in_class: bool) -> Iterator[tuple[KeyPath, str, bool]]:
    """Every text, and whether a class is looked up by it and nothing else is made of it."""
    if isinstance(value, str):
        yield path, value, in_class
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield (*path, key), str(key), False
            yield from _texts(item, (*path, key), key == "class_path")
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _texts(item, (*path, number), in_class)


def _is_dotted(text: str) -> bool:
    parts = text.strip().split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


def _inside(text: str, *, itself: bool = False) -> Iterator[str]:
    """Every word of a text that is a list or a mapping to a reader of YAML, however deep.

    And `itself`, if it is one word that such a reader would take for another, as one in quotes.
    """
    try:
        root = compose(text, "")
    except BadFile:  # no YAML, so a reader of it makes nothing of it either
        return
    queue, seen = [root], set[int]()
    while queue:
        node = queue.pop()
        if isinstance(node, tuple):  # a key and its value
            queue += node
        elif node is not None and id(node) not in seen:
            seen.add(id(node))
            if not isinstance(node.value, str):
                queue += node.value
            elif node is not root or (itself and node.value != text):
                yield node.value
                yield from _inside(node.value, itself=itself)
