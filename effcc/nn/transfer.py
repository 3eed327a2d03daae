"""Starting a network from weights of another task: other classes, other input channels.

Only those two may differ, and both are said. Everything else must fit as exactly as a run that is
continued: a silently skipped tensor is a worse start than an error.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from effcc.catalog.spec import Network, Spec
from effcc.ground.words import many
from effcc.nn import published, weights
from effcc.nn.efficientnet import EfficientNet, draw_classifier
from effcc.nn.published import Published
from effcc.nn.weights import Checkpoint

_STEM = "conv_stem.weight"
_CLASSIFIER = ("classifier.weight", "classifier.bias")


def begin(
    model: EfficientNet, spec: Spec, pretrained: bool | str | os.PathLike[str]
) -> tuple[str, ...]:
    """Start from the weights of `file`; returns and raises as `start` and `file`."""
    return from_file(model, spec, file(spec, pretrained))


def file(spec: Spec, pretrained: bool | str | os.PathLike[str]) -> Path:
    """The file to start from: with True the published one, fetched if it is not in the cache.

    Raises:
        NotPublished, BadDownload: there are no such weights, or they cannot be had.
    """
    return published.pull(Published.of(spec)) if pretrained is True else Path(str(pretrained))


def from_file(model: EfficientNet, spec: Spec, path: Path) -> tuple[str, ...]:
    """Start from a checkpoint's weights; returns and raises as `start`."""
    std, init = spec.preprocessing.std, spec.recipe.classifier_init
    return start(model, spec.network, weights.read(path), std, init)


def start(
    model: EfficientNet,
    network: Network,
    checkpoint: Checkpoint,
    std: Sequence[float] = (1.0, 1.0, 1.0),
    classifier_init: float = 1.0,
) -> tuple[str, ...]:
    """Load a checkpoint that may have other classes, or three input channels where `model` has not.

    A classifier of another size keeps the values that `model` has now, and is drawn if `model` is
    unfilled. The stem is adapted by `adapt_stem`.

    Args:
        model: built from `network`, with fresh weights or unfilled.
        network: the architecture.
        checkpoint: what to start from.
        std: what the input is divided by, red, green and blue.
        classifier_init: factor on the range of a classifier that is drawn.

    Returns:
        What was done, for the person who asked: a sentence each.

    Raises:
        BadCheckpoint: anything else differs; the message names the first difference.
    """
    state = dict(checkpoint.weights)
    said = [f"started from {checkpoint.path}"]
    there, here = checkpoint.num_classes, network.num_classes
    if there is not None and there != here:
        own = _classifier(model, classifier_init)
        for name in _CLASSIFIER:
            if name in state and state[name].shape[1:] == own[name].shape[1:]:
                state[name] = own[name]
        classes = many(there, "class", "classes")
        said.append(f"the classifier starts afresh: {classes} there, {here} here")
    settings: dict[str, Any] = dict(checkpoint.settings)
    stem = state.get(_STEM)
    if stem is not None and stem.dim() == 4 and stem.shape[1] != network.in_channels:
        if stem.shape[1] != 3:
            raise weights.BadCheckpoint(
                f"{checkpoint.path}: has {stem.shape[1]} input channels, this variant "
                f"{network.in_channels}; only weights for three (red, green, blue) can be adapted"
            )
        state[_STEM] = adapt_stem(stem, network.in_channels, std)
        if isinstance(written := settings.get("network"), dict):
            settings["network"] = dict(written) | {"in_channels": network.in_channels}
        said.append(f"the stem was adapted from 3 input channels to {network.in_channels}")
    weights.load(model, network, replace(checkpoint, weights=state, settings=settings))
    return tuple(said)


def adapt_stem(stem: Tensor, channels: int, std: Sequence[float] = (1.0, 1.0, 1.0)) -> Tensor:
    """A kernel for red, green and blue, made one for another number of channels.

    One channel is a grey level, normalised by the mean of the three deviations: the sum over the
    colours, each by its share of that mean, answers a grey image as the kernel did. Any other
    number repeats the colours in turn, times 3 / channels, so that the sum over the input keeps
    its size; timm documents the same (`adapt_input_conv`).

    Args:
        stem: (out, 3, kernel, kernel).
        channels: of the new input.
        std: what the input is divided by, red, green and blue.

    Returns:
        (out, channels, kernel, kernel).
    """
    if channels == 1:
        shares = stem.new_tensor([sum(std) / 3 / deviation for deviation in std])
        return (stem * shares.view(1, 3, 1, 1)).sum(1, keepdim=True)
    repeated = torch.cat([stem] * math.ceil(channels / 3), 1)
    return repeated[:, :channels] * (3 / channels)


def _classifier(model: EfficientNet, init: float) -> dict[str, Tensor]:
    """The classifier's values, drawn now if it has none; `model` stays as it is."""
    there = model.classifier
    if not there.weight.is_meta:
        return model.state_dict()
    drawn = nn.Linear(there.in_features, there.out_features, device="meta").to_empty(device="cpu")
    draw_classifier(drawn, init)
    return {f"classifier.{name}": tensor for name, tensor in drawn.state_dict().items()}
