"""Measurements for a plan: a training step, what it keeps in memory, and reading images.

A step is measured by training: the run's own module, precision and averages, in a Trainer that
leaves nothing behind, on random images. A processor's batch is as large as a few seconds allow.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.data import DataLoader

from effcc.catalog.spec import Spec
from effcc.data.loader import Batch
from effcc.sources.known import Source
from effcc.train import process, provenance, trainer
from effcc.train.data import ImageData
from effcc.train.ema import Ema, tensors
from effcc.train.module import CondConvModule

# On a processor a step is measured on as many images as it takes this long for, and several times.
STEP_SECONDS, STEPS_SECONDS = 2.0, 8.0
LOADING_SECONDS, LOADING_IMAGES = 3.0, 96
# The first look, and what the activations of a processor are measured on.
FEW = 4
# Arguments of a Trainer that change what a step costs.
_COSTLY = (
    "precision",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "deterministic",
    "benchmark",
)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one device; activations are those of `images` images."""

    weights: int
    gradients: int
    optimiser: int
    averages: int
    activations: int
    images: int

    def at(self, images: int) -> Memory:
        """The same for another batch: activations in proportion."""
        activations = round(self.activations * images / self.images)
        return replace(self, activations=activations, images=images)

    @property
    def total(self) -> int:
        """All of it."""
        return sum((self.weights, self.gradients, self.optimiser, self.averages, self.activations))


@dataclass(frozen=True, slots=True)
class Step:
    """A training step on one device: the median of `steps`, in seconds, of `images` images each."""

    kind: str  # cpu, cuda
    name: str  # of the processor
    images: int
    steps: int
    seconds: float
    memory: Memory


@dataclass(frozen=True, slots=True)
class Loading:
    """Reading, decoding and augmenting `images` images in one process."""

    images: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Of one process."""
        return self.images / self.seconds


@dataclass(frozen=True, slots=True)
class Scaling:
    """A step of `devices` devices here that average their gradients, and of one alone; seconds."""

    devices: int
    alone: float
    together: float

    @property
    def efficiency(self) -> float:
        """The share of ideal speed; never above 1, whatever the noise."""
        return min(1.0, self.alone / self.together)

    def seconds(self, devices: int) -> float:
        """What an optimiser step costs more on several devices, by a ring all-reduce's traffic.

        A ring moves 2 (n - 1) / n times the gradients through each link (P. Patarasuk and X. Yuan,
        2009), so what averaging costs hardly grows with n, on links as fast as those here.
        """
        share = (1 - 1 / devices) / (1 - 1 / self.devices)
        return max(0.0, self.together - self.alone) * share


def step(spec: Spec, classes: tuple[str, ...]) -> Step:
    """Measure a training step of a spec from `run.prepare`, on one device of this machine."""
    module, planned = CondConvModule(spec, classes), spec.batch_size
    saved = Saved()
    few = min(FEW, planned)
    watch = Stopwatch()
    t = _train(module, few, 3, [saved, watch])
    kind, an_image = t.strategy.root_device.type, min(watch.seconds[1:]) / few
    images = planned
    if kind == "cpu":
        fits = max(2, int(STEP_SECONDS / an_image))  # batch norm needs two
        images = min(planned, 2 ** (fits.bit_length() - 1))
    while True:
        # The first step is not counted: it finds its memory and its algorithms.
        steps = 1 + min(10, max(3, int(STEPS_SECONDS / (an_image * images))))
        watch = Stopwatch()
        try:
            t = _train(module, images, steps, [watch])
            break
        except torch.OutOfMemoryError:
            if images < 4:
                raise
            images //= 2
    memory = _memory(module, t, images)
    if kind == "cpu":
        memory = replace(memory, activations=saved.bytes, images=few)
    else:
        memory = replace(memory, activations=max(0, watch.peak_bytes - memory.total))
    name = str(provenance.device(kind, 1)["name"])
    return Step(kind, name, images, steps - 1, statistics.median(watch.seconds[1:]), memory)


def loading(spec: Spec, source: Source) -> Loading:
    """Read some training images as a run does, in this process."""
    batch = min(8, spec.batch_size)
    one = replace(spec, data=replace(spec.data, batch_size=batch, workers=0))
    loader = ImageData(one, source).train_dataloader()
    batches = chain(loader, loader)  # should there be but one
    next(batches)  # which also loads what decodes
    images, started = 0, time.perf_counter()
    for _ in batches:
        images += batch
        seconds = time.perf_counter() - started
        if images >= LOADING_IMAGES or seconds > LOADING_SECONDS:
            return Loading(images, seconds)
    return Loading(images, time.perf_counter() - started)


def scaling(spec: Spec, classes: tuple[str, ...], devices: int, alone: Step) -> Scaling:
    """Measure a step of several devices of this machine, each on as many images as `alone` was."""
    module = CondConvModule(spec, classes)
    together = {"devices": devices, "strategy": "ddp_spawn"}
    t = _train(module, alone.images, 1 + alone.steps, [Stopwatch()], together)
    return Scaling(devices, alone.seconds, float(t.callback_metrics[Stopwatch.NAME]))


class Stopwatch(L.Callback):
    """Seconds of every step, the averages' update included, and CUDA's most allocated bytes."""

    NAME = "step_seconds"

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.peak_bytes = 0
        self._started = 0.0

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A process begun for another device unpickles this: it is to be as its first one is."""
        self.__dict__ |= state
        trainer.quiet()
        process.keep_memory()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget peaks of before."""
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Start, when nothing is under way."""
        _wait(trainer)
        self._started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Stop, when all is done."""
        _wait(trainer)
        self.seconds.append(time.perf_counter() - self._started)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the median where a process that began this one finds it."""
        pl_module.log(self.NAME, statistics.median(self.seconds[1:]), sync_dist=True)
        if trainer.strategy.root_device.type == "cuda":
            self.peak_bytes = torch.cuda.max_memory_allocated()


class Saved(L.Callback):
    """Bytes that the first forward pass keeps for the backward pass, weights left out."""

    def __init__(self) -> None:
        self.bytes = 0
        self._hooks: saved_tensors_hooks | None = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Listen."""
        if self.bytes:
            return
        seen = {tensor.untyped_storage().data_ptr() for tensor in tensors(pl_module)}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()  # several views of one are saved once
            if storage.data_ptr() not in seen:
                seen.add(storage.data_ptr())
                self.bytes += storage.nbytes()
            return tensor.detach()  # the tensor itself would keep its own history alive

        self._hooks = saved_tensors_hooks(keep, lambda tensor: tensor)
        self._hooks.__enter__()

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        """Listen no more."""
        if self._hooks:
            self._hooks.__exit__()
            self._hooks = None


def _train(
    module: CondConvModule,
    images: int,
    steps: int,
    callbacks: list[L.Callback],
    where: dict[str, Any] | None = None,
) -> L.Trainer:
    """Take steps on random images; nothing is written."""
    spec = module.spec
    size, classes = spec.preprocessing.image_size, spec.network.num_classes
    batch = Batch(
        torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8),
        torch.randint(0, classes, (images,)),
        torch.zeros(images, dtype=torch.int64),
        torch.zeros(images, dtype=torch.bool),
    )
    loader = DataLoader([batch] * steps, batch_size=None)  # pyright: ignore[reportArgumentType]
    arguments = {key: value for key, value in spec.trainer.items() if key in _COSTLY}
    arguments |= {
        # Planning for another machine's accelerator must work on this one.
        "accelerator": "cpu" if spec.trainer.get("accelerator") == "cpu" else "auto",
        "devices": 1,
        "max_epochs": 1,
        "limit_val_batches": 0,
        "enable_progress_bar": False,
    }
    averaging = [Ema(spec.recipe.ema_decay)] if spec.recipe.ema_decay else []
    t = trainer.build(arguments | (where or {}), [*averaging, *callbacks], None)
    t.fit(module, loader, loader)
    return t


def _memory(module: CondConvModule, t: L.Trainer, images: int) -> Memory:
    """What does not depend on the batch, counted on the tensors themselves."""
    state = [value for values in t.optimizers[0].state.values() for value in values.values()]
    weights = sum(tensor.nbytes for tensor in tensors(module))
    return Memory(
        weights=weights,
        gradients=sum(p.nbytes for p in module.parameters() if p.requires_grad),
        optimiser=sum(value.nbytes for value in state if isinstance(value, Tensor)),
        averages=weights if module.spec.recipe.ema_decay else 0,
        activations=0,
        images=images,
    )


def _wait(t: L.Trainer) -> None:
    if t.strategy.root_device.type == "cuda":
        torch.cuda.synchronize()
