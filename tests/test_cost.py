"""What a network costs follows from its layout, to the unit."""

from dataclasses import replace

import pytest

from effcc.catalog import registry
from effcc.catalog.cost import count, layers, shares


def network(shipped, name):
    return registry.load(name, shipped).network


@pytest.mark.parametrize(
    ("name", "size", "parameters", "macs", "mixing", "state_bytes", "tensors"),
    [
        ("cc_b0_4e", 224, 13_314_116, 396_513_888, 10_694_400, 53_424_920, 376),
        ("cc_b0_8e", 224, 24_013_284, 407_213_024, 21_388_800, 96_221_592, 376),
        ("cc_b1_8e", 240, 39_715_968, 723_282_704, 36_465_408, 159_112_616, 530),
    ],
)
def test_the_published_networks_cost_what_was_measured(
    shipped, name, size, parameters, macs, mixing, state_bytes, tensors
):
    cost = count(network(shipped, name), size)
    assert (cost.parameters, cost.macs, cost.mixing_macs) == (parameters, macs, mixing)
    assert (cost.state_bytes, cost.tensors) == (state_bytes, tensors)


def test_the_deeper_network_at_the_authors_size_costs_what_was_measured(shipped):
    assert count(network(shipped, "cc_b1_8e"), 224).macs == 606_131_552


@pytest.mark.parametrize(
    ("name", "millions"), [("cc_b0_4e", 402), ("cc_b0_8e", 413), ("cc_b1_8e", 614)]
)
def test_the_authors_own_count_is_near(shipped, name, millions):
    assert count(network(shipped, name), 224).macs == pytest.approx(millions * 1e6, rel=0.02)


def test_experts_cost_parameters_and_hardly_any_arithmetic(shipped):
    four = network(shipped, "cc_b0_4e")
    small, large = count(four, 224), count(replace(four, experts=8), 224)
    assert large.parameters > 1.8 * small.parameters
    assert large.macs < 1.03 * small.macs
    assert large.mixing_macs == 2 * small.mixing_macs


def test_without_conditional_stages_there_is_nothing_to_mix(shipped):
    four = network(shipped, "cc_b0_4e")
    plain = replace(four, stages=tuple(replace(s, conditional=False) for s in four.stages))
    cost = count(plain, 224)
    assert cost.mixing_macs == 0
    assert cost.parameters == 5_288_548  # EfficientNet-B0


def test_the_size_of_the_image_moves_arithmetic_only(shipped):
    four = network(shipped, "cc_b0_4e")
    small, large = count(four, 32), count(four, 64)
    assert small.parameters == large.parameters
    assert small.state_bytes == large.state_bytes
    assert small.mixing_macs == large.mixing_macs
    assert small.macs < large.macs


def test_odd_sizes_round_up_as_padding_does(shipped):
    four = network(shipped, "cc_b0_4e")
    assert count(four, 223).macs == count(four, 224).macs
    assert count(four, 225).macs > count(four, 224).macs


def test_totals_are_the_sums_of_the_layers(shipped):
    four = network(shipped, "cc_b0_4e")
    found = list(layers(four, 224, 224))
    cost = count(four, 224)
    assert sum(layer.parameters for layer in found) == cost.parameters
    assert sum(layer.macs for layer in found) == cost.macs
    assert sum(layer.kind == "routing" for layer in found) == 8
    assert (found[0].name, found[-1].name) == ("conv_stem", "classifier")


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e", "cc_pico_4e"])
@pytest.mark.parametrize("size", [32, 224, 241])
def test_the_shares_add_up_to_the_totals(shipped, name, size):
    network_ = network(shipped, name)
    cost, found = count(network_, size), shares(network_, size)
    assert sum(found.parameters.values()) == cost.parameters
    assert sum(found.macs.values()) == cost.macs
    assert found.macs["mixing kernels"] == cost.mixing_macs
    stages = [f"stage {number}" for number in range(len(network_.stages))]
    assert list(found.parameters) == ["stem", *stages, "head", "classifier"]


def test_the_shares_are_of_the_layers_that_they_name(shipped):
    four = network(shipped, "cc_b0_4e")
    found, by_name = shares(four, 224), {la.name: la for la in layers(four, 224, 224) if la.macs}

    def macs(*ends):
        return sum(
            la.macs
            for la in layers(four, 224, 224)
            if la.name.endswith(ends) and la.kind != "mixing"
        )

    # The one block that does not expand has no third convolution: its second is its projection.
    first = by_name["blocks.0.0.conv_pw"].macs
    assert "blocks.0.0.conv_pwl" not in by_name
    assert found.macs["expand 1×1"] == macs(".conv_pw") - first
    assert found.macs["project 1×1"] == macs(".conv_pwl") + first
    assert found.macs["depthwise"] == macs(".conv_dw")
    assert found.macs["squeeze-excite"] == macs(".se.conv_reduce", ".se.conv_expand")
    assert found.macs["routing"] == macs(".routing_fn")
    assert found.macs["stem"] == by_name["conv_stem"].macs
    assert found.macs["head 1×1"] == by_name["conv_head"].macs
    assert found.parameters["stage 0"] == sum(
        la.parameters for la in layers(four, 224, 224) if la.name.startswith("blocks.0.")
    )
    assert found.parameters["head"] == 320 * 1280 + 2 * 1280


def test_a_network_without_experts_has_no_share_of_theirs(shipped):
    four = network(shipped, "cc_b0_4e")
    plain = replace(four, stages=tuple(replace(s, conditional=False) for s in four.stages))
    assert not {"mixing kernels", "routing"} & shares(plain, 224).macs.keys()


def test_each_layer_is_named_once(shipped):
    names = [
        layer.name for layer in layers(network(shipped, "cc_b0_4e"), 224, 224) if layer.parameters
    ]
    assert len(names) == len(set(names))


def test_an_image_on_its_side_costs_the_same(shipped):
    four = network(shipped, "cc_b0_4e")
    lying, standing = (
        sum(la.macs for la in layers(four, *size)) for size in ((97, 224), (224, 97))
    )
    assert lying == standing < count(four, 224).macs


def test_what_has_no_weights_costs_no_multiply_accumulates(shipped):
    found = list(layers(network(shipped, "cc_b0_4e"), 224, 224))
    for kind, modules in (("activation", 49), ("pool", 1)):
        these = [layer for layer in found if layer.kind == kind]
        assert len(these) == modules
        assert not any(layer.macs or layer.parameters for layer in these)
