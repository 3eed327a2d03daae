"""EfficientNet-CondConv: variants that are YAML files, and model cards that cannot lie.

    >>> effcc.list_variants()
    ['cc_b0_4e', 'cc_b0_8e', 'cc_b1_8e', 'cc_pico_4e']
    >>> spec = effcc.load("cc_b0_4e")
    >>> model = effcc.create("cc_b0_4e", num_classes=10)
    >>> module = effcc.create_module("cc_b0_4e", source="digits")
    >>> fast = effcc.optimize(model)

Importing this package imports no torch; `create`, `create_module` and `optimize` do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from typing import Any

    from effcc.catalog.spec import Spec
    from effcc.nn.efficientnet import EfficientNet
    from effcc.nn.inference import nn  # torch's, which this floor does not name
    from effcc.train.module import CondConvModule

__all__ = ["__version__", "create", "create_module", "list_variants", "load", "optimize"]
__version__ = "0.1.0"


def list_variants() -> list[str]:
    """Names of the variants in the project around the working directory, sorted.

    Raises:
        effcc.ground.errors.UsageError: there is no project.
    """
    from effcc.catalog import registry
    from effcc.ground import home

    return registry.names(home.find())


def load(
    name: str, *, source: str | None = None, settings: Mapping[str, Any] | None = None
) -> Spec:
    """Resolve a variant: its model-index entry, its registry file, and your changes.

    Args:
        name: as in `list_variants()`.
        source: a data source whose profile applies, such as `digits`; None is the recipe as
            documented.
        settings: changes by dotted name, such as `{"recipe.lr": 0.01, "network.experts": 16}`.

    Raises:
        effcc.catalog.registry.UnknownVariant: no variant has this name.
        effcc.ground.errors.BadFile: a file or a setting is wrong; every problem, each with its
            place.
    """
    from effcc.catalog import registry
    from effcc.ground import home

    return registry.load(name, home.find(), source=source, flags=settings)


def create(
    name: str,
    *,
    pretrained: bool | str | os.PathLike[str] = False,
    num_classes: int | None = None,
    in_channels: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> EfficientNet:
    """Build a variant's network.

    Args:
        name: as in `list_variants()`.
        pretrained: False draws fresh weights from torch's global generator; True starts from the
            published ones, fetched into the cache if they are not there; a path from that
            checkpoint's. A classifier of another size stays fresh, the stem is adapted to other
            channels.
        num_classes: outputs of the classifier; None keeps the variant's own (1000 unless it says
            otherwise).
        in_channels: channels of the input; None keeps the variant's own, 3.
        settings: as in `load`.

    Returns:
        A module from normalised images (batch, in_channels, height, width) to logits (batch,
        num_classes), in training mode. Its state dict has timm's names.

    Raises:
        effcc.catalog.registry.UnknownVariant: as `load`.
        effcc.ground.errors.BadFile: as `load`.
        effcc.nn.published.NotPublished: `pretrained` is True, and nobody published any.
        effcc.nn.published.BadDownload: they could not be fetched, or are not what was published.
        effcc.nn.weights.BadCheckpoint: they are not of this network.
    """
    from effcc.nn import transfer
    from effcc.nn.efficientnet import build, unfilled

    changes = dict(settings or {})
    if in_channels is not None:
        changes["network.in_channels"] = in_channels
    spec = load(name, settings=changes)
    spec = spec if num_classes is None else spec.with_classes(num_classes)
    if pretrained is False:
        start = spec.recipe
        return build(
            spec.network, classifier_init=start.classifier_init, residual_gamma=start.residual_gamma
        )
    model = unfilled(spec.network)
    transfer.begin(model, spec, pretrained)
    return model


def create_module(
    name: str,
    *,
    source: str | None = None,
    num_classes: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> CondConvModule:
    """Build a variant's LightningModule: network, loss, optimiser, schedule and metrics.

    Args:
        name: as in `list_variants()`.
        source: as in `load`.
        num_classes: as in `create`.
        settings: as in `load`.

    Returns:
        A LightningModule for batches of uint8 images (batch, 3, size, size) and classes (batch,).

    Raises:
        effcc.catalog.registry.UnknownVariant: as `load`.
        effcc.ground.errors.BadFile: as `load`.
    """
    from effcc.train.module import CondConvModule

    spec = load(name, source=source, settings=settings)
    return CondConvModule(spec if num_classes is None else spec.with_classes(num_classes))


def optimize(model: EfficientNet) -> nn.Module:
    """A network made to predict, and no longer to train: the same logits, sooner.

        >>> model = effcc.create("cc_b0_4e", pretrained=True)
        >>> fast = effcc.optimize(model)
        >>> with torch.inference_mode():
        ...     logits = fast(images)

    `effcc predict` and `effcc test` do this by themselves.

    Args:
        model: from `create`, in float32 on a CPU; it stays as it is.

    Returns:
        A module from normalised images (batch, in_channels, height, width), float32, to logits
        (batch, num_classes), of any batch. Its weights are its own.
    """
    from effcc.nn import inference

    return inference.optimize(model)
