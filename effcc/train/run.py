"""One run: a spec becomes a trained model and a record of what it measured."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning as L
from rich.console import Console

from effcc.catalog import files, results
from effcc.catalog.errors import UsageError, UserError
from effcc.catalog.home import Home
from effcc.catalog.results import Dataset, Metric, Record
from effcc.catalog.spec import Spec
from effcc.data.decode import MissingData
from effcc.data.loader import Unlabelled
from effcc.data.sources import SOURCES, Source
from effcc.nn import transfer, weights
from effcc.nn.weights import Checkpoint
from effcc.train import optim, process, provenance, trainer
from effcc.train.callbacks import Curve, Keeper
from effcc.train.data import ImageData
from effcc.train.ema import Ema
from effcc.train.module import CondConvModule
from effcc.train.progress import RunProgress


class Interrupted(UserError):
    """Somebody stopped a fit; the message says how to go on."""

    exit_code = 130  # as a shell reports Ctrl-C


@dataclass(frozen=True, slots=True)
class Prediction:
    """The most probable classes of one image, best first."""

    file: str
    classes: tuple[tuple[str, float], ...]


def prepare(spec: Spec) -> tuple[Spec, Source]:
    """Open the spec's data source; the spec takes over its number of classes.

    Raises:
        MissingData: the images are not there, or do not have the classes that somebody stated.
    """
    assert spec.data.source is not None
    source = SOURCES[spec.data.source](spec.data)
    stated = spec.origins["network.num_classes"]
    if stated.layer not in ("default", "checkpoint") and stated.value != len(source.classes):
        raise MissingData(
            f"{stated.place}: network.num_classes is {stated.value}, but {source.title} has "
            f"{len(source.classes)} classes; remove the setting or name other data"
        )
    return spec.with_classes(len(source.classes)), source


def fit(
    spec: Spec,
    source: Source,
    home: Home,
    console: Console,
    command: str,
    checkpoint: Path | None = None,
) -> Record | None:
    """Train, then measure the averaged weights on the test split.

    Args:
        spec: from `prepare`.
        source: from `prepare`.
        home: checkpoints and logs go to `runs/<variant>/<id>/` in it.
        console: where progress is shown.
        command: what was typed, for the record.
        checkpoint: a run to continue, if any.

    Returns:
        The record, not yet saved; None in all but the first of several processes.

    Raises:
        Interrupted: Ctrl-C; the last checkpoint is kept.
        MissingData, BadCheckpoint, BadTrainer: what the run needs is not right.
        NotPublished, BadDownload: it should start from published weights, and cannot.
    """
    process.keep_memory()
    L.seed_everything(spec.seed, workers=True, verbose=False)
    module, data = CondConvModule(spec, source.classes), ImageData(spec, source)
    saved = weights.read(checkpoint) if checkpoint else None
    if saved and not saved.variant:
        raise weights.BadCheckpoint(f"{saved.path}: weights alone, not a run that could go on")
    if saved:
        weights.load(module.model, spec.network, saved)
        optim.check_same_groups(saved.settings.get("recipe") or {}, spec.recipe)
    elif spec.recipe.pretrained:
        for line in transfer.from_published(module.model, spec):
            console.print(line, highlight=False, markup=False)
    arguments = {"max_epochs": spec.recipe.epochs} | dict(spec.trainer)
    if saved and saved.epochs >= (arguments["max_epochs"] or math.inf):
        raise UsageError(
            f"{saved.path}: has its {saved.epochs} epochs; raise --trainer.max_epochs to go on"
        )
    run = _Run.begin(spec, source, home, "fit", command)
    averaging = [Ema(spec.recipe.ema_decay)] if spec.recipe.ema_decay else []
    curve = Curve()
    callbacks = [*averaging, RunProgress(console), curve, Keeper(run.folder)]
    started = time.monotonic()
    try:
        t = trainer.build(arguments, callbacks, run.folder)
        t.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    except BaseException as error:
        kept = run.checkpoint.exists()
        if not kept:  # leave no empty run behind
            shutil.rmtree(run.folder, ignore_errors=True)
        if not isinstance(error, SystemExit):  # which is how Lightning ends on Ctrl-C
            raise
        how = f"go on with --ckpt_path {home.shown(run.checkpoint)}" if kept else "nothing was kept"
        raise Interrupted(f"stopped in epoch {module.current_epoch + 1}; {how}") from None
    seconds = time.monotonic() - started
    measured = _measure(module, data, arguments)
    steps = t.global_step - (saved.steps if saved else 0)  # as many as took these seconds
    return run.record(measured, run.checkpoint, seconds, steps=steps, curve=curve.points)


def evaluate(
    spec: Spec,
    source: Source,
    home: Home,
    command: str,
    checkpoint: Checkpoint,
    split: str = "test",
) -> Record | None:
    """Measure a checkpoint on the test or validation split; returns as `fit` does.

    Raises:
        MissingData, BadCheckpoint, BadTrainer: what it needs is not right.
    """
    process.keep_memory()
    module, data = CondConvModule(spec, source.classes), ImageData(spec, source)
    weights.load(module.model, spec.network, checkpoint)
    run = _Run(spec, source, home, "test", command, _id(spec, "test"))
    started = time.monotonic()
    measured = _measure(module, data, dict(spec.trainer), split)
    return run.record(measured, checkpoint.path, time.monotonic() - started)


def predict(
    spec: Spec, checkpoint: Checkpoint, images: list[Path], top: int = 5
) -> list[Prediction]:
    """The most probable classes of image files.

    Raises:
        BadImage: a file cannot be decoded.
        BadCheckpoint, BadTrainer: what it needs is not right.
    """
    from torch.utils.data import DataLoader

    process.keep_memory()
    module = CondConvModule(spec, checkpoint.classes)
    weights.load(module.model, spec.network, checkpoint)
    names = checkpoint.classes or tuple(str(i) for i in range(spec.network.num_classes))
    loader = DataLoader(Unlabelled(images, spec.preprocessing), batch_size=min(32, len(images)))
    t = trainer.build(dict(spec.trainer) | {"enable_progress_bar": False}, [], None)
    predictions = []
    for batch in t.predict(module, loader) or []:
        for row in batch:  # type: ignore[union-attr]  # one loader: a list of tensors
            best = row.topk(min(top, len(names)))
            file = str(images[len(predictions)])
            ranked = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            predictions.append(Prediction(file, tuple((names[i], p) for i, p in ranked)))
    return predictions


def newest_checkpoint(home: Home, variant: str) -> Path | None:
    """The last checkpoint of a variant's newest run."""
    found = sorted((home.runs / variant).glob("*/last.ckpt"), key=lambda path: path.parent.name)
    return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class _Measured:
    """What an evaluation found, on which split, and where it ran."""

    metrics: Mapping[str, Metric]
    split: str
    device: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class _Run:
    """A run under way: what it is of, and where its files go."""

    spec: Spec
    source: Source
    home: Home
    verb: str
    command: str
    id: str

    @classmethod
    def begin(cls, spec: Spec, source: Source, home: Home, verb: str, command: str) -> _Run:
        """A run with a folder of its own."""
        while True:
            run = cls(spec, source, home, verb, command, _id(spec, verb))
            if not process.is_first():  # Lightning takes the first process's folder for all
                return run
            try:
                run.folder.mkdir(parents=True)
            except FileExistsError:  # another run began in the same second
                time.sleep(0.3)
            else:
                return run

    @property
    def folder(self) -> Path:
        """For checkpoints and logs."""
        return self.home.runs / self.spec.name / self.id

    @property
    def checkpoint(self) -> Path:
        """The last one."""
        return self.folder / "last.ckpt"

    def record(
        self,
        measured: _Measured,
        checkpoint: Path,
        seconds: float,
        steps: int = 0,
        curve: tuple[Mapping[str, float], ...] = (),
    ) -> Record | None:
        """The run's record; None in all but the first of several processes."""
        if not process.is_first():
            return None
        spec, source, images = self.spec, self.source, self.source.split(measured.split)
        return Record(
            id=self.id,
            variant=spec.name,
            verb=self.verb,
            date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            command=self.command,
            spec_digest=spec.digest,
            settings=spec.settings(),
            overrides=spec.overrides(),
            seed=spec.seed,
            dataset=Dataset(
                name=source.name,
                title=source.title,
                split=images.name,
                images=len(images),
                classes=len(source.classes),
                fingerprint=images.fingerprint,
                train_images=len(source.split("train")) if self.verb == "fit" else 0,
            ),
            metrics=measured.metrics,
            curve=curve,
            seconds=round(seconds, 1),
            steps=steps,
            git=provenance.git(self.home.root),
            versions=provenance.versions(),
            device=measured.device,
            checkpoint={
                "path": self.home.shown(checkpoint),
                "sha256": files.sha256(checkpoint),
                "bytes": checkpoint.stat().st_size,
            },
        )


def _measure(
    module: CondConvModule, data: ImageData, arguments: dict[str, Any], split: str = "test"
) -> _Measured:
    t = trainer.build(arguments | {"enable_progress_bar": False}, [], None)
    look = t.validate if split == "val" else t.test
    values = look(module, data, verbose=False)[0]
    n = round(values[f"{split}_n"])
    metrics = {"loss": Metric(values[f"{split}_loss"])}
    for name in ("top1", "top5"):
        if f"{split}_{name}" in values:
            metrics[name] = results.accuracy(round(values[f"{split}_{name}"] * n), n)
    device = provenance.device(t.strategy.root_device.type, t.world_size)
    return _Measured(metrics, split, device)


def _id(spec: Spec, verb: str) -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{verb}-{spec.data.source}-{spec.seed}"
