"""How sure one can be of a share."""

import math

Z_95 = 1.959964


def wilson(successes: float, n: float, z: float = Z_95) -> tuple[float, float]:
    """The interval of a share of which `successes` of `n` were seen (0..1; 0 and 1 without any).

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927;
    `z` is the normal quantile, by default of 95%.
    """
    if not n:
        return 0.0, 1.0
    share, square = successes / n, z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(
    good: float, n: float, good_before: float, n_before: float, z: float = Z_95
) -> tuple[float, float]:
    """The interval of one share less another (-1..1), of counts that have nothing to do with each
    other.

    R. G. Newcombe, "Interval estimation for the difference between independent proportions", 1998,
    method 10: made of Wilson's intervals of both.
    """
    if not n or not n_before:
        return -1.0, 1.0
    now, before = good / n, good_before / n_before
    (low, high), (low_before, high_before) = wilson(good, n, z), wilson(good_before, n_before, z)
    down = math.hypot(now - low, high_before - before)
    up = math.hypot(high - now, before - low_before)
    return now - before - down, now - before + up
