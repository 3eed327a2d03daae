"""Every engine computes what the network computes, any batch, and says what it lacks."""

import ctypes
import functools
import sys

import pytest
import torch
from test_transfer import TINY

import effcc
from effcc.ground.errors import UsageError
from effcc.nn import engines


@functools.cache
def network():
    """A network whose batch norms have seen something, so that there is something to fold."""
    torch.manual_seed(1)
    model = effcc.create("cc_pico_4e", num_classes=10, settings=TINY)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".bn" in name or name.startswith("bn"):
                parameter.uniform_(0.5, 1.5)
        for _ in range(60):
            model(torch.randn(16, 3, 32, 32))
    return model.eval(), effcc.load("cc_pico_4e", settings=TINY).with_classes(10)


@pytest.mark.parametrize("name", engines.ENGINES)
def test_an_engine_computes_the_networks_logits_for_any_batch(cache, name):
    model, spec = network()
    engine = engines.build(name, model, spec)
    with torch.inference_mode():
        for batch in (1, 3, 8):
            images = torch.randn(batch, 3, 32, 32)
            for layout in (torch.contiguous_format, torch.channels_last):
                found = engine(images.contiguous(memory_format=layout))
                expected = model(images)
                scale = expected.abs().max()
                assert scale > 0.1  # there is something to compare
                assert (found - expected).abs().max() <= 1e-4 * scale


@pytest.mark.parametrize("name", engines.ENGINES)
def test_an_engine_has_weights_of_its_own(cache, name):
    model, spec = network()
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        engine = engines.build(name, model, spec)
        before = engine(images)
        kept = model.classifier.bias.clone()
        model.classifier.bias += 1
        try:
            assert engine(images).equal(before)
        finally:
            model.classifier.bias.copy_(kept)


def test_optimize_is_there_for_everybody():
    model, _ = network()
    training = effcc.create("cc_pico_4e", num_classes=10, settings=TINY).train()
    training.load_state_dict(model.state_dict())
    fast = effcc.optimize(training)
    images = torch.randn(4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(fast(images), model(images), rtol=1e-4, atol=1e-4)
    assert training.training
    assert not any(parameter.requires_grad for parameter in fast.parameters())


def test_an_engine_that_is_not_installed_says_how_to_get_it(monkeypatch):
    gone = {"openvino", "onnxruntime"}
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name in gone else name)
    with pytest.raises(UsageError) as caught:
        engines.check("test", ["openvino"])
    assert str(caught.value) == (
        "test --engine openvino needs onnxruntime, openvino: pip install 'effcc[openvino]'"
    )
    with pytest.raises(UsageError, match=r"needs onnxruntime: pip install 'effcc\[onnx\]'"):
        engines.check("bench", ["torch", "onnxruntime"])
    assert engines.installed() == ["torch"]


@pytest.mark.skipif(sys.platform != "linux", reason="sigaltstack as Linux has it")
def test_an_engine_leaves_signals_where_they_were_handled(cache):
    """OpenVINO moves them to memory that it gives back: the next signal would be the last."""
    model, spec = network()
    before = signal_stack()
    engine = engines.build("openvino", model, spec)
    assert signal_stack() == before
    del engine
    assert signal_stack() == before


def signal_stack():
    """Place and size of the stack on which this thread handles signals."""
    found = (ctypes.c_size_t * 3)()
    assert ctypes.CDLL(None).sigaltstack(None, found) == 0
    return found[0], found[2]
