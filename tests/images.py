"""Small image files in the layouts of the sources, and the sources over them."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import effcc
from effcc.sources.known import SOURCES


def source(kind, root=None, **named):
    """A source over files, as a run opens it."""
    data = effcc.load("cc_pico_4e", source="digits").data
    root = None if root is None else os.fspath(root)
    return SOURCES[kind](replace(data, source=kind, root=root, **named))


def photograph(path, seed, size=(40, 32)):
    """An image file of noise, each seed another."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def photographs(root, *, classes=("cat", "dog", "eel"), train=7, val=3):
    """A folder with train/ and val/, JPEG and PNG files in a folder per class."""
    seed = 0
    for split, count in (("train", train), ("val", val)):
        for name in classes:
            for number in range(count):
                seed += 1
                suffix = "png" if number % 3 == 0 else "jpg"
                photograph(root / split / name / f"{number}.{suffix}", seed, (30 + number, 24))
    return root
