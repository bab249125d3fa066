"""Success, speed, cost and feedback of runs, counted in the database.

A run is judged by a check or by the person's word on the run itself, else by the latest explicit
feedback on it (above 0 is a success); otherwise it is unjudged. Implicit feedback counts only in
what routing learns from (`agent_records`), with its weight.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import get_args

import numpy as np
import numpy.typing as npt

from database.records import AgentRecord, Behind, Metrics, MetricsRow, RunKind, RunQuery
from database.sqlite_backend import matching

Durations = npt.NDArray[np.float64]

_EXPLICIT = "('rating', 'reason', 'better')"
_JUDGED_ITSELF = "(outcome_source IN ('check', 'user') AND outcome_success IS NOT NULL)"

_SUMS = f"""
    SELECT day, agent, count(*) AS runs,
        count(*) FILTER (WHERE {_JUDGED_ITSELF}) AS judged,
        count(*) FILTER (WHERE {_JUDGED_ITSELF} AND outcome_success) AS succeeded,
        coalesce(sum(input_tokens), 0) AS input_tokens,
        coalesce(sum(output_tokens), 0) AS output_tokens,
        coalesce(sum(cost_usd), 0.0) AS cost_usd,
        count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced_runs,
        group_concat(duration_ms) AS durations
    FROM runs WHERE {{where}} GROUP BY day, agent"""

_BEHIND = """
    SELECT count(*) AS runs, coalesce(sum(input_tokens), 0) AS input_tokens,
        coalesce(sum(output_tokens), 0) AS output_tokens,
        coalesce(sum(cost_usd), 0.0) AS cost_usd,
        count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced_runs
    FROM runs WHERE {where}"""

# SQLite takes the other columns from the row that has the maximum.
_WORDS = f"""
    SELECT day, agent, count(*) AS judged, sum(value > 0) AS succeeded
    FROM (SELECT run_id AS of_run, value, max(created_at) FROM feedback
          WHERE workspace = ? AND kind IN {_EXPLICIT} GROUP BY run_id)
    CROSS JOIN runs ON runs.workspace = ? AND runs.run_id = of_run
    WHERE NOT coalesce({_JUDGED_ITSELF}, 0) AND {{where}} GROUP BY day, agent"""

_RATINGS = """
    SELECT day, agent, sum(value > 0) AS feedback_up, sum(value < 0) AS feedback_down
    FROM (SELECT run_id AS of_run, user_id AS by_user, value, max(created_at) FROM feedback
          WHERE workspace = ? AND kind = 'rating' GROUP BY run_id, user_id)
    CROSS JOIN runs ON runs.workspace = ? AND runs.run_id = of_run
    WHERE {where} GROUP BY day, agent"""

_RECORDS = f"""
    WITH word AS (
        SELECT run_id, value > 0 AS good, max(created_at) FROM feedback
        WHERE workspace = :workspace AND kind IN {_EXPLICIT} GROUP BY run_id
    ), sign AS (
        SELECT run_id, min(1.0, sum(weight)) AS weight,
            sum(weight * (value > 0)) / sum(weight) AS good
        FROM feedback
        WHERE workspace = :workspace AND kind NOT IN {_EXPLICIT} AND weight > 0 GROUP BY run_id
    ), judged AS (
        SELECT agent, task_type, duration_ms, cost_usd,
            CASE WHEN {_JUDGED_ITSELF} OR word.good IS NOT NULL THEN 1.0
                ELSE coalesce(sign.weight, 0.0) END AS weight,
            CASE WHEN {_JUDGED_ITSELF} THEN outcome_success
                ELSE coalesce(word.good, sign.good, 0) END AS good
        FROM runs LEFT JOIN word USING (run_id) LEFT JOIN sign USING (run_id)
        WHERE workspace = :workspace AND kind = 'reply' AND day >= :day AND started_at >= :since
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
        """Count what one of the three questions found."""
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
    where, values = matching(workspace, query, "runs.")
    total = _Group()
    by_agent: dict[str, _Group] = defaultdict(_Group)
    by_day: dict[int, _Group] = defaultdict(_Group)
    for sql, before in ((_SUMS, 0), (_WORDS, 2), (_RATINGS, 2)):
        parameters = [workspace] * before + values
        for row in connection.execute(sql.format(where=where), parameters):
            counts = dict(row)
            day, agent, texts = counts.pop("day"), counts.pop("agent"), counts.pop("durations", "")
            durations = np.fromstring(texts, sep=",") if texts else None
            groups = [total, by_agent[agent]] + ([] if day is None else [by_day[day]])
            for group in groups:
                group.add(counts, durations)
    return Metrics(
        query=query,
        total=total.row("total"),
        by_agent=tuple(_most_used(by_agent.items())),
        by_day=tuple(group.row(_date(day)) for day, group in sorted(by_day.items())),
        behind=_behind(connection, workspace, query),
    )


def _behind(connection: sqlite3.Connection, workspace: str, query: RunQuery) -> Behind:
    """What was paid for besides the runs of the query, by whom and where it asks for."""
    if query.agent is not None:
        return Behind()  # no agent's own
    others = tuple(kind for kind in get_args(RunKind) if kind not in query.kinds)
    where, values = matching(workspace, replace(query, kinds=others))
    return Behind(**connection.execute(_BEHIND.format(where=where), values).fetchone())


def _most_used(groups: Iterable[tuple[str, _Group]]) -> list[MetricsRow]:
    rows = [group.row(agent) for agent, group in groups]
    return sorted(rows, key=lambda row: (-row.runs, row.label))


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * 86400, UTC).date().isoformat()


def agent_records(
    connection: sqlite3.Connection, workspace: str, since: float
) -> list[AgentRecord]:
    """How each agent did with each type of task since a moment, by agent and type."""
    values = {"workspace": workspace, "since": since, "day": since // 86400}
    return [AgentRecord(**row) for row in connection.execute(_RECORDS, values)]
