"""A checkpoint made into what a page needs to run it: a graph, a manifest, what computes graphs."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from effcc.ground.errors import UserError

if TYPE_CHECKING:
    from effcc.catalog.spec import Spec
    from effcc.ground.home import Home
    from effcc.nn.weights import Checkpoint
    from effcc.report.demo import Demo, Drawing, Measured, Sample
    from effcc.sources.split import Split

# Whose newest run is taken unless a checkpoint is named: small enough for a page.
VARIANT = "cc_pico_4e"
_NO_RUN = (
    f"no run of {VARIANT} to show: train one, in about a minute (effcc fit --config "
    f"registry/{VARIANT}.yaml), name a checkpoint with --demo, or leave the model out with "
    "--no-demo"
)
# The largest graph that a reader is asked to wait for, in bytes.
MAX_BYTES = 6 * 10**6
# How wide and tall the middle of a line is drawn, in points of 32: the digits fill the grid from
# top to bottom and about 22 points of its width, and their lines are 4 thick at least.
_BOX = (18, 28)


class NoExhibit(UserError):
    """There is no model to show, or it is none of digits."""


def make(at: Home, checkpoint: Path | None, folder: Path) -> Demo:
    """Write what the page loads into an empty folder.

    Args:
        at: the project, whose runs and records are read.
        checkpoint: the file to show; the newest whole one of `VARIANT` if none is named.
        folder: where to.

    Raises:
        NoExhibit: there is none, or it is not of digits, or too large.
        BadCheckpoint, BadExport, NotVendored: see `nn.weights`, `nn.export` and `report.vendor`.
    """
    from effcc.report import demo, vendor

    # What is missing is said before anything is fetched, and both before torch is loaded.
    if checkpoint is None and not any((at.runs / VARIANT).glob("*/*.ckpt")):
        raise NoExhibit(_NO_RUN)
    package = vendor.ONNXRUNTIME
    vendor.fetch(package)
    from effcc.nn import export

    export.check_installed()
    spec, weights = _chosen(at, checkpoint)
    model = export.network(spec, weights)
    graph = folder / demo.MODEL
    export.to_onnx(model, spec, weights.classes, graph, routing=True)
    if graph.stat().st_size > MAX_BYTES:
        raise NoExhibit(
            f"--demo: {spec.name} is {graph.stat().st_size / 1e6:.1f} MB as ONNX, and a page loads "
            f"{MAX_BYTES / 1e6:.0f} at most; take a checkpoint of {VARIANT}"
        )
    _pack([package.license, *map(package.path, package.files)], folder)
    shown = _described(at, spec, weights, list(export.routed(model)), folder)
    demo.write(shown, folder)
    return shown


def _chosen(at: Home, named: Path | None) -> tuple[Spec, Checkpoint]:
    from effcc.catalog import registry
    from effcc.catalog.spec import layout
    from effcc.nn import weights

    if named:
        checkpoint = weights.read(named)
    else:
        from effcc.train import checkpoints

        newest = checkpoints.newest(at.runs / VARIANT)
        if newest is None:
            raise NoExhibit(_NO_RUN)
        checkpoint = newest.checkpoint
    path = checkpoint.path
    if not checkpoint.variant:
        raise NoExhibit(f"{path}: says of no variant that it is one; effcc fit writes such files")
    settings = (at.shown(path), checkpoint.settings)
    spec = registry.load(checkpoint.variant, at, checkpoint=settings, located=False)
    if spec.data.source != "digits" or spec.network.in_channels != 3:
        raise NoExhibit(f"{path}: not a model of the embedded digits, which the page is for")
    if spec.preprocessing.interpolation == "tf_bicubic":
        raise NoExhibit(f"{path}: resizes by tf_bicubic, which the page's script does not know")
    if not any(block.experts for block in layout(spec.network)):
        raise NoExhibit(f"{path}: has no conditional block, and so nothing that the page shows")
    return spec.with_classes(len(checkpoint.classes)), checkpoint


def _pack(runtime: Sequence[Path], folder: Path) -> None:
    """What computes the graph; the large file is packed, because not every host does it."""
    for file in runtime:
        content = file.read_bytes()
        if file.suffix == ".wasm":
            (folder / f"{file.name}.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / file.name).write_bytes(content)


def _described(
    at: Home, spec: Spec, checkpoint: Checkpoint, blocks: Sequence[str], folder: Path
) -> Demo:
    from effcc.ground import files
    from effcc.report import demo
    from effcc.report.demo import Demo
    from effcc.sources.digits import Digits

    source = Digits(spec.data)
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    model = sizes.pop(demo.MODEL)
    sha256 = files.sha256(checkpoint.path)
    return Demo(
        variant=spec.name,
        sha256=sha256,
        measured=_measured(at, spec, sha256),
        classes=checkpoint.classes,
        blocks=tuple(blocks),
        experts=spec.network.experts,
        drawing=_drawing(spec, source.split("train")),
        samples=_samples(source.split("test"), checkpoint.classes),
        bytes={"model": model, "runtime": sum(sizes.values())},
    )


def _measured(at: Home, spec: Spec, sha256: str) -> Measured | None:
    from effcc.catalog import results
    from effcc.report.demo import Measured

    for record in reversed(results.load(at, spec.name)):
        top1 = record.metrics.get("top1")
        mine = record.checkpoint["sha256"] == sha256 and not results.edited(record)
        if mine and top1 and top1.correct is not None and top1.n is not None:
            data = record.dataset
            file = record.place().file
            return Measured(top1.correct, top1.n, data.title, data.split, file)
    return None


def _drawing(spec: Spec, train: Split) -> Drawing:
    from effcc.data import resize
    from effcc.report.demo import Drawing
    from effcc.sources.digits import grey

    how, side = spec.preprocessing, train.pixels(0).shape[0]
    total = sum(int(train.pixels(at)[:, :, 0].sum()) for at in range(len(train)))
    return Drawing(
        side=side,
        levels=tuple(grey(range(17)).tolist()),
        ink=round(total / len(train) * 16 / 255),
        box=_BOX,
        size=how.image_size,
        resize=tuple(tuple(row) for row in resize.matrix(side, how).tolist()),
        unit=resize.UNIT,
        mean=tuple(255 * value for value in how.mean),
        std=tuple(255 * value for value in how.std),
    )


def _samples(test: Split, classes: Sequence[str]) -> tuple[Sample, ...]:
    """The first image of each class: nobody chose those that come out right."""
    from effcc.report.demo import Sample

    first: dict[int, int] = {}
    for position, label in enumerate(test.labels.tolist()):
        first.setdefault(label, position)
    return tuple(
        Sample(name, tuple(test.pixels(first[label])[:, :, 0].ravel().tolist()))
        for label, name in enumerate(classes)
    )
