"""Rules by which people count operations, and what each makes of a network.

"FLOPs" is what a counting program prints, and programs differ in what they look at. A rule is all
of those choices in the open, so that a figure can be traced back to one; `forensics` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from effcc.catalog.cost import Layer, layers
from effcc.catalog.spec import Network

# The kinds of layers that multiply and add, in reading order, and those that do something else.
PRODUCTS = ("conv", "gate", "strided", "condconv", "mixing", "routing", "classifier")
OTHERS = ("norm", "activation", "pool")
# What each kind is called, and its class where counters met these networks: in timm.
WORDS = {
    "conv": "convolution",
    "gate": "squeeze-and-excite",
    "strided": "convolution, strided",
    "condconv": "convolution, conditional",
    "mixing": "mixing its experts",
    "routing": "routing",
    "classifier": "classifier",
    "norm": "batch norm",
    "activation": "activation",
    "pool": "the last pooling",
}
CLASSES = {
    "conv": "Conv2d",
    "gate": "Conv2d",
    "strided": "Conv2dSame",  # a subclass, which hooks by exact type do not see
    "condconv": "CondConv2d",
    "mixing": "CondConv2d",
    "routing": "Linear",
    "classifier": "Linear",
    "norm": "BatchNorm2d",
    "activation": "SiLU",
    "pool": "AdaptiveAvgPool2d",
}
# How products are counted: n multiply-accumulates are n; or 2 n; or n products and n - 1 sums.
ARITHMETIC = {
    "macs": "a multiply-accumulate is 1",
    "twice": "a multiply-accumulate is 2",
    "operations": "n products and n - 1 sums an output",
}
BIAS = {
    "": "not counted",
    "convolutions": "counted in convolutions",
    "linear": "counted in linear layers",
    "everywhere": "counted everywhere",
}
POOL = {"": "not counted", "inputs": "1 an input", "both": "1 an input and 1 an output"}
SCALE = {Fraction(1): "as counted", Fraction(2): "doubled", Fraction(1, 2): "halved"}


@dataclass(frozen=True, slots=True)
class Tally:
    """What all layers of a kind come to, for one image."""

    modules: int
    macs: int
    outputs: int
    averaged: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to count. `products` are the kinds of `PRODUCTS` that are looked at.

    `norm` and `activation` are operations an element, 0 for none; `scale` is what was done to the
    sum in the end, a half rounded down.
    """

    products: frozenset[str]
    arithmetic: str = "macs"
    bias: str = ""
    norm: int = 0
    activation: int = 0
    pool: str = ""
    scale: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class Picture:
    """The size of an input in pixels, and what makes somebody take that size."""

    height: int
    width: int
    why: str


# What thop 0.0.31 does (its profile.py and vision/basic_hooks.py): it looks modules up by exact
# type and adds a convolution's bias, but no linear layer's. That it also missed the classifier is
# how the published figures came out; why, nobody wrote down.
HOOK_COUNTER = Rule(
    products=frozenset({"conv", "gate", "routing"}), bias="convolutions", norm=2, pool="both"
)
KNOWN = {
    HOOK_COUNTER: "the hooks of thop 0.0.31, by exact type, but that the classifier is missing"
}


def tallies(network: Network, height: int, width: int) -> dict[str, Tally]:
    """The counts behind every rule, by kind, of an image of height x width pixels."""
    by_kind: dict[str, list[Layer]] = {}
    for layer in layers(network, height, width):
        by_kind.setdefault(layer.kind, []).append(layer)
    return {kind: _tally(by_kind[kind]) for kind in (*PRODUCTS, *OTHERS) if kind in by_kind}


def parts(rule: Rule, counts: Mapping[str, Tally]) -> dict[str, int]:
    """What each kind of layer contributes, before `scale`; 0 is not counted."""
    return {kind: contribution(rule, kind, tally) for kind, tally in counts.items()}


def by_class(parts: Mapping[str, int]) -> dict[str, int]:
    """The parts of a sum, those of one class together."""
    found: dict[str, int] = {}
    for kind, part in parts.items():
        found[CLASSES[kind]] = found.get(CLASSES[kind], 0) + part
    return found


def total(rule: Rule, counts: Mapping[str, Tally]) -> int:
    """The figure that the rule gives."""
    return int(sum(parts(rule, counts).values()) * rule.scale)


def contribution(rule: Rule, kind: str, tally: Tally) -> int:
    """What one kind of layer adds to a rule's sum."""
    if kind == "norm":
        return rule.norm * tally.outputs
    if kind == "activation":
        return rule.activation * tally.outputs
    if kind == "pool":
        return {"": 0, "inputs": tally.averaged, "both": tally.averaged + tally.outputs}[rule.pool]
    if kind not in rule.products:
        return 0
    return product(rule.arithmetic, rule.bias, kind, tally)


def product(arithmetic: str, bias: str, kind: str, tally: Tally) -> int:
    """What a kind that multiplies and adds comes to, where it is counted."""
    biased = {"gate": "convolutions", "routing": "linear", "classifier": "linear"}.get(kind)
    plain = {
        "macs": tally.macs,
        "twice": 2 * tally.macs,
        "operations": 2 * tally.macs - tally.outputs,
    }[arithmetic]
    return plain + (tally.outputs if biased and bias in (biased, "everywhere") else 0)


def _tally(layers: Iterable[Layer]) -> Tally:
    found = list(layers)
    return Tally(
        modules=len(found),
        macs=sum(layer.macs for layer in found),
        outputs=sum(layer.outputs for layer in found),
        averaged=sum(layer.averaged for layer in found),
    )
