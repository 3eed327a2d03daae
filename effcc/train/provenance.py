"""Where a measurement comes from: images, code, packages, machine, checkpoint."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from effcc.catalog import results
from effcc.catalog.results import Dataset
from effcc.catalog.spec import Spec
from effcc.ground import files
from effcc.ground import git as repository
from effcc.ground.home import Home
from effcc.nn import native, published
from effcc.nn.weights import Checkpoint
from effcc.sources.known import Source
from effcc.sources.split import Split

PACKAGES = (
    *("effcc", "torch", "lightning", "torchmetrics", "numpy", "pillow", "simplejpeg"),
    "scikit-learn",
)


def images(source: Source, split: Split, unreadable: int, *, trained: bool = False) -> Dataset:
    """The images that something was measured on, as a record has them, and trained on if it was."""
    train = source.split("train") if trained else None
    return Dataset(
        name=source.name,
        title=source.title,
        split=split.name,
        images=len(split),
        classes=len(source.classes),
        fingerprint=split.fingerprint,
        train_images=len(train) if train else 0,
        train_fingerprint=train.fingerprint if train else "",
        unreadable=unreadable,
    )


def git(root: Path) -> dict[str, Any]:
    """The project's commit and whether its files differ from it; None where git does not tell."""
    commit = repository.ask(root, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None}
    # Records and cards are what runs write: they say nothing about the code that ran.
    changed = repository.has_changes(root, ".", ":!registry/results", ":!docs/models")
    return {"commit": commit, "dirty": changed}


def versions(*more: str) -> dict[str, str]:
    """Python and the packages that can move a result, `more` of them if they took part."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *more):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    # Which CUDA it was built for is only in its own name for itself, in some wheels.
    return found | {"torch": str(torch.__version__)}


def device(kind: str, count: int) -> dict[str, str | int]:
    """The processor or accelerator that ran it."""
    described: dict[str, str | int] = {
        "kind": kind,
        "count": count,
        "system": platform.platform(terse=True),
    }
    if kind == "cuda":
        return described | {"name": torch.cuda.get_device_name()}
    return described | {
        "name": _processor(),
        **_kind_of_processor(),
        "threads": torch.get_num_threads(),
        "layers": "torch" if native.missing() else "C",
        "cores": os.cpu_count() or 1,
    }


def file(path: Path, home: Home) -> dict[str, Any]:
    """Which file of weights."""
    return {
        "path": home.shown(path),
        "sha256": files.sha256(path),
        "bytes": path.stat().st_size,
    }


def weights(measured: Path | Checkpoint, spec: Spec, home: Home) -> dict[str, Any]:
    """Which weights were measured, and whose they are if a file does not say what made them.

    Args:
        measured: what a run has just written, or a file that was read.
        spec: the variant.
        home: the project.
    """
    if isinstance(measured, Path):
        return file(measured, home)
    found = file(measured.path, home)
    if not measured.settings:
        theirs = published.is_published(spec, found["sha256"])
        found["source"] = results.PUBLISHED if theirs else results.UNKNOWN
    return found


def _processor() -> str:
    described = _cpuinfo()
    return described.get("model name") or platform.processor() or platform.machine()


def _kind_of_processor() -> dict[str, str]:
    """What a name leaves open, and the last bits of sums depend on.

    Hosts call many generations `AMD EPYC`. Torch, its libraries and the layers in C sum in vectors
    as wide as the processor has them, and block their loops as its kind suggests.
    """
    described = _cpuinfo()
    x86 = ("vendor_id", "cpu family", "model", "stepping")
    arm = ("CPU implementer", "CPU part", "CPU variant", "CPU revision")
    numbers = [described[key] for key in (*x86, *arm) if described.get(key)]
    model = {"model": " ".join(numbers)} if numbers else {}
    return model | {"instructions": torch.backends.cpu.get_cpu_capability()}


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}
