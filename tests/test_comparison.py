"""A figure is agreed with, disputed, wrong, or nobody can tell: never two of these."""

import pytest

from effcc.claims.claim import Claim, Fact
from effcc.ground.errors import Place
from effcc.proof.comparison import Comparison, figure, of_fact


@pytest.mark.parametrize(
    ("agrees", "reason", "verdict"),
    [
        (True, "", "agrees"),
        (True, "a reason", "agrees"),
        (False, "", "differs"),
        (False, "a reason", "disputed"),
        (None, "", "not compared"),
        (None, "a reason", "not compared"),
    ],
)
def test_the_verdict_follows_from_agreement_and_reason(agrees, reason, verdict):
    row = Comparison("a", "1", "2", agrees, Place("f"), reason=reason)
    assert row.verdict == verdict


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
