"""Old runs leave the local file where Supabase is the record: the disk need not hold them for ever.

A run goes, with its steps and the feedback on it, when it is older than `KEPT_DAYS`, nothing of it
waits to be sent, Supabase says that it has it, and nothing that stays here refers to it: a message
of it that can still be searched for and talked about, or a run that was made by it (what forgetting
a person follows). Messages go with their texts, by retention. The counts of the day stay, so that
figures over a long time can be given while Supabase is away; `missing` says what they lack then.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import get_args

import structlog

from database.outbox_rows import OutboxRows
from database.records import RunKind, RunQuery
from database.run_counts import DAY_SECONDS
from database.sqlite_file import SqliteFile

KEPT_DAYS = 31
"""Limits look back a day, conversations at runs of a few days; the last month is wanted most."""
ASKED_AT_ONCE = 500
AT_A_TIME = 50
"""Runs in one transaction, which takes some milliseconds."""
PAUSE_SECONDS = 0.02

_log = structlog.get_logger(__name__)

_SENT = """NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.workspace = {table}.workspace
        AND outbox."table" = '{table}' AND outbox.key = json_array({key}))"""
_RUN_SENT = _SENT.format(table="runs", key="runs.run_id")
_STEPS_SENT = _SENT.format(table="steps", key="steps.run_id, steps.position")
_FEEDBACK_SENT = _SENT.format(table="feedback", key="feedback.feedback_id")
_OF_RUN = "workspace = runs.workspace AND {table}.run_id = runs.run_id"
_FREE = f"""day < ?2 AND {_RUN_SENT}
    AND NOT EXISTS (SELECT 1 FROM messages
        WHERE messages.{_OF_RUN.format(table="messages")})
    AND NOT EXISTS (SELECT 1 FROM runs AS child
        WHERE child.workspace = runs.workspace AND child.parent_run_id = runs.run_id)
    AND NOT EXISTS (SELECT 1 FROM steps
        WHERE steps.{_OF_RUN.format(table="steps")} AND NOT {_STEPS_SENT})
    AND NOT EXISTS (SELECT 1 FROM feedback
        WHERE feedback.{_OF_RUN.format(table="feedback")} AND NOT {_FEEDBACK_SENT})
    AND (day NOT IN (SELECT day FROM changed_days WHERE workspace = runs.workspace)
        OR day IN (SELECT day FROM trimmed_days WHERE workspace = runs.workspace))"""
_FIND = f"""SELECT run_id FROM runs
    WHERE workspace = ?1 AND kind IN (SELECT value FROM json_each(?3)) AND {_FREE}"""
_TRIM = f"""DELETE FROM runs WHERE workspace = ?1
    AND run_id IN (SELECT value FROM json_each(?3)) AND {_FREE} RETURNING run_id, day"""
_ALONE = f"""workspace = ?1 AND created_at < ?2 AND {_FEEDBACK_SENT}
    AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.workspace = feedback.workspace
        AND runs.run_id = feedback.run_id)"""


class Trimming:
    """One workspace's; `known` tells which of some runs the record has.

    Every method may raise StoreError.
    """

    def __init__(
        self,
        file: SqliteFile,
        outbox: OutboxRows,
        workspace: str,
        known: Callable[[Sequence[str]], Awaitable[Sequence[str]]],
    ) -> None:
        self._file = file
        self._outbox = outbox
        self._workspace = workspace
        self._known = known

    async def trim(self, now: float) -> int:
        """Let go of what may go; how many runs. Where Supabase lacks some, everything is sent anew.

        Takes seconds on a large record, in a thread.
        """
        if self._outbox.is_backfilling():
            return 0
        day, total = int(now // DAY_SECONDS) - KEPT_DAYS, 0
        found = await self._file.aside(lambda c: self._free(c, day))
        for first in range(0, len(found), ASKED_AT_ONCE):
            part = found[first : first + ASKED_AT_ONCE]
            known = await self._known(part)
            total += await asyncio.to_thread(self._trim, list(known), day)
            if len(known) < len(part):
                _log.warning("supabase_lacks_runs", runs=len(part) - len(known))
                self._outbox.send_all_again()
                return total
        await asyncio.to_thread(self._trim_feedback, day)
        return total

    def _free(self, connection: sqlite3.Connection, day: int) -> list[str]:
        values = (self._workspace, day, json.dumps(get_args(RunKind)))
        return [run_id for (run_id,) in connection.execute(_FIND, values)]

    def _trim(self, run_ids: Sequence[str], day: int) -> int:
        total = 0
        for first in range(0, len(run_ids), AT_A_TIME):
            total += self._trim_some(run_ids[first : first + AT_A_TIME], day)
            time.sleep(PAUSE_SECONDS)
        return total

    def _trim_some(self, run_ids: Sequence[str], day: int) -> int:
        with self._file.transaction() as connection, self._outbox.uncaptured(connection):
            values = (self._workspace, day, json.dumps(run_ids))
            gone = connection.execute(_TRIM, values).fetchall()
            for table in ("steps", "feedback"):
                connection.executemany(
                    f"DELETE FROM {table} WHERE workspace = ? AND run_id = ?",
                    [(self._workspace, run_id) for run_id, _ in gone],
                )
            days = {(self._workspace, of) for _, of in gone}
            connection.executemany("INSERT OR IGNORE INTO trimmed_days VALUES (?, ?)", days)
        return len(gone)

    def _trim_feedback(self, day: int) -> None:
        """Feedback that came when its run was not here any more."""
        if last_trimmed(self._file, self._workspace) is None:
            return
        values = (self._workspace, day * DAY_SECONDS)
        find = f"SELECT seq FROM feedback WHERE {_ALONE}"
        seqs = self._file.on_own_connection(
            lambda connection: [seq for (seq,) in connection.execute(find, values)]
        )
        drop = f"DELETE FROM feedback WHERE seq IN (SELECT value FROM json_each(?3)) AND {_ALONE}"
        for first in range(0, len(seqs), AT_A_TIME):
            part = json.dumps(seqs[first : first + AT_A_TIME])
            with self._file.transaction() as connection, self._outbox.uncaptured(connection):
                connection.execute(drop, (*values, part))
            time.sleep(PAUSE_SECONDS)


def last_trimmed(file: SqliteFile, workspace: str) -> int | None:
    """The newest day that has lost runs here, from the epoch; None where none has."""
    sql = "SELECT max(day) AS day FROM trimmed_days WHERE workspace = ?"
    found = file.row(sql, (workspace,))
    return None if found is None else found["day"]


def words_for(day: int | None) -> str:
    """A sentence on what is kept at Supabase only; '' where nothing is."""
    if day is None:
        return ""
    until = datetime.fromtimestamp((day + 1) * DAY_SECONDS, UTC)
    return f"Runs from before {until:%d %B %Y} are kept at Supabase only."


def missing(connection: sqlite3.Connection, workspace: str, query: RunQuery) -> str:
    """What the local figures of a query lack, in a sentence; '' where they lack nothing.

    Whole days were counted while their runs were here, though not by person, channel or thread.
    """
    sql = "SELECT max(day) FROM trimmed_days WHERE workspace = ? AND day BETWEEN ? AND ?"
    since = -(2**53) if query.since is None else int(query.since // DAY_SECONDS)
    until = 2**53 if query.until is None else int(query.until // DAY_SECONDS)
    edges = [e for e in (query.since, query.until) if e is not None and e % DAY_SECONDS]
    if query.user_id or query.channel_id or query.thread_ts:
        spans = [(since, until)]
    else:
        spans = [(int(edge // DAY_SECONDS),) * 2 for edge in edges]
    days = [connection.execute(sql, (workspace, *span)).fetchone()[0] for span in spans]
    found = words_for(max((day for day in days if day is not None), default=None))
    return f"{found} They are not in these figures." if found else ""
