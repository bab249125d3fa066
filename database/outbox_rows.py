"""The local side of the outbox, in SQL: which rows the record at Supabase does not have yet.

Triggers queue the key of every row that changes (see the migration `outbox`), so that nothing which
writes the record needs to know of it. The queue holds no texts: what is sent is the row as it is
when it is sent.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from database.sqlite_file import SqliteFile

Key = tuple[str | int, ...]

KEYS: Mapping[str, tuple[str, ...]] = {
    "people": ("workspace", "user_id"),
    "task_types": ("workspace", "name"),
    "runs": ("workspace", "run_id"),
    "steps": ("workspace", "run_id", "position"),
    "messages": ("workspace", "channel_id", "ts"),
    "summaries": ("workspace", "channel_id", "thread_ts", "until_ts"),
    "feedback": ("workspace", "feedback_id"),
    "observations": ("workspace", "observation_id"),
    "exam_questions": ("workspace", "question_id"),
}
"""What names a row of each table that is sent, in the order in which tables are sent."""

# The plus keeps SQLite from sorting all of a long queue instead of reading its beginning.
_HEAD = """SELECT seq, "table" FROM outbox WHERE +workspace = ? AND problem IS NULL AND seq > ?
    AND seq <= ? AND (retry_at IS NULL OR retry_at <= ?) ORDER BY seq LIMIT ?"""
_THIS = "seq = ? AND version = ?"
_OFF = 2
"""The state of a home that was connected and is not to be any more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One queued key with its row, or without one where the row is gone, as read together."""

    seq: int
    version: int
    table: str
    key: Key
    row: Mapping[str, Any] | None
    unsure_until: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that the record refused, and why; `key` without the workspace."""

    table: str
    key: Key
    problem: str
    tries: int
    queued_at: float


@dataclass(frozen=True, slots=True)
class OutboxState:
    """What is queued, and what the last attempt came to; moments in seconds since the epoch."""

    waiting: int
    refused: int
    oldest_at: float | None
    backfilling: bool
    problem: str | None
    sent_at: float | None


class OutboxRows:
    """The outbox of one workspace in the local record. Every method may raise StoreError."""

    def __init__(self, file: SqliteFile, workspace: str) -> None:
        self.file = file
        self._workspace = workspace

    # Switching on and off

    def switch_on(self) -> None:
        """Queue every change from now on, and all that is there by and by (see `backfill`)."""
        sql = """INSERT INTO outbox_on (workspace, backfill) VALUES (?, ?)
            ON CONFLICT DO UPDATE SET paused = 0, backfill = excluded.backfill WHERE paused = ?"""
        start = json.dumps({"table": next(iter(KEYS)), "after": None})
        with self.file.transaction() as connection:
            connection.execute(sql, (self._workspace, start, _OFF))

    def switch_off(self) -> int:
        """Queue nothing any more and drop what is queued, until it is switched on; how much."""
        off = "UPDATE outbox_on SET paused = ?, reaches = NULL, problem = NULL WHERE workspace = ?"
        with self.file.transaction() as connection:
            connection.execute(off, (_OFF, self._workspace))
            drop = "DELETE FROM outbox WHERE workspace = ?"
            return connection.execute(drop, (self._workspace,)).rowcount

    def is_on(self) -> bool:
        """Whether changes are queued."""
        sql = "SELECT 1 FROM outbox_on WHERE workspace = ? AND paused <> ?"
        return self.file.row(sql, (self._workspace, _OFF)) is not None

    def send_all_again(self) -> None:
        """Queue everything that is there, by and by: the record lacks what it had."""
        start = json.dumps({"table": next(iter(KEYS)), "after": None})
        with self.file.transaction() as connection:
            self._note_backfill(connection, start)

    def is_backfilling(self) -> bool:
        """Whether some of what was there before is not even queued yet."""
        sql = "SELECT 1 FROM outbox_on WHERE workspace = ? AND backfill IS NOT NULL"
        return self.file.row(sql, (self._workspace,)) is not None

    def note_copied(self, at: float) -> None:
        """When what was decided at the record was last known to be what is here."""
        sql = "UPDATE outbox_on SET copied_at = ? WHERE workspace = ?"
        with self.file.transaction() as connection:
            connection.execute(sql, (at, self._workspace))

    def copied_at(self) -> float | None:
        """The last such moment, of whichever process."""
        sql = "SELECT copied_at FROM outbox_on WHERE workspace = ?"
        found = self.file.row(sql, (self._workspace,))
        return found["copied_at"] if found else None

    @contextlib.contextmanager
    def uncaptured(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Within a transaction: what is written here does not have to be sent."""
        sql = "UPDATE outbox_on SET paused = ? WHERE workspace = ?"
        connection.execute(sql, (1, self._workspace))
        yield
        connection.execute(sql, (0, self._workspace))

    def backfill(self, limit: int) -> int:
        """Queue some more of what was there before; how many rows it looked at, 0 at the end."""
        sql = "SELECT backfill FROM outbox_on WHERE workspace = ?"
        with self.file.transaction() as connection:
            state = connection.execute(sql, (self._workspace,)).fetchone()
            if state is None or state["backfill"] is None:
                return 0
            at = json.loads(state["backfill"])
            keys = self._keys_after(connection, at["table"], at["after"], limit)
            places = ", ".join("?" for _ in KEYS[at["table"]][1:])
            queue = f"""INSERT INTO outbox (workspace, "table", key)
                VALUES (?, ?, json_array({places})) ON CONFLICT DO NOTHING"""
            values = [(self._workspace, at["table"], *key) for key in keys]
            connection.executemany(queue, values)
            self._note_backfill(connection, _next(at["table"], keys, limit))
        return max(len(keys), 1)

    def _keys_after(
        self, connection: sqlite3.Connection, table: str, after: list[Any] | None, limit: int
    ) -> list[list[str | int]]:
        names = ", ".join(KEYS[table][1:])
        places = ", ".join("?" for _ in KEYS[table][1:])
        further = "" if after is None else f"AND ({names}) > ({places})"
        sql = f"SELECT {names} FROM {table} WHERE workspace = ? {further} ORDER BY {names} LIMIT ?"
        values = (self._workspace, *(after or ()), limit)
        return [list(row) for row in connection.execute(sql, values)]

    def _note_backfill(self, connection: sqlite3.Connection, at: str | None) -> None:
        sql = "UPDATE outbox_on SET backfill = ? WHERE workspace = ?"
        connection.execute(sql, (at, self._workspace))

    # Sending

    def head(
        self, connection: sqlite3.Connection, after: int, until: int, now: float, limit: int
    ) -> list[Entry]:
        """What is due between two places of the queue, oldest first, each with its row."""
        connection.execute("BEGIN")
        try:
            found = connection.execute(_HEAD, (self._workspace, after, until, now, limit))
            seqs: dict[str, list[int]] = {}
            for row in found:
                seqs.setdefault(row["table"], []).append(row["seq"])
            entries = [
                entry for table in seqs for entry in _with_rows(connection, table, seqs[table])
            ]
        finally:
            connection.execute("ROLLBACK")
        return sorted(entries, key=lambda entry: entry.seq)

    def last(self) -> int:
        """The newest place in the queue."""
        found = self.file.row("SELECT max(seq) AS last FROM outbox")
        return (found["last"] if found else None) or 0

    def is_due(self, until: int, now: float) -> bool:
        """Whether anything up to a place of the queue is still to be sent."""
        return bool(self.file.rows(_HEAD, (self._workspace, 0, until, now, 1)))

    def begin(self, reaches: int) -> None:
        """Keep up to which place a batch is under way, in case nobody is left to hear its end."""
        sql = "UPDATE outbox_on SET reaches = ? WHERE workspace = ?"
        with self.file.transaction() as connection:
            connection.execute(sql, (reaches, self._workspace))

    def end(self, problem: str | None, sent_at: float | None) -> None:
        """No batch is under way any more; what came of the last one."""
        sql = """UPDATE outbox_on SET reaches = NULL, problem = ?, sent_at = coalesce(?, sent_at)
            WHERE workspace = ?"""
        with self.file.transaction() as connection:
            connection.execute(sql, (problem, sent_at, self._workspace))

    def settle(self, entries: Sequence[Entry], sent_at: float) -> None:
        """These arrived. What changed meanwhile stays; what is unsure is sent again in its time."""
        done: list[tuple[int, int]] = []
        unsure: list[tuple[int, int]] = []
        for entry in entries:
            sure = entry.unsure_until is None or entry.unsure_until <= sent_at
            (done if sure else unsure).append((entry.seq, entry.version))
        with self.file.transaction() as connection:
            connection.executemany(f"DELETE FROM outbox WHERE {_THIS}", done)
            again = f"UPDATE outbox SET retry_at = unsure_until WHERE {_THIS}"
            connection.executemany(again, unsure)

    def refuse(self, entry: Entry, problem: str) -> None:
        """The record does not take this row as it is; it is offered again when it changes."""
        sql = f"UPDATE outbox SET problem = ?, tries = tries + 1 WHERE {_THIS}"
        with self.file.transaction() as connection:
            connection.execute(sql, (problem, entry.seq, entry.version))

    def doubt(self, entries: Sequence[Entry], until: float) -> None:
        """Nobody knows whether these arrived, or will: before `until` no success is the last."""
        sql = "UPDATE outbox SET unsure_until = ? WHERE seq = ?"
        with self.file.transaction() as connection:
            connection.executemany(sql, [(until, entry.seq) for entry in entries])

    def doubt_abandoned(self, until: float) -> None:
        """The same for the batch of a process that was killed while it was under way."""
        sql = """UPDATE outbox SET unsure_until = ?1 WHERE workspace = ?2
            AND seq <= (SELECT reaches FROM outbox_on WHERE workspace = ?2)"""
        with self.file.transaction() as connection:
            connection.execute(sql, (until, self._workspace))

    # Looking and repairing

    def state(self, connection: sqlite3.Connection) -> OutboxState:
        """Counts what is queued: a few milliseconds for a large queue."""
        counts = connection.execute(
            """SELECT count(*) FILTER (WHERE problem IS NULL AND retry_at IS NULL) AS waiting,
                count(problem) AS refused,
                min(queued_at) FILTER (WHERE problem IS NULL AND retry_at IS NULL) AS oldest_at
            FROM outbox WHERE workspace = ?""",
            (self._workspace,),
        ).fetchone()
        sql = "SELECT backfill, problem, sent_at FROM outbox_on WHERE workspace = ?"
        found = connection.execute(sql, (self._workspace,)).fetchone()
        backfill, problem, sent_at = found or (None, None, None)
        return OutboxState(
            waiting=counts["waiting"],
            refused=counts["refused"],
            oldest_at=counts["oldest_at"],
            backfilling=backfill is not None,
            problem=problem,
            sent_at=sent_at,
        )

    def refused(self, limit: int = 1000) -> list[Refusal]:
        """What the record refused, oldest first."""
        sql = """SELECT * FROM outbox WHERE workspace = ? AND problem IS NOT NULL
            ORDER BY seq LIMIT ?"""
        return [
            Refusal(
                row["table"], tuple(json.loads(row["key"])), row["problem"], row["tries"],
                row["queued_at"],
            )
            for row in self.file.rows(sql, (self._workspace, limit))
        ]  # fmt: skip

    def retry(self) -> int:
        """Offer again what was refused; how many rows that is."""
        sql = """UPDATE outbox SET problem = NULL, retry_at = NULL
            WHERE workspace = ? AND problem IS NOT NULL"""
        with self.file.transaction() as connection:
            return connection.execute(sql, (self._workspace,)).rowcount


def _with_rows(connection: sqlite3.Connection, table: str, seqs: list[int]) -> Iterator[Entry]:
    on = " AND ".join(
        f"{table}.{name} = json_extract(outbox.key, '$[{place}]')"
        for place, name in enumerate(KEYS[table][1:])
    )
    sql = f"""SELECT outbox.seq, outbox.version, outbox.workspace, outbox.key,
            outbox.unsure_until, {table}.*
        FROM outbox LEFT JOIN {table} ON {table}.workspace = outbox.workspace AND {on}
        WHERE outbox.seq IN (SELECT value FROM json_each(?))"""
    cursor = connection.execute(sql, (json.dumps(seqs),))
    names = [name for name, *_ in cursor.description][5:]
    for found in cursor:
        seq, version, workspace, key, unsure_until, *values = found
        row = dict(zip(names, values, strict=True))
        row.pop("seq", None)
        there = row["workspace"] is not None
        yield Entry(
            seq=seq,
            version=version,
            table=table,
            key=(workspace, *json.loads(key)),
            row=row if there else None,
            unsure_until=unsure_until,
        )


def _next(table: str, keys: Sequence[list[str | int]], limit: int) -> str | None:
    """Where to go on after these keys of a table; None after the last table."""
    if len(keys) == limit:
        return json.dumps({"table": table, "after": keys[-1]})
    tables = [*KEYS, None]
    following = tables[tables.index(table) + 1]
    return None if following is None else json.dumps({"table": following, "after": None})
