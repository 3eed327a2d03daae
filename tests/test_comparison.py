"""A figure is agreed with, disputed, wrong, or nobody can tell: never two of these."""

import pytest

from effcc.catalog.spec import Dispute
from effcc.claims.claim import Claim, Fact
from effcc.ground.errors import Place
from effcc.proof.comparison import Comparison, figure, of_fact


@pytest.mark.parametrize(
    ("agrees", "reason", "verdict"),
    [
        (True, "", "agrees"),
        (True, "a reason", "agrees"),
        (True, "of another", "agrees"),
        (False, "", "differs"),
        (False, "a reason", "disputed"),
        (False, "of another", "differs"),
        (None, "", "not compared"),
        (None, "a reason", "not compared"),
    ],
)
def test_the_verdict_follows_from_agreement_and_reason(agrees, reason, verdict):
    dispute = Dispute(("2",) if reason == "of another" else ("0", "1"), reason, Place("r", 4, 3))
    row = Comparison("a", "1", "2", agrees, Place("f"), dispute=dispute if reason else None)
    assert row.verdict == verdict
    assert row.reason == (reason if verdict == "disputed" else "")
    is_of_another = reason == "of another" and verdict == "differs"
    assert row.beside == ("the dispute at r:4 is of 2" if is_of_another else "")


def test_what_nobody_claims_cannot_be_disputed():
    dispute = Dispute(("",), "a reason")
    assert Comparison("a", "", "2", False, Place("f"), dispute=dispute).verdict == "differs"


def test_a_list_of_words_is_told_by_its_items():
    fact = Fact(("CondConv", Fact(7, "7"), Fact({"a": Fact(1, "1")}, "")), "")
    assert of_fact("Architecture", fact, "", None).claimed == "CondConv, 7, a: 1"


def test_what_a_figure_is_held_against_is_told_as_far_as_there_is_something():
    row = Comparison("a", "1", "2", False, Place("f"), measured="3")
    assert row.against == "computed 2, measured 3"
    assert Comparison("a", "1", "", False, Place("f"), measured="3").against == "measured 3"


def test_only_numbers_are_figures():
    facts = {"FLOPs": Fact("33G", "33G"), "Tasks": Fact("words", "words"), "X": Fact(0, "1e999")}
    claim = Claim("a", metadata=facts, place=Place("f"))
    assert figure(claim, "FLOPs") == facts["FLOPs"]
    assert figure(claim, "Tasks") is figure(claim, "LR") is figure(claim, "X") is None


def test_a_fact_keeps_its_written_form_and_its_place():
    row = of_fact("FLOPs", Fact(1e3, "1.0e+3", Place("f", 3, 4)), "1,000", True)
    assert (row.claimed, row.place) == ("1.0e+3", Place("f", 3, 4))
