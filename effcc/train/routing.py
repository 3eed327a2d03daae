"""A checkpoint's routing over a split: what its experts do, as a record.

The network is run as `effcc test` runs it, by its averaged weights, on one device.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning as L
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from effcc.catalog import ids, results, routings
from effcc.catalog.routings import Example, Expert, Routed, Routing, Row, Specialist
from effcc.catalog.spec import Spec
from effcc.data import thumbnail
from effcc.data.loader import Batch
from effcc.ground.errors import UsageError
from effcc.ground.home import Home
from effcc.ground.words import in_a_line, many
from effcc.nn import weights
from effcc.nn.routing import Figures, Tally, routers
from effcc.nn.weights import Checkpoint
from effcc.sources.decode import BadImage
from effcc.sources.known import FREE, Source
from effcc.sources.split import Split
from effcc.train import provenance, trainer
from effcc.train.data import ImageData
from effcc.train.guard import NotFinite
from effcc.train.module import CondConvModule


def measure(
    spec: Spec,
    source: Source,
    home: Home,
    command: str,
    checkpoint: Checkpoint,
    split: str = "test",
    images: bool = False,
) -> Routing:
    """What the experts of a checkpoint do with a split.

    Args:
        spec: from `run.prepare`.
        source: from `run.prepare`.
        home: the project, for the record.
        command: what was typed, for the record.
        checkpoint: the weights.
        split: `test` or `val`.
        images: whether images go into the record whoever owns them, and not the free ones alone.

    Returns:
        The record, not yet saved.

    Raises:
        UsageError: the variant has no conditional block.
        MissingData, BadImage, BadCheckpoint, BadTrainer, NotFinite: what it needs is not right.
    """
    name = ids.fresh(spec.name, f"routing-{source.name}-{split}", home)
    started = time.monotonic()
    module, data = CondConvModule(spec, source.classes, fresh=False), ImageData(spec, source)
    weights.load(module.model, spec.network, checkpoint)
    if not routers(module):
        raise UsageError(f"routing: {spec.name} has no conditional block, so nothing is routed")
    listener = Listener(len(source.classes))
    one = {"devices": 1, "num_nodes": 1, "strategy": "auto", "enable_progress_bar": False}
    t = trainer.build(dict(spec.trainer) | one, [listener], None)
    try:
        (t.validate if split == "val" else t.test)(module, data, verbose=False)
    finally:
        data.end()
    found, shown = _figures(listener, split), source.split(split)
    blocks = tuple(_routed(name, figures) for name, figures in found.items())
    counts = next(iter(listener.tallies.values())).counts
    ours = provenance.weights(checkpoint, spec, home)
    return Routing(
        id=name,
        variant=spec.name,
        verb="routing",
        date=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        command=command,
        settings=spec.settings(),
        overrides=spec.overrides(),
        seed=spec.seed,
        dataset=provenance.images(source, shown, listener.unreadable),
        classes=tuple(map(in_a_line, source.classes)),
        counts=tuple(counts.tolist()),
        blocks=blocks,
        specialists=tuple(
            Specialist(
                block.name,
                expert,
                _examples(found[block.name], expert, shown, spec, images or source.name in FREE),
            )
            for block, expert in routings.specialists(blocks)
        ),
        drift=checkpoint.drift,
        measured_by=_measured_by(home, spec.name, ours["sha256"]),
        seconds=round(time.monotonic() - started, 1),
        git=provenance.git(home.root),
        versions=provenance.versions(),
        device=provenance.device(t.strategy.root_device.type, 1),
        checkpoint=ours,
    )


class Listener(L.Callback):
    """Adds up the routing of every conditional block while a split is evaluated."""

    def __init__(self, classes: int) -> None:
        self.tallies: dict[str, Tally] = {}
        self.unreadable = 0
        self._classes = classes
        self._batch: Batch | None = None
        self._hooks: list[RemovableHandle] = []

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen to the routing of every block."""
        for block, layer in routers(pl_module).items():
            self.tallies[block] = Tally(self._classes, layer.out_features)
            self._hooks.append(layer.register_forward_hook(self._hearing(self.tallies[block])))

    def on_test_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note whose routing comes next."""
        self._batch = batch
        self.unreadable += int(batch.unreadable.sum())

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen no more."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    on_validation_start, on_validation_end = on_test_start, on_test_end
    on_validation_batch_start = on_test_batch_start

    def _hearing(self, tally: Tally) -> Any:
        def hear(module: nn.Module, inputs: Any, logits: Tensor) -> None:
            assert self._batch is not None
            seen = ~self._batch.unreadable
            tally.add(logits[seen], self._batch.labels[seen], self._batch.positions[seen])

        return hear


def _figures(listener: Listener, split: str) -> Mapping[str, Figures]:
    """What every block's sums say; raises if there is nothing to say."""
    for tally in listener.tallies.values():
        if not int(tally.counts.sum()):
            unread = many(listener.unreadable, f"{split} image")
            raise BadImage(f"none of {unread} could be decoded")
        if not tally.finite:
            raise NotFinite("a routing weight is no number: training diverged; lower --recipe.lr")
    return {name: tally.figures() for name, tally in listener.tallies.items()}


def _routed(name: str, found: Figures) -> Routed:
    experts = zip(found.mean.tolist(), found.spread.tolist(), found.share.tolist(), strict=True)
    return Routed(
        name=name,
        entropy=round(found.entropy, 6),
        distance=round(found.distance, 6),
        experts=tuple(Expert(*(round(value, 6) for value in each)) for each in experts),
        means=_rows(found.means),
        spreads=_rows(found.spreads),
    )


def _rows(values: Tensor) -> tuple[Row, ...]:
    """Rows of four decimals, as they are written; None for a class without images."""
    rows: list[list[float]] = values.tolist()
    return tuple(None if row[0] != row[0] else tuple(round(v, 4) for v in row) for row in rows)


def _examples(
    found: Figures, expert: int, split: Split, spec: Spec, show: bool
) -> tuple[Example, ...]:
    """The images that weigh most on an expert; with their pixels if they may be shown."""
    positions: Sequence[int] = found.top_positions[expert].tolist()
    return tuple(
        Example(
            position=at,
            label=int(split.labels[at]),
            weight=round(float(weight), 4),
            name=_name(split.where(at), spec),
            picture=thumbnail.data_uri(split.pixels(at, spec.data.decoder)) if show else "",
        )
        for at, weight in zip(positions, found.top_weights[expert], strict=True)
    )


def _name(where: str, spec: Spec) -> str:
    """What an image is called, without the folder that all of them are in."""
    root = Path(spec.data.root).resolve() if spec.data.root else None
    path = Path(where)
    if root and path.is_absolute() and path.resolve().is_relative_to(root):
        where = path.resolve().relative_to(root).as_posix()
    return in_a_line(where)


def _measured_by(home: Home, variant: str, sha256: str) -> str | None:
    """The newest record of the accuracy of the same checkpoint."""
    records = results.load(home, variant)
    same = [r.id for r in records if r.checkpoint["sha256"] == sha256 and not results.edited(r)]
    return same[-1] if same else None
