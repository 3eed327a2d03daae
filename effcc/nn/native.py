"""Layers in C for processors, compiled by the machine's own compiler where they run, and kept.

`library` is the one way in. Where there is no compiler, or `EFFCC_NATIVE` is `off`, it says so, and
the callers compute the same with torch. The C sources stand in `c/`; they use the threads of torch,
whose OpenMP is loaded by the time that they are.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
from ctypes import POINTER, Structure, c_float, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from effcc.ground import files, home

SOURCES = Path(__file__).parent / "c"
# Fast arithmetic that changes what not-a-number does is not among them.
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-fopenmp", "-fPIC", "-shared")
# Tensors that are nothing else besides: the numbers lie where they say.
_PLAIN = (torch.nn.Parameter, Tensor)
# A compiler that takes longer than this, in seconds, is not waited for.
PATIENCE = 120


class Depthwise(Structure):
    """The shape of a depthwise convolution; as in train.c, where `shared` is one kernel for all."""

    _fields_ = [
        ("batch", c_int32),
        ("height", c_int32),
        ("width", c_int32),
        ("channels", c_int32),
        ("kernel", c_int32),
        ("stride", c_int32),
        ("symmetric", c_int32),
        ("shared", c_int32),
    ]


class Block(Structure):
    """A folded block, and where its packed weights lie; as in predict.c."""

    _fields_ = [
        ("in_channels", c_int32),
        ("mid_channels", c_int32),
        ("out_channels", c_int32),
        ("kernel", c_int32),
        ("stride", c_int32),
        ("symmetric", c_int32),
        ("experts", c_int32),
        ("squeezed", c_int32),
        ("expands", c_int32),
        ("residual", c_int32),
        ("route", c_void_p),
        ("route_bias", c_void_p),
        ("expand", c_void_p),
        ("expand_bias", c_void_p),
        ("filter", c_void_p),
        ("filter_bias", c_void_p),
        ("reduce", c_void_p),
        ("reduce_bias", c_void_p),
        ("restore", c_void_p),
        ("restore_bias", c_void_p),
        ("project", c_void_p),
        ("project_bias", c_void_p),
    ]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled layers; None if there are none, and `missing` says why.

    The first call on a machine compiles them, which takes a few seconds.
    """
    return None if isinstance(found := _library(), str) else found


def missing() -> str:
    """Why `library` is None; empty if it is not."""
    return found if isinstance(found := _library(), str) else ""


def takes(x: Tensor) -> bool:
    """Whether the layers can compute on `x`: a plain float32 channels-last image on a processor.

    Under torch's compiler, its function transforms and whatever else listens to operations (counts
    them, traces them), torch's own operations are used, which those know.
    """
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and type(x) in _PLAIN
        and x.dim() == 4
        and x.is_contiguous(memory_format=torch.channels_last)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._are_functorch_transforms_active()
        and library() is not None
    )


def together(first: Tensor, *others: Tensor) -> bool:
    """Whether float32 tensors of one shape lie alike and densely, to be walked as one array."""
    strides = first.stride()
    for tensor in (first, *others):
        if type(tensor) not in _PLAIN or tensor.dtype != torch.float32 or not tensor.is_cpu:
            return False
        if tensor.stride() != strides and _strides(tensor) != _strides(first):
            return False
    dense = first.is_contiguous() or first.is_contiguous(memory_format=torch.channels_last)
    return dense and library() is not None


def _strides(tensor: Tensor) -> list[int]:
    """Those that matter: along a side of one number there is nowhere to go."""
    sides = zip(tensor.shape, tensor.stride(), strict=True)
    return [stride for size, stride in sides if size > 1]


def call(name: str, *arguments: Tensor | Structure | ctypes.Array[c_int64] | float) -> Any:
    """Call a layer; of a tensor it is given where the numbers begin. `takes` has been asked."""
    given = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
    return getattr(library(), name)(*given)


@functools.cache
def _library() -> ctypes.CDLL | str:
    if os.environ.get("EFFCC_NATIVE") == "off":
        return "turned off by EFFCC_NATIVE=off"
    named = os.environ.get("CC")
    compiler = next(filter(None, map(shutil.which, [named] if named else ["cc", "gcc"])), None)
    if compiler is None:
        return f"there is no C compiler ({named or 'cc'})"
    try:
        path = _compiled(compiler)
        loaded = ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return f"{compiler}: {said.strip().splitlines()[0]}"
    return _declared(loaded)


def _compiled(compiler: str) -> Path:
    sources = sorted(SOURCES.iterdir())
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout
    # A folder may be shared by machines whose processors differ.
    told = [*FLAGS, version, platform.machine(), _processor()]
    told += [source.read_text() for source in sources]
    key = hashlib.sha256("\0".join(told).encode()).hexdigest()[:16]
    path = home.cache() / "native" / f"{key}.so"
    if not path.exists():
        units = [str(source) for source in sources if source.suffix == ".c"]
        with files.whole(path) as temporary:
            command = [compiler, *FLAGS, "-o", str(temporary), *units, "-lm"]
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return path


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _declared(loaded: ctypes.CDLL) -> ctypes.CDLL:
    """Say what the functions take, so that a wrong call fails instead of reading elsewhere."""
    shape, block = POINTER(Depthwise), POINTER(Block)
    p, i, n, f = c_void_p, c_int32, c_int64, c_float
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "effcc_panel": (c_int32, []),
        "effcc_depthwise": (None, [shape, p, p, p]),
        "effcc_depthwise_to_input": (None, [shape, p, p, p]),
        "effcc_depthwise_to_kernels": (None, [shape, p, p, p]),
        "effcc_norm_scratch": (c_int64, [n, i]),
        "effcc_moments": (None, [n, i, p, p, p, p]),
        "effcc_scale": (None, [n, i, i, p, p, p, p]),
        "effcc_norm_sums": (None, [n, i, i, *[p] * 8]),
        "effcc_norm_to_input": (None, [n, i, i, *[p] * 8]),
        "effcc_gate": (None, [i, i, i, p, p, p]),
        "effcc_gate_sums": (None, [i, i, i, p, p, p]),
        "effcc_gate_to_input": (None, [i, i, i, p, p, p, p]),
        "effcc_rmsprop": (None, [n, f, f, f, f, f, p, p, p, p]),
        "effcc_average": (None, [n, f, p, p]),
        "effcc_block_scratch": (c_int64, [block, i, i, i]),
        "effcc_block": (None, [block, i, i, i, p, p, p]),
        "effcc_stem": (None, [*[i] * 8, POINTER(c_int64), p, p, p, p]),
        "effcc_head": (None, [*[i] * 4, p, p, p, p]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded
