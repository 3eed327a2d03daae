"""Verbs that carry in and out: weights, and images packed into shards."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from effcc import request, terminal
from effcc.ground import home
from effcc.ground.errors import UsageError
from effcc.ground.words import many

if TYPE_CHECKING:
    from effcc.catalog.spec import Spec
    from effcc.ground.home import Home
    from effcc.nn.weights import Checkpoint
    from effcc.report.hub import Export


def export(args: argparse.Namespace) -> int:
    """Write a checkpoint's averaged weights for others: safetensors, timm, ONNX, a Hub folder."""
    if not args.to and not args.print_config:
        raise UsageError("export: name the folder to write to, as in --to exported")
    at, spec, checkpoint = request.resolve(args, source=None)
    if args.print_config:
        return request.print_config(spec)
    assert checkpoint is not None
    formats = {*(args.format or ["safetensors"]), *([] if args.push is None else ["hub"])}
    folder = Path(args.to)
    for line in written(
        spec, checkpoint, at, folder, formats, routing=args.routing, push=args.push
    ):
        terminal.say(line)
    return 0


def weights(args: argparse.Namespace) -> int:
    """Fetch published weights into the cache, or list what is there."""
    from effcc.catalog import registry

    at = home.find()
    if args.action == "list":
        terminal.say(terminal.table(("variant", "cached", "file"), known(at)))
        return 0
    if not args.name:
        raise UsageError(
            f"weights pull: name a variant; there are: {', '.join(registry.names(at))}"
        )
    spec = registry.load(args.name, at)
    terminal.say(pull(spec, Path(args.file) if args.file else None))
    terminal.say(
        f"start from them: effcc fit --config registry/{spec.name}.yaml --recipe.pretrained true"
    )
    return 0


def shards(args: argparse.Namespace) -> int:
    """Pack a folder of images into tar shards, or check such shards."""
    from effcc.sources import pack

    console = terminal.console(soft_wrap=True, highlight=False)
    if args.check:
        with terminal.counting(console) as report:
            packed, wrong = pack.check(Path(args.folder), report)
        for line in wrong:
            terminal.say(line, error=True)
        found = many(len(wrong), "problem") if wrong else "no problem"
        images = sum(split.done for split in packed.splits.values())
        terminal.say(f"{many(len(packed.shards), 'shard')}, {many(images, 'image')}: {found}")
        return 1 if wrong else 0
    if not args.out:
        raise UsageError("shards: name the folder for the shards too, or --check")
    out = Path(args.out)
    source = pack.opened(args.source, args.folder)
    names = pack.splits(source, args.split or ())
    size = None if args.per_shard else args.size * 10**6
    with terminal.counting(console) as report:
        packed = pack.pack(source, names, out, report, per_shard=args.per_shard, size=size)
    for name in names:
        split = packed.splits[name]
        images, inside = many(split.images, "image"), many(len(split.shards), "shard")
        terminal.say(f"{name:<6}{images:>17} in {inside}")
    terminal.say(f"train on them: --data.source shards --data.root {shlex.quote(str(out))}")
    return 0


def pull(spec: Spec, file: Path | None = None) -> Path:
    """Bring a variant's published weights into the cache, with a bar; raises as `published`."""
    from effcc.nn import published
    from effcc.nn.published import Published

    with terminal.transfer(f"weights of {spec.name}") as progress:
        return published.pull(Published.of(spec), file=file, progress=progress)


def known(at: Home) -> list[tuple[str, str, str]]:
    """Each variant, whether its weights are in the cache, and where, or that there are none."""
    from effcc.catalog import registry
    from effcc.nn import published
    from effcc.nn.published import NotPublished, Published

    rows: list[tuple[str, str, str]] = []
    for entry in registry.entries(at):
        try:
            file = Published.of(entry.spec)
        except NotPublished:
            rows.append((entry.spec.name, "", "none published"))
        else:
            there = "yes" if published.cached(file) else "no"
            rows.append((entry.spec.name, there, str(file.path)))
    return rows


def written(
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
    from effcc.catalog import results
    from effcc.claims import modelindex
    from effcc.ground import files
    from effcc.nn import published
    from effcc.report.hub import Export

    sha256 = files.sha256(checkpoint.path)
    measured = [
        record
        for record in results.load(at, spec.name)
        if record.checkpoint["sha256"] == sha256 and not results.edited(record)
    ]
    return Export(
        spec=spec,
        claim=modelindex.load(at.model_index, at.root)[spec.entry],
        classes=checkpoint.classes,
        sha256=sha256,
        records=[record for record in measured if "top1" in record.metrics],
        published=published.is_published(spec, sha256),
        trained=bool(checkpoint.variant),
    )
