"""One run in several processes, on one machine or many: what Lightning's strategies leave open.

The processes are torch.distributed's ranks. Lightning starts them itself, or torchrun or SLURM did.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch.distributed as dist
from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch import nn

from effcc.ground.errors import UsageError, UserError
from effcc.nn import batchnorm
from effcc.train.process import LostProcess
from effcc.train.sharding import FullySharded

LEAVE_SECONDS = 30


def launched(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Trainer arguments with the devices and machines that torchrun or SLURM started, if one did.

    Raises:
        UsageError: they say something else.
    """
    environment = os.environ
    if TorchElasticEnvironment.detect():
        launcher = "torchrun"
        started = (environment["LOCAL_WORLD_SIZE"], environment["GROUP_WORLD_SIZE"])
    elif SLURMEnvironment.detect():
        launcher = "srun"
        if "SLURM_NTASKS_PER_NODE" not in environment and environment["SLURM_NTASKS"] != "1":
            raise UsageError("srun: say --ntasks-per-node, one task for each device of a machine")
        started = (environment.get("SLURM_NTASKS_PER_NODE", "1"), environment["SLURM_NNODES"])
    else:
        return dict(arguments)
    counts = dict(zip(("devices", "num_nodes"), map(int, started), strict=True))
    for name, count in counts.items():
        said = arguments.get(name, count)
        if said not in (count, str(count), "auto", -1, "-1"):
            raise UsageError(
                f"trainer.{name} is {said}, but {launcher} started {count}; type "
                f"--trainer.{name} {count}, or leave it out"
            )
    return {**arguments, **counts}


@contextmanager
def together(trainer: L.Trainer) -> Generator[None]:
    """What a trainer does in here ends for all processes of the run when it fails for one.

    Raises:
        LostProcess: another process ended.
    """
    try:
        yield
    except (UserError, SystemExit):  # the second is how Lightning ends when it is told to
        if trainer.strategy.launcher:
            trainer.strategy.launcher.kill(signal.SIGKILL)  # they have nothing to add
        raise
    except RuntimeError as error:
        if not lost(error):
            raise
        raise LostProcess("another process of the run ended") from None


def lost(error: BaseException) -> bool:
    """Whether an error, or one that it followed upon, is what is seen of another process's end."""
    if isinstance(error, dist.DistNetworkError | dist.DistBackendError | dist.DistStoreError):
        return True
    if isinstance(error, RuntimeError) and "/gloo/" in str(error):  # it has no type of its own
        return True
    return error.__context__ is not None and lost(error.__context__)


class Alone(L.Callback):
    """After an error a process waits for no other: the others may be gone, or at another place.

    It stands before the callbacks that write checkpoints, so that they neither ask nor tell anyone.
    Weights that are replicated are still written then. Those that are sharded cannot be: each
    process has a part.
    """

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave the group, which tells the others."""
        launcher = trainer.strategy.launcher
        if isinstance(launcher, _SubprocessScriptLauncher):
            # Lightning watches this list, and on a dead child kills its own process at once.
            launcher.procs, watched = [*launcher.procs], launcher.procs
            watched.clear()
        if trainer.world_size > 1 and dist.is_initialized():
            # Leaving may wait for a sum under way, and nothing in Python could end that.
            faulthandler.dump_traceback_later(LEAVE_SECONDS, exit=True)
            dist.destroy_process_group()
            faulthandler.cancel_dump_traceback_later()
            if isinstance(trainer.strategy, FullySharded):
                trainer.save_checkpoint = _nothing


class SyncedNorms(TorchSyncBatchNorm):
    """`sync_batchnorm` on any device: torch's own on accelerators, ours where ranks use gloo."""

    def apply(self, model: nn.Module) -> nn.Module:
        """The model with synchronised batch norms."""
        return batchnorm.synced(model) if dist.get_backend() == "gloo" else super().apply(model)

    def revert(self, model: nn.Module) -> nn.Module:
        """The model as it was."""
        return super().revert(batchnorm.local(model))


def _nothing(*_: Any, **__: Any) -> None:
    """Takes the place of what needs all processes."""
