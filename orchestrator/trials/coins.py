"""An exact sequential test of whether a coin falls on one side more often than on the other.

Pairs of answers that are both right or both wrong say nothing about which version is better; those
that differ are flips of a coin, fair or unfavourable where the candidate is no better (McNemar's
test, looked at after every flip). The statistic is the wealth of a bettor who spreads her stakes
evenly over all degrees of unfairness (the mixture of A. Wald, "Sequential tests of statistical
hypotheses", 1945, and of J. Ville, 1939), but the boundary is not Ville's 1 / alpha: for coins the
chance of ever crossing a boundary within so many flips can be counted exactly, so the boundary is
the lowest one for which it is at most alpha. That saves about a seventh of the requests.

From any position the chance to cross by luck, divided by alpha, is again a fair bettor's wealth
that starts at 1 and is 1 / alpha when the boundary is crossed (N. W. Koning and S. van Meer, "Free
anytime validity by sequentializing a test", 2025): an e-value, whatever stops the trial.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

MOST_FLIPS = 1000
"""Beyond this wealth could not be written as a number (2 ** 1024), nor would the table be small."""
_STAKES = (np.arange(24) + 0.5) / 24
_TRIES = 4


def first(found: npt.NDArray[np.bool_]) -> int | None:
    """Which of them is the first that is true, counted from 1."""
    return int(found.argmax()) + 1 if found.any() else None


@dataclass(frozen=True)
class CoinTest:
    """Proves unfairness after `flips` flips when `needed[flips]` of them were wins."""

    alpha: float
    horizon: int
    needed: Counts

    @cached_property
    def _wealth(self) -> npt.NDArray[np.float32]:
        """By flips and wins: the chance to cross from there on by luck, divided by alpha."""
        table = np.zeros((self.horizon + 1, self.horizon + 2), dtype=np.float32)
        wins = np.arange(self.horizon + 2)
        later = (wins >= self.needed[-1]).astype(np.float64)
        table[-1] = later
        for flips in range(self.horizon - 1, -1, -1):
            now = np.zeros_like(later)
            now[:-1] = (later[1:] + later[:-1]) / 2
            now[wins >= self.needed[flips]] = 1.0
            table[flips] = later = now
        return table / np.float32(self.alpha)

    def crossed(self, flips: Counts, wins: Counts) -> int | None:
        """After how many pairs a path, given by its flips and wins after each, was first proof."""
        within = np.minimum(flips, self.horizon)
        return first((wins >= self.needed[within]) & (flips <= self.horizon))

    def wealth(self, flips: int, wins: int) -> float:
        """The e-value of a path that has not crossed before; 0 where nothing can be proven now."""
        if flips > self.horizon:
            return 0.0
        return float(self._wealth[flips, wins])

    def stake(self, flips: int, wins: int) -> float:
        """The share of the wealth that is bet on the next flip."""
        wealth = self.wealth(flips, wins)
        if wealth <= 0.0 or flips >= self.horizon:
            return 0.0
        return min(1.0, max(0.0, self.wealth(flips + 1, wins + 1) / wealth - 1.0))

    def crossing(self, chance: float) -> Floats:
        """By flips: the chance that a coin which wins with `chance` has been proven by then."""
        return np.cumsum(_first_crossings(self.needed, chance))


@lru_cache(maxsize=16)
def coin_test(alpha: float, horizon: int) -> CoinTest:
    """The test of level `alpha` within `horizon` flips (at most MOST_FLIPS)."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"the level of a test lies between 0 and 1, not at {alpha}")
    horizon = max(1, min(horizon, MOST_FLIPS))
    wealth = _mixture(horizon)
    low, high = 0.3 / alpha, 1.0 / alpha
    best = _needed(wealth, high)
    false = float(_first_crossings(best, 0.5).sum())
    for _ in range(_TRIES):
        # the chance to cross is nearly in inverse proportion to the threshold
        threshold = high * false / alpha
        if not low < threshold < high:
            threshold = (low * high) ** 0.5
        needed = _needed(wealth, threshold)
        chance = float(_first_crossings(needed, 0.5).sum())
        if chance <= alpha:
            best, false, high = needed, chance, threshold
        else:
            low = threshold
    return CoinTest(alpha, horizon, best)


def _mixture(horizon: int) -> Floats:
    """By wins and losses: the mean wealth of bettors who stake between nothing and everything."""
    counts = np.arange(horizon + 1)[:, None]
    won, lost = (1.0 + _STAKES) ** counts, (1.0 - _STAKES) ** counts
    product: Floats = won @ lost.T / len(_STAKES)
    return product


def _needed(wealth: Floats, threshold: float) -> Counts:
    """By flips: the fewest wins that the threshold takes (more than flips: never)."""
    horizon = len(wealth) - 1
    wins = (wealth < threshold).sum(axis=0)
    flips = np.arange(horizon + 1)
    most_lost = np.searchsorted(wins + flips, flips, side="right") - 1
    return np.where(most_lost < 0, horizon + 2, flips - most_lost)


def _first_crossings(needed: Counts, chance: float) -> Floats:
    """By flips: the chance to cross the boundary there first."""
    horizon = len(needed) - 1
    state = np.zeros(horizon + 2)
    state[0] = 1.0
    crossed = np.zeros(horizon + 1)
    for flips, over in enumerate(needed.tolist()):
        if not flips:
            continue
        won = state[:flips] * chance
        state[: flips + 1] *= 1.0 - chance
        state[1 : flips + 1] += won
        if over <= flips:
            crossed[flips] = state[over : flips + 1].sum()
            state[over : flips + 1] = 0.0
    return crossed
