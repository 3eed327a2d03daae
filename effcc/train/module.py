"""The LightningModule: what one step computes, and nothing about where it runs."""

from __future__ import annotations

from typing import Any, Self

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from effcc.catalog.spec import Spec
from effcc.data.loader import Batch
from effcc.nn.efficientnet import build
from effcc.train.optim import RMSpropTF, WarmupStaircase, frozen, parameter_groups

# Weights of red, green and blue in a grey level (ITU-R BT.601), as Pillow has them.
_LUMA = (0.299, 0.587, 0.114)


class CondConvModule(L.LightningModule):
    """A variant in training, built from its spec alone.

    `classes` are the names of the outputs, kept in checkpoints for `predict`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: Spec, classes: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.spec, self.classes = spec, classes
        recipe = spec.recipe
        self.model = build(
            spec.network,
            classifier_init=recipe.classifier_init,
            residual_gamma=recipe.residual_gamma,
        )
        self.model = self.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
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
                    spec.network.num_classes, top_k=k, average="micro", validate_args=False
                )
                for name, k in top.items()
            }
        )
        self.val_metrics, self.test_metrics = accuracies.clone("val_"), accuracies.clone("test_")

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
        x = images.to(self.model.classifier.weight.dtype, copy=True)
        if self.spec.network.in_channels == 1:
            x = (x * x.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        x = x.sub_(self.mean).div_(self.std)
        return x.contiguous(memory_format=torch.channels_last)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Draw dropout from (seed, epoch, batch, rank), so that a continued run draws the same."""
        t = self.trainer
        key = (self.spec.seed, t.current_epoch, batch_idx, t.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Cross-entropy with smoothed labels."""
        loss = F.cross_entropy(
            self(batch.images), batch.labels, label_smoothing=self.spec.recipe.label_smoothing
        )
        size = len(batch.labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss without smoothing, and accuracies."""
        self._evaluate(batch, self.val_metrics, "val_")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Loss without smoothing, and accuracies."""
        self._evaluate(batch, self.test_metrics, "test_")

    def predict_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Probabilities (batch, classes)."""
        return self(batch).softmax(1)

    def _evaluate(self, batch: Batch, metrics: MetricCollection, prefix: str) -> None:
        readable = ~batch.unreadable
        images, labels = batch.images[readable], batch.labels[readable]
        logits = self(images)
        metrics.update(logits, labels)
        self.log(
            f"{prefix}loss", F.cross_entropy(logits, labels), batch_size=len(labels), sync_dist=True
        )
        self.log(
            f"{prefix}n",
            float(len(labels)),
            reduce_fx="sum",
            batch_size=len(labels),
            sync_dist=True,
        )
        self.log_dict(dict(metrics.items()), batch_size=len(labels))  # type: ignore[arg-type]

    @property
    def effective_batch_size(self) -> int:
        """Images per optimiser step, over all devices and accumulated batches."""
        return self.spec.batch_size * self.trainer.world_size * self.trainer.accumulate_grad_batches

    @property
    def peak_lr(self) -> float:
        """The recipe's rate, scaled to the effective batch (arXiv:1706.02677, section 2.1)."""
        return self.spec.recipe.lr * self.effective_batch_size / self.spec.recipe.batch_size

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
        _ = self.trainer.estimated_stepping_batches  # makes the trainer count its batches
        per_epoch = self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
        schedule = WarmupStaircase(
            optimizer,
            warmup_steps=round(recipe.warmup_epochs * per_epoch),
            decay_steps=recipe.decay_epochs * per_epoch,
            decay_rate=recipe.decay_rate,
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
            "settings": self.spec.settings(),
        }
