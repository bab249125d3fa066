"""Where a share is going: a line through the days, with its uncertainty."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_DAYS = 10
LEAST_JUDGED = 50
_Z = 2.576
"""99%: many agents are looked at, and a trend that is none costs trust."""


@dataclass(frozen=True, slots=True)
class Day:
    """So many judged (`n`, a sum of weights) and good on a day."""

    day: int
    n: float
    good: float


@dataclass(frozen=True, slots=True)
class Ahead:
    """The share now and `days` from now as the line has it; `low` and `high` bound the latter.

    `per_week` is the change of the share in a week, and its bounds.
    """

    days: int
    now: float
    then: float
    low: float
    high: float
    per_week: float
    per_week_low: float
    per_week_high: float

    @property
    def sure(self) -> bool:
        """Whether the direction is not just chance."""
        return self.per_week_low > 0 or self.per_week_high < 0


def ahead(days: Sequence[Day], until: int = 7) -> Ahead | None:
    """A weighted straight line through the days, drawn on by `until` days; None for too few.

    Days weigh by how much was judged; where days differ by more than chance the bounds are
    widened accordingly (a quasi-binomial model). A line knows nothing of causes: it says where
    things go if they go on like this.
    """
    known = [one for one in days if one.n > 0]
    total = sum(one.n for one in known)
    if len(known) < LEAST_DAYS or total < LEAST_JUDGED:
        return None
    weights = np.array([one.n for one in known])
    x = np.array([float(one.day - known[-1].day) for one in known])
    y = np.array([one.good / one.n for one in known])
    middle = float((weights * x).sum() / total)
    spread = float((weights * (x - middle) ** 2).sum())
    if spread <= 0:
        return None
    share = float((weights * y).sum() / total)
    slope = float((weights * (x - middle) * (y - share)).sum() / spread)
    chance = max(share * (1 - share), 1 / (total + 2))
    left = y - share - slope * (x - middle)
    wider = max(1.0, float((weights * left**2).sum() / chance) / (len(known) - 2))

    def at(when: float) -> tuple[float, float]:
        off = _Z * math.sqrt(wider * chance * (1 / total + (when - middle) ** 2 / spread))
        return share + slope * (when - middle), off

    (now, _), (then, off) = at(0.0), at(float(until))
    steep = _Z * math.sqrt(wider * chance / spread)
    return Ahead(
        until, _share(now), _share(then), _share(then - off), _share(then + off),
        7 * slope, 7 * (slope - steep), 7 * (slope + steep),
    )  # fmt: skip


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))
