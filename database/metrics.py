"""Success, speed, cost and feedback of runs, counted in the database.

A run is judged by a check or by the person's word on the run itself, else by the latest explicit
feedback on it (above 0 is a success); otherwise it is unjudged. Implicit feedback counts only in
what routing learns from (`agent_records`), with its weight; whoever does not want to be learned
from, and channels for which approvers decided so, are left out there.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import get_args

import numpy as np

from database.consent import REFUSALS, allowed
from database.records import AgentRecord, Behind, Metrics, MetricsRow, RunKind, RunQuery
from database.run_counts import EXPLICIT, JUDGED_ITSELF, Count, Durations, counted

_RECORDS = f"""
    WITH {REFUSALS}, word AS (
        SELECT run_id, value > 0 AS good, max(created_at) FROM feedback
        WHERE workspace = :workspace AND kind IN {EXPLICIT} GROUP BY run_id
    ), felt AS (
        SELECT run_id, value, CASE kind
            WHEN 'reaction' THEN max(weight) * max(
                0, count(*) FILTER (WHERE weight > 0) - count(*) FILTER (WHERE weight = 0)
            )
            ELSE sum(weight) END AS weight
        FROM feedback WHERE workspace = :workspace AND kind NOT IN {EXPLICIT}
            AND coalesce(user_id, '') NOT IN (SELECT user_id FROM unlearned)
        GROUP BY run_id, kind, user_id, value
    ), sign AS (
        SELECT run_id, min(1.0, sum(weight)) AS weight,
            sum(weight * (value > 0)) / sum(weight) AS good
        FROM felt WHERE weight > 0 GROUP BY run_id
    ), judged AS (
        SELECT agent, task_type, duration_ms, cost_usd,
            CASE WHEN {JUDGED_ITSELF} OR word.good IS NOT NULL THEN 1.0
                ELSE coalesce(sign.weight, 0.0) END AS weight,
            CASE WHEN {JUDGED_ITSELF} THEN outcome_success
                ELSE coalesce(word.good, sign.good, 0) END AS good
        FROM runs LEFT JOIN word USING (run_id) LEFT JOIN sign USING (run_id)
        WHERE workspace = :workspace AND kind = 'reply' AND day >= :day AND started_at >= :since
            AND {allowed()}
    )
    SELECT agent, task_type, count(*) AS runs, sum(weight) AS judged,
        sum(weight * good) AS succeeded, avg(duration_ms) AS mean_ms, avg(cost_usd) AS mean_cost_usd
    FROM judged GROUP BY agent, task_type ORDER BY agent, task_type"""


@dataclass(slots=True)
class _Group:
    """What was counted for one agent, one day or all."""

    runs: int = 0
    judged: int = 0
    succeeded: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced_runs: int = 0
    feedback_up: int = 0
    feedback_down: int = 0
    durations: list[Durations] = field(default_factory=list)

    def add(self, counts: Mapping[str, float], durations: Durations | None) -> None:
        """Count one piece of what was counted."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)
        if durations is not None:
            self.durations.append(durations)

    def row(self, label: str) -> MetricsRow:
        """The row that people see."""
        p50_ms, p95_ms = _percentiles(self.durations)
        return MetricsRow(
            label=label,
            runs=self.runs,
            succeeded=self.succeeded,
            judged=self.judged,
            p50_ms=p50_ms,
            p95_ms=p95_ms,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost_usd=self.cost_usd,
            unpriced_runs=self.unpriced_runs,
            feedback_up=self.feedback_up,
            feedback_down=self.feedback_down,
        )


def _percentiles(durations: Sequence[Durations]) -> tuple[float | None, float | None]:
    """The median and the 95th percentile, linear between the two nearest values."""
    if not durations:
        return None, None
    p50, p95 = np.percentile(np.concatenate(durations), (50, 95))
    return float(p50), float(p95)


def metrics(connection: sqlite3.Connection, workspace: str, query: RunQuery) -> Metrics:
    """All runs that the query matches (its limit does not count), by agent and by UTC day."""
    connection.execute("BEGIN")
    found = list(counted(connection, workspace, query))
    others = query_behind(query)
    behind = [] if others is None else list(counted(connection, workspace, others))
    connection.execute("COMMIT")
    return added_up(query, found, behind)


def added_up(query: RunQuery, found: Iterable[Count], behind: Iterable[Count]) -> Metrics:
    """The figures of a query from what was counted of its runs, and of those of `query_behind`."""
    total = _Group()
    by_agent: dict[str, _Group] = defaultdict(_Group)
    by_day: dict[int, _Group] = defaultdict(_Group)
    for count in found:
        days = [] if count.day is None else [by_day[count.day]]
        for group in (total, by_agent[count.agent], *days):
            group.add(count.counts, count.durations)
    return Metrics(
        query=query,
        total=total.row("total"),
        by_agent=tuple(_most_used(group.row(agent) for agent, group in by_agent.items())),
        by_day=tuple(group.row(_date(day)) for day, group in sorted(by_day.items())),
        behind=_behind(behind),
    )


def query_behind(query: RunQuery) -> RunQuery | None:
    """What else was paid for, by whom and where the query asks for; it is no agent's own."""
    if query.agent is not None:
        return None
    others = tuple(kind for kind in get_args(RunKind) if kind not in query.kinds)
    return replace(query, kinds=others)


def _behind(found: Iterable[Count]) -> Behind:
    rest = _Group()
    for count in found:
        rest.add(count.counts, None)
    return Behind(
        rest.runs, rest.input_tokens, rest.output_tokens, rest.cost_usd, rest.unpriced_runs
    )


def _most_used(rows: Iterable[MetricsRow]) -> list[MetricsRow]:
    return sorted(rows, key=lambda row: (-row.runs, row.label))


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86400, UTC).date().isoformat()


def agent_records(
    connection: sqlite3.Connection, workspace: str, since: float
) -> list[AgentRecord]:
    """How each agent did with each type of task since a moment, by agent and type."""
    values = {"workspace": workspace, "since": since, "day": since // 86400}
    return [AgentRecord(**row) for row in connection.execute(_RECORDS, values)]
