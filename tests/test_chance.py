"""A difference counts when chance alone would rarely make one so large."""

import math
from fractions import Fraction

import pytest

from effcc.catalog.chance import p_value


def test_it_is_fishers_lady_tasting_tea():
    """R. A. Fisher, "The Design of Experiments" (1935): 3 of 4 cups, both ends counted."""
    assert p_value(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert p_value(4, 4, 0, 4) == pytest.approx(2 / 70)


def slowly(a, n, b, m):
    """The definition, in whole numbers."""
    right, everyone = a + b, n + m
    counts = range(max(0, right - m), min(n, right) + 1)
    ways = {x: math.comb(n, x) * math.comb(m, right - x) for x in counts}
    return Fraction(sum(w for w in ways.values() if w <= ways[a]), math.comb(everyone, right))


def test_it_equals_its_definition_at_every_small_count():
    for n, m in ((1, 1), (3, 5), (7, 7), (12, 4)):
        for a in range(n + 1):
            for b in range(m + 1):
                assert p_value(a, n, b, m) == pytest.approx(float(slowly(a, n, b, m)), rel=1e-9)


@pytest.mark.parametrize(
    ("a", "n", "b", "m"),
    [(351, 360, 356, 360), (342, 360, 357, 360), (38661, 50000, 38955, 50000), (0, 360, 0, 50)],
)
def test_another_program_finds_the_same(a, n, b, m):
    stats = pytest.importorskip("scipy.stats", reason="scikit-learn brings it")
    other = stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue
    assert p_value(a, n, b, m) == pytest.approx(other, rel=1e-6)


def test_two_of_the_same_differ_by_nothing():
    assert p_value(351, 360, 351, 360) == pytest.approx(1)


def test_it_does_not_matter_which_comes_first():
    assert p_value(342, 360, 357, 359) == pytest.approx(p_value(357, 359, 342, 360))


@pytest.mark.parametrize("counts", [(2, 1, 0, 1), (-1, 1, 0, 1), (0, 1, 5, 4)])
def test_what_cannot_be_counted_is_refused(counts):
    with pytest.raises(ValueError, match="more can be right"):
        p_value(*counts)
