"""Figures of a run under way: what reaches the logs, and that each is what its name says."""

import csv
import io
import math
import struct
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event

import effcc
from effcc.catalog.schedule import Schedule
from effcc.catalog.spec import layout
from effcc.data.loader import Batch
from effcc.ground.home import Home
from effcc.train import meter, run
from effcc.train.meter import Entropy, Meter, entropy
from effcc.train.module import CondConvModule

SETTINGS = {
    "recipe.epochs": 2,
    "recipe.warmup_epochs": 1,
    "data.batch_size": 8,
    "network.depth": 0.5,
    "trainer.accelerator": "cpu",
    "trainer.accumulate_grad_batches": 2,
    "trainer.limit_train_batches": 8,
    "trainer.limit_val_batches": 2,
    "trainer.limit_test_batches": 1,
    "trainer.log_every_n_steps": 2,
}
STEPS = 4  # an epoch


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A short run: (its spec, its folder, the rows of its CSV file)."""
    home = Home(tmp_path_factory.mktemp("home").resolve())
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=SETTINGS))
    record = run.fit(spec, source, home, Console(file=io.StringIO()), "effcc fit")
    folder = (home.root / record.checkpoint["path"]).parent
    return spec, folder, rows(folder)


def rows(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def scalars(folder):
    """(tag, step, value) of a TensorBoard file: records of a length, data, and a checksum each."""
    (path,) = folder.glob("events.out.tfevents.*")
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        event = Event.FromString(data[at + 12 : at + 12 + length])
        yield from ((v.tag, event.step, v.simple_value) for v in event.summary.value)
        at += 12 + length + 4


def test_every_few_steps_speed_waiting_and_loss_are_logged(logged):
    _, _, found = logged
    steps = [row for row in found if "images_per_second" in row]
    assert [row["step"] for row in steps] == [1, 3, 5, 7]  # every second step, from 0
    for row in steps:
        assert row["images_per_second"] > 0
        assert 0 <= row["data_wait"] <= 1
        assert 0 < row["train_loss_step"] < 20


def test_the_logged_rate_is_the_one_the_step_was_taken_with(logged):
    spec, _, found = logged
    schedule = Schedule.of(spec, devices=1, accumulated=2, batches=8)
    assert schedule.steps_per_epoch == STEPS
    for row in found:
        if "lr" in row:
            assert row["lr"] == pytest.approx(schedule.lr(int(row["step"])))


def test_every_epoch_losses_accuracies_and_routing_are_logged(logged):
    spec, _, found = logged
    validated = [row for row in found if "val_loss" in row]
    assert [(row["epoch"], row["step"]) for row in validated] == [
        (0, STEPS - 1),
        (1, 2 * STEPS - 1),
    ]
    trained = [row for row in found if "train_loss" in row]
    assert [(row["epoch"], row["train_unreadable"]) for row in trained] == [(0, 0), (1, 0)]
    blocks = {f"routing_entropy/{b.name}" for b in layout(spec.network) if b.experts}
    for row in validated:
        assert {"val_top1", "val_top5"} <= row.keys()
        assert {name for name in row if name.startswith("routing")} == blocks
        assert all(0 < row[name] <= 1 for name in blocks)


def test_tensorboard_has_what_the_csv_file_has(logged):
    _, folder, found = logged
    expected = {
        (name, int(row["step"])): value
        for row in found
        for name, value in row.items()
        if name != "step"
    }
    assert len(expected) > 40
    assert {(tag, step): value for tag, step, value in scalars(folder)} == pytest.approx(expected)


def test_the_settings_of_a_run_lie_beside_its_figures(logged):
    import yaml

    spec, folder, _ = logged
    assert yaml.safe_load((folder / "hparams.yaml").read_text()) == spec.settings()


def batch(count, unreadable=0):
    nothing = torch.zeros(count, dtype=torch.int64)
    return Batch(nothing, nothing, nothing, torch.arange(count) < unreadable)


@pytest.fixture
def stage(monkeypatch):
    """A meter beside a trainer of four devices that trains nothing, under a clock set by hand."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(meter, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    said = {}
    module = SimpleNamespace(
        log=lambda name, value, **how: said.update({name: value}),
        log_dict=lambda values, **how: said.update(values),
    )
    trainer = SimpleNamespace(
        world_size=4,
        global_step=0,
        log_every_n_steps=2,
        accumulate_grad_batches=1,
        should_stop=False,
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.25}])],
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        lightning_module=module,
    )
    built = Meter()

    def step(waits, works, **how):
        clock.now += waits
        built.on_train_batch_start(trainer, module, batch(10, **how), 0)
        clock.now += works
        trainer.global_step += 1
        built.on_train_batch_end(trainer, module, {"loss": torch.tensor(2.0)}, batch(10, **how), 0)

    built.on_train_epoch_start(trainer, module)
    return SimpleNamespace(
        meter=built, trainer=trainer, module=module, said=said, step=step, clock=clock
    )


def test_waiting_is_the_time_between_batches_and_speed_counts_every_device(stage):
    stage.step(waits=3, works=1)
    assert stage.said == {}
    stage.step(waits=2, works=2)
    assert stage.said["data_wait"] == pytest.approx(5 / 8)
    assert stage.said["images_per_second"] == pytest.approx(2 * 10 * 4 / 8)
    assert (stage.said["lr"], stage.said["train_loss_step"]) == (0.25, 2.0)
    stage.step(waits=0, works=1)
    stage.step(waits=0, works=1)
    assert stage.said["data_wait"] == 0  # of the steps since the last time
    assert stage.said["images_per_second"] == pytest.approx(2 * 10 * 4 / 2)


def test_validation_is_neither_waiting_nor_training(stage):
    stage.step(waits=1, works=1)
    stage.clock.now += 100
    stage.meter.on_validation_end(stage.trainer, stage.module)
    stage.step(waits=1, works=1)
    assert stage.said["data_wait"] == pytest.approx(2 / 4)


def test_batches_that_only_accumulate_log_nothing(stage):
    stage.step(waits=1, works=1)
    stage.step(waits=1, works=1)
    stage.said.clear()
    for _ in range(3):
        stage.trainer.global_step -= 1  # the step that is undone is not taken
        stage.step(waits=1, works=1)
    assert stage.said == {}


def test_images_that_cannot_be_decoded_are_counted(stage):
    stage.step(waits=0, works=1, unreadable=3)
    stage.step(waits=0, works=1)
    stage.step(waits=0, works=1, unreadable=1)
    stage.meter.on_train_epoch_end(stage.trainer, stage.module)
    assert stage.said["train_unreadable"] == 4
    stage.meter.on_train_epoch_start(stage.trainer, stage.module)
    stage.meter.on_train_epoch_end(stage.trainer, stage.module)
    assert stage.said["train_unreadable"] == 0


def test_entropy_is_that_of_a_coin():
    p = torch.tensor([0.5, 0.25, 0.9, 0.001], dtype=torch.float64)
    by_definition = -(p * p.log2() + (1 - p) * (1 - p).log2())
    torch.testing.assert_close(entropy(p.logit()), by_definition)
    certain = entropy(torch.tensor([-200.0, 200.0]))
    assert certain.tolist() == [0, 0]


def test_every_weight_counts_alike_whatever_the_batches():
    layer = torch.nn.Linear(5, 4).requires_grad_(False)
    images = torch.randn(13, 5)
    heard = Entropy()
    layer.register_forward_hook(heard)
    for part in (images[:10], images[10:], images[13:]):
        layer(part)
    assert heard.mean == pytest.approx(float(entropy(layer(images)).mean()), rel=1e-5)
    assert math.isclose(Entropy().mean, 0)


def test_routing_is_heard_during_validation_only():
    spec = effcc.load("cc_pico_4e", source="digits", settings={"network.depth": 0.3})
    module, built = CondConvModule(spec.with_classes(10)), Meter()

    def listeners():
        return sum(len(part._forward_hooks) for part in module.modules())

    built.on_validation_start(None, module)
    assert listeners() == sum(b.experts > 0 for b in layout(spec.network))
    built.on_validation_end(None, module)
    assert listeners() == 0
