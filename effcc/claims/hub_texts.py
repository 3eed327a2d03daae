"""Front matter and eval results of the Hugging Face Hub as texts of an index, to be checked so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import PurePath

from effcc.claims import eval_results, huggingface_card
from effcc.claims.claim import Claim
from effcc.claims.fields import Entry, Text
from effcc.claims.hub_results import INDEX
from effcc.ground.document import parse
from effcc.ground.errors import Problem
from effcc.ground.nodes import dotted

# The folder of a repository that the Hub looks into, hidden as it is.
FOLDER = ".eval_results"
_ENTRY = re.compile(r"^- *dataset:(?=\s)", re.MULTILINE)


def are_eval_results(path: str, text: str) -> bool:
    """Whether a data file holds eval results: by its folder, or by how its entries begin."""
    if FOLDER in path and PurePath(path).parent.name == FOLDER:
        return True
    return "dataset:" in text and bool(_ENTRY.search(text))


def front_matter(text: str, shown: str, page: str) -> Text:
    """The models of a card, and everything wrong with them.

    Raises:
        BadFile: the front matter is not YAML, or breaks a rule of `document`.
    """
    claims, problems = huggingface_card.read(parse(text, shown, page))
    names = [field.name for field in fields(Claim) if field.name != "collection"]
    entries = [
        Entry(
            {name: getattr(claim, name) for name in names},
            dotted((INDEX, number, "name")),
            "",
            Problem(claim.place, "", ""),
        )
        for number, claim in enumerate(claims)
    ]
    return Text(shown, problems, entries)


def figures(text: str, shown: str) -> Text:
    """Everything wrong with eval results; they name no model, so there is no entry.

    Raises:
        BadFile: as `front_matter`.
    """
    return Text(shown, eval_results.read(parse(text, shown), "")[1])
