"""A built network holds and does what is counted of it, whichever form of an operation runs."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import effcc
from effcc.catalog import cost
from effcc.nn import condconv as conditional
from effcc.nn import inference
from effcc.nn.batchnorm import BatchNorm2d
from effcc.nn.census import Macs, census, file_bytes, macs
from effcc.nn.condconv import CondConv2d
from effcc.nn.efficientnet import EfficientNet, unfilled

SIZES = (33, 224, 240)


def odd(network):
    return dataclasses.replace(network, width=0.5, depth=1.4, experts=3, num_classes=7)


def plain(network):
    stages = tuple(dataclasses.replace(stage, conditional=False) for stage in network.stages)
    return dataclasses.replace(network, stages=stages, padding="symmetric")


NETWORKS = {
    **{name: effcc.load(name).network for name in effcc.list_variants()},
    "odd": odd(effcc.load("cc_b0_4e").network),
    "plain": plain(effcc.load("cc_b0_4e").network),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_modules_are_what_the_layout_counts(name, size):
    network = NETWORKS[name]
    found, counted = census(unfilled(network), 3, size, size), cost.count(network, size)
    assert counted == cost.Cost(
        parameters=found.parameters,
        macs=found.macs.total,
        mixing_macs=found.macs.mixing,
        state_bytes=found.state_bytes,
        tensors=found.tensors,
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_accumulates_are_half_of_torchs_flops_on_the_reference_path(
    name, size, monkeypatch
):
    """The loop that defines CondConv mixes by products that torch's counter does not know."""
    monkeypatch.setattr(conditional, "condconv", conditional.condconv_loop)
    model = unfilled(NETWORKS[name]).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, size, size, device="meta"))
    found = macs(model, 3, size, size)
    assert 2 * (found.convolution + found.linear) == counter.get_total_flops()


@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e", "cc_pico_4e", "odd"])
def test_mixing_is_half_of_torchs_flops_of_a_matrix_product(name):
    """A sample's routing times the experts' weights, as the fast forms mix."""
    mixing = 0
    model = unfilled(NETWORKS[name])
    for module in model.modules():
        if isinstance(module, CondConv2d):
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                torch.empty(1, len(module.weight), device="meta") @ module.weight
            mixing += counter.get_total_flops() // 2
    assert mixing == macs(model, 3, 64, 64).mixing > 0


def test_the_split_of_cc_b0_4e_is_that_of_its_layers():
    found = macs(unfilled(NETWORKS["cc_b0_4e"]), 3, 224, 224)
    layers = list(cost.layers(NETWORKS["cc_b0_4e"], 224, 224))
    by_kind = {kind: sum(x.macs for x in layers if x.kind == kind) for kind in kinds(layers)}
    assert found == Macs(
        convolution=sum(by_kind[kind] for kind in ("conv", "strided", "condconv", "gate")),
        linear=by_kind["routing"] + by_kind["classifier"],
        mixing=by_kind["mixing"],
    )


def kinds(layers):
    return {layer.kind for layer in layers}


def test_a_census_is_of_definitions_not_of_the_form_that_runs(monkeypatch):
    """In C, in torch by outputs or by kernels, as small matrices: the same count."""
    network = dataclasses.replace(NETWORKS["cc_pico_4e"], num_classes=10)
    torch.manual_seed(0)
    real = effcc.create("cc_pico_4e", num_classes=10).to(memory_format=torch.channels_last)
    expected = macs(unfilled(network), 3, 64, 64)
    assert macs(real, 3, 64, 64) == expected
    monkeypatch.setenv("EFFCC_NATIVE", "off")
    for move, small in ((0, 0), (10**9, 0), (0, 10**9)):
        monkeypatch.setattr(conditional, "MACS_PER_FLOAT_MOVED", move)
        monkeypatch.setattr(conditional, "SMALL_MAP", small)
        assert macs(unfilled(network), 3, 64, 64) == expected
    assert macs(real.double(), 3, 64, 64) == expected  # C does not know double precision


def test_an_image_need_not_be_square():
    network = NETWORKS["cc_pico_4e"]
    wide = sum(layer.macs for layer in cost.layers(network, 224, 285))
    assert macs(unfilled(network), 3, 224, 285).total == wide


def test_a_network_is_left_as_it_was():
    model = unfilled(NETWORKS["cc_pico_4e"]).train()
    macs(model, 3, 64, 64)
    assert model.training
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


class Strange(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x * self.weight[:, None, None]


def test_what_has_no_definition_is_an_error_and_not_a_zero():
    with pytest.raises(TypeError, match="no definition counts Strange"):
        macs(nn.Sequential(Strange(), nn.Conv2d(3, 2, 1)), 3, 8, 8)
    with pytest.raises(TypeError, match="no definition counts Folded, FoldedBlock"):
        macs(inference.optimize(effcc.create("cc_pico_4e")), 3, 64, 64)


def test_what_the_network_does_not_use_is_an_error_too():
    model = unfilled(NETWORKS["cc_pico_4e"])
    model.spare = nn.Linear(3, 3, device="meta")
    with pytest.raises(TypeError, match="no definition counts Linear, or the network does not"):
        macs(model, 3, 64, 64)


def test_the_momenta_are_those_of_the_modules():
    model = unfilled(NETWORKS["cc_pico_4e"])
    (momentum,) = census(model, 3, 64, 64).momenta
    assert momentum == pytest.approx(0.01)
    norm = next(module for module in model.modules() if isinstance(module, BatchNorm2d))
    norm.momentum = 0.1
    assert census(model, 3, 64, 64).momenta[:2] == (0.1, momentum)


def test_the_size_of_a_file_is_what_saving_writes(tmp_path):
    model = effcc.create("cc_pico_4e")
    assert isinstance(model, EfficientNet)
    torch.save(dict(model.state_dict()), tmp_path / "f.pth")
    written = (tmp_path / "f.pth").stat().st_size
    # The name of a file stands in it, once a tensor.
    assert file_bytes(unfilled(NETWORKS["cc_pico_4e"])) == pytest.approx(written, abs=20_000)
