"""The weights that train are measured beside their averages, and never know of it."""

import csv
import io
import operator

import pytest
import torch
from rich.console import Console
from torch.nn import functional as F

import effcc
from effcc.ground.home import Home
from effcc.train import run
from effcc.train.data import ImageData
from effcc.train.module import CondConvModule

SHORT = {
    "recipe.epochs": 2,
    "recipe.warmup_epochs": 0,
    "recipe.lr": 0.1,
    "data.batch_size": 16,
    "data.workers": 0,
    "network.depth": 0.3,
    "network.dropout": 0.5,
    "network.drop_path": 0.5,
    "trainer.accelerator": "cpu",
    "trainer.limit_train_batches": 3,
    "trainer.limit_val_batches": 2,
    "trainer.limit_test_batches": 1,
    "trainer.log_every_n_steps": 1,
}


def fit(home, **settings):
    changes = {name.replace("__", "."): value for name, value in settings.items()}
    spec = effcc.load("cc_pico_4e", source="digits", settings=SHORT | changes)
    spec, source = run.prepare(spec)
    record = run.fit(spec, source, home, Console(file=io.StringIO()), "effcc fit")
    return record, home.root / record.checkpoint["path"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home").resolve())


@pytest.fixture(scope="module")
def measured(home):
    return fit(home)


@pytest.fixture(scope="module")
def unmeasured(home):
    """The same run with the averages alone."""
    with pytest.MonkeyPatch.context() as patch:
        averages = run.averages
        patch.setattr(run, "averages", lambda *decay, **how: averages(*decay, **how)[:1])
        return fit(home)


def saved(path):
    return torch.load(path, weights_only=True)


def leaves(value, name=""):
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from leaves(item, f"{name}/{key}")
    else:
        yield name, value


def test_measuring_them_changes_no_bit_of_the_training(measured, unmeasured):
    one, other = saved(measured[1]), saved(unmeasured[1])
    for part in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers"):
        first, second = dict(leaves(one[part])), dict(leaves(other[part]))
        assert first.keys() == second.keys()
        assert first, part
        for name, value in first.items():
            same = torch.equal if torch.is_tensor(value) else operator.eq
            assert same(value, second[name]), f"{part}{name}"
    assert measured[0].metrics == unmeasured[0].metrics


def test_measuring_them_adds_to_the_curve_and_changes_nothing_in_it(measured, unmeasured):
    for point, without in zip(measured[0].curve, unmeasured[0].curve, strict=True):
        assert {key: point[key] for key in without} == without
        assert point.keys() - without.keys() == {"raw_val_loss", "raw_val_top1", "raw_val_top5"}


def test_what_is_logged_of_the_averages_and_of_the_routing_stays_the_same(measured, unmeasured):
    def figures(path):
        with (path.parent / "metrics.csv").open() as file:
            for row in csv.DictReader(file):
                yield {
                    key: value
                    for key, value in row.items()
                    if key.startswith(("val_", "routing_", "train_loss", "lr")) and value
                }

    found = list(figures(measured[1]))
    assert found == list(figures(unmeasured[1]))
    assert any("routing_entropy/blocks.4.0" in row for row in found)


def test_the_last_raw_figures_are_those_of_the_checkpoints_raw_weights(measured):
    record, path = measured
    spec, source = run.prepare(effcc.load("cc_pico_4e", source="digits", settings=SHORT))
    module = CondConvModule(spec, source.classes).eval()
    for part, prefix in (("current_model_state", "raw_val"), ("state_dict", "val")):
        module.load_state_dict(saved(path)[part])
        loss, right, among, n = 0.0, 0, 0, 0
        for batch, _ in zip(ImageData(spec, source).val_dataloader(), range(2), strict=False):
            with torch.no_grad():
                logits = module(batch.images)
            loss += F.cross_entropy(logits, batch.labels, reduction="sum").item()
            right += int((logits.argmax(1) == batch.labels).sum())
            among += int((logits.topk(5).indices == batch.labels[:, None]).sum())
            n += len(batch.labels)
        point = record.curve[-1]
        assert point[f"{prefix}_loss"] == pytest.approx(loss / n, abs=1e-4)
        assert (point[f"{prefix}_top1"], point[f"{prefix}_top5"]) == pytest.approx(
            (right / n, among / n), abs=1e-4
        )
    assert record.curve[-1]["raw_val_loss"] != record.curve[-1]["val_loss"]


def test_without_averages_there_is_one_set_of_weights_and_one_of_figures(home):
    record, _ = fit(home, recipe__ema_decay=0.0)
    names = {name for point in record.curve for name in point}
    assert "val_top5" in names
    assert not any(name.startswith("raw_") for name in names)
