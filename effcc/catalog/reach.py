"""What settings lead to: code that is imported, commands that run, files and addresses.

Every document that could take part in a run is looked at by itself: of layers that are written over
each other it is the reader's to know which one wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from effcc.catalog import imports
from effcc.ground.document import Document
from effcc.ground.errors import Place
from effcc.ground.nodes import KeyPath, dotted

PIPE = "pipe:"
# What reads a source's or a decoder's files.
_PACKAGES = {
    ("source", "digits"): "sklearn",
    ("source", "huggingface"): "pyarrow",
    ("decoder", "simplejpeg"): "simplejpeg",
}
_READ = ("root", "train", "val", "test")


@dataclass(frozen=True, slots=True)
class Lead:
    """Something that a file names, what it means, and whether it is followed.

    `kind` is import, run, read, write, connect or fetch; `why` is empty of what is allowed.
    """

    place: Place
    key: str
    kind: str
    name: str
    means: str
    why: str = ""


def of(document: Document, *, typed: bool = False) -> Iterator[Lead]:
    """What a settings file leads to, or a record, or a command line that somebody `typed`."""
    data = document.data if isinstance(document.data, Mapping) else {}
    bases: list[KeyPath] = [("settings",)] if "settings" in data else [()]
    profiles = data.get("profiles")  # a record is of any shape that JSON has
    bases += [("profiles", name) for name in profiles] if isinstance(profiles, Mapping) else []
    for base in bases:
        settings: Any = data
        for part in base:
            settings = settings[part]
        if isinstance(settings, Mapping):
            yield from _leads(document, base, settings, typed)


def _leads(
    document: Document, base: KeyPath, settings: Mapping[str, Any], typed: bool
) -> Iterator[Lead]:
    def lead(path: KeyPath, kind: str, name: str, means: str, why: str = "") -> Lead:
        whole = (*base, *path)
        return Lead(document.mark(whole).value, dotted(whole), kind, name, means, why)

    def section(name: str) -> Mapping[str, Any]:
        found = settings.get(name)
        return found if isinstance(found, Mapping) else {}

    for found in imports.named(section("trainer")):
        why = "" if found.allowed else "may not be imported"
        yield lead(("trainer", *found.path), "import", found.text, found.means, why)
    for led in imports.led(section("trainer")):
        why = "" if typed else f"{led.what} may only be typed, as a flag"
        yield lead(("trainer", *led.path), led.kind, led.text, led.text, why)
    for key, value in section("data").items():
        several = isinstance(value, list)
        for number, text in enumerate(value if several else [value]):
            path: KeyPath = ("data", key, number) if several else ("data", key)
            if isinstance(text, str) and text.startswith(PIPE):
                command = text.removeprefix(PIPE)
                why = "" if typed else "a pipe may only be typed, as a flag"
                yield lead(path, "run", text, f"/bin/sh -c {command}", why)
            elif package := _PACKAGES.get((key, str(text))):
                yield lead(path, "import", str(text), package)
            elif key in _READ and isinstance(text, str):
                yield lead(path, "read", text, "images and labels, of which nothing runs")
    pretrained = section("recipe").get("pretrained")
    if isinstance(pretrained, str):
        yield lead(("recipe", "pretrained"), "read", pretrained, "weights, of which nothing runs")
