"""A Lightning Trainer from data: the `trainer:` section and our own callbacks."""

from __future__ import annotations

import copy
import logging
import re
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings
from jsonargparse._common import parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    Checkpoint,
    LearningRateFinder,
)
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher

from effcc.catalog import imports
from effcc.ground.errors import UsageError
from effcc.train import loggers
from effcc.train.ranks import SyncedNorms
from effcc.train.sharding import FullySharded

# Where the plugins of an allowed place are at home, and the loggers that a word of ours means.
_HOMES = (*imports.ALLOWED, "lightning.fabric.plugins", "effcc.train.logfiles")
# Callbacks that look for something of theirs in a module, or set what is the recipe's.
_UNFIT = (BackboneFinetuning, BatchSizeFinder, LearningRateFinder)


class BadTrainer(UsageError):
    """Trainer arguments that Lightning does not take."""


def build(
    arguments: Mapping[str, Any], callbacks: Sequence[L.Callback], folder: Path | None
) -> L.Trainer:
    """A trainer of the given arguments, with our callbacks after any that they name.

    Args:
        arguments: of `lightning.Trainer`; classes as `class_path` and `init_args`.
        callbacks: ours.
        folder: where logs go (see `loggers`); None for a trainer that leaves nothing behind.

    Raises:
        UserError: what a logger writes with is not installed.
        BadTrainer: an argument is of the wrong type, or names a class that is not allowed.
    """
    for key, text in imports.forbidden(arguments):
        raise BadTrainer(f"{key}: {text!r} may not be imported")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(L.Trainer, "trainer", instantiate=False)
    defaults: dict[str, Any] = {"enable_model_summary": False, "use_distributed_sampler": False}
    given = copy.deepcopy(dict(arguments))  # the parser works its classes into what it is given
    if folder is None:
        defaults |= {"enable_checkpointing": False}
    else:
        defaults |= {"default_root_dir": str(folder)}
    given["logger"] = loggers.described(given.get("logger"), folder)
    try:
        with _nothing_else_imported():
            parsed = parser.parse_object({"trainer": defaults | given})
            chosen: Any = parser.instantiate(parsed)
    except (
        ArgumentError,
        TypeError,
        ValueError,
        ImportError,  # DeviceStatsMonitor wants psutil
        RuntimeError,
        MisconfigurationException,
    ) as error:
        raise BadTrainer(_first_line(error)) from None
    options = vars(chosen.trainer)
    own = options.pop("callbacks") or []
    own = own if isinstance(own, list) else [own]
    for callback in own:
        if isinstance(callback, _UNFIT):
            raise BadTrainer(
                f"trainer.callbacks: {type(callback).__name__} goes with no run of ours: the "
                "variant says its rates, batches and frozen stages"
            )
    if folder is None:
        options["logger"] = False
        own = [callback for callback in own if not isinstance(callback, Checkpoint)]
    # The parser may make 1.0 of a 1, and one batch (limit_train_batches: 1) would be all of them.
    options |= {key: value for key, value in arguments.items() if type(value) is int}
    _choose_strategy(options)
    quiet()
    try:
        trainer = L.Trainer(**options, callbacks=[*own, *callbacks])
    except (TypeError, ValueError, ImportError, MisconfigurationException) as error:
        raise BadTrainer(_first_line(error)) from None
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise BadTrainer(
            "trainer.strategy: forked and spawned processes cannot share a run; say ddp"
        )
    return trainer


def quiet() -> None:
    """Keep Lightning's hints off the terminal where they are no news to the person at it."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    # Which kills this process when another one is gone: it should say so.
    logging.getLogger("lightning.fabric.strategies.launchers").setLevel(logging.INFO)
    for hint in (
        ".*your dataloader is not resumable.*",  # ours skips what was seen
        ".*does not have many workers.*",  # embedded digits need none, folders get one per core
        ".*The number of training batches .* is smaller than the logging.*",  # ours are per epoch
        ".*Checkpoint directory .* exists and is not empty.*",  # the run's own log is already there
        ".*Experiment logs directory .* exists and is not empty.*",  # another logger's files
        ".*The dirpath has changed from.*",  # a continued run has a folder of its own
        ".*GPU available but not used.*",  # somebody typed --trainer.accelerator cpu
        ".*in eval mode at the start of training.*",  # frozen batch norms, as the recipe says
        ".*Grad strides do not match bucket view.*",  # of 1x1 kernels, whose layouts are one
        # Lightning's own use of a torch name that moved; nothing in a project can change it.
        ".*isinstance.treespec, LeafSpec.. is deprecated.*",
    ):
        warnings.filterwarnings("ignore", hint)


@contextmanager
def _nothing_else_imported() -> Generator[None]:
    """Have the parser itself refuse what `imports` would, should they ever read a text apart.

    Its settings are the process's, which may be that of somebody's own command line.
    """
    kept = dict(parsing_settings)
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=list(_HOMES))
    try:
        yield
    finally:
        parsing_settings.update(kept)


def _choose_strategy(options: dict[str, Any]) -> None:
    """Put our own parts in the place of those that Lightning has for some devices only."""
    strategy = options["strategy"]
    if strategy == "fsdp":
        if options["sync_batchnorm"]:
            raise BadTrainer("trainer.sync_batchnorm goes with trainer.strategy ddp, not fsdp")
        options["strategy"] = FullySharded()
    elif isinstance(strategy, FSDPStrategy | ModelParallelStrategy) or (
        isinstance(strategy, str) and "fsdp" in strategy
    ):
        raise BadTrainer("trainer.strategy: to shard the weights, say fsdp; it has no options")
    if options["sync_batchnorm"]:
        plugins = options["plugins"] or []
        plugins = plugins if isinstance(plugins, list) else [plugins]
        options["plugins"] = [*plugins, SyncedNorms()]


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    if key := re.search(r'Parser key "(trainer\.[a-z_]+)', text):
        value = text.rpartition("Given value: ")[2][:120]
        if lacking := re.search(r"arguments are required: ([\w, ]+?)(?: - |$)", text):
            return f"{key[1]}: {lacking[1]} is missing; give the class as class_path and init_args"
        return f"{key[1]}: {value} is not a value that lightning.Trainer takes"
    return f"lightning.Trainer: {text[:300]}"
