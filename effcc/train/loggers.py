"""Where a run's figures go: `--trainer.logger wandb`, or several in a list, as Lightning's loggers.

Without a word they go to a CSV file and to TensorBoard, both beside the run's checkpoint. The
packages behind W&B and MLflow are looked for before a run begins, and imported by Lightning.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch import loggers as kinds

from effcc.catalog import imports
from effcc.ground.errors import UsageError, UserError
from effcc.ground.words import closest
from effcc.train import process

DEFAULT = ("csv", "tensorboard")


def described(chosen: Any, folder: Path | None) -> Any:
    """What to give to `lightning.Trainer`, classes still as `class_path` and `init_args`.

    Args:
        chosen: `trainer.logger`: a word of `csv`, `tensorboard`, `wandb` and `mlflow`, a class of
            Lightning's, a list of such, True or None for `DEFAULT`, False for none.
        folder: of the run, `runs/<variant>/<id>/`; None where nothing is to be written.

    Raises:
        UsageError: a word is no logger.
        UserError: the package that a logger writes with is not installed.
    """
    if chosen is None or chosen is True:
        chosen = list(DEFAULT)
    if not isinstance(chosen, list):
        return _one(chosen, folder)
    found = [_one(item, folder) for item in chosen]
    return [item for item in found if item is not False]


def _one(chosen: Any, folder: Path | None) -> Any:
    if isinstance(chosen, str) and chosen in _WORDS:
        name, arguments = imports.LOGGERS[chosen], _WORDS[chosen]
        _require(name.rpartition(".")[2])
        # Ranks other than the first would open the same files and databases to no end.
        if folder is None or not process.is_first():
            return False
        return {"class_path": name, "init_args": arguments(folder)}
    if isinstance(chosen, str) and "." not in chosen:
        known = [*_WORDS, *kinds.__all__]
        if chosen not in known:
            hint = closest(chosen, known) or f"; there are: {', '.join(_WORDS)}"
            raise UsageError(f"trainer.logger: no logger {chosen!r}{hint}")
    if isinstance(chosen, dict):
        _require(str(chosen.get("class_path", "")).rpartition(".")[2])
    return chosen


def _require(name: str) -> None:
    package = {"WandbLogger": "wandb", "MLFlowLogger": "mlflow"}.get(name)
    if package and find_spec(package) is None:
        raise UserError(
            f"trainer.logger: {package} is not installed; pip install 'effcc[{package}]'"
        )


def _csv(folder: Path) -> dict[str, Any]:
    return {"save_dir": str(folder), "name": "", "version": ""}


def _tensorboard(folder: Path) -> dict[str, Any]:
    return _csv(folder) | {"default_hp_metric": False}  # a made-up figure of -1


def _wandb(folder: Path) -> dict[str, Any]:
    return {"project": "effcc", "name": _title(folder), "save_dir": str(folder)}


def _mlflow(folder: Path) -> dict[str, Any]:
    # One database for all runs of a project, which is what its pages show side by side.
    database = f"sqlite:///{folder.parent.parent / 'mlflow.db'}"
    uri = os.environ.get("MLFLOW_TRACKING_URI") or database
    return {"experiment_name": "effcc", "run_name": _title(folder), "tracking_uri": uri}


def _title(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"  # the variant and the run


_WORDS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
