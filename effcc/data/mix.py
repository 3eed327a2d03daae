"""Blended training examples: mixup and CutMix on a batch, and their soft targets."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from effcc.catalog.spec import Augment


def mix(
    images: Tensor, labels: Tensor, num_classes: int, augment: Augment, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Blend every image of a batch with another of it, by mixup or CutMix.

    With both on, each batch takes one of them, as often as the other. One share and one rectangle
    hold for the whole batch, as in the authors' codes.

    Args:
        images: (batch, channels, height, width), uint8 or float.
        labels: int64 (batch,).
        num_classes: how many there are.
        augment: `mixup` and `cutmix`, at least one of them above 0.
        random: where every random number comes from.

    Returns:
        Images as they were, float32 at least after mixup, and targets (batch, num_classes), whose
        rows sum to 1.
    """
    cut = augment.cutmix > 0 and (augment.mixup == 0 or random.random() < 0.5)
    alpha = augment.cutmix if cut else augment.mixup
    share = random.beta(alpha, alpha)
    partner = torch.from_numpy(random.permutation(len(images))).to(images.device)
    if cut:
        rows, columns = box(images.shape[-2], images.shape[-1], share, random)
        mixed, share = cutmix(images, partner, rows, columns)
    else:
        mixed = mixup(images, partner, share)
    return mixed, soft_targets(labels, partner, share, num_classes)


def mixup(images: Tensor, partner: Tensor, share: float) -> Tensor:
    """`share` of each image and the rest of its partner (H. Zhang et al., arXiv:1710.09412)."""
    whole = images if images.is_floating_point() else images.float()
    return share * whole + (1 - share) * whole[partner]


def cutmix(images: Tensor, partner: Tensor, rows: slice, columns: slice) -> tuple[Tensor, float]:
    """Paste a rectangle of each image's partner (S. Yun et al., arXiv:1905.04899).

    Returns:
        The images, and the share of their pixels that is still their own.
    """
    mixed = images.clone()
    mixed[..., rows, columns] = images[partner][..., rows, columns]
    height, width = images.shape[-2:]
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - pasted / (height * width)


def box(height: int, width: int, share: float, random: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a rectangle of 1 - `share` of the area, cut off at the edges.

    arXiv:1905.04899, equation 2: its centre is anywhere in the image.
    """

    def along(side: int) -> slice:
        half = int(side * math.sqrt(1 - share)) // 2
        centre = int(random.integers(side))
        return slice(max(centre - half, 0), min(centre + half, side))

    return along(height), along(width)


def soft_targets(labels: Tensor, partner: Tensor, share: float, num_classes: int) -> Tensor:
    """`share` of each label and the rest of its partner's: float32 (batch, num_classes)."""
    own = F.one_hot(labels, num_classes).float()
    return share * own + (1 - share) * own[partner]
