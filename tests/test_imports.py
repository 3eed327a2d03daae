"""A configuration names code from a short list of places, and no other."""

import json

import pytest

from effcc.catalog.imports import ALLOWED, LOGGERS, forbidden, led, named


@pytest.mark.parametrize(
    "trainer",
    [
        {"logger": "lightning.pytorch.loggers.CSVLogger"},
        {"logger": "CSVLogger", "strategy": "ddp", "profiler": "simple"},
        {"logger": True, "callbacks": None, "devices": [0, 1], "max_time": "00:12:00:00"},
        {"callbacks": [{"class_path": "lightning.pytorch.callbacks.ModelCheckpoint"}]},
        {"default_root_dir": "my.runs"},
        {"callbacks": [{"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss"}}]},
        {
            "callbacks": {
                "class_path": "ModelCheckpoint",
                "init_args": {"filename": "{epoch}-{a:.2f}"},
            }
        },
        {"callbacks": {"class_path": "ModelCheckpoint", "init_args": {"dirpath": "my runs/a.b/c"}}},
    ],
)
def test_what_lightning_brings_is_allowed(trainer):
    assert list(forbidden(trainer)) == []
    assert list(led(trainer)) == []


@pytest.mark.parametrize(
    "text",
    [
        "/x",
        " /x",
        "~",
        "~me/x",
        "..",
        "a/..",
        "a\\..\\b",
        "\\\\host\\x",
        "C:/x",
        "s3://x",
        "file:///x",
        '"\\x2fx"',
        '["a", "/x"]',
        '\'{"a": "../x"}\'',
        "{epoch:/>9}",
        "$HOME/x",
        "a/${HOME}",
        "a/%HOME%",
        "file:",
        "file:../x",
        "file:~/x",
        "simplecache::x",
        "{epoch].__class__.__name__[0:.<2.0}/x",
        "{step:c}tmp{step:c}x",
        "{step:.<1c}",
        '{"base_url": "e.org"}',
        '{"settings": {"https_proxy": "e.org:80"}}',
    ],
)
@pytest.mark.parametrize("key", ["logger", "callbacks", "profiler", "default_root_dir"])
def test_a_text_that_leads_out_of_the_folder_is_found_wherever_it_stands(text, key):
    assert list(led({key: text}))
    assert list(led({key: [{"class_path": "X", "init_args": {"a": {"b": [text]}}}]}))


@pytest.mark.parametrize(
    "text",
    [
        *("a/b", "a..b", "...", "val/loss", "{epoch}-{a:.2f}", "00:12:00", "100 %", "5 $"),
        *("{step:05d}", "{monitor: acc}", '{"a": ["b"]}'),
    ],
)
def test_a_text_that_stays_in_the_folder_is_none_of_them(text):
    assert not list(led({"callbacks": [{"class_path": "X", "init_args": {"a": text}}]}))


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


def test_a_word_is_said_with_what_it_means():
    trainer = {
        "logger": ["csv", "CSVLogger"],
        "strategy": "ddp",
        "callbacks": {"class_path": "Timer", "init_args": {"verbose": True}},
    }
    assert [(found.path, found.means, found.allowed) for found in named(trainer)] == [
        (("logger", 0), "effcc.train.logfiles.CSV", True),
        (("logger", 1), "lightning.pytorch.loggers.CSVLogger", True),
        (("strategy",), "lightning.pytorch.strategies: ddp", True),
        (("callbacks", "class_path"), "lightning.pytorch.callbacks.Timer", True),
    ]


def test_what_is_no_word_is_no_name_of_a_class():
    for text in ("EarlyStopping()", "a b", "/tmp/x.yaml", "{}", "", "Ünsafe", "https://e.org/x"):
        assert list(forbidden({"callbacks": text})) == [("trainer.callbacks", text)], text


def test_a_text_of_texts_is_taken_apart_to_its_end():
    text = "os.system"
    for _ in range(5):
        text = json.dumps([text])
    assert ("trainer.devices", "os.system") in list(forbidden({"devices": text}))
    bomb = "[" + "".join(f"&a{n} [{f'*a{n - 1},' * 9}]," for n in range(1, 30)) + "]"
    assert list(forbidden({"devices": "&a0 " + bomb})) == []


def test_the_words_for_loggers_are_those_that_a_run_takes():
    from effcc.train import loggers

    assert loggers._WORDS.keys() == LOGGERS.keys()
