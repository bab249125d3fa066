"""Counting runs: whole past days from what was counted before, the rest run by run.

A day's counts are made when the record is tidied up (`count_a_day`), and are not used any more once
a run or feedback of that day has changed, until they are made again. Triggers see to that, so no
writer has to think of it. Durations are kept one by one: percentiles are exact either way.
"""

import json
import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from database.records import RunKind, RunQuery

Durations = npt.NDArray[np.float64]
NO_TIME = -1
"""The day of runs without a time."""
DAY_SECONDS = 86_400.0

COUNTS = (
    "runs", "judged", "succeeded", "input_tokens", "output_tokens", "cost_usd", "unpriced_runs",
    "feedback_up", "feedback_down",
)  # fmt: skip
EXPLICIT = "('rating', 'reason', 'better')"
JUDGED_ITSELF = "(outcome_source IN ('check', 'user') AND outcome_success IS NOT NULL)"

_SUMS = f"""
    SELECT {{by}}, count(*) AS runs,
        count(*) FILTER (WHERE {JUDGED_ITSELF}) AS judged,
        count(*) FILTER (WHERE {JUDGED_ITSELF} AND outcome_success) AS succeeded,
        coalesce(sum(input_tokens), 0) AS input_tokens,
        coalesce(sum(output_tokens), 0) AS output_tokens,
        coalesce(sum(cost_usd), 0.0) AS cost_usd,
        count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced_runs,
        group_concat(duration_ms) AS durations
    FROM runs WHERE {{where}} GROUP BY {{by}}"""

_OF_RUN = """feedback ON feedback.workspace = runs.workspace AND feedback.run_id = runs.run_id"""

# SQLite takes the other columns from the row that has the maximum.
_WORDS = f"""
    SELECT {{by}}, count(*) AS judged, sum(value > 0) AS succeeded
    FROM (SELECT runs.*, value, max(created_at) FROM runs CROSS JOIN {_OF_RUN}
          WHERE feedback.kind IN {EXPLICIT} AND NOT coalesce({JUDGED_ITSELF}, 0) AND {{where}}
          GROUP BY runs.seq)
    GROUP BY {{by}}"""

_RATINGS = f"""
    SELECT {{by}}, sum(value > 0) AS feedback_up, sum(value < 0) AS feedback_down
    FROM (SELECT runs.*, value, max(created_at) FROM runs CROSS JOIN {_OF_RUN}
          WHERE feedback.kind = 'rating' AND {{where}} GROUP BY runs.seq, feedback.user_id)
    GROUP BY {{by}}"""

_CELLS = """
    SELECT {columns} FROM day_counts WHERE workspace = ? AND day BETWEEN ? AND ?
        AND (day NOT IN (SELECT day FROM changed_days WHERE workspace = ?)
            OR day IN (SELECT day FROM trimmed_days WHERE workspace = ?))
        AND kind IN (SELECT value FROM json_each(?)) {more}"""


# What is left of a day after trimming (see trimming.py) is not to be counted: its counts stay.
_WHOLE = """NOT EXISTS (SELECT 1 FROM trimmed_days WHERE
    trimmed_days.workspace = changed_days.workspace AND trimmed_days.day = changed_days.day)"""


@dataclass(frozen=True, slots=True)
class Count:
    """What was counted of one agent on one day; `day` from the epoch, None without a time."""

    day: int | None
    agent: str
    counts: dict[str, float]
    durations: Durations | None


def counted(connection: sqlite3.Connection, workspace: str, query: RunQuery) -> Iterator[Count]:
    """All runs that the query matches (its limit does not count), in pieces to be added up.

    The connection is in one transaction, or what is counted twice or not at all may differ.
    """
    if query.user_id or query.channel_id or query.thread_ts:
        yield from _run_by_run(connection, *matching(workspace, query, "runs."))
        return
    yield from _from_cells(connection, workspace, query)
    days = _days_to_read(connection, workspace, query)
    if NO_TIME in days:
        where, values = matching(workspace, query, "runs.")
        yield from _run_by_run(connection, f"{where} AND runs.day IS NULL", values)
    if timed := days - {NO_TIME}:
        yield from _run_by_run(connection, *matching(workspace, query, "runs.", timed))


def _run_by_run(
    connection: sqlite3.Connection, where: str, values: Sequence[Any]
) -> Iterator[Count]:
    for sql in (_SUMS, _WORDS, _RATINGS):
        for row in connection.execute(sql.format(by="day, agent", where=where), values):
            counts = dict(row)
            day, agent, texts = counts.pop("day"), counts.pop("agent"), counts.pop("durations", "")
            yield Count(day, agent, counts, _read(texts))


def _from_cells(connection: sqlite3.Connection, workspace: str, query: RunQuery) -> Iterator[Count]:
    first, last = _whole_days(query)
    more, values = "", [workspace, first, last, workspace, workspace, json.dumps(query.kinds)]
    if query.agent is not None:
        more += " AND agent = ?"
        values.append(query.agent)
    if query.audiences is not None:
        more += " AND audience IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(sorted(query.audiences)))
    columns = ", ".join(("day", "agent", "durations", *COUNTS))
    for row in connection.execute(_CELLS.format(columns=columns, more=more), values):
        counts = dict(row)
        day, agent, kept = counts.pop("day"), counts.pop("agent"), counts.pop("durations")
        durations = np.frombuffer(kept) if kept else None
        yield Count(None if day == NO_TIME else day, agent, counts, durations)


def _whole_days(query: RunQuery) -> tuple[int, int]:
    """The first and the last day that lie wholly in the query's time."""
    first = -int(-query.since // DAY_SECONDS) if query.since is not None else NO_TIME
    if query.until is None:
        return first, 2**53
    return max(first, 0), int(query.until // DAY_SECONDS) - 1


def _days_to_read(connection: sqlite3.Connection, workspace: str, query: RunQuery) -> set[int]:
    """The days of the query whose counts are not there: changed, or begun or ended by it."""
    sql = f"SELECT day FROM changed_days WHERE workspace = ? AND {_WHOLE}"
    days = {day for (day,) in connection.execute(sql, (workspace,))}
    return days | {int(edge // DAY_SECONDS) for edge in (query.since, query.until)
                   if edge is not None and edge % DAY_SECONDS}  # fmt: skip


def count_a_day(connection: sqlite3.Connection, now: float | None = None) -> bool:
    """Count one past day anew; False when there is none left to count.

    The connection is in autocommit mode; one transaction for a day.
    """
    today = int((time.time() if now is None else now) // DAY_SECONDS)
    find = f"""SELECT workspace, day FROM changed_days WHERE day < ? AND {_WHOLE}
        ORDER BY day DESC LIMIT 1"""
    if connection.execute(find, (today,)).fetchone() is None:
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        if found := connection.execute(find, (today,)).fetchone():
            workspace, day = found
            _count_day(connection, workspace, day)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return True


def _count_day(connection: sqlite3.Connection, workspace: str, day: int) -> None:
    whole = (workspace, day)
    connection.execute("DELETE FROM day_counts WHERE workspace = ? AND day = ?", whole)
    columns = ("workspace", "kind", "audience", "day", "agent", *COUNTS, "durations")
    sql = f"""INSERT INTO day_counts ({", ".join(columns)})
        VALUES ({", ".join("?" for _ in columns)})"""
    for (kind, audience, agent), counts in _cells(connection, workspace, day).items():
        durations = _read(counts.pop("durations", None))
        kept = b"" if durations is None else durations.tobytes()
        numbers = [counts.get(name, 0) for name in COUNTS]
        connection.execute(sql, (workspace, kind, audience, day, agent, *numbers, kept))
    connection.execute("DELETE FROM changed_days WHERE workspace = ? AND day = ?", whole)


def _cells(
    connection: sqlite3.Connection, workspace: str, day: int
) -> dict[tuple[str, str, str], dict[str, Any]]:
    # Naming every kind lets the index by days find them.
    where = "runs.workspace = ? AND runs.kind IN (SELECT value FROM json_each(?)) AND runs.day IS ?"
    values = (workspace, json.dumps(get_args(RunKind)), None if day == NO_TIME else day)
    cells: dict[tuple[str, str, str], dict[str, Any]] = {}
    for sql in (_SUMS, _WORDS, _RATINGS):
        for row in connection.execute(sql.format(by="kind, audience, agent", where=where), values):
            found = dict(row)
            key = found.pop("kind"), found.pop("audience"), found.pop("agent")
            cell = cells.setdefault(key, {})
            for name, count in found.items():
                cell[name] = count if name == "durations" else cell.get(name, 0) + count
    return cells


def _read(texts: str | None) -> Durations | None:
    return np.fromstring(texts, sep=",") if texts else None


def matching(
    workspace: str, query: RunQuery, of: str = "", days: Collection[int] | None = None
) -> tuple[str, list[Any]]:
    """The condition of a query over `runs`, and its values (the limit is not part of it).

    `of` leads each column where several tables have them ("runs."); `days` are all that matter.
    """
    kinds = ", ".join("?" for _ in query.kinds)
    # Somebody's or a channel's runs have an index of their own, which SQLite takes only where a
    # sign keeps it from the one by days: that one would read everybody's.
    apart = query.user_id is not None or query.channel_id is not None
    listed = apart or days is not None
    kind = f"+{of}kind" if apart else f"{of}kind"
    parts = [f"{of}workspace = ?", f"{kind} IN ({kinds})"]
    values: list[Any] = [workspace, *query.kinds]
    wanted = (
        ("user_id = ?", query.user_id),
        ("channel_id = ?", query.channel_id),
        ("thread_ts = ?", query.thread_ts),
        ("agent = ?", query.agent),
        ("day >= ?", None if listed or query.since is None else query.since // 86400),
        ("started_at >= ?", query.since),
        ("day <= ?", None if listed or query.until is None else query.until // 86400),
        ("started_at < ?", query.until),
    )
    for part, value in wanted:
        if value is not None:
            parts.append(of + part)
            values.append(value)
    if days is not None:
        parts.append(f"{of}day IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(sorted(days)))
    if query.audiences is not None:
        parts.append(f"{of}audience IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(sorted(query.audiences)))
    return " AND ".join(parts), values
