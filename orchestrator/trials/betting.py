"""Evidence about the mean of bounded numbers that may be looked at after each of them.

A bettor stakes a share of her wealth on the mean being higher than a claim says. Where the claim is
true her wealth is a supermartingale that starts at 1, so it ever reaches 1 / alpha with a chance of
at most alpha (J. Ville, 1939): wealth is an e-value, whenever one looks and whyever one stops. The
stakes are spread evenly over a grid (T. Cover's universal portfolio), as in I. Waudby-Smith and
A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024), whose
confidence sequences are what `lower` and `upper` are. Nothing is assumed but the bounds: numbers
may drift, and their spread need not be known.

Numbers are differences, candidate minus active, in -1..1.
"""

import math

import numpy as np
import numpy.typing as npt

from orchestrator.trials.coins import MOST_FLIPS, CoinTest, coin_test, first

Floats = npt.NDArray[np.float64]

_STAKES = (np.arange(24) + 0.5) / 24
_STEPS = 100
"""Numbers are counted on a grid of this many steps a unit for bounds, rounded against the bound."""
_CLAIMS, _PASSES = 48, 2
_LEAST = -1.0 + 1e-9
"""No bet can be made against a mean of -1."""


_HORIZONS = [*(round(MOST_FLIPS * 0.875**n) for n in range(27, 0, -1)), MOST_FLIPS]


def horizon_of(most: int) -> int:
    """Flips that a trial of `most` pairs provides for: half of them, as unrelated answers give.

    In steps of an eighth, so that trials share their tests.
    """
    return next(n for n in _HORIZONS if n >= min(MOST_FLIPS, math.ceil(most / 2)))


def proven(differences: Floats, alpha: float, most: int) -> tuple[int | None, float]:
    """After how many differences the mean is first shown to be above 0, and the e-value now.

    Exact for answers that are right or wrong (see coins.py); by betting from the first difference
    on that is no whole number.
    """
    test = coin_test(alpha, horizon_of(most))
    partly = np.nonzero((differences != 0.0) & (np.abs(differences) != 1.0))[0]
    whole = differences if not partly.size else differences[: partly[0]]
    flips = np.cumsum(whole != 0.0, dtype=np.int64)
    wins = np.cumsum(whole > 0.0, dtype=np.int64)
    crossed = test.crossed(flips, wins)
    if crossed:
        return crossed, 1.0 / alpha
    at, won = (int(flips[-1]), int(wins[-1])) if flips.size else (0, 0)
    if not partly.size:
        return None, test.wealth(at, won)
    path = _by_betting(differences[partly[0] :], test, at, won)
    later = first(path >= 1.0 / alpha)
    return later and later + int(partly[0]), float(path[-1])


def _by_betting(rest: Floats, test: CoinTest, flips: int, wins: int) -> Floats:
    # The stake on the next number is settled before it is seen, so the first is still the coin's.
    start = test.wealth(flips, wins) * (1.0 + test.stake(flips, wins) * float(rest[0]))
    return np.append(start, start * wealth(rest[1:]))


def wealth(differences: Floats, claim: float = 0.0) -> Floats:
    """The e-value against a mean of at most `claim` (in -1..1), after each difference."""
    stakes = _STAKES / (1.0 + claim)
    each = np.cumsum(np.log1p(np.outer(differences - claim, stakes)), axis=0)
    found: Floats = np.exp(np.minimum(_log_mean(each), 700.0))
    return found


def lower(differences: Floats, alpha: float) -> float:
    """The mean is above this at every look, but for a chance of alpha."""
    if not differences.size:
        return -1.0
    values, counts = np.unique(np.floor(differences * _STEPS + 1e-9) / _STEPS, return_counts=True)
    values, weights = np.maximum(values, -1.0), counts.astype(np.float64)
    low, high = -1.0, float(values @ weights / weights.sum())
    for _ in range(_PASSES):
        claims = np.linspace(low, high, _CLAIMS + 1).clip(min=_LEAST)
        refuted = _log_wealths(values, weights, claims[1:]) >= math.log(1.0 / alpha)
        low, high = claims[refuted.sum()], claims[min(_CLAIMS, refuted.sum() + 1)]
    return float(low)


def upper(differences: Floats, alpha: float) -> float:
    """The mean is below this at every look, but for a chance of alpha."""
    return -lower(-differences, alpha)


def _log_wealths(values: Floats, weights: Floats, claims: Floats) -> Floats:
    """By claim: the logarithm of the wealth after so many of each value; falls with the claim."""
    stakes = _STAKES / (1.0 + claims[:, None])
    gains = np.log1p((values - claims[:, None])[:, None, :] * stakes[:, :, None])
    return _log_mean(gains @ weights)


def _log_mean(logs: Floats) -> Floats:
    """By row: the logarithm of the mean of what these are logarithms of."""
    highest = logs.max(axis=1)
    found: Floats = highest + np.log(np.exp(logs - highest[:, None]).mean(axis=1))
    return found
