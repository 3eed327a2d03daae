"""Images per second of our way of reading, beside others; and how long a model waits for them.

    python -m pip install -e '.[bench]'
    python benchmarks/data_pipeline.py --out benchmarks/results/data_pipeline.txt

JPEG files of ImageNet's usual size (500x375, about 110 kB) are made from scikit-learn's two
photographs. Every way reads a file, crops it at random, resizes it to 224 pixels, mirrors half and
gives a uint8 tensor, in one process with one thread. Ways take turns, in another order each round,
so that whatever else the machine does meets all of them. Before that, those that should agree are
shown to.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import io
import math
import os
import platform
import random
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.nn import functional as F

import effcc
from effcc.catalog.spec import Spec
from effcc.data import resize
from effcc.data.loader import Training
from effcc.sources import decode
from effcc.sources.known import SOURCES
from effcc.train import process
from effcc.train.data import ImageData
from effcc.train.module import CondConvModule

SIZE, VARIANT, BATCH = 224, "cc_pico_4e", 32
AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)

# From a file and a seed to a uint8 tensor (3, 224, 224).
Way = Callable[[Path, int], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=6, help="training steps per round")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the tables there too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    process.keep_memory()
    with tempfile.TemporaryDirectory() as folder:
        files = make_images(Path(folder), args.images)
        begun, agreed = machine(), agreement(files)
        ways, missing = the_ways(Path(folder), files)
        rates = interleaved(ways, files, args.rounds)
        waits = waiting(Path(folder), args.rounds, args.steps)
        size = statistics.mean(file.stat().st_size for file in files) / 1000
        what = f"{len(files)} JPEG files of 500x375, {size:.0f} kB each; {args.rounds} rounds"
        lines = [*begun, what, "", *agreed, "", *table(rates), *missing, "", *wait_table(waits)]
    print("\n".join(lines))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", "utf-8")


def make_images(folder: Path, count: int) -> list[Path]:
    """A folder source of photographs: two classes, and some to validate."""
    from sklearn.datasets import load_sample_images

    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    chance = np.random.default_rng(0)
    files: list[Path] = []
    for number in range(count):
        whole = photographs[number % 2]
        width = int(chance.integers(400, 640))
        height = width * 3 // 4
        left = int(chance.integers(0, whole.width - width + 1))
        top = int(chance.integers(0, max(1, whole.height - height)))
        image = whole.crop((left, top, left + width, min(top + height, whole.height)))
        image = image.resize((500, 375), Image.Resampling.LANCZOS).filter(ImageFilter.SHARPEN)
        grain = chance.normal(0, 3, (375, 500, 1))
        levels = (np.asarray(image) + grain).round().clip(0, 255).astype(np.uint8)
        split = "val" if number < 4 else "train"
        path = folder / split / f"class{number % 2}" / f"{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(path, quality=95, subsampling=2)
        files.append(path)
    return files


def spec_of(folder: Path, variant: str = VARIANT, **data: object) -> Spec:
    settings = {"data.root": str(folder), "preprocessing.image_size": SIZE}
    settings |= {f"data.{name}": value for name, value in data.items()}
    return effcc.load(variant, source="folder", settings=settings)


def agreement(files: list[Path]) -> list[str]:
    """Decoders agree to the bit, resizes of whole images within a level; or this stops."""
    spec = spec_of(files[0].parents[2])
    whole = dataclasses.replace(
        spec.recipe.augment, crop_area=(1.0, 1.0), crop_aspect=(4 / 3, 4 / 3), hflip=0.0
    )
    worst = 0
    for file in files[:32]:
        content = file.read_bytes()
        pixels = decode.decode(content, str(file), "pillow")
        assert np.array_equal(pixels, decode.decode(content, str(file), "simplejpeg"))
        by_hand = Image.open(io.BytesIO(content)).convert("RGB").resize((SIZE, SIZE), 3)
        for fast in (False, True):
            chance = np.random.default_rng(0)
            ours = resize.for_training(pixels, spec.preprocessing, whole, chance, fast)
            difference = np.abs(ours.astype(int) - np.asarray(by_hand)).max()
            assert difference <= (1 if fast else 0), f"{file}: {difference} levels"
            worst = max(worst, int(difference))
    return [f"decoded pixels are equal, resized whole images within {worst} level"]


def the_ways(folder: Path, files: list[Path]) -> tuple[dict[str, Way], list[str]]:
    """Every way that can be taken here, and why others cannot."""
    ways: dict[str, Way] = {
        "effcc, simplejpeg and torch": ours(folder, "simplejpeg"),
        "effcc, Pillow": ours(folder, "pillow"),
        "Pillow by hand, as torchvision": pillow_by_hand,
    }
    missing: list[str] = []
    if importlib.util.find_spec("effcc.data.augment"):
        for name, decoder in (("simplejpeg and torch", "simplejpeg"), ("Pillow", "pillow")):
            ways[f"effcc, {name}, AutoAugment v0"] = ours(folder, decoder, policy="v0")
    else:
        missing.append("AutoAugment: not measured, effcc.data.augment does not exist yet")
    for name, make in (("OpenCV by hand", opencv), ("Albumentations on OpenCV", albumentations)):
        try:
            ways[name] = make()
        except ImportError as error:
            missing.append(f"{name}: not measured, {error}; pip install 'effcc[bench]'")
    return ways, missing


def ours(folder: Path, decoder: str, policy: str | None = None) -> Way:
    spec = effcc.load(
        VARIANT,
        source="folder",
        settings={
            "data.root": str(folder),
            "data.decoder": decoder,
            "preprocessing.image_size": SIZE,
            "recipe.augment.policy": policy,
        },
    )
    split = SOURCES["folder"](spec.data).split("train")
    samples = Training(split, spec.preprocessing, spec.recipe, spec.data, seed=0)
    return lambda file, seed: samples[seed, seed % len(split)].images


def crop_and_flip(width: int, height: int) -> tuple[int, int, int, int, bool]:
    """torchvision's RandomResizedCrop and RandomHorizontalFlip: left, top, right, bottom, flip."""
    for _ in range(10):
        area = width * height * random.uniform(*AREA)
        aspect = math.exp(random.uniform(math.log(ASPECT[0]), math.log(ASPECT[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h, random.random() < 0.5
    return 0, 0, width, height, random.random() < 0.5


def pillow_by_hand(file: Path, seed: int) -> torch.Tensor:
    random.seed(seed)
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    *box, flip = crop_and_flip(*image.size)
    image = image.crop(tuple(box)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def opencv() -> Way:
    import cv2

    cv2.setNumThreads(0)

    def way(file: Path, seed: int) -> torch.Tensor:
        random.seed(seed)
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        left, top, right, bottom, flip = crop_and_flip(image.shape[1], image.shape[0])
        # Its cubic does not average when it shrinks; of its filters this one does.
        image = cv2.resize(image[top:bottom, left:right], (SIZE, SIZE), None, 0, 0, cv2.INTER_AREA)
        return torch.from_numpy(cv2.flip(image, 1) if flip else image).permute(2, 0, 1)

    return way


def albumentations() -> Way:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for its newest version
    import albumentations
    import cv2

    cv2.setNumThreads(0)
    change = albumentations.Compose(
        [
            albumentations.RandomResizedCrop(
                size=(SIZE, SIZE), scale=AREA, ratio=ASPECT, interpolation=cv2.INTER_AREA
            ),
            albumentations.HorizontalFlip(p=0.5),
        ],
        seed=0,
    )

    def way(file: Path, seed: int) -> torch.Tensor:
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        return torch.from_numpy(np.ascontiguousarray(change(image=image)["image"])).permute(2, 0, 1)

    return way


def interleaved(ways: dict[str, Way], files: list[Path], rounds: int) -> dict[str, list[float]]:
    """Images per second of each way in each round; the first, which warms up, does not count."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in random.Random(number).sample(list(ways), len(ways)):
            started = time.perf_counter()
            for seed, file in enumerate(files):
                image = ways[name](file, number * len(files) + seed)
                assert (image.shape, image.dtype) == ((3, SIZE, SIZE), torch.uint8)
            if number:
                rates[name].append(len(files) / (time.perf_counter() - started))
    return rates


def waiting(folder: Path, rounds: int, steps: int) -> dict[tuple[str, int], list[float]]:
    """Share of the time that training steps wait for their batch, by decoder and workers."""
    module = CondConvModule(spec_of(folder).with_classes(2))
    optimizer = torch.optim.SGD(module.parameters(), 1e-3)
    shares: dict[tuple[str, int], list[float]] = {}
    ways = [(decoder, workers) for decoder in ("pillow", "simplejpeg") for workers in (0, 1, 2)]
    for number in range(max(3, rounds // 3)):
        for decoder, workers in random.Random(number).sample(ways, len(ways)):
            spec = spec_of(folder, decoder=decoder, workers=workers, batch_size=BATCH)
            data = ImageData(spec, SOURCES["folder"](spec.data))
            batches, waited, worked = endless(data), 0.0, 0.0
            next(batches)  # while processes start
            for _ in range(steps):
                began = time.perf_counter()
                batch = next(batches)
                came = time.perf_counter()
                F.cross_entropy(module(batch.images), batch.labels).backward()
                optimizer.step()
                optimizer.zero_grad()
                waited, worked = waited + came - began, worked + time.perf_counter() - came
            batches.close()
            shares.setdefault((decoder, workers), []).append(waited / (waited + worked))
    return {way: shares[way] for way in ways}


def endless(data: ImageData) -> Iterator[object]:
    loader = data.train_dataloader()
    while True:
        yield from loader


def quartiles(values: list[float]) -> tuple[float, float, float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def table(rates: dict[str, list[float]]) -> list[str]:
    """Ratios are within a round, so that a round on a busy machine is compared with itself."""
    base = rates["Pillow by hand, as torchvision"]
    head = "images per second, one process"
    rows: list[tuple[float, str]] = []
    for name, values in rates.items():
        low, middle, high = quartiles(values)
        slow, ratio, quick = quartiles([a / b for a, b in zip(values, base, strict=True)])
        cells = f"{middle:6.0f}  {low:4.0f}-{high:<4.0f}  {ratio:.2f}x ({slow:.2f}-{quick:.2f})"
        rows.append((-ratio, f"{name:<44} {cells}"))
    heads = f"{head:<44} median  quartiles  beside Pillow by hand (quartiles)"
    return [heads, *(row for _, row in sorted(rows))]


def wait_table(shares: dict[tuple[str, int], list[float]]) -> list[str]:
    lines = [
        f"share of the time that {VARIANT} at {SIZE} px, batches of {BATCH}, waits for images",
        f"{'decoder':<14} workers  median  quartiles",
    ]
    for (decoder, workers), values in shares.items():
        low, middle, high = (f"{100 * value:.1f} %" for value in quartiles(values))
        lines.append(f"{decoder:<14} {workers:>7}  {middle:>6}  {low} to {high}")
    return lines


def machine() -> list[str]:
    cpu = next(
        (
            line.partition(": ")[2]
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    versions = [f"python {platform.python_version()}"]
    for name in ("torch", "pillow", "simplejpeg", "opencv-python-headless", "albumentations"):
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    load = f"{os.getloadavg()[0]:.1f}"
    return [
        shlex.join(["python", *sys.argv]),
        f"{cpu}, {os.cpu_count()} cores, load {load} when it began; {platform.system()}",
        ", ".join(versions),
    ]


if __name__ == "__main__":
    main()
