"""Rules by which people count: each choice adds what it says, and nothing else."""

from dataclasses import replace
from fractions import Fraction

import pytest

from effcc.catalog import registry
from effcc.catalog.cost import count
from effcc.proof import counting
from effcc.proof.counting import HOOK_COUNTER, PRODUCTS, Rule, Tally

EVERYTHING = Rule(frozenset(PRODUCTS))
COUNTS = {
    "conv": Tally(modules=2, macs=100, outputs=10, averaged=0),
    "gate": Tally(modules=2, macs=40, outputs=4, averaged=0),
    "routing": Tally(modules=1, macs=30, outputs=3, averaged=0),
    "norm": Tally(modules=2, macs=0, outputs=20, averaged=0),
    "activation": Tally(modules=1, macs=0, outputs=15, averaged=0),
    "pool": Tally(modules=1, macs=0, outputs=2, averaged=8),
}


def network(shipped, name):
    return registry.load(name, shipped).network


@pytest.mark.parametrize(
    ("name", "size", "width", "published", "parts"),
    [
        ("cc_b0_4e", 224, 285, 224_153_788, (206_781_052, 4_736, 17_286_080, 81_920)),
        ("cc_b0_8e", 224, 285, 224_158_524, (206_781_052, 9_472, 17_286_080, 81_920)),
        ("cc_b1_8e", 240, 305, 370_427_824, (342_283_920, 14_464, 28_025_760, 103_680)),
    ],
)
def test_the_published_flops_are_a_hook_counters_to_the_unit(
    shipped, name, size, width, published, parts
):
    counts = counting.tallies(network(shipped, name), size, width)
    assert counting.total(HOOK_COUNTER, counts) == published
    classes = counting.by_class(counting.parts(HOOK_COUNTER, counts))
    seen = ("Conv2d", "Linear", "BatchNorm2d", "AdaptiveAvgPool2d")
    assert tuple(classes[name] for name in seen) == parts
    assert not any(part for name, part in classes.items() if name not in seen)


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e", "cc_pico_4e"])
def test_counting_everything_that_multiplies_gives_the_multiply_accumulates(shipped, name):
    net = network(shipped, name)
    for size in (32, 97, 224):
        counts = counting.tallies(net, size, size)
        assert counting.total(EVERYTHING, counts) == count(net, size).macs


def test_each_type_of_layer_has_as_many_modules_as_there_are(shipped):
    counts = counting.tallies(network(shipped, "cc_b0_4e"), 224, 224)
    modules = {kind: tally.modules for kind, tally in counts.items()}
    assert modules == {
        "conv": 21,  # with the four strided ones and the 24 conditional ones: 16 blocks' and two
        "strided": 4,
        "condconv": 24,
        "mixing": 24,
        "gate": 32,
        "routing": 8,
        "classifier": 1,
        "norm": 49,
        "activation": 49,
        "pool": 1,
    }


def test_a_plain_network_has_nothing_conditional_to_count(shipped):
    net = network(shipped, "cc_b0_4e")
    plain = replace(net, stages=tuple(replace(s, conditional=False) for s in net.stages))
    assert not {"condconv", "mixing", "routing"} & set(counting.tallies(plain, 224, 224))


@pytest.mark.parametrize(
    ("changes", "total"),
    [
        ({}, 170),
        ({"products": frozenset()}, 0),
        ({"products": frozenset({"conv"})}, 100),
        ({"arithmetic": "twice"}, 340),
        ({"arithmetic": "operations"}, 340 - 17),
        ({"bias": "convolutions"}, 174),
        ({"bias": "linear"}, 173),
        ({"bias": "everywhere"}, 177),
        ({"bias": "everywhere", "products": frozenset({"conv"})}, 100),
        ({"norm": 2}, 210),
        ({"activation": 1}, 185),
        ({"pool": "inputs"}, 178),
        ({"pool": "both"}, 180),
        ({"scale": Fraction(2)}, 340),
        ({"scale": Fraction(1, 2)}, 85),
        ({"scale": Fraction(1, 2), "bias": "linear"}, 86),  # 86.5
    ],
)
def test_a_choice_adds_what_it_says(changes, total):
    rule = replace(EVERYTHING, **changes)
    assert counting.total(rule, COUNTS) == total
    assert sum(counting.parts(rule, COUNTS).values()) * rule.scale // 1 == total


def test_parts_of_one_class_are_told_together():
    parts = counting.by_class(counting.parts(HOOK_COUNTER, COUNTS))
    assert parts == {
        "Conv2d": 100 + 44,
        "Linear": 30,
        "BatchNorm2d": 40,
        "SiLU": 0,
        "AdaptiveAvgPool2d": 10,
    }


def test_every_kind_of_layer_has_words_and_a_class():
    kinds = {*PRODUCTS, *counting.OTHERS}
    assert kinds == set(counting.WORDS) == set(counting.CLASSES)
