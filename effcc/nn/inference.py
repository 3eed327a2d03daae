"""The form of a network that only predicts.

`optimize` takes a trained network and returns one of the same values that is faster and cannot be
trained.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from effcc.nn.efficientnet import EfficientNet


def optimize(model: EfficientNet) -> nn.Module:
    """A network of the same logits, faster, for evaluation alone; `model` stays as it is.

    Args:
        model: a network with its weights, in float32 on a CPU.

    Returns:
        A module from normalised images (batch, in_channels, height, width), float32, to logits
        (batch, num_classes). Its weights are its own: later changes to `model` do not reach it.
    """
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    return copied.to(memory_format=torch.channels_last)
