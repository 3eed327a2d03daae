"""Every fast path of CondConv against its definition, and padding against TensorFlow's rule."""

import math

import pytest
import torch

from effcc.nn import condconv as conditional
from effcc.nn.condconv import CondConv2d, condconv, condconv_loop, taps_to_pairs
from effcc.nn.padding import same_padding

# Both sides of the two thresholds, maps of one pixel, and maps that are not square.
MAPS = [(1, 1), (2, 4), (3, 2), (3, 5), (8, 6)]
POINTWISE = {"kernel": 1, "stride": 1, "padding": "same"}


@pytest.fixture(params=["as chosen", "small", "large"])
def arrangement(request, monkeypatch):
    """The arrangement that the shape asks for, and either one whatever the shape."""
    if request.param != "as chosen":
        limit = math.inf if request.param == "small" else -math.inf
        monkeypatch.setattr(conditional, "MACS_PER_FLOAT_MOVED", limit)
        monkeypatch.setattr(conditional, "SMALL_MAP", limit)


def problem(size, experts, batch, channels, out, groups, kernel, memory_format):
    """Random x, weight and routing in float64, each asking for its gradient."""
    random = torch.Generator().manual_seed(sum(size) + 31 * experts + 7 * batch + kernel)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=random)

    x = draw(batch, channels, *size).contiguous(memory_format=memory_format)
    weight = draw(experts, out * channels // groups * kernel * kernel)
    return [t.requires_grad_() for t in (x, weight, draw(batch, experts).sigmoid())]


def assert_agree(tensors, **how):
    """`condconv` and `condconv_loop` have the same values and gradients."""
    expected, found = condconv_loop(*tensors, **how), condconv(*tensors, **how)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    direction = torch.randn(
        expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(1)
    )
    gradients = torch.autograd.grad(found, tensors, direction)
    for name, ours, theirs in zip(
        ("x", "weight", "routing"),
        gradients,
        torch.autograd.grad(expected, tensors, direction),
        strict=True,
    ):
        torch.testing.assert_close(
            ours, theirs, rtol=1e-11, atol=1e-10, msg=lambda text, of=name: f"{of}: {text}"
        )


@pytest.mark.usefixtures("arrangement")
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("experts", [1, 4, 8])
@pytest.mark.parametrize("size", MAPS, ids=str)
def test_pointwise_is_the_definition(size, experts, memory_format):
    tensors = problem(size, experts, 3, 6, 10, 1, 1, memory_format)
    assert_agree(tensors, groups=1, **POINTWISE)


@pytest.mark.usefixtures("arrangement")
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("experts", [1, 4, 8])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_is_the_definition(kernel, stride, experts, memory_format):
    for size in MAPS:
        tensors = problem(size, experts, 3, 6, 6, 6, kernel, memory_format)
        assert_agree(tensors, kernel=kernel, stride=stride, groups=6, padding="same")


@pytest.mark.usefixtures("arrangement")
@pytest.mark.parametrize("size", MAPS, ids=str)
def test_depthwise_with_symmetric_padding_is_the_definition(size):
    for kernel in (3, 5):
        for stride in (1, 2):
            tensors = problem(size, 4, 2, 6, 6, 6, kernel, torch.contiguous_format)
            assert_agree(tensors, kernel=kernel, stride=stride, groups=6, padding="symmetric")


@pytest.mark.usefixtures("arrangement")
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("size", MAPS, ids=str)
def test_a_batch_of_one_is_the_definition(size, memory_format):
    tensors = problem(size, 4, 1, 6, 10, 1, 1, memory_format)
    assert_agree(tensors, groups=1, **POINTWISE)
    tensors = problem(size, 4, 1, 6, 6, 6, 5, memory_format)
    assert_agree(tensors, kernel=5, stride=2, groups=6, padding="same")


@pytest.mark.usefixtures("arrangement")
@pytest.mark.parametrize(("groups", "kernel", "stride"), [(1, 1, 1), (2, 3, 1), (2, 3, 2)], ids=str)
def test_gradients_have_gradients(groups, kernel, stride):
    tensors = problem((2, 2), 2, 2, 2, 2, groups, kernel, torch.contiguous_format)
    how = {"kernel": kernel, "stride": stride, "groups": groups, "padding": "same"}
    assert torch.autograd.gradgradcheck(lambda *t: condconv(*t, **how), tensors)


def test_every_sample_has_its_own_kernel():
    x, weight, routing = problem((4, 4), 4, 2, 6, 6, 6, 3, torch.contiguous_format)
    how = {"kernel": 3, "stride": 1, "groups": 6, "padding": "same"}
    both = condconv(x, weight, routing, **how)
    alone = [condconv(x[i : i + 1], weight, routing[i : i + 1], **how) for i in (0, 1)]
    torch.testing.assert_close(both, torch.cat(alone), rtol=1e-12, atol=1e-12)
    swapped = condconv(x, weight, routing.flip(0), **how)
    assert (both - swapped).abs().max() > 0.1


def test_one_expert_with_weight_one_is_a_plain_convolution():
    x, weight, _ = problem((5, 4), 1, 2, 6, 8, 1, 1, torch.contiguous_format)
    plain = torch.nn.functional.conv2d(x, weight.view(8, 6, 1, 1))
    ones = torch.ones(2, 1, dtype=x.dtype)
    found = condconv(x, weight, ones, groups=1, **POINTWISE)
    torch.testing.assert_close(found, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "stride", "groups", "out"),
    [(3, 1, 1, 6), (1, 2, 1, 6), (3, 1, 2, 6), (3, 1, 6, 12)],
    ids=["dense 3x3", "strided 1x1", "two groups", "depth multiplier"],
)
def test_other_convolutions_are_refused(kernel, stride, groups, out):
    x, weight, routing = problem((4, 4), 2, 1, 6, out, groups, kernel, torch.contiguous_format)
    with pytest.raises(ValueError, match=r"pointwise .* or depthwise"):
        condconv(x, weight, routing, kernel=kernel, stride=stride, groups=groups, padding="same")


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (6, 6)], ids=str)
@pytest.mark.parametrize("kernel", [1, 3])
def test_layer_runs_under_bfloat16_autocast(kernel, size):
    torch.manual_seed(0)
    groups = 8 if kernel > 1 else 1
    layer = CondConv2d(8, 8, kernel, 1, groups, 4, "same")
    torch.nn.init.normal_(layer.weight, 0, 0.3)
    x, routing = torch.randn(2, 8, *size), torch.rand(2, 4)
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(x.bfloat16(), routing)
    half.float().square().sum().backward()
    assert half.dtype == torch.bfloat16
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.isfinite().all()
    full = layer(x, routing)
    assert (half.float() - full).norm() < 0.02 * full.norm()


def test_layer_holds_one_flat_kernel_per_expert():
    assert CondConv2d(6, 10, 1, 1, 1, 4, "same").weight.shape == (4, 60)
    assert CondConv2d(6, 6, 5, 2, 6, 8, "same").weight.shape == (8, 150)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_same_padding_gives_the_size_over_the_stride_rounded_up(kernel, stride):
    for size in range(1, 65):
        before, after = same_padding(size, kernel, stride)
        outputs = (size + before + after - kernel) // stride + 1
        assert outputs == math.ceil(size / stride)
        assert 0 <= after - before <= 1
        # No more zeros than the last window needs.
        assert before + after in (0, (outputs - 1) * stride + kernel - size)


def test_same_padding_puts_the_odd_zero_after():
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(112, 5, 2) == (1, 2)
    assert same_padding(7, 5, 2) == (2, 2)
    assert same_padding(14, 5, 1) == (2, 2)
    assert same_padding(1, 5, 2) == (2, 2)


def test_taps_outside_the_map_meet_padding_only():
    pairs = taps_to_pairs(1, 1, 5, 1, 2, torch.zeros(1, dtype=torch.float64))
    assert pairs.dtype == torch.float64
    assert pairs.flatten().tolist() == [0, 0, 1, 0, 0]
