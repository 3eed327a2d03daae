"""Checkpoints in: ours, a bare state dict as timm publishes it, or safetensors.

Nothing in a file is ever run: torch reads with `weights_only`, and only what `screen` has passed;
safetensors holds only tensors.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from effcc.catalog.routings import Drift
from effcc.catalog.spec import Network, architecture
from effcc.ground import files
from effcc.ground.errors import UserError
from effcc.ground.words import in_a_line, many
from effcc.nn import screen

# Values in a section of settings.
_MOST_SETTINGS = 10_000


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
    start: Mapping[str, Any] = field(default_factory=dict)  # the file that its run began with
    epochs: int = 0  # trained to their end
    steps: int = 0
    history: History = field(default_factory=History, repr=False)
    drift: Drift | None = field(default=None, repr=False)  # None: the run kept none

    @property
    def num_classes(self) -> int | None:
        """The classifier's outputs; None if there is no classifier."""
        bias = self.weights.get("classifier.bias")
        return None if bias is None or not bias.dim() else len(bias)


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
    except Exception as error:  # types that torch lacks, JSON as deep as the stack
        raise BadCheckpoint(f"{path}: not safetensors, or cut short: {_first(error)}") from None
    return _checkpoint(path, state, ours if isinstance(ours, dict) else {})


def _read_torch(path: Path) -> Checkpoint:
    try:
        with warnings.catch_warnings(action="ignore"):  # hints at what the errors below say
            data = _load_torch(path)
    except FileNotFoundError:
        raise BadCheckpoint(f"{path}: no such checkpoint") from None
    except (pickle.UnpicklingError, screen.Foreign) as error:
        named = f" ({in_a_line(str(error))})" if isinstance(error, screen.Foreign) else ""
        raise BadCheckpoint(
            f"{path}: not a checkpoint of weights alone; refused, because loading it could run "
            f"code{named}; effcc audit {path} names what, and a state dict or safetensors do "
            "without"
        ) from None
    except screen.Untaken as error:
        raise BadCheckpoint(f"{path}: cannot be read: {in_a_line(str(error))}") from None
    except Exception as error:  # a broken file may trip torch's reader in any way
        raise BadCheckpoint(f"{path}: not a checkpoint, or cut short: {_first(error)}") from None
    state = data.get("state_dict", data) if isinstance(data, dict) else None
    ours = data.get("effcc", {}) if isinstance(data, dict) else None
    if not isinstance(state, dict) or not isinstance(ours, dict):
        raise BadCheckpoint(f"{path}: not a state dict")
    steps = data.get("global_step", 0)
    return replace(
        _checkpoint(path, state, ours),
        epochs=_epochs(data),
        steps=steps if ours and isinstance(steps, int) else 0,
        history=_history(_of(data, "curve", dict)) if ours else History(),
        drift=_drift(_of(data, "routing", dict)) if ours else None,
    )


def _load_torch(path: Path) -> Any:
    """What torch reads of the very file that was screened, whatever takes its name meanwhile."""
    with open(path, "rb", opener=files.plain) as file:
        before = _state(file.fileno())
        zipped = file.read(4) == b"PK\3\4"
        file.seek(0)
        if zipped:
            screen.archive(file)
            # Only what has a name can be mapped. Linux has one for what is open.
            opened = _OPENED / str(file.fileno())
            place = opened if opened.exists() else path
            data = torch.load(place, map_location="cpu", weights_only=True, mmap=True)
            after = _state(place)
        else:
            # Files from before torch 1.6, timm's among them, are no zip archives and cannot be
            # mapped.
            screen.legacy(file)
            file.seek(0)
            stream: Any = _Stream(file)
            data = torch.load(stream, map_location="cpu", weights_only=True)
            after = _state(file.fileno())
    if after != before:
        raise OSError("it changed while it was read; read it again when it is written")
    return data


_OPENED = Path("/proc/self/fd")


def _state(place: int | Path) -> tuple[int, ...]:
    """Which file it is, and as of when."""
    found = os.stat(place)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class _Stream:
    """A file that torch must read from its beginning, and cannot try as a tar archive before."""

    def __init__(self, file: BufferedReader) -> None:
        self.read, self.readline, self.readinto = file.read, file.readline, file.readinto
        self.seek, self.tell = file.seek, file.tell


def _first(error: Exception) -> str:
    """What a message of one line says of an error."""
    return in_a_line(str(error).partition("\n")[0])[:300] or type(error).__name__


def _checkpoint(path: Path, state: Mapping[Any, Any], ours: dict[str, Any]) -> Checkpoint:
    found = {str(n): t for n, t in state.items() if isinstance(t, Tensor) and isinstance(n, str)}
    for name, tensor in found.items():
        dense = tensor.layout is torch.strided and not (tensor.is_quantized or tensor.is_meta)
        if not dense or tensor.is_complex():
            raise BadCheckpoint(f"{path}: {in_a_line(name)} is no plain tensor of real numbers")
    variant = ours.get("variant", "")
    return Checkpoint(
        path=path,
        weights={name.removeprefix("model."): tensor for name, tensor in found.items()},
        variant=in_a_line(variant) if isinstance(variant, str) else "",
        classes=tuple(name for name in _of(ours, "classes", list) if isinstance(name, str)),
        settings={
            key: value for key, value in _of(ours, "settings", dict).items() if _is_plain(value)
        },
        start=_start(_of(ours, "start", dict)),
    )


def _start(written: Mapping[str, Any]) -> dict[str, Any]:
    """The file that a run began with, as records have it; empty if that is not what is written."""
    kinds = {"path": str, "sha256": str, "bytes": int}
    if any(type(written.get(key)) is not kind for key, kind in kinds.items()):
        return {}
    if not re.fullmatch("[0-9a-f]{64}", written["sha256"], re.ASCII):
        return {}
    return {key: written[key] for key in kinds} | {"path": in_a_line(written["path"])}


def _is_plain(value: Any) -> bool:
    """Whether a value is made of numbers and text alone, as settings are, and not without end."""
    left, seen = [value], 0
    while left:
        item, seen = left.pop(), seen + 1
        if isinstance(item, dict | list | tuple):
            left.extend(item.values() if isinstance(item, dict) else item)
        elif item is not None and not isinstance(item, str | int | float):
            return False
        if seen > _MOST_SETTINGS:
            return False
    return True


def _of(data: dict[str, Any], key: str, kind: type) -> Any:
    value = data.get(key)
    return value if isinstance(value, kind) else kind()


def _epochs(data: dict[str, Any]) -> int:
    """How many epochs a run had finished when it wrote the checkpoint."""
    try:
        return int(data["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
    except Exception:  # any value may stand in the place of any other
        return 0


def _history(curve: dict[str, Any]) -> History:
    try:
        points = tuple({str(key): _number(v) for key, v in p.items()} for p in curve["points"])
        if all("step" in point for point in points):
            return History(points, int(curve["steps"]), float(curve["seconds"]))
    except Exception:  # written before runs kept one, or by somebody else
        pass
    return History()


def _drift(kept: dict[Any, Any]) -> Drift | None:
    try:
        return Drift.of(kept)
    except Exception:  # as above
        return None


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise ValueError
    return value


def load(model: nn.Module, network: Network, checkpoint: Checkpoint) -> None:
    """Load the weights into `model`, which was built from `network`; every name and shape must fit.

    They are copied, into the precision and layout of the model's own. Of an `unfilled` model every
    tensor is replaced; one that does not fit leaves it without weights.

    Raises:
        BadCheckpoint: they do not; the message names the first difference.
    """
    written = _of(dict(checkpoint.settings), "network", dict)
    if written:
        for key, value in architecture(network).items():
            if key in written and not _same(written[key], value):
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
            if name.startswith("classifier") and wanted.get(name) and found.get(name):
                there = many(found[name][0], "class", "classes")
                message = f"has {there}, this run {wanted[name][0]}; name its data"
            elif name in wanted and name in found:
                message = f"{name} has shape {found[name]}, this variant's has {wanted[name]}"
            else:
                message = (
                    f"has no {name}"
                    if name in wanted
                    else f"has {in_a_line(name)}, which this variant has not"
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


def _same(written: Any, value: Any) -> bool:
    try:
        return bool(written == value)
    except Exception:  # a tensor, or lists within lists without end
        return False


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"{many(len(value), 'stage')}, another table"
    return in_a_line(repr(value))[:80] if isinstance(value, str | int | float | None) else "another"
