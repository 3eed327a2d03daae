"""The formats that results are published in: told apart by what a file holds, read, and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from effcc.claims import eval_results, front_matter, huggingface_card, metafiles, modelindex, rules
from effcc.claims.claim import Claim
from effcc.claims.converted import Converted
from effcc.claims.hub_results import INDEX
from effcc.ground import document, page
from effcc.ground.document import Document
from effcc.ground.errors import BadFile, Place, Problem, UsageError

# A model-index as Papers with Code had it, one in a Hugging Face card, and eval results.
PWC, HF, EVAL_RESULTS = "pwc", "hf", "eval-results"
FORMATS = (PWC, HF, EVAL_RESULTS)


@dataclass(frozen=True, slots=True)
class Found:
    """The entries of a file, what of it is no part of an entry, and what is doubtful in it."""

    claims: list[Claim]
    apart: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()


def read(path: Path, to: str = "", model: str | None = None) -> Found:
    """The entries of a file in any of the formats, their figures with their units.

    Args:
        path: the file.
        to: the format they are for; of a page that holds two, the other one is read.
        model: whose eval results they are, if the folder around `.eval_results` does not say.

    Raises:
        BadFile: the file holds none of the formats, or is wrong.
        UsageError: the model of eval results has to be named.
    """
    shown = str(path)
    if path.suffix.lower() in page.PAGES:
        return _of_page(path, shown, to)
    found = document.read(path, shown)
    if isinstance(found.data, list):
        return _eval_results(found, model or _model_of(path))
    if isinstance(found.data, dict) and INDEX in found.data:
        return _card(found)
    return _index(path)


def dump(claims: Sequence[Claim], to: str, source: str) -> Converted:
    """Entries as a text in one of the formats, and what it does not hold.

    Args:
        claims: the entries; of eval results one.
        to: the format.
        source: where they come from, as a page says it.
    """
    if to == HF:
        return huggingface_card.dump(claims)
    if to == EVAL_RESULTS:
        (claim,) = claims
        return eval_results.dump(claim)
    return Converted(metafiles.page(claims, source))


def doubts(text: str, to: str, shown: str) -> list[Problem]:
    """What readers of a text of the Hub may not understand as it is meant."""
    if to == HF:
        front = front_matter.read(text, shown)
        return huggingface_card.read(front)[1] if front else []
    if to == EVAL_RESULTS:
        return eval_results.read(document.parse(text, shown), "")[1]
    return []


def models_in(text: str, shown: str) -> list[str]:
    """The names of the models in the front matter of a page."""
    front = front_matter.read(text, shown)
    return [claim.name for claim in huggingface_card.read(front)[0]] if front else []


def _of_page(path: Path, shown: str, to: str) -> Found:
    text = document.read_text(path, shown)
    comments = [part for part in page.parts(text, shown) if not part.front_matter]
    front = _front(text, shown, needed=not comments)
    if front is None:
        return _index(path)
    if not comments or to == PWC:
        return _card(front)
    found = modelindex.Found()
    for comment in comments:
        one = modelindex.parse(comment.text, shown, text)
        found.claims += one.claims
        found.problems += one.problems
    return _understood(found)


def _front(text: str, shown: str, *, needed: bool) -> Document | None:
    """The front matter of a page, if it has a `model-index`; raises BadFile if one is needed."""
    try:
        front = front_matter.read(text, shown)
    except BadFile:
        if needed:
            raise
        return None
    if front and isinstance(front.data, dict) and {INDEX, "model_index"} & front.data.keys():
        return front
    if needed:
        message = f"neither a model-index comment nor `{INDEX}:` in front matter"
        raise BadFile(Problem(Place(shown), "", message))
    return None


def _index(path: Path) -> Found:
    here = Path.cwd()
    root = here if path.resolve().is_relative_to(here.resolve()) else path.parent
    return _understood(modelindex.check([path], root, named_from=here))


def _understood(found: modelindex.Found) -> Found:
    return Found(metafiles.understood(found.claims), (), _doubtful(found.problems))


def _card(front: Document) -> Found:
    claims, problems = huggingface_card.read(front)
    keys = (key for key in front.data if key != INDEX)
    apart = [front.problem((key,), f"no part of `{INDEX}`", at_key=True) for key in keys]
    return Found(claims, tuple(apart), _doubtful(problems))


def _eval_results(found: Document, model: str | None) -> Found:
    if model is None:
        raise UsageError(f"{found.file}: eval results do not name their model; say --model NAME")
    claims, problems = eval_results.read(found, model)
    return Found(claims, (), _doubtful(problems))


def _doubtful(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Those of the problems that are only doubts; raises BadFile if there are others."""
    if wrong := [problem for problem in problems if rules.is_error(problem.code)]:
        raise BadFile(*wrong)
    return tuple(problems)


def _model_of(path: Path) -> str | None:
    folder = path.resolve().parent
    return folder.parent.name if folder.name == ".eval_results" else None
