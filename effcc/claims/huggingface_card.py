"""The `model-index` in the front matter of a Hugging Face card: claims out of it, and into it.

It holds results and where they come from, nothing else of an entry. The format is described at
https://github.com/huggingface/hub-docs/blob/main/modelcard.md. One trap: huggingface_hub reads the
models of a card as one, under the name of the last, so a card should hold one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from effcc.claims import hub_kept, hub_terms, yamltext
from effcc.claims.claim import Claim, Fact, Result
from effcc.claims.converted import Converted, loss, unheld
from effcc.claims.hub_kept import EVAL
from effcc.claims.hub_results import INDEX, Problems, Whole, models
from effcc.claims.hub_terms import DATASET, KEPT, METRIC, TASK
from effcc.ground.document import Document
from effcc.ground.errors import Problem

_WHY = "a Hugging Face model-index holds results only"


def read(document: Document) -> tuple[list[Claim], list[Problem]]:
    """The models of a card's front matter, and what is wrong or doubtful in it, each with its code.

    What is wrong, `rules.is_error`, is left out of the claims.
    A source that all results share is the model's paper if its address is a paper's.
    """
    problems = Problems(document)
    claims = [_claim(document, model) for model in models(problems)]
    return claims, problems.found


def dump(claims: Sequence[Claim]) -> Converted:
    """Claims as the key `model-index` of front matter, and what it does not hold of them.

    A model that names no results has its collection's. The first paper with a link is the source of
    results that name none.
    """
    papers = [named for claim in claims if (named := hub_kept.paper_as_source(claim))]
    lost = [*unheld(claims, _WHY, papers)]
    data = [_model(claim, lost) for claim in claims]
    return Converted(yamltext.dump({INDEX: data}), tuple(lost))


def described(result: Result) -> dict[str, Any]:
    """One result as the front matter has it; a metric without a figure is left out."""
    words = hub_kept.kept(result)
    metrics = words.get("metrics", {})
    return {
        "task": hub_terms.described(result.task, TASK, words.get("task", {})),
        "dataset": hub_terms.described(result.dataset, DATASET, words.get("dataset", {})),
        "metrics": [
            _metric(name, fact, metrics.get(name, {}))
            for name, fact in result.metrics.items()
            if fact.data is not None
        ],
    } | {key: words[key] for key in words if key not in ("task", "dataset", "metrics", EVAL)}


def _claim(document: Document, model: Whole) -> Claim:
    results, papers = hub_kept.with_papers([_result(document, whole) for whole in model.results])
    kept = {key: value for key, value in model.data.items() if key not in ("name", "results")}
    return Claim(
        name=model.data["name"],
        papers=papers,
        results=results,
        extra={KEPT: kept} if kept else {},
        place=document.mark((*model.path, "name")).value,
    )


def _result(document: Document, whole: Whole) -> Result:
    data = whole.data
    task, of_task = hub_terms.named(data["task"], TASK)
    dataset, of_dataset = hub_terms.named(data["dataset"], DATASET)
    metrics: dict[str, Fact] = {}
    of_metrics: dict[str, Any] = {}
    for number, item in enumerate(data["metrics"]):
        if item is None:
            continue
        name, words = hub_terms.named(item, METRIC, metrics)
        path = (*whole.path, "metrics", number, "value")
        fact = hub_terms.fact(document, path, words.pop("value"))
        words |= hub_kept.worded(fact)
        metrics[name], args = hub_terms.unwritten(fact, words.pop("args", None))
        words |= {"args": args} if args is not None else {}
        of_metrics |= {name: words} if words else {}
    parts = {"task": of_task, "dataset": of_dataset, "metrics": of_metrics}
    kept = {key: part for key, part in parts.items() if part}
    kept |= {key: value for key, value in data.items() if key not in parts}
    return Result(task, dataset, metrics, {KEPT: kept} if kept else {})


def _model(claim: Claim, lost: list[Problem]) -> dict[str, Any]:
    """One model as the front matter has it; what is lost of its results is added to the list."""
    named = hub_kept.paper_as_source(claim)
    source = {"source": hub_kept.source(named[1])} if named else {}
    kept = hub_kept.words(claim)
    if not isinstance(kept, Mapping) or kept.keys() & {"name", "results"}:
        lost.append(loss(claim.place, ("Models", claim.name, KEPT), hub_kept.EDITED))
        kept = {}
    results: list[dict[str, Any]] = []
    for number, result in enumerate(hub_kept.held(claim)):
        results.append(described(result) | ({} if "source" in hub_kept.kept(result) else source))
        lost += hub_kept.losses(claim, number, result, _WHY)
        for key in hub_kept.kept(result).get(EVAL, {}):
            path = ("Models", claim.name, "Results", number, KEPT, EVAL, key)
            lost.append(loss(claim.place, path, "only an eval result has a place for it"))
    return {"name": claim.name, **kept, "results": results}


def _metric(name: str, fact: Fact, words: Mapping[str, Any]) -> dict[str, Any]:
    value, written = hub_kept.value(fact, words)
    args = words.get("args", {})
    if written and not isinstance(args, Mapping):
        value, written = fact.text, None
    data = hub_terms.described(name, METRIC, {**words, "value": value})
    return data | ({"args": {**args, hub_terms.WRITTEN: written}} if written else {})
