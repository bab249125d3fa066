"""What learning did and what it cost, by UTC day and agent."""

import sqlite3
from collections.abc import Iterable
from typing import Any

from database.learning import ImprovementCounts
from database.run_counts import DAY_SECONDS, EXPLICIT, JUDGED_ITSELF

_REPLIES = f"""
    WITH chosen AS (
        SELECT run_id, day, agent, cost_usd, outcome_success, {JUDGED_ITSELF} AS itself FROM runs
        WHERE workspace = :workspace AND kind = 'reply' AND day BETWEEN :first AND :last
    ), word AS (
        SELECT feedback.run_id, value > 0 AS good, max(created_at) FROM chosen
        JOIN feedback ON feedback.workspace = :workspace AND feedback.run_id = chosen.run_id
        WHERE feedback.kind IN {EXPLICIT} GROUP BY feedback.run_id
    ), tried AS (
        SELECT DISTINCT run_id FROM observations WHERE workspace = :workspace
            AND created_at >= :first * 86400.0
    )
    SELECT day, agent, count(*) AS replies,
        sum(coalesce(itself, 0) OR good IS NOT NULL) AS judged,
        sum(CASE WHEN itself THEN outcome_success ELSE coalesce(good, 0) END) AS succeeded,
        count(good) AS rated, count(tried.run_id) AS in_trial,
        coalesce(sum(cost_usd), 0.0) AS cost_usd
    FROM chosen LEFT JOIN word USING (run_id) LEFT JOIN tried USING (run_id)
    GROUP BY day, agent"""

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
    found = [
        dict(row)
        for sql in (_REPLIES, _MOVES, _TRIALS, _LEARNING)
        for row in connection.execute(sql, values)
    ]
    connection.execute("ROLLBACK")
    return together(found)


def together(found: Iterable[dict[str, Any]]) -> list[ImprovementCounts]:
    """Pieces of the same day and agent as one row, by day and agent."""
    cells: dict[tuple[int, str], dict[str, Any]] = {}
    for piece in found:
        cells.setdefault((piece["day"], piece["agent"]), {}).update(piece)
    return [ImprovementCounts(**cells[key]) for key in sorted(cells)]
