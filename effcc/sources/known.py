"""Where images come from: a source knows its classes and hands out splits; nothing is random.

`SOURCES` maps the registry's names to classes: the whole extension point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from effcc.catalog.spec import Data
from effcc.sources.digits import Digits
from effcc.sources.folder import Folder
from effcc.sources.huggingface import HuggingFace
from effcc.sources.imagenet import ImageNet
from effcc.sources.shards import Shards
from effcc.sources.split import Split


class Source(Protocol):
    """A named set of images in splits train, val and test."""

    name: str
    title: str
    classes: tuple[str, ...]

    def split(self, name: str) -> Split:
        """The images of one split.

        Raises:
            MissingData: they are not there.
        """
        ...


# Those whose images anybody may show: records and cards hold some of them.
FREE = frozenset({"digits"})

SOURCES: dict[str, Callable[[Data], Source]] = {
    "digits": Digits,
    "folder": Folder,
    "imagenet": ImageNet,
    "shards": Shards,
    "huggingface": HuggingFace,
}
