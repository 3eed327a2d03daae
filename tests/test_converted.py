"""What a text of results has no place for is listed by key, a collection's once."""

from effcc.claims import converted
from effcc.claims.claim import Claim, Collection, Fact, Paper, Result
from effcc.ground.errors import Place


def keys(claims, papers=()):
    return [p.key for p in converted.unheld(claims, "no place", papers)]


def test_everything_beside_results_is_listed():
    claim = Claim(
        "a",
        papers=(Paper("t", None), Paper("u", None)),
        metadata={"LR": Fact(0.1, "0.10")},
        code="https://x.org",
        code_version="v1",
        weights=("https://x.org/w",),
        readme="a.md",
        extra={"Config": "a.py", "Hugging Face": {}},
        bibtex=("@misc{a}",),
    )
    assert keys([claim], {("a", Paper("t", None))}) == [
        "Models.a.Paper[1]",
        "Models.a.Metadata.LR",
        "Models.a.Code",
        "Models.a.Code.Version",
        "Models.a.Weights[0]",
        "Models.a.README",
        "Models.a.Config",
        "Models.a.BibTeX[0]",
    ]


def test_a_collection_is_listed_once_and_belonging_to_it_for_each():
    result = Result("T", "D", {})
    theirs = Collection("c", metadata={"LR": Fact(0.1, "0.10")}, results=(result,))
    own, none = Claim("a", collection=theirs, results=(result,)), Claim("b", collection=theirs)
    listed = ["Models.a.In Collection", "Collections.c.Metadata.LR", "Models.b.In Collection"]
    assert keys([own, none]) == listed
    # Results that nobody inherits are nowhere in the text.
    assert keys([own]) == [*listed[:2], "Collections.c.Results"]


def test_a_loss_has_the_line_of_its_figure_or_else_of_its_entry():
    here, there = Place("f", 3, 1), Place("f", 7, 9)
    metadata = {"LR": Fact(0.1, "0.10", there), "Epochs": Fact(1, "1")}
    claim = Claim("a", metadata=metadata, code="https://x.org", place=here)
    places = [str(p.place) for p in converted.unheld([claim], "", ())]
    assert places == ["f:7:9", "f:3:1", "f:3:1"]
