"""What an entry claims beside what the code computes: the heart of a card that cannot lie.

A disagreement is either an error or disputed: acknowledged in the registry with a reason that the
card prints. A dispute is of the figure that it names; of something that agrees it is an error too,
so that reasons do not outlive their cause. What the registry takes from the entry is not held
against it. All of this needs no torch; `effcc verify` builds the networks besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from effcc.catalog.cost import Cost, count
from effcc.catalog.layers import CLAIMED
from effcc.catalog.registry import Entry
from effcc.catalog.results import Run
from effcc.catalog.spec import Origin, Spec
from effcc.claims.claim import Claim, Fact
from effcc.ground.errors import Place, Problem
from effcc.ground.words import closest, many
from effcc.proof import accuracy, citation, counting, links, neighbours
from effcc.proof.comparison import DIFFERS, Comparison, figure, of_fact

# What stands beside a setting that the registry leaves to the entry: no claim bears itself out.
TAKEN = "taken from the entry"
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
    rows += [of_fact(key, fact, "", None) for key, fact in claim.facts.items() if key not in seen]
    return [replace(row, dispute=spec.disputes.get(row.key)) for row in rows]


across = neighbours.comparisons


def every(
    entries: Sequence[Entry], runs: Callable[[Entry], Sequence[Run]] = lambda _: ()
) -> dict[str, list[Comparison]]:
    """What is said of each variant beside all that is known, by name.

    `runs` reads a variant's records, newest first; nothing of them is kept.
    """
    beside = across(entries)
    return {
        entry.spec.name: compare(
            entry.claim, entry.spec, runs(entry), beside.get(entry.spec.name, ())
        )
        for entry in entries
    }


def problems(
    entries: Sequence[Entry], rows: Mapping[str, Sequence[Comparison]] | None = None
) -> list[Problem]:
    """Disagreements without a reason, and reasons that no variant needs any more.

    `rows` are those of `every`, if the caller has them.
    """
    rows = every(entries) if rows is None else rows
    found = {problem(row) for each in rows.values() for row in each if row.verdict == DIFFERS}
    return sorted(found | set(unneeded(entries, rows)))


def problem(row: Comparison) -> Problem:
    """A disagreement that nobody gave a reason for."""
    if not row.claimed:
        return Problem(row.place, row.key, f"{row.against}; mend it")
    found = "; ".join(text for text in (f"claims {row.claimed}, {row.against}", row.beside) if text)
    return Problem(row.place, row.key, f"{found}; mend it or dispute it")


def unneeded(
    entries: Sequence[Entry], rows: Mapping[str, Sequence[Comparison]]
) -> Iterator[Problem]:
    """Reasons for what agrees, or for what nobody claims; `rows` are those of each variant.

    A shared reason is needed as long as one of the variants that share it needs it.
    """
    shared: dict[tuple[str, Place], list[Comparison]] = {}
    for entry in entries:
        claimed = [row for row in rows[entry.spec.name] if row.claimed]
        for key, dispute in entry.spec.disputes.items():
            of = shared.setdefault((key, dispute.place), [])
            of += [row for row in claimed if row.key == key]
    known = {row.key for each in rows.values() for row in each if row.claimed}
    for (key, place), of in shared.items():
        if any(row.agrees is False for row in of):
            continue  # needed, or else a problem of the claim, which tells of the dispute
        message = f"nobody claims that; remove the dispute{closest(key, known - {key})}"
        if of:
            row = next((row for row in of if row.agrees), of[0])
            found = "is contradicted by nothing here"
            if row.agrees:
                found = f"agrees with {row.computed}"
            message = f"{row.claimed} of {row.place.short} {found}; remove the dispute"
        yield Problem(place, f"disputes.{key}", message)


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
        agrees = all(technique in used for technique in claimed)
        yield of_fact("Training Techniques", fact, ", ".join(used), agrees)


def _setting(fact: Fact, key: str, setting: str, claim: Claim, spec: Spec) -> Comparison:
    stated = _stated(spec, setting)
    if stated is None:
        return of_fact(key, fact, TAKEN, None)
    value = stated.value
    agrees = fact.agrees_with(value) if fact.number is not None else fact.data == value
    is_built = stated == _documented(spec, setting)
    note = "" if is_built else f"{stated.place} says so; built is what the entry says, over it."
    return of_fact(key, fact, _shown(value), agrees, note="" if agrees else note)


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
    stated = _stated(spec, setting)
    stays = (stated or _documented(spec, setting)).value
    tensorflow, pytorch = f"{_shown(stays)} TensorFlow's", f"{_shown(1 - stays)} PyTorch's"
    if (fact.number or 0) > 0.5:
        if stated is None:
            return of_fact(key, fact, TAKEN, None)
        computed = f"{tensorflow}, {pytorch}"
        return of_fact(key, fact, computed, fact.agrees_with(stays))
    note = "The registry reads what stays, as TensorFlow does; state network.bn_momentum there."
    agrees = fact.agrees_with(1 - stays)
    computed = f"{pytorch}, {tensorflow}"
    return of_fact(key, fact, computed, agrees, note="" if agrees else note)


def _rate(fact: Fact, key: str, setting: str, claim: Claim, spec: Spec) -> Comparison:
    stated = _stated(spec, setting)
    lr = (stated or _documented(spec, setting)).value
    batch = _documented(spec, "recipe.batch_size").value
    named = figure(claim, "Batch Size")
    at = int(named.number or 0) if named else batch
    if stated is None and at == batch:
        return of_fact(key, fact, TAKEN, None)
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


def _stated(spec: Spec, setting: str) -> Origin | None:
    """What the registry itself says of a setting; None if it takes that from the entry.

    A shared file may say something under the entry, which then is what is built.
    """
    origin: Origin | None = _documented(spec, setting)
    while origin and origin.layer not in ("variant", "shared"):
        origin = origin.overrides
    return origin


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
