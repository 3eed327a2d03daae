"""Variants that differ in one thing: what is claimed of one follows for the other."""

import itertools
from dataclasses import replace

import pytest

from effcc.catalog import registry
from effcc.catalog.cost import count
from effcc.claims.claim import Fact
from effcc.proof import neighbours


def entry(shipped, name, *, experts=4, size=224, **claimed):
    settings = {"network.experts": experts, "preprocessing.image_size": size}
    spec = replace(registry.load("cc_b0_4e", shipped, flags=settings), name=name)
    (made,) = [e for e in registry.entries(shipped) if e.spec.name == "cc_b0_4e"]
    facts = {key.replace("_", " "): Fact(text, text) for key, text in claimed.items()}
    return replace(made, claim=replace(made.claim, metadata=facts), spec=spec)


def verdict(*entries):
    ((name, (row,)),) = neighbours.comparisons(entries).items()
    return name, row.key, row.verdict


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("13310000", "13.3M", "agrees"),
        ("13314116", "13.31M", "agrees"),
        ("13310000", "13320000", "differs"),
        ("13.3M", "24.0M", "differs"),
    ],
)
def test_the_same_network_has_the_same_parameters(shipped, one, other, expected):
    pair = entry(shipped, "a", Parameters=one), entry(shipped, "b", Parameters=other)
    assert verdict(*pair) == ("b", "Parameters beside a", expected)


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [
        ("396513888", "450000000", "agrees"),
        ("0.4G", "0.4G", "agrees"),  # rounding may hide what lies between
        ("396513888", "396513888", "differs"),
        ("450000000", "396513888", "differs"),
    ],
)
def test_larger_images_take_more_operations(shipped, small, large, expected):
    pair = entry(shipped, "a", size=240, FLOPs=large), entry(shipped, "b", FLOPs=small)
    assert verdict(*pair) == ("a", "FLOPs beside b", expected)


@pytest.mark.parametrize(
    ("few", "many", "expected"), [("13.3M", "24.0M", "agrees"), ("24.0M", "13.3M", "differs")]
)
def test_more_experts_are_more_parameters(shipped, few, many, expected):
    pair = entry(shipped, "a", Parameters=few), entry(shipped, "b", experts=8, Parameters=many)
    assert verdict(*pair) == ("b", "Parameters beside a", expected)


@pytest.mark.parametrize(
    ("few", "many", "expected"),
    [
        ("224153788", "224158524", "agrees"),
        ("224153788", "224153788", "agrees"),  # by a rule that sees no routing
        ("224153788", "224153787", "differs"),
    ],
)
def test_more_experts_take_no_fewer_operations(shipped, few, many, expected):
    pair = entry(shipped, "a", FLOPs=few), entry(shipped, "b", experts=8, FLOPs=many)
    assert verdict(*pair) == ("b", "FLOPs beside a", expected)


def test_of_variants_that_differ_in_two_things_nothing_follows(shipped):
    pair = entry(shipped, "a", FLOPs="5"), entry(shipped, "b", experts=8, size=240, FLOPs="4")
    assert neighbours.comparisons(pair) == {}


def test_what_only_one_of_them_claims_is_not_compared(shipped):
    assert neighbours.comparisons([entry(shipped, "a", FLOPs="5"), entry(shipped, "b")]) == {}


def test_all_of_it_holds_for_what_is_computed(shipped):
    network = registry.load("cc_b0_4e", shipped).network
    for few, many in itertools.pairwise([1, 2, 4, 8, 16]):
        small, large = (count(replace(network, experts=n), 224) for n in (few, many))
        assert small.parameters < large.parameters
        assert small.macs < large.macs
        plain = [cost.macs - cost.mixing_macs for cost in (small, large)]
        routed = sum(80 if i == 0 else 112 if i < 4 else 192 for i in range(8)) * (many - few)
        assert plain[1] - plain[0] == routed  # beside mixing only the routing layers grow
    sizes = [count(network, size) for size in range(32, 320, 2)]
    assert all(a.macs < b.macs for a, b in itertools.pairwise(sizes))
    assert len({cost.parameters for cost in sizes}) == 1
