"""How many proposals are taken up a day: what is too much today waits for a day with room."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from database.learning import Proposal

AHEAD = 7
"""Days that are filled; of more than that the best are proposed again by whoever finds them."""
_DAY = 86_400.0
_APART = 60.0
"""Clocks of several machines may be so far apart: what one made just now waits for nothing."""


class Days:
    """The days (UTC) from now on, with what was taken up or waits in each; `most` None: no limit.

    A proposal that waits has the beginning of its day as the time of its making.
    """

    def __init__(self, most: int | None, known: Sequence[Proposal], now: float) -> None:
        self._most = most
        self._now = now
        self._taken = Counter(int(p.created_at // _DAY) for p in known)

    def next(self) -> float | None:
        """When one more is taken up, which is counted; None where all days are full."""
        today = int(self._now // _DAY)
        for day in range(today, today + AHEAD):
            if self._most is None or self._taken[day] < self._most:
                self._taken[day] += 1
                return self._now if day == today else day * _DAY
        return None


def waits(proposal: Proposal, now: float) -> bool:
    """Whether its day has not come yet."""
    return proposal.state == "proposed" and proposal.created_at > now + _APART


def until(day: float) -> str:
    """The day in words."""
    return datetime.fromtimestamp(day, UTC).date().isoformat()
