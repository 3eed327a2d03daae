"""What an entry claims beside what the code computes: the heart of a card that cannot lie.

A disagreement is either an error or disputed: acknowledged in the registry with a reason that the
card prints. A dispute of something that agrees is an error too, so that reasons do not outlive
their cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from effcc.catalog.claim import Claim, Fact
from effcc.catalog.cost import count, hook_counter_flops
from effcc.catalog.errors import Place, Problem
from effcc.catalog.registry import Entry
from effcc.catalog.spec import Spec
from effcc.catalog.words import many


@dataclass(frozen=True, slots=True)
class Comparison:
    """A claimed figure beside the computed one, as text; `reason` is the registry's dispute."""

    key: str
    claimed: str
    computed: str
    agrees: bool
    note: str
    reason: str
    place: Place

    @property
    def verdict(self) -> str:
        """agrees; disputed, if it does not but the registry says why; or differs."""
        return "agrees" if self.agrees else "disputed" if self.reason else "differs"


def compare(claim: Claim, spec: Spec) -> list[Comparison]:
    """Every figure of the claim that can be computed from the documented network."""
    return [
        Comparison(key, claimed, computed, agrees, note, spec.disputes.get(key, ""), place)
        for key, claimed, computed, agrees, note, place in _figures(claim, spec)
    ]


def problems(entries: Iterable[Entry]) -> list[Problem]:
    """Disagreements without a reason, and reasons that no variant needs any more."""
    found: set[Problem] = set()
    agreeing: dict[tuple[str, str], list[Comparison]] = {}
    needed: set[tuple[str, str]] = set()
    stated: dict[str, str] = {}
    compared: set[str] = set()
    for entry in entries:
        stated |= {key: entry.spec.name for key in entry.spec.disputes}
        for row in compare(entry.claim, entry.spec):
            compared.add(row.key)
            if not row.agrees and not row.reason:
                message = f"claims {row.claimed}, computed {row.computed}; mend it or dispute it"
                found.add(Problem(row.place, row.key, message))
            elif row.reason and row.agrees:
                agreeing.setdefault((row.key, row.reason), []).append(row)
            elif row.reason:
                needed.add((row.key, row.reason))
    for key in stated.keys() - compared:
        place = Place(f"registry/{stated[key]}.yaml")
        found.add(Problem(place, f"disputes.{key}", "nobody claims that; remove the dispute"))
    for dispute, rows in agreeing.items():
        # A shared reason may be needed by one variant and not by another.
        if dispute not in needed:
            row = rows[0]
            message = (
                f"claims {row.claimed} and that agrees with {row.computed}; remove the dispute"
            )
            found.add(Problem(row.place, f"disputes.{row.key}", message))
    return sorted(found)


def _figures(claim: Claim, spec: Spec) -> Iterator[tuple[str, str, str, bool, str, Place]]:
    size = spec.preprocessing.image_size
    cost = count(spec.network, size)

    def row(
        key: str, computed: str, agrees: bool, note: str = ""
    ) -> tuple[str, str, str, bool, str, Place]:
        fact = claim.facts[key]
        return key, fact.text, computed, agrees, note, fact.place

    if fact := _number(claim, "Parameters"):
        yield row("Parameters", f"{cost.parameters:,}", fact.agrees_with(cost.parameters))
    if fact := _number(claim, "FLOPs"):
        naive = hook_counter_flops(spec.network, size)
        note = f"The naive hook count gives {naive:,}." if fact.number == naive else ""
        yield row("FLOPs", f"{cost.macs:,} multiply-accumulates", fact.agrees_with(cost.macs), note)
    if fact := _number(claim, "File Size"):
        # A checkpoint file is its tensors and a name and header for each.
        agrees = 0 <= (fact.number or 0) - cost.state_bytes <= 400 * cost.tensors
        yield row("File Size", f"{cost.state_bytes:,} bytes of tensors, plus headers", agrees)
    if fact := _number(claim, "LR"):
        lr, batch = _documented(spec, "recipe.lr"), _documented(spec, "recipe.batch_size")
        stated = _number(claim, "Batch Size")
        at = int(stated.number or 0) if stated else batch
        scaled = lr * at / batch
        yield row("LR", f"{scaled:.6g} at {many(at, 'image')} a step", fact.agrees_with(scaled))
    if fact := claim.facts.get("Training Techniques"):
        used = techniques(spec)
        claimed = ", ".join(fact.data)
        agrees = set(fact.data) <= set(used)
        yield "Training Techniques", claimed, ", ".join(used), agrees, "", fact.place
    title = claim.cited.title if claim.cited else None
    if title and claim.bibtex:
        bibtex, agrees = claim.bibtex[0], same_title(claim.bibtex[0], title)
        claimed = f"“{bibtex_field(bibtex, 'title')}” in its BibTeX"
        yield "Citation", claimed, f"“{title}” as its Paper", agrees, "", claim.place


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


def same_title(bibtex: str, title: str) -> bool:
    """Whether a BibTeX entry is of the paper with this title; case and punctuation do not count."""

    def plain(text: str) -> str:
        return "".join(letter for letter in text.casefold() if letter.isalnum())

    return plain(bibtex_field(bibtex, "title") or "") == plain(title)


def bibtex_field(bibtex: str, name: str) -> str | None:
    """The text of a field of one BibTeX entry, braces removed; None if it has no such field."""
    match = re.search(
        rf"^\s*{name}\s*=\s*\{{(.*?)\}}\s*,?\s*$", bibtex, re.MULTILINE | re.IGNORECASE | re.DOTALL
    )
    return " ".join(match[1].replace("{", "").replace("}", "").split()) if match else None


def _documented(spec: Spec, setting: str) -> Any:
    """A setting without what a data source's profile or a person wrote over it."""
    origin = spec.origins[setting]
    while origin.overrides and origin.layer in ("profile", "checkpoint", "overlay", "flag"):
        origin = origin.overrides
    return origin.value


def _number(claim: Claim, key: str) -> Fact | None:
    fact = claim.facts.get(key)
    return fact if fact and fact.number is not None else None
