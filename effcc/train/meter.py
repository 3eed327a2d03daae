"""What is measured while training, for the loggers: speed, waiting, memory, how experts are used.

Nothing here makes the processor wait for an accelerator, except at the steps that are logged.
"""

from __future__ import annotations

import math
import time
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from effcc.data.loader import Batch


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
    """

    def __init__(self) -> None:
        self._images = self._step = 0
        self._seconds = self._waited = self._rate = 0.0
        self._mark = 0.0  # when the last batch ended
        self._unreadable: Tensor | None = None
        self._entropies: dict[str, Entropy] = {}
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
        for name, module in pl_module.named_modules():
            if name.endswith(".routing_fn"):
                block = name.removeprefix("model.").removesuffix(".routing_fn")
                self._entropies[block] = Entropy()
                self._hooks.append(module.register_forward_hook(self._entropies[block]))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log what was heard."""
        for block, heard in self._entropies.items():
            pl_module.log(
                f"routing_entropy/{block}", heard.mean, batch_size=heard.weights, sync_dist=True
            )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen no more, and let the clock go on after the pause."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._entropies = [], {}
        self._mark = time.perf_counter()


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


def entropy(logits: Tensor) -> Tensor:
    """Of sigmoid(logits), as that of a coin, in bits; of the same shape.

    -p log2 p - (1-p) log2 (1-p) is the cross-entropy of p with itself, which torch computes from
    the logit: exact where p rounds to 0 or 1.
    """
    p = logits.sigmoid()
    return F.binary_cross_entropy_with_logits(logits, p, reduction="none") / math.log(2)
