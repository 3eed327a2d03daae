"""A project of many variants: what `effcc new` writes, many times over, with a record for each.

No two are alike: they differ in width, experts and image size, and each claims figures of its own.
"""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from conftest import BESIDE, ROOT

from effcc.catalog import registry, seal
from effcc.catalog.cost import count
from effcc.ground.home import Home

_REGISTRY = """\
model: {name}
extends: condconv
summary: Number {number} of many, {width} as wide as B0.
network: {{width: {width}, experts: {experts}}}
profiles: {{digits: {{recipe: {{batch_size: 64, lr: 0.006}}}}}}
"""
_PAGE = """\
# {name}

One of many.

```BibTeX
@inproceedings{{yang2019condconv,
  author = {{Brandon Yang and Gabriel Bender and Quoc V. Le and Jiquan Ngiam}},
  title  = {{{{CondConv}}: Conditionally Parameterized Convolutions for Efficient Inference}},
  year   = {{2019}},
  eprint = {{1904.04971}}
}}
```

<!--
Type: model-index
Models:
- Name: {name}
  Paper:
    Title: 'CondConv: Conditionally Parameterized Convolutions for Efficient Inference'
    URL: https://arxiv.org/abs/1904.04971
  Metadata:
    Parameters: {parameters}
    FLOPs: {flops}
    Architecture: [CondConv, Squeeze-and-Excitation Block, Swish]
    Training Techniques: [Label Smoothing, RMSProp, Stochastic Depth, Weight Decay]
    LR: 0.016
    Epochs: 350
    Crop Pct: '0.875'
    Momentum: 0.9
    Batch Size: 256
    Image Size: '{size}'
    Weight Decay: 1.0e-05
    Interpolation: bicubic
    RMSProp Decay: 0.9
    Label Smoothing: 0.1
    BatchNorm Momentum: 0.99
  Results:
  - Task: Image Classification
    Dataset: ImageNet
    Metrics:
      Top 1 Accuracy: {top1:.2f}%
      Top 5 Accuracy: {top5:.2f}%
-->
"""


def write(root: Path, variants: int, records: int = 1) -> Home:
    """A project of `variants` variants in the folder `root`, each with `records` measurements."""
    shutil.copytree(ROOT / "registry" / "shared", root / "registry" / "shared")
    for name in BESIDE:
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / "docs", root / "docs", ignore=shutil.ignore_patterns("models"))
    (root / "model-index").mkdir()
    shown = sorted((ROOT / "registry" / "results" / "cc_b0_8e").glob("*-fit-*.json"))[0]
    record = json.loads(shown.read_text("utf-8"))
    base = registry.load("cc_b0_8e", Home(ROOT)).network
    for number in range(variants):
        given = {
            "name": (name := called(number)),
            "number": number,
            "width": round(0.25 + number % 50 / 64, 4),
            "experts": 2 + number // 50 % 30,
            "size": 160 + number % 9 * 16,
            "top1": 60 + number % 2000 / 100,
            "top5": 80 + number % 1500 / 100,
        }
        shape = replace(base, width=given["width"], experts=given["experts"])
        cost = count(shape, given["size"])
        # One in ten claims operations that the code does not find.
        wrong = 0 if number % 10 else 10**6
        given |= {"parameters": cost.parameters, "flops": cost.macs + wrong}
        (root / "registry" / f"{name}.yaml").write_text(_REGISTRY.format(**given), "utf-8")
        (root / "model-index" / f"{name}.md").write_text(_PAGE.format(**given), "utf-8")
        folder = root / "registry" / "results" / name
        folder.mkdir(parents=True)
        for again in range(records):
            _record(folder, record | {"variant": name, "seed": again}, again)
    return Home(root.resolve())


def called(number: int) -> str:
    """The name of a variant, the first of which is 0."""
    return f"cc_many_{number:05d}"


def measure(home: Home, name: str, records: int) -> None:
    """Give a variant so many measurements more, each of it as registered, a minute apart."""
    (made,) = sorted((home.results / name).glob("*.json"))[:1]
    record = json.loads(made.read_text("utf-8"))
    spec = registry.load(name, home, source="digits")
    record |= {"settings": spec.settings(), "overrides": {}, "spec_digest": spec.digest}
    for number in range(1, records + 1):
        _record(made.parent, record | {"seed": number}, 60 * number)


def _record(folder: Path, record: dict[str, Any], second: int) -> None:
    when = datetime(2026, 11, 26, 0, 20, 20, tzinfo=UTC) + timedelta(seconds=second)
    record = record | {"id": f"{when:%Y%m%dT%H%M%SZ}-fit-digits-{record['seed']}"}
    text = json.dumps(seal.sealed(record), indent=1, ensure_ascii=False) + "\n"
    (folder / f"{record['id']}.json").write_text(text, "utf-8")
