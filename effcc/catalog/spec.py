"""The typed description of one variant: what everything after the registry reads.

A `Spec` is complete: no field has a default here, because a default is a choice and choices live in
`schemas/registry.schema.json` and `registry/`. It is frozen: a changed spec is a new spec, and
`Spec.digest` tells the two apart in a result record.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple

from effcc.catalog import schema
from effcc.ground.errors import Place


@dataclass(frozen=True, slots=True)
class Stage:
    """A row of the stage table: blocks that share kernel size, expansion and width.

    Only the first of the `repeats` blocks uses `stride`. `out` is in channels, before width
    scaling.
    """

    repeats: int
    kernel: int
    stride: int
    expand: int
    out: int
    conditional: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Stage:
        """A row as a file has it; what it leaves out is at its default."""
        rules = schema.load("registry")["$defs"]["stage"]["properties"]
        return cls(**{key: rule.get("default") for key, rule in rules.items()} | dict(row))


@dataclass(frozen=True, slots=True)
class Network:
    """The architecture, as EfficientNet (arXiv:1905.11946) and CondConv (1904.04971) name it."""

    stem: int
    stages: tuple[Stage, ...]
    head: int
    width: float
    depth: float
    experts: int
    se_ratio: float
    in_channels: int
    num_classes: int
    dropout: float
    drop_path: float
    padding: str
    bn_eps: float
    bn_momentum: float


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes the network's input. `mean` and `std` are per channel, from 0 to 1.

    `crop_padding`, in pixels, replaces `crop_pct` by image_size / (image_size + crop_padding).
    """

    image_size: int
    crop_pct: float
    crop_padding: int | None
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Augment:
    """Random changes to training images; ranges are (low, high).

    `policy` is v0, original, rand or None. `erase` is a probability; `mixup` and `cutmix` are the
    parameter of their Beta distribution, 0 for none.
    """

    crop_area: tuple[float, float]
    crop_aspect: tuple[float, float]
    hflip: float
    policy: str | None
    rand_layers: int
    rand_magnitude: float
    erase: float
    mixup: float
    cutmix: float


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides how weights change. `lr` is for `batch_size` images a step.

    The last four before `augment` are for fine-tuning: start from published weights, keep the stem
    and the first `freeze_stages` stages, multiply the rate by `layer_decay` for every stage further
    from the classifier, and the classifier's by `head_lr`.
    """

    epochs: int
    batch_size: int
    lr: float
    warmup_epochs: float
    decay_rate: float
    decay_epochs: float
    momentum: float
    rmsprop_decay: float
    rmsprop_eps: float
    weight_decay: float
    label_smoothing: float
    ema_decay: float
    classifier_init: float
    residual_gamma: float
    pretrained: bool | str  # True: the published weights; a path: those of a file
    freeze_stages: int
    layer_decay: float
    head_lr: float
    augment: Augment


@dataclass(frozen=True, slots=True)
class Data:
    """Where images come from. `batch_size` is per device; None means the recipe's.

    `train`, `val` and `test` say where a split is if not in its usual place: what that means is the
    source's (a list file, a pattern of shards, the name of a split).
    """

    source: str
    root: str | None
    train: str | tuple[str, ...] | None
    val: str | tuple[str, ...] | None
    test: str | tuple[str, ...] | None
    batch_size: int | None
    workers: int | None
    decoder: str
    on_error: str


@dataclass(frozen=True, slots=True)
class Weights:
    """Published weights: where the file is, and its SHA-256 as 64 hex digits; None is unknown."""

    url: str | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Dispute:
    """Why the registry contradicts a claim, and which: `claimed` as it is written there.

    There are several where a shared file speaks of variants that claim different figures. Of any
    other figure the dispute says nothing. `place` is where it stands.
    """

    claimed: tuple[str, ...]
    reason: str
    place: Place = field(default=Place(""), compare=False)

    def covers(self, text: str) -> bool:
        """Whether a claim, as it is written, is one that the reason was written for."""
        text = " ".join(text.split())
        return bool(text) and text in self.claimed


class Origin(NamedTuple):  # hundreds a variant, and a tuple is made in a third of the time
    """Where a resolved value was written: in a file, by a command-line flag, or by `default`.

    `overrides` is the origin that this one replaced, if any, so that a card can show both.
    """

    written: Place
    layer: str
    value: Any
    overrides: Origin | None = None

    @property
    def place(self) -> str:
        """`file:line`, the flag, or `default`."""
        return self.written.short

    @property
    def registered(self) -> Any:
        """What the registry says, under any --config, flag or checkpoint; None if it is silent."""
        origin: Origin | None = self
        while origin and origin.layer in ("overlay", "flag", "checkpoint"):
            origin = origin.overrides
        return origin.value if origin else None


@dataclass(frozen=True, slots=True)
class Spec:
    """One variant, resolved: what a LightningModule is built from."""

    name: str
    entry: str
    summary: str
    network: Network
    preprocessing: Preprocessing
    recipe: Recipe
    data: Data
    trainer: Mapping[str, Any]
    weights: Weights
    seed: int
    disputes: Mapping[str, Dispute]
    origins: Mapping[str, Origin]

    @property
    def batch_size(self) -> int:
        """Images per device and step."""
        return self.data.batch_size or self.recipe.batch_size

    @property
    def digest(self) -> str:
        """SHA-256 of the settings that decide a result: equal digests are comparable runs."""
        return digest(self.settings())

    def settings(self) -> dict[str, Any]:
        """The sections as plain data, ready for JSON or YAML, in reading order."""
        sections = {name: asdict(getattr(self, name)) for name in SECTIONS}
        sections["trainer"] = dict(self.trainer)
        return json.loads(json.dumps(sections))

    def overrides(self) -> dict[str, Any]:
        """What --config files and flags set, by dotted name: empty for the variant as registered.

        Where the data lies is not a change of the variant.
        """
        elsewhere = ("data.source", *ELSEWHERE, "seed")
        typed = {
            k: o for k, o in self.origins.items() if o.layer in ("overlay", "flag", "checkpoint")
        }
        return {
            key: origin.value
            for key, origin in typed.items()
            if key not in elsewhere and _plain(key, origin.value) != _plain(key, origin.registered)
        }

    def with_classes(self, num_classes: int) -> Spec:
        """The same variant with a classifier of `num_classes` outputs."""
        return replace(self, network=replace(self.network, num_classes=num_classes))


# Settings that say where and by whom the data is read, or that the data itself decides; and where
# figures are logged.
ELSEWHERE = (
    "data.root",
    "data.train",
    "data.val",
    "data.test",
    "data.workers",
    "data.decoder",
    "data.on_error",
    "network.num_classes",
    "trainer.logger",
    "trainer.log_every_n_steps",
)


def digest(settings: Mapping[str, Any]) -> str:
    """SHA-256 of settings that decide a result, as `Spec.settings` gives them.

    Left out are `ELSEWHERE` and whatever is at its default: a setting that a later version adds
    must mean by default what was done before, and so changes no digest.
    """
    known = {setting: rule(setting) for setting in settings_in_order()}
    decisive = {
        key: value
        for section, values in settings.items()
        for key, value in _flat(section, values)
        if key not in ELSEWHERE and value != known.get(key, {}).get("default")
    }
    text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(key: str, value: Any) -> Any:
    """A value as a record has it, however briefly a file writes it: a stage with its defaults."""
    if key == "network.stages" and value:
        value = [asdict(Stage.of(row)) for row in value]
    return json.loads(json.dumps(value))


def _flat(above: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if (above, key) == ("recipe", "augment"):
            yield from _flat("recipe.augment", value)
        else:
            yield f"{above}.{key}", value


@functools.cache
def rule(setting: str) -> dict[str, Any]:
    """What the schema says of a setting: its type, limits, description and perhaps default."""
    found: Any = {"properties": {name: {"$ref": name} for name in SECTIONS}}
    definitions = schema.load("registry")["$defs"]
    for part in setting.split("."):
        if "properties" not in found:
            found = definitions[found["$ref"].rpartition("/")[2]]
        found = found["properties"][part]
    if "description" not in found:
        found = definitions[found["$ref"].rpartition("/")[2]]
    return found


@functools.cache
def settings_in_order() -> tuple[str, ...]:
    """The dotted names of every setting of the sections, in reading order."""
    names: list[str] = []
    for section, kind in SECTIONS.items():
        for each in fields(kind):
            if each.name == "augment":
                names += [f"{section}.augment.{part.name}" for part in fields(Augment)]
            else:
                names.append(f"{section}.{each.name}")
    return tuple(names)


def architecture(network: Network) -> dict[str, Any]:
    """What a network's weights depend on, as plain data; the number of classes apart."""
    free = ("num_classes", "dropout", "drop_path", "bn_momentum")
    return {
        key: value
        for key, value in json.loads(json.dumps(asdict(network))).items()
        if key not in free
    }


SECTIONS = {"network": Network, "preprocessing": Preprocessing, "recipe": Recipe, "data": Data}


@dataclass(frozen=True, slots=True)
class Block:
    """One residual block with every size worked out; channels are after width scaling."""

    stage: int
    index: int
    kernel: int
    stride: int
    expand: int
    in_channels: int
    mid_channels: int
    out_channels: int
    se_channels: int
    experts: int  # 0: an ordinary block
    drop_path: float

    @property
    def name(self) -> str:
        """The block's name in the state dict."""
        return f"blocks.{self.stage}.{self.index}"


@functools.lru_cache(maxsize=64)
def layout(network: Network) -> tuple[Block, ...]:
    """Expand the stage table into blocks: what is built, and what its cost is counted on."""
    repeats = [math.ceil(stage.repeats * network.depth) for stage in network.stages]
    channels = scale_width(network.stem, network.width)
    blocks: list[Block] = []
    for number, (stage, count) in enumerate(zip(network.stages, repeats, strict=True)):
        out = scale_width(stage.out, network.width)
        for index in range(count):
            block = Block(
                stage=number,
                index=index,
                kernel=stage.kernel,
                stride=stage.stride if index == 0 else 1,
                expand=stage.expand,
                in_channels=channels,
                mid_channels=channels * stage.expand,
                out_channels=out,
                # The squeeze is a share of the block's input, not of the expanded width.
                se_channels=max(1, int(channels * network.se_ratio)),
                experts=network.experts if stage.conditional else 0,
                # Counted from 0, so that the first block is never dropped and the last not fully.
                drop_path=network.drop_path * len(blocks) / sum(repeats),
            )
            blocks.append(block)
            channels = out
    return tuple(blocks)


def scale_width(channels: int, width: float, divisor: int = 8) -> int:
    """Scale a channel count to a multiple of `divisor`, never below 90 % of the exact value."""
    if width == 1.0:
        return channels
    exact = channels * width
    rounded = max(divisor, int(exact + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * exact else rounded
