"""A goal by its id, or by what people type of that."""

from database.errors import UnknownName
from database.goals import Goal
from goals.ledger import Goals

_LEAST_OF_AN_ID = 6


async def known(rows: Goals, goal_id: str) -> Goal:
    """The goal of this id. Raises UnknownName."""
    goal = await rows.goal(goal_id)
    if goal is None:
        raise UnknownName(f"There is no goal {goal_id}. See `virtuous6 goals status`.")
    return goal


async def like(rows: Goals, beginning: str) -> Goal:
    """The one goal whose id begins so. Raises UnknownName."""
    ids = await rows.ids(beginning) if len(beginning) >= _LEAST_OF_AN_ID else ()
    if len(ids) > 1:
        raise UnknownName(f"Several goals begin with {beginning}: give more of the id.")
    return await known(rows, ids[0] if ids else beginning)
