"""A source that is a paper is the model's paper; what is kept is believed only if it fits."""

import claims as drawn
import pytest

from effcc.claims import hub_kept
from effcc.claims.claim import Claim, Collection, Fact, Paper, Result
from effcc.claims.hub_terms import KEPT


def result(source=None, **words):
    kept = ({"source": source} if source else {}) | words
    return Result("T", "D", {"m": Fact(1, "1")}, {KEPT: kept} if kept else {})


@pytest.mark.parametrize(
    ("url", "paper"),
    [
        (drawn.PAPER, True),
        ("https://arxiv.org/pdf/1904.04971", True),
        ("https://paperswithcode.com/paper/soft-conditional-computation", True),
        ("https://doi.org/10.1000/x", True),
        ("https://huggingface.co/papers/1904.04971", True),
        ("https://arxiv.org/list/cs.CV", False),
        ("https://huggingface.co/spaces/open-llm-leaderboard", False),
        ("https://example.org/arxiv.org/abs/1904.04971", False),
        ("https://arxiv.org/abs/ 1", False),
    ],
)
def test_a_source_is_a_paper_if_its_address_is_a_papers(url, paper):
    results, papers = hub_kept.with_papers([result({"name": "n", "url": url})])
    assert papers == ((Paper("n", url),) if paper else ())
    assert results == ((result(),) if paper else (result({"name": "n", "url": url}),))


def test_a_paper_of_some_results_is_not_the_models():
    some = [result({"url": drawn.PAPER}), result()]
    assert hub_kept.with_papers(some) == (tuple(some), ())
    assert hub_kept.with_papers([]) == ((), ())


def test_a_source_with_more_to_say_stays_with_its_result():
    full = [result({"url": drawn.PAPER, "user": "somebody"})]
    assert hub_kept.with_papers(full) == (tuple(full), ())


def test_the_first_paper_with_a_link_is_the_source_the_models_before_the_collections():
    linked, bare = Paper("t", drawn.PAPER), Paper("u", None)
    collection = Collection("c", papers=(linked,))
    assert hub_kept.paper_as_source(Claim("a", collection=collection, results=(result(),))) == (
        "c",
        linked,
    )
    own = Claim("a", collection=collection, papers=(bare, linked), results=(result(),))
    assert hub_kept.paper_as_source(own) == ("a", linked)
    # A model with a paper of its own does not cite its collection's.
    assert (
        hub_kept.paper_as_source(Claim("a", (bare,), collection=collection, results=(result(),)))
        is None
    )


def test_no_paper_is_a_source_where_all_results_have_theirs():
    claim = Claim("a", papers=(Paper("t", drawn.PAPER),))
    assert hub_kept.paper_as_source(claim) is None
    with_sources = Claim("a", papers=claim.papers, results=(result({"url": drawn.NO_PAPER}),))
    assert hub_kept.paper_as_source(with_sources) is None


@pytest.mark.parametrize(
    "kept",
    [5, {"task": "x"}, {"source": []}, {"metrics": {"n": {}}}, {"metrics": {"m": {"value": 1}}}],
)
def test_what_does_not_fit_counts_for_nothing(kept):
    broken = Result("T", "D", {"m": Fact(1, "1")}, {KEPT: kept})
    assert not hub_kept.fits(broken)
    assert hub_kept.kept(broken) == {}
    (problem,) = hub_kept.losses(Claim("a"), 0, broken, "")
    assert problem.key == "Models.a.Results[0].Hugging Face"
