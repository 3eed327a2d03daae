"""The weights that train, measured beside their averages: what averaging gains, epoch by epoch."""

from __future__ import annotations

from typing import Any

import lightning as L

from effcc.data.loader import Batch
from effcc.train.ema import Ema, of_first_rank
from effcc.train.module import CondConvModule
from effcc.train.sharding import ShardedEma


def averages(decay: float, *, sharded: bool) -> list[L.Callback]:
    """What averages the weights of a run, and measures those that train beside them.

    Args:
        decay: of the averages; 0 for none.
        sharded: whether each process has a part of every weight.
    """
    if not decay:
        return []
    if sharded:
        return [ShardedEma(decay)]
    average = Ema(decay)
    return [average, Raw(average)]


class Raw(L.Callback):
    """Logs `raw_val_loss`, `raw_val_top1` and `raw_val_top5` of the batches that are validated.

    While the averages are validated, `Ema` keeps the raw weights and their batch-norm statistics in
    a network of their own. It sees each batch once more, in evaluation, so that it draws nothing
    and changes no weight. On several devices it measures one network, so that the others take over
    the first one's raw statistics and keep them; steps normalise by their batches, and what is
    validated and recorded has the first one's statistics anyway. Stands after `Ema`. Sharded
    averages have no such network.
    """

    def __init__(self, average: Ema) -> None:
        self.average = average

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure one network, as `CondConvModule` does of the averages."""
        if trainer.world_size > 1:
            of_first_rank(self.average.other)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure the batch, with the precision that validation has."""
        assert isinstance(pl_module, CondConvModule)
        with trainer.precision_plugin.val_step_context():
            pl_module.measure(batch, "raw_val", self.average.other)
