"""Who computes a network that only predicts: engines by name, and what each needs installed.

Nothing heavy is loaded before one is built, so that a misspelt name is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from effcc.ground.errors import UsageError
from effcc.ground.words import closest

if TYPE_CHECKING:
    from torch import nn

    from effcc.catalog.spec import Spec
    from effcc.nn.efficientnet import EfficientNet

# Computes where nothing else is asked for.
DEFAULT = "torch"


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine needs beyond effcc's own packages, and the extra that brings it."""

    packages: tuple[str, ...] = ()
    extra: str = ""

    @property
    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [name for name in self.packages if find_spec(name) is None]


_ONNX = ("onnx", "onnxruntime")
ENGINES: Mapping[str, Engine] = {
    "torch": Engine(),
    "onnxruntime": Engine(_ONNX, "onnx"),
    # Its graph is checked by onnxruntime when it is made.
    "openvino": Engine((*_ONNX, "openvino"), "openvino"),
}


def check(verb: str, names: Sequence[str]) -> None:
    """Whether engines of these names are here, before any work.

    Raises:
        UsageError: there is no such engine, or packages are missing; the message says what to do.
    """
    for name in names:
        if name not in ENGINES:
            hint = closest(name, ENGINES) or f"; there are: {', '.join(ENGINES)}"
            raise UsageError(f"{verb}: no engine {name!r}{hint}")
        if missing := ENGINES[name].missing:
            raise UsageError(
                f"{verb} --engine {name} needs {', '.join(missing)}: "
                f"pip install 'effcc[{ENGINES[name].extra}]'"
            )


def installed() -> list[str]:
    """The engines that could compute here."""
    return [name for name, engine in ENGINES.items() if not engine.missing]


def build(name: str, model: EfficientNet, spec: Spec, threads: int | None = None) -> nn.Module:
    """A network in an engine's hands, for evaluation alone.

    Args:
        name: of `ENGINES`.
        model: a network of `spec`, with its weights, in float32 on a CPU.
        spec: says the size of images.
        threads: for the engines that do not share torch's; None is as many as torch has.

    Returns:
        A module from normalised images (batch, in_channels, size, size), float32, to logits (batch,
        num_classes), any batch without compiling anew. Its weights are its own.

    Raises:
        BadExport: the network's graph computes something else.
    """
    from effcc.nn import inference

    if name == "torch":
        return inference.optimize(model)
    import torch

    from effcc.nn import sessions

    path = sessions.graph(model, spec, name)
    return sessions.SESSIONS[name](path, threads or torch.get_num_threads())
