"""What a person's goals may use in a day, kept so that it is never passed, whoever races.

A task's reservation is held against the day on which it was made and let go of when the task has
ended; what it then took counts on that day. Both happen in the transaction of the goal's own move.
Days are those of UTC. Money is counted in millionths of a dollar.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from database.errors import BudgetExceeded
from database.goals import NOTHING, Goal, Spent, Task
from goals.sql import Transaction

if TYPE_CHECKING:
    from goals.sql import AnyRow

DAY_SECONDS = 86_400
KEPT_DAYS = 62
"""So long is it kept what somebody used in a day."""

_HELD = ("queued", "running")


@dataclass(frozen=True, slots=True)
class DayLimit:
    """The most that all goals of one person may use in a day; None: no limit."""

    usd: float | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class DayUse:
    """What a person's goals have used today, and hold of the rest for tasks that run."""

    spent: Spent
    held: Spent


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose budget: the keyed digest of a person in a workspace."""

    workspace: str
    person: str


def micro(usd: float) -> int:
    """Dollars in millionths."""
    return round(usd * 1_000_000)


def spent_by(goal: Goal) -> tuple[int, int]:
    """What a goal has spent: millionths of a dollar, tokens."""
    return micro(goal.spent.usd), goal.spent.tokens


def day_of(now: float) -> int:
    """Number of the day in UTC since the epoch."""
    return int(now // DAY_SECONDS)


def follow(
    transaction: Transaction,
    owner: Owner,
    counted: tuple[int, int],
    goal: Goal,
    limit: DayLimit | None,
) -> None:
    """Bring attempts and the person's day to what a goal has become.

    `counted` is what of its spending was counted before: millionths of a dollar, tokens. Raises
    BudgetExceeded, and then the transaction must end.
    """
    wanted = {(task.key, task.attempt): task for task in goal.tasks if _is_under_way(task)}
    known = {
        (row.key, row.attempt): row
        for row in transaction.rows(_ATTEMPTS, workspace=owner.workspace, goal_id=goal.goal_id)
    }
    now = transaction.now()
    days: dict[int, list[int]] = {}
    over = [row for which, row in known.items() if which not in wanted]
    usd, tokens = spent_by(goal)
    spent_on = over[0].day if over else day_of(now)
    _add(days, spent_on, (0, 0, usd - counted[0], tokens - counted[1]))
    for row in over:
        _add(days, row.day, (-row.held_usd, -row.held_tokens, 0, 0))
    _drop(transaction, owner, goal.goal_id, over)
    for which, task in wanted.items():
        _keep(transaction, owner, goal.goal_id, task, known.get(which), now, days)
    for day, change in days.items():
        if any(change):
            _count(transaction, owner, day, change, limit)


def check_day(limit: DayLimit, used: DayUse) -> None:
    """Raise BudgetExceeded where nothing of a person's day is left for planning."""
    total = used.spent + used.held
    if (limit.usd is not None and total.usd >= limit.usd) or (
        limit.tokens is not None and total.tokens >= limit.tokens
    ):
        raise BudgetExceeded(
            "Your goals have used up what they may use today. Ask again tomorrow (UTC), or have an "
            "approver raise goal_usd_per_day or goal_tokens_per_day."
        )


def release(transaction: Transaction, owner: Owner, goal_id: str) -> None:
    """Let go of all that a goal holds, as it is deleted."""
    found = transaction.rows(_ATTEMPTS, workspace=owner.workspace, goal_id=goal_id)
    for row in found:
        change = [-row.held_usd, -row.held_tokens, 0, 0]
        _count(transaction, owner, row.day, change, None)
    _drop(transaction, owner, goal_id, found)


def use(transaction: Transaction, owner: Owner) -> DayUse:
    """What is used and held today."""
    sql = """SELECT held_usd, held_tokens, spent_usd, spent_tokens FROM days
        WHERE workspace = :workspace AND person = :person AND day = :day"""
    today = day_of(transaction.now())
    row = transaction.row(sql, workspace=owner.workspace, person=owner.person, day=today)
    if row is None:
        return DayUse(NOTHING, NOTHING)
    held, spent = row.held_usd / 1e6, row.spent_usd / 1e6
    return DayUse(Spent(0.0, row.spent_tokens, spent), Spent(0.0, row.held_tokens, held))


def sweep(transaction: Transaction) -> None:
    """Forget days that are long over."""
    last = day_of(transaction.now()) - KEPT_DAYS
    transaction.change("DELETE FROM days WHERE day < :last", last=last)


def _is_under_way(task: Task) -> bool:
    """Somebody should work on it, or somebody may still do so and has money for it."""
    return task.state in _HELD or task.reserved != NOTHING


def _state(task: Task) -> str:
    return task.state if task.state in _HELD else "ending"


def _add(days: dict[int, list[int]], day: int, change: Iterable[int]) -> None:
    so_far = days.setdefault(day, [0, 0, 0, 0])
    days[day] = [one + other for one, other in zip(so_far, change, strict=True)]


def _keep(
    transaction: Transaction,
    owner: Owner,
    goal_id: str,
    task: Task,
    row: "AnyRow | None",
    now: float,
    days: dict[int, list[int]],
) -> None:
    held = (micro(task.reserved.usd), task.reserved.tokens)
    had = (row.held_usd, row.held_tokens) if row is not None else (0, 0)
    if row is not None and (held, _state(task)) == (had, row.state):
        return
    day = row.day if row is not None and any(had) else day_of(now)
    _add(days, day, (held[0] - had[0], held[1] - had[1], 0, 0))
    values = {
        "workspace": owner.workspace, "goal_id": goal_id, "key": task.key, "day": day,
        "attempt": task.attempt, "state": _state(task), "usd": held[0], "tokens": held[1],
    }  # fmt: skip
    if row is None:
        transaction.change(_INSERT, **values, person=owner.person, now=now)
    else:
        transaction.change(_UPDATE, **values)


def _drop(transaction: Transaction, owner: Owner, goal_id: str, rows: "Iterable[AnyRow]") -> None:
    values = [
        {"workspace": owner.workspace, "goal_id": goal_id, "key": row.key, "attempt": row.attempt}
        for row in rows
    ]
    transaction.change_all(_DROP, values)


def _count(
    transaction: Transaction,
    owner: Owner,
    day: int,
    change: Sequence[int],
    limit: DayLimit | None,
) -> None:
    whose = {"workspace": owner.workspace, "person": owner.person, "day": day}
    transaction.change(_DAY, **whose)
    held_usd, held_tokens, spent_usd, spent_tokens = change
    found = transaction.row(
        _COUNT, **whose, held_usd=held_usd, held_tokens=held_tokens, spent_usd=spent_usd,
        spent_tokens=spent_tokens,
    )  # fmt: skip
    assert found is not None
    if limit is None:
        return
    if limit.usd is not None and held_usd > 0 and found.usd > micro(limit.usd):
        raise BudgetExceeded(
            _OVER.format(limit=f"{limit.usd:.2f} US dollars", key="goal_usd_per_day")
        )
    if limit.tokens is not None and held_tokens > 0 and found.tokens > limit.tokens:
        raise BudgetExceeded(
            _OVER.format(limit=f"{limit.tokens:,} tokens", key="goal_tokens_per_day")
        )


_OVER = (
    "Your goals would pass today's limit of {limit}. They can go on tomorrow (UTC), or an approver "
    "can raise the policy {key}."
)
_ATTEMPTS = """SELECT key, attempt, state, day, held_usd, held_tokens FROM attempts
    WHERE workspace = :workspace AND goal_id = :goal_id"""
_DROP = """DELETE FROM attempts WHERE workspace = :workspace AND goal_id = :goal_id
    AND key = :key AND attempt = :attempt"""
_INSERT = """INSERT INTO attempts (workspace, goal_id, key, attempt, state, person, day, held_usd,
        held_tokens, since, fence)
    VALUES (:workspace, :goal_id, :key, :attempt, :state, :person, :day, :usd, :tokens, :now, 0)"""
_UPDATE = """UPDATE attempts SET state = :state, day = :day, held_usd = :usd, held_tokens = :tokens
    WHERE workspace = :workspace AND goal_id = :goal_id AND key = :key AND attempt = :attempt"""
_DAY = """INSERT INTO days (workspace, person, day, held_usd, held_tokens, spent_usd, spent_tokens)
    VALUES (:workspace, :person, :day, 0, 0, 0, 0) ON CONFLICT DO NOTHING"""
_COUNT = """UPDATE days SET
        held_usd = held_usd + :held_usd, held_tokens = held_tokens + :held_tokens,
        spent_usd = spent_usd + :spent_usd, spent_tokens = spent_tokens + :spent_tokens
    WHERE workspace = :workspace AND person = :person AND day = :day
    RETURNING held_usd + spent_usd AS usd, held_tokens + spent_tokens AS tokens"""
