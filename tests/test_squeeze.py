"""Squeeze-and-excite in C against torch's operations in double precision."""

import copy

import pytest
import torch

from effcc.nn import native
from effcc.nn.squeeze import SqueezeExcite


@pytest.mark.skipif(native.library() is None, reason=native.missing() or "compiled")
@pytest.mark.parametrize("shape", [(2, 5, 3, 4), (3, 40, 7, 7), (1, 33, 1, 1)], ids=str)
def test_values_and_gradients_are_torchs(shape):
    torch.manual_seed(0)
    ours = SqueezeExcite(shape[1], 3)
    exact = copy.deepcopy(ours).double()
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
    y, double = ours(x), x.detach().double().requires_grad_()
    assert "Excite" in type(y.grad_fn).__name__
    expected = exact(double)
    direction = torch.randn(shape, dtype=torch.float64)
    found = torch.autograd.grad(y, (x, *ours.parameters()), direction.float())
    right = torch.autograd.grad(expected, (double, *exact.parameters()), direction)
    for a, b in [(y, expected), *zip(found, right, strict=True)]:
        assert (a - b).abs().max() <= 2e-6 * b.abs().max()


def test_without_gradients_it_is_torchs():
    layer, x = SqueezeExcite(8, 2), torch.randn(2, 8, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), layer(x.contiguous(memory_format=torch.channels_last)))
