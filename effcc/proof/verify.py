"""What an entry claims beside what the code computes: the heart of a card that cannot lie.

A disagreement is either an error or disputed: acknowledged in the registry with a reason that the
card prints. A dispute of something that agrees is an error too, so that reasons do not outlive
their cause. All of this needs no torch; `effcc verify` builds the networks besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from effcc.catalog.cost import Cost, count
from effcc.catalog.registry import CLAIMED, Entry
from effcc.catalog.results import Run
from effcc.catalog.spec import Origin, Spec
from effcc.claims.claim import Claim, Fact
from effcc.ground.errors import Place, Problem
from effcc.ground.words import many
from effcc.proof import accuracy, citation, counting, links, neighbours
from effcc.proof.comparison import DIFFERS, DISPUTED, Comparison, figure, of_fact

# The picture that the published figures were counted on, see `forensics.ASPECTS`.
_DOG = (1546, 1213)


def compare(
    claim: Claim, spec: Spec, runs: Sequence[Run] = (), beside: Sequence[Comparison] = ()
) -> list[Comparison]:
    """Every figure of a claim with what can be said of it, in reading order.

    Args:
        claim: the entry.
        spec: what is built of it.
        runs: the variant's records, newest first; without them nothing counts as measured.
        beside: what follows from other variants, of `across`.
    """
    rows = [
        *_figures(claim, spec),
        *_settings(claim, spec),
        *accuracy.comparisons(claim, runs),
        *citation.comparisons(claim),
        *links.comparisons(claim, spec),
        *beside,
    ]
    seen = {row.key for row in rows}
    rows += [
        of_fact(key, fact, "", None)
        for key, fact in claim.facts.items()
        if key not in seen and fact.number is not None
    ]
    return [replace(row, reason=spec.disputes.get(row.key, "")) for row in rows]


across = neighbours.comparisons


def problems(
    entries: Iterable[Entry], runs: Mapping[str, Sequence[Run]] | None = None
) -> list[Problem]:
    """Disagreements without a reason, and reasons that no variant needs any more.

    `runs` are the records by variant.
    """
    entries = list(entries)
    beside = across(entries)
    rows = {
        entry.spec.name: compare(
            entry.claim,
            entry.spec,
            (runs or {}).get(entry.spec.name, ()),
            beside.get(entry.spec.name, ()),
        )
        for entry in entries
    }
    found = {problem(row) for each in rows.values() for row in each if row.verdict == DIFFERS}
    return sorted(found | set(unneeded(entries, rows)))


def problem(row: Comparison) -> Problem:
    """A disagreement that nobody gave a reason for."""
    claims = f"claims {row.claimed}, " if row.claimed else ""
    return Problem(row.place, row.key, f"{claims}{row.against}; mend it or dispute it")


def unneeded(
    entries: Sequence[Entry], rows: Mapping[str, Sequence[Comparison]]
) -> Iterator[Problem]:
    """Reasons for what agrees, or for what nobody claims; `rows` are those of each variant."""
    stated = {key: entry.spec.name for entry in entries for key in entry.spec.disputes}
    every = [row for each in rows.values() for row in each]
    for key in stated.keys() - {row.key for row in every}:
        place = Place(f"registry/{stated[key]}.yaml")
        yield Problem(place, f"disputes.{key}", "nobody claims that; remove the dispute")
    # A shared reason may be needed by one variant and not by another.
    needed = {(row.key, row.reason) for row in every if row.verdict == DISPUTED}
    for row in every:
        if row.reason and row.agrees is not False and (row.key, row.reason) not in needed:
            needed.add((row.key, row.reason))  # told once
            message = f"claims {row.claimed} and that agrees with {row.computed}"
            if row.agrees is None:
                message = f"claims {row.claimed} and nothing here contradicts that"
            yield Problem(row.place, f"disputes.{row.key}", f"{message}; remove the dispute")


def _figures(claim: Claim, spec: Spec) -> Iterator[Comparison]:
    size = spec.preprocessing.image_size
    cost = count(spec.network, size)
    if fact := figure(claim, "Parameters"):
        agrees = fact.agrees_with(cost.parameters)
        yield of_fact("Parameters", fact, f"{cost.parameters:,}", agrees)
    if fact := figure(claim, "FLOPs"):
        computed = f"{cost.macs:,} multiply-accumulates"
        agrees = fact.agrees_with(cost.macs)
        yield of_fact("FLOPs", fact, computed, agrees, note="" if agrees else counted(fact, spec))
    if fact := figure(claim, "File Size"):
        computed = f"{cost.state_bytes:,} and headers"
        yield of_fact("File Size", fact, computed, _holds(fact, cost))


def counted(fact: Fact, spec: Spec) -> str:
    """How a hook counter arrives at a figure, in a sentence; empty if it does not."""
    size = spec.preprocessing.image_size
    width = int(size * _DOG[0] / _DOG[1])
    counts = counting.tallies(spec.network, size, width)
    if fact.number != counting.total(counting.HOOK_COUNTER, counts):
        return ""
    parts = counting.by_class(counting.parts(counting.HOOK_COUNTER, counts))
    told = ", ".join(f"{name} {part:,}" for name, part in parts.items() if part)
    return f"On {size} x {width} pixels it adds up {told}: {sum(parts.values()):,}."


def _holds(fact: Fact, cost: Cost) -> bool:
    """Whether a file of that many bytes is the tensors with a name and a header for each."""
    return 0 <= (fact.number or 0) - cost.state_bytes <= 400 * cost.tensors


def _settings(claim: Claim, spec: Spec) -> Iterator[Comparison]:
    """The claimed settings beside those that are documented and built."""
    for key, setting in CLAIMED.items():
        if fact := claim.facts.get(key):
            yield _SETTINGS.get(key, _setting)(fact, key, setting, claim, spec)
    if fact := claim.facts.get("Training Techniques"):
        used = techniques(spec)
        claimed = fact.data if isinstance(fact.data, tuple) else (fact.text,)
        names, agrees = ", ".join(claimed), set(claimed) <= set(used)
        yield Comparison("Training Techniques", names, ", ".join(used), agrees, fact.place)


def _setting(fact: Fact, key: str, setting: str, claim: Claim, spec: Spec) -> Comparison:
    value = _documented(spec, setting).value
    agrees = fact.agrees_with(value) if fact.number is not None else fact.data == value
    return of_fact(key, fact, _shown(value), agrees)


def _crop(fact: Fact, key: str, setting: str, claim: Claim, spec: Spec) -> Comparison:
    padding = _documented(spec, "preprocessing.crop_padding").value
    if padding is None:
        return _setting(fact, key, setting, claim, spec)
    size = _documented(spec, "preprocessing.image_size").value
    share = size / (size + padding)
    computed = f"{size} of {size + padding} pixels, {share:.3f}"
    return of_fact(key, fact, computed, fact.agrees_with(share))


def _momentum(fact: Fact, key: str, setting: str, claim: Claim, spec: Spec) -> Comparison:
    """TensorFlow's is the share that stays, 0.99; PyTorch's the share that is new, 0.01."""
    stays = _documented(spec, setting).value
    tensorflow, pytorch = f"{_shown(stays)} TensorFlow's", f"{_shown(1 - stays)} PyTorch's"
    if (fact.number or 0) > 0.5:
        computed = f"{tensorflow}, {pytorch}"
        return of_fact(key, fact, computed, fact.agrees_with(stays))
    note = "The registry reads what stays, as TensorFlow does; state network.bn_momentum there."
    agrees = fact.agrees_with(1 - stays)
    computed = f"{pytorch}, {tensorflow}"
    return of_fact(key, fact, computed, agrees, note="" if agrees else note)


def _rate(fact: Fact, key: str, setting: str, claim: Claim, spec: Spec) -> Comparison:
    lr = _documented(spec, setting).value
    batch = _documented(spec, "recipe.batch_size").value
    stated = figure(claim, "Batch Size")
    at = int(stated.number or 0) if stated else batch
    scaled = lr * at / batch
    computed = f"{scaled:.6g} at {many(at, 'image')} a step"
    agrees = fact.agrees_with(scaled)
    of = (fact.number or 0) * batch / lr if lr else 0
    note = f"By that rule {fact.text} is the rate of {many(round(of), 'image')} a step."
    return of_fact(key, fact, computed, agrees, note="" if agrees else note)


_SETTINGS = {"LR": _rate, "Crop Pct": _crop, "BatchNorm Momentum": _momentum}


def techniques(spec: Spec) -> list[str]:
    """What training the spec uses, in the words that model-index files have for it."""
    recipe, augment = spec.recipe, spec.recipe.augment
    used = {
        "AutoAugment": augment.policy in ("v0", "original"),
        "CutMix": augment.cutmix > 0,
        "Label Smoothing": recipe.label_smoothing > 0,
        "Mixup": augment.mixup > 0,
        "RMSProp": True,
        "RandAugment": augment.policy == "rand",
        "Random Erasing": augment.erase > 0,
        "Stochastic Depth": spec.network.drop_path > 0,
        "Weight Decay": recipe.weight_decay > 0,
    }
    return [name for name, is_used in used.items() if is_used]


def _documented(spec: Spec, setting: str) -> Origin:
    """A setting without what a data source's profile or a person wrote over it."""
    origin = spec.origins[setting]
    while origin.overrides and origin.layer in ("profile", "checkpoint", "overlay", "flag"):
        origin = origin.overrides
    return origin


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
