"""The averaged weights: TensorFlow's decay, batch norm's statistics, and what is swapped when."""

import copy

import golden
import lightning as L
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from effcc.ground.errors import UsageError
from effcc.train import trainer
from effcc.train.ema import Ema, tensors, update


class Normed(L.LightningModule):
    """A parameter, a batch norm and its counter: all kinds of tensors there are."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.seen, self.validated = [], []

    def training_step(self, batch, batch_idx):
        return F.mse_loss(self.norm(self.linear(batch[0])), batch[1])

    def on_before_zero_grad(self, optimizer):
        self.seen.append(snapshot(self))  # right after an optimiser step

    def validation_step(self, batch, batch_idx):
        self.validated.append(snapshot(self))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


def snapshot(module):
    return [tensor.clone() for tensor in tensors(module)]


def fit(module, average, **arguments):
    torch.manual_seed(3)
    data = TensorDataset(torch.randn(24, 3), torch.randn(24, 2))
    quiet = {"enable_progress_bar": False, "num_sanity_val_steps": 0, "accelerator": "cpu"}
    loaders = DataLoader(data, batch_size=4), DataLoader(data, batch_size=24)
    trainer.build(quiet | arguments, [average], None).fit(module, *loaders)


def counted(start):
    """A value to average and, as every network has, a counter."""
    module = nn.Module()
    module.w = nn.Parameter(torch.tensor([start], dtype=torch.float64))
    module.register_buffer("steps", torch.tensor(0))
    return module


def test_average_is_tensorflows():
    average, model = counted(0), counted(0)
    found = []
    for step in range(1, 21):
        nn.init.constant_(model.w, step)
        update(average, model, 0.9999, step)
        found.append(average.w.item())
    # TensorFlow works the decay out in single precision.
    assert found == pytest.approx(golden.numbers("ema.npz")["average"].tolist(), rel=1e-7)


def test_decay_is_bounded_by_its_setting():
    average, model = counted(0), counted(1)
    update(average, model, 0.5, 1_000_000)
    assert average.w.item() == 0.5


def test_statistics_are_averaged_and_counters_copied():
    model = nn.BatchNorm1d(2).double()
    average = copy.deepcopy(model)
    model(torch.randn(8, 2, dtype=torch.float64) * 3 + 1)
    model(torch.randn(8, 2, dtype=torch.float64))
    update(average, model, 0.9, 1)  # keeps 2/11
    expected_mean = model.running_mean * 9 / 11
    expected_var = torch.ones(2, dtype=torch.float64) * 2 / 11 + model.running_var * 9 / 11
    torch.testing.assert_close(average.running_mean, expected_mean)
    torch.testing.assert_close(average.running_var, expected_var)
    assert average.num_batches_tracked == model.num_batches_tracked == 2


@pytest.mark.parametrize("accumulated", [1, 3])
def test_average_starts_from_the_initial_weights_and_counts_optimiser_steps(accumulated):
    module = Normed()
    start = snapshot(module)
    fit(
        module,
        Ema(0.99),
        max_epochs=2,
        accumulate_grad_batches=accumulated,
        limit_val_batches=0,
    )
    parameters = len(list(module.parameters()))
    expected = start[:parameters]
    for step, weights in enumerate(after_steps(module, accumulated), 1):
        keep = min(0.99, (1 + step) / (10 + step))
        expected = [keep * e + (1 - keep) * w for e, w in zip(expected, weights, strict=False)]
    # When training ends the module holds the averages.
    for found, wanted in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), wanted)


def after_steps(module, accumulated):
    """The weights after each optimiser step; gradients are reset once per step."""
    assert len(module.seen) == 12 // accumulated
    return [*module.seen[1:], module.final]


@pytest.fixture(autouse=True)
def remember_the_last_weights(monkeypatch):
    """Training's own weights at its end, before the averages take their place."""
    original = Ema.on_train_end

    def on_train_end(self, trainer, pl_module):
        pl_module.final = snapshot(pl_module)
        original(self, trainer, pl_module)

    monkeypatch.setattr(Ema, "on_train_end", on_train_end)


def test_validation_sees_the_averages_and_training_goes_on_with_its_weights():
    plain, averaged = Normed(), Normed()
    averaged.load_state_dict(plain.state_dict())
    keeper = Ema(0.99)
    fit(plain, Ema(0.0), max_epochs=2, limit_val_batches=0)
    fit(averaged, keeper, max_epochs=2)
    for ours, theirs in zip(averaged.final, plain.final, strict=True):
        assert ours.equal(theirs)
    last = averaged.validated[-1]
    for seen, average in zip(last, tensors(keeper._average_model.module), strict=True):
        assert seen.equal(average)
    assert not last[0].equal(averaged.final[0])


def test_swapping_twice_gives_back_the_same_bits():
    module = Normed()
    module.norm(torch.randn(4, 2))
    keeper = Ema(0.99)
    keeper._average_model = torch.optim.swa_utils.AveragedModel(Normed(), use_buffers=True)
    ours, averages = snapshot(module), snapshot(keeper._average_model.module)
    keeper._swap_models(module)
    for found, wanted in zip(tensors(module), averages, strict=True):
        assert found.equal(wanted)
    keeper._swap_models(module)
    for found, wanted in zip(tensors(module), ours, strict=True):
        assert found.equal(wanted)
    for found, wanted in zip(tensors(keeper._average_model.module), averages, strict=True):
        assert found.equal(wanted)


def test_double_precision_is_averaged_in_double():
    module, average = Normed(), Ema(0.9)
    fit(module, average, max_epochs=1, precision="64-true")
    assert {t.dtype for t in tensors(module) if t.is_floating_point()} == {torch.float64}


def test_half_precision_is_refused():
    with pytest.raises(UsageError, match="bf16-mixed"):
        fit(Normed(), Ema(0.9), max_epochs=1, precision="bf16-true")
