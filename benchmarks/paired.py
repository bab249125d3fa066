"""Paired yes/no comparisons: differences of two proportions and their 95% intervals."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from agents.improvement.intervals import wilson

_T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
"""Student's t, two-sided 95%, for 1 to 20 degrees of freedom."""

Pair = tuple[bool, bool]
"""Whether the first and the second side passed the same question."""


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second, from -1 to 1, with its 95% interval; `n` pairs."""

    difference: float
    low: float
    high: float
    n: int


def paired_difference(pairs: Sequence[Pair]) -> Difference:
    """Newcombe's square-and-add interval for paired proportions.

    Method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17 (1998), 2635-2650.
    """
    n = len(pairs)
    if not n:
        raise ValueError("there are no pairs to compare")
    both = sum(first and second for first, second in pairs)
    only_first = sum(first and not second for first, second in pairs)
    only_second = sum(second and not first for first, second in pairs)
    neither = n - both - only_first - only_second
    first, second = both + only_first, both + only_second
    low1, high1 = wilson(first, n)
    low2, high2 = wilson(second, n)
    p1, p2 = first / n, second / n
    phi = _correlation(both, only_first, only_second, neither)
    below, above = (p1 - low1, high2 - p2), (high1 - p1, p2 - low2)
    difference = (only_first - only_second) / n
    return Difference(
        difference, difference - _added(below, phi), difference + _added(above, phi), n
    )


def clustered_difference(clusters: Sequence[Sequence[Pair]]) -> Difference:
    """The mean of the clusters' differences, each counting the same, with Student's interval.

    What varies from cluster to cluster is in the interval, so it speaks of clusters like these and
    not of these alone. Needs 2 to 21 clusters.
    """
    means = [statistics.fmean(int(a) - int(b) for a, b in pairs) for pairs in clusters]
    if not 2 <= len(means) <= len(_T_975) + 1:
        raise ValueError(f"needs 2 to {len(_T_975) + 1} clusters, not {len(means)}")
    mean = statistics.fmean(means)
    half = _T_975[len(means) - 2] * statistics.stdev(means) / math.sqrt(len(means))
    return Difference(mean, mean - half, mean + half, sum(map(len, clusters)))


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> float:
    sides = (both + only_first, only_second + neither, both + only_second, only_first + neither)
    if not all(sides):
        return 0.0
    n = both + only_first + only_second + neither
    excess: float = both * neither - only_first * only_second
    if excess > 0:  # Newcombe's continuity correction
        excess = max(excess - n / 2, 0)
    return excess / math.sqrt(math.prod(sides))


def _added(sides: tuple[float, float], phi: float) -> float:
    a, b = sides
    return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))
