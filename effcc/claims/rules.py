"""What may be wrong with a model-index, by code: docs/model-index.md gives examples and mends.

A code never changes its meaning. An error is wrong by the format's own documentation, or cannot be
read, or cannot be true; a warning is read in one way here and perhaps in another elsewhere.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """One rule: what its breach is called, and whether it is an error or a warning."""

    title: str
    severity: str = "error"


RULES = {
    "MI001": Rule("a file that cannot be read"),
    "MI002": Rule("a file that is not UTF-8"),
    "MI003": Rule("a control character"),
    "MI004": Rule("text that is not YAML"),
    "MI005": Rule("a key given twice"),
    "MI006": Rule("a tag that makes more than data, or says something else than its value"),
    "MI007": Rule("nesting, aliases or numbers beyond any card"),
    "MI008": Rule("a second document in a file"),
    "MI009": Rule("a key that is no word"),
    "MI010": Rule("a page without a model-index"),
    "MI011": Rule("a comment that does not end"),
    "MI012": Rule("an arrow inside the data", "warning"),
    "MI020": Rule("a value of another kind than its key takes"),
    "MI021": Rule("a known key in other letters", "warning"),
    "MI022": Rule("a key that is almost a known one"),
    "MI023": Rule("a key of the metadata that is almost a known one", "warning"),
    "MI024": Rule("an entry without a name"),
    "MI025": Rule("a key that nobody reads", "warning"),
    "MI026": Rule("a name that pages and shells trip over", "warning"),
    "MI030": Rule("a collection that is not there"),
    "MI031": Rule("two models of one name", "warning"),
    "MI032": Rule("two collections of one name", "warning"),
    "MI033": Rule("an import that leads to no file"),
    "MI034": Rule("imports in a circle"),
    "MI035": Rule("an import that leaves the root"),
    "MI037": Rule("a page or picture that is not there", "warning"),
    "MI040": Rule("a key without a value", "warning"),
    "MI041": Rule("a number that many readers take for text", "warning"),
    "MI042": Rule("a word that readers take for different things", "warning"),
    "MI043": Rule("several figures in one value", "warning"),
    "MI044": Rule("a value that is no figure where one belongs", "warning"),
    "MI045": Rule("a figure that cannot be true"),
    "MI046": Rule("a top-1 accuracy above the top-5 accuracy"),
    "MI047": Rule("a result without a task or a data set", "warning"),
    "MI050": Rule("a link that a browser must not follow"),
    "MI051": Rule("a link that is no address", "warning"),
    # The front matter of a card on the Hugging Face Hub.
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
    # Eval results there.
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
    """Whether a problem of this code fails a check; problems without a code do."""
    return code not in RULES or RULES[code].severity == "error"
