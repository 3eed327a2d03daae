"""One run: it trains, measures, repeats itself bit for bit, and goes on where it stopped."""

import dataclasses
import io
import math
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist
from lightning.pytorch.plugins import MixedPrecision
from PIL import Image
from rich.console import Console

import effcc
from effcc.catalog import results
from effcc.ground import files
from effcc.ground.errors import UserError
from effcc.ground.home import Home
from effcc.nn import weights
from effcc.sources.decode import BadImage, MissingData
from effcc.train import run
from effcc.train.data import ImageData
from effcc.train.guard import NotFinite
from effcc.train.module import CondConvModule
from effcc.train.run import Interrupted, OneProcess

SHORT = {
    "recipe.epochs": 1,
    "recipe.warmup_epochs": 0,
    "data.batch_size": 16,
    "data.workers": 0,
    "network.depth": 0.5,
    "trainer.accelerator": "cpu",
    "trainer.limit_train_batches": 3,
    "trainer.limit_val_batches": 2,
    "trainer.limit_test_batches": 4,
    "trainer.num_sanity_val_steps": 0,
}


def short(**settings):
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    return run.prepare(effcc.load("cc_pico_4e", source="digits", settings=SHORT | changes))


def fit(home, *, checkpoint=None, **settings):
    spec, source = short(**settings)
    console = Console(file=io.StringIO())
    record = run.fit(spec, source, home, console, "effcc fit", checkpoint)
    return record, home.root / record.checkpoint["path"]


def content(path):
    return torch.load(path, weights_only=True)


def tensors(value, name=""):
    """Every tensor and number in a checkpoint, by its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from tensors(item, f"{name}/{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from tensors(item, f"{name}/{index}")
    elif isinstance(value, torch.Tensor | int | float):
        yield name, value


TRAINED = ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers")


def assert_same_bits(one, other, parts=TRAINED):
    one, other = content(one), content(other)
    for part in parts:
        first, second = dict(tensors(one[part])), dict(tensors(other[part]))
        assert first.keys() == second.keys()
        assert first, part
        for name, value in first.items():
            same = value.equal(second[name]) if torch.is_tensor(value) else value == second[name]
            assert same, f"{part}{name}"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home").resolve())


@pytest.fixture(scope="module")
def once(home):
    """One epoch: record and checkpoint."""
    return fit(home)


@pytest.fixture(scope="module")
def twice(home):
    """Two epochs without a break."""
    return fit(home, recipe__epochs=2)


def test_a_fit_leaves_a_checkpoint_and_a_record_of_where_it_came_from(once, home):
    record, checkpoint = once
    spec, source = short()
    assert checkpoint == home.runs / "cc_pico_4e" / record.id / "last.ckpt"
    assert record.checkpoint["bytes"] == checkpoint.stat().st_size
    assert re.fullmatch(r"[0-9a-f]{64}", record.checkpoint["sha256"])
    assert (record.verb, record.variant, record.command) == ("fit", "cc_pico_4e", "effcc fit")
    assert record.spec_digest == spec.digest
    assert record.settings == spec.settings()
    assert record.overrides["recipe.epochs"] == 1
    assert "network.num_classes" not in record.overrides
    assert record.seed == spec.seed
    assert record.dataset.fingerprint == source.split("test").fingerprint
    assert (record.dataset.images, record.dataset.train_images) == (360, 1257)
    assert record.dataset.train_fingerprint == source.split("train").fingerprint
    assert (record.dataset.split, record.dataset.classes) == ("test", 10)
    assert record.steps == 3
    assert [point["epoch"] for point in record.curve] == [1]
    validated = {"val_loss", "val_top1", "val_top5"}
    raw = {f"raw_{name}" for name in validated}
    assert record.curve[0].keys() == {"epoch", "step", "lr", "train_loss", *validated, *raw}
    assert record.metrics["top1"].n == record.metrics["top5"].n == 64  # limit_test_batches, of 16
    assert record.metrics["top1"].correct <= record.metrics["top5"].correct
    assert record.versions["torch"] == torch.__version__
    assert record.device["kind"] == "cpu"
    assert record.git.keys() == {"commit", "dirty"}


def test_what_loads_weights_draws_none(once, home, monkeypatch, tmp_path):
    _, path = once

    def refuse(*_):
        raise AssertionError("weights were drawn that a checkpoint replaces")

    monkeypatch.setattr(torch.nn.init, "normal_", refuse)  # what every convolution begins with
    spec, source = short()
    run.evaluate(spec, source, home, "effcc test", weights.read(path))
    Image.new("RGB", (9, 7)).save(tmp_path / "a.png")
    spec = spec.with_classes(10)
    assert run.predict(spec, weights.read(path), [tmp_path / "a.png"])
    fit(home, checkpoint=path, recipe__epochs=2)
    with pytest.raises(AssertionError, match="drawn"):  # the trap works
        CondConvModule(spec)


def test_a_record_can_be_saved_and_read_back(once, tmp_path):
    record, _ = once
    home = Home(tmp_path)
    results.save(record, home)
    assert results.load(home, "cc_pico_4e") == [record]


def test_a_log_of_the_run_lies_beside_its_checkpoint(once):
    _, checkpoint = once
    names = {path.name for path in checkpoint.parent.iterdir()}
    assert {"last.ckpt", "metrics.csv"} <= names


def test_a_checkpoint_is_data_and_holds_the_averages(once):
    _, checkpoint = once
    saved = content(checkpoint)
    assert saved["effcc"]["classes"] == list("0123456789")
    ours = weights.read(checkpoint)
    assert ours.variant == "cc_pico_4e"
    name = "conv_stem.weight"
    assert ours.weights[name].equal(saved["state_dict"][f"model.{name}"])
    assert not ours.weights[name].equal(saved["current_model_state"][f"model.{name}"])


def test_evaluating_the_checkpoint_gives_the_fits_figures(once, home):
    record, checkpoint = once
    spec, source = short()
    found = run.evaluate(spec, source, home, "effcc test", weights.read(checkpoint))
    assert (found.verb, found.engine, record.engine) == ("test", "torch", "network")
    for name in ("top1", "top5"):
        assert found.metrics[name] == record.metrics[name]  # counts and all
    loss = record.metrics["loss"].value
    assert found.metrics["loss"].value == pytest.approx(loss, rel=1e-4)
    assert found.dataset.fingerprint == record.dataset.fingerprint
    assert (found.curve, found.steps, found.dataset.train_images) == ((), 0, 0)
    assert found.checkpoint == record.checkpoint


def test_weights_whose_training_nobody_knows_are_said_to_be_that(once, home, tmp_path):
    _, checkpoint = once
    spec, source = short()
    bare = tmp_path / "bare.pth"
    torch.save(weights.read(checkpoint).weights, bare)
    found = run.evaluate(spec, source, home, "effcc test", weights.read(bare))
    assert found.checkpoint["source"] == "unknown"
    assert "weights of no known run" in results.overridden(found)
    stated = dataclasses.replace(spec.weights, url="https://x.org/a.pth", sha256=files.sha256(bare))
    theirs = dataclasses.replace(spec, weights=stated)
    found = run.evaluate(theirs, source, home, "effcc test", weights.read(bare))
    assert found.checkpoint["source"] == "published"
    assert "no known run" not in results.overridden(found)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_another_engine_finds_the_same_images_right(once, home, cache, engine):
    record, checkpoint = once
    spec, source = short()
    found = run.evaluate(spec, source, home, "x", weights.read(checkpoint), engine=engine)
    assert found.engine == engine
    assert found.metrics["top1"] == record.metrics["top1"]
    assert engine in found.versions


@pytest.mark.parametrize(
    "elsewhere",
    [{"trainer__strategy": "ddp", "trainer__devices": 1}, {"trainer__precision": "bf16-mixed"}],
)
def test_where_no_engine_can_compute_the_network_does(once, home, elsewhere, request):
    _, checkpoint = once
    request.addfinalizer(lambda: dist.is_initialized() and dist.destroy_process_group())
    spec, source = short(**elsewhere)
    found = run.evaluate(spec, source, home, "x", weights.read(checkpoint))
    assert found.engine == "network"
    with pytest.raises(OneProcess, match=r"^--engine openvino computes in one process, on a CPU"):
        run.evaluate(spec, source, home, "x", weights.read(checkpoint), engine="openvino")


def test_evaluating_on_validation_images_says_so(once, home):
    _, checkpoint = once
    spec, source = short()
    found = run.evaluate(spec, source, home, "effcc val", weights.read(checkpoint), "val")
    assert found.dataset.split == "val"
    assert found.metrics["top1"].n == 32  # limit_val_batches, of 16 each


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_prediction_is_the_networks_whoever_computes(once, tmp_path, cache, engine):
    _, checkpoint = once
    spec, source = short()
    file = tmp_path / "a.png"
    Image.fromarray(source.split("test").pixels(0)).save(file)
    saved = weights.read(checkpoint)
    module = CondConvModule(spec, source.classes)
    weights.load(module.model, spec.network, saved)
    data = run.Unlabelled([file], spec.preprocessing, spec.data.decoder, spec.data.on_error)
    with torch.inference_mode():
        expected = module.eval()(torch.as_tensor(data[0])[None]).softmax(1)[0].tolist()
    (found,) = run.predict(spec, saved, [file], top=10, engine=engine)
    shares = dict(found.classes)
    assert [shares[name] for name in source.classes] == pytest.approx(expected, rel=1e-4)


def test_prediction_ranks_the_classes_of_files(once, tmp_path):
    _, checkpoint = once
    spec, source = short()
    files = []
    for index in range(3):
        files.append(tmp_path / f"{index}.png")
        Image.fromarray(source.split("test").pixels(index)).save(files[-1])
    found = run.predict(spec, weights.read(checkpoint), files, top=4)
    assert [p.file for p in found] == [str(file) for file in files]
    for prediction in found:
        names, shares = zip(*prediction.classes, strict=True)
        assert len(set(names)) == 4
        assert set(names) <= set(source.classes)
        assert list(shares) == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1 + 1e-6
    everything = run.predict(spec, weights.read(checkpoint), files[:1], top=99)
    assert sum(p for _, p in everything[0].classes) == pytest.approx(1)


def test_the_same_seed_gives_the_same_bits(once, home):
    record, checkpoint = once
    again, another = fit(home)
    assert another != checkpoint
    assert_same_bits(checkpoint, another)
    assert again.metrics == record.metrics
    assert again.curve == record.curve


def test_an_epoch_without_validation_has_no_figures_of_another(home):
    record, _ = fit(home, recipe__epochs=3, trainer__check_val_every_n_epoch=2, network__depth=0.3)
    assert ["val_top1" in point for point in record.curve] == [False, True, False]


def test_another_seed_gives_other_weights(once, home):
    _, checkpoint = once
    _, another = fit(home, seed=1)
    name = "model.blocks.4.0.conv_pw.weight"
    assert not content(checkpoint)["state_dict"][name].equal(content(another)["state_dict"][name])


def test_a_continued_run_ends_as_an_unbroken_one(once, twice, home):
    record, checkpoint = once
    continued, path = fit(home, checkpoint=checkpoint, recipe__epochs=2)
    assert_same_bits(twice[1], path)
    assert continued.metrics == twice[0].metrics
    assert continued.curve == twice[0].curve
    assert record.curve == twice[0].curve[:1]
    assert continued.steps == 6  # of both parts, as its seconds are
    assert continued.seconds >= record.seconds


def test_augmentation_goes_on_where_it_was_with_other_workers(home):
    names = {"policy": "rand", "erase": 0.5, "mixup": 0.2, "cutmix": 1.0}
    everything = {f"recipe__augment__{name}": value for name, value in names.items()}
    _, unbroken = fit(home, recipe__epochs=2, data__workers=2, **everything)
    _, first = fit(home, **everything)
    _, continued = fit(home, checkpoint=first, recipe__epochs=2, **everything)
    assert_same_bits(continued, unbroken)


def test_chance_goes_on_where_it_was(home):
    # Dropout and drop path draw in every step; a continued run must not draw the same again.
    chance = {"network__dropout": 0.3, "network__drop_path": 0.3}
    _, checkpoint = fit(home, **chance)
    _, unbroken = fit(home, recipe__epochs=2, **chance)
    _, continued = fit(home, checkpoint=checkpoint, recipe__epochs=2, **chance)
    assert_same_bits(unbroken, continued)


def test_a_continued_run_follows_the_settings_it_has_now(once, home):
    _, checkpoint = once
    changed = {"recipe__epochs": 2, "recipe__weight_decay": 0.5, "recipe__lr": 1e-6}
    record, path = fit(home, checkpoint=checkpoint, **changed)
    group = content(path)["optimizer_states"][0]["param_groups"][0]
    assert group["weight_decay"] == 0.5
    assert record.curve[-1]["lr"] < 1e-6


def test_a_run_with_frozen_stages_and_rates_by_layer_goes_on_bit_for_bit(home):
    fine = {"recipe__freeze_stages": 2, "recipe__layer_decay": 0.7, "recipe__head_lr": 3.0}
    _, checkpoint = fit(home, **fine)
    _, unbroken = fit(home, recipe__epochs=2, **fine)
    _, continued = fit(home, checkpoint=checkpoint, recipe__epochs=2, **fine)
    assert_same_bits(unbroken, continued)
    assert len(content(continued)["optimizer_states"][0]["param_groups"]) > 2
    with pytest.raises(UserError, match=r"--recipe\.layer_decay 1\.0.* began with 0\.7"):
        fit(home, checkpoint=checkpoint, recipe__epochs=2, **fine | {"recipe__layer_decay": 1.0})


def test_every_epoch_is_shuffled_and_augmented_anew(home, monkeypatch):
    from effcc.data.loader import Training

    seen = []
    original = Training.__getitem__

    def spy(self, index):
        seen.append(index)
        return original(self, index)

    monkeypatch.setattr(Training, "__getitem__", spy)
    fit(home, recipe__epochs=2)
    first = [position for number, position in seen if number == 0]
    second = [position for number, position in seen if number == 1]
    assert len(first) >= 48
    assert len(second) >= 48
    assert first != second


def test_a_run_without_averages_measures_its_own_weights(home):
    record, path = fit(home, recipe__ema_decay=0.0)
    assert "current_model_state" not in content(path)
    assert record.metrics["top1"].n == 64


def test_callbacks_of_a_spec_take_part(home):
    stop = {
        "class_path": "lightning.pytorch.callbacks.EarlyStopping",
        "init_args": {"monitor": "val_loss", "patience": 1, "min_delta": 1e9},
    }
    record, path = fit(home, recipe__epochs=4, trainer__callbacks=[stop])
    assert [point["epoch"] for point in record.curve] == [1, 2]
    assert record.settings["trainer"]["callbacks"] == [stop]
    assert content(path)["effcc"]["settings"]["trainer"]["callbacks"] == [stop]


@pytest.fixture
def ask(monkeypatch):
    """Send this process a signal when a hook is reached in the given epoch and batch."""
    names = ("on_train_batch_start", "on_validation_batch_start")
    hooks = {name: getattr(CondConvModule, name) for name in names}

    def at(hook, epoch, batch, *numbers):
        def sent(self, images, number, *rest):
            if (self.current_epoch, number) == (epoch, batch) and not self.trainer.sanity_checking:
                for each in numbers:
                    signal.raise_signal(each)
            return hooks[hook](self, images, number, *rest)

        monkeypatch.setattr(CondConvModule, hook, sent)

    return at


def stopped(home, caught):
    """The checkpoint that the message of an interrupted run names."""
    named = re.search(r"--ckpt_path (\S+)", str(caught.value))
    assert named, str(caught.value)
    path = home.root / named[1]
    assert path.is_file()
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_stops_the_run_after_its_step(home, ask, number):
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, number)]
    ask("on_train_batch_start", 1, 1, number)
    by = "" if number == signal.SIGINT else f" by {number.name}"
    with pytest.raises(Interrupted, match=f"^stopped in epoch 2{by}; go on with") as caught:
        fit(home, recipe__epochs=2)
    assert caught.value.exit_code == 128 + number
    assert [signal.getsignal(each) for each in (signal.SIGINT, number)] == handlers
    assert content(stopped(home, caught))["global_step"] == 5


@pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (1, 1)])
def test_a_signal_within_an_epoch_loses_nothing(home, ask, twice, epoch, batch):
    ask("on_train_batch_start", epoch, batch, signal.SIGTERM)
    with pytest.raises(Interrupted, match=f"in epoch {epoch + 1} by SIGTERM") as caught:
        fit(home, recipe__epochs=2)
    ask("on_train_batch_start", None, None)
    continued, finished = fit(home, checkpoint=stopped(home, caught), recipe__epochs=2)
    assert_same_bits(twice[1], finished)
    assert continued.curve == twice[0].curve
    assert continued.metrics == twice[0].metrics


@pytest.mark.parametrize("epoch", [0, 1])
def test_a_signal_in_validation_has_it_repeated(home, ask, twice, epoch):
    ask("on_validation_batch_start", epoch, 1, signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        fit(home, recipe__epochs=2)
    path = stopped(home, caught)
    ask("on_validation_batch_start", None, None)
    continued, finished = fit(home, checkpoint=path, recipe__epochs=2)
    assert_same_bits(twice[1], finished)
    assert continued.curve == twice[0].curve


def test_a_second_ctrl_c_stops_within_the_step_and_leaves_the_checkpoint(home, ask):
    ask("on_train_batch_start", 1, 1, signal.SIGINT, signal.SIGINT)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped in epoch 2") as caught:
        fit(home, recipe__epochs=2)
    assert signal.getsignal(signal.SIGINT) is handler
    assert caught.value.exit_code == 130
    assert content(stopped(home, caught))["global_step"] == 1  # written after the first step


def test_a_signal_before_the_first_step_leaves_nothing(home, monkeypatch):
    def sent(self):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(CondConvModule, "on_validation_start", sent)
    folders = runs(home)
    with pytest.raises(Interrupted, match="in epoch 1 by SIGTERM; nothing was kept"):
        fit(home, trainer__num_sanity_val_steps=1)
    assert runs(home) == folders


def test_a_signal_waits_for_the_last_of_accumulated_batches(home, ask):
    settings = {"recipe__epochs": 2, "trainer__accumulate_grad_batches": 2}
    settings |= {"trainer__limit_train_batches": 5}
    _, unbroken = fit(home, **settings)
    ask("on_train_batch_start", 1, 0, signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        fit(home, **settings)
    path = stopped(home, caught)
    assert content(path)["global_step"] == 4  # three in the first epoch
    ask("on_train_batch_start", None, None)
    _, finished = fit(home, checkpoint=path, **settings)
    assert_same_bits(unbroken, finished)


def test_slurm_does_not_make_lightning_requeue_by_itself(home, ask, monkeypatch):
    job = {"NTASKS": "1", "JOB_NAME": "train", "JOB_ID": "7", "PROCID": "0", "LOCALID": "0"}
    for name, value in (job | {"NODEID": "0", "NTASKS_PER_NODE": "1", "NNODES": "1"}).items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    ask("on_train_batch_start", 0, 1, signal.SIGUSR1)
    with pytest.raises(Interrupted, match="by SIGUSR1; go on") as caught:
        fit(home, trainer__devices=1, trainer__num_nodes=1)
    path = stopped(home, caught)
    assert content(path)["global_step"] == 2
    assert {file.name for file in path.parent.glob("*.ckpt")} == {"last.ckpt", "previous.ckpt"}


def test_ctrl_c_while_measuring_leaves_only_the_measuring_to_do(home, monkeypatch, once):
    def pressed(self, batch, batch_idx):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CondConvModule, "test_step", pressed)
        with pytest.raises(Interrupted, match="stopped while measuring; go on") as caught:
            fit(home)
    assert caught.value.exit_code == 130
    measured, _ = fit(home, checkpoint=stopped(home, caught))
    assert (measured.metrics, measured.curve) == (once[0].metrics, once[0].curve)


def test_the_scale_of_a_half_precision_loss_goes_on_where_it_was(home, ask, monkeypatch):
    def setup(self, stage):
        # What `--trainer.precision 16-mixed` is on CUDA; the scale grows after every fourth step.
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=4)
        self.trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cpu", scaler)

    monkeypatch.setattr(CondConvModule, "setup", setup)
    settings = {"recipe__epochs": 2, "network__depth": 0.3}
    _, whole = fit(home, **settings)
    assert content(whole)["MixedPrecision"]["scale"] == 2.0**11
    ask("on_train_batch_start", 1, 0, signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        fit(home, **settings)
    ask("on_train_batch_start", None, None)
    _, finished = fit(home, checkpoint=stopped(home, caught), **settings)
    assert_same_bits(whole, finished, (*TRAINED, "MixedPrecision"))


def test_loader_processes_go_on_where_they_were(home, ask):
    # They read ahead, and the first of a continued run begin before its epoch does.
    settings = {"recipe__epochs": 2, "data__workers": 2, "network__depth": 0.3}
    unbroken, whole = fit(home, **settings)
    ask("on_train_batch_start", 1, 1, signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        fit(home, **settings)
    ask("on_train_batch_start", None, None)
    continued, finished = fit(home, checkpoint=stopped(home, caught), **settings)
    assert_same_bits(whole, finished)
    assert continued.curve == unbroken.curve


def runs(home):
    return sorted((home.runs / "cc_pico_4e").iterdir())


def test_weights_without_a_run_cannot_be_continued(once, home, tmp_path):
    # A bare state dict, as the published ones are.
    path = tmp_path / "bare.pth"
    torch.save(dict(weights.read(once[1]).weights), path)
    with pytest.raises(UserError, match=r"bare\.pth"):
        fit(home, checkpoint=path)


def test_a_finished_run_is_not_continued_for_nothing(once, home):
    results.save(once[0], home)
    folders = runs(home)
    with pytest.raises(UserError, match=r"has its 1 epoch; .*max_epochs"):
        fit(home, checkpoint=once[1])
    assert runs(home) == folders


def test_a_run_that_ended_before_it_was_measured_is_measured(twice, home):
    # It was killed after its last checkpoint, before its record.
    record, checkpoint = twice
    folders = runs(home)
    measured, path = fit(home, checkpoint=checkpoint, recipe__epochs=2)
    assert runs(home) == folders
    assert path == checkpoint
    assert (measured.metrics, measured.curve) == (record.metrics, record.curve)
    assert (measured.steps, measured.dataset) == (record.steps, record.dataset)


def test_classes_come_from_the_data():
    spec, source = short()
    assert spec.network.num_classes == len(source.classes) == 10
    with pytest.raises(MissingData, match=r"num_classes is 12, but .* has 10 classes"):
        short(network__num_classes=12)


@pytest.fixture
def pictures(tmp_path):
    """A folder of images: 16 to train on, 6 to validate."""
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 3)):
        for level, kind in enumerate(("dark", "light")):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 100, (20, 24, 3)) + 150 * level
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "data"


def fit_pictures(root, home, **settings):
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    own = {"data.root": str(root), "data.batch_size": 4, "preprocessing.image_size": 32}
    spec, source = run.prepare(
        effcc.load("cc_pico_4e", source="folder", settings=SHORT | own | changes)
    )
    return run.fit(spec, source, home, Console(file=io.StringIO()), "effcc fit")


def test_a_folder_of_images_trains_and_is_measured_on_its_validation_images(home, pictures):
    record = fit_pictures(pictures, home)
    assert (record.dataset.split, record.dataset.images, record.dataset.classes) == ("val", 6, 2)
    assert (record.metrics["top1"].n, "top5" in record.metrics) == (6, False)
    assert record.dataset.unreadable == 0


def test_images_that_cannot_be_read_are_left_out_of_the_measurement_and_counted(
    home, pictures, capfd
):
    broken = ["train/dark/1.png", "val/dark/0.png", "val/light/2.png"]
    for name in broken:
        (pictures / name).write_text("no image")
    record = fit_pictures(pictures, home, data__on_error="skip", data__workers=1)
    assert (record.dataset.images, record.dataset.unreadable) == (6, 2)
    assert record.metrics["top1"].n == 4
    assert math.isfinite(record.metrics["loss"].value)
    said = capfd.readouterr().err.splitlines()
    # Validation reads the images that are measured at the end too.
    found = sorted(line for line in said if line.endswith("; skipped"))
    assert [line.partition(": ")[0] for line in found] == [str(pictures / name) for name in broken]


def test_a_measurement_of_nothing_is_refused(home, pictures):
    for path in (pictures / "val").rglob("*.png"):
        path.write_text("no image")
    with pytest.raises(BadImage, match="none of 6 test images could be decoded"):
        fit_pictures(pictures, home, data__on_error="skip")


def test_training_as_the_authors_evaluate_measures_too(home, pictures):
    settings = {"preprocessing__interpolation": "tf_bicubic", "preprocessing__crop_padding": 32}
    record = fit_pictures(pictures, home, **settings)
    assert record.metrics["top1"].n == 6


@pytest.mark.parametrize("split", ["train", "val"])  # before val, loaders for training are begun
def test_an_image_that_cannot_be_read_ends_the_command_with_one_line(split, project, pictures):
    (pictures / split / "dark/1.png").write_text("no image")
    words = [
        *("fit", "--config", "registry/cc_pico_4e.yaml", "--data.source", "folder"),
        *("--data.root", str(pictures), "--data.batch_size", "16", "--data.workers", "1"),
        *("--preprocessing.image_size", "32", "--trainer.accelerator", "cpu"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "effcc", *words],
        capture_output=True,
        text=True,
        cwd=project.root,
        timeout=120,
    )
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1, done.stderr
    line = done.stderr
    assert line.startswith(f"{pictures}/{split}/dark/1.png: cannot be decoded: no image format")
    assert not list(project.runs.rglob("*.ckpt"))


def test_prediction_leaves_out_what_it_may_skip(once, pictures, capsys):
    _, checkpoint = once
    files = sorted((pictures / "val").rglob("*.png"))
    files[1].write_text("no image")
    with pytest.raises(BadImage, match=files[1].name):
        run.predict(short()[0], weights.read(checkpoint), files)
    spec, _ = short(data__on_error="skip")
    found = run.predict(spec, weights.read(checkpoint), files)
    assert [p.file for p in found] == [str(file) for file in files if file != files[1]]
    # Those after it are told from their own pixels.
    alone = run.predict(spec, weights.read(checkpoint), files[5:])
    assert dict(found[-1].classes) == pytest.approx(dict(alone[0].classes), rel=1e-4)
    assert f"{files[1]}: cannot be decoded" in capsys.readouterr().err
    with pytest.raises(BadImage, match="none of 1 image could"):
        run.predict(spec, weights.read(checkpoint), files[1:2])


def test_progress_off_a_terminal_is_a_line_an_epoch(home):
    spec, source = short(recipe__epochs=2)
    out = io.StringIO()
    run.fit(spec, source, home, Console(file=out, width=200), "effcc fit")
    lines = [line for line in out.getvalue().splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert "loss" in lines[0]
    assert "val top-1" in lines[0]


def test_a_measurement_that_is_no_number_is_refused(once):
    spec, source = short()
    module, data = CondConvModule(spec, source.classes), ImageData(spec, source)
    torch.nn.init.constant_(module.model.classifier.bias, torch.inf)
    with pytest.raises(NotFinite, match="the test loss is no number"):
        run._measure(module, data, {"accelerator": "cpu"})


def test_averages_are_what_is_measured(once, home):
    # Not the weights that training would go on with.
    record, checkpoint = once
    saved = content(checkpoint)
    spec, source = short()
    state = {n.removeprefix("model."): t for n, t in saved["current_model_state"].items()}
    own = dataclasses.replace(weights.read(checkpoint), weights=state)
    found = run.evaluate(spec, source, home, "effcc test", own)
    assert found.metrics["loss"] != record.metrics["loss"]
