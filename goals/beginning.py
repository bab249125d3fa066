"""What a goal is before there is a plan, and whether its person's day has room to plan it."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from database.goals import Budget, Goal, Spent, goal_id_of
from database.records import Reader
from goals.budgets import DayLimit, DayUse, check_day
from goals.ledger import Goals
from goals.ports import Wish

PLANNING = Spent(0.0, 8_000, 0.02)
"""About what a plan takes of a strong model, asked again included; counted while it is made."""


class PlanningRoom:
    """Plans that are being made count against their person's day, as if they were made."""

    def __init__(self, rows: Goals) -> None:
        self._rows = rows
        self._under_way: Counter[str] = Counter()

    @asynccontextmanager
    async def one(self, user_id: str, limit: DayLimit) -> AsyncIterator[None]:
        """Make a plan inside. Raises BudgetExceeded where the day has no room for another."""
        others = self._under_way[user_id]
        self._under_way[user_id] += 1
        try:
            used = await self._rows.use_today(user_id)
            held = Spent(0.0, others * PLANNING.tokens, others * PLANNING.usd)
            check_day(limit, DayUse(used.spent, used.held + held))
            yield
        finally:
            self._under_way[user_id] -= 1


def asked(request: Wish, reader: Reader, budget: Budget, now: float) -> Goal:
    """A request as the goal that it becomes."""
    return Goal(
        goal_id=goal_id_of(request.run_id),
        user_id=request.user_id,
        request=request.text,
        run_id=request.run_id,
        channel_id=request.channel_id,
        thread_ts=request.thread_ts,
        message_ts=request.message_ts,
        audience=request.audience,
        reader_channels=reader.channels,
        reader_public=reader.public,
        budget=budget,
        created_at=now,
    )
