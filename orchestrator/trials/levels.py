"""How strict each trial must be, so that few of all promotions are false however many are tried.

e-LOND (Z. Xu and A. Ramdas, "Online multiple testing with e-values", AISTATS 2024): trial t is
tested at alpha * gamma(t) * (1 + discoveries so far), where the gammas sum to 1. Of everything
that trials ever prove, at most a share of alpha is expected to be false, however the trials depend
on each other: the same requests may serve several of them, and they may overlap, since counting
only the discoveries that are known when a trial starts makes its level lower, never higher. What
the trials give are e-values (see coins.py and betting.py), which is what this needs.
"""

import math
from collections.abc import Sequence

FALSE_SHARE = 0.05
"""Of what is proven, this share may be false, expected over everything that was ever tried."""

_LATER = 2
_TOTAL = 1.0691
"""The sum of 1 / (t * log(t) ** 2) for t = 1 + _LATER, 2 + _LATER, ... (a test counts it)."""


def gamma(trial: int) -> float:
    """The part of the whole that the trial of this number (from 1) is given."""
    t = trial + _LATER
    return 1.0 / (t * math.log(t) ** 2) / _TOTAL


def next_alpha(earlier: Sequence[bool | None], alpha: float = FALSE_SHARE) -> float:
    """The level of the next trial, given those started before it.

    True: it has proven its proposal. False: it ended otherwise. None: it is still running, which
    counts as not proven.
    """
    discoveries = sum(1 for proven in earlier if proven)
    return min(alpha, alpha * gamma(len(earlier) + 1) * (1 + discoveries))
