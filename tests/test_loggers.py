"""Where figures go: a word is enough, and a missing package is one line before anything starts."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from effcc.ground.errors import UserError
from effcc.train import loggers, trainer

FOLDER = Path("/project/runs/cc_b0_4e/20260131T120000Z-fit-folder-0")


def names(found):
    return [item["class_path"].rpartition(".")[2] for item in found]


@pytest.fixture
def installed(monkeypatch):
    """Every optional package seems to be there."""
    monkeypatch.setattr(loggers, "find_spec", lambda name: object())


@pytest.mark.parametrize("chosen", [None, True])
def test_by_default_figures_go_to_a_csv_file_and_to_tensorboard(chosen, tmp_path):
    arguments = {"accelerator": "cpu", "enable_progress_bar": False}
    if chosen is not None:
        arguments["logger"] = chosen
    built = trainer.build(arguments, [], tmp_path)
    assert [type(logger).__base__ for logger in built.loggers] == [CSVLogger, TensorBoardLogger]
    assert [Path(logger.log_dir) for logger in built.loggers] == [tmp_path, tmp_path]


@pytest.mark.parametrize(("word", "kind"), [("csv", CSVLogger), ("tensorboard", TensorBoardLogger)])
def test_a_word_is_one_logger(word, kind, tmp_path):
    arguments = {"accelerator": "cpu", "enable_progress_bar": False, "logger": word}
    built = trainer.build(arguments, [], tmp_path)
    assert [type(logger).__base__ for logger in built.loggers] == [kind]


def test_words_and_classes_can_be_listed_together(installed):
    own = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "logs"}}
    found = loggers.described(["wandb", own, "mlflow"], FOLDER)
    assert names(found) == ["WandbLogger", "CSVLogger", "MLFlowLogger"]
    assert found[1] == own


def test_a_run_is_found_by_its_variant_and_name_elsewhere_too(installed, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    wandb, mlflow = loggers.described(["wandb", "mlflow"], FOLDER)
    title = f"cc_b0_4e/{FOLDER.name}"
    assert wandb["init_args"] == {"project": "effcc", "name": title, "save_dir": str(FOLDER)}
    assert mlflow["init_args"]["run_name"] == title
    assert mlflow["init_args"]["tracking_uri"] == "sqlite:////project/runs/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    uri = loggers.described("mlflow", FOLDER)["init_args"]["tracking_uri"]
    assert uri == "https://mlflow.example.org"


@pytest.mark.parametrize("package", ["wandb", "mlflow"])
def test_a_missing_package_is_one_line_that_says_what_to_install(package, monkeypatch):
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"pip install 'effcc\[{package}\]'$") as caught:
        loggers.described(["csv", package], FOLDER)
    assert "\n" not in str(caught.value)
    kind = {"wandb": "WandbLogger", "mlflow": "MLFlowLogger"}[package]
    with pytest.raises(UserError, match="pip install"):
        loggers.described({"class_path": f"lightning.pytorch.loggers.{kind}"}, FOLDER)


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_only_the_first_of_several_processes_writes(variable, installed, monkeypatch):
    monkeypatch.setenv(variable, "1")
    assert loggers.described(None, FOLDER) == []
    assert loggers.described("mlflow", FOLDER) is False
    monkeypatch.setenv(variable, "0")
    assert len(loggers.described(None, FOLDER)) == 2


def test_what_leaves_nothing_behind_opens_no_logger(installed):
    # A test after a fit would else begin a second W&B run.
    arguments = {"accelerator": "cpu", "enable_progress_bar": False, "logger": ["wandb", "csv"]}
    assert trainer.build(arguments, [], None).loggers == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those packages' own, of their own dependencies
@pytest.mark.skipif(not find_spec("wandb"), reason="effcc[wandb] is not installed")
def test_wandb_is_written_to(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = tmp_path / "runs" / "cc_pico_4e" / "one"
    built = trainer.build({"accelerator": "cpu", "logger": "wandb"}, [], folder)
    built.logger.log_metrics({"lr": 0.5}, step=1)
    built.logger.experiment.finish()
    assert list(folder.rglob("*.wandb"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those packages' own, of their own dependencies
@pytest.mark.skipif(not find_spec("mlflow"), reason="effcc[mlflow] is not installed")
def test_mlflow_is_written_to(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "runs" / "cc_pico_4e" / "one"
    folder.mkdir(parents=True)
    built = trainer.build({"accelerator": "cpu", "logger": "mlflow"}, [], folder)
    built.logger.log_metrics({"lr": 0.5}, step=1)
    found = built.logger.experiment.get_metric_history(built.logger.run_id, "lr")
    assert [(point.step, point.value) for point in found] == [(1, 0.5)]
    assert (tmp_path / "runs" / "mlflow.db").is_file()
