"""Metafiles of other zoos keep their digits and say their units."""

import pytest

from effcc.claims import metafiles, modelindex
from effcc.claims.claim import Claim, Collection, Fact, Result
from effcc.ground.document import parse
from effcc.ground.page import model_index_comment


def facts(**texts):
    return {key: Fact(parse(text).data, text) for key, text in texts.items()}


def understood(metadata, metrics=None):
    claim = Claim("a", metadata=metadata, results=(Result("T", "D", metrics or {}),))
    (found,) = metafiles.understood([claim])
    return {k: f.text for k, f in found.metadata.items()}, found.results[0].metrics


@pytest.mark.parametrize(
    ("key", "text", "known", "figure", "number"),
    [
        ("Params(M)", "6.50", "Parameters", "6.50M", 6.5e6),
        ("Params (M)", "6", "Parameters", "6M", 6e6),
        ("Flops(G)", "4.1", "FLOPs", "4.1G", 4.1e9),
        ("FLOPs (M)", "16", "FLOPs", "16M", 16e6),
        ("MACs(G)", "0.4", "MACs", "0.4G", 0.4e9),
    ],
)
def test_a_unit_goes_from_the_key_to_the_figure(key, text, known, figure, number):
    found, _ = understood({key: Fact(parse(text).data, text)})
    assert found == {known: figure}
    assert Fact(figure, figure).number == number


@pytest.mark.parametrize(
    "metadata",
    [
        {"Params(M)": "6.5", "Parameters": "6500000"},
        {"Params(M)": "6.5 (7.1)"},
        {"Training Memory (GB)": "3.7"},
        {"inference time (ms/im)": "50.76"},
        {"FLOPs": "33G", "Parameters": "24.3M"},
    ],
)
def test_everything_else_stays_as_it_is(metadata):
    written = {key: Fact(parse(text).data, text) for key, text in metadata.items()}
    assert understood(written)[0] == metadata


@pytest.mark.parametrize(
    ("name", "text", "figure"),
    [
        ("Top 1 Accuracy", "76.50", "76.50%"),
        ("Top 5 Accuracy", "100", "100%"),
        ("Accuracy", "9.1", "9.1%"),
        ("Top 1 Accuracy", "0.765", "0.765"),
        ("Top 1 Accuracy", "1", "1"),
        ("Top 1 Accuracy", "76.5%", "76.5%"),
        ("Top 1 Accuracy", "76.5 (75.1)", "76.5 (75.1)"),
        ("box AP", "39.4", "39.4"),
        ("mIoU", "44.41", "44.41"),
    ],
)
def test_an_accuracy_above_one_is_in_percent(name, text, figure):
    _, metrics = understood({}, {name: Fact(parse(text).data, text)})
    assert metrics[name].text == figure


def test_a_key_without_a_value_is_left_out():
    nothing = Fact(None, "null")
    assert understood({"LR": nothing}, {"box AP": nothing}) == ({}, {})


def test_models_of_one_collection_stay_in_one():
    theirs = Collection("c", metadata=facts(LR="0.1") | {"Params(M)": Fact(6.5, "6.5")})
    first, second = metafiles.understood(
        [Claim("a", collection=theirs), Claim("b", collection=theirs)]
    )
    assert first.collection is second.collection
    assert first.collection.metadata["Parameters"].text == "6.5M"


def test_a_page_holds_the_claims_and_their_citations():
    theirs = Collection("A_B <c>", metadata=facts(LR="0.10"))
    claims = [
        Claim("a", collection=theirs, bibtex=("@misc{a}",)),
        Claim("b", collection=theirs, bibtex=("@misc{a}",)),
    ]
    text = metafiles.page(claims, "metafile.yml")
    assert text.startswith("# A\\_B \\<c\\>\n\nClaims of others, converted from `metafile.yml`.\n")
    assert text.count("@misc{a}") == 1
    found = modelindex.parse(model_index_comment(text), "f.md", text)
    assert (found.claims, found.problems) == (claims, [])
    assert [claim.bibtex for claim in found.claims] == [("@misc{a}",)] * 2
