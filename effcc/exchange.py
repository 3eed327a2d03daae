"""Weights in and out: what the verbs `weights` and `export` do with the rooms below."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from effcc import terminal
from effcc.catalog import files, modelindex, registry, results
from effcc.catalog.home import Home
from effcc.catalog.spec import Spec
from effcc.nn import published
from effcc.nn.published import NotPublished, Published

if TYPE_CHECKING:
    from effcc.nn.weights import Checkpoint
    from effcc.report.hub import Export


def pull(spec: Spec, file: Path | None = None) -> Path:
    """Bring a variant's published weights into the cache, with a bar; raises as `published`."""
    with terminal.transfer(f"weights of {spec.name}") as progress:
        return published.pull(Published.of(spec), file=file, progress=progress)


def known(at: Home) -> list[tuple[str, str, str]]:
    """Each variant, whether its weights are in the cache, and where, or that there are none."""
    rows: list[tuple[str, str, str]] = []
    for entry in registry.entries(at):
        try:
            weights = Published.of(entry.spec)
        except NotPublished:
            rows.append((entry.spec.name, "", "none published"))
        else:
            there = "yes" if published.cached(weights) else "no"
            rows.append((entry.spec.name, there, str(weights.path)))
    return rows


def export(
    spec: Spec,
    checkpoint: Checkpoint,
    at: Home,
    folder: Path,
    formats: Collection[str],
    *,
    routing: bool = False,
    push: str | None = None,
) -> Iterator[str]:
    """Write a checkpoint's weights in each format; says what is done as it is.

    Args:
        spec: the variant, with the checkpoint's settings.
        checkpoint: what to export.
        at: the project, whose records say what was measured.
        folder: where to.
        formats: of `options.FORMATS`.
        routing: whether ONNX has the routing as a second output.
        push: the Hub's repository that the `hub` folder is uploaded to.

    Raises:
        BadCheckpoint: the weights are another network's.
        BadExport, NotPushed: see `nn.export` and `report.hub`.
        UsageError: a package is missing.
    """
    from effcc.nn import export as out
    from effcc.report import hub

    if push is not None:
        hub.check_repository(push)
    if "onnx" in formats:
        out.check_installed()
    spec = spec.with_classes(checkpoint.num_classes or spec.network.num_classes)
    model, classes = out.network(spec, checkpoint), checkpoint.classes
    if "safetensors" in formats:
        path = folder / f"{spec.name}.safetensors"
        yield f"wrote {out.to_safetensors(model, spec, classes, path)}"
    if "timm" in formats:
        yield f"wrote {out.to_timm(model, spec.name, folder)}"
    if "onnx" in formats:
        path = folder / f"{spec.name}.onnx"
        off = out.to_onnx(model, spec, classes, path, routing=routing)
        yield f"wrote {path}; onnxruntime computes what torch does, to {off:.1g}"
    if "hub" in formats:
        out.to_safetensors(model, spec, classes, folder / "hub" / hub.WEIGHTS)
        hub.write(_of_hub(spec, checkpoint, at), folder / "hub")
        yield f"wrote {folder / 'hub'}"
    if push is not None:
        yield f"uploaded to {hub.push(folder / 'hub', push)}"


def _of_hub(spec: Spec, checkpoint: Checkpoint, at: Home) -> Export:
    """What the folder says: which records are of this very checkpoint, and who published it."""
    from effcc.report.hub import Export

    sha256 = files.sha256(checkpoint.path)
    measured = [r for r in results.load(at, spec.name) if r.checkpoint["sha256"] == sha256]
    return Export(
        spec=spec,
        claim=modelindex.load(at.model_index, at.root)[spec.entry],
        classes=checkpoint.classes,
        sha256=sha256,
        records=[record for record in measured if "top1" in record.metrics],
        published=published.is_published(spec, sha256),
        trained=bool(checkpoint.variant),
    )
