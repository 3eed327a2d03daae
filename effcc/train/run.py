"""One run: a spec becomes a trained model and a record of what it measured."""

from __future__ import annotations

import math
import shlex
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from rich.console import Console

from effcc.catalog import ids, results
from effcc.catalog.results import NETWORK, Metric, Record
from effcc.catalog.spec import Spec
from effcc.data.loader import Unlabelled
from effcc.ground import files
from effcc.ground.errors import UsageError, UserError
from effcc.ground.home import Home
from effcc.ground.words import many
from effcc.nn import engines, native, transfer, weights
from effcc.nn.weights import Checkpoint, History
from effcc.sources import decode
from effcc.sources.decode import BadImage, MissingData
from effcc.sources.known import SOURCES, Source
from effcc.train import checkpoints, guard, optim, process, provenance, ranks, trainer
from effcc.train.callbacks import Curve
from effcc.train.checkpoints import BySteps, Keeper
from effcc.train.data import ImageData
from effcc.train.guard import Failed, Finite, NotFinite, Unwritable
from effcc.train.meter import Meter
from effcc.train.module import CondConvModule
from effcc.train.process import LostProcess
from effcc.train.progress import RunProgress
from effcc.train.ranks import Alone
from effcc.train.raw import averages
from effcc.train.signals import Signals, Stopped

# Where a run notes the batch whose loss was no number.
NOT_FINITE = "not-finite.json"


class Interrupted(UserError):
    """Somebody stopped a fit; the message says how to go on, the exit code is as a shell's."""

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class OneProcess(UsageError):
    """An engine that was asked for cannot compute where the trainer does."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The most probable classes of one image, best first."""

    file: str
    classes: tuple[tuple[str, float], ...]


def prepare(spec: Spec) -> tuple[Spec, Source]:
    """Open the spec's data source; the spec takes over its number of classes.

    Raises:
        MissingData: the images are not there, or do not have the classes that somebody stated.
        UserError: the decoder that was asked for is not installed.
    """
    assert spec.data.source is not None
    decode.fast(spec.data.decoder)  # before hours of work: whether what it names is installed
    source = SOURCES[spec.data.source](spec.data)
    stated = spec.origins["network.num_classes"]
    if stated.layer not in ("default", "checkpoint") and stated.value != len(source.classes):
        raise MissingData(
            f"{stated.place}: network.num_classes is {stated.value}, but {source.title} has "
            f"{many(len(source.classes), 'class', 'classes')}; remove the setting or name other "
            "data"
        )
    return spec.with_classes(len(source.classes)), source


def slower() -> str:
    """Why a processor of this machine trains slower than it could; empty if it does not."""
    return "" if torch.cuda.is_available() else native.missing()


def fit(
    spec: Spec,
    source: Source,
    home: Home,
    console: Console,
    command: str,
    checkpoint: Path | None = None,
    compiled: bool = False,
) -> Record | None:
    """Train, then measure the averaged weights on the test split.

    Args:
        spec: from `prepare`.
        source: from `prepare`.
        home: checkpoints and logs go to `runs/<variant>/<id>/` in it.
        console: where progress is shown.
        command: what was typed, for the record.
        checkpoint: a run to continue, if any.
        compiled: whether torch's compiler makes the network's steps.

    Returns:
        The record, not yet saved; None in all but the first of several processes.

    Raises:
        Interrupted: a signal asked for it; what was done is in the last checkpoint.
        NotFinite, OutOfMemory, Unwritable, LostProcess: it cannot go on; the last checkpoint is
            whole.
        MissingData, BadCheckpoint, BadTrainer: what the run needs is not right.
        NotPublished, BadDownload, BadCheckpoint: it should start from other weights, and cannot.
    """
    process.follow_first()
    L.seed_everything(spec.seed, workers=True, verbose=False)
    saved = weights.read(checkpoint) if checkpoint else None
    fresh = saved is None and not spec.recipe.pretrained
    module, data = CondConvModule(spec, source.classes, fresh=fresh), ImageData(spec, source)
    if saved and not saved.variant:
        raise weights.BadCheckpoint(f"{saved.path}: weights alone, not a run that could go on")
    if saved:
        weights.load(module.model, spec.network, saved)
        module.start = saved.start
        optim.check_same_groups(saved.settings.get("recipe") or {}, spec.recipe)
    elif spec.recipe.pretrained:
        path = transfer.file(spec, spec.recipe.pretrained)
        for line in transfer.from_file(module.model, spec, path):
            console.print(line, highlight=False, markup=False)
        module.start = provenance.file(path, home)
    if compiled:
        module.model.compile()  # in place: names and checkpoints stay as they are
    arguments = ranks.launched({"max_epochs": spec.recipe.epochs} | dict(spec.trainer))
    if saved and _is_over(saved, arguments, home, spec.name):
        run = _Run(spec, source, home, "fit", command, _id(spec, "fit", home))
        measured = _measure(module, data, arguments)
        return run.record(measured, saved, saved.history, saved.start)
    run = _Run.begin(spec, source, home, "fit", command)
    averaging = averages(spec.recipe.ema_decay, sharded=arguments.get("strategy") == "fsdp")
    curve, asked = Curve(), Signals()
    finite = Finite(run.folder / NOT_FINITE, source.split("train"))
    keeper = Keeper(run.folder, asked, finite)
    # The meter after what takes time at a batch's end, which is not waiting for data.
    watching = (RunProgress(console), curve, Meter(), asked, finite, keeper)
    try:
        t = trainer.build(arguments, [Alone(), BySteps(), *averaging, *watching], run.folder)
        with asked.listening(), guard.explained(spec.batch_size), ranks.together(t):
            t.fit(module, data, ckpt_path=checkpoint, weights_only=True)
        history = History(curve.points, curve.steps(t), curve.seconds)
        measured = _measure(module, data, arguments)
    except BaseException as error:
        data.end()
        kept = _tidied(keeper.path.parent) or checkpoint
        how = "nothing was kept"
        if kept:
            how = f"go on with --ckpt_path {shlex.quote(home.shown(kept))}"
        where = f"in epoch {module.current_epoch + 1}"
        if isinstance(error, LostProcess):
            raise LostProcess(f"{error} {where}; {how}") from None
        # Data may be wrong before anything could be kept, and then there is nothing to say of it.
        if isinstance(error, Failed | Unwritable | Interrupted) or (
            isinstance(error, MissingData) and kept
        ):
            error.args = (f"{error}; {how}",)
            raise
        if not isinstance(error, Stopped | SystemExit):  # the second is Lightning's way at Ctrl-C
            raise
        # Without a signal of its own, a process stops with the others.
        number = asked.received or signal.SIGTERM
        by = "" if number == signal.SIGINT else f" by {number.name}"
        raise Interrupted(f"stopped {where}{by}; {how}", number) from None
    return run.record(measured, run.checkpoint, history, module.start)


def evaluate(
    spec: Spec,
    source: Source,
    home: Home,
    command: str,
    checkpoint: Checkpoint,
    split: str = "test",
    engine: str = engines.DEFAULT,
) -> Record | None:
    """Measure a checkpoint on the test or validation split by an engine; returns as `fit` does.

    Raises:
        MissingData, BadCheckpoint, BadTrainer, OneProcess: what it needs is not right.
    """
    process.follow_first()
    module, data = CondConvModule(spec, source.classes, fresh=False), ImageData(spec, source)
    weights.load(module.model, spec.network, checkpoint)
    run = _Run(spec, source, home, "test", command, _id(spec, "test", home))
    started = time.monotonic()
    try:
        measured = _measure(module, data, ranks.launched(spec.trainer), split, engine)
    finally:
        data.end()
    history = History(seconds=time.monotonic() - started)
    return run.record(measured, checkpoint, history, checkpoint.start)


def predict(
    spec: Spec,
    checkpoint: Checkpoint,
    images: list[Path],
    top: int = 5,
    engine: str = engines.DEFAULT,
) -> list[Prediction]:
    """The most probable classes of image files, but for those that may be skipped and are.

    One device predicts.

    Raises:
        BadImage: a file cannot be decoded and may not be skipped, or none can.
        BadCheckpoint, BadTrainer, OneProcess: what it needs is not right.
    """
    from torch.utils.data import DataLoader

    module = CondConvModule(spec, checkpoint.classes, fresh=False)
    weights.load(module.model, spec.network, checkpoint)
    names = checkpoint.classes or tuple(str(i) for i in range(spec.network.num_classes))
    files = Unlabelled(images, spec.preprocessing, spec.data.decoder, spec.data.on_error)
    loader = DataLoader(files, batch_size=min(32, len(images)))
    one = {"devices": 1, "num_nodes": 1, "strategy": "auto", "enable_progress_bar": False}
    t = trainer.build(dict(spec.trainer) | one, [], None)
    _hand_over(module, t, engine)
    batches: Any = t.predict(module, loader) or []  # one loader: a list of tensors
    unreadable = set(files.unreadable.positions())
    if len(unreadable) == len(images):
        raise BadImage(f"none of {many(len(images), 'image')} could be decoded")
    predictions = []
    for position, row in enumerate(row for batch in batches for row in batch):
        if position not in unreadable:
            best = row.topk(min(top, len(names)))
            ranked = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            classes = tuple((names[i], p) for i, p in ranked)
            predictions.append(Prediction(str(images[position]), classes))
    return predictions


@dataclass(frozen=True, slots=True)
class _Measured:
    """What an evaluation found, on which split, and what computed it where."""

    metrics: Mapping[str, Metric]
    split: str
    unreadable: int
    device: Mapping[str, str | int]
    engine: str


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
        """A run with a folder of its own.

        Raises:
            Unwritable: it cannot be made.
        """
        for left in reversed(range(ids.TRIES)):
            run = cls(spec, source, home, verb, command, _id(spec, verb, home))
            if not process.is_first():  # Lightning takes the first process's folder for all
                return run
            try:
                run.folder.mkdir(parents=True)
            except OSError as error:
                # Another process may have taken the name meanwhile; but a link to nothing in the
                # place of the folder above is the same error, however often one tries.
                taken = isinstance(error, FileExistsError) and run.folder.parent.is_dir()
                if left and taken:
                    continue
                raise Unwritable(
                    f"{run.folder}: cannot be made: {error.strerror}; a run's checkpoints and logs "
                    "go there: let it be a folder that you may write to"
                ) from None
            if launch := process.launch():
                files.write(run.folder / checkpoints.LAUNCH, launch)
            return run
        raise AssertionError("the last try returns or raises")

    @property
    def folder(self) -> Path:
        """For checkpoints and logs."""
        return self.home.runs / self.spec.name / self.id

    @property
    def checkpoint(self) -> Path:
        """The last one."""
        return self.folder / checkpoints.LAST

    def record(
        self,
        measured: _Measured,
        weights: Path | Checkpoint,
        history: History,
        start: Mapping[str, Any],
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
            dataset=provenance.images(
                source, images, measured.unreadable, trained=self.verb == "fit"
            ),
            metrics=measured.metrics,
            curve=history.points,
            seconds=round(history.seconds, 1),
            steps=history.steps,
            git=provenance.git(self.home.root),
            versions=provenance.versions(measured.engine),
            device=measured.device,
            checkpoint=provenance.weights(weights, spec, self.home),
            engine=measured.engine,
            start=start,
        )


def _measure(
    module: CondConvModule,
    data: ImageData,
    arguments: dict[str, Any],
    split: str = "test",
    engine: str = NETWORK,
) -> _Measured:
    t = trainer.build(arguments | {"enable_progress_bar": False}, [], None)
    engine = _hand_over(module, t, engine)
    look = t.validate if split == "val" else t.test
    try:
        with guard.explained(module.spec.batch_size), ranks.together(t):
            values = look(module, data, verbose=False)[0]
    except SystemExit:  # Lightning's way at Ctrl-C
        raise Interrupted("stopped while measuring") from None
    n, unreadable = round(values[f"{split}_n"]), round(values[f"{split}_unreadable"])
    if n == 0:
        raise BadImage(f"none of {many(unreadable, f'{split} image')} could be decoded")
    if not math.isfinite(values[f"{split}_loss"]):
        raise NotFinite(f"the {split} loss is no number: training diverged; lower --recipe.lr")
    metrics = {"loss": Metric(values[f"{split}_loss"])}
    for name in ("top1", "top5"):
        if f"{split}_{name}" in values:
            metrics[name] = results.accuracy(round(values[f"{split}_{name}"] * n), n)
    device = provenance.device(t.strategy.root_device.type, t.world_size)
    return _Measured(metrics, split, unreadable, device, engine)


def _hand_over(module: CondConvModule, t: L.Trainer, engine: str) -> str:
    """Put an engine in the network's place, if it can compute there; returns what computes.

    Raises:
        OneProcess: it cannot, and is not the one that is taken unasked.
    """
    alone = isinstance(t.strategy, SingleDeviceStrategy) and t.strategy.root_device.type == "cpu"
    if engine != NETWORK and alone and t.precision == "32-true":
        module.register_module("model", engines.build(engine, module.model, module.spec))
        return engine
    if engine not in (NETWORK, engines.DEFAULT):
        raise OneProcess(
            f"--engine {engine} computes in one process, on a CPU, in float32: leave it out, or "
            "add --trainer.accelerator cpu --trainer.devices 1 --trainer.precision 32-true"
        )
    return NETWORK


def _is_over(saved: Checkpoint, arguments: Mapping[str, Any], home: Home, variant: str) -> bool:
    """Whether a checkpoint has all its training, and only the record is missing.

    Raises:
        UsageError: nothing is missing.
    """
    limits = ((arguments["max_epochs"], saved.epochs), (arguments.get("max_steps"), saved.steps))
    if not any(isinstance(limit, int) and 0 < limit <= done for limit, done in limits):
        return False
    path = home.shown(saved.path)
    ended = any(point["step"] == saved.steps for point in saved.history.points)
    recorded = any(path == record.checkpoint["path"] for record in results.load(home, variant))
    if recorded or not ended:  # the second: it was stopped later, within an epoch
        raise UsageError(
            f"{path}: has its {many(saved.epochs, 'epoch')}; raise --trainer.max_epochs to go on"
        )
    return True


def _tidied(folder: Path) -> Path | None:
    """The last checkpoint of a run that ended early; a run that has nothing leaves no folder."""
    kept = checkpoints.kept(folder)
    if not kept and process.is_first() and not (folder / NOT_FINITE).exists():
        shutil.rmtree(folder, ignore_errors=True)
    return kept


def _id(spec: Spec, verb: str, home: Home) -> str:
    return ids.fresh(spec.name, f"{verb}-{spec.data.source}-{spec.seed}", home)
