"""What a trial will be able to see, and what it will take: for cards, and to refuse hopeless ones.

Figures are of the exact coin test (coins.py), for as many differing answers as are expected.
"""

import math
from collections.abc import Mapping

import numpy as np

from database.learning import Method
from orchestrator.trials.betting import horizon_of
from orchestrator.trials.coins import coin_test

POWER = 0.8
USUAL_DISCORDANCE: Mapping[Method, float] = {"replay": 0.3, "shadow": 0.3, "split": 0.5}
"""How often one version is right and the other wrong, before anything is known. In pairs: the
median of 2,700 pairs of models and prompts in public records (MINT) that are 10 to 40 points apart.
In a split the answers are to different requests: p(1 - q) + q(1 - p), at most a half where both are
right more often than not."""

_HALVINGS = 12
_MOST = 20_000


def smallest_effect(
    method: Method, alpha: float, most: int, discordance: float | None = None
) -> float:
    """The smallest effect (a share of right answers) that is proven with a chance of 80%.

    `most` are the requests after which the trial gives up. In a split two requests make one
    comparison, and answers to different requests differ more often. 1.0: no effect at all could
    be shown.
    """
    low, high = 0.0, 1.0
    if _power(method, alpha, most, discordance, high) < POWER:
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _power(method, alpha, most, discordance, middle) >= POWER:
            high = middle
        else:
            low = middle
    return high


def requests_needed(
    method: Method, alpha: float, effect: float, discordance: float | None = None
) -> int | None:
    """After how many requests an effect is proven with a chance of 80%; None: never soon enough."""
    if effect <= 0.0:
        return None
    low, high = 0, 64
    while _power(method, alpha, high, discordance, effect) < POWER:
        if high >= _MOST:
            return None
        low, high = high, min(_MOST, 2 * high)
    while high - low > 1:
        middle = (low + high) // 2
        if _power(method, alpha, middle, discordance, effect) >= POWER:
            high = middle
        else:
            low = middle
    return high


def _power(
    method: Method, alpha: float, most: int, discordance: float | None, effect: float
) -> float:
    """The chance to prove an effect within so many requests, as many differing as expected."""
    usual = USUAL_DISCORDANCE[method] if discordance is None else discordance
    differing = min(1.0, max(usual, effect))
    pairs = most / 2 if method == "split" else most
    if pairs < 1:
        return 0.0
    horizon = horizon_of(math.ceil(pairs))
    flips = min(horizon, int(pairs * differing))
    chance = min(1.0, 0.5 * (1.0 + effect / differing))
    return float(np.asarray(coin_test(alpha, horizon).crossing(chance))[flips])
