"""Names become the Hub's identifiers, and figures its values, and both come back."""

import math

import claims as drawn
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from effcc.claims import hub_terms
from effcc.claims.claim import Fact
from effcc.claims.hub_terms import DATASET, METRIC, TASK
from effcc.ground.document import parse


@pytest.mark.parametrize(
    ("kind", "name", "identifier"),
    [
        (TASK, "Image Classification", "image-classification"),
        (TASK, "Body 2D Keypoint", "body-2d-keypoint"),
        (DATASET, "ImageNet", "ILSVRC/imagenet-1k"),
        (DATASET, "ImageNet-1k", "ILSVRC/imagenet-1k"),
        (DATASET, "TIGER-Lab/MMLU-Pro", "TIGER-Lab/MMLU-Pro"),
        (DATASET, "MS COCO", "ms-coco"),
        (METRIC, "Top 1 Accuracy", "accuracy"),
        (METRIC, "Top 5 Accuracy", "top-5-accuracy"),
        (METRIC, "mIoU(ms+flip)", "miou-ms-flip"),
        (METRIC, "AP@0.5", "ap-0-5"),
        (METRIC, "a/b", "a-b"),
        (METRIC, "精度", "精度"),
    ],
)
def test_a_name_has_an_identifier(kind, name, identifier):
    assert hub_terms.identifier(name, kind) == identifier


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries({"type": drawn.nasty}, optional={"name": drawn.nasty, "k": drawn.nasty}),
    st.sampled_from([TASK, METRIC]),
    st.lists(drawn.nasty, max_size=2),
)
def test_any_description_is_made_again_of_its_name_and_what_was_kept(data, kind, taken):
    name, kept = hub_terms.named(data, kind, taken)
    assert hub_terms.described(name, kind, kept) == data
    assert name not in taken


@settings(max_examples=100, deadline=None)
@given(st.just("") | drawn.nasty, st.sampled_from([TASK, DATASET, METRIC]))
def test_any_name_comes_back_with_nothing_to_keep(name, kind):
    assert hub_terms.named(hub_terms.described(name, kind, {}), kind) == (name, {})


def test_kept_words_are_only_those_that_do_not_follow():
    data = {"type": "accuracy", "name": "Top 1 Accuracy", "verified": True}
    assert hub_terms.named(data, METRIC) == ("Top 1 Accuracy", {"verified": True})


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("77.32%", "0.7732", "77.32%"),
        ("77.30 %", "0.7730", "77.30 %"),
        ("100%", "1.00", "100%"),
        ("0.05%", "0.0005", "0.05%"),
        ("-3.1%", "-0.031", "-3.1%"),
        ("1e-5", "1.0e-05", "1e-5"),
        ("010", "10", "010"),
        ("0o17", "15", "0o17"),
        ("0x1F", "0x1F", None),
        ("0.10", "0.10", None),
        ("1.0e-05", "1.0e-05", None),
        ("76.55", "76.55", None),
        (".inf", ".inf", None),
    ],
)
def test_a_figure_is_written_for_both_yamls_and_says_if_it_was_otherwise(text, value, written):
    number, words = hub_terms.value(Fact(parse(text).data, text))
    assert (number.text, words) == (value, written)
    read = yaml.safe_load(value)
    assert read == number.data == parse(value).data
    if "%" in text:
        assert math.isclose(read, Fact(text, text).number, abs_tol=1e-12)


@pytest.mark.parametrize(
    "text", ["39.3 (37.9)", "58.17/87.00", "-", "24.3M", "1e5%", "9" * 40 + "%"]
)
def test_a_figure_in_other_words_stays_text(text):
    assert hub_terms.value(Fact(text, text)) == (text, None)


def test_the_published_words_come_back_if_they_say_the_value():
    fact, args = hub_terms.unwritten(Fact(0.7732, "0.7732"), {"written": "77.32%", "k": 1})
    assert (fact, args) == (Fact("77.32%", "77.32%"), {"k": 1})


@pytest.mark.parametrize("words", ["77.33%", "0.7732", "x", 5, None])
def test_words_that_say_something_else_stay_where_they_are(words):
    fact = Fact(0.7732, "0.7732")
    assert hub_terms.unwritten(fact, {"written": words}) == (fact, {"written": words})


def test_figures_in_a_list_keep_their_text_and_place():
    document = parse("v: [0.10, a]")
    fact = hub_terms.fact(document, ("v",), document.data["v"])
    assert fact == Fact((Fact(0.1, "0.10"), "a"), "")
    assert fact.data[0].place.col == 5
