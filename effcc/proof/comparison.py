"""A published figure beside what is computed and what was measured, and the verdict on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from effcc.claims.claim import Claim, Fact
from effcc.ground.errors import Place

AGREES, DISPUTED, DIFFERS, NOT_COMPARED = "agrees", "disputed", "differs", "not compared"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A claimed figure and what stands beside it, as text.

    `agrees` is None where nothing here can tell. `reason` is the registry's dispute of the figure,
    `note` what the comparison itself has to say.
    """

    key: str
    claimed: str
    computed: str
    agrees: bool | None
    place: Place
    measured: str = ""
    note: str = ""
    reason: str = ""

    @property
    def verdict(self) -> str:
        """agrees; disputed, if it does not but the registry says why; differs; or not compared."""
        if self.agrees is None:
            return NOT_COMPARED
        return AGREES if self.agrees else DISPUTED if self.reason else DIFFERS

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
    return Comparison(key, fact.text, computed, agrees, fact.place, measured, note)
