"""Networks as ONNX graphs in the hands of onnxruntime and OpenVINO, called as torch modules are.

Making a graph takes seconds, so graphs are kept in the cache. What one is of stands in its name:
weights, network, image size, and the code that made it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

from effcc.catalog.spec import Spec
from effcc.ground import files, home
from effcc.nn import export
from effcc.nn.efficientnet import EfficientNet

# How many graphs the cache keeps; those that were used last.
KEPT = 8


def graph(model: EfficientNet, spec: Spec, engine: str) -> Path:
    """The ONNX file of a network, made unless it is in the cache.

    Args:
        model: a network of `spec`, with its weights, in float32 on a CPU; it is left in evaluation
            mode.
        spec: says the size of images.
        engine: whom it is arranged for, see `export.to_onnx`.

    Raises:
        BadExport, UsageError: see `export.to_onnx`.
    """
    path = home.cache() / "graphs" / f"{_name(model, spec, engine)}.onnx"
    if _is_whole(path):  # before anything is written: a shared cache may be read-only
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # Between a graph and its digest another process would take it for damaged.
    with FileLock(path.with_name("graphs.lock")):
        if not _is_whole(path):
            path.unlink(missing_ok=True)  # damaged, or another's: a graph may name files to be read
            export.to_onnx(model, spec, (), path, engine=engine)
            files.write(_digest(path), files.sha256(path))
            _keep_newest(path.parent)
    return path


def _is_whole(path: Path) -> bool:
    """Whether a graph is there as it was made; it is then kept for longer."""
    try:
        whole = _digest(path).read_text() == files.sha256(path)
    except FileNotFoundError:
        return False
    with suppress(OSError):  # a shared cache may be read-only
        os.utime(path)
    return whole


def _digest(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _keep_newest(folder: Path) -> None:
    newest = sorted(folder.glob("*.onnx"), key=lambda kept: kept.stat().st_mtime, reverse=True)
    for old in newest[KEPT:]:
        old.unlink(missing_ok=True)
        _digest(old).unlink(missing_ok=True)


class OnnxRuntime(nn.Module):
    """A graph computed by onnxruntime: images (batch, channels, size, size) to logits."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # A list of providers: without one it may choose an accelerator.
        self._session: Any = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of normalised float32 images."""
        (logits,) = self._session.run(["logits"], {"images": images.contiguous().numpy()})
        return torch.from_numpy(logits)


class OpenVino(nn.Module):
    """A graph computed by OpenVINO: images (batch, channels, size, size) to logits."""

    def __init__(self, path: Path, threads: int) -> None:
        super().__init__()
        import openvino

        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",  # all threads at one batch
            # Unasked, it computes in bfloat16 where the processor can.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        with _signals_where_they_were():
            self._compiled: Any = openvino.Core().compile_model(path, "CPU", options)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, classes) of normalised float32 images."""
        return torch.from_numpy(self._compiled([images.contiguous().numpy()])[0])


@contextmanager
def _signals_where_they_were() -> Generator[None]:
    """Have this thread's signals handled where they were before the block.

    OpenVINO gives the thread that compiles a stack of its own for signal handlers, and may take it
    away again from elsewhere: the next signal, of a loader process that ends, then ends this one.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    library = ctypes.CDLL(None)
    kept = _SignalStack()
    library.sigaltstack(None, ctypes.byref(kept))
    try:
        yield
    finally:
        library.sigaltstack(ctypes.byref(kept), None)


class _SignalStack(ctypes.Structure):
    _fields_ = [("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


SESSIONS = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}


def _name(model: EfficientNet, spec: Spec, engine: str) -> str:
    """A digest of all that a graph follows from."""
    digest = hashlib.sha256()
    versions = [metadata.version(name) for name in ("torch", "onnx")]
    of = (spec.network, spec.preprocessing.image_size, engine, versions)
    digest.update(repr(of).encode())
    for code in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(code.read_bytes())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()[:32]
