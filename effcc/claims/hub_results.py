"""The front matter's `model-index` as the Hub wants it: what is whole, and what is wrong with it.

The Hub refuses a card without names, results, metrics or values, and with a number where it wants
text; huggingface_hub refuses one without types. Other keys pass and are forgotten. What is null or
an empty name says nothing and is passed over.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from effcc.claims import values
from effcc.ground.document import Document
from effcc.ground.errors import Problem
from effcc.ground.nodes import KeyPath, dotted
from effcc.ground.words import closest

INDEX = "model-index"
_FORGOTTEN = "huggingface_hub forgets this key"
# What huggingface_hub knows; all else it forgets.
_KEYS: dict[str, tuple[str, ...]] = {
    "model": ("name", "results"),
    "result": ("task", "dataset", "metrics", "source"),
    "task": ("type", "name"),
    "dataset": ("type", "name", "config", "split", "revision", "args"),
    "metric": ("type", "name", "value", "config", "args", "verified", "verifyToken"),
    "source": ("name", "url"),
}
# A figure with what people put around it: `20.0 ± 1.2`, `77.3%`, `58.1/87.0`.
_FIGURE = re.compile(r"\s*[-+~<>=≈≤≥]*\s*[0-9]*\.?[0-9].*", re.DOTALL)


class Problems:
    """Problems of one document, as they are found, each with its code."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.found: list[Problem] = []

    @functools.cached_property
    def lines(self) -> list[str]:
        """The lines of the document."""
        return self.document.text.split("\n")

    def add(self, code: str, path: KeyPath, message: str, *, at_key: bool = False) -> None:
        """Note a problem at a value, or at its key."""
        problem = self.document.problem(path, message, at_key=at_key)
        self.found.append(Problem(problem.place, problem.key, problem.message, code))

    def mapping(self, code: str, path: KeyPath, data: Any, needed: tuple[str, ...]) -> bool:
        """Whether `data` is a mapping that has text under each of the needed keys."""
        if not isinstance(data, Mapping):
            self.add(code, path, f"write {' and '.join(f'`{key}:`' for key in needed)} under it")
            return False
        missing = [key for key in needed if data.get(key) in (None, "")]
        for key in missing:
            self.add(code, path, f"`{key}:` is missing; add it")
        return not missing and self.texts(path, data, needed) == data

    def texts(
        self, path: KeyPath, data: Mapping[str, Any], keys: tuple[str, ...]
    ) -> dict[str, Any]:
        """The mapping with text under those of the keys that it has; what is none is reported."""
        texts = dict(data)
        for key in keys:
            if data.get(key) is not None and not isinstance(data[key], str):
                self.add("MI075", (*path, key), "must be text; put it in quotes")
                texts[key] = self.document.mark((*path, key)).text
        return texts

    def figure(self, path: KeyPath, value: Any) -> None:
        """Warn of a value that nobody can compare with another."""
        if isinstance(value, str) and (doubt := values.with_comma(value)):
            self.add("MI079", path, doubt.message)
        elif isinstance(value, str):
            if not _FIGURE.fullmatch(value):
                self.add("MI079", path, "no figure; the Hub shows it, but cannot compare it")
        elif (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            self.add("MI079", path, "no figure; the Hub shows it, but cannot compare it")

    def unknown(
        self, code: str, path: KeyPath, data: Any, known: tuple[str, ...], why: str
    ) -> None:
        """Warn of the keys of a mapping that are not among those known."""
        for key in data if isinstance(data, Mapping) else ():
            if key not in known:
                message = f"{why}{closest(key, known)}"
                self.add(code, (*path, key), message, at_key=True)


@dataclass(frozen=True, slots=True)
class Whole:
    """A model, or a result of one, that has all it needs: where it stands, and its data."""

    path: KeyPath
    data: dict[str, Any]
    results: tuple[Whole, ...] = ()


def models(problems: Problems) -> Iterator[Whole]:
    """Each model of a document that has a name, with those of its results that are whole.

    A metric that is not is None in the list of its result.
    """
    front = problems.document.data
    data: dict[str, Any] = front if isinstance(front, dict) else {}
    index: Any = data.get(INDEX)
    if INDEX not in data and "model_index" in data:
        problems.add("MI070", ("model_index",), f"the Hub reads `{INDEX}:`", at_key=True)
    elif INDEX in data and not isinstance(index, list):
        message = "must be a list of models; begin each with `- name:`"
        problems.add("MI070", (INDEX,), message, at_key=True)
    items: list[Any] = index if isinstance(index, list) else []
    for number, item in enumerate(items):
        path: KeyPath = (INDEX, number)
        if number:
            message = "a second model; huggingface_hub gives the last one all results, keep one"
            problems.add("MI077", path, message)
        if not problems.mapping("MI071", path, item, ("name",)):
            continue
        problems.unknown("MI078", path, item, _KEYS["model"], _FORGOTTEN)
        listed = item.get("results")
        if not isinstance(listed, list):
            message = "`results:` is missing or no list; add it, as `[]` if there are none"
            problems.add("MI072", path, message)
            listed = []
        whole = [_result(problems, (*path, "results", i), r) for i, r in enumerate(listed)]
        results = tuple(result for result in whole if result)
        _merged(problems, results)
        yield Whole(path, said(item), results)


def said(data: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping without what is null, and without an empty name."""
    return {k: v for k, v in data.items() if v is not None and (k, v) != ("name", "")}


def _result(problems: Problems, path: KeyPath, data: Any) -> Whole | None:
    """A result without what says nothing, or None if it is not whole."""
    if not isinstance(data, Mapping):
        problems.add("MI073", path, "write `task:`, `dataset:` and `metrics:` under it")
        return None
    problems.unknown("MI078", path, data, _KEYS["result"], _FORGOTTEN)
    task, dataset, metrics = (data.get(key) for key in ("task", "dataset", "metrics"))
    good = problems.mapping("MI073", (*path, "task"), task, ("type",))
    good &= problems.mapping("MI073", (*path, "dataset"), dataset, ("type", "name"))
    if not isinstance(metrics, list):
        problems.add("MI073", path, "`metrics:` is missing or no list; add it")
        return None
    if not metrics:
        problems.add("MI078", (*path, "metrics"), "huggingface_hub forgets a result without any")
    source = data.get("source")
    if source is not None and problems.mapping("MI076", (*path, "source"), source, ("url",)):
        problems.unknown("MI078", (*path, "source"), source, _KEYS["source"], _FORGOTTEN)
        source = said(problems.texts((*path, "source"), source, ("name",)))
    else:
        source = None
    if not good:
        return None
    parts: dict[str, Any] = {"task": task, "dataset": dataset}
    for key, texts in (("task", ("name",)), ("dataset", ("config", "split", "revision"))):
        problems.unknown("MI078", (*path, key), parts[key], _KEYS[key], _FORGOTTEN)
        parts[key] = said(problems.texts((*path, key), parts[key], texts))
    parts["metrics"] = [
        _metric(problems, (*path, "metrics", number), item) for number, item in enumerate(metrics)
    ]
    return Whole(path, said({**data, **parts, "source": source}))


def _metric(problems: Problems, path: KeyPath, data: Any) -> dict[str, Any] | None:
    if not problems.mapping("MI074", path, data, ("type",)):
        return None
    if data.get("value") is None:
        problems.add("MI074", path, "`value:` is missing; add it")
        return None
    problems.unknown("MI078", path, data, _KEYS["metric"], _FORGOTTEN)
    problems.figure((*path, "value"), data["value"])
    return said(problems.texts(path, data, ("name", "config")))


def _merged(problems: Problems, results: tuple[Whole, ...]) -> None:
    """Warn of results that huggingface_hub would write as one, with the names of the first.

    It groups by task, data set, config, split and revision (`EvalResult.unique_identifier`).
    """
    firsts: dict[str, tuple[KeyPath, str]] = {}
    for result in results:
        task, dataset, source = (result.data.get(k, {}) for k in ("task", "dataset", "source"))
        group = [task["type"], *(dataset.get(k) for k in ("type", "config", "split", "revision"))]
        rest = [task.get("name"), dataset["name"], dataset.get("args")]
        rest += [source.get("url"), source.get("name")]
        first, its = firsts.setdefault(repr(group), (result.path, repr(rest)))
        if its != repr(rest):
            message = (
                f"huggingface_hub writes it into {dotted(first)}, with that one's names, source"
            )
            problems.add("MI078", result.path, f"{message} and args; tell them apart by config")
