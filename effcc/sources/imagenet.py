"""ImageNet (ILSVRC 2012; O. Russakovsky et al., IJCV 2015), in the layouts that people have.

Classes are the WordNet ids in their own order, n01440764 first: the order of published weights'
outputs.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from effcc.catalog.spec import Data
from effcc.sources import listing
from effcc.sources.decode import MissingData
from effcc.sources.folder import NAMES, Folder
from effcc.sources.listing import Listing

CLASSES = 1000
# What Kaggle's unsorted validation images show: `ImageId,PredictionString`, a WordNet id first.
SOLUTION = "LOC_val_solution.csv"


class ImageNet(Folder):
    """Folder train/ and val/ of a folder per WordNet id, or what Kaggle's archive unpacks to.

    The labels of the test images were never published: validation images are the test images.
    Subsets, such as those of 100 classes, are taken too, and the title says so.
    """

    name = "imagenet"
    names = NAMES | {"test": NAMES["val"]}

    def __init__(self, data: Data) -> None:
        given = Path(data.root or "").expanduser()
        inner = (given, given / "ILSVRC/Data/CLS-LOC", given / "Data/CLS-LOC")
        root = next((path for path in inner if (path / "train").is_dir()), given)
        super().__init__(replace(data, root=str(root)))
        strange = [name for name in self.classes if not re.fullmatch(r"n\d{8}", name)]
        if strange:
            raise MissingData(
                f"{self.root.absolute()}: {strange[0]} is no WordNet id such as n01440764; "
                "for other images use --data.source folder"
            )
        self.title = "ImageNet"
        if len(self.classes) != CLASSES:
            self.title = f"{len(self.classes)} of ImageNet's {CLASSES:,} classes"

    def _list(self, place: Path) -> Listing:
        if place.is_dir() and not listing.class_folders(place):
            return _unsorted(place)
        return super()._list(place)


def _unsorted(folder: Path) -> Listing:
    """Images that lie in one folder, with their classes in Kaggle's file beside or above it."""
    beside = (above / SOLUTION for above in folder.absolute().parents[:5])
    solution = next((file for file in beside if file.is_file()), None)
    if solution is None:
        raise MissingData(
            f"{folder} has no folder per class; put Kaggle's {SOLUTION} into "
            f"{folder.absolute().parent}, or sort the images into folders such as n01440764"
        )
    classes = dict(_solution(solution))
    paths, labels, digest = list[str](), list[str](), hashlib.sha256()
    for image in listing.walk(folder):
        label = classes.get(Path(image.name).stem)
        if label is None:
            raise MissingData(f"{image.path} is not in {solution}; add it there or remove it")
        paths.append(image.name)
        labels.append(label)
        digest.update(os.fsencode(f"{image.name} {label} {image.stat().st_size}\n"))
    if not paths:
        raise MissingData(f"{folder} holds no image")
    return Listing(folder, folder, paths, labels, (), f"sha256:{digest.hexdigest()}")


def _solution(file: Path) -> Iterator[tuple[str, str]]:
    line = 0
    try:
        with open(file, encoding="utf-8", newline="") as text:
            for line, row in enumerate(csv.reader(text), 1):
                if line == 1:
                    continue  # its header
                words = row[1].split() if len(row) > 1 else []
                if not words:
                    found = str(row)[:80]
                    raise MissingData(
                        f"{file}:{line}: write ImageId,PredictionString; found {found}"
                    )
                yield row[0], words[0]
    except UnicodeDecodeError:
        raise MissingData(f"{file}: is no UTF-8 text; copy it again") from None
    except csv.Error as error:
        raise MissingData(f"{file}:{line + 1}: {error}; copy it again") from None
