"""What the Hugging Face Hub calls a task, a data set and a metric, and how it writes a figure.

Where the Hub's word follows from ours, nothing is noted; where it does not, it is kept beside the
result under `KEPT`, so that it comes back as it stood. A percentage is a fraction on the Hub, whose
metrics run from 0 to 1: `77.30%` is written 0.7730, and the metric's free `args` hold the words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

import yaml

from effcc.claims.claim import Fact
from effcc.ground.document import Document
from effcc.ground.nodes import KeyPath, unquoted

# The key in a result's or an entry's `extra` for what only the Hub's formats have words for.
KEPT = "Hugging Face"
# In a metric's `args`: the figure as it was published, where the value is another way to write it.
WRITTEN = "written"
# The kinds of name.
TASK, DATASET, METRIC = "task", "dataset", "metric"
# Both formats need a task and a data set; nobody's is called this.
_NOT_STATED = ("other", "not stated")
# Names whose identifier on the Hub is not just their letters. Data sets: huggingface.co/datasets;
# metrics: huggingface.co/metrics.
_IDENTIFIERS = {
    DATASET: {
        "ImageNet": "ILSVRC/imagenet-1k",
        "ImageNet-1k": "ILSVRC/imagenet-1k",
        "CIFAR-10": "uoft-cs/cifar10",
        "CIFAR-100": "uoft-cs/cifar100",
        "MNIST": "ylecun/mnist",
    },
    METRIC: {"Top 1 Accuracy": "accuracy", "mIoU": "mean_iou"},
}
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_PERCENT = re.compile(r"([-+]?[0-9]{1,15}(?:\.[0-9]{1,15})?) ?%")


def identifier(name: str, kind: str) -> str:
    """The Hub's identifier of a name: its letters and digits, unless the Hub has another word."""
    if known := _IDENTIFIERS.get(kind, {}).get(name):
        return known
    if kind == DATASET and is_repository(name):
        return name
    return re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-") or name


def is_repository(name: str) -> bool:
    """Whether a name is that of a repository on the Hub: OWNER/NAME."""
    return bool(_REPOSITORY.fullmatch(name))


def described(name: str, kind: str, kept: Mapping[str, Any]) -> dict[str, Any]:
    """A name as the Hub has it: `type`, `name` if it says more, and all else that was kept."""
    usual, shown = (identifier(name, kind), name) if name else _NOT_STATED
    typed = kept.get("type", usual)
    if "name" in kept or (shown == typed and kind != DATASET):
        shown = kept.get("name", "")
    rest = {key: value for key, value in kept.items() if key not in ("type", "name")}
    return {"type": typed} | ({"name": shown} if shown else {}) | rest


def named(
    data: Mapping[str, Any], kind: str, taken: Collection[str] = ()
) -> tuple[str, dict[str, Any]]:
    """The name in a description of the Hub's, not one of those taken, and what must be kept.

    `described` makes the same description of the two again.
    """
    typed, shown = data["type"], data.get("name") or ""
    name = "" if (typed, shown) == _NOT_STATED else shown or typed
    if name in taken:
        name = next(n for i in range(2, len(taken) + 3) if (n := f"{name} ({i})") not in taken)
    kept: dict[str, Any] = {}
    if described(name, kind, {})["type"] != typed:
        kept["type"] = typed
    if described(name, kind, kept).get("name", "") != shown:
        kept["name"] = shown
    return name, kept | {key: value for key, value in data.items() if key not in ("type", "name")}


def value(fact: Fact) -> tuple[Any, str | None]:
    """A figure as both YAMLs read it, and how it was written if that is not the same."""
    data = fact.data
    if isinstance(data, str) and (percent := _PERCENT.fullmatch(data)):
        text = f"{Decimal(percent[1]).scaleb(-2):f}"
        return Fact(float(text), text), data
    if isinstance(data, bool) or not isinstance(data, int | float):
        return _parts(data), None
    if _alike(fact.text, data):
        return Fact(data, fact.text), None
    return Fact(data, _number(data)), fact.text


def unwritten(fact: Fact, args: Any) -> tuple[Fact, Any]:
    """A figure as its `args` say it was written, if they do and agree, and the other `args`."""
    words = args.get(WRITTEN) if isinstance(args, dict) else None
    if isinstance(words, str):
        published = Fact(unquoted(words), words, fact.place)
        number, written = value(published)
        if written == words and number.data == fact.data:
            return published, {k: v for k, v in args.items() if k != WRITTEN} or None
    return fact, args


def fact(document: Document, path: KeyPath, data: Any) -> Fact:
    """A value of a document with the text it was written as; figures in it keep theirs."""
    mark = document.mark(path)
    if isinstance(data, dict):
        data = {key: fact(document, (*path, key), item) for key, item in data.items()}
    elif isinstance(data, list):
        items = (fact(document, (*path, number), item) for number, item in enumerate(data))
        data = tuple(item.data if isinstance(item.data, str) else item for item in items)
    return Fact(data, mark.text, mark.value)


def bare(data: Any) -> Any:
    """Data without the places and texts of its facts, all the way down."""
    if isinstance(data, Fact):
        return bare(data.data)
    if isinstance(data, Mapping):
        return {key: bare(item) for key, item in data.items()}
    return [bare(item) for item in data] if isinstance(data, list | tuple) else data


def _parts(data: Any) -> Any:
    """A list or a mapping of figures, each as both YAMLs read it."""
    if isinstance(data, Fact):
        return value(data)[0]
    if isinstance(data, Mapping):
        return {key: _parts(item) for key, item in data.items()}
    return [_parts(item) for item in data] if isinstance(data, list | tuple) else data


def _alike(text: str, data: float) -> bool:
    """Whether YAML 1.1 reads the number in a text that YAML 1.2 does."""
    try:
        read = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return False
    return type(read) is type(data) and repr(read) == repr(data)


def _number(data: float) -> str:
    """A number that YAML 1.1 and 1.2 read alike."""
    if not math.isfinite(data):
        return ".nan" if math.isnan(data) else ".inf" if data > 0 else "-.inf"
    mantissa, exponent, power = repr(data).partition("e")
    return mantissa + (".0" if exponent and "." not in mantissa else "") + exponent + power
