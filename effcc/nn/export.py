"""Checkpoints out: safetensors, timm's bare state dict, ONNX.

What leaves is what `weights.read` reads, and that is the averaged weights: a checkpoint's
`state_dict` holds them, the weights that training would go on with stand elsewhere in it. Every
file takes float32 images, normalised as the variant's preprocessing says; none normalises them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from effcc.catalog.spec import ELSEWHERE, Spec
from effcc.ground import files
from effcc.ground.errors import UsageError, UserError
from effcc.nn import operators, weights
from effcc.nn.efficientnet import EfficientNet, InvertedResidual, unfilled
from effcc.nn.weights import Checkpoint

# How far an ONNX file's outputs may be from torch's, as a share of the largest output if that is
# above 1: float32 itself is no nearer to the truth on logits of a hundred.
TOLERANCE = 1e-4
# A graph that is right for one image may have frozen the one into itself.
_BATCHES = (1, 2, 5)


class BadExport(UserError):
    """A file that would not compute what the network computes; it is not kept."""


def check_installed() -> None:
    """Whether ONNX files can be written here.

    Raises:
        UsageError: packages are missing; the message names how to get them.
    """
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"export --format onnx needs {', '.join(missing)}: pip install 'effcc[onnx]'"
        )


def network(spec: Spec, checkpoint: Checkpoint) -> EfficientNet:
    """The variant's network with a checkpoint's weights, in evaluation mode, as float32.

    Raises:
        BadCheckpoint: they do not fit.
    """
    model = unfilled(spec.network)
    weights.load(model, spec.network, checkpoint)
    return model.eval()


def routed(model: nn.Module) -> dict[str, InvertedResidual]:
    """The blocks that route, by name, in the order of the `routing` that ONNX files put out."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, InvertedResidual) and module.conditional
    }


def to_safetensors(model: EfficientNet, spec: Spec, classes: Sequence[str], path: Path) -> Path:
    """Write the weights and, in the file's metadata, what they are of; returns `path`.

    The metadata is text: `format`, as readers of the format expect, and `effcc`, a JSON object of
    variant, entry, class names and settings. Where the data lay is not among them.
    """
    settings = spec.settings()
    del settings["trainer"]
    settings["data"] = {k: v for k, v in settings["data"].items() if f"data.{k}" not in ELSEWHERE}
    ours = {
        "variant": spec.name,
        "entry": spec.entry,
        "classes": list(classes),
        "settings": settings,
    }
    with files.whole(path) as temporary:
        save_file(_state(model), temporary, {"format": "pt", "effcc": json.dumps(ours)})
    return path


def to_timm(model: EfficientNet, name: str, folder: Path) -> Path:
    """Write a bare state dict under timm's names, as `<name>-<8 hex digits>.pth`; returns where.

    The digits begin the file's SHA-256, so that whoever fetches it can check it: torch hub, timm,
    and `effcc weights pull`.
    """
    written = io.BytesIO()
    torch.save(_state(model), written)
    content = written.getvalue()
    path = folder / f"{name}-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    with files.whole(path) as temporary:
        temporary.write_bytes(content)
    return path


def to_onnx(
    model: EfficientNet,
    spec: Spec,
    classes: Sequence[str],
    path: Path,
    *,
    routing: bool = False,
    engine: str = "any",
) -> float:
    """Write an ONNX graph and keep it if onnxruntime computes with it what torch does.

    Input `images`: float32 (batch, in_channels, size, size), normalised, any batch. Output
    `logits`: (batch, classes). With `routing` a second, `routing`: (batch, conditional blocks,
    experts), in the order of the blocks, whose names stand in the file's metadata. Any engine reads
    it; for `engine`, of `operators.MIX_OUTPUTS`, it is arranged.

    Returns:
        The largest difference found over batches of 1, 2 and 5 random images, see `TOLERANCE`.

    Raises:
        BadExport: it is above `TOLERANCE`.
        UsageError: packages are missing, or there is no conditional block to route.
    """
    check_installed()
    import onnx

    blocks = routed(model)
    if routing and not blocks:
        raise UsageError(f"export --routing: {spec.name} has no conditional block")
    size, channels = spec.preprocessing.image_size, spec.network.in_channels
    described = {
        "variant": spec.name,
        "entry": spec.entry,
        "classes": json.dumps(list(classes)),
        "mean": json.dumps(spec.preprocessing.mean),
        "std": json.dumps(spec.preprocessing.std),
        "routing": json.dumps(list(blocks) if routing else []),
    }
    content = operators.onnx_model(model, channels, size, routing=routing, engine=engine)
    onnx.helper.set_model_props(content, {f"effcc.{key}": text for key, text in described.items()})
    with _WithRouting(model, blocks if routing else {}).hooked() as ours, files.whole(path) as new:
        onnx.save(content, new)
        onnx.checker.check_model(new)
        return _largest_difference(ours, new, channels, size)


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


class _WithRouting(nn.Module):
    """A network whose blocks' routing is an output too, if there are any `blocks`."""

    def __init__(self, model: EfficientNet, blocks: dict[str, InvertedResidual]) -> None:
        super().__init__()
        self.model, self._blocks, self._seen = model, list(blocks.values()), list[Tensor]()
        self.eval()

    @contextmanager
    def hooked(self) -> Generator[_WithRouting]:
        """Listen to the blocks while the block lasts."""

        def hear(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._seen.append(output.sigmoid())

        hooks = [block.routing_fn.register_forward_hook(hear) for block in self._blocks]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        self._seen.clear()
        logits = self.model(images)
        return (logits, torch.stack(self._seen, 1)) if self._blocks else (logits,)


@torch.no_grad()
def _largest_difference(network: _WithRouting, path: Path, channels: int, size: int) -> float:
    import onnxruntime

    session: Any = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    random = torch.Generator().manual_seed(0)
    largest = 0.0
    for batch in _BATCHES:
        images = 2 * torch.rand(batch, channels, size, size, generator=random) - 1
        found = session.run(None, {"images": images.numpy()})
        for ours, theirs in zip(network(images), found, strict=True):
            scale = max(1.0, ours.abs().max().item())
            difference = (ours - torch.from_numpy(theirs)).abs().max().item() / scale
            if not difference <= TOLERANCE:  # not a number is no agreement either
                raise BadExport(
                    f"{path.name}: onnxruntime is {difference:.2g} from torch on a batch of "
                    f"{batch}, more than {TOLERANCE:g}; nothing was written"
                )
            largest = max(largest, difference)
    return largest
