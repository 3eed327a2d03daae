"""The LightningModule: what one step computes, and nothing about where it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric, MetricCollection, SumMetric
from torchmetrics.classification import MulticlassAccuracy

from effcc.catalog.schedule import Schedule, images_per_step, peak_lr
from effcc.catalog.spec import Spec
from effcc.data import mix
from effcc.data.loader import Batch
from effcc.nn.efficientnet import build, unfilled
from effcc.train.ema import of_first_rank
from effcc.train.optim import RMSpropTF, WarmupStaircase, frozen, parameter_groups
from effcc.train.sharding import FullySharded, shard

# Weights of red, green and blue in a grey level (ITU-R BT.601), as Pillow has them.
_LUMA = (0.299, 0.587, 0.114)
# The label of a place that does not count in measurements.
_UNCOUNTED = -1


class CondConvModule(L.LightningModule):
    """A variant in training, built from its spec alone.

    `classes` are the names of the outputs, kept in checkpoints for `predict`. With `fresh` False
    the network is `unfilled`, for weights to be loaded into `model`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: Spec, classes: tuple[str, ...] = (), *, fresh: bool = True) -> None:
        super().__init__()
        self.spec, self.classes = spec, classes
        self.start: Mapping[str, Any] = {}  # the file of the weights that it began with, if any
        recipe = spec.recipe
        model = (
            build(
                spec.network,
                classifier_init=recipe.classifier_init,
                residual_gamma=recipe.residual_gamma,
            )
            if fresh
            else unfilled(spec.network)
        )
        self.model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._frozen = frozen(self.model, recipe.freeze_stages)
        for part in self._frozen:
            part.requires_grad_(False)
        self.train()
        for name in ("mean", "std"):
            level = 255 * torch.tensor(getattr(spec.preprocessing, name)).view(1, 3, 1, 1)
            if spec.network.in_channels == 1:
                level = level.mean(1, keepdim=True)
            self.register_buffer(name, level, persistent=False)
        # Micro: the share of images that are right, not the mean over classes.
        top = {f"top{k}": k for k in (1, 5) if k < spec.network.num_classes}
        accuracies = MetricCollection(
            {
                name: MulticlassAccuracy(
                    spec.network.num_classes,
                    top_k=k,
                    average="micro",
                    ignore_index=_UNCOUNTED,
                    validate_args=False,
                )
                for name, k in top.items()
            }
        )
        self.val_metrics, self.test_metrics = accuracies.clone("val_"), accuracies.clone("test_")
        self.raw_val_metrics = accuracies.clone("raw_val_")  # of the weights that are not averaged
        # Lightning's own means over ranks are rough: it halves the odd number of images of two.
        # A loss that is no number makes an infinite mean; by default it would be left out.
        losses = (MeanMetric(nan_strategy=math.inf) for _ in range(3))
        self.val_loss, self.test_loss, self.raw_val_loss = losses
        self.val_n, self.test_n = SumMetric(), SumMetric()
        self.val_unreadable, self.test_unreadable = SumMetric(), SumMetric()

    def configure_model(self) -> None:
        """Split the weights between processes, where the strategy is to."""
        if isinstance(self.trainer.strategy, FullySharded):
            shard(self.model, self.trainer.strategy.device_mesh["data_parallel"])

    def train(self, mode: bool = True) -> Self:
        """As ever, but frozen batch norms keep the statistics that they have, and use them."""
        super().train(mode)
        for part in self._frozen:
            for module in part.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of images (batch, 3, size, size), as a `Batch` has them."""
        return self.model(self.normalise(images))

    def normalise(self, images: Tensor) -> Tensor:
        """The network's input (batch, in_channels, size, size), channels-last."""
        x = images.to(self.mean.dtype, copy=True)
        if self.spec.network.in_channels == 1:
            x = (x * x.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        x = x.sub_(self.mean).div_(self.std)
        return x.contiguous(memory_format=torch.channels_last)

    def on_validation_epoch_start(self) -> None:
        """Validate one network: each rank has batch-norm statistics of its own images until now.

        The first rank's are taken, as in checkpoints, and as the authors' training keeps them.
        """
        if self.trainer.world_size > 1:
            of_first_rank(self.model)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Draw dropout from (seed, epoch, batch, rank), so that a continued run draws the same."""
        seed = np.random.SeedSequence(self._place(batch_idx))
        torch.manual_seed(int(seed.generate_state(1)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy with smoothed labels, of mixed images where the recipe mixes them."""
        recipe = self.spec.recipe
        images, targets = batch.images, batch.labels
        if recipe.augment.mixup > 0 or recipe.augment.cutmix > 0:
            # One word more than any loader's seed: numpy pads short ones with zeros.
            random = np.random.default_rng((*self._place(batch_idx), 1))
            classes = self.spec.network.num_classes
            images, targets = mix.mix(images, targets, classes, recipe.augment, random)
        loss = F.cross_entropy(self(images), targets, label_smoothing=recipe.label_smoothing)
        size = len(batch.labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss without smoothing, and accuracies."""
        self._evaluate(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss without smoothing, and accuracies."""
        self._evaluate(batch, "test")

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Probabilities (batch, classes)."""
        return self(batch).softmax(1)

    def measure(self, batch: Batch, split: str, network: nn.Module) -> int:
        """Log the loss without smoothing, and the accuracies, that a network has on a batch.

        Args:
            batch: images, on the network's device.
            split: `val`, `test` or `raw_val`, which the figures' names begin with.
            network: this one, or another with the same outputs; it takes images as `forward` does.

        Returns:
            How many of the images could be read.
        """
        images, labels = batch.images, batch.labels.masked_fill(batch.unreadable, _UNCOUNTED)
        if not len(labels):  # the rank has no more images, and still takes its part
            images = images.new_zeros(1, *images.shape[1:])
            labels = labels.new_full((1,), _UNCOUNTED)
        n = int((labels != _UNCOUNTED).sum())
        logits = network(images)
        losses = F.cross_entropy(logits, labels, ignore_index=_UNCOUNTED, reduction="sum")
        loss, accuracies = (getattr(self, f"{split}_{name}") for name in ("loss", "metrics"))
        accuracies.update(logits, labels)
        loss.update(losses / max(1, n), n)
        self.log_dict({f"{split}_loss": loss, **dict(accuracies.items())}, batch_size=n)
        return n

    def _place(self, batch_idx: int) -> tuple[int, int, int, int]:
        t = self.trainer
        return self.spec.seed, t.current_epoch, batch_idx, t.global_rank

    def _evaluate(self, batch: Batch, split: str) -> None:
        n = self.measure(batch, split, self)
        counts = {name: getattr(self, f"{split}_{name}") for name in ("n", "unreadable")}
        counts["n"].update(n)
        counts["unreadable"].update(batch.unreadable.sum())
        self.log_dict({f"{split}_{name}": metric for name, metric in counts.items()}, batch_size=n)

    @property
    def effective_batch_size(self) -> int:
        """Images per optimiser step, over all devices and accumulated batches."""
        t = self.trainer
        return images_per_step(self.spec, t.world_size, t.accumulate_grad_batches)

    @property
    def peak_lr(self) -> float:
        """The recipe's rate for the effective batch."""
        return peak_lr(self.spec.recipe, self.effective_batch_size)

    def configure_optimizers(self) -> Any:
        """The authors' RMSProp and schedule."""
        recipe = self.spec.recipe
        optimizer = RMSpropTF(
            parameter_groups(self.model, recipe, self.peak_lr),
            lr=self.peak_lr,
            decay=recipe.rmsprop_decay,
            momentum=recipe.momentum,
            eps=recipe.rmsprop_eps,
        )
        t = self.trainer
        _ = t.estimated_stepping_batches  # makes the trainer count its batches
        planned = Schedule.of(
            self.spec,
            devices=t.world_size,
            accumulated=t.accumulate_grad_batches,
            batches=int(t.num_training_batches),
        )
        schedule = WarmupStaircase(
            optimizer,
            warmup_steps=planned.warmup_steps,
            decay_steps=planned.decay_steps,
            decay_rate=recipe.decay_rate,
            steps_per_epoch=planned.steps_per_epoch,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """A resumed run follows the settings it has now: checkpoints restore state, not choices."""
        recipe = self.spec.recipe
        for optimizer in self.trainer.optimizers:
            now = parameter_groups(self.model, recipe)
            for group, chosen in zip(optimizer.param_groups, now, strict=True):
                group |= {"weight_decay": chosen["weight_decay"], "momentum": recipe.momentum}
                group |= {"decay": recipe.rmsprop_decay, "eps": recipe.rmsprop_eps}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what names and checks the weights: plain data, so that loading runs no code."""
        checkpoint["effcc"] = {
            "variant": self.spec.name,
            "classes": list(self.classes),
            "settings": self.spec.settings() | {"seed": self.spec.seed},
            "start": dict(self.start),
        }
