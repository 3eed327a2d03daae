"""How far ways of computing the same logits may lie apart, in one place; and how to measure it.

The unit is float32's last place (2**-23) of the largest logit, or of 1 where all are smaller. Two
sums of the same numbers in another order differ by some of these, and each layer hands them on. The
table of docs/numbers.md is this one: a test compares them.
"""

from contextlib import contextmanager

import onnx
import torch

from effcc.nn import native, operators, sessions
from effcc.nn.inference import optimize

# By way of computing, beside the network as it is, in float32 on a processor. `trained`: a network
# that has learned something. `random`: one whose weights are random numbers, large enough to keep
# its activations alive through 60 layers, and all rounding with them.
ULPS = {
    "another batch": {"trained": 64, "random": 512},
    "channels last": {"trained": 64, "random": 512},
    "compiled": {"trained": 64},
    "optimized": {"trained": 64, "random": 512},
    "optimized, without layers in C": {"trained": 64, "random": 512},
    "ONNX file": {"trained": 64, "random": 512},
    "engine onnxruntime": {"trained": 64, "random": 512},
    "engine openvino": {"trained": 64, "random": 512},
    "safetensors": {"trained": 0, "random": 0},
    "timm": {"trained": 0, "random": 0},
}


def distance(found, expected):
    """How far logits lie apart, in units of `ULPS`."""
    assert found.shape == expected.shape
    largest = expected.abs().max().clamp(min=1).item()
    return ((found - expected).abs().max().double() / largest * 2**23).item()


def undecided(logits, ulps):
    """Which rows' best two classes are so near that rounding of so many may change their order."""
    best = logits.topk(2).values
    largest = logits.abs().max().clamp(min=1)
    return best[:, 0] - best[:, 1] <= 2 * ulps * largest * 2**-23


def assert_agree(found, expected, ulps):
    """Logits within a tolerance, and the same best class wherever it leaves no choice."""
    assert expected.abs().max() > 0.1  # there is something to compare
    assert (expected - expected[0]).abs().max() > 0 or len(expected) == 1  # images differ
    assert distance(found, expected) <= ulps
    decided = ~undecided(expected, ulps)
    assert found.argmax(1)[decided].equal(expected.argmax(1)[decided])


@contextmanager
def without_layers(patch):
    """Torch alone, as where there is no compiler."""
    with patch.context() as inner:
        inner.setattr(native, "library", lambda: None)
        yield


def graph(name, model, spec, path):
    """The network's graph, arranged for an engine or `any`; computed by it, or by onnxruntime."""
    network, size = spec.network, spec.preprocessing.image_size
    onnx.save(operators.onnx_model(model, network.in_channels, size, engine=name), path)
    by = sessions.SESSIONS.get(name, sessions.OnnxRuntime)
    return by(path, torch.get_num_threads())


def ways(model, spec, folder, patch, compiled=False):
    """(way, logits of images) for every way but `compiled`, unless that is asked for too."""
    yield "another batch", lambda x: torch.cat([model(image[None]) for image in x])
    last = torch.channels_last
    spread = model.to(memory_format=last)
    yield "channels last", lambda x: spread(x.contiguous(memory_format=last))
    model.to(memory_format=torch.contiguous_format)
    yield "optimized", optimize(model)
    with without_layers(patch):
        plain = optimize(model)
        yield "optimized, without layers in C", plain
    yield "ONNX file", graph("any", model, spec, folder / "any.onnx")
    for name in sessions.SESSIONS:
        yield f"engine {name}", graph(name, model, spec, folder / f"{name}.onnx")
    if compiled:
        torch.compiler.reset()
        yield "compiled", torch.compile(model)
