"""Model-index files in the shapes that 3,778 real models in 17 repositories have.

Nothing in them is wrong; much is doubtful. The figures are made up.
"""

import json
import random
from pathlib import Path

PROSE = """
{name} is a network for images. It was trained on many pictures, and its weights are there to load.

## How do I use this model on an image?

```python
import models

model = models.create("{name}", pretrained=True)
model.eval()
```

| split | images | note |
|-------|--------|------|
| train | 1,281,167 | as published |
| val   | 50,000    | centre crop |

Replace the name by one from the list at the top of this page. *Preprocessing* differs: see
[the documentation](https://example.org/docs) and `models.preprocessing`.

```BibTeX
@article{{DBLP:{name},
  author    = {{A. Author and B. Author}},
  title     = {{On {name}}},
  year      = {{2019}},
}}
```

"""
EXAMPLE = """```
<!--
Type: model-index
Models:
- Name: only an example
-->
```

"""


def write(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write `count` cards below `folder`, no name twice; returns the files to read."""
    dice = random.Random(seed)
    shapes = 8 * [timm_page] + 9 * [metafile] + [mdx_page, data_as_json, imports]
    return [shapes[i % len(shapes)](folder, f"card{i}", dice) for i in range(count)]


def timm_page(folder, name, dice):
    """Several models in the comment of a Markdown page, figures and sizes quoted."""
    sizes = ("s", "m", "l", "xl", "xxl")[: dice.randint(1, 5)]
    models = "".join(timm_model(f"{name}_{size}", f"{name} TF", dice) for size in sizes)
    paper = f"  Paper:\n    Title: On {name}\n    URL: https://arxiv.org/abs/1905.11946\n"
    data = f"Collections:\n- Name: {name} TF\n{paper}Models:\n{models}"
    front = "---\nlayout: page\ntags: [a, b]\n---\n" if dice.random() < 0.3 else ""
    example = EXAMPLE if dice.random() < 0.3 else ""
    page = f"{front}# {name}\n{PROSE.format(name=name)}{example}"
    return put(folder / f"{name}.md", f"{page}<!--\nType: model-index\n{data}-->\n")


def timm_model(name, collection, dice):
    weights = f"{name}-{dice.randrange(16**8):08x}.pth"
    member = f"  In Collection: {collection}\n" if collection else ""
    return f"""- Name: {name}
{member}  Metadata:
    FLOPs: {dice.randrange(10**8, 10**10)}
    Parameters: {dice.randrange(10**6, 10**8, 10**4)}
    File Size: {dice.randrange(10**7, 10**9)}
    Architecture:
    - 1x1 Convolution
    - Average Pooling
    - Batch Normalization
    - Convolution
    - Dense Connections
    - Dropout
    - Inverted Residual Block
    - Squeeze-and-Excitation Block
    - Swish
    Tasks:
    - Image Classification
    Training Techniques:
    - AutoAugment
    - Label Smoothing
    - RMSProp
    - Weight Decay
    Training Data:
    - ImageNet
    ID: {name}
    LR: 0.256
    Epochs: 350
    Crop Pct: '0.875'
    Momentum: 0.9
    Batch Size: 2048
    Image Size: '{dice.choice((224, 240, 260))}'
    Weight Decay: 1.0e-05
    Interpolation: bicubic
    RMSProp Decay: 0.9
    Label Smoothing: 0.1
    RMSProp $\\epsilon$: 0.001
  Code: https://github.com/example/models/blob/main/models/net.py#L{dice.randrange(2000)}
  Weights: https://github.com/example/models/releases/download/v0.1/{weights}
  Results:
  - Task: Image Classification
    Dataset: ImageNet
    Metrics:
      Top 1 Accuracy: {dice.uniform(70, 80):.2f}%
      Top 5 Accuracy: {dice.uniform(90, 95):.2f}%
"""


def metafile(folder, name, dice):
    """A metafile of a toolbox: a collection with code and version, models with configurations."""
    anchor = dice.random() < 0.3
    readme = put(folder / "configs" / name / "README.md", f"# {name}\n") and (
        f"configs/{name}/README.md" if dice.random() < 0.5 else "README.md"
    )
    paper = dice.choice(
        (
            f"\n      URL: https://arxiv.org/abs/2001.00001\n      Title: 'Nets: {name}'",
            " https://arxiv.org/abs/2001.00001",
            "\n    - https://arxiv.org/abs/2001.00001\n    - Title: Another",
            " null",
        )
    )
    text = f"""Collections:
  - Name: {name}
    Metadata:
      Training Data: {dice.choice(("COCO", "ImageNet-1k", "ADE20K"))}
      Training Techniques:
        - SGD with Momentum
        - Weight Decay
      Training Resources: 8x V100 GPUs
      Architecture:
        - FPN
        - ResNet
    Paper:{paper}
    README: {readme}
    Code:
      URL: https://github.com/example/toolbox/blob/v2.0.0/toolbox/{name}.py#L10
      Version: v2.0.0

Models:
"""
    for number in range(dice.randint(2, 8)):
        text += metafile_model(name, number, anchor, dice)
    return put(folder / "configs" / name / "metafile.yml", text)


def metafile_model(name, number, anchor, dice):
    results = f"""
      - Task: Object Detection
        Dataset: COCO
        Metrics:
          box AP: {dice.choice(("39.3", "39.3 (37.9)", "58.17/87.00/69.30", "'-'", "null"))}
"""
    if dice.random() < 0.3:
        metrics = (
            "{Top 1 Accuracy: 76.55, Top 5 Accuracy: 93.06}",
            "null",
            "{Top 1 Accuracy: null}",
        )
        results = f"""
      Task: Image Classification
      Dataset: ImageNet-1k
      Metrics: {dice.choice(metrics)}
"""
    shared = "*common" if anchor and number else "&common\n" if anchor else "\n"
    own = (
        ""
        if shared == "*common"
        else f"""      Training Memory (GB): {dice.uniform(2, 9):.1f}
      inference time (ms/im):
        - value: {dice.uniform(20, 90):.2f}
          hardware: V100
          backend: PyTorch
          batch size: 1
          mode: FP32
          resolution: (800, 1333)
      Epochs: {dice.choice((12, 24, 100))}
      LR: {dice.choice(("0.02", "1e-4", "'0.01'"))}
      {dice.choice(("FLOPs: '33G'", "FLOPs: 4122828288", "Flops(G): 4.12", "FLOPs: 4.1G"))}
      {dice.choice(("Parameters: '24.3M'", "Parameters: 25557032", "Params(M): 6.5"))}
"""
    )
    metadata = f"    {dice.choice(('Metadata', 'Metadata', 'metadata'))}: {shared}"
    weights = dice.choice(
        (
            f" https://example.org/{name}/{number}-{dice.randrange(16**8):08x}.pth",
            f"\n      - https://example.org/{name}/{number}.pth\n      - https://example.org/{name}/{number}b.pth",
            " null",
        )
    )
    return f"""  - Name: {name}_r50_{number}x_coco
    In Collection: {name}
    Config: configs/{name}/{name}_r50_{number}x_coco.py
{metadata if own else metadata + chr(10)}{own}    Results:{results}    Weights:{weights}
"""


def mdx_page(folder, name, dice):
    """The same in a page of components, with an arrow inside a value."""
    data = timm_model(name, "", dice).replace("    - AutoAugment", "    - stage 1 --> stage 2")
    page = f"import X from './x'\n\n# {name}\n{PROSE.format(name=name)}<X />\n\n"
    return put(folder / f"{name}.mdx", f"{page}<!--\nType: model-index\nModels:\n{data}-->\n")


def data_as_json(folder, name, dice):
    """A data file that is no YAML."""
    metadata = {"FLOPs": dice.randrange(10**9), "LR": 1e-5, "Architecture": ["ResNet"]}
    metrics = {"Top 1 Accuracy": round(dice.uniform(60, 80), 2)}
    model = {
        "Name": f"{name}_json",
        "Metadata": metadata,
        "Weights": None,
        "Results": [{"Task": "Image Classification", "Dataset": "ImageNet", "Metrics": metrics}],
    }
    return put(folder / f"{name}.json", json.dumps({"Models": [model]}, indent=2))


def imports(folder, name, dice):
    """An index of files, one a glob, whose models are in a file of their own."""
    inside = folder / name
    parts = {
        "models/one.yml": f"Models:\n{timm_model(f'{name}_one', name, dice)}",
        "collection.yml": f"Collections:\n- Name: {name}\n  Metadata: metadata.yml\n",
        "metadata.yml": "Training Data: ImageNet\nEpochs: 90\n",
        "two.yml": f"- Name: {name}_two\n  In Collection: {name}\n  Results: results.yml\n",
        "results.yml": "- {Task: t, Dataset: ImageNet, Metrics: {Top 1 Accuracy: 70.1}}\n",
    }
    for file, text in parts.items():
        put(inside / file, text)
    text = "Import:\n- collection.yml\n- models/*.yml\nModels: two.yml\n"
    return put(inside / "model-index.yml", text)


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path
