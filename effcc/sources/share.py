"""An epoch dealt out so that what lies together is read together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def in_runs(
    starts: NDArray[np.int64], window: int, random: np.random.Generator, rank: int, ranks: int
) -> NDArray[np.int64]:
    """The positions that one of `ranks` devices trains on, nearly in the order they are stored.

    The parts are shuffled, and each rank takes a run of them as long as every other's; inside a run
    only images less than `window` parts from each other change places. No image is another rank's,
    and at most ranks - 1 are left out.

    Args:
        starts: where each part begins, and where the last one ends.
        window: parts that are read at a time.
        random: equal in all ranks.
        rank: from 0.
        ranks: how many there are.
    """
    parts = random.permutation(len(starts) - 1)
    order = np.concatenate([np.arange(*map(int, starts[part : part + 2])) for part in parts])
    each = len(order) // ranks
    mine = order[rank * each : (rank + 1) * each]
    together = max(1, -(-window * len(order) // len(parts)))
    for begin in range(0, each, together):
        random.shuffle(mine[begin : begin + together])
    return mine
