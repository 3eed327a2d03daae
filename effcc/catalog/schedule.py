"""A recipe's epochs and rates in optimiser steps: what trains and what plans both count here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from effcc.catalog.spec import Recipe, Spec


@dataclass(frozen=True, slots=True)
class Schedule:
    """A recipe on some number of devices.

    `images_per_step` is the effective batch: over all devices and accumulated batches.
    """

    recipe: Recipe
    images_per_step: int
    steps_per_epoch: int

    @classmethod
    def of(cls, spec: Spec, *, devices: int, accumulated: int, batches: int) -> Schedule:
        """The schedule of a spec.

        Args:
            spec: the variant; its batch size is per device.
            devices: in all, over every machine.
            accumulated: batches whose gradients are added up for one step.
            batches: per device and epoch. What is left at an epoch's end makes a smaller step.
        """
        images = images_per_step(spec, devices, accumulated)
        return cls(spec.recipe, images, math.ceil(batches / accumulated))

    @property
    def peak_lr(self) -> float:
        """The recipe's rate, scaled to the effective batch (arXiv:1706.02677, section 2.1)."""
        return peak_lr(self.recipe, self.images_per_step)

    @property
    def warmup_steps(self) -> int:
        """Steps in which the rate rises from zero."""
        return round(self.recipe.warmup_epochs * self.steps_per_epoch)

    @property
    def decay_steps(self) -> float:
        """Steps from one decay to the next, counted from step 0."""
        return self.recipe.decay_epochs * self.steps_per_epoch

    def lr(self, step: int) -> float:
        """The rate that step `step`, from 0, is taken with."""
        share = staircase(step, self.warmup_steps, self.decay_steps, self.recipe.decay_rate)
        return self.peak_lr * share


def stairs(recipe: Recipe, most: int) -> list[tuple[float, float]]:
    """Where the rate falls after the warm-up: epochs, and the rate from there on.

    Counted in epochs, so whatever the number of steps in one; at the recipe's own batch. Of more
    than `most` stairs every so many are given, and the last.
    """
    start, length = recipe.warmup_epochs, recipe.decay_epochs
    passed, last = int(start / length + 1e-9), math.ceil(recipe.epochs / length - 1e-9) - 1
    numbers = list(range(passed, last, max(1, math.ceil((last - passed) / most))))
    numbers += [last] if last >= passed else []
    return [
        (max(start, number * length), recipe.lr * recipe.decay_rate**number)
        for number in numbers
        if start < recipe.epochs
    ]


def images_per_step(spec: Spec, devices: int, accumulated: int) -> int:
    """The effective batch: images per optimiser step."""
    return spec.batch_size * devices * accumulated


def peak_lr(recipe: Recipe, images: int) -> float:
    """The rate for steps of `images` images; the recipe states its own for `batch_size`."""
    return recipe.lr * images / recipe.batch_size


def staircase(step: int, warmup_steps: int, decay_steps: float, decay_rate: float) -> float:
    """The share of the peak rate at a step: a line up, then stairs down, counted from step 0."""
    if step < warmup_steps:
        return step / warmup_steps
    return decay_rate ** (step // decay_steps)
