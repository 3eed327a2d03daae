"""Checkpoints in: ours, a bare state dict as timm publishes it, or safetensors.

Nothing in a file is ever run: torch reads with `weights_only`, and safetensors holds only tensors.
"""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from effcc.catalog.routings import Drift
from effcc.catalog.spec import Network, architecture
from effcc.ground.errors import UserError
from effcc.ground.words import many


class BadCheckpoint(UserError):
    """A checkpoint that cannot be read, or that belongs to another network."""


@dataclass(frozen=True, slots=True)
class History:
    """How a run had come so far: the points of its curve, optimiser steps, and wall time."""

    points: tuple[Mapping[str, float], ...] = ()
    steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights by timm's names; settings and class names if effcc wrote it, empty if not."""

    path: Path
    weights: Mapping[str, Tensor] = field(repr=False)
    variant: str = ""
    classes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    epochs: int = 0  # trained to their end
    steps: int = 0
    history: History = field(default_factory=History, repr=False)
    drift: Drift | None = field(default=None, repr=False)  # None: the run kept none

    @property
    def num_classes(self) -> int | None:
        """The classifier's outputs; None if there is no classifier."""
        bias = self.weights.get("classifier.bias")
        return None if bias is None else len(bias)


def read(path: Path) -> Checkpoint:
    """Read a checkpoint's weights without running anything in it.

    Raises:
        BadCheckpoint: it is missing, cut short, or holds more than tensors and plain data.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)


def _read_safetensors(path: Path) -> Checkpoint:
    """Tensors, and in the file's metadata what `export` wrote: `effcc`, as JSON."""
    if not path.is_file():
        raise BadCheckpoint(f"{path}: no such checkpoint")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no dict)
            ours = json.loads((file.metadata() or {}).get("effcc", "{}"))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BadCheckpoint(f"{path}: not safetensors, or cut short: {reason}") from None
    return _checkpoint(path, state, ours if isinstance(ours, dict) else {})


def _read_torch(path: Path) -> Checkpoint:
    try:
        # Files from before torch 1.6, timm's among them, are no zip archives and cannot be mapped.
        mapped = zipfile.is_zipfile(path)
        with warnings.catch_warnings(action="ignore"):  # hints at what the errors below say
            data = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise BadCheckpoint(f"{path}: no such checkpoint") from None
    except pickle.UnpicklingError:
        raise BadCheckpoint(
            f"{path}: not a checkpoint of weights alone; refused, because loading it could run "
            f"code; effcc audit {path} names what, and a state dict or safetensors do without"
        ) from None
    except Exception as error:  # a broken file may trip torch's reader in any way
        reason = str(error).partition("\n")[0]
        raise BadCheckpoint(f"{path}: not a checkpoint, or cut short: {reason}") from None
    state = data.get("state_dict", data) if isinstance(data, dict) else None
    ours = data.get("effcc", {}) if isinstance(data, dict) else None
    if not isinstance(state, dict) or not isinstance(ours, dict):
        raise BadCheckpoint(f"{path}: not a state dict")
    return replace(
        _checkpoint(path, state, ours),
        epochs=_epochs(data),
        steps=int(data.get("global_step", 0)) if ours else 0,
        history=_history(_of(data, "curve", dict)) if ours else History(),
        drift=Drift.of(_of(data, "routing", dict)) if ours else None,
    )


def _checkpoint(path: Path, state: Mapping[Any, Any], ours: dict[str, Any]) -> Checkpoint:
    return Checkpoint(
        path=path,
        weights={
            str(name).removeprefix("model."): value
            for name, value in state.items()
            if isinstance(value, Tensor)
        },
        variant=str(ours.get("variant", "")),
        classes=tuple(str(name) for name in _of(ours, "classes", list)),
        settings=_of(ours, "settings", dict),
    )


def _of(data: dict[str, Any], key: str, kind: type) -> Any:
    value = data.get(key)
    return value if isinstance(value, kind) else kind()


def _epochs(data: dict[str, Any]) -> int:
    """How many epochs a run had finished when it wrote the checkpoint."""
    try:
        return int(data["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    except (KeyError, TypeError, ValueError):
        return 0


def _history(curve: dict[str, Any]) -> History:
    try:
        return History(tuple(curve["points"]), int(curve["steps"]), float(curve["seconds"]))
    except (KeyError, TypeError, ValueError):  # written before runs kept one
        return History()


def load(model: nn.Module, network: Network, checkpoint: Checkpoint) -> None:
    """Load the weights into `model`, which was built from `network`; every name and shape must fit.

    They are copied, into the precision and layout of the model's own. Of an `unfilled` model every
    tensor is replaced; one that does not fit leaves it without weights.

    Raises:
        BadCheckpoint: they do not; the message names the first difference.
    """
    if written := checkpoint.settings.get("network"):
        for key, value in architecture(network).items():
            if key in written and written[key] != value:
                name = f" of {checkpoint.variant}" if checkpoint.variant else ""
                raise BadCheckpoint(
                    f"{checkpoint.path}: a checkpoint{name}, with network.{key} "
                    f"{_short(written[key])}; this variant's is {_short(value)}"
                )
    own = model.state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
    found = {name: tuple(tensor.shape) for name, tensor in checkpoint.weights.items()}
    for name in (*wanted, *found):
        if wanted.get(name) != found.get(name):
            if name.startswith("classifier") and name in wanted and name in found:
                there = many(found[name][0], "class", "classes")
                message = f"has {there}, this run {wanted[name][0]}; name its data"
            elif name in wanted and name in found:
                message = f"{name} has shape {found[name]}, this variant's has {wanted[name]}"
            else:
                message = (
                    f"has no {name}"
                    if name in wanted
                    else f"has {name}, which this variant has not"
                )
            raise BadCheckpoint(f"{checkpoint.path}: {message}")
    if any(tensor.is_meta for tensor in own.values()):
        filled = {
            name: torch.empty_like(tensor, device="cpu").copy_(checkpoint.weights[name])
            for name, tensor in own.items()
        }
        model.load_state_dict(filled, assign=True)
    else:
        model.load_state_dict(dict(checkpoint.weights))


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"{many(len(value), 'stage')}, another table"
    return str(value)
