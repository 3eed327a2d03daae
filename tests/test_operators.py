"""One graph for other engines: the network's values, whatever its shape, arranged to be fast."""

import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from test_transfer import network

from effcc.catalog.spec import Stage
from effcc.nn import operators
from effcc.nn.efficientnet import build

PLAIN = Stage(repeats=1, kernel=3, stride=2, expand=1, out=8, conditional=False)
BETWEEN = Stage(repeats=2, kernel=5, stride=1, expand=2, out=32, conditional=False)


@pytest.fixture(params=["any", "openvino", "onnxruntime"])
def engine(request):
    """Whom a graph is arranged for: on maps this small kernels are mixed, or outputs, or either."""
    return request.param


def seasoned(description, size=32):
    """A network whose batch norms have seen something, and whose logits are large."""
    torch.manual_seed(2)
    model = build(description, classifier_init=100)
    for _ in range(3):
        model(torch.randn(8, description.in_channels, size, size))
    return model.eval()


def conditional(**change):
    return Stage(**({"repeats": 2, "expand": 2, "out": 32, "conditional": True} | change))


def answers(reader, content, images):
    if reader == "onnxruntime":
        session = onnxruntime.InferenceSession(
            content.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        return session.run(None, {"images": images.numpy()})
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    model = core.read_model(content.SerializeToString())
    return list(
        core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(images).values()
    )


def assert_same(model, size, engine="any", reader="onnxruntime"):
    channels = model.conv_stem.in_channels
    content = operators.onnx_model(model, channels, size, engine=engine)
    onnx.checker.check_model(content, full_check=True)
    random = torch.Generator().manual_seed(3)
    for batch in (1, 3):
        images = torch.randn(batch, channels, size, size, generator=random)
        with torch.no_grad():
            expected = model.double()(images.double()).numpy()
        model.float()
        (found,) = answers(reader, content, images)
        assert abs(found - expected).max() < 1e-5 * max(1, abs(expected).max())
        assert np.ptp(expected, axis=0).max() > 0.1 or batch == 1  # samples differ


@pytest.mark.parametrize("experts", [1, 4])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize(("kernel", "stride"), list(itertools.product([3, 5], [1, 2])))
def test_the_graph_is_the_network(kernel, stride, padding, experts, engine):
    stages = (PLAIN, conditional(kernel=kernel, stride=stride))
    model = seasoned(network(stages=stages, padding=padding, experts=experts), 26)
    assert_same(model, 26, engine)


@pytest.mark.parametrize("size", [8, 30, 33])
def test_it_is_at_any_size_of_image(size, engine):
    assert_same(seasoned(network()), size, engine)


def test_it_is_wherever_stages_are_conditional():
    back = (PLAIN, conditional(kernel=3, stride=1), BETWEEN, conditional(kernel=5, stride=2))
    for stages in (back, back[:3], (PLAIN, BETWEEN)):
        assert_same(seasoned(network(stages=stages, in_channels=1)), 32)


def test_openvino_reads_it_alike(engine):
    assert_same(seasoned(network()), 32, engine, reader="openvino")


def test_norms_are_folded_away_and_any_mode_will_do():
    model = seasoned(network())
    content = operators.onnx_model(model, 3, 32)
    assert "BatchNormalization" not in {node.op_type for node in everything(content.graph)}
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert operators.onnx_model(model.train(), 3, 32) == content
    assert all(tensor.equal(before[name]) for name, tensor in model.state_dict().items())


def test_each_sample_is_one_convolution_with_a_kernel_of_its_own_where_maps_are_large(engine):
    model = seasoned(network())
    walks = [
        [node for node in scan.attribute[0].g.node if node.op_type == "Conv"]
        for scan in operators.onnx_model(model, 3, 96, engine=engine).graph.node
        if scan.op_type == "Scan"
    ]
    # Maps of 12, 6 and 3 pixels a side; four experts.
    expected = {"any": [1, 4, 4], "openvino": [1, 1, 1], "onnxruntime": [4, 4, 4]}
    assert [len(convolutions) for convolutions in walks] == expected[engine]


def test_values_are_named_by_their_block():
    names = [node.output[0] for node in operators.onnx_model(seasoned(network()), 3, 32).graph.node]
    (first, *_) = [name for name in names if "/scan" in name]
    assert first.startswith("blocks.1.0/")
    assert len(set(names)) == len(names)


def everything(part):
    """The nodes of a graph and of the bodies in it."""
    for node in part.node:
        yield node
        for attribute in node.attribute:
            yield from everything(attribute.g)
