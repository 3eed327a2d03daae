"""What a network costs, counted from its layout alone: parameters, multiply-accumulates, bytes.

No tensor is made; a test holds these counts equal to the real network's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from effcc.catalog.spec import Network, layout, scale_width


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer with learned weights: `macs` are multiply-accumulates for one image."""

    name: str
    kind: str  # conv, condconv, mixing, routing, gate, norm, classifier
    parameters: int
    macs: int
    buffers: int = 0  # numbers in the state that are not learned
    buffer_tensors: int = 0
    tensors: int = 1


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


def count(network: Network, image_size: int) -> Cost:
    """The cost of one image of `image_size` x `image_size` pixels."""
    found = list(layers(network, image_size))
    norms = sum(layer.kind == "norm" for layer in found)
    parameters = sum(layer.parameters for layer in found)
    return Cost(
        parameters=parameters,
        macs=sum(layer.macs for layer in found),
        mixing_macs=sum(layer.macs for layer in found if layer.kind == "mixing"),
        state_bytes=4 * (parameters + sum(layer.buffers for layer in found)) + 8 * norms,
        tensors=sum(layer.tensors for layer in found),
    )


def layers(network: Network, image_size: int) -> Iterator[Layer]:
    """Every layer, from the input on."""
    stem = scale_width(network.stem, network.width)
    size = ceil(image_size / 2)
    yield from _conv("conv_stem", network.in_channels, stem, 3, size)
    yield _norm("bn1", stem)
    for block in layout(network):
        name, experts = block.name, block.experts
        wide, narrow = block.mid_channels, block.se_channels
        if experts:
            yield Layer(
                f"{name}.routing_fn",
                "routing",
                (block.in_channels + 1) * experts,
                block.in_channels * experts,
                tensors=2,
            )
        if block.expand > 1:
            yield from _conv(f"{name}.conv_pw", block.in_channels, wide, 1, size, 1, experts)
            yield _norm(f"{name}.bn1", wide)
        size = ceil(size / block.stride)
        yield from _conv(f"{name}.conv_dw", wide, wide, block.kernel, size, wide, experts)
        yield _norm(f"{name}.{'bn2' if block.expand > 1 else 'bn1'}", wide)
        yield Layer(
            f"{name}.se", "gate", 2 * wide * narrow + wide + narrow, 2 * wide * narrow, tensors=4
        )
        last = "conv_pwl" if block.expand > 1 else "conv_pw"
        yield from _conv(f"{name}.{last}", wide, block.out_channels, 1, size, 1, experts)
        yield _norm(f"{name}.{'bn3' if block.expand > 1 else 'bn2'}", block.out_channels)
    channels, head = layout(network)[-1].out_channels, scale_width(network.head, network.width)
    yield from _conv("conv_head", channels, head, 1, size)
    yield _norm("bn2", head)
    yield Layer(
        "classifier",
        "classifier",
        (head + 1) * network.num_classes,
        head * network.num_classes,
        tensors=2,
    )


def hook_counter_flops(network: Network, image_size: int) -> int:
    """The "FLOPs" that a naive hook-based counter reports: how the published figures came about.

    Reproduces thop 0.0.31 on timm's network, fed an image of size x int(size * 1546 / 1213) pixels.
    The counter looks layers up by exact class, so it sees plain unstrided convolutions (with a bias
    counted as one more operation per output), batch norm (2 per element), the routing layers and
    the pooling before the classifier; and counts zero for conditional convolutions, for strided
    ones (a subclass that pads as TensorFlow does, the stem included) and for the classifier.
    """
    height, width = ceil(image_size / 2), ceil(int(image_size * 1546 / 1213) / 2)
    total = 2 * height * width * scale_width(network.stem, network.width)
    for block in layout(network):
        before, plain = height * width, not block.experts
        height, width = ceil(height / block.stride), ceil(width / block.stride)
        after, wide, out = height * width, block.mid_channels, block.out_channels
        if block.experts:
            total += block.in_channels * block.experts  # routing
        if block.expand > 1:
            total += before * wide * (block.in_channels * plain + 2)
        total += after * wide * (block.kernel**2 * (plain and block.stride == 1) + 2)
        total += block.se_channels * (wide + 1) + wide * (block.se_channels + 1)
        total += after * out * (wide * plain + 2)
    head = scale_width(network.head, network.width)
    total += height * width * head * (layout(network)[-1].out_channels + 2)
    return total + (height * width + 1) * head  # the pooling before the classifier


def _conv(
    name: str,
    in_channels: int,
    out_channels: int,
    kernel: int,
    size: int,
    groups: int = 1,
    experts: int = 0,
) -> Iterator[Layer]:
    weights = out_channels * in_channels // groups * kernel * kernel
    if experts:
        yield Layer(name, "mixing", 0, experts * weights, tensors=0)
    yield Layer(
        name, "condconv" if experts else "conv", weights * max(1, experts), weights * size * size
    )


def _norm(name: str, channels: int) -> Layer:
    # Its arithmetic folds into the convolution before it, so it has no multiply-accumulates of its
    # own.
    return Layer(name, "norm", 2 * channels, 0, buffers=2 * channels, tensors=5)
