"""A plan is the fit that then happens: same steps, same batch, same rates; time by arithmetic."""

import csv
import dataclasses
import io

import pytest
import torch
from rich.console import Console

import effcc
from effcc.ground.errors import UsageError
from effcc.ground.home import Home
from effcc.sources.decode import MissingData
from effcc.train import gauge, plan, run
from effcc.train.gauge import Loading, Memory, Scaling, Step
from effcc.train.trainer import BadTrainer

SETTINGS = {
    "recipe.epochs": 2,
    "recipe.warmup_epochs": 0.5,
    "recipe.decay_epochs": 0.4,
    "data.batch_size": 8,
    "network.depth": 0.3,
    "trainer.accelerator": "cpu",
    "trainer.limit_train_batches": 10,
    "trainer.limit_val_batches": 1,
    "trainer.limit_test_batches": 1,
    "trainer.log_every_n_steps": 1,
}
STEP = Step("cpu", "a processor", 4, 3, 2.0, Memory(10, 10, 20, 10, 400, 4))


@pytest.fixture(autouse=True)
def _measured(monkeypatch):
    """Measuring is instant: a step takes 2 s for 4 images, and 1 image loads in 0.1 s."""
    monkeypatch.setattr(gauge, "step", lambda *_: STEP)
    monkeypatch.setattr(gauge, "loading", lambda *_: Loading(20, 2.0))
    monkeypatch.setattr(gauge, "scaling", lambda *_: Scaling(2, 2.0, 3.0))


def prepared(**settings):
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    return run.prepare(effcc.load("cc_pico_4e", source="digits", settings=SETTINGS | changes))


def planned(**settings):
    return plan.of(*prepared(**settings))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"trainer__accumulate_grad_batches": 4},
        {"trainer__max_epochs": 1, "trainer__limit_train_batches": 0.06},
        {"trainer__max_steps": 13},
        {"data__batch_size": 200, "trainer__limit_train_batches": 1.0},
    ],
    ids=str,
)
def test_a_plan_has_the_steps_and_rates_of_the_fit(settings, tmp_path):
    spec, source = prepared(**settings)
    foreseen = plan.of(spec, source).run
    home = Home(tmp_path.resolve())
    record = run.fit(spec, source, home, Console(file=io.StringIO()), "effcc fit")
    assert record.steps == foreseen.steps
    with (home.root / record.checkpoint["path"]).with_name("metrics.csv").open() as file:
        rates = {int(row["step"]): float(row["lr"]) for row in csv.DictReader(file) if row["lr"]}
    assert rates == pytest.approx({s: foreseen.schedule.lr(s) for s in range(foreseen.steps)})


def test_a_step_has_the_images_of_every_machine_device_and_accumulated_batch():
    run = planned(trainer__num_nodes=2, trainer__devices=4, trainer__accumulate_grad_batches=3).run
    assert (run.devices, run.schedule.images_per_step) == (8, 2 * 4 * 3 * 8)
    assert run.batches == 10
    assert run.images_per_epoch == 10 * 8 * 8
    assert run.epochs == 2


@pytest.mark.parametrize(
    ("devices", "count"),
    [(4, 4), ("4", 4), ([0, 1, 2], 3), ("0,1,2", 3), ("0,", 1)],
    ids=str,
)
def test_devices_need_not_be_here(devices, count):
    assert planned(trainer__devices=devices, trainer__accelerator="gpu").run.devices == count


@pytest.mark.parametrize("devices", ["auto", -1, "-1"])
def test_devices_left_open_are_those_of_this_machine(devices, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert planned(trainer__devices=devices, trainer__accelerator="auto").run.devices == 3
    assert planned(trainer__devices="auto").run.devices == 1  # of processors, one


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trainer__devices": "many"}, "trainer.devices: many"),
        ({"trainer__num_nodes": 0}, "trainer.num_nodes: 0"),
        ({"trainer__max_epochs": "banana"}, "trainer.max_epochs: banana"),
    ],
)
def test_what_a_fit_would_not_take_a_plan_does_not_either(settings, message):
    with pytest.raises(BadTrainer, match=message):
        planned(**settings)


def test_a_run_without_an_end_cannot_be_planned():
    with pytest.raises(UsageError, match="has no end"):
        planned(trainer__max_epochs=-1)


def test_more_devices_than_batches_are_a_mistake_as_in_a_fit():
    with pytest.raises(MissingData, match=r"a batch of 8 on each of 200 devices"):
        planned(trainer__devices=200)


def test_the_table_doubles_the_devices_while_there_are_batches_for_all():
    found = planned(data__batch_size=64, trainer__devices=3).table
    assert [run.devices for run in found] == [1, 2, 3, 4, 8, 16]  # 1,257 images are 19 batches
    assert all(run.schedule.images_per_step == 64 * run.devices for run in found)


def test_computing_takes_as_long_as_measured_in_proportion_to_the_images():
    found = planned()
    assert found.compute_seconds == pytest.approx(2.0 * 8 / 4)
    assert found.memory.activations == 800
    assert found.memory.total == 850


def test_loading_hides_behind_computing_where_both_go_on_at_once():
    found = dataclasses.replace(planned(), shared=False, workers=2)
    assert found.loading_seconds == pytest.approx(8 * 0.1 / 2)
    assert found.epoch_seconds(found.run, ideal=True) == pytest.approx(10 * 4.0)
    slow = dataclasses.replace(found, loading=Loading(1, 5.0))
    assert slow.epoch_seconds(slow.run, ideal=True) == pytest.approx(10 * 8 * 5 / 2)


def test_loading_comes_on_top_where_they_take_turns():
    found = planned(data__workers=0)
    assert found.shared
    assert found.epoch_seconds(found.run, ideal=True) == pytest.approx(10 * (4.0 + 0.8))


def test_gradients_are_averaged_once_a_step():
    found = dataclasses.replace(
        planned(trainer__devices=2, trainer__accumulate_grad_batches=4), shared=False, workers=9
    )
    assert found.run.schedule.steps_per_epoch == 3
    assert found.epoch_seconds(found.run, ideal=True) == pytest.approx(10 * 4.0)
    assert found.epoch_seconds(found.run, ideal=False) == pytest.approx(10 * 4.0 + 3 * 1.0)


def test_scaling_is_measured_only_where_there_are_devices_for_it():
    assert planned(trainer__devices=2).scaling
    assert planned(trainer__devices=1).scaling is None
    assert planned(trainer__devices=2, trainer__accelerator="gpu").scaling is None
