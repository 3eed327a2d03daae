"""Where a figure came from, as text in a terminal and as data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from effcc.catalog.cost import count
from effcc.proof import counting
from effcc.proof.counting import ARITHMETIC, BIAS, CLASSES, KNOWN, POOL, PRODUCTS, SCALE, WORDS
from effcc.terminal import item, many, numbers, three

if TYPE_CHECKING:
    from effcc.catalog.registry import Entry
    from effcc.claims.claim import Fact
    from effcc.proof.forensics import Explanation, Fit

_OTHERS = 4  # rules told in a line each, after the simplest


def text(
    entry: Entry, figure: str, fact: Fact | None, found: Explanation | None, width: int
) -> str:
    """What the search for a figure's rule found.

    Args:
        entry: the variant.
        figure: the name of the figure.
        fact: what is claimed; None if nothing is, and then there is nothing found.
        found: what the search found.
        width: columns of the terminal.
    """
    name = entry.spec.name
    if fact is None or found is None:
        return f"{name}: nothing to explain, no {figure} in {entry.claim.name}"
    size = entry.spec.preprocessing.image_size
    macs = count(entry.spec.network, size).macs
    lines = [
        f"{name}: {figure} {fact.text}, claimed at {fact.place.short};",
        f"its network takes {macs:,} multiply-accumulates at {size} px.",
        "",
        *textwrap.wrap(_verdict(found), width),
        "",
    ]
    if found.rules:
        lines += _rule(found.rules[0], width)
        lines += _in_lines("also", found.rules[1 : 1 + _OTHERS], found.figure, width)
        if (more := len(found.rules) - 1 - _OTHERS) > 0:
            lines += item("", f"and {many(more, 'other sum', 'other sums')} at least")
    else:
        lines += _in_lines("nearest", found.nearest, found.figure, width)
    return "\n".join(lines).rstrip()


def data(entry: Entry, fact: Fact | None, found: Explanation | None) -> dict[str, Any]:
    """The same, for JSON."""
    if fact is None or found is None:
        return {"name": entry.spec.name, "claimed": None}
    return {
        "name": entry.spec.name,
        "claimed": fact.text,
        "place": fact.place.short,
        "figure": found.figure,
        "within": found.within,
        "tried": found.tried,
        "by_chance": found.chance,
        "fits": found.fits,
        "rules": [_fit_data(fit, found.figure) for fit in found.rules],
        "nearest": [_fit_data(fit, found.figure) for fit in found.nearest],
    }


def _verdict(found: Explanation) -> str:
    tried = f"{many(found.tried, 'rule')} tried"
    chance = three(found.chance) if found.chance >= 1 else f"{found.chance:.1g}"
    chance = f"about {chance} would by chance"
    exactly = "to the unit" if not found.within else "as it is rounded"
    if not found.fits:
        return f"{tried}: none gives the figure {exactly}."
    different = len(found.rules)
    if different == 1:
        alike = f", in {found.fits} wordings" if found.fits > 1 else ""
        return f"{tried}: one gives the figure {exactly}{alike}; {chance}."
    told = "the simplest first; which of them it was, the figure alone does not tell"
    return f"{tried}: {found.fits:,} give the figure {exactly}; {chance}; {told}."


def _rule(fit: Fit, width: int) -> Iterator[str]:
    """One rule, choice by choice, and what it makes of each type of layer."""
    rule, picture = fit.rule, fit.picture
    known = KNOWN.get(rule)
    yield from _item("known as", known, width) if known else ()
    size = f"{picture.height} x {picture.width} pixels"
    yield from _item("image", f"{size}: {picture.why}", width)
    yield from item("products", ARITHMETIC[rule.arithmetic])
    yield from item("bias", BIAS[rule.bias])
    for name, each in (("norm", rule.norm), ("SiLU", rule.activation)):
        yield from item(name, f"{each} an element" if each else "not counted")
    yield from item("pooling", POOL[rule.pool])
    if rule.scale != 1:
        yield from item("sum", SCALE[rule.scale])
    yield ""
    yield from numbers(("layers", "class", "modules", "there are", "counted"), _rows(fit), names=2)
    yield ""


def _rows(fit: Fit) -> list[tuple[str, ...]]:
    """A row a type of layer; those of a class that is several types together, below them."""
    rows: list[tuple[str, ...]] = []
    parts, classes = fit.parts, counting.by_class(fit.parts)
    for kind, part in parts.items():
        tally, name = fit.counts[kind], CLASSES[kind]
        there = tally.macs if kind in PRODUCTS else tally.averaged or tally.outputs
        rows.append((WORDS[kind], name, f"{tally.modules:,}", f"{there:,}", f"{part:,}"))
        of_class = [other for other in parts if CLASSES[other] == name]
        together = sum(parts[other] > 0 for other in of_class) > 1
        if together and kind == of_class[-1]:
            rows.append(("", name, "", "together", f"{classes[name]:,}"))
    rows.append(("", "", "", SCALE[fit.rule.scale], f"{fit.total:,}"))
    return rows


def _in_lines(name: str, fits: Sequence[Fit], figure: int, width: int) -> Iterator[str]:
    for number, fit in enumerate(fits):
        away = fit.total - figure
        told = f"{fit.total:,} ({away:+,}): {_words(fit)}" if away else _words(fit)
        yield from _item(name if number == 0 else "", told, width)


def _words(fit: Fit) -> str:
    """A rule in a line: what is not said is not counted."""
    rule, picture = fit.rule, fit.picture
    said = [f"{picture.height} x {picture.width} pixels", _seen(fit)]
    said += [ARITHMETIC[rule.arithmetic]] if rule.arithmetic != "macs" else []
    said += [f"bias {BIAS[rule.bias]}"] if rule.bias else []
    said += [f"batch norm {rule.norm}"] if rule.norm else []
    said += [f"activation {rule.activation}"] if rule.activation else []
    said += [f"pooling {POOL[rule.pool]}"] if rule.pool else []
    said += [SCALE[rule.scale]] if rule.scale != 1 else []
    return " · ".join(said)


def _seen(fit: Fit) -> str:
    """Which layers that multiply a rule looks at, in as few words as it takes."""
    there = [kind for kind in PRODUCTS if kind in fit.counts]
    seen = [WORDS[kind] for kind in there if kind in fit.rule.products]
    missed = [WORDS[kind] for kind in there if kind not in fit.rule.products]
    if not missed:
        return "all that multiplies"
    if len(missed) < len(seen):
        return f"all that multiplies but {'; '.join(missed)}"
    return "; ".join(seen) or "nothing that multiplies"


def _item(name: str, told: str, width: int) -> list[str]:
    """Text beside a name, on as many lines as it takes."""
    room = max(20, width - len(item("", "")[0]))
    return item(name, *textwrap.wrap(told, room, break_on_hyphens=False))


def _fit_data(fit: Fit, figure: int) -> dict[str, Any]:
    rule, picture = fit.rule, fit.picture
    return {
        "total": fit.total,
        "away": fit.total - figure,
        "image": {"height": picture.height, "width": picture.width, "why": picture.why},
        "arithmetic": ARITHMETIC[rule.arithmetic],
        "bias": BIAS[rule.bias],
        "norm": rule.norm,
        "activation": rule.activation,
        "pooling": POOL[rule.pool],
        "scale": float(rule.scale),
        "types": [
            {
                "type": WORDS[kind],
                "class": CLASSES[kind],
                "modules": fit.counts[kind].modules,
                "macs": fit.counts[kind].macs,
                "outputs": fit.counts[kind].outputs,
                "counted": part,
            }
            for kind, part in fit.parts.items()
        ],
        "by_class": counting.by_class(fit.parts),
    }
