"""Whether two counts differ by more than chance makes them."""

from __future__ import annotations

import math

# Below it, a difference counts as one; the share of pairs that are equal and look different.
LEVEL = 0.05
TEST = "Fisher's exact test, two-sided"


def p_value(correct: int, n: int, other_correct: int, other_n: int) -> float:
    """How often chance makes two equal shares differ as much as these or more.

    Fisher's exact test, two-sided (R. A. Fisher, "Statistical Methods for Research Workers", 5th
    edition, 1934, section 21.02): of all tables with these sums, those that are no more probable
    than the one found. It holds at any counts, also where nearly all are right and a test by the
    normal distribution does not.

    It takes the images of the two as drawn apart. On the same images McNemar's test would find
    smaller differences, but needs to know which ones each got right; so this one errs towards
    `no difference`.

    Raises:
        ValueError: a count is larger than its sum, or below 0.
    """
    if not (0 <= correct <= n and 0 <= other_correct <= other_n):
        raise ValueError("no more can be right than there are")
    right, everyone = correct + other_correct, n + other_n
    fewest, most = max(0, right - other_n), min(n, right)
    table = [
        _log_choose(n, count) + _log_choose(other_n, right - count) - _log_choose(everyone, right)
        for count in range(fewest, most + 1)
    ]
    found = table[correct - fewest] + 1e-7  # equally probable ones may differ by rounding
    return min(1.0, math.fsum(math.exp(log) for log in table if log <= found))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
