"""Batch norm over all processes: in a group of one it is torch's own, to the last digits.

That two processes equal one is tests/test_ranks.py's to show.
"""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F

from effcc.nn import native
from effcc.nn.batchnorm import BatchNorm2d, SyncedBatchNorm2d, local, synced


@pytest.fixture
def group(tmp_path):
    """A process group of one."""
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def norms():
    """Torch's and ours, with the same tensors, in double precision."""
    torch.manual_seed(0)
    theirs, ours = (
        build(5, eps=1e-3, momentum=0.1) for build in (nn.BatchNorm2d, SyncedBatchNorm2d)
    )
    nn.init.uniform_(theirs.weight)
    nn.init.uniform_(theirs.bias)
    ours.load_state_dict(theirs.state_dict())
    return theirs.double(), ours.double()


def test_values_gradients_and_statistics_are_torchs(group):
    theirs, ours = norms()
    for _ in range(2):
        batch = torch.randn(6, 5, 3, 4, dtype=torch.float64) * 2 + 1
        one, other = batch.clone().requires_grad_(), batch.clone().requires_grad_()
        expected, found = theirs(one), ours(other)
        torch.testing.assert_close(found, expected)
        (expected**3).sum().backward()
        (found**3).sum().backward()
        torch.testing.assert_close(other.grad, one.grad)
        for name, parameter in theirs.named_parameters():
            torch.testing.assert_close(ours.get_parameter(name).grad, parameter.grad)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_outside_training_it_is_torchs(group):
    theirs, ours = (norm.eval() for norm in norms())
    batch = torch.randn(2, 5, 3, 3, dtype=torch.float64)
    assert ours(batch).equal(theirs(batch))


def test_without_other_processes_it_is_torchs():
    theirs, ours = norms()
    batch = torch.randn(2, 5, 3, 3, dtype=torch.float64)
    assert ours(batch).equal(theirs(batch))


def test_a_model_keeps_its_tensors_and_can_be_turned_back():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(BatchNorm2d(4, 1e-3, 0.3)))
    before = [*model.parameters(), *model.buffers()]
    for change, kind in ((synced, SyncedBatchNorm2d), (local, BatchNorm2d)):
        assert change(model) is model
        assert type(model[1][0]) is kind
        assert model[1][0].momentum == 0.3
        after = [*model.parameters(), *model.buffers()]
        assert all(a is b for a, b in zip(before, after, strict=True))


@pytest.mark.skipif(native.library() is None, reason=native.missing() or "compiled")
@pytest.mark.parametrize("activate", [False, True], ids=["alone", "with SiLU"])
@pytest.mark.parametrize("shape", [(4, 5, 3, 3), (3, 33, 7, 5), (2, 64, 90, 90)], ids=str)
@pytest.mark.parametrize("mean", [0, 100])
def test_the_layers_in_c_are_torchs_in_double_precision(shape, activate, mean):
    torch.manual_seed(0)
    ours = BatchNorm2d(shape[1], 1e-3, 0.3, activate)
    nn.init.uniform_(ours.weight, 0.5, 2)
    nn.init.uniform_(ours.bias, -1, 1)
    exact = nn.BatchNorm2d(shape[1], 1e-3, 0.3).double()
    exact.load_state_dict(ours.state_dict())
    x = (torch.randn(shape) + mean).contiguous(memory_format=torch.channels_last).requires_grad_()
    y, double = ours(x), x.detach().double().requires_grad_()
    assert "Normalise" in type(y.grad_fn).__name__
    expected = F.silu(exact(double)) if activate else exact(double)
    direction = torch.randn(shape, dtype=torch.float64)
    found = torch.autograd.grad(y, (x, ours.weight, ours.bias), direction.float())
    right = torch.autograd.grad(expected, (double, exact.weight, exact.bias), direction)
    # Of values of about 1; a mean of 100 costs the two digits that it has before the point.
    rounding = 2e-6 * max(1, mean)
    pairs = [(y, expected), *zip(found, right, strict=True)]
    pairs += [(ours.running_mean, exact.running_mean), (ours.running_var, exact.running_var)]
    for a, b in pairs:
        assert (a - b).abs().max() <= rounding * max(1, b.abs().max())
    assert ours.num_batches_tracked == 1


@pytest.mark.skipif(native.library() is None, reason=native.missing() or "compiled")
def test_not_a_number_stays_one():
    norm = BatchNorm2d(20, 1e-3, 0.3, activate=True)
    x = torch.randn(2, 20, 4, 4).contiguous(memory_format=torch.channels_last)
    x[1, 3, 2, 2] = torch.nan
    y = norm(x)
    assert y[:, 3].isnan().all()
    assert y[:, :3].isfinite().all()
    assert y[:, 4:].isfinite().all()


def test_one_value_a_channel_is_refused_in_words():
    with pytest.raises(ValueError, match=r"more than (1|one) value"):
        BatchNorm2d(20, 1e-3, 0.3)(torch.randn(1, 20, 1, 1))
