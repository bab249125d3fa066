"""Tells of goals that move, whichever process moves them."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from cachetools import LRUCache

from database.errors import VirtuousError
from database.goals import Goal
from goals.ledger import Goals

Changed = Callable[[Goal], Awaitable[None]]
"""Hears of a goal that has moved."""


_POLL_SECONDS = 1.0
_REMEMBERED = 10_000

log = structlog.get_logger()


class Watch:
    """Tells of moves: this process's at once, those of others by asking each second."""

    def __init__(self, rows: Goals) -> None:
        self.handlers: list[Changed] = []
        self._rows = rows
        self._told: LRUCache[str, int] = LRUCache(_REMEMBERED)
        self._telling: set[asyncio.Task[None]] = set()
        rows.ledger.on_move(self._moved_here)

    async def poll(self) -> None:
        """Ask the ledger each second, until cancelled."""
        cursor: int | None = None
        away = False
        while True:
            try:
                goals, cursor = await self._rows.changed(cursor)
                for goal in goals:
                    await self._tell(goal)
                away = False
            except VirtuousError as error:
                if not away:
                    log.warning("goals_not_watched", reason=str(error))
                away = True
            except Exception:  # the outermost boundary: it must look on
                log.exception("watching_goals_broke")
            await asyncio.sleep(_POLL_SECONDS)

    async def stop(self) -> None:
        """Tell of nothing more."""
        self._rows.ledger.no_more(self._moved_here)
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def _moved_here(self, workspace: str, goal: Goal) -> None:
        if workspace == self._rows.workspace and self.handlers:
            task = asyncio.get_running_loop().create_task(self._tell(goal))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, goal: Goal) -> None:
        if self._told.get(goal.goal_id, -1) >= goal.revision:
            return
        self._told[goal.goal_id] = goal.revision
        for handler in self.handlers:
            try:
                await handler(goal)
            except Exception:
                log.exception("goal_handler_failed", goal=goal.goal_id)
