"""The search finds the rule that a figure was counted by, whoever hid it, and owns up if not."""

import random
from dataclasses import replace

import pytest

from effcc.catalog import registry
from effcc.catalog.cost import count
from effcc.proof import counting, forensics
from effcc.proof.counting import ARITHMETIC, BIAS, HOOK_COUNTER, POOL, PRODUCTS, SCALE, Rule

PUBLISHED = {"cc_b0_4e": 224_153_788, "cc_b0_8e": 224_158_524, "cc_b1_8e": 370_427_824}


def search(shipped, name, figure, **how):
    spec = registry.load(name, shipped)
    return forensics.explain(spec.network, spec.preprocessing, figure, **how)


@pytest.mark.parametrize(("name", "figure"), PUBLISHED.items())
def test_the_published_figures_come_from_one_rule_and_no_other(shipped, name, figure):
    found = search(shipped, name, figure)
    (fit,) = found.rules
    assert (found.fits, found.nearest) == (1, ())
    assert found.tried > 1_000_000
    assert found.chance < 0.01
    assert fit.rule == HOOK_COUNTER
    size = 240 if name == "cc_b1_8e" else 224
    assert (fit.picture.height, fit.picture.width) == (size, size * 1546 // 1213)
    assert (fit.total, sum(fit.parts.values())) == (figure, figure)


def test_without_the_picture_it_is_found_among_all_widths(shipped, monkeypatch):
    monkeypatch.setattr(forensics, "ASPECTS", {})
    found = search(shipped, "cc_b0_4e", PUBLISHED["cc_b0_4e"])
    (fit,) = found.rules
    assert fit.rule == HOOK_COUNTER
    assert (fit.picture.height, fit.picture.width) == (224, 285)
    assert found.chance < 0.05


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_pico_4e"])
def test_multiply_accumulates_are_known_as_such(shipped, name):
    spec = registry.load(name, shipped)
    macs = count(spec.network, 224).macs
    (fit, *_) = forensics.explain(spec.network, spec.preprocessing, macs).rules
    assert fit.rule == Rule(frozenset(PRODUCTS))
    assert (fit.picture.height, fit.picture.width) == (224, 224)


def planted(seed, spec):
    """A rule and a picture that nobody knows."""
    choose = random.Random(seed)
    products = {kind for kind in PRODUCTS if choose.random() < 0.6} | {choose.choice(PRODUCTS[:4])}
    if "condconv" not in products:
        products.discard("mixing")
    rule = Rule(
        products=frozenset(products),
        arithmetic=choose.choice(list(ARITHMETIC)),
        bias=choose.choice(list(BIAS)),
        norm=choose.choice(forensics.NORM),
        activation=choose.choice(forensics.ACTIVATION),
        pool=choose.choice(list(POOL)),
        scale=choose.choice(list(SCALE)),
    )
    return rule, choose.choice(forensics.pictures(spec.preprocessing))


def worth(rule, counts):
    return [part * rule.scale for part in counting.parts(rule, counts).values()]


@pytest.mark.parametrize("seed", range(30))
def test_a_planted_rule_is_recovered_to_the_unit(shipped, seed):
    spec = registry.load(["cc_b0_4e", "cc_b1_8e", "cc_pico_4e"][seed % 3], shipped)
    rule, picture = planted(seed, spec)
    counts = counting.tallies(spec.network, picture.height, picture.width)
    figure = counting.total(rule, counts)
    found = forensics.explain(spec.network, spec.preprocessing, figure)
    assert found.fits >= 1
    assert all(fit.total == figure for fit in found.rules)
    assert worth(rule, counts) in [worth(fit.rule, fit.counts) for fit in found.rules]


def test_on_a_width_of_no_known_picture_a_rule_is_recovered_too(shipped):
    spec = registry.load("cc_pico_4e", shipped)
    counts = counting.tallies(spec.network, 224, 261)
    found = forensics.explain(
        spec.network, spec.preprocessing, counting.total(HOOK_COUNTER, counts)
    )
    assert HOOK_COUNTER in [fit.rule for fit in found.rules if fit.picture.width in (261, 262)]


def test_where_no_rule_fits_the_nearest_are_told(shipped):
    found = search(shipped, "cc_b0_4e", PUBLISHED["cc_b0_4e"] + 1)
    assert (found.fits, found.rules) == (0, ())
    assert len(found.nearest) == forensics.NEAREST
    away = [abs(fit.total - found.figure) for fit in found.nearest]
    assert away == sorted(away)
    assert (away[0], found.nearest[0].rule) == (1, HOOK_COUNTER)


def test_nothing_that_was_tried_is_nearer_than_the_nearest(shipped, monkeypatch):
    monkeypatch.setattr(forensics, "_any_width", lambda preprocessing: ())
    spec = registry.load("cc_pico_4e", shipped)
    figure = 77_777_777
    found = forensics.explain(spec.network, spec.preprocessing, figure)
    away = abs(found.nearest[0].total - figure)
    assert away > 0
    for seed in range(600):
        rule, picture = planted(seed, spec)
        counts = counting.tallies(spec.network, picture.height, picture.width)
        assert abs(counting.total(rule, counts) - figure) >= away


def test_a_rounded_figure_has_many_rules_and_no_claim_to_one(shipped):
    found = search(shipped, "cc_b0_4e", 400_000_000, within=50_000_000)
    assert found.fits > 1_000
    assert found.chance > 1_000
    assert 1 < len(found.rules) <= forensics.KEPT
    assert all(abs(fit.total - 400_000_000) <= 50_000_000 for fit in found.rules)
    assert found.rules[0].rule == Rule(frozenset(PRODUCTS))  # the simplest first


def test_rules_are_told_apart_by_what_they_add_up(shipped):
    spec = registry.load("cc_b0_4e", shipped)
    stages = tuple(replace(stage, conditional=False) for stage in spec.network.stages)
    plain = replace(spec.network, stages=stages)
    found = forensics.explain(plain, spec.preprocessing, 2 * count(plain, 224).macs)
    # Two a multiply-accumulate, or the sum doubled, is the same. One less for each output, and one
    # more for each number that the norms behind them take, only comes to the same.
    assert found.fits == 3
    assert [fit.rule.arithmetic for fit in found.rules] == ["macs", "operations"]
    assert found.rules[0].rule.scale == 2
    assert (found.rules[1].rule.norm, found.rules[1].rule.bias) == (1, "everywhere")


@pytest.mark.parametrize("figure", [-5, 0, 1, 99])
def test_figures_of_no_network_are_searched_too(shipped, monkeypatch, figure):
    monkeypatch.setattr(forensics, "_any_width", lambda preprocessing: ())
    found = search(shipped, "cc_pico_4e", figure)
    assert found.fits or found.nearest
    assert found.chance >= 0


def test_the_likeliest_picture_is_the_square_one(shipped):
    spec = registry.load("cc_b1_8e", shipped)
    pictures = forensics.pictures(spec.preprocessing)
    assert [(p.height, p.width) for p in pictures[:3]] == [(240, 240), (224, 224), (272, 272)]
    assert all(p.width >= p.height and p.why for p in pictures)
