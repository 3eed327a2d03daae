"""What a fit would be, foreseen: its steps and rates counted, its time and memory measured briefly.

The counts are the fit's own, from the code that it runs. What is measured is said to be; what is
only taken in proportion is said to be that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from effcc.catalog.schedule import Schedule
from effcc.catalog.spec import Spec
from effcc.ground.errors import UsageError
from effcc.sources.known import Source
from effcc.train import data, gauge, process, trainer
from effcc.train.data import ImageData
from effcc.train.gauge import Loading, Memory, Scaling, Step
from effcc.train.trainer import BadTrainer

MOST_DEVICES = 64  # of the table, unless the run has more


@dataclass(frozen=True, slots=True)
class Run:
    """What a recipe comes to on a number of devices."""

    devices: int
    accumulated: int
    batches: int  # per device and epoch, of `batch_size` images
    batch_size: int
    schedule: Schedule
    steps: int  # optimiser steps in all

    @property
    def epochs(self) -> float:
        """How often the images are read."""
        return self.steps / self.schedule.steps_per_epoch

    @property
    def images_per_epoch(self) -> int:
        """Over all devices; what fills no batch is left out, and is others in every epoch."""
        return self.batches * self.batch_size * self.devices


@dataclass(frozen=True, slots=True)
class Plan:
    """A fit, foreseen: `images` has the number of each split.

    `scaling` is None where there are not several devices to measure.
    """

    spec: Spec
    run: Run
    title: str
    images: Mapping[str, int]
    nodes: int
    table: tuple[Run, ...]  # of the same recipe on other numbers of devices
    workers: int
    shared: bool  # loading and training take turns: they share a process, or cores
    step: Step
    loading: Loading
    memory: Memory
    scaling: Scaling | None

    @property
    def compute_seconds(self) -> float:
        """Of one batch on one device: as measured, in proportion to the images."""
        return self.step.seconds * self.run.batch_size / self.step.images

    @property
    def loading_seconds(self) -> float:
        """Of one batch, by the processes of one device."""
        each = self.loading.images_per_second * max(1, self.workers)
        return self.run.batch_size / each

    def epoch_seconds(self, run: Run, *, ideal: bool) -> float:
        """Of training; `ideal` devices average their gradients in no time."""
        compute, loading = run.batches * self.compute_seconds, run.batches * self.loading_seconds
        if not ideal and self.scaling:  # gradients are averaged once a step, not once a batch
            compute += run.schedule.steps_per_epoch * self.scaling.seconds(run.devices)
        return compute + loading if self.shared else max(compute, loading)


def of(spec: Spec, source: Source) -> Plan:
    """Foresee a fit; takes about twenty seconds of measuring, and writes nothing.

    Args:
        spec: from `run.prepare`.
        source: from `run.prepare`.

    Raises:
        MissingData, BadTrainer: what the fit needs is not right.
        UsageError: the run has no end.
    """
    process.keep_memory()
    arguments, images = dict(spec.trainer), len(source.split("train"))
    nodes, devices = _count(arguments, "num_nodes", 1), _devices(arguments)
    run_on = _counter(spec, images)
    run = run_on(nodes * devices)
    step, workers = gauge.step(spec, source.classes), ImageData(spec, source).workers
    here = torch.cuda.device_count()
    if step.kind == "cpu":  # a device is a process, where that was asked for
        here = min(devices, os.cpu_count() or 1) if arguments.get("accelerator") == "cpu" else 1
    busy = devices * (workers + torch.get_num_threads()) if step.kind == "cpu" else 0
    return Plan(
        spec=spec,
        run=run,
        title=source.title,
        images={name: len(source.split(name)) for name in ("train", "val", "test")},
        nodes=nodes,
        table=tuple(run_on(n) for n in _counts(run.devices, images // spec.batch_size)),
        workers=workers,
        shared=workers == 0 or busy > (os.cpu_count() or 1),
        step=step,
        loading=gauge.loading(spec, source),
        memory=step.memory.at(spec.batch_size),
        scaling=gauge.scaling(spec, source.classes, here, step) if here > 1 else None,
    )


def _counter(spec: Spec, images: int) -> Callable[[int], Run]:
    """Counts the run as Lightning does, on any number of devices, without their being here."""
    elsewhere = ("devices", "num_nodes", "accelerator", "strategy", "logger", "callbacks")
    arguments = {key: value for key, value in spec.trainer.items() if key not in elsewhere}
    arguments = {"max_epochs": spec.recipe.epochs} | arguments | {"enable_progress_bar": False}
    t: Any = trainer.build(arguments | {"accelerator": "cpu", "devices": 1}, [], None)
    epochs, limit = t.max_epochs, t.limit_train_batches
    if (epochs is None or epochs < 0) and t.max_steps < 0:
        raise UsageError("--plan: the run has no end; set --trainer.max_epochs")

    def count(devices: int) -> Run:
        accumulated, size = t.accumulate_grad_batches, spec.batch_size
        batches = data.batches(images, size, devices)
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        schedule = Schedule.of(spec, devices=devices, accumulated=accumulated, batches=batches)
        ends = [t.max_steps] if t.max_steps >= 0 else []
        if epochs is not None and epochs >= 0:
            ends.append(epochs * schedule.steps_per_epoch)
        return Run(devices, accumulated, batches, size, schedule, min(ends))

    return count


def _counts(devices: int, batches: int) -> list[int]:
    """Numbers of devices for the table: doubled as long as there is a batch for each."""
    most = max(MOST_DEVICES, devices)
    counts = {1 << power for power in range(most.bit_length())} | {devices}
    return [count for count in sorted(counts) if count <= min(most, batches)]


def _devices(arguments: Mapping[str, Any]) -> int:
    """Devices of one machine; what is left to chance is what this machine has."""
    wish = arguments.get("devices", "auto")
    if isinstance(wish, list):
        return len(wish)
    if wish in ("auto", "-1", -1):
        return max(1, torch.cuda.device_count()) if arguments.get("accelerator") != "cpu" else 1
    if isinstance(wish, str) and "," in wish:
        return len([part for part in wish.split(",") if part.strip()])
    return _count(arguments, "devices", 1)


def _count(arguments: Mapping[str, Any], key: str, default: int) -> int:
    value = arguments.get(key, default)
    try:
        count = int(value)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise BadTrainer(f"trainer.{key}: {value} is not a value that lightning.Trainer takes")
    return count
