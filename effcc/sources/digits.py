"""The digits that everybody has: a data set inside a package."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effcc.catalog.spec import Data
from effcc.sources.split import Arrays, Split, fingerprint


class Digits:
    """1,797 handwritten digits of 8x8 grey levels, scanned for NIST and shipped with scikit-learn.

    A subset of E. Alpaydin and C. Kaynak's "Optical Recognition of Handwritten Digits" (UCI, 1998).
    The split is fixed by a shuffle of its own: 360 test, 180 validation, 1,257 training images.
    """

    name = "digits"
    title = "handwritten digits"
    classes = tuple("0123456789")

    def __init__(self, data: Data) -> None:
        from sklearn.datasets import load_digits  # half a second, and only this source needs it

        bundle: Any = load_digits()
        order = np.random.RandomState(1797).permutation(len(bundle.target))
        levels = grey(bundle.images)
        bounds = {"test": order[:360], "val": order[360:540], "train": order[540:]}
        self._splits: dict[str, Split] = {
            name: Arrays(
                name,
                list(np.repeat(levels[chosen, :, :, None], 3, axis=3)),
                bundle.target[chosen],
                fingerprint(
                    levels[chosen].tobytes(), bundle.target[chosen].astype(np.uint8).tobytes()
                ),
            )
            for name, chosen in bounds.items()
        }

    def split(self, name: str) -> Split:
        """The images of `train`, `val` or `test`."""
        return self._splits[name]


def grey(counts: ArrayLike) -> NDArray[np.uint8]:
    """The levels of pixels in which so many of the 16 points of a finer scan, 4 by 4, are ink."""
    return np.round(np.asarray(counts) * (255 / 16)).astype(np.uint8)
