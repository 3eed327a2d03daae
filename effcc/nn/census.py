"""What a built network holds and does, counted by definition from its modules and their shapes.

The network runs once, on torch's meta device if it is there: shapes and no numbers. Which form of
an operation runs (in C, in Triton, in torch) makes no difference, because what is counted is what
the operation is, not what is called. A module with weights that has no definition here is an error,
so that nothing is left out in silence.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

import torch
from torch import Tensor, nn

from effcc.nn.condconv import CondConv2d
from effcc.nn.squeeze import SqueezeExcite


@dataclass(frozen=True, slots=True)
class Macs:
    """Multiply-accumulates for one image, by what they are for."""

    convolution: int = 0
    linear: int = 0
    mixing: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.convolution + self.linear + self.mixing

    def __add__(self, other: Macs) -> Macs:
        """Those of both."""
        return Macs(
            self.convolution + other.convolution,
            self.linear + other.linear,
            self.mixing + other.mixing,
        )


@dataclass(frozen=True, slots=True)
class Census:
    """A network's counts: `state_bytes` and `tensors` are those of its state dict.

    `momenta` are the momenta of its batch norms in PyTorch's convention, each once.
    """

    parameters: int
    macs: Macs
    state_bytes: int
    tensors: int
    momenta: tuple[float, ...]


def census(model: nn.Module, in_channels: int, height: int, width: int) -> Census:
    """Count a network, for one image of height x width pixels.

    Raises:
        TypeError: a module with weights has no definition here, or the network did not use it.
    """
    state = list(model.state_dict().values())
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return Census(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        macs=macs(model, in_channels, height, width),
        state_bytes=sum(tensor.numel() * tensor.element_size() for tensor in state),
        tensors=len(state),
        momenta=tuple(dict.fromkeys(norm.momentum or 0.0 for norm in norms)),
    )


def macs(model: nn.Module, in_channels: int, height: int, width: int) -> Macs:
    """The multiply-accumulates of one image; arguments and errors as of `census`."""
    found: list[Macs] = []
    left = {module for module in model.modules() if _has_weights(module)}
    hooks: list[Any] = []
    for module in model.modules():
        define = next((DEFINED[kind] for kind in type(module).__mro__ if kind in DEFINED), None)
        if define is None:
            continue
        hooks.append(module.register_forward_hook(_hook(define, found, left)))
    training, weight = model.training, next(model.parameters())
    try:
        with torch.no_grad():
            model.eval()(weight.new_zeros(1, in_channels, height, width))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    if left:
        kinds = ", ".join(sorted({type(module).__name__ for module in left}))
        raise TypeError(f"no definition counts {kinds}, or the network does not use it")
    return sum(found, Macs())


def file_bytes(model: nn.Module) -> int:
    """How large `torch.save` makes a file of a network's state, in float32; nothing is written."""
    state = {name: torch.zeros(t.shape, dtype=t.dtype) for name, t in model.state_dict().items()}
    counter = _Counter()
    torch.save(state, cast(IO[bytes], counter))  # all that it calls is `write`
    return counter.bytes


Definition = Callable[[Any, tuple[Tensor, ...], Tensor], Macs]


def _has_weights(module: nn.Module) -> bool:
    """Whether it holds numbers of its own, learned or kept."""
    own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    return len(own) > 0


def _hook(define: Definition, found: list[Macs], left: set[nn.Module]) -> Any:
    """What takes a module's count after it has run, with all that is inside it."""

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(define(module, inputs, output))
        left.difference_update(module.modules())

    return count


def _convolution(module: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> Macs:
    # Each output is a sum over the kernel and the channels of its group.
    return Macs(convolution=output.numel() * module.weight[0].numel())


def _conditional(module: CondConv2d, inputs: tuple[Tensor, ...], output: Tensor) -> Macs:
    # The mixed kernel is a sum over experts, weight by weight; then it convolves as any other does.
    of_one = inputs[0].shape[1] // module.groups * module.kernel**2
    return Macs(convolution=output.numel() * of_one, mixing=module.weight.numel())


def _linear(module: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> Macs:
    return Macs(linear=output.numel() * module.in_features)


def _gate(module: SqueezeExcite, inputs: tuple[Tensor, ...], output: Tensor) -> Macs:
    # Two convolutions of the one pixel that the average leaves.
    weights = module.conv_reduce.weight.numel() + module.conv_expand.weight.numel()
    return Macs(convolution=weights)


def _nothing(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Macs:
    return Macs()  # batch norm folds into the convolution before it


DEFINED: Mapping[type[nn.Module], Definition] = {
    SqueezeExcite: _gate,
    CondConv2d: _conditional,
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.BatchNorm2d: _nothing,
}


class _Counter(io.RawIOBase):
    """A file that only counts."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, data: Any, /) -> int:
        """Take note of how much it is."""
        self.bytes += len(data)
        return len(data)

    def writable(self) -> bool:
        """It is."""
        return True
