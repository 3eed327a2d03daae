"""The form that predicts is the network, to rounding, whatever the variant and the images."""

import copy

import pytest
import torch
from agreement import ULPS, assert_agree
from torch import nn

import effcc
from effcc.nn import native
from effcc.nn.efficientnet import EfficientNet
from effcc.nn.inference import Folded, optimize

compiled = pytest.mark.skipif(native.library() is None, reason=native.missing() or "compiled")


def trained(name, images=None, **settings):
    """A network whose batch norms have something to fold: what they saw of the images.

    Untrained networks may blow other images up, until rounding is all that they show.
    """
    torch.manual_seed(0)
    model = effcc.create(name, num_classes=7, settings=settings)
    for module in model.modules():
        if hasattr(module, "drop_path"):
            module.drop_path = 0
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    with torch.no_grad():
        model(torch.randn(24, model.conv_stem.in_channels, 64, 64) if images is None else images)
    return model.eval()


def assert_same(model, other, images):
    """The other is about as near to double precision as the network itself is in float32."""
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(images.double())
        own = (model(images) - exact).abs().max()
    found = other(images)
    assert found.shape == exact.shape
    assert (found - exact).abs().max() <= 5 * own + 1e-6 * exact.abs().max()


@compiled
@pytest.mark.parametrize("name", ["cc_b0_4e", "cc_b0_8e", "cc_b1_8e", "cc_pico_4e"])
def test_every_variant_keeps_its_logits(name):
    for shape in ((8, 3, 64, 64), (5, 3, 97, 65)):
        images = torch.randn(shape)
        model = trained(name, images)
        folded = optimize(model)
        assert isinstance(folded, Folded)
        assert_same(model, folded, images)


@compiled
@pytest.mark.parametrize("size", [1, 2, 7, 32, 50])
def test_any_batch_and_any_size_without_being_made_again(size):
    model = trained("cc_pico_4e")
    folded = optimize(model)
    for batch in (1, 2, 5):
        assert_same(model, folded, torch.randn(batch, 3, size, size + 3))
    assert folded(torch.randn(0, 3, size, size)).shape == (0, 7)


@compiled
@pytest.mark.parametrize(
    "settings",
    [
        {"network.padding": "symmetric"},
        {"network.experts": 3},
        {"network.in_channels": 1},
        {"network.stem": 20, "network.head": 72, "network.width": 1.0},
        {"network.experts": 1},
    ],
    ids=str,
)
def test_networks_that_the_registry_does_not_have_yet(settings):
    model = trained("cc_pico_4e", **settings)
    channels = settings.get("network.in_channels", 3)
    assert_same(model, optimize(model), torch.randn(2, channels, 33, 40))


@compiled
@pytest.mark.parametrize("layout", ["channels first", "channels last", "a view"])
def test_images_lie_as_they_please(layout):
    images = torch.randn(2, 3, 40, 48)
    if layout == "channels last":
        images = images.contiguous(memory_format=torch.channels_last)
    if layout == "a view":
        images = torch.randn(48, 3, 80, 4).permute(3, 1, 2, 0)[1:3, :, ::2]
    assert_same(model := trained("cc_pico_4e"), optimize(model), images)


@compiled
def test_the_network_it_was_made_of_stays_and_later_changes_do_not_reach_it():
    model = trained("cc_pico_4e").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded, images = optimize(model), torch.randn(2, 3, 32, 32)
    assert model.training
    first = folded(images)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    torch.testing.assert_close(folded(images), first, rtol=0, atol=0)
    torch.testing.assert_close(copy.deepcopy(folded)(images), first, rtol=0, atol=0)


@compiled
@pytest.mark.parametrize("where", ["blocks.1.0.se.conv_expand.bias", "blocks.4.0.routing_fn.bias"])
def test_not_a_number_in_the_weights_shows_in_the_logits(where):
    model = trained("cc_pico_4e")
    with torch.no_grad():
        model.get_parameter(where).fill_(torch.nan)
    assert optimize(model)(torch.randn(1, 3, 32, 32)).isnan().all()


@compiled
def test_the_number_of_threads_changes_no_prediction():
    images = torch.randn(3, 3, 64, 64)
    folded = optimize(trained("cc_pico_4e", images))
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(folded(images))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert_agree(other, found[0], ULPS["optimized"]["random"])


def test_without_the_layers_it_is_the_network_that_predicts(monkeypatch):
    monkeypatch.setattr(native, "library", lambda: None)
    plain = optimize(model := trained("cc_pico_4e"))
    assert isinstance(plain, EfficientNet)
    assert_same(model, plain, torch.randn(2, 3, 32, 32))
    assert not any(parameter.requires_grad for parameter in plain.parameters())
