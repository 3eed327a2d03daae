"""How far the ways of computing a network's logits lie apart: the largest that was found.

`python benchmarks/agreement.py` prints it. The ways, the unit and the tolerances are the tests'
(`tests/agreement.py`); so are the networks: a small one that has learned digits, at three sizes and
in batches of 1, 7 and 32, and the published three on the images and weights of `tests/golden/`.
"""

import platform
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
warnings.simplefilter("ignore")

import golden
import pytest
import torch
from agreement import ULPS, distance, undecided, ways
from learned import at, digits, small

import effcc
from effcc.ground.home import Home


def main() -> None:
    """Measure, and print a row for each way."""
    torch.set_num_threads(1)
    found = {"trained": {}, "random": {}}
    with tempfile.TemporaryDirectory() as folder:
        learned = small(Home(Path(folder).resolve()))
        margins, images = [], digits(learned.source, 32, 360)
        with torch.inference_mode():
            logits = learned.model(images)
        margins = [int(undecided(logits, ulps).sum()) for ulps in (64, 4096)]
        for size in (32, 33, 57):
            batches = digits(learned.source, size, 40).split([1, 7, 32])
            measure(found["trained"], learned.model, at(learned.spec, size), batches, size < 57)
    for variant in ("cc_b0_4e", "cc_b0_8e", "cc_b1_8e"):
        model, spec = golden.fill(effcc.create(variant), variant).eval(), effcc.load(variant)
        images = golden.inputs(spec.preprocessing.image_size, torch.float32)
        measure(found["random"], model, spec, [images], compiled=False)
    processor = torch.backends.cpu.get_cpu_capability()
    print(f"{platform.machine()}, {processor}, one thread; units of float32's last place\n")
    print(f"{'':<34}{'trained':>8}{'may be':>8}{'random':>8}{'may be':>8}")
    for way, limits in ULPS.items():
        cells = [
            (f"{found[kind][way]:.0f}" if way in found[kind] else "", limits.get(kind, ""))
            for kind in ("trained", "random")
        ]
        print(f"{way:<34}" + "".join(f"{value:>8}{limit:>8}" for value, limit in cells))
    print(f"\nof 360 digits, rounding by 64 could change {margins[0]}, by 4096 {margins[1]}")


def measure(found: dict, model, spec, batches: list, compiled: bool) -> None:
    """Note the largest distance of every way."""
    with (
        torch.inference_mode(),
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        expected = [model(images) for images in batches]
        for way, compute in ways(model, spec, Path(folder), patch, compiled):
            for images, logits in zip(batches, expected, strict=True):
                found[way] = max(found.get(way, 0), distance(compute(images), logits))


if __name__ == "__main__":
    main()
