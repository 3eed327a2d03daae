"""A folder for the Hugging Face Hub: what stands beside the weights in it, and its upload.

The card's front matter holds a model-index as the Hub reads it. Results in it are of *these*
weights: those that a record names by the checkpoint's hash, and, if the weights are the published
ones unchanged, those that their publisher claims, with the publisher's address. A fine-tuned
network does not inherit its ancestor's accuracies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from effcc.catalog.results import Record
from effcc.catalog.spec import Spec, layout, scale_width
from effcc.claims import hub_terms, huggingface_card, yamltext
from effcc.claims.claim import Claim, Fact, Result
from effcc.claims.hub_terms import KEPT, METRIC
from effcc.ground import files
from effcc.ground.errors import UsageError, UserError
from effcc.report import cards, markdown

WEIGHTS = "model.safetensors"  # the name that the Hub and timm look for
_REPOSITORY = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9][\w.-]{0,95}")
# What a model-index calls our accuracies.
_METRICS = {"top1": "Top 1 Accuracy", "top5": "Top 5 Accuracy"}
_TASK = "Image Classification"


class NotPushed(UserError):
    """The Hub did not take the folder."""


@dataclass(frozen=True, slots=True)
class Export:
    """What a folder is of.

    `records` are the measurements of these weights, `sha256` is the checkpoint's; `published`: it
    is the file that the entry's publisher published; `trained`: effcc wrote it.
    """

    spec: Spec
    claim: Claim
    classes: Sequence[str]
    sha256: str
    records: Sequence[Record]
    published: bool
    trained: bool

    @property
    def in_timm(self) -> bool:
        """Whether timm builds this very network under the entry's name."""
        code = self.claim.code or ""
        changed = any(
            origin.value != origin.registered and name != "network.num_classes"
            for name, origin in self.spec.origins.items()
            if name.startswith("network.") and name not in _FREE
        )
        return "pytorch-image-models" in code and not changed


_FREE = ("network.dropout", "network.drop_path", "network.bn_momentum")


def write(export: Export, folder: Path) -> list[Path]:
    """Write the card and the configuration; returns where. The weights are another floor's."""
    written = {folder / "README.md": card(export), folder / "config.json": config(export)}
    for path, text in written.items():
        files.write(path, text)
    return list(written)


def config(export: Export) -> str:
    """`config.json` as timm reads it, with effcc's own settings under `effcc`."""
    spec, look = export.spec, export.spec.preprocessing
    channels = spec.network.in_channels
    mean, std = _normalisation(spec)
    crop_pct, size = look.crop_pct, look.image_size
    if look.crop_padding is not None:
        crop_pct = size / (size + look.crop_padding)
    data: dict[str, Any] = {
        "architecture": spec.entry,
        "num_classes": spec.network.num_classes,
        "num_features": scale_width(spec.network.head, spec.network.width),
        "global_pool": "avg",
        **({"label_names": list(export.classes)} if export.classes else {}),
        **({"model_args": {"in_chans": channels}} if channels != 3 else {}),
        "pretrained_cfg": {
            "tag": "effcc",
            "input_size": [channels, size, size],
            "fixed_input_size": False,
            "interpolation": look.interpolation.removeprefix("tf_"),
            "crop_pct": crop_pct,
            "crop_mode": "center",
            "mean": mean,
            "std": std,
            "num_classes": spec.network.num_classes,
            "first_conv": "conv_stem",
            "classifier": "classifier",
        },
        "effcc": {
            "variant": spec.name,
            "checkpoint_sha256": export.sha256,
            "network": spec.settings()["network"],
            "preprocessing": spec.settings()["preprocessing"],
        },
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def card(export: Export) -> str:
    """`README.md`: front matter that the Hub reads, and a page."""
    spec = export.spec
    front: dict[str, Any] = {
        "library_name": "timm" if export.in_timm else "effcc",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "effcc", "efficientnet", "condconv"],
    }
    if found := results(export):
        front["model-index"] = [{"name": spec.name, "results": found}]
    mean, std = _normalisation(spec)
    page = cards.template("hub.md.j2").render(
        export=export,
        spec=spec,
        claim=export.claim,
        name=markdown.Markup(spec.name),
        weights=markdown.Markup(WEIGHTS),
        mean=", ".join(f"{value:.4g}" for value in mean),
        std=", ".join(f"{value:.4g}" for value in std),
        conditional=sum(block.experts > 0 for block in layout(spec.network)),
    )
    return f"---\n{yamltext.dump(front)}---\n{page}"


def results(export: Export) -> list[dict[str, Any]]:
    """The model-index of the card: measured first, then claimed, each marked as such."""
    found = [_measured(record) for record in export.records]
    claim = export.claim
    if export.published and claim.code:
        source = {"name": claim.name, "url": claim.code}
        found += [_claimed(result, source) for result in claim.results]
    return [huggingface_card.described(result) for result in found if result.metrics]


def _normalisation(spec: Spec) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel; of a grey level, those of the colours on average."""
    look = spec.preprocessing
    if spec.network.in_channels == 1:
        return [sum(look.mean) / 3], [sum(look.std) / 3]
    return list(look.mean), list(look.std)


def _measured(record: Record) -> Result:
    """A record as somebody's result, with what the Hub has words for."""
    data = record.dataset
    metrics = {_METRICS[key]: m for key, m in record.metrics.items() if key in _METRICS}
    figures = {name: Fact(m.value, repr(m.value)) for name, m in metrics.items()}
    args = {
        name: {"args": {"record": record.id, "correct": m.correct, "images": m.n}}
        for name, m in metrics.items()
    }
    where = {"type": data.name, "split": data.split, "revision": data.fingerprint}
    return _marked(Result(_TASK, data.title, figures), "measured", args, {"dataset": where})


def _claimed(result: Result, source: Mapping[str, str]) -> Result:
    """The accuracies among somebody's figures, and who says so."""
    figures = {
        name: fact
        for name, fact in result.metrics.items()
        if name in _METRICS.values() and fact.number is not None
    }
    return _marked(replace(result, metrics=figures), "claimed", {}, {"source": source})


def _marked(
    result: Result,
    mark: str,
    words: Mapping[str, Mapping[str, Any]],
    kept: Mapping[str, Mapping[str, Any]],
) -> Result:
    """A result whose metrics say whether they are claimed or measured."""
    figures: dict[str, Fact] = {}
    metrics: dict[str, Mapping[str, Any]] = {}
    for name, fact in result.metrics.items():
        marked = f"{name} ({mark})"
        figures[marked] = fact
        metrics[marked] = {"type": hub_terms.identifier(name, METRIC), **words.get(name, {})}
    return replace(result, metrics=figures, extra={KEPT: {**kept, "metrics": metrics}})


def check_repository(repository: str) -> None:
    """Whether a folder could be uploaded to `repository`, before the work of making one.

    Raises:
        UsageError: it is no name of a repository, or huggingface_hub is not installed.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise UsageError(f"--push {repository}: write OWNER/NAME, a repository on the Hub")
    _hub()


def push(folder: Path, repository: str) -> str:
    """Upload a folder with `huggingface_hub`, which knows whose account it is; returns its address.

    Raises:
        NotPushed: the card does not load, or the Hub refuses.
        UsageError: huggingface_hub is not installed.
    """
    hub = _hub()
    try:
        hub.ModelCard.load(folder / "README.md")
        hub.create_repo(repository, exist_ok=True)
        hub.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Upload by effcc export"
        )
    except (OSError, ValueError, hub.utils.HfHubHTTPError) as error:
        reason = " ".join(str(error).split())[:300]
        raise NotPushed(
            f"{repository}: {reason}; the folder is whole in {folder}. Logged in? hf auth login"
        ) from None
    return f"https://huggingface.co/{repository}"


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise UsageError("export --push needs huggingface_hub: pip install 'effcc[hub]'") from None
    return huggingface_hub
