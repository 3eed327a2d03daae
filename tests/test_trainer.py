"""A Lightning Trainer from plain data: mistakes are one line, other code stays out."""

import copy
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import EarlyStopping, Timer

from effcc.train import trainer
from effcc.train.trainer import BadTrainer

STOP = {
    "class_path": "lightning.pytorch.callbacks.EarlyStopping",
    "init_args": {"monitor": "val_loss", "patience": 7},
}


def build(**arguments):
    arguments = {"accelerator": "cpu", "enable_progress_bar": False} | arguments
    return trainer.build(arguments, [], None)


def test_arguments_reach_the_trainer():
    built = build(max_epochs=7, limit_train_batches=0.5, accumulate_grad_batches=3)
    assert isinstance(built, L.Trainer)
    assert (built.max_epochs, built.limit_train_batches) == (7, 0.5)
    assert built.accumulate_grad_batches == 3


def test_one_batch_is_not_all_of_them():
    # Python remembers `float | int` for `int | float` if rich is imported first, as the command
    # line does; and to Lightning 1.0 is everything.
    code = (
        "import rich.console; from effcc.train import trainer;"
        "t = trainer.build({'accelerator': 'cpu', 'limit_val_batches': 1}, [], None);"
        "print(repr(t.limit_val_batches))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.split() == ["1"], answer.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_epoch": 3},
        {"max_epochs": "many"},
        {"precision": "bf17"},
        {"accelerator": "warp"},
        {"limit_train_batches": "half"},
        {"val_check_interval": "sometimes"},
        {"callbacks": [{"class_path": STOP["class_path"], "init_args": {"monitr": "val_loss"}}]},
        {"logger": {"class_path": "lightning.pytorch.loggers.NoLogger"}},
    ],
    ids=str,
)
def test_a_mistake_is_one_line(arguments):
    with pytest.raises(BadTrainer) as caught:
        build(**arguments)
    assert "\n" not in str(caught.value)
    assert 10 < len(str(caught.value)) <= 300


def test_a_mistyped_name_is_repeated():
    with pytest.raises(BadTrainer, match="max_epoch"):
        build(max_epoch=3)


def test_a_named_callback_is_built_before_ours():
    ours = Timer()
    arguments = {"accelerator": "cpu", "enable_progress_bar": False, "callbacks": [STOP]}
    built = trainer.build(arguments, [ours], None)
    stopping = next(c for c in built.callbacks if isinstance(c, EarlyStopping))
    assert (stopping.monitor, stopping.patience) == ("val_loss", 7)
    assert built.callbacks.index(stopping) < built.callbacks.index(ours)


def test_one_callback_needs_no_list():
    assert any(isinstance(c, EarlyStopping) for c in build(callbacks=STOP).callbacks)


def test_arguments_are_left_as_they_are():
    # They belong to a spec, which is frozen and is written to the record.
    arguments = {"callbacks": [STOP], "max_epochs": 2, "plugins": []}
    before = copy.deepcopy(arguments)
    build(**arguments)
    assert arguments == before
    assert all(type(callback) is dict for callback in arguments["callbacks"])


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module that creates a file when it is imported, and a class in it."""
    trace = tmp_path / "imported"
    (tmp_path / "trap_of_effcc.py").write_text(
        f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n"
        "from lightning.pytorch.callbacks import Callback\n"
        "class Trap(Callback): pass\n"
        "def spring(*args): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield trace
    sys.modules.pop("trap_of_effcc", None)


@pytest.mark.parametrize(
    "arguments",
    [
        {"callbacks": [{"class_path": "trap_of_effcc.Trap"}]},
        {"callbacks": {"class_path": "trap_of_effcc.Trap"}},
        {"callbacks": ["trap_of_effcc.Trap"]},
        {"logger": "trap_of_effcc.Trap"},
        {"strategy": "trap_of_effcc.Trap"},
        {"plugins": [{"class_path": "trap_of_effcc.Trap", "init_args": {}}]},
        {"profiler": {"class_path": "trap_of_effcc.Trap"}},
        {
            "callbacks": [
                {
                    "class_path": "lightning.pytorch.callbacks.LambdaCallback",
                    "init_args": {"on_train_start": "trap_of_effcc.spring"},
                }
            ]
        },
        {
            "callbacks": [
                {
                    "class_path": "lightning.pytorch.callbacks.LambdaCallback",
                    "init_args": {"setup": {"class_path": "trap_of_effcc.Trap"}},
                }
            ]
        },
    ],
    ids=str,
)
def test_other_code_is_refused_before_it_is_imported(arguments, trap):
    with pytest.raises(BadTrainer, match=r"trainer\.\w+: 'trap_of_effcc\.\w+' may not be imported"):
        build(**arguments)
    assert not trap.exists()


TRAP = '{"class_path": "trap_of_effcc.Trap"}'
LAMBDA = "lightning.pytorch.callbacks.LambdaCallback"
DISGUISED = [
    {"callbacks": TRAP},
    {"callbacks": [TRAP]},
    {"callbacks": "class_path: trap_of_effcc.Trap"},
    {"callbacks": '{"class_path": "EarlyStopping", "class_path": "trap_of_effcc.Trap"}'},
    {"callbacks": r'{"class_path": "trap_of_effcc\u002eTrap"}'},
    {"callbacks": "&a {class_path: &b trap_of_effcc.Trap}"},
    {"callbacks": " trap_of_effcc.Trap "},
    {"callbacks": "treppe_ü.Falle"},
    {"callbacks": {"class_path": LAMBDA, "init_args": {"on_train_start": TRAP}}},
    {"callbacks": {"class_path": LAMBDA, "init_args": {"on_train_start": [[TRAP]]}}},
    {"callbacks": {"class_path": LAMBDA, "init_args": f"{{on_train_start: '{TRAP}'}}"}},
    {"callbacks": {"class_path": LAMBDA, "init_args": {"trap_of_effcc.spring": 1}}},
    {"max_time": TRAP},
    {"devices": '["trap_of_effcc.Trap"]'},
]


@pytest.mark.parametrize("arguments", DISGUISED, ids=str)
def test_code_in_text_that_a_parser_takes_apart_once_more_is_refused(arguments, trap):
    (trap.parent / "treppe_ü.py").write_text((trap.parent / "trap_of_effcc.py").read_text())
    with pytest.raises(BadTrainer, match="may not be imported"):
        build(**arguments)
    assert not trap.exists()


@pytest.mark.parametrize("arguments", DISGUISED, ids=str)
def test_the_parser_refuses_by_itself_what_should_get_past_us(arguments, trap, monkeypatch):
    monkeypatch.setattr(trainer.imports, "forbidden", lambda arguments: iter(()))
    with pytest.raises(BadTrainer):
        build(**arguments)
    assert not trap.exists()


def test_somebody_elses_parser_is_left_as_it_was(trap):
    class Theirs:
        def __init__(self, made: L.Callback):
            self.made = made

    build(callbacks=STOP)
    with pytest.raises(BadTrainer):
        build(max_epoch=3)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Theirs, "theirs")
    parser.parse_object({"theirs": {"made": {"class_path": "trap_of_effcc.Trap"}}})
    assert trap.exists()


def test_the_trap_works(trap):
    __import__("trap_of_effcc")
    assert trap.exists()


def test_code_beyond_an_allowed_module_is_refused():
    # What allowed modules import is reachable through their names.
    path = "lightning.pytorch.strategies.launchers.subprocess_script.subprocess.Popen"
    arguments = {"class_path": path, "init_args": {"args": ["true"]}}
    with pytest.raises(BadTrainer):
        build(callbacks=[arguments])


def test_logs_go_to_the_folder_and_nowhere_without_one(tmp_path):
    arguments = {"accelerator": "cpu", "enable_progress_bar": False}
    built = trainer.build(arguments, [], tmp_path)
    assert {Path(logger.log_dir) for logger in built.loggers} == {tmp_path}
    assert built.default_root_dir == str(tmp_path)
    assert trainer.build(arguments, [], None).logger is None


def test_a_logger_that_is_named_is_taken(tmp_path):
    assert trainer.build({"accelerator": "cpu", "logger": False}, [], tmp_path).logger is None


def test_lightning_leaves_our_samplers_alone():
    assert build()._accelerator_connector.use_distributed_sampler is False


@pytest.mark.parametrize("name", ["BatchSizeFinder", "LearningRateFinder"])
def test_callbacks_that_set_what_the_recipe_says_are_refused_before_a_run(name, tmp_path):
    with pytest.raises(BadTrainer, match=f"trainer.callbacks: {name} goes with no run of ours"):
        trainer.build({"callbacks": [name], "accelerator": "cpu"}, [], tmp_path)


def test_an_argument_that_a_class_needs_is_named(tmp_path):
    with pytest.raises(BadTrainer, match=r"^trainer.callbacks: monitor is missing; give the class"):
        trainer.build({"callbacks": ["EarlyStopping"], "accelerator": "cpu"}, [], tmp_path)


def test_a_callback_that_writes_checkpoints_stays_out_of_what_only_measures(tmp_path):
    """Else the run is refused when it has trained, and with its checkpoint once more."""
    chosen = {"callbacks": ["ModelCheckpoint"], "accelerator": "cpu"}
    assert trainer.build(chosen, [], tmp_path).checkpoint_callbacks
    assert not trainer.build(chosen, [], None).checkpoint_callbacks
