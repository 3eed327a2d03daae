"""Batch norm over all processes: in a group of one it is torch's own, to the last digits.

That two processes equal one is tests/test_ranks.py's to show.
"""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from effcc.nn.batchnorm import SyncedBatchNorm2d, local, synced


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
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4, momentum=0.3)))
    before = [*model.parameters(), *model.buffers()]
    for change, kind in ((synced, SyncedBatchNorm2d), (local, nn.BatchNorm2d)):
        assert change(model) is model
        assert type(model[1][0]) is kind
        assert model[1][0].momentum == 0.3
        after = [*model.parameters(), *model.buffers()]
        assert all(a is b for a, b in zip(before, after, strict=True))
