"""What a network costs, counted from its layout alone: parameters, multiply-accumulates, bytes.

No tensor is made; a test holds these counts equal to the real network's.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from effcc.catalog.spec import Block, Network, layout, scale_width


class Layer(NamedTuple):  # hundreds a network, and a tuple is made in a third of the time
    """One layer: `macs` are multiply-accumulates for one image.

    Those without learned weights are here because other people's counts have them, see `counting`.
    """

    name: str
    kind: str  # conv, strided, condconv, mixing, routing, gate, norm, activation, pool, classifier
    parameters: int
    macs: int
    buffers: int = 0  # numbers in the state that are not learned
    tensors: int = 1
    outputs: int = 0  # numbers it leaves of one image
    averaged: int = 0  # numbers that a pooling takes in


@dataclass(frozen=True, slots=True)
class Cost:
    """Totals of a network at one image size.

    `macs` includes `mixing_macs`, the work of mixing expert kernels. `state_bytes` is the float32
    state dict's payload, batch norm's counters (8 bytes each) included.
    """

    parameters: int
    macs: int
    mixing_macs: int
    state_bytes: int
    tensors: int


@functools.lru_cache(maxsize=64)
def count(network: Network, image_size: int) -> Cost:
    """The cost of one image of `image_size` x `image_size` pixels."""
    parameters = macs = mixing = buffers = tensors = norms = 0
    for layer in layers(network, image_size, image_size):
        parameters += layer.parameters
        macs += layer.macs
        buffers += layer.buffers
        tensors += layer.tensors
        mixing += layer.macs if layer.kind == "mixing" else 0
        norms += layer.kind == "norm"
    return Cost(parameters, macs, mixing, 4 * (parameters + buffers) + 8 * norms, tensors)


@dataclass(frozen=True, slots=True)
class Shares:
    """The totals in parts, in the order of the network; a part without any is left out.

    `parameters` are by stage, beside them the stem, the head and the classifier. `macs` are by what
    a layer does in its block.
    """

    parameters: Mapping[str, int]
    macs: Mapping[str, int]


def shares(network: Network, image_size: int) -> Shares:
    """Where the parameters of a network are, and its multiply-accumulates for one image."""
    parameters: dict[str, int] = {}
    macs = dict.fromkeys(_ROLES.values(), 0)
    expanding = {block.name for block in layout(network) if block.expand > 1}
    for layer in layers(network, image_size, image_size):
        block, _, last = layer.name.rpartition(".")
        stage = block.split(".")[1] if block.startswith("blocks.") else ""
        part = f"stage {stage}" if stage else _OUTSIDE.get(layer.name.partition(".")[0], "stem")
        parameters[part] = parameters.get(part, 0) + layer.parameters
        if layer.macs:
            # A block that does not expand calls its projection what others call the expansion.
            role = "conv_pwl" if last == "conv_pw" and block not in expanding else last
            role = layer.kind if layer.kind in ("mixing", "gate") else role
            macs[_ROLES[role]] += layer.macs
    return Shares(parameters, {role: number for role, number in macs.items() if number})


# Layers outside the stages, after the stem; and what layers with multiply-accumulates do.
_OUTSIDE = {"conv_head": "head", "bn2": "head", "global_pool": "head", "classifier": "classifier"}
_ROLES = {
    "conv_stem": "stem",
    "conv_pw": "expand 1×1",
    "conv_dw": "depthwise",
    "gate": "squeeze-excite",
    "conv_pwl": "project 1×1",
    "routing_fn": "routing",
    "mixing": "mixing kernels",
    "conv_head": "head 1×1",
    "classifier": "classifier",
}


def layers(network: Network, height: int, width: int) -> Iterator[Layer]:
    """Every layer, from an input of height x width pixels on."""
    return iter(_walked(network, height, width))


@functools.lru_cache(maxsize=16)
def _walked(network: Network, height: int, width: int) -> tuple[Layer, ...]:
    """The layers, which a card counts in several ways."""
    return tuple(_layers(network, height, width))


def _layers(network: Network, height: int, width: int) -> Iterator[Layer]:
    stem, head = (scale_width(n, network.width) for n in (network.stem, network.head))
    pixels = ceil(height / 2) * ceil(width / 2)
    yield from _conv("conv_stem", network.in_channels, stem, 3, pixels, stride=2)
    yield from _norm("bn1", stem, pixels, activate=True)
    height, width = ceil(height / 2), ceil(width / 2)
    for block in layout(network):
        yield from _block(block, height, width)
        height, width = ceil(height / block.stride), ceil(width / block.stride)
    pixels = height * width
    yield from _conv("conv_head", layout(network)[-1].out_channels, head, 1, pixels)
    yield from _norm("bn2", head, pixels, activate=True)
    yield Layer("global_pool", "pool", 0, 0, tensors=0, outputs=head, averaged=pixels * head)
    yield _linear("classifier", "classifier", head, network.num_classes)


def _block(block: Block, height: int, width: int) -> Iterator[Layer]:
    name, experts = block.name, block.experts
    wide, narrow, out = block.mid_channels, block.se_channels, block.out_channels
    before = height * width
    after = ceil(height / block.stride) * ceil(width / block.stride)
    # The first stage's blocks do not expand, so their norms count from one fewer.
    depthwise, last, projected = ("bn2", "conv_pwl", "bn3")
    if experts:
        yield _linear(f"{name}.routing_fn", "routing", block.in_channels, experts)
    if block.expand > 1:
        yield from _conv(f"{name}.conv_pw", block.in_channels, wide, 1, before, experts=experts)
        yield from _norm(f"{name}.bn1", wide, before, activate=True)
    else:
        depthwise, last, projected = ("bn1", "conv_pw", "bn2")
    shape = {"groups": wide, "stride": block.stride, "experts": experts}
    yield from _conv(f"{name}.conv_dw", wide, wide, block.kernel, after, **shape)
    yield from _norm(f"{name}.{depthwise}", wide, after, activate=True)
    yield _linear(f"{name}.se.conv_reduce", "gate", wide, narrow)
    yield _activation(f"{name}.se.conv_reduce", narrow)
    yield _linear(f"{name}.se.conv_expand", "gate", narrow, wide)
    yield from _conv(f"{name}.{last}", wide, out, 1, after, experts=experts)
    yield from _norm(f"{name}.{projected}", out, after)


def _conv(
    name: str,
    in_channels: int,
    out_channels: int,
    kernel: int,
    pixels: int,
    *,
    groups: int = 1,
    stride: int = 1,
    experts: int = 0,
) -> Iterator[Layer]:
    weights = out_channels * in_channels // groups * kernel * kernel
    if experts:
        yield Layer(name, "mixing", 0, experts * weights, tensors=0, outputs=weights)
    kind = "condconv" if experts else "strided" if stride > 1 else "conv"
    outputs = out_channels * pixels
    yield Layer(name, kind, weights * max(1, experts), weights * pixels, outputs=outputs)


def _norm(name: str, channels: int, pixels: int, *, activate: bool = False) -> Iterator[Layer]:
    # Its arithmetic folds into the convolution before it, so it has no multiply-accumulates of its
    # own.
    elements = channels * pixels
    yield Layer(name, "norm", 2 * channels, 0, buffers=2 * channels, tensors=5, outputs=elements)
    if activate:
        yield _activation(name, elements)


def _activation(name: str, elements: int) -> Layer:
    return Layer(f"{name}.act", "activation", 0, 0, tensors=0, outputs=elements)


def _linear(name: str, kind: str, inputs: int, outputs: int) -> Layer:
    """A matrix and a bias; a convolution of one pixel, as in a gate, is no different."""
    parameters, macs = (inputs + 1) * outputs, inputs * outputs
    return Layer(name, kind, parameters, macs, tensors=2, outputs=outputs)
