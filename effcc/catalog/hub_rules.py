"""What may be wrong with a card's `model-index` or with eval results, by code, as in `rules`."""

from __future__ import annotations

from effcc.catalog.rules import Rule

RULES = {
    "MI070": Rule("a model-index that is no list of models"),
    "MI071": Rule("a model without a name"),
    "MI072": Rule("a model without results"),
    "MI073": Rule("a result without a task's type, a data set's type and name, or metrics"),
    "MI074": Rule("a metric without a type or a value"),
    "MI075": Rule("something other than text where the Hub takes only text"),
    "MI076": Rule("a source without an address"),
    "MI077": Rule("a second model in a card", "warning"),
    "MI078": Rule("what huggingface_hub forgets", "warning"),
    "MI079": Rule("a value that is no figure", "warning"),
    "MI080": Rule("eval results that are no list of results"),
    "MI081": Rule("an eval result without a data set"),
    "MI082": Rule("an eval result without a task"),
    "MI083": Rule("an eval result without a value"),
    "MI084": Rule("a source of an eval result without an address"),
    "MI085": Rule("a date that is none"),
    "MI086": Rule("a date without quotes", "warning"),
    "MI087": Rule("a data set without its owner", "warning"),
    "MI088": Rule("a key that eval results do not have", "warning"),
    "MI089": Rule("two eval results with nothing to tell them apart", "warning"),
}


def is_error(code: str) -> bool:
    """Whether a problem of this code is wrong rather than doubtful."""
    return code not in RULES or RULES[code].severity == "error"
