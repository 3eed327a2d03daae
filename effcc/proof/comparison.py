"""A published figure beside what is computed and what was measured, and the verdict on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from effcc.catalog.spec import Dispute
from effcc.claims.claim import Claim, Fact
from effcc.ground.errors import Place

AGREES, DISPUTED, DIFFERS, NOT_COMPARED = "agrees", "disputed", "differs", "not compared"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A claimed figure and what stands beside it, as text.

    `agrees` is None where nothing here can tell. `dispute` is the registry's under this key, of
    this figure or of another; `note` what the comparison itself has to say.
    """

    key: str
    claimed: str
    computed: str
    agrees: bool | None
    place: Place
    measured: str = ""
    note: str = ""
    dispute: Dispute | None = None

    @property
    def is_counted(self) -> bool:
        """Whether what stands beside the claim is a figure of the code, not words on it."""
        return self.computed[:1].isdigit()

    @property
    def verdict(self) -> str:
        """agrees; disputed, if it does not but the registry says why; differs; or not compared."""
        if self.agrees is None:
            return NOT_COMPARED
        if self.agrees:
            return AGREES
        return DISPUTED if self.dispute and self.dispute.covers(self.claimed) else DIFFERS

    @property
    def reason(self) -> str:
        """Why the claim is disputed; empty if it is not."""
        return self.dispute.reason if self.dispute and self.verdict == DISPUTED else ""

    @property
    def beside(self) -> str:
        """That the claim differs and the dispute is of another, in words; empty if it is not so."""
        if not self.dispute or self.verdict != DIFFERS:
            return ""
        return (
            f"the dispute at {self.dispute.place.short} is of {' or '.join(self.dispute.claimed)}"
        )

    @property
    def against(self) -> str:
        """What the figure was held against: `computed 13,314,116, measured ...`."""
        found = {"computed": self.computed, "measured": self.measured}
        return ", ".join(f"{name} {text}" for name, text in found.items() if text)


def figure(claim: Claim, key: str) -> Fact | None:
    """A number among a claim's metadata, if it is there and finite."""
    fact = claim.facts.get(key)
    return fact if fact and fact.number is not None and math.isfinite(fact.number) else None


def of_fact(
    key: str, fact: Fact, computed: str, agrees: bool | None, *, measured: str = "", note: str = ""
) -> Comparison:
    """The comparison of one fact."""
    return Comparison(key, fact.words, computed, agrees, fact.place, measured, note)
