"""The network as one graph of ONNX's operators, for other engines.

The graph computes what the network does in evaluation, for any batch, arranged as engines run it
fast. Batch norms are folded into the kernels before them, in a conditional layer into every
expert's. Conditional blocks work on pixels, (batch, height * width, channels), where a pointwise
convolution with a kernel per sample is one batched matrix product; the other blocks on images.

A depthwise convolution with a kernel per sample is the hard part: as one convolution it would have
a group per sample and channel, and the number of groups is written in a graph. So a `Scan` walks
over the samples, and each is one convolution with its own kernel.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from effcc.nn.condconv import CondConv2d
from effcc.nn.efficientnet import (
    Conv2d,
    DepthwiseSeparable,
    EfficientNet,
    InvertedResidual,
)
from effcc.nn.padding import same_padding
from effcc.nn.squeeze import SqueezeExcite

if TYPE_CHECKING:
    import onnx

# The first with axes as inputs, and an age at which every engine reads it.
_OPSET, _IR = 18, 8
# Experts times output pixels up to which a sample is convolved with every expert's kernel and the
# outputs are mixed: more arithmetic, with kernels that an engine can prepare beforehand. For
# onnxruntime, which prepares no others, that is faster up to 14x14 pixels; for OpenVINO never.
# "any" is for files of which nobody knows who will read them. Speed alone depends on it.
MIX_OUTPUTS = {"onnxruntime": 1600, "openvino": 0, "any": 400}


def onnx_model(
    model: EfficientNet, channels: int, size: int, *, routing: bool = False, engine: str = "any"
) -> onnx.ModelProto:
    """The network as an ONNX model, weights included.

    Args:
        model: the network; its running statistics are used, whatever mode it is in.
        channels: of the images.
        size: side of the images in pixels, which the padding depends on.
        routing: whether there is a second output.
        engine: whom to arrange it for, of `MIX_OUTPUTS`; others read it as well.

    Returns:
        Input `images`: (batch, channels, size, size). Outputs `logits`: (batch, classes), and
        perhaps `routing`: (batch, conditional blocks, experts).
    """
    from onnx import TensorProto, helper

    g = _Graph(mix_outputs=MIX_OUTPUTS[engine])
    x, routes = _features(g, model, _Map("images", channels, size))
    logits = g.linear(x, model.classifier)
    outputs = {"logits": (logits, [model.classifier.out_features])}
    if routing:
        each = [g("Unsqueeze", route, [1]) for route in routes]
        stacked = g("Concat", *each, axis=1)
        experts = next(m for m in model.modules() if isinstance(m, CondConv2d)).weight.shape[0]
        outputs["routing"] = (stacked, [len(routes), experts])
    for name, (value, _) in outputs.items():
        g.add("Identity", [value], [name])

    def described(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

    content = g.close(
        "effcc",
        [described("images", (channels, size, size))],
        [described(name, shape) for name, (_, shape) in outputs.items()],
    )
    return helper.make_model(
        content,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="effcc",
    )


@dataclass(frozen=True, slots=True)
class _Map:
    """A feature map in the graph: its name, and its size in channels and pixels along a side.

    Of shape (batch, channels, size, size), or (batch, size * size, channels) if it is `pixels`.
    """

    name: str
    channels: int
    size: int
    pixels: bool = False


class _Graph:
    """Nodes and constants in the making. Calling it adds a node and returns its output's name.

    Names begin with `scope`, and are read in other engines' profiles. `mix_outputs` is one of
    `MIX_OUTPUTS`.
    """

    def __init__(
        self, scope: str = "", numbers: Iterator[int] | None = None, mix_outputs: int = 0
    ) -> None:
        self.scope, self.mix_outputs = scope, mix_outputs
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        # A body and the graph around it share their numbers: no name may hide another.
        self._numbers = numbers or itertools.count()

    def __call__(self, operator: str, *inputs: str | Tensor | list[int], **attributes: Any) -> str:
        """Add a node; tensors and lists of whole numbers among its inputs become constants."""
        output = self.name(operator)
        self.add(operator, [self._value(x) for x in inputs], [output], **attributes)
        return output

    def add(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        """Add a node whose inputs and outputs have names."""
        from onnx import helper

        self._nodes.append(helper.make_node(operator, inputs, outputs, **attributes))

    def name(self, kind: str) -> str:
        """A name that is not taken."""
        return f"{self.scope}{kind.lower()}_{next(self._numbers)}"

    def body(self) -> _Graph:
        """An empty graph, to become an attribute of a node of this one."""
        return _Graph(self.scope, self._numbers)

    def close(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> onnx.GraphProto:
        """The finished graph."""
        from onnx import helper

        return helper.make_graph(self._nodes, name, inputs, outputs, self._constants)

    def silu(self, x: str) -> str:
        return self("Mul", x, self("Sigmoid", x))

    def linear(self, x: str, layer: nn.Linear | nn.Conv2d) -> str:
        """A matrix product and bias of x (batch, in): (batch, out)."""
        assert layer.bias is not None
        return self("Add", self("MatMul", x, layer.weight.flatten(1).t()), layer.bias)

    def as_images(self, x: _Map) -> _Map:
        if not x.pixels:
            return x
        y = self("Reshape", x.name, [-1, x.size, x.size, x.channels])
        return replace(x, name=self("Transpose", y, perm=[0, 3, 1, 2]), pixels=False)

    def as_pixels(self, x: _Map) -> _Map:
        if x.pixels:
            return x
        y = self("Transpose", x.name, perm=[0, 2, 3, 1])
        return replace(x, name=self("Reshape", y, [-1, x.size**2, x.channels]), pixels=True)

    def _value(self, x: str | Tensor | list[int]) -> str:
        from onnx import numpy_helper

        if isinstance(x, str):
            return x
        tensor = torch.tensor(x) if isinstance(x, list) else x.detach().contiguous().cpu()
        name = self.name("constant")
        self._constants.append(numpy_helper.from_array(tensor.numpy(), name))
        return name


def _features(g: _Graph, model: EfficientNet, x: _Map) -> tuple[str, list[str]]:
    """What the classifier reads, (batch, channels), and the routing of each conditional block."""
    x = _activated(g, _convolution(g, x, model.conv_stem, model.bn1))
    routes: list[str] = []
    for name, block in model.blocks.named_modules():
        g.scope = f"blocks.{name}/"
        if isinstance(block, DepthwiseSeparable):
            x = _separable(g, x, block)
        elif isinstance(block, InvertedResidual) and block.conditional:
            x, route = _conditional(g, x, block)
            routes.append(route)
        elif isinstance(block, InvertedResidual):
            x = _inverted(g, x, block)
    g.scope = ""
    if x.pixels:
        kernel, bias = _folded(model.conv_head.weight.flatten(1), model.bn2)
        x = replace(x, name=g("Add", g("MatMul", x.name, kernel.t()), bias), channels=len(bias))
    else:
        x = _convolution(g, x, model.conv_head, model.bn2)
    return _average(g, _activated(g, x)), routes


def _separable(g: _Graph, x: _Map, block: DepthwiseSeparable) -> _Map:
    x = g.as_images(x)
    y = _activated(g, _convolution(g, x, block.conv_dw, block.bn1))
    y = _convolution(g, _gated(g, y, block.se), block.conv_pw, block.bn2)
    return replace(y, name=g("Add", y.name, x.name)) if block.residual else y


def _inverted(g: _Graph, x: _Map, block: InvertedResidual) -> _Map:
    x = g.as_images(x)
    y = _activated(g, _convolution(g, x, block.conv_pw, block.bn1))
    y = _activated(g, _convolution(g, y, block.conv_dw, block.bn2))
    y = _convolution(g, _gated(g, y, block.se), block.conv_pwl, block.bn3)
    return replace(y, name=g("Add", y.name, x.name)) if block.residual else y


def _conditional(g: _Graph, x: _Map, block: InvertedResidual) -> tuple[_Map, str]:
    """The block's output, as pixels, and its routing, (batch, experts)."""
    x = g.as_pixels(x)
    routing = g("Sigmoid", g.linear(_average(g, x), block.routing_fn))
    y = _activated(g, _pointwise(g, x, routing, block.conv_pw, block.bn1))
    y = _depthwise(g, y, routing, block.conv_dw, block.bn2)
    y = _pointwise(g, _gated(g, y, block.se), routing, block.conv_pwl, block.bn3)
    return (replace(y, name=g("Add", y.name, x.name)) if block.residual else y), routing


def _convolution(g: _Graph, x: _Map, layer: nn.Module, norm: nn.BatchNorm2d) -> _Map:
    assert isinstance(layer, Conv2d)
    (kernel, _), (stride, _) = layer.kernel_size, layer.stride
    weight, bias = _folded(layer.weight, norm)
    rule = "same" if layer.asymmetric else "symmetric"
    window, size = _window(x.size, kernel, stride, rule)
    y = g("Conv", x.name, weight, bias, group=layer.groups, **window)
    return _Map(y, layer.out_channels, size)


def _pointwise(g: _Graph, x: _Map, routing: str, layer: nn.Module, norm: nn.BatchNorm2d) -> _Map:
    """A kernel per sample, mixed by one matrix product, on pixels."""
    assert isinstance(layer, CondConv2d)
    weight, bias = _folded_experts(layer, norm)  # (experts, out, in)
    experts = weight.transpose(1, 2).flatten(1)
    kernels = g("Reshape", g("MatMul", routing, experts), [-1, x.channels, layer.out_channels])
    y = g("Add", g("MatMul", x.name, kernels), bias)
    return replace(x, name=y, channels=layer.out_channels)


def _depthwise(g: _Graph, x: _Map, routing: str, layer: nn.Module, norm: nn.BatchNorm2d) -> _Map:
    """A kernel per sample, one sample after the other, and the activation behind it, on pixels."""
    from onnx import TensorProto, helper

    assert isinstance(layer, CondConv2d)
    channels, kernel = x.channels, layer.kernel
    weight, bias = _folded_experts(layer, norm)  # (experts, channels, kernel * kernel)
    window, size = _window(x.size, kernel, layer.stride, layer.padding)
    shape = [channels, 1, kernel, kernel]

    body = g.body()
    pixels, own = body.name("pixels"), body.name("own")
    image = body.as_images(_Map(pixels, channels, x.size, pixels=True)).name
    if len(weight) * size**2 > g.mix_outputs:
        mixed, theirs = g("Reshape", g("MatMul", routing, weight.flatten(1)), [-1, *shape]), shape
        y = body("Conv", image, own, bias, group=channels, **window)
    else:
        mixed, theirs = routing, [len(weight)]
        y = _mixed_outputs(body, image, own, weight.view(-1, *shape), bias, window)
    # Inside the body the activation meets a map that is still near, and of known size.
    y = body.as_pixels(_Map(body.silu(y), channels, size)).name
    y = body("Reshape", y, [size**2, channels])

    def described(name: str, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    walk = body.close(
        "sample",
        [described(pixels, [x.size**2, channels]), described(own, theirs)],
        [described(y, [size**2, channels])],
    )
    return _Map(g("Scan", x.name, mixed, body=walk, num_scan_inputs=2), channels, size, pixels=True)


def _mixed_outputs(
    g: _Graph, image: str, routing: str, weight: Tensor, bias: Tensor, window: dict[str, Any]
) -> str:
    """Every expert's convolution of one image, times its routing, summed."""
    channels = weight.shape[1]
    total = ""
    for expert, kernel in enumerate(weight):
        y = g("Conv", image, kernel, group=channels, **window)
        y = g("Mul", y, g("Gather", routing, [expert]))
        total = g("Add", total, y) if total else y
    return g("Add", total, bias.view(channels, 1, 1))


def _gated(g: _Graph, x: _Map, gates: SqueezeExcite) -> _Map:
    squeezed = g.silu(g.linear(_average(g, x), gates.conv_reduce))
    gate = g("Sigmoid", g.linear(squeezed, gates.conv_expand))
    return replace(x, name=g("Mul", x.name, g("Unsqueeze", gate, [1] if x.pixels else [2, 3])))


def _average(g: _Graph, x: _Map) -> str:
    return g("ReduceMean", x.name, [1] if x.pixels else [2, 3], keepdims=0)


def _activated(g: _Graph, x: _Map) -> _Map:
    return replace(x, name=g.silu(x.name))


def _window(size: int, kernel: int, stride: int, padding: str) -> tuple[dict[str, Any], int]:
    """A convolution's attributes on a square map of `size`, and the size of its output."""
    before, after = (
        same_padding(size, kernel, stride) if padding == "same" else (kernel // 2, kernel // 2)
    )
    attributes = {
        "kernel_shape": [kernel, kernel],
        "strides": [stride, stride],
        "pads": [before, before, after, after],
    }
    return attributes, (size + before + after - kernel) // stride + 1


def _folded(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel (out, ...) and bias (out,) that stand for a kernel and the norm behind it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
    bias = norm.bias.double() - norm.running_mean.double() * scale
    scaled = weight.double() * scale.view(-1, *[1] * (weight.ndim - 1))
    return scaled.float(), bias.float()


def _folded_experts(layer: CondConv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The same for every expert, (experts, out, in * kernel * kernel); the bias is everyone's."""
    experts = len(layer.weight)
    kernels = layer.weight.view(experts, layer.out_channels, -1).transpose(0, 1)
    weight, bias = _folded(kernels, norm)
    return weight.transpose(0, 1), bias
