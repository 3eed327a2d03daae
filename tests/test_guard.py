"""What stops a run from inside: in one line, with what is needed to look into it, nothing lost."""

import functools
import json
import math
import re

import pytest
import torch
from child import Command
from lightning.pytorch.callbacks import device_stats_monitor
from test_run import content, fit, short
from torch import nn

from effcc.data.loader import Shuffle
from effcc.ground.home import Home
from effcc.nn import weights
from effcc.train import guard, run
from effcc.train.checkpoints import Keeper
from effcc.train.guard import NotFinite, OutOfMemory
from effcc.train.module import CondConvModule


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A project whose runs keep every step."""
    monkeypatch.setattr(run, "Keeper", functools.partial(Keeper, every=0, share=math.inf))
    return Home(tmp_path.resolve())


def spoil(monkeypatch, step, value):
    """Add to the loss of the step that begins after `step` others."""
    original = CondConvModule.training_step

    def spoiled(self, batch, batch_idx):
        loss = original(self, batch, batch_idx)
        return loss + value if self.global_step == step else loss

    monkeypatch.setattr(CondConvModule, "training_step", spoiled)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run_with_its_batch(home, monkeypatch, value):
    spoil(monkeypatch, 4, value)
    with pytest.raises(NotFinite) as caught:
        fit(home, recipe__epochs=2)
    assert caught.value.exit_code == 5
    (path,) = home.runs.glob("*/*/not-finite.json")
    told = json.loads(path.read_text())
    assert (told["loss"], told["step"], told["epoch"]) == (str(value), 5, 2)
    last = path.with_name("last.ckpt")
    assert content(last)["global_step"] == 4
    assert told["learning_rate"] == content(last)["optimizer_states"][0]["param_groups"][0]["lr"]
    # Three steps an epoch: the second batch of the second.
    split = short()[1].split("train")
    shuffle = Shuffle(split, 0)
    shuffle.set_epoch(1)
    assert told["positions"] == [position for _, position in shuffle][16:32]
    assert told["images"] == [split.where(position) for position in told["positions"]]
    assert str(caught.value) == (
        f"the loss is {value} at step 5 (epoch 2, learning rate {told['learning_rate']:.3g}) on "
        f"{', '.join(told['images'][:3])} and 13 more, all named in {path}; "
        f"a lower --recipe.lr may help; go on with --ckpt_path {home.shown(last)}"
    )


def test_losses_that_are_looked_at_late_still_name_their_batch(tmp_path, monkeypatch):
    # As on an accelerator, which would have to be waited for.
    home = Home(tmp_path.resolve())
    monkeypatch.setitem(guard.LOOK_EVERY, "cpu", guard.LOOK_EVERY_ELSEWHERE)
    spoil(monkeypatch, 3, math.nan)
    with pytest.raises(NotFinite, match=r"the loss is nan at step 4 \(epoch 2"):
        fit(home, recipe__epochs=2)
    (path,) = home.runs.glob("*/*/last.ckpt")
    assert content(path)["global_step"] == 1  # not the last step's, which had been spoiled by then


def test_weights_that_are_no_numbers_are_never_written_over_good_ones(home, monkeypatch):
    def spoiled(self, optimizer):  # the loss of this step is known by then, and finite
        if self.global_step == 1:
            nn.init.constant_(self.model.classifier.bias, math.inf)

    monkeypatch.setattr(CondConvModule, "on_before_zero_grad", spoiled)
    with pytest.raises(NotFinite, match="a weight is infinite or no number after step 2"):
        fit(home)
    (path,) = home.runs.glob("*/*/last.ckpt")
    assert content(path)["global_step"] == 1
    assert all(weight.isfinite().all() for weight in weights.read(path).weights.values())


def test_memory_that_runs_out_names_the_batch_size(home, monkeypatch):
    original = CondConvModule.training_step

    def greedy(self, batch, batch_idx):
        if batch_idx == 1:
            torch.empty(2**55)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(CondConvModule, "training_step", greedy)
    with pytest.raises(
        OutOfMemory, match=r"memory with 16 images .*--data\.batch_size.*; go on"
    ) as e:
        fit(home)
    assert e.value.exit_code == 5
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_every_kind_of_lack_is_known(error):
    with pytest.raises(OutOfMemory, match="with 7 images"), guard.enough_memory(7):
        raise error


def test_another_mistake_stays_what_it_is():
    with pytest.raises(RuntimeError, match="shape"), guard.enough_memory(7):
        torch.zeros(2, 3) @ torch.zeros(2, 3)


def test_a_part_of_the_trainer_that_wants_a_missing_package_is_a_line(home, monkeypatch):
    monkeypatch.setattr(device_stats_monitor, "_PSUTIL_AVAILABLE", False)
    callbacks = [{"class_path": "lightning.pytorch.callbacks.DeviceStatsMonitor"}]
    with pytest.raises(guard.Unequipped, match=r"^trainer: .*`psutil` is not installed") as e:
        fit(home, trainer={"callbacks": callbacks})
    assert "\n" not in str(e.value)
    assert e.value.exit_code == 3


def test_a_rate_that_is_far_too_high_ends_the_command_with_five(project):
    command = Command(
        project,
        *("fit", "--config", "registry/cc_pico_4e.yaml", "--network.depth", "0.3"),
        *("--recipe.lr", "1e6", "--recipe.warmup_epochs", "0", "--trainer.accelerator", "cpu"),
    )
    assert command.wait() == 5, command.said
    last = command.said.splitlines()[-1]
    assert re.match(r"the loss is nan at step \d+ \(epoch 1, learning rate", last), last
    assert not project.results.exists()
