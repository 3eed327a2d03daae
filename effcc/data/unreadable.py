"""Images that cannot be decoded: each is said once, and none is left out in silence."""

from __future__ import annotations

import sys

import torch

from effcc.sources.decode import BadImage


class Unreadable:
    """The images of one split that could not be decoded, over all loader processes.

    Args:
        on_error: `fail` or `skip`, as `data.on_error` has it.
        images: how many the split has.
    """

    def __init__(self, on_error: str, images: int) -> None:
        self.skip = on_error == "skip"
        # In memory that loader processes share, so that each image is reported by one of them.
        self._met = torch.zeros(images if self.skip else 0, dtype=torch.bool).share_memory_()

    def met(self, position: int, error: BadImage) -> None:
        """Report an image, if it is new and may be skipped.

        Raises:
            BadImage: it may not be.
        """
        if not self.skip:
            raise BadImage(f"{error}; --data.on_error skip goes on without it") from None
        if not self._met[position]:
            self._met[position] = True
            sys.stderr.write(f"{error}; skipped\n")

    def positions(self) -> list[int]:
        """Those met so far."""
        return self._met.nonzero().flatten().tolist()
