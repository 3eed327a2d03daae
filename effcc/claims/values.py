"""What is doubtful or wrong about one written value, whatever file it stands in.

YAML 1.1, which most readers of model-index files follow, and 1.2 read some words differently; and
some figures cannot be true whoever measured them.
"""

from __future__ import annotations

import functools
import re
from decimal import Decimal
from typing import Any, NamedTuple

import yaml

from effcc.claims.claim import Fact
from effcc.ground.nodes import unquoted


class Doubt(NamedTuple):
    """A rule that a value breaks; `mend` is what to write instead, where that needs no thought."""

    code: str
    message: str
    mend: str | None = None


NO_VALUE = Doubt("MI040", "no value; leave the key out until there is one")
# The keys of the metadata that are figures or choices, and what each may be.
FIGURES = {
    "FLOPs": "count",
    "Parameters": "count",
    "File Size": "count",
    "LR": "positive",
    "Epochs": "whole",
    "Batch Size": "whole",
    "Image Size": "whole",
    "Crop Pct": "fraction",
    "Momentum": "fraction",
    "Weight Decay": "fraction",
    "RMSProp Decay": "fraction",
    "Label Smoothing": "fraction",
    "BatchNorm Momentum": "fraction",
    "Interpolation": "interpolation",
}
_EXPECTED = {
    "count": "a count such as 13310000 or '13.3M'",
    "amount": "an amount from 0 on",
    "positive": "a positive number",
    "whole": "a whole number of at least 1",
    "fraction": "a number from 0 to 1",
    "interpolation": "one of nearest, bilinear, bicubic, lanczos",
    "accuracy": "an accuracy such as 77.32%",
}
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")
_NOTHING = {"", "-", "--", "n/a", "na", "none", "null", "nan", "tbd", "?"}
_ACCURACY = re.compile(r"top[ _-]?[0-9]+\b(?!.*error)|.*\baccuracy\b", re.IGNORECASE)
_TOP = re.compile(r"top[ _-]?(?P<k>[0-9]+)\b(?!.*error)", re.IGNORECASE)
_SEVERAL = re.compile(r"[-+.0-9]+\s*[%kKMGT]?\s*(?:/|\(|\||±|\+-|;|,\s).*[0-9]")
_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+\s*[%kKMGT]?")
_ADDRESS = re.compile(r"https?://[^\s<>\"]+")
_SCHEME = re.compile(r"(?!https?:)[a-zA-Z][a-zA-Z0-9+.-]*:(?!\s)|//")
_FIGURE = re.compile(r"([-+]?)([0-9]*)(\.[0-9]*)?(?:([eE])([-+]?)([0-9]+))?")
_RESOLVERS: dict[Any, Any] = yaml.SafeLoader.yaml_implicit_resolvers


@functools.lru_cache(maxsize=8192)
def reading(text: str) -> tuple[Any, Doubt | None]:
    """What an unquoted value is, and what readers disagree about in it."""
    return unquoted(text), plain(text)


def plain(text: str) -> Doubt | None:
    """What readers disagree about in an unquoted value."""
    ours, theirs = unquoted(text), _yaml11(text)
    if isinstance(ours, str):
        if theirs == "str":
            return None
    elif isinstance(ours, bool) or ours is None or not _misread(text, ours, theirs):
        return None
    elif theirs == "str" and isinstance(ours, float) and (better := _with_a_dot(text)):
        message = f"{text} is text to many readers; write {better}"
        return Doubt("MI041", message, better)
    quoted = f"'{text}'"
    kinds = {"int": "a number", "float": "a number", "bool": "true or false", "str": "text"}
    kind = kinds.get(theirs, f"a {theirs}")
    message = f"{text} is {kind} to some readers; write {quoted} if it is text"
    return Doubt("MI042", message, quoted)


@functools.lru_cache(maxsize=8192)
def worded(text: str) -> Doubt | None:
    """What readers disagree about in an unquoted value that is meant as text."""
    doubt = plain(text)
    if doubt and doubt.code == "MI041":
        message = f"{text} is a number to some readers; write '{text}'"
        return Doubt("MI042", message, f"'{text}'")
    return doubt


@functools.lru_cache(maxsize=8192)
def figure(kind: str, text: str) -> Doubt | None:
    """What is wrong with `text` as a figure of the metadata; `kind` is one of FIGURES."""
    if kind == "interpolation":
        if text in _INTERPOLATIONS:
            return None
        doubt = unlike(kind, text)
        return doubt._replace(mend=text.lower()) if text.lower() in _INTERPOLATIONS else doubt
    number = Fact(text, text).number
    if number is None:
        told = nothing(text) or with_comma(text) or several(text)
        return told or (None if kind == "amount" else unlike(kind, text))
    match kind:
        case "fraction":
            good = 0 <= number <= 1
        case "positive":
            good = number > 0
        case "whole":
            good = number >= 1 and number == int(number)
        case _:
            good = number >= 0
    if good:
        return None
    return Doubt("MI045", f"expected {_EXPECTED[kind]}, found {text}")


@functools.lru_cache(maxsize=8192)
def metric(name: str, text: str) -> Doubt | None:
    """What is wrong with a measured value: nothing there, several in one, an impossible share."""
    number = Fact(text, text).number
    if number is None:
        return nothing(text) or with_comma(text) or several(text)
    if _ACCURACY.match(name):
        percent = 100 * number if text.rstrip().endswith("%") else number
        if not 0 <= percent <= 100:
            return Doubt("MI045", f"an accuracy is from 0 to 100 %, found {text}")
    return None


def top(name: str) -> int | None:
    """The k of a metric that counts a class among the first k, such as `Top 5 Accuracy`."""
    match = _TOP.match(name)
    return int(match["k"]) if match else None


def nothing(text: str) -> Doubt | None:
    """Whether a text says that there is no value."""
    if text.strip().lower() not in _NOTHING:
        return None
    return NO_VALUE


def with_comma(text: str) -> Doubt | None:
    """Whether a figure has a comma where YAML's numbers have a dot."""
    if not _COMMA.fullmatch(text):
        return None
    return Doubt("MI044", f"a comma inside a number; write {text.replace(',', '.')}")


def several(text: str) -> Doubt | None:
    """Whether a text holds more figures than one."""
    if not _SEVERAL.match(text):
        return None
    return Doubt("MI043", f"several figures in {text!r}; give each a key of its own")


def unlike(kind: str, text: str) -> Doubt:
    """The doubt about a text that is no figure of this kind."""
    return Doubt("MI044", f"expected {_EXPECTED[kind]}, found {text!r}")


@functools.lru_cache(maxsize=8192)
def link(text: str) -> Doubt | None:
    """What is wrong with a link on a page."""
    if _ADDRESS.fullmatch(text):
        return None
    if text.startswith(("http://", "https://")):
        message = f"{text!r} is no address; write %20 for a space, and no quotes or brackets"
        return Doubt("MI051", message)
    if _SCHEME.match(text):
        return Doubt(
            "MI050", f"expected a link that begins with http:// or https://, found {text!r}"
        )
    return Doubt("MI051", f"{text!r} is no address; links begin with http:// or https://")


def _yaml11(text: str) -> str:
    """What an unquoted value is to PyYAML, which follows YAML 1.1."""
    for tag, pattern in (*_RESOLVERS.get(text[:1], ()), *_RESOLVERS.get(None, ())):
        if pattern.match(text):
            return tag.rpartition(":")[2]
    return "str"


def _misread(text: str, ours: float, theirs: str) -> bool:
    """Whether a number of YAML 1.2 is something else in YAML 1.1."""
    if theirs not in ("int", "float"):
        return True
    leading_zero = re.fullmatch(r"[-+]?0[0-9]+", text) is not None  # octal there
    return leading_zero and ours != 0


def _with_a_dot(text: str) -> str | None:
    """The same number as YAML 1.1 writes it: 1e-5 as 1.0e-5, 1.5e5 as 1.5e+5."""
    match = _FIGURE.fullmatch(text)
    if not match:
        return None
    sign, whole, part, e, exponent_sign, exponent = match.groups()
    figures = f"{sign}{whole or '0'}{part if part and part != '.' else '.0'}"
    better = f"{figures}{e}{exponent_sign or '+'}{exponent}" if e else figures
    same = Decimal(better) == Decimal(text)
    return better if same and _yaml11(better) == "float" else None
