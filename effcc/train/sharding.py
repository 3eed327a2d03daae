"""Weights, gradients and optimiser state in shards, one a process: `--trainer.strategy fsdp`.

This is torch's second FSDP (`fully_shard`), which leaves every tensor its name and works on CPUs
too. Checkpoints are whole: a run may go on with another strategy.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from effcc.nn.efficientnet import EfficientNet
from effcc.train.ema import Ema, tensors


class FullySharded(ModelParallelStrategy):
    """Data parallel over all processes, every tensor split between them."""

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """All processes share the data; only now is it known how many they are."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()


def shard(model: EfficientNet, mesh: DeviceMesh) -> None:
    """Split the tensors of a model over the processes of a mesh, in place, block by block."""
    if isinstance(model, FSDPModule):  # a measurement after a fit finds it done
        return
    model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    blocks = [block for stage in model.blocks for block in stage.children()]
    for module in (*blocks, model):
        fully_shard(module, mesh=mesh, reshard_after_forward=True)


class ShardedEma(Ema):
    """The same averages, of the shards that a process holds."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """There are no shards yet."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start from the initial weights."""
        self._average_model = _Shards(pl_module)  # type: ignore[assignment]  # what `Ema` uses of one
        super().on_fit_start(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """As `WeightAveraging` writes it; gathering the averages takes all processes."""
        assert self._average_model is not None
        checkpoint["current_model_state"] = _copy(checkpoint["state_dict"])
        self._swap_models(pl_module)
        checkpoint["state_dict"] = _copy(trainer.strategy.lightning_module_state_dict())
        self._swap_models(pl_module)
        checkpoint["averaging_state"] = {"n_averaged": self._average_model.n_averaged}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The strategy has loaded the averages into the model by now."""
        assert self._average_model is not None
        torch._foreach_copy_(tensors(self._average_model.module), tensors(pl_module))
        if "current_model_state" in checkpoint:
            whole = StateDictOptions(full_state_dict=True)
            set_model_state_dict(pl_module, checkpoint["current_model_state"], options=whole)
            self._average_model.n_averaged.copy_(checkpoint["averaging_state"]["n_averaged"])


class _Shards(nn.Module):
    """Copies of a process's shards, in the place of torch's `AveragedModel`."""

    n_averaged: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.module = nn.Module()
        for number, tensor in enumerate(tensors(model)):
            self.module.register_buffer(str(number), tensor.clone())
        self.register_buffer("n_averaged", torch.tensor(0))


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    # What is not sharded comes as the model's own tensor, which training goes on to change.
    return {name: tensor.clone() for name, tensor in state.items()}
