"""What learning did and what it cost, by UTC day and agent."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from database.learning import ImprovementCounts
from database.records import RunQuery
from database.run_counts import DAY_SECONDS, Count, counted

# From what was observed to the replies: there are far fewer of those.
_IN_TRIAL = """
    SELECT runs.day, runs.agent, count(*) AS in_trial
    FROM (
        SELECT DISTINCT run_id FROM observations
        WHERE workspace = :workspace AND created_at >= :since
    ) AS tried CROSS JOIN runs ON runs.workspace = :workspace AND runs.run_id = tried.run_id
    WHERE runs.kind = 'reply' AND runs.day BETWEEN :first AND :last
    GROUP BY runs.day, runs.agent"""

_MOVES = """
    SELECT CAST(moved_at / 86400 AS INTEGER) AS day, agent,
        sum(state = 'proposed') AS proposed,
        sum(state = 'live' AND NOT by_person) AS by_itself,
        sum(state = 'live' AND by_person) AS by_people,
        sum(state = 'rolled_back') AS rolled_back, sum(state = 'verified') AS verified
    FROM proposal_moves
    WHERE workspace = :workspace AND moved_at >= :since AND moved_at < :until
    GROUP BY 1, agent"""

_TRIALS = """
    SELECT CAST(ended_at / 86400 AS INTEGER) AS day, agent, count(*) AS trials,
        sum(state = 'harmful') AS caught
    FROM trials WHERE workspace = :workspace AND ended_at >= :since AND ended_at < :until
    GROUP BY 1, agent"""

_LEARNING = """
    SELECT day, agent, count(*) AS learning_runs,
        sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS learning_tokens,
        coalesce(sum(cost_usd), 0.0) AS learning_cost_usd
    FROM runs WHERE workspace = :workspace AND kind IN ('shadow', 'replay', 'review')
        AND day BETWEEN :first AND :last
    GROUP BY day, agent"""

_OF_REPLIES = ("judged", "succeeded", "cost_usd")


def counts(
    connection: sqlite3.Connection, workspace: str, first: int, last: int
) -> list[ImprovementCounts]:
    """Of these days (from the epoch, both included), by day and agent."""
    values = {
        "workspace": workspace,
        "first": first,
        "last": last,
        "since": first * DAY_SECONDS,
        "until": (last + 1) * DAY_SECONDS,
    }
    connection.execute("BEGIN")
    replies = list(counted(connection, workspace, replies_of(first, last)))
    found = [
        dict(row)
        for sql in (_IN_TRIAL, _MOVES, _TRIALS, _LEARNING)
        for row in connection.execute(sql, values)
    ]
    connection.execute("ROLLBACK")
    return together(replies, found)


def replies_of(first: int, last: int) -> RunQuery:
    """The replies of these days."""
    return RunQuery(since=first * DAY_SECONDS, until=(last + 1) * DAY_SECONDS)


def together(
    replies: Iterable[Count], found: Iterable[Mapping[str, Any]]
) -> list[ImprovementCounts]:
    """What was counted of replies and of learning as one row for each day and agent, in order."""
    cells: dict[tuple[int, str], dict[str, Any]] = defaultdict(dict)
    for count in replies:
        if count.day is not None:
            _add(cells[count.day, count.agent], count.counts)
    for piece in found:
        key = piece["day"], piece["agent"]
        cells[key].update({name: n for name, n in piece.items() if name not in ("day", "agent")})
    return [ImprovementCounts(*key, **cells[key]) for key in sorted(cells)]


def _add(cell: dict[str, Any], counts: Mapping[str, float]) -> None:
    """The same run may be counted in several pieces: itself, what was said of it, its ratings."""
    cell["replies"] = cell.get("replies", 0) + counts.get("runs", 0)
    cell["rated"] = cell.get("rated", 0) + sum(
        counts.get(name, 0) for name in ("feedback_up", "feedback_down")
    )
    for name in _OF_REPLIES:
        cell[name] = cell.get(name, 0) + counts.get(name, 0)
