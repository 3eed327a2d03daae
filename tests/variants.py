"""Rows of variants that nobody built, and a site with nothing but their table."""

import json
import random
import re
import shutil

from conftest import ROOT
from site_pages import mkdocs

from effcc.catalog.rows import CLAIMED, MEASURED, Latency, Result, Row
from effcc.report import cards

_DATASETS = ("ImageNet", "ImageNet V2", "handwritten digits", "Ümlaut & <b>co</b>", "CIFAR 10")
_SUMMARIES = (
    "EfficientNet-B0 with four experts in every convolution of its last three stages.",
    'Half as "wide", <i>deeper</i> & | slower; `code` and a comma, and **more**.',
    "Ein Versuch mit Ümläuten: schmal, aber tief.",
    "",
)


def rows(count):
    """As many rows, always the same ones: figures of every kind, of some none."""
    chance = random.Random(0)
    return [_row(number, chance) for number in range(count)]


def site(root, made, **settings):
    """A site of the page of all models with these rows, built in `root`: the built folder."""
    models = root / "docs" / "models"
    models.mkdir(parents=True)
    shutil.copytree(ROOT / "docs" / "assets", root / "docs" / "assets")
    (root / "docs" / "index.md").write_text("# Home\n")
    (models / "index.md").write_text(cards.index(made), "utf-8")
    for row in made:
        (models / f"{row.name}.md").write_text(f"# {row.name}\n", "utf-8")
    shipped = (ROOT / "mkdocs.yml").read_text("utf-8")
    changed = settings | {"nav": [{"Home": "index.md"}, {"Models": []}]}
    for name, value in changed.items():
        shipped = re.sub(rf"^{name}:.*\n([ #].*\n)*", "", shipped, flags=re.MULTILINE)
        shipped += f"{name}: {json.dumps(value)}\n"
    (root / "mkdocs.yml").write_text(shipped, "utf-8")
    mkdocs(root)
    return root / "site"


def _row(number, chance):
    experts = chance.choice((1, 2, 4, 8, 16))
    params = chance.randrange(10**6, 10**8)
    claims = chance.random() < 0.7
    results = [
        _result(CLAIMED, chance) for _ in range(chance.choice((0, 1, 1, 2)) if claims else 0)
    ]
    results += [_result(MEASURED, chance) for _ in range(chance.choice((0, 0, 1, 2)))]
    latency = Latency(
        chance.uniform(1e-3, 0.2), chance.choice(("torch", "openvino")), "a processor", 2
    )
    return Row(
        name=f"cc_b{number}_{experts}e",
        summary=chance.choice(_SUMMARIES),
        experts=experts,
        pixels=chance.choice((32, 224, 240)),
        params=params,
        macs=chance.randrange(10**7, 10**9),
        claimed_params=round(params, -5) if claims else None,
        claimed_flops=chance.uniform(1e7, 1e9) if claims else None,
        results=tuple(results),
        latency=latency if chance.random() < 0.5 else None,
    )


def _result(kind, chance):
    dataset = chance.choice(_DATASETS)
    if kind == CLAIMED:
        top1, top5 = (round(chance.uniform(0.7, 0.99), 4) for _ in range(2))
        return Result(kind, dataset, top1, chance.choice((top5, None)), f"{100 * top1:.2f}%")
    right = chance.randrange(300, 361)
    return Result(kind, dataset, right / 360, right / 360 or None, low=0.9, high=0.99)
