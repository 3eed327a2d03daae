"""The form of a network that only predicts.

`optimize` folds every batch norm into the kernels before it, those of the experts included, and
packs the result for the layers of `c/predict.c`, which mix a sample's kernels where they use them.
Where those layers are not, it is the network itself that predicts.
"""

from __future__ import annotations

import copy
from ctypes import c_int64

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effcc.nn import native
from effcc.nn.condconv import CondConv2d
from effcc.nn.efficientnet import Conv2d, DepthwiseSeparable, EfficientNet, InvertedResidual
from effcc.nn.padding import outputs


def optimize(model: EfficientNet) -> nn.Module:
    """A network of the same logits, faster, for evaluation alone; `model` stays as it is.

    On an accelerator, in another precision than float32, and where `native.library` is None, it is
    a copy of `model` in evaluation mode.

    Args:
        model: a network with its weights.

    Returns:
        A module from normalised images (batch, in_channels, height, width), float32, to logits
        (batch, num_classes), of any batch and size. Its weights are its own: later changes to
        `model` do not reach it. It has no gradients.
    """
    weight = model.classifier.weight
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and native.library():
        return Folded(model)
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    return copied.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


class Folded(nn.Module):
    """The network of `optimize`, in packed weights; `native.library` must not be None."""

    stem: Tensor
    stem_bias: Tensor
    head: Tensor
    head_bias: Tensor

    @torch.no_grad()
    def __init__(self, model: EfficientNet) -> None:
        super().__init__()
        stem, head = model.conv_stem, model.conv_head
        self.kernel, self.stride, self.padding = stem.kernel_size[0], stem.stride[0], stem.rule
        self.stem_channels, self.head_channels = stem.out_channels, head.out_channels
        kernel = stem.weight.permute(0, 2, 3, 1)  # its taps in the order of an image's numbers
        for name, weight, norm in (("stem", kernel, model.bn1), ("head", head.weight, model.bn2)):
            for suffix, tensor in zip(("", "_bias"), _folded(weight, 1, norm), strict=True):
                self.register_buffer(name + suffix, _own(tensor))
        self.blocks = nn.Sequential()
        for module in model.modules():
            if isinstance(module, DepthwiseSeparable | InvertedResidual):
                self.blocks.append(FoldedBlock(module))
        self.classifier = copy.deepcopy(model.classifier).requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, num_classes) of x (batch, in_channels, height, width)."""
        x = self.blocks(self._stemmed(x.float()))
        batch, height, width, channels = x.shape
        pooled = x.new_empty(batch, len(self.head_bias))
        shape = (batch, height * width, channels, self.head_channels)
        native.call("effcc_head", *shape, x, self.head, self.head_bias, pooled)
        return self.classifier(pooled[:, : self.head_channels])

    def _stemmed(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        size = [outputs(n, self.kernel, self.stride, self.padding) for n in (height, width)]
        y = x.new_empty(batch, *size, self.stem_channels)
        shape = (batch, height, width, channels, self.stem_channels, self.kernel, self.stride)
        strides = (c_int64 * 4)(*x.stride())
        given = (*shape, self.padding == "symmetric", strides, x, self.stem, self.stem_bias, y)
        native.call("effcc_stem", *given)
        return y


class FoldedBlock(nn.Module):
    """One block of the network, plain or conditional, in packed weights."""

    reduce_bias: Tensor

    @torch.no_grad()
    def __init__(self, block: DepthwiseSeparable | InvertedResidual) -> None:
        super().__init__()
        expands = isinstance(block, InvertedResidual)
        self.experts = block.routing_fn.out_features if expands and block.conditional else 0
        middle: Conv2d | CondConv2d = block.conv_dw
        if isinstance(middle, CondConv2d):
            self.kernel, self.stride, self.padding = middle.kernel, middle.stride, middle.padding
        else:
            self.kernel, self.stride = middle.kernel_size[0], middle.stride[0]
            self.padding = middle.rule
        last: Conv2d | CondConv2d = block.conv_pwl if expands else block.conv_pw
        self.mid_channels, self.out_channels = middle.out_channels, last.out_channels
        self.residual, kernels = block.residual, max(self.experts, 1)
        reduce, restore = block.se.conv_reduce, block.se.conv_expand
        assert reduce.bias is not None
        assert restore.bias is not None
        weights: dict[str, tuple[Tensor, Tensor]] = {
            "reduce": (reduce.weight.flatten(1), reduce.bias),
            "restore": (restore.weight.flatten(1).t(), restore.bias),
        }
        if isinstance(block, InvertedResidual) and block.conditional:
            weights["route"] = block.routing_fn.weight, block.routing_fn.bias
        if expands:
            weights["expand"] = _folded(block.conv_pw.weight, kernels, block.bn1)
            weights["filter"] = _folded(middle.weight, kernels, block.bn2)
            weights["project"] = _folded(last.weight, kernels, block.bn3)
        else:
            weights["filter"] = _folded(middle.weight, kernels, block.bn1)
            weights["project"] = _folded(last.weight, kernels, block.bn2)
        for name, tensors in weights.items():
            for suffix, tensor in zip(("", "_bias"), tensors, strict=True):
                self.register_buffer(name + suffix, _own(tensor))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, height, width, in) to (batch, height / stride, width / stride, out)."""
        batch, height, width, channels = x.shape
        size = [outputs(n, self.kernel, self.stride, self.padding) for n in (height, width)]
        y = x.new_empty(batch, *size, self.out_channels)
        block = native.Block(
            in_channels=channels,
            mid_channels=self.mid_channels,
            out_channels=self.out_channels,
            kernel=self.kernel,
            stride=self.stride,
            symmetric=self.padding == "symmetric",
            experts=self.experts,
            squeezed=len(self.reduce_bias),
            expands=hasattr(self, "expand"),
            residual=self.residual,
            **{name: tensor.data_ptr() for name, tensor in self.named_buffers()},
        )
        scratch = native.call("effcc_block_scratch", block, batch, height, width)
        native.call("effcc_block", block, batch, height, width, x, y, x.new_empty(scratch))
        return y


def _folded(weight: Tensor, experts: int, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernels with their batch norm in them, packed as predict.c says, and what it adds.

    Args:
        weight: kernels (experts * out, ...), or as CondConv2d has them; the taps come last.
        experts: how many kernels there are.
        norm: the batch norm behind them, in evaluation.

    Returns:
        (panels, experts, taps, PANEL) and (panels * PANEL), zeros where channels end.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    shift = norm.bias - norm.running_mean * scale
    panel = native.call("effcc_panel")
    short = -len(scale) % panel
    kernels = weight.reshape(experts, len(scale), -1) * scale[:, None]
    panels = F.pad(kernels, (0, 0, 0, short)).unflatten(1, (-1, panel))
    return panels.permute(1, 0, 3, 2), F.pad(shift, (0, short))


def _own(tensor: Tensor) -> Tensor:
    return tensor.detach().float().clone(memory_format=torch.contiguous_format)
