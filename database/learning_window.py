"""What is new in the record for a learner: bounded by what is asked for, whatever there was before.

A run is left out where its person or channel declined, and so are the runs that were made by it,
however deep; so is the feedback of people who declined.
"""

import json
import sqlite3
from collections.abc import Sequence
from itertools import groupby

from database import rows
from database.consent import REFUSALS, allowed
from database.learning import WindowRows
from database.records import Run, RunKind
from database.rows import Row
from database.sqlite_file import SqliteFile

# The plus lets SQLite go by `seq` alone, or by ids: by the workspace or the kind it would read and
# sort all there is. CROSS keeps it from beginning with all runs.
_NEW_RUNS = """SELECT run_id, seq FROM runs WHERE +workspace = :workspace AND seq > :runs_seen
    AND kind IN (SELECT value FROM json_each(:kinds)) ORDER BY seq LIMIT :limit"""
_NEW_FEEDBACK = """SELECT run_id, seq FROM feedback WHERE +workspace = :workspace
    AND seq > :feedback_seen ORDER BY seq LIMIT :limit"""
_ALLOWED = f"""
    WITH RECURSIVE {REFUSALS}, line (run_id, of_run) AS (
        SELECT value, value FROM json_each(:run_ids)
        UNION
        SELECT runs.parent_run_id, of_run FROM line
        CROSS JOIN runs ON runs.workspace = :workspace AND runs.run_id = line.run_id
        WHERE runs.parent_run_id IS NOT NULL
    ), refused AS (
        SELECT of_run FROM line
        CROSS JOIN runs ON runs.workspace = :workspace AND runs.run_id = line.run_id
        WHERE NOT ({allowed("runs.")})
    )
    SELECT * FROM runs WHERE workspace = :workspace
        AND run_id IN (SELECT value FROM json_each(:run_ids))
        AND run_id NOT IN (SELECT of_run FROM refused)
        AND +kind IN (SELECT value FROM json_each(:kinds)) {{more}}
    ORDER BY seq"""
_STEPS = """SELECT * FROM steps WHERE workspace = :workspace
    AND run_id IN (SELECT value FROM json_each(:run_ids)) ORDER BY run_id, position"""
_FEEDBACK = f"""
    WITH {REFUSALS}
    SELECT * FROM feedback WHERE workspace = :workspace
        AND run_id IN (SELECT value FROM json_each(:run_ids))
        AND coalesce(user_id, '') NOT IN (SELECT user_id FROM unlearned)
    ORDER BY run_id, created_at, feedback_id"""


async def window(
    file: SqliteFile,
    workspace: str,
    runs_seen: int,
    feedback_seen: int,
    kinds: Sequence[RunKind],
    limit: int,
) -> WindowRows:
    """What is new since two watermarks: at most `limit` runs, and as much feedback."""
    asked = _Asked(workspace, runs_seen, feedback_seen, json.dumps(list(kinds)), limit)
    return await file.aside(asked.read)


class _Asked:
    """One question, asked in one reading transaction."""

    def __init__(
        self, workspace: str, runs_seen: int, feedback_seen: int, kinds: str, limit: int
    ) -> None:
        self._values = {
            "workspace": workspace,
            "runs_seen": runs_seen,
            "feedback_seen": feedback_seen,
            "kinds": kinds,
            "limit": limit,
        }
        self._seen_before = {"runs": runs_seen, "feedback": feedback_seen}
        self._limit = limit

    def read(self, connection: sqlite3.Connection) -> WindowRows:
        connection.execute("BEGIN")
        try:
            return self._read(connection)
        finally:
            connection.execute("ROLLBACK")

    def _read(self, connection: sqlite3.Connection) -> WindowRows:
        new = connection.execute(_NEW_RUNS, self._values).fetchall()
        said = connection.execute(_NEW_FEEDBACK, self._values).fetchall()
        runs = self._allowed(connection, [row["run_id"] for row in new])
        spoken_of = list(dict.fromkeys(row["run_id"] for row in said))
        older = self._allowed(connection, spoken_of, "AND seq <= :runs_seen")
        ids = json.dumps([run.run_id for run in (*runs, *older)])
        found = connection.execute(_FEEDBACK, {**self._values, "run_ids": ids})
        return WindowRows(
            runs=runs,
            feedback={
                run_id: tuple(rows.feedback_from(row) for row in group)
                for run_id, group in groupby(found, key=lambda row: str(row["run_id"]))
            },
            older=older,
            runs_seen=self._seen(connection, "runs", new),
            feedback_seen=self._seen(connection, "feedback", said),
            more=self._limit in (len(new), len(said)),
        )

    def _allowed(
        self, connection: sqlite3.Connection, run_ids: list[str], more: str = ""
    ) -> tuple[Run, ...]:
        values = {**self._values, "run_ids": json.dumps(run_ids)}
        found = connection.execute(_ALLOWED.format(more=more), values).fetchall()
        values["run_ids"] = json.dumps([row["run_id"] for row in found])
        steps = rows.steps_by_run(connection.execute(_STEPS, values))
        return tuple(rows.runs_from(found, steps))

    def _seen(self, connection: sqlite3.Connection, table: str, found: Sequence[Row]) -> int:
        """Where the next window begins: behind all there is, where all of it was looked at."""
        before = self._seen_before[table]
        if len(found) == self._limit:
            return int(found[-1]["seq"])
        (last,) = connection.execute(f"SELECT max(seq) FROM {table}").fetchone()
        return max(before, int(last or 0))
