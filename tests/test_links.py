"""Links to hosts that are gone are known, and a file of weights is named after its entry."""

from dataclasses import replace

import pytest

from effcc.catalog import registry
from effcc.catalog.spec import Weights
from effcc.claims.claim import Claim, Fact, Paper
from effcc.ground.errors import Place
from effcc.proof import links

BIBTEX = "@misc{a, title={T}, eprint={1904.04971}}"


@pytest.fixture
def compared(shipped):
    spec = registry.load("cc_pico_4e", shipped)

    def rows(sha256=None, **fields):
        claim = Claim("net", place=Place("p"), **{"bibtex": (BIBTEX,)} | fields)
        stated = replace(spec, weights=Weights(next(iter(claim.weights), None), sha256))
        return {row.key: row for row in links.comparisons(claim, stated)}

    return rows


@pytest.mark.parametrize(
    ("url", "is_dead"),
    [
        ("https://paperswithcode.com/paper/x", True),
        ("http://www.PapersWithCode.com", True),
        ("https://notpaperswithcode.com/paper/x", False),
        ("https://arxiv.org/abs/1904.04971", False),
        ("https://[", False),
        ("nothing", False),
    ],
)
def test_dead_hosts_are_known_by_name(url, is_dead):
    assert bool(links.dead(url)) == is_dead


def test_a_paper_at_a_dead_host_differs_and_one_at_arxiv_is_compared(compared):
    def verdict(url):
        return compared(papers=(Paper("T", url),))["Paper URL"].verdict

    assert verdict("https://paperswithcode.com/paper/x") == "differs"
    assert verdict("https://arxiv.org/abs/1904.04971") == "agrees"
    assert verdict("https://arxiv.org/abs/1904.04972") == "differs"
    assert verdict("https://example.org/paper.pdf") == "not compared"
    assert "July 2025" in links.dead("https://paperswithcode.com")


def test_code_at_a_dead_host_differs(compared):
    assert compared(code="https://paperswithcode.com/code")["Code"].verdict == "differs"
    row = compared(code="https://github.com/a/b")["Code"]
    assert (row.claimed, row.verdict) == ("https://github.com/a/b", "not compared")


@pytest.mark.parametrize(("text", "verdict"), [("net", "agrees"), ("net2", "differs")])
def test_an_id_is_the_entrys_name(compared, text, verdict):
    assert compared(metadata={"ID": Fact(text, text)})["ID"].verdict == verdict


@pytest.mark.parametrize(
    ("url", "sha256", "verdict"),
    [
        ("https://e.org/net-4362b6b2.pth", None, "agrees"),
        ("https://e.org/net-4362b6b2.pth", "5362b6b2" + "0" * 56, "agrees"),
        ("https://e.org/net.pth", "5362b6b2" + "0" * 56, "agrees"),
        ("https://e.org/other-4362b6b2.pth", None, "differs"),
        ("https://e.org/other.pth", None, "differs"),
        ("https://huggingface.co/o/net/resolve/main/model.safetensors", None, "not compared"),
        ("https://paperswithcode.com/net.pth", None, "differs"),
    ],
)
def test_weights_are_compared_by_their_name(compared, url, sha256, verdict):
    assert compared(sha256, weights=(url,))["Weights"].verdict == verdict


@pytest.mark.parametrize(
    ("file", "sha256", "verdict"),
    [
        ("net-4362b6b2.pth", "4362b6b2" + "0" * 56, "agrees"),
        ("net-4362b6b2.pth", "5362b6b2" + "0" * 56, "differs"),
        ("net-4362b6b2.pth", None, "not compared"),
        ("net.pth", "5362b6b2" + "0" * 56, "not compared"),
        ("net.pth", None, None),
    ],
)
def test_a_hash_in_a_files_name_agrees_only_with_one_that_is_known(compared, file, sha256, verdict):
    row = compared(sha256, weights=(f"https://e.org/{file}",)).get("Weights SHA-256")
    assert (row and row.verdict) == verdict
    assert not row or row.claimed == ("4362b6b2" if "-" in file else "")
