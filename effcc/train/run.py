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
from lightning.pytorch.callbacks import ModelCheckpoint
from rich.console import Console

from effcc.catalog import results
from effcc.catalog.errors import UsageError, UserError
from effcc.catalog.home import Home
from effcc.catalog.results import Dataset, Metric, Record
from effcc.catalog.spec import Spec
from effcc.nn import weights
from effcc.nn.weights import Checkpoint
from effcc.train import process, provenance, trainer
from effcc.train.data import Files, ImageData
from effcc.train.ema import Ema
from effcc.train.module import CondConvModule
from effcc.train.progress import RunProgress
from effcc.train.sources import SOURCES, MissingData, Source

# A checkpoint of the large variant takes half a second to write, an epoch on digits five.
KEEP_EVERY_SECONDS = 60


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
    """
    process.keep_memory()
    L.seed_everything(spec.seed, workers=True, verbose=False)
    module, data = CondConvModule(spec, source.classes), ImageData(spec, source)
    saved = weights.read(checkpoint) if checkpoint else None
    if saved and not saved.variant:
        raise weights.BadCheckpoint(f"{saved.path}: weights alone, not a run that could go on")
    if saved:
        weights.load(module.model, spec.network, saved)
    arguments = {"max_epochs": spec.recipe.epochs} | dict(spec.trainer)
    if saved and saved.epochs >= (arguments["max_epochs"] or math.inf):
        raise UsageError(
            f"{saved.path}: has its {saved.epochs} epochs; raise --trainer.max_epochs to go on"
        )
    run_id, folder = _new_folder(spec, "fit", home)
    curve = _Curve()
    keeper = _Keeper(folder)
    averaging = [Ema(spec.recipe.ema_decay)] if spec.recipe.ema_decay else []
    started = time.monotonic()
    try:
        t = trainer.build(arguments, [*averaging, RunProgress(console), curve, keeper], folder)
        t.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    except BaseException as error:
        last = folder / "last.ckpt"
        if not last.exists():  # nothing worth keeping: leave no empty run behind
            shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, SystemExit):  # which is how Lightning ends on Ctrl-C
            raise
        kept = f"go on with --ckpt_path {home.shown(last)}" if last.exists() else "nothing was kept"
        raise Interrupted(f"stopped in epoch {module.current_epoch + 1}; {kept}") from None
    seconds = time.monotonic() - started
    metrics = _test(module, data, arguments)
    if not process.is_first():
        return None
    return _record(
        spec,
        source,
        home,
        "fit",
        run_id,
        command,
        metrics,
        folder / "last.ckpt",
        t,
        seconds,
        curve.points,
    )


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
    started = time.monotonic()
    metrics = _test(module, data, dict(spec.trainer), split)
    seconds = time.monotonic() - started
    if not process.is_first():
        return None
    run_id = _id(spec, "test")
    return _record(
        spec,
        source,
        home,
        "test",
        run_id,
        command,
        metrics,
        checkpoint.path,
        None,
        seconds,
        (),
        split,
    )


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
    loader = DataLoader(Files(images, spec.preprocessing), batch_size=min(32, len(images)))
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


def _test(
    module: CondConvModule,
    data: ImageData,
    arguments: dict[str, Any],
    split: str = "test",
) -> dict[str, Metric]:
    t = trainer.build(arguments | {"enable_progress_bar": False}, [], None)
    if split == "val":
        values = t.validate(module, data, verbose=False)[0]
    else:
        values = t.test(module, data, verbose=False)[0]
    prefix = split + "_"
    n = round(values[prefix + "n"])
    found = {"loss": Metric(values[prefix + "loss"])}
    for name in ("top1", "top5"):
        if prefix + name in values:
            found[name] = results.accuracy(round(values[prefix + name] * n), n)
    return found


def _record(
    spec: Spec,
    source: Source,
    home: Home,
    verb: str,
    run_id: str,
    command: str,
    metrics: Mapping[str, Metric],
    checkpoint: Path,
    t: L.Trainer | None,
    seconds: float,
    curve: tuple[Mapping[str, float], ...],
    split: str = "test",
) -> Record:
    images = source.split(split)
    return Record(
        id=run_id,
        variant=spec.name,
        verb=verb,
        date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        command=command,
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
            train_images=len(source.split("train")) if verb == "fit" else 0,
        ),
        metrics=metrics,
        curve=curve,
        seconds=round(seconds, 1),
        steps=t.global_step if t else 0,
        git=provenance.git(home.root),
        versions=provenance.versions(),
        device=provenance.device(
            t.strategy.root_device.type if t else "cpu", t.world_size if t else 1
        ),
        checkpoint={
            "path": home.shown(checkpoint),
            "sha256": provenance.sha256(checkpoint),
            "bytes": checkpoint.stat().st_size,
        },
    )


class _Keeper(ModelCheckpoint):
    """Writes `last.ckpt` once a minute, as epochs end, and when training does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            "last",
            save_on_exception=True,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
        )
        self._written = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        done = trainer.should_stop or trainer.global_step >= trainer.estimated_stepping_batches
        if done or time.monotonic() - self._written > KEEP_EVERY_SECONDS:
            super().on_train_epoch_end(trainer, pl_module)
            self._written = time.monotonic()


class _Curve(L.Callback):
    """The figures of every epoch, for the record."""

    def __init__(self) -> None:
        self.points: tuple[dict[str, float], ...] = ()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        point: dict[str, float] = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        point["lr"] = float(f"{trainer.optimizers[0].param_groups[0]['lr']:.4g}")
        for name in ("train_loss", "val_loss", "val_top1"):
            if name in trainer.callback_metrics:
                point[name] = round(float(trainer.callback_metrics[name]), 4)
        self.points += (point,)


def _id(spec: Spec, verb: str) -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{verb}-{spec.data.source}-{spec.seed}"


def _new_folder(spec: Spec, verb: str, home: Home) -> tuple[str, Path]:
    while True:
        run_id = _id(spec, verb)
        if not process.is_first():  # Lightning takes the first process's folder for all
            return run_id, home.runs / spec.name / run_id
        try:
            (home.runs / spec.name / run_id).mkdir(parents=True)
        except FileExistsError:  # another run began in the same second
            time.sleep(0.3)
        else:
            return run_id, home.runs / spec.name / run_id
