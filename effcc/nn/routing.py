"""What experts do: the routing weights of a block, as sums over images by class.

Nothing is kept of an image but the few that weigh most, so a million of them take no more memory
than ten. Every value is first rounded to a multiple of 2^-32: up to two million such add up in
float64 without an error, so neither the order of the images nor their batches change a figure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of the images that weigh most on an expert, so many are kept.
TOP = 6
_GRID = 2.0**32


def entropy(logits: Tensor) -> Tensor:
    """Of sigmoid(logits), as that of a coin, in bits; of the same shape.

    -p log2 p - (1-p) log2 (1-p) is the cross-entropy of p with itself, which torch computes from
    the logit: exact where p rounds to 0 or 1.
    """
    p = logits.sigmoid()
    return F.binary_cross_entropy_with_logits(logits, p, reduction="none") / math.log(2)


def routers(model: nn.Module) -> dict[str, nn.Linear]:
    """The routing layers of a network or of the module around it, by their block's name."""
    end = ".routing_fn"
    return {
        name.removeprefix("model.").removesuffix(end): module
        for name, module in model.named_modules()
        if name.endswith(end) and isinstance(module, nn.Linear)
    }


@dataclass(frozen=True, slots=True)
class Figures:
    """What a block's experts did with the images of a split; float64.

    `share` is the correlation ratio (K. Pearson, 1905): of the variance of an expert's weight over
    images, the part that lies between classes. 1: the class decides the weight. 0: it says nothing.
    """

    entropy: float  # bits a weight, the mean over images and experts
    distance: float  # the mean over pairs of classes and experts of |mean weight - mean weight|
    mean: Tensor  # (experts,) over all images
    spread: Tensor  # (experts,) standard deviation over all images
    share: Tensor  # (experts,)
    means: Tensor  # (classes, experts); NaN where a class has no image
    spreads: Tensor  # (classes, experts), standard deviation within the class
    top_weights: Tensor  # (experts, up to TOP), largest first
    top_positions: Tensor  # int64, of the same shape: which images of the split


class Tally:
    """Sums of one block's routing weights by class, and the images that weigh most."""

    def __init__(self, classes: int, experts: int) -> None:
        self.counts = torch.zeros(classes, dtype=torch.int64)
        self.sums = torch.zeros(classes, experts, dtype=torch.float64)
        self.squares = torch.zeros_like(self.sums)
        self.bits = torch.zeros(experts, dtype=torch.float64)
        self._weights = torch.zeros(experts, 0, dtype=torch.float64)
        self._positions = torch.zeros(experts, 0, dtype=torch.int64)

    def add(self, logits: Tensor, labels: Tensor, positions: Tensor) -> None:
        """Count images.

        Args:
            logits: of their routing, (images, experts).
            labels: their classes, int64 (images,).
            positions: which images of the split they are, int64 (images,).
        """
        logits = logits.detach().float().cpu().double()
        labels, positions = labels.cpu(), positions.cpu()
        weights = logits.sigmoid()
        self.counts += torch.bincount(labels, minlength=len(self.counts))
        self.sums.index_add_(0, labels, on_grid(weights))
        self.squares.index_add_(0, labels, on_grid(weights.square()))
        self.bits += on_grid(entropy(logits)).sum(0)
        self._keep(weights.t(), positions.expand(weights.shape[1], -1))

    def _keep(self, weights: Tensor, positions: Tensor) -> None:
        weights = torch.cat((self._weights, weights), 1)
        positions = torch.cat((self._positions, positions), 1)
        # By weight; of equal ones, which a saturated expert has many of, the first of the split.
        order = positions.argsort(1)
        by_weight = torch.sort(weights.gather(1, order), dim=1, descending=True, stable=True)
        order = order.gather(1, by_weight.indices)
        self._weights = weights.gather(1, order[:, :TOP])
        self._positions = positions.gather(1, order[:, :TOP])

    @property
    def finite(self) -> bool:
        """Whether every weight so far was a number."""
        return bool(self.sums.isfinite().all())

    def figures(self) -> Figures:
        """What the sums say; at least one image must have been counted."""
        images, counts = int(self.counts.sum()), self.counts[:, None]
        mean = self.sums.sum(0) / images
        total = (self.squares.sum(0) - images * mean.square()).clamp(min=0)
        means = self.sums / counts  # 0 / 0 is NaN
        between = (counts * (means - mean).square()).nan_to_num(0).sum(0)
        varies = total > images / _GRID  # less is what rounding leaves of a constant
        seen = means[self.counts > 0]
        pairs = F.pdist(seen, p=1) / seen.shape[1]
        return Figures(
            entropy=float(self.bits.sum()) / (images * seen.shape[1]),
            distance=float(pairs.mean()) if len(pairs) else 0.0,
            mean=mean,
            spread=(total / images).sqrt(),
            share=torch.where(varies, between / total, 0).clamp(max=1),
            means=means,
            spreads=(self.squares / counts - means.square()).clamp(min=0).sqrt(),
            top_weights=self._weights,
            top_positions=self._positions,
        )


def on_grid(values: Tensor) -> Tensor:
    """Values rounded to multiples of 2^-32: sums of 2^21 such in 0..1 are exact in float64."""
    return (values * _GRID).round() / _GRID
