"""Depthwise convolution in C against torch's in double precision: values and all gradients."""

import pytest
import torch
from torch.nn import functional as F

from effcc.nn import native
from effcc.nn.condconv import condconv, condconv_loop
from effcc.nn.depthwise import depthwise

pytestmark = pytest.mark.skipif(native.library() is None, reason=native.missing() or "compiled")

# (batch, channels, height, width): whole and broken vectors of channels, maps smaller than kernels.
SHAPES = [(2, 5, 7, 9), (3, 40, 8, 6), (2, 33, 15, 15), (1, 64, 1, 1), (2, 48, 1, 2), (2, 16, 3, 3)]


def assert_close(found, expected):
    """To float32's rounding of sums of this length, by the largest value."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 2e-6 * expected.abs().max()


@pytest.mark.parametrize("shared", [True, False], ids=["one kernel", "a kernel per sample"])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_the_definition(shape, kernel, stride, padding, shared):
    torch.manual_seed(sum(shape) + kernel)
    batch, channels, *_ = shape
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
    experts = 1 if shared else 3
    weight = torch.randn(experts, channels * kernel**2, requires_grad=True)
    routing = None if shared else torch.rand(batch, experts, requires_grad=True)
    how = {"kernel": kernel, "stride": stride, "padding": padding}
    y = depthwise(x, weight, routing, **how)
    assert y.is_contiguous(memory_format=torch.channels_last)
    tensors = [t for t in (x, weight, routing) if t is not None]
    exact = [t.detach().double().requires_grad_() for t in tensors]
    ones = torch.ones(batch, 1, dtype=torch.float64)
    expected = condconv_loop(*exact[:2], *(exact[2:] or [ones]), groups=channels, **how)
    assert_close(y, expected)
    direction = torch.randn(expected.shape, dtype=torch.float64)
    gradients = torch.autograd.grad(y, tensors, direction.float())
    for ours, theirs in zip(
        gradients, torch.autograd.grad(expected, exact, direction), strict=True
    ):
        assert_close(ours, theirs)


def test_condconv_takes_it_and_asks_for_no_more_than_is_needed():
    x = torch.randn(2, 24, 9, 9).contiguous(memory_format=torch.channels_last)
    weight, routing = torch.randn(4, 24 * 9), torch.rand(2, 4, requires_grad=True)
    y = condconv(x, weight, routing, kernel=3, stride=2, groups=24, padding="same")
    assert "Depthwise" in type(y.grad_fn).__name__
    y.sum().backward()
    assert routing.grad is not None
    assert x.grad is weight.grad is None


@pytest.mark.parametrize("why", ["double", "channels first", "compiled", "functional", "listened"])
def test_what_it_cannot_compute_is_left_to_torch(why):
    x = torch.randn(2, 24, 9, 9).contiguous(memory_format=torch.channels_last)
    assert native.takes(x)
    if why == "double":
        assert not native.takes(x.double())
    elif why == "channels first":
        assert not native.takes(x.contiguous())
    elif why == "compiled":
        seen = []
        step = torch.compile(lambda t: seen.append(native.takes(t)) or t + 1, backend="eager")
        step(x)
        assert seen == [False]
    elif why == "functional":
        torch.func.vmap(lambda t: t.sum() + (0 if not native.takes(t) else 1 / 0))(x)
    else:
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False):
            assert not native.takes(x)


def test_a_second_derivative_is_refused_and_not_wrong():
    x = torch.randn(1, 8, 5, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = depthwise(x, torch.randn(1, 72), None, kernel=3, stride=1, padding="same")
    (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_the_same_bits_however_many_threads():
    x = torch.randn(3, 70, 14, 14).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(4, 70 * 25, requires_grad=True)
    routing = torch.rand(3, 4)
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = depthwise(x, weight, routing, kernel=5, stride=1, padding="same")
            found.append((y, *torch.autograd.grad(y.sum(), (x,))))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert torch.equal(a, b)


def test_plain_convolutions_take_it_too():
    from effcc.nn.efficientnet import Conv2d

    layer = Conv2d(12, 12, 3, 2, 12)
    x = torch.randn(2, 12, 8, 8).contiguous(memory_format=torch.channels_last)
    y = layer(x)
    assert "Depthwise" in type(y.grad_fn).__name__
    expected = F.conv2d(F.pad(x, (0, 1, 0, 1)), layer.weight, stride=2, groups=12)
    assert_close(y, expected)
