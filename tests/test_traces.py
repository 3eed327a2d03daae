"""An explanation is read in a terminal: the rule by its choices, the layers by their types."""

import json

import pytest

from effcc import traces
from effcc.catalog import registry
from effcc.claims.claim import Fact
from effcc.proof import forensics


@pytest.fixture
def explained(shipped):
    def explain(figure, within=0, name="cc_b0_4e", width=80):
        (entry,) = [e for e in registry.entries(shipped) if e.spec.name == name]
        fact = Fact(figure, str(figure))
        spec = entry.spec
        found = forensics.explain(spec.network, spec.preprocessing, figure, within)
        return traces.text(entry, "FLOPs", fact, found, width), traces.data(entry, fact, found)

    return explain


@pytest.mark.parametrize("width", [80, 100])
def test_a_rule_is_told_by_its_choices_and_its_layers(explained, width):
    text, _ = explained(224_153_788, width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert "one gives the figure to the unit; about 0.001 would by" in " ".join(text.split())
    assert "known as  the hooks of thop 0.0.31, by exact type" in text
    cells = [line.split() for line in lines]
    assert ["batch", "norm", "BatchNorm2d", "49", "8,643,040", "17,286,080"] in cells
    assert ["routing", "Linear", "8", "4,736", "4,736"] in cells
    assert ["Conv2d", "together", "206,781,052"] in cells
    assert ["classifier", "Linear", "1", "1,280,000", "0"] in cells
    assert cells[-1] == ["as", "counted", "224,153,788"]


def test_where_nothing_fits_it_says_so_and_tells_the_nearest(explained):
    text, data = explained(224_153_789)
    assert "none gives the figure to the unit" in text
    assert "224,153,788 (-1): 224 x 285 pixels" in text
    assert data["rules"] == []
    assert data["nearest"][0]["away"] == -1


def test_where_many_fit_it_says_so_and_tells_the_simplest(explained):
    text, data = explained(400_000_000, within=50_000_000)
    told = " ".join(text.split())
    assert f"{data['fits']:,} give the figure as it is rounded" in told
    assert "which of them it was, the figure alone does not tell" in told
    assert "image     224 x 224 pixels: square, as it is evaluated" in text
    assert "396,513,888" in text
    assert "also " in text


def test_what_is_done_to_the_sum_is_told(explained):
    text, data = explained(2 * 396_513_888)
    assert "sum       doubled" in text
    assert data["rules"][0]["scale"] == 2


def test_data_is_what_json_can_hold(explained):
    _, data = explained(224_153_788)
    assert json.loads(json.dumps(data)) == data
    assert data["rules"][0]["by_class"]["Conv2d"] == 206_781_052


def test_what_claims_nothing_has_nothing_to_explain(shipped):
    (entry,) = [e for e in registry.entries(shipped) if e.spec.name == "cc_pico_4e"]
    assert "no FLOPs in " in traces.text(entry, "FLOPs", None, None, 80)
    assert traces.data(entry, None, None) == {"name": "cc_pico_4e", "claimed": None}
