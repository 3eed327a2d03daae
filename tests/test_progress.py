"""What a person sees of a run: how far, how fast, how long yet; on a terminal and off it."""

import io
import re
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from effcc.data.loader import Batch
from effcc.train import progress
from effcc.train.progress import RunProgress, clock


def batch(count):
    nothing = torch.zeros(count, dtype=torch.int64)
    return Batch(nothing, nothing, nothing, nothing.bool())


@pytest.fixture
def stage(monkeypatch):
    """A run on two devices of which no step is taken, and a clock set by hand."""
    time = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: time.now))
    trainer = SimpleNamespace(
        world_size=2,
        global_step=0,
        current_epoch=0,
        max_epochs=2,
        num_training_batches=100,
        estimated_stepping_batches=200,
        accumulate_grad_batches=1,
        callback_metrics={},
    )
    return SimpleNamespace(time=time, trainer=trainer, out=io.StringIO())


def begin(stage):
    shown = RunProgress(Console(file=stage.out, soft_wrap=True))
    shown.on_train_start(stage.trainer, None)
    shown.on_train_epoch_start(stage.trainer, None)
    return shown


def step(stage, shown, seconds):
    stage.time.now += seconds
    stage.trainer.global_step += 1
    outputs = {"loss": torch.tensor(1.5)}
    shown.on_train_batch_end(stage.trainer, None, outputs, batch(8), stage.trainer.global_step - 1)


def lines(stage):
    return stage.out.getvalue().splitlines()


def test_an_epoch_that_goes_on_within_counts_from_there(stage):
    stage.time.now = 5000.0
    shown = RunProgress(Console(file=stage.out, soft_wrap=True))
    shown.on_train_start(stage.trainer, None)
    step(stage, shown, 2)
    assert lines(stage) == []  # a minute has not passed
    shown.on_train_epoch_end(stage.trainer, None)
    assert "8.0 images/s" in lines(stage)[0]  # two devices, 8 images each, in two seconds


def test_a_long_epoch_says_every_minute_how_far_it_is(stage):
    shown = begin(stage)
    for _ in range(10):
        step(stage, shown, 40)
    assert len(lines(stage)) == 5  # every second step, 80 seconds
    assert lines(stage)[0] == (
        "epoch 1/2  batch 2 of 100  loss 1.500  0.4 images/s  1:20 spent, about 2:12:00 left"
    )


def test_a_short_epoch_is_one_line(stage):
    shown = begin(stage)
    for _ in range(10):
        step(stage, shown, 0.1)
    stage.trainer.callback_metrics = {"train_loss": torch.tensor(2.0), "val_top1": 0.5}
    shown.on_train_epoch_end(stage.trainer, None)
    assert lines(stage) == [
        "epoch 1/2  loss 2.000  val top-1 50.0 %  160 images/s  0:01 spent, about 0:19 left"
    ]


def test_validation_does_not_slow_the_images_down(stage):
    shown = begin(stage)
    step(stage, shown, 1)
    shown.on_validation_start(stage.trainer, None)
    stage.time.now += 50
    shown.on_validation_end(stage.trainer, None)
    shown.on_train_epoch_end(stage.trainer, None)
    assert "  16 images/s" in lines(stage)[0]


def test_a_continued_run_counts_its_own_steps_for_the_time_left(stage):
    stage.trainer.global_step = 100
    shown = begin(stage)
    for _ in range(10):
        step(stage, shown, 2)
    shown.on_train_epoch_end(stage.trainer, None)
    assert "0:20 spent, about 3:00 left" in lines(stage)[0]  # 90 steps of 2 seconds


def test_a_run_without_an_end_has_no_time_left(stage):
    stage.trainer.max_epochs, stage.trainer.estimated_stepping_batches = -1, float("inf")
    shown = begin(stage)
    step(stage, shown, 1)
    shown.on_train_epoch_end(stage.trainer, None)
    assert lines(stage)[0].startswith("epoch 1  ")
    assert lines(stage)[0].endswith("0:01 spent")


@pytest.mark.parametrize("width", [80, 130])
def test_a_terminal_shows_everything_on_one_line(stage, width):
    shown = RunProgress(Console(file=stage.out, width=width, force_terminal=True))
    stage.trainer.max_epochs, stage.trainer.current_epoch = 350, 120
    shown.on_train_start(stage.trainer, None)
    shown.on_train_epoch_start(stage.trainer, None)
    step(stage, shown, 0.01)
    stage.trainer.callback_metrics = {"train_loss": torch.tensor(2.0), "val_top1": 0.744}
    shown.on_train_epoch_end(stage.trainer, None)
    shown.on_train_end(stage.trainer, None)
    last = [
        line
        for line in re.sub(r"\x1b\[[^a-zA-Z]*\w", "", stage.out.getvalue()).splitlines()
        if "epoch" in line
    ][-1]
    for part in ("epoch 121/350", "1,600 images/s", "loss 2.000  val top-1 74.4 %"):
        assert part in last
    assert ("1/200" in last) == (width > 100)


def test_a_clock_has_hours_when_they_are_needed():
    assert [clock(s) for s in (0, 59.6, 3599, 3600, -1)] == [
        "0:00",
        "1:00",
        "59:59",
        "1:00:00",
        "0:00",
    ]
