"""What is measured while training, for the loggers: speed, waiting, memory, how experts are used.

Nothing here makes the processor wait for an accelerator, except at the steps that are logged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from effcc.data.loader import Batch
from effcc.nn.routing import entropy, routers


class Meter(L.Callback):
    """Logs figures of the steps, of each epoch, and of each validation.

    Every `trainer.log_every_n_steps` steps, of those since the last time:

    - `lr`: the rate the step was taken with (of the first parameter group);
    - `train_loss_step`: of this device's last batch, where `train_loss` is an epoch's;
    - `images_per_second`: over all devices, validation left out;
    - `data_wait`: the share of the time between the end of a batch and the start of the next. On
      an accelerator it is this process that waits; what was queued before goes on meanwhile;
    - `gpu_memory_peak_gib`: the most that tensors took so far, on CUDA.

    Every epoch: `train_unreadable`, the images that could not be decoded; and at each validation
    `routing_entropy/<block>`: the mean over images and experts of the entropy of a routing weight,
    in bits. 0: every expert is fully on or off; 1: every weight is a half.

    Checkpoints keep, for every epoch that was validated, each expert's mean weight over the images
    of the validation split: `effcc routing` shows how it drifted. A number an epoch and expert.
    """

    def __init__(self) -> None:
        self._images = self._step = 0
        self._seconds = self._waited = self._rate = 0.0
        self._mark = 0.0  # when the last batch ended
        self._unreadable: Tensor | None = None
        self._entropies: dict[str, Entropy] = {}
        self._means: dict[str, Means] = {}
        self._counted: Tensor | None = None  # which images of the batch could be decoded
        self.drift: dict[int, dict[str, list[float]]] = {}  # by epoch, from 1, and block
        self._hooks: list[RemovableHandle] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell the loggers which settings the run has."""
        for logger in trainer.loggers:
            # A module's attributes are tensors or modules to torch's types; `spec` is ours.
            logger.log_hyperparams(pl_module.spec.settings())  # type: ignore[operator]
        self._step = trainer.global_step

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """An epoch begins with a wait for its first batch."""
        self._mark = time.perf_counter()
        self._unreadable = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """The wait is over."""
        now = time.perf_counter()
        self._waited += now - self._mark
        self._seconds += now - self._mark
        self._mark = now
        self._rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count the batch; log, if it is time."""
        self._images += len(batch.labels) * trainer.world_size
        bad = batch.unreadable.sum()
        self._unreadable = bad if self._unreadable is None else self._unreadable + bad
        step, every = trainer.global_step, _log_every(trainer)
        # Of accumulated batches, the last one steps. Lightning logs the last step of a stopped run.
        due = every > 0 and step != self._step and (step % every == 0 or trainer.should_stop)
        loss = outputs["loss"].item() if due else 0.0  # waits for the device
        now = time.perf_counter()
        self._seconds += now - self._mark
        self._mark = now
        if due:
            self._step = step
            self._log(trainer, loss * trainer.accumulate_grad_batches)

    def _log(self, trainer: L.Trainer, loss: float) -> None:
        figures = {
            "lr": self._rate,
            "train_loss_step": loss,
            "images_per_second": self._images / self._seconds,
            "data_wait": self._waited / self._seconds,
        }
        if trainer.strategy.root_device.type == "cuda":
            figures["gpu_memory_peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        trainer.lightning_module.log_dict(figures, on_step=True, on_epoch=False)
        self._images, self._seconds, self._waited = 0, 0.0, 0.0

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log what could not be read."""
        count = 0.0 if self._unreadable is None else float(self._unreadable)
        pl_module.log("train_unreadable", count, reduce_fx="sum", sync_dist=True)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen to the routing of every conditional block."""
        for block, layer in routers(pl_module).items():
            self._entropies[block] = Entropy()
            self._means[block] = Means(lambda: self._counted)
            self._hooks.append(layer.register_forward_hook(self._hearing(block)))

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note which images count."""
        self._counted = ~batch.unreadable

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log what was heard, and keep the means of the epoch."""
        for block, heard in self._entropies.items():
            pl_module.log(
                f"routing_entropy/{block}", heard.mean, batch_size=heard.weights, sync_dist=True
            )
        if not trainer.sanity_checking:
            means = {block: heard.over_ranks(trainer) for block, heard in self._means.items()}
            self.drift[trainer.current_epoch + 1] = {k: m for k, m in means.items() if m}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen no more, and let the clock go on after the pause."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._entropies, self._means = [], {}, {}
        self._mark = time.perf_counter()

    def _hearing(self, block: str) -> Callable[[nn.Module, Any, Tensor], None]:
        hooks = self._entropies[block], self._means[block]

        def hear(module: nn.Module, inputs: Any, logits: Tensor) -> None:
            for hook in hooks:
                hook(module, inputs, logits)

        return hear

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the drift, as plain data."""
        checkpoint["routing"] = {epoch: dict(means) for epoch, means in self.drift.items()}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from what was kept; a run from before this was kept begins here."""
        kept: Mapping[int, Mapping[str, list[float]]] = checkpoint.get("routing") or {}
        self.drift = {epoch: dict(means) for epoch, means in kept.items()}


def _log_every(trainer: L.Trainer) -> int:
    return trainer.log_every_n_steps  # pyright: ignore[reportAttributeAccessIssue]  # set on it later


class Entropy:
    """A forward hook on a routing layer: the mean entropy of its sigmoid weights, in bits."""

    def __init__(self) -> None:
        self.weights = 0  # that were seen: images times experts
        self._bits: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        """Add the weights of logits (images, experts)."""
        logits = logits.detach().float()
        bits = entropy(logits).sum()
        self._bits = bits if self._bits is None else self._bits + bits
        self.weights += logits.numel()

    @property
    def mean(self) -> float:
        """Bits a weight; 0 if none was seen."""
        return float(self._bits) / self.weights if self._bits is not None and self.weights else 0.0


class Means:
    """A forward hook on a routing layer: each expert's mean weight over the images that count.

    Args:
        counted: which images of the batch under way do, bool (images,).
    """

    def __init__(self, counted: Callable[[], Tensor | None]) -> None:
        self._counted = counted
        self._sums: Tensor | None = None  # each expert's, then the images; a tensor, not to wait

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], logits: Tensor) -> None:
        """Add the weights of logits (images, experts)."""
        weights = logits.detach().float().sigmoid()
        counted = self._counted()
        if counted is None or len(counted) != len(weights):  # a rank without images computes one
            counted = weights.new_zeros(len(weights), dtype=torch.bool)
        marked = torch.cat((weights, torch.ones_like(weights[:, :1])), 1)
        sums = torch.where(counted[:, None], marked, 0).sum(0)
        self._sums = sums if self._sums is None else self._sums + sums

    def over_ranks(self, trainer: L.Trainer) -> list[float]:
        """The means over all devices, to six digits; empty if no image counted on any."""
        assert self._sums is not None
        *sums, images = trainer.strategy.reduce(self._sums, reduce_op="sum").tolist()
        return [round(total / images, 6) for total in sums] if images else []
