"""Variants that differ in one thing: what is claimed of one follows for the other."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def chain(shipped, key, texts):
    """Variants on ever larger images, and what each claims."""
    (made,) = [e for e in registry.entries(shipped) if e.spec.name == "cc_b0_4e"]
    for number, text in enumerate(texts):
        shape = replace(made.spec.preprocessing, image_size=128 + 16 * number)
        spec = replace(made.spec, name=f"v{number:03}", preprocessing=shape)
        facts = {key: Fact(text, text)} if text else {}
        yield replace(made, claim=replace(made.claim, metadata=facts), spec=spec)


def test_a_variant_stands_beside_its_neighbour_not_beside_all_of_them(shipped):
    entries = list(chain(shipped, "FLOPs", [str(10**8 + 10 * n + 7) for n in range(200)]))
    found = neighbours.comparisons(reversed(entries))
    assert {name: [row.key for row in rows] for name, rows in found.items()} == {
        f"v{n:03}": [f"FLOPs beside v{n - 1:03}"] for n in range(1, 200)
    }


@given(st.lists(st.one_of(st.none(), st.integers(1, 40)), max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_of_exact_figures_the_neighbours_find_what_every_pair_would(shipped, figures):
    # 7 at the end: no zero that could stand for rounding
    texts = [None if f is None else f"{f}7" for f in figures]
    found = neighbours.comparisons(chain(shipped, "FLOPs", texts))
    stated = [int(text) for text in texts if text]
    wrong = any(b <= a for a, b in itertools.combinations(stated, 2))
    assert any(row.agrees is False for rows in found.values() for row in rows) == wrong


def test_rounded_figures_cannot_wander_off_in_small_steps(shipped):
    # 0.4G gives 450000000 by rounding, and stands beside 350000001 as well: they do not.
    found = neighbours.comparisons(chain(shipped, "FLOPs", ["449999999", "0.4G", "350000001"]))
    assert [(row.key, row.verdict) for row in found["v002"]] == [
        ("FLOPs beside v001", "agrees"),
        ("FLOPs beside v000", "differs"),
    ]


def test_the_most_precise_of_equal_networks_is_held_against_all_that_follow(shipped):
    texts = ["13310001", "13.3M", "13349999"]
    found = neighbours.comparisons(
        entry(shipped, name, Parameters=text) for name, text in zip("abc", texts, strict=True)
    )
    assert [(row.key, row.verdict) for row in found["c"]] == [
        ("Parameters beside b", "agrees"),
        ("Parameters beside a", "differs"),
    ]
