"""Policies of random change: AutoAugment, RandAugment and random erasing.

What happens to an image is drawn first, as data, and done afterwards without chance. So a contact
sheet can say what it shows, and a setting that is off draws nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from effcc.catalog.spec import Augment
from effcc.data.operations import OPERATIONS, SIGNED, Reach, argument
from effcc.ground import document
from effcc.sources.decode import Pixels


class Step(NamedTuple):
    """One operation of a sub-policy."""

    op: str
    probability: float
    level: float


@dataclass(frozen=True, slots=True)
class Policy:
    """A file of `policies/`: AutoAugment has sub-policies, RandAugment operations."""

    subpolicies: tuple[tuple[Step, ...], ...]
    operations: tuple[str, ...]
    reach: Reach


class Change(NamedTuple):
    """An operation and everything it is called with."""

    op: str
    arguments: tuple[float, ...]


@functools.cache
def load(name: str) -> Policy:
    """The policy `v0`, `original` or `rand`."""
    file = resources.files("effcc.data").joinpath("policies", f"{name}.yaml")
    data: Any = document.parse(file.read_text("utf-8"), file.name).data
    least, most = data["posterize"]
    return Policy(
        tuple(tuple(Step(*step) for step in steps) for steps in data.get("subpolicies", ())),
        tuple(data.get("operations", ())),
        Reach(data["translate"], data["cutout"], (least, most)),
    )


def draw(augment: Augment, random: np.random.Generator) -> tuple[Change, ...]:
    """What happens to one image, in order; all random numbers come from `random`."""
    changes: list[Change] = []
    if augment.policy is not None:
        policy = load(augment.policy)
        for step in _steps(policy, augment, random):
            if random.random() < step.probability:
                changes.append(_change(step.op, step.level, policy.reach, random))
    if augment.erase > 0 and random.random() < augment.erase:
        changes.append(_erasure(random))
    return tuple(changes)


def apply(pixels: Pixels, changes: Sequence[Change]) -> Pixels:
    """Do what was drawn to an image (height, width, 3), into a new one."""
    if not changes:
        return pixels
    image = Image.fromarray(pixels)
    for change in changes:
        image = OPERATIONS[change.op](image, *change.arguments)
    return np.asarray(image)


def _steps(policy: Policy, augment: Augment, random: np.random.Generator) -> Iterator[Step]:
    if policy.subpolicies:
        yield from policy.subpolicies[random.integers(len(policy.subpolicies))]
        return
    for _ in range(augment.rand_layers):
        op = policy.operations[random.integers(len(policy.operations))]
        yield Step(op, 1.0, augment.rand_magnitude)


def _change(op: str, level: float, reach: Reach, random: np.random.Generator) -> Change:
    amount = argument(op, level, reach)
    if amount is None:
        return Change(op, ())
    if op == "Cutout":
        return Change(op, (amount, random.random(), random.random()))
    if amount and op in SIGNED and random.random() < 0.5:
        amount = -amount
    return Change(op, (amount,))


def _erasure(random: np.random.Generator) -> Change:
    """Algorithm 1 of Z. Zhong et al., arXiv:1708.04896, on a square image of side 1.

    Area and aspect have the ranges of the paper's experiments on ImageNet; a rectangle that does
    not fit is drawn again.
    """
    while True:
        area, aspect = random.uniform(0.02, 0.4), random.uniform(0.3, 1 / 0.3)
        left, top = random.random(), random.random()
        right, bottom = left + math.sqrt(area / aspect), top + math.sqrt(area * aspect)
        if right <= 1 and bottom <= 1:
            return Change("Erase", (left, top, right, bottom, int(random.integers(2**32))))
