"""A model's `.eval_results/*.yaml` on the Hugging Face Hub: its results out of it, and into it.

An eval result is one figure for one task of one data set on the Hub, and names neither the model,
whose repository it stands in, nor the metric. The format is described at
https://github.com/huggingface/hub-docs/blob/main/eval_results.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from effcc.claims import hub_kept, hub_terms, yamltext
from effcc.claims.claim import Claim, Fact, Result
from effcc.claims.converted import Converted, loss, unheld
from effcc.claims.hub_kept import EVAL
from effcc.claims.hub_results import Problems, said
from effcc.claims.hub_terms import DATASET, KEPT
from effcc.ground.document import Document
from effcc.ground.errors import Problem
from effcc.ground.nodes import KeyPath, unquoted

# The metric of a result that does not say which.
SCORE = "Score"
_WHY = "an eval result has no place for it"
_KEYS = ("dataset", "value", "verifyToken", "date", "source", "evaluation_framework", "notes")
_DATASET = ("id", "task_id", "revision")
_SOURCE = ("url", "name", "user", "org")
_UNKNOWN = "the Hub knows no such key"


def read(document: Document, model: str) -> tuple[list[Claim], list[Problem]]:
    """A model's eval results, and what is wrong or doubtful in them, each with its code.

    Args:
        document: the file.
        model: the name of the model, which the file does not hold.
    """
    problems = Problems(document)
    if not isinstance(document.data, list):
        problems.add("MI080", (), "must be a list of results; begin each with `- dataset:`")
        return [], problems.found
    entries = [(number, _entry(problems, (number,), i)) for number, i in enumerate(document.data)]
    _twice(problems, entries)
    found = [_result(document, (number,), entry) for number, entry in entries if entry]
    results, papers = hub_kept.with_papers(found)
    claim = Claim(model, papers=papers, results=results, place=document.mark((0,)).value)
    return [claim], problems.found


def dump(claim: Claim) -> Converted:
    """A model's results as an eval results file, and what that does not hold of it.

    Of a result's metrics the first is its score. A data set without an identifier on the Hub cannot
    be named; its task is the `config` that the result keeps, or `default`. The notes say what the
    figure is and how it was published, unless there are others.
    """
    named = hub_kept.paper_as_source(claim)
    source = {"source": hub_kept.source(named[1])} if named else {}
    lost: list[Problem] = []
    entries: list[dict[str, Any]] = []
    for number, result in enumerate(hub_kept.held(claim)):
        entry, missing = _written(claim.name, number, result)
        lost += [loss(claim.place, *of_result) for of_result in missing]
        lost += hub_kept.losses(claim, number, result, _WHY)
        if entry:
            entries.append(entry if "source" in entry else entry | source)
    held = [named] if named and any(e.get("source") == source["source"] for e in entries) else []
    return Converted(yamltext.dump(entries), (*unheld([claim], _WHY, held), *lost))


def _entry(problems: Problems, path: KeyPath, data: Any) -> dict[str, Any] | None:
    """An entry without what says nothing, or None if it lacks what it needs."""
    if not isinstance(data, Mapping):
        problems.add("MI080", path, "write `dataset:` and `value:` under it")
        return None
    problems.unknown("MI088", path, data, _KEYS, _UNKNOWN)
    dataset = data.get("dataset")
    good = problems.mapping("MI081", (*path, "dataset"), dataset, ("id",))
    if isinstance(dataset, Mapping):
        good &= _named(problems, (*path, "dataset"), dataset)
    if data.get("value") is None:
        problems.add("MI083", path, "`value:` is missing; add it")
        good = False
    else:
        problems.figure((*path, "value"), data["value"])
    data = problems.texts(path, data, ("verifyToken", "date", "evaluation_framework", "notes"))
    source = data.get("source")
    if source is not None and problems.mapping("MI084", (*path, "source"), source, ("url",)):
        problems.unknown("MI088", (*path, "source"), source, _SOURCE, _UNKNOWN)
        data["source"] = said(problems.texts((*path, "source"), source, _SOURCE))
    else:
        data["source"] = None
    _dated(problems, (*path, "date"), data.get("date"))
    return said(data) if good else None


def _named(problems: Problems, path: KeyPath, dataset: Mapping[str, Any]) -> bool:
    """Whether a data set names its task; its other keys are looked at."""
    if "config" in dataset and "task_id" not in dataset:
        message = "the task is named by `task_id:` now, no more by `config:`; rename it"
        problems.add("MI082", (*path, "config"), message, at_key=True)
        return False
    problems.unknown("MI088", path, dataset, _DATASET, _UNKNOWN)
    name = dataset.get("id")
    if isinstance(name, str) and name and not hub_terms.is_repository(name):
        message = "not OWNER/NAME, as data sets on the Hub are called"
        problems.add("MI087", (*path, "id"), message)
    good = problems.mapping("MI082", path, dataset, ("task_id",))
    return good and problems.texts(path, dataset, ("revision",)) == dataset


def _dated(problems: Problems, path: KeyPath, date: str | None) -> None:
    if date is None:
        return
    try:
        datetime.fromisoformat(date)
    except ValueError:
        problems.add("MI085", path, "not a date as in '2025-01-31', or '2025-01-31T12:00:00Z'")
        return
    place, lines = problems.document.mark(path).value, problems.lines
    if lines[place.line - 1][place.col - 1 : place.col] not in ("'", '"'):
        problems.add("MI086", path, f"write '{date}'; without quotes it is no text to YAML 1.1")


def _twice(problems: Problems, entries: list[tuple[int, dict[str, Any] | None]]) -> None:
    """Warn of two figures for the same task, with nothing said to tell them apart."""
    firsts: dict[tuple[Any, ...], int] = {}
    for number, entry in entries:
        if entry is None:
            continue
        dataset = entry["dataset"]
        same = (dataset["id"], dataset["task_id"], dataset.get("revision"), entry.get("notes"))
        if (first := firsts.setdefault(same, number)) != number:
            message = f"the same task as [{first}]; say in `notes:` what is different"
            problems.add("MI089", (number,), message)


def _result(document: Document, path: KeyPath, entry: Mapping[str, Any]) -> Result:
    identifier = entry["dataset"]["id"]
    dataset, of_dataset = hub_terms.named({"type": identifier, "name": identifier}, DATASET)
    of_dataset["config"] = entry["dataset"]["task_id"]
    if "revision" in entry["dataset"]:
        of_dataset["revision"] = entry["dataset"]["revision"]
    fact = hub_terms.fact(document, (*path, "value"), entry["value"])
    metric, published, notes = _unnoted(fact, entry.get("notes"))
    words = hub_kept.worded(fact) if published is fact else {}
    words |= {"verifyToken": entry["verifyToken"]} if "verifyToken" in entry else {}
    alone = {k: v for k, v in entry.items() if k not in ("dataset", "value", "verifyToken")}
    source = alone.pop("source", None)
    alone |= {"notes": notes}
    alone |= {"id": identifier} if not hub_terms.is_repository(identifier) else {}
    rest = {k: v for k, v in entry["dataset"].items() if k not in _DATASET}
    alone |= {"dataset": rest} if rest else {}
    parts = {
        "dataset": of_dataset,
        "metrics": {metric: words} if words else {},
        "source": source,
        EVAL: said(alone),
    }
    return Result("", dataset, {metric: published}, {KEPT: {k: v for k, v in parts.items() if v}})


def _unnoted(fact: Fact, notes: str | None) -> tuple[str, Fact, str | None]:
    """The metric, the figure as it was published, and the notes if they say anything else."""
    metric, colon, words = (notes or "").rpartition(": ")
    if colon:
        published = Fact(unquoted(words), words, fact.place)
        if _noted(metric, published) == notes and _bare(hub_terms.value(published)[0]) == fact.data:
            return metric, published, None
    return SCORE, fact, notes


def _noted(metric: str, fact: Fact) -> str | None:
    """What the notes say of a figure: its metric and its words, if they are not plain."""
    if (metric == SCORE and hub_terms.value(fact)[1] is None) or not fact.text:
        return None
    return f"{metric}: {fact.text}"


def _bare(value: Any) -> Any:
    return value.data if isinstance(value, Fact) else value


_Missing = tuple[KeyPath, str]


def _written(
    model: str, number: int, result: Result
) -> tuple[dict[str, Any] | None, list[_Missing]]:
    """A result as an entry, or none if there is no figure or no data set to name; what is lost."""
    path: KeyPath = ("Models", model, "Results", number)
    words = hub_kept.kept(result)
    alone = dict(words.get(EVAL, {}))
    of_dataset = words.get("dataset", {})
    described = hub_terms.described(result.dataset, DATASET, of_dataset)
    identifier = alone.pop("id", described["type"])
    figures = [(name, fact) for name, fact in result.metrics.items() if fact.data is not None]
    if not figures:
        return None, [(path, "it has no figure")]
    if not hub_terms.is_repository(identifier) and "id" not in words.get(EVAL, {}):
        return None, [(path, f"{result.dataset!r} is no data set on the Hub that effcc knows")]
    metric, fact = figures[0]
    of_metric = words.get("metrics", {}).get(metric, {})
    value, _ = hub_kept.value(fact, of_metric)
    noted = None if of_metric.get("value") == hub_kept.TEXT else _noted(metric, fact)
    rest = alone.pop("dataset", {})
    dataset = {"id": identifier, "task_id": of_dataset.get("config", "default")}
    dataset |= {k: of_dataset[k] for k in ("revision",) if k in of_dataset} | rest
    entry = {"dataset": dataset, "value": value}
    entry |= {k: of_metric[k] for k in ("verifyToken",) if k in of_metric}
    entry |= {k: words[k] for k in ("source",) if k in words} | alone
    missing = [(path_, _WHY) for path_ in _unheld(path, result, described, figures, words)]
    if noted and "notes" in alone:
        missing.append(((*path, "Metrics", metric), "its notes say something else"))
    elif noted:
        entry["notes"] = noted
    elif metric != SCORE:
        missing.append(((*path, "Metrics", metric), "an eval result does not name its metric"))
    return entry, missing


def _unheld(
    path: KeyPath,
    result: Result,
    described: Mapping[str, Any],
    figures: list[tuple[str, Fact]],
    words: Mapping[str, Any],
) -> Iterator[KeyPath]:
    """What an entry has no place for, of a result that it holds."""
    if result.task:
        yield (*path, "Task")
    if described["name"] != described["type"]:
        yield (*path, "Dataset")
    for name, _ in figures[1:]:
        yield (*path, "Metrics", name)
    for key in words.get("task", {}):
        yield (*path, KEPT, "task", key)
    for key in words.get("dataset", {}):
        if key not in ("type", "config", "revision"):
            yield (*path, KEPT, "dataset", key)
    for name, of_metric in words.get("metrics", {}).items():
        for key in of_metric:
            if (name, key) not in ((figures[0][0], "verifyToken"), (figures[0][0], "value")):
                yield (*path, KEPT, "metrics", name, key)
    for key in words:
        if key not in ("task", "dataset", "metrics", "source", EVAL):
            yield (*path, KEPT, key)
