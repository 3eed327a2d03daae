"""EfficientNet with conditional stages, built from a `Network` description.

Parameter names are timm's (`blocks.4.0.routing_fn.weight` ...), because every published checkpoint
uses them. The network takes raw tensors: normalisation is the training module's work.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from effcc.catalog.spec import Block, Network, layout, scale_width
from effcc.nn import native
from effcc.nn.batchnorm import BatchNorm2d
from effcc.nn.condconv import CondConv2d
from effcc.nn.depthwise import depthwise
from effcc.nn.padding import pads
from effcc.nn.squeeze import SqueezeExcite


class Conv2d(nn.Conv2d):
    """A plain convolution without bias, padded by the network's rule."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        padding: str = "same",
    ) -> None:
        # At stride 1 with an odd kernel both rules pad evenly, and the library does it without a
        # copy.
        even = kernel // 2 if stride == 1 or padding == "symmetric" else 0
        super().__init__(in_channels, out_channels, kernel, stride, even, groups=groups, bias=False)
        self.asymmetric = stride > 1 and padding == "same"
        self.rule = padding

    def forward(self, input: Tensor) -> Tensor:
        """Convolve a batch (batch, in, height, width)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if self.groups > 1 and native.takes(input):
            weight = self.weight.view(1, -1)
            return depthwise(input, weight, None, kernel=kernel, stride=stride, padding=self.rule)
        if self.asymmetric:
            input = F.pad(input, pads(input, kernel, stride, "same"))
        return super().forward(input)


class DepthwiseSeparable(nn.Module):
    """The first stage's block: depthwise, gates, pointwise; no expansion."""

    def __init__(self, block: Block, network: Network) -> None:
        super().__init__()
        channels, out = block.in_channels, block.out_channels
        self.conv_dw = Conv2d(
            channels, channels, block.kernel, block.stride, channels, network.padding
        )
        self.bn1 = batch_norm(channels, network, activate=True)
        self.se = SqueezeExcite(channels, block.se_channels)
        self.conv_pw = Conv2d(channels, out)
        self.bn2 = batch_norm(out, network)
        self.residual = block.stride == 1 and channels == out
        self.drop_path = block.drop_path

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, in, height, width) to (batch, out, height / stride, width / stride)."""
        y = self.bn1(self.conv_dw(x))
        y = self.bn2(self.conv_pw(self.se(y)))
        return x + drop_path(y, self.drop_path, self.training) if self.residual else y


class InvertedResidual(nn.Module):
    """Expand, depthwise, gates, project (MBConv, arXiv:1801.04381), conditional if it has experts.

    One routing serves all three convolutions: sigmoid(linear(global average of the block's input)).
    There is no softmax, so experts do not compete.
    """

    def __init__(self, block: Block, network: Network) -> None:
        super().__init__()
        self.conditional = block.experts > 0
        if self.conditional:
            self.routing_fn = nn.Linear(block.in_channels, block.experts)
        self.conv_pw = _convolution(block, network, block.in_channels, block.mid_channels)
        self.bn1 = batch_norm(block.mid_channels, network, activate=True)
        self.conv_dw = _convolution(
            block,
            network,
            block.mid_channels,
            block.mid_channels,
            block.kernel,
            block.stride,
            block.mid_channels,
        )
        self.bn2 = batch_norm(block.mid_channels, network, activate=True)
        self.se = SqueezeExcite(block.mid_channels, block.se_channels)
        self.conv_pwl = _convolution(block, network, block.mid_channels, block.out_channels)
        self.bn3 = batch_norm(block.out_channels, network)
        self.residual = block.stride == 1 and block.in_channels == block.out_channels
        self.drop_path = block.drop_path

    def forward(self, x: Tensor) -> Tensor:
        """Map x (batch, in, height, width) to (batch, out, height / stride, width / stride)."""
        routing = (self.route(x),) if self.conditional else ()
        y = self.bn1(self.conv_pw(x, *routing))
        y = self.bn2(self.conv_dw(y, *routing))
        y = self.bn3(self.conv_pwl(self.se(y), *routing))
        return x + drop_path(y, self.drop_path, self.training) if self.residual else y

    def route(self, x: Tensor) -> Tensor:
        """Routing weights in (0, 1) of x (batch, in, height, width): (batch, experts)."""
        return self.routing_fn(x.mean((2, 3))).sigmoid()


class EfficientNet(nn.Module):
    """Normalised images (batch, in_channels, height, width) to logits (batch, num_classes)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        blocks = layout(network)
        stem, head = (
            scale_width(network.stem, network.width),
            scale_width(network.head, network.width),
        )
        self.conv_stem = Conv2d(network.in_channels, stem, 3, 2, padding=network.padding)
        self.bn1 = batch_norm(stem, network, activate=True)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(*(_block(block, network) for block in blocks if block.stage == stage))
                for stage in range(len(network.stages))
            )
        )
        self.conv_head = Conv2d(blocks[-1].out_channels, head)
        self.bn2 = batch_norm(head, network, activate=True)
        self.dropout = network.dropout
        self.classifier = nn.Linear(head, network.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, num_classes) of x (batch, in_channels, height, width)."""
        x = self.bn1(self.conv_stem(x))
        x = self.blocks(x)
        x = self.bn2(self.conv_head(x)).mean((2, 3))
        return self.classifier(F.dropout(x, self.dropout, self.training))


def build(
    network: Network, *, classifier_init: float = 1.0, residual_gamma: float = 1.0
) -> EfficientNet:
    """A network with fresh weights, drawn from torch's global generator.

    Args:
        network: the architecture.
        classifier_init: factor on the classifier's initial range, see `initialise`.
        residual_gamma: initial scale of the last batch norm of each residual branch.
    """
    model = unfilled(network)
    model.to_empty(device="cpu")
    initialise(model, classifier_init, residual_gamma)
    return model


def unfilled(network: Network) -> EfficientNet:
    """A network without weights, on torch's meta device: names, shapes, and no memory.

    `weights.load` and `transfer.start` fill it. Until then it computes no numbers, so that nothing
    can come of memory that nobody wrote to. To draw weights that a checkpoint then replaces would
    take six times as long as building.
    """
    with torch.device("meta"):
        return EfficientNet(network)


@torch.no_grad()
def initialise(
    model: EfficientNet, classifier_init: float = 1.0, residual_gamma: float = 1.0
) -> None:
    """Draw fresh weights as the authors do (tensorflow/tpu, efficientnet_model.py).

    Convolutions and each expert: N(0, sqrt(2 / (k * k * out))), out counted as 1 when depthwise.
    Classifier: U(+-classifier_init / sqrt(classes)). Routing: Glorot uniform. Biases 0.
    """
    for module in model.modules():
        if isinstance(module, CondConv2d):
            fan = module.kernel**2 * (module.out_channels if module.groups == 1 else 1)
            nn.init.normal_(module.weight, 0, math.sqrt(2 / fan))
        elif isinstance(module, nn.Conv2d):
            fan = module.kernel_size[0] ** 2 * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0, math.sqrt(2 / fan))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    draw_classifier(model.classifier, classifier_init)
    for module in model.modules():
        if isinstance(module, DepthwiseSeparable | InvertedResidual) and module.residual:
            last = module.bn3 if isinstance(module, InvertedResidual) else module.bn2
            nn.init.constant_(last.weight, residual_gamma)


@torch.no_grad()
def draw_classifier(classifier: nn.Linear, init: float = 1.0) -> None:
    """Fill a classifier afresh: weights U(+-init / sqrt(classes)), biases 0."""
    bound = init / math.sqrt(classifier.out_features)
    nn.init.uniform_(classifier.weight, -bound, bound)
    nn.init.zeros_(classifier.bias)


def batch_norm(channels: int, network: Network, activate: bool = False) -> BatchNorm2d:
    """Batch norm; TensorFlow's momentum is turned into torch's: 0.99 there is 0.01 here."""
    return BatchNorm2d(channels, network.bn_eps, 1 - network.bn_momentum, activate)


def drop_path(y: Tensor, rate: float, training: bool) -> Tensor:
    """Drop whole samples of a residual branch and scale the rest by the survival probability."""
    if rate == 0 or not training:
        return y
    keep = torch.rand(len(y), 1, 1, 1, dtype=y.dtype, device=y.device) >= rate
    return y * keep / (1 - rate)


def _block(block: Block, network: Network) -> nn.Module:
    return (DepthwiseSeparable if block.expand == 1 else InvertedResidual)(block, network)


def _convolution(
    block: Block,
    network: Network,
    in_channels: int,
    out_channels: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
) -> Conv2d | CondConv2d:
    if block.experts:
        return CondConv2d(
            in_channels, out_channels, kernel, stride, groups, block.experts, network.padding
        )
    return Conv2d(in_channels, out_channels, kernel, stride, groups, network.padding)
