"""A configuration names code from a short list of places, and no other."""

import pytest

from effcc.catalog.imports import ALLOWED, forbidden


@pytest.mark.parametrize(
    "trainer",
    [
        {"logger": "lightning.pytorch.loggers.CSVLogger"},
        {"logger": "CSVLogger", "strategy": "ddp", "profiler": "simple"},
        {"logger": True, "callbacks": None, "devices": [0, 1], "max_time": "00:12:00:00"},
        {"callbacks": [{"class_path": "lightning.pytorch.callbacks.ModelCheckpoint"}]},
        {"default_root_dir": "my.runs"},
        {"callbacks": [{"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss"}}]},
    ],
)
def test_what_lightning_brings_is_allowed(trainer):
    assert list(forbidden(trainer)) == []


def inside(path):
    arguments = {"on_fit_start": path}
    return {"callbacks": [{"class_path": "LambdaCallback", "init_args": arguments}]}


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "subprocess.Popen",
        "mypackage.MyLogger",
        "lightning.pytorch.cli.LightningCLI",
        "lightning.pytorch.loggersx.Evil",
        "lightning.pytorch.callbacks",
        "torch.load",
    ],
)
@pytest.mark.parametrize(
    ("key", "make"),
    [
        ("logger", lambda path: {"logger": path}),
        ("strategy", lambda path: {"strategy": {"class_path": path}}),
        ("plugins", lambda path: {"plugins": ["x", (path,)]}),
        ("callbacks", inside),
        ("max_time", lambda path: {"max_time": {"days": path}}),
    ],
)
def test_code_from_elsewhere_is_named_with_the_argument_that_asks_for_it(path, key, make):
    assert list(forbidden(make(path))) == [(f"trainer.{key}", path)]


@pytest.mark.parametrize(
    "path",
    [
        "lightning.pytorch.loggers.csv_logs.os.system",
        "lightning.pytorch.strategies.launchers.subprocess_script.subprocess.Popen",
    ],
)
def test_an_allowed_place_is_no_way_to_what_it_imports_itself(path):
    assert list(forbidden(inside(path))) == [("trainer.callbacks", path)]


def test_every_forbidden_path_is_named():
    trainer = {"logger": ["os.system", "a.b"], "callbacks": "c.d"}
    found = [path for _, path in forbidden(trainer)]
    assert found == ["os.system", "a.b", "c.d"]


def test_only_lightning_is_allowed():
    assert all(place.startswith("lightning.pytorch.") for place in ALLOWED)
