"""The SQL of the local record: what facts and conversations need, in line, rows in and rows out.

Where there is no Supabase it is the whole record (see backend.py). Its rows become records in
store.py (see rows.py); what `backend.Backend` asks for comes as records.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from database import audit, erasing, forgetting, known, metrics, rows, trimming
from database.forgetting import empty_runs, without_forgotten
from database.known import Kept
from database.learning import ExamQuestion, LearningFact, Observation
from database.left_record import health_without_supabase
from database.outbox_rows import OutboxRows
from database.records import (
    AgentRecord,
    Document,
    Fact,
    Feedback,
    ForgetReport,
    Message,
    Metrics,
    RecordHealth,
    Run,
    RunQuery,
    Step,
    Summary,
)
from database.refusals import stale, taken, unknown
from database.run_counts import count_a_day, matching
from database.sqlite_file import Row, SqliteFile, Values
from database.sqlite_learning import SqliteLearning


def _insert(table: str, columns: str, conflict: str = "DO NOTHING") -> str:
    places = ", ".join("?" for _ in columns.split(","))
    return f"INSERT INTO {table} ({columns}) VALUES ({places}) ON CONFLICT {conflict}"


_ADD_RUN = _insert("runs", rows.RUN)
_ADD_STEP = _insert("steps", rows.STEP)
_ADD_FEEDBACK = _insert("feedback", rows.FEEDBACK)
_ADD_MESSAGE = _insert("messages", rows.MESSAGE)
_ADD_SUMMARY = _insert("summaries", rows.SUMMARY)
_ADD_DOCUMENT = _insert("documents", rows.DOCUMENT)
_INDEX_BATCH = 250
_PAGE = 500
_LIVE = "workspace = ? AND channel_id = ? AND deleted = 0"
_DOCUMENT = "workspace = ? AND kind = ? AND name = ?"
_RUNS_OF_MESSAGE = """WITH RECURSIVE of_message (run_id) AS (
        SELECT run_id FROM runs WHERE workspace = ?1 AND channel_id = ?2 AND message_ts = ?3
        UNION
        SELECT run_id FROM runs WHERE workspace = ?1 AND channel_id = ?2 AND reply_ts = ?3
        UNION
        SELECT runs.run_id FROM runs JOIN of_message ON runs.parent_run_id = of_message.run_id
        WHERE runs.workspace = ?1
    ) SELECT run_id FROM of_message"""
_FORGET_QUOTES = """UPDATE feedback SET text = NULL WHERE workspace = ?1
    AND kind IN ('rephrase', 'correction') AND text = (SELECT text FROM messages
        WHERE workspace = ?1 AND channel_id = ?2 AND ts = ?3 AND text <> '')"""


class SqliteBackend:
    """The record of one workspace in a SQLite file: a backend.Backend, and its `local`."""

    def __init__(self, path: Path, workspace: str) -> None:
        self.file = SqliteFile(path, "record", upkeep=tidy_up)
        self.workspace = workspace
        self.learned = SqliteLearning(self)

    # Facts

    def append(self, facts: Iterable[Fact | LearningFact]) -> int:
        """Add what is new, all or nothing; the number of facts that were new."""
        with self.file.transaction() as connection:
            return sum(self._add(connection, fact) for fact in facts)

    def append_new(self, facts: Sequence[Fact | LearningFact]) -> None:
        """Add what happened just now, without those who were forgotten meanwhile."""
        with self.file.transaction() as connection:
            for fact in without_forgotten(connection, self.workspace, facts):
                self._add(connection, fact)

    def _add(self, connection: sqlite3.Connection, fact: Fact | LearningFact) -> int:
        match fact:
            case Run():
                return self._add_run(connection, fact)
            case Message():
                return _put(connection, _ADD_MESSAGE, rows.message_values(self.workspace, fact))
            case Feedback():
                return _put(connection, _ADD_FEEDBACK, rows.feedback_values(self.workspace, fact))
            case Summary():
                return _put(connection, _ADD_SUMMARY, rows.summary_values(self.workspace, fact))
            case Observation() | ExamQuestion():
                return self.learned.add(connection, fact)

    def _add_run(self, connection: sqlite3.Connection, run: Run) -> int:
        added = _put(connection, _ADD_RUN, rows.run_values(self.workspace, run))
        if added:
            for step in run.steps:
                _put(connection, _ADD_STEP, rows.step_values(self.workspace, run.run_id, step))
            if self._was_deleted(connection, run):
                empty_runs(connection, self.workspace, [run.run_id])
        return added

    def _was_deleted(self, connection: sqlite3.Connection, run: Run) -> bool:
        """Whether its question or its answer was deleted while it was being answered."""
        sql = """SELECT 1 FROM messages WHERE workspace = ? AND channel_id = ? AND ts IN (?, ?)
            AND deleted = 1"""
        values = (self.workspace, run.channel_id, run.message_ts, run.reply_ts)
        return connection.execute(sql, values).fetchone() is not None

    def run(self, run_id: str) -> Row | None:
        """One run without its steps."""
        sql = "SELECT * FROM runs WHERE workspace = ? AND run_id = ?"
        return self.file.row(sql, (self.workspace, run_id))

    def steps(self, run_id: str) -> list[Row]:
        """The steps of one run in order."""
        sql = "SELECT * FROM steps WHERE workspace = ? AND run_id = ? ORDER BY position"
        return self.file.rows(sql, (self.workspace, run_id))

    def run_of_message(self, channel_id: str, ts: str) -> Row | None:
        """The run that answered with this message, else the one that it asked for."""
        for column in ("reply_ts", "message_ts"):
            sql = f"""SELECT * FROM runs WHERE workspace = ? AND channel_id = ? AND {column} = ?
                AND kind = 'reply' ORDER BY seq DESC LIMIT 1"""
            found = self.file.row(sql, (self.workspace, channel_id, ts))
            if found is not None:
                return found
        return None

    def last_reply(self, channel_id: str, user_id: str, thread_ts: str | None) -> Row | None:
        """The newest reply to this person here."""
        thread = "" if thread_ts is None else "AND thread_ts = ?"
        values = () if thread_ts is None else (thread_ts,)
        sql = f"""SELECT * FROM runs WHERE workspace = ? AND user_id = ? AND channel_id = ?
            AND kind = 'reply' {thread} ORDER BY started_at DESC, seq DESC LIMIT 1"""
        return self.file.row(sql, (self.workspace, user_id, channel_id, *values))

    def last_reply_in(self, channel_id: str, thread_ts: str) -> Row | None:
        """The newest reply in this thread, to whomever."""
        sql = """SELECT * FROM runs WHERE workspace = ? AND channel_id = ? AND thread_ts = ?
            AND kind = 'reply' ORDER BY started_at DESC, seq DESC LIMIT 1"""
        return self.file.row(sql, (self.workspace, channel_id, thread_ts))

    def feedback_on(self, run_id: str) -> list[Row]:
        """Oldest first."""
        sql = """SELECT * FROM feedback WHERE workspace = ? AND run_id = ?
            ORDER BY created_at, feedback_id"""
        return self.file.rows(sql, (self.workspace, run_id))

    # Messages

    def thread(self, channel_id: str, thread_ts: str, limit: int) -> list[Row]:
        """Newest first."""
        sql = f"SELECT * FROM messages WHERE {_LIVE} AND thread_ts = ? ORDER BY ts DESC LIMIT ?"
        return self.file.rows(sql, (self.workspace, channel_id, thread_ts, limit))

    def messages(self, channel_id: str, since_ts: str, limit: int) -> list[Row]:
        """Newest first."""
        sql = f"SELECT * FROM messages WHERE {_LIVE} AND ts >= ? ORDER BY ts DESC LIMIT ?"
        return self.file.rows(sql, (self.workspace, channel_id, since_ts, limit))

    def search(
        self, connection: sqlite3.Connection, match: str, audiences: Collection[str], limit: int
    ) -> list[Row]:
        """Best match first; `match` is an FTS5 expression."""
        while index_messages(connection):
            pass
        sql = """SELECT messages.* FROM message_words
            JOIN messages ON messages.seq = message_words.rowid
            WHERE message_words MATCH ? AND workspace = ? AND deleted = 0
              AND audience IN (SELECT value FROM json_each(?))
            ORDER BY message_words.rank, messages.seq DESC LIMIT ?"""
        values = (match, self.workspace, json.dumps(list(audiences)), limit)
        return connection.execute(sql, values).fetchall()

    def edit_message(self, channel_id: str, ts: str, text: str) -> bool:
        """New text for a message that is there, and no summary that repeats the old one."""
        sql = f"UPDATE messages SET text = ? WHERE {_LIVE} AND ts = ?"
        with self.file.transaction() as connection:
            changed = _put(connection, sql, (text, self.workspace, channel_id, ts))
            self._drop_summaries(connection, channel_id, ts)
        return bool(changed)

    def delete_message(self, channel_id: str, ts: str) -> None:
        """An empty row stays, also where the message was never heard.

        The words of the run that it asked for, or that it answers, go too, and those of the runs
        that repeat them.
        """
        sql = """INSERT INTO messages (workspace, channel_id, ts, thread_ts, role, audience, text,
                created_at, deleted) VALUES (?, ?, ?, ?, 'person', '', '', 0, 1)
            ON CONFLICT DO UPDATE SET text = '', deleted = 1"""
        with self.file.transaction() as connection:
            self._drop_summaries(connection, channel_id, ts)
            place = (self.workspace, channel_id, ts)
            connection.execute(_FORGET_QUOTES, place)
            found = connection.execute(_RUNS_OF_MESSAGE, place).fetchall()
            empty_runs(connection, self.workspace, [row["run_id"] for row in found])
            connection.execute(sql, (self.workspace, channel_id, ts, ts))

    def _drop_summaries(self, connection: sqlite3.Connection, channel_id: str, ts: str) -> None:
        sql = """DELETE FROM summaries WHERE workspace = ?1 AND channel_id = ?2
            AND until_ts >= ?3 AND thread_ts = (SELECT thread_ts FROM messages
                WHERE workspace = ?1 AND channel_id = ?2 AND ts = ?3)"""
        connection.execute(sql, (self.workspace, channel_id, ts))

    def latest_summary(self, channel_id: str, thread_ts: str) -> Row | None:
        """The summary that reaches furthest."""
        sql = """SELECT * FROM summaries WHERE workspace = ? AND channel_id = ? AND thread_ts = ?
            ORDER BY until_ts DESC LIMIT 1"""
        return self.file.row(sql, (self.workspace, channel_id, thread_ts))

    # Decisions

    def documents(self, kind: str) -> list[Row]:
        """Active versions, by name."""
        sql = """SELECT * FROM documents WHERE workspace = ? AND kind = ? AND active = 1
            ORDER BY name"""
        return self.file.rows(sql, (self.workspace, kind))

    def document(self, kind: str, name: str, version: str | None = None) -> Row | None:
        """One version, or the active one."""
        which = "active = 1" if version is None else "version = ?"
        values = () if version is None else (version,)
        sql = f"SELECT * FROM documents WHERE {_DOCUMENT} AND {which}"
        return self.file.row(sql, (self.workspace, kind, name, *values))

    def history(self, kind: str, name: str) -> list[Row]:
        """Every version, oldest first."""
        sql = f"SELECT * FROM documents WHERE {_DOCUMENT} ORDER BY number"
        return self.file.rows(sql, (self.workspace, kind, name))

    def note_documents_changed(self, connection: sqlite3.Connection) -> None:
        """Tell every process that its copies are old."""
        sql = """INSERT INTO document_changes VALUES (?, 1)
            ON CONFLICT DO UPDATE SET changes = changes + 1"""
        connection.execute(sql, (self.workspace,))

    def document_changes(self) -> int:
        """How often documents changed."""
        found = self.file.row(
            "SELECT changes FROM document_changes WHERE workspace = ?", (self.workspace,)
        )
        return found["changes"] if found else 0

    def person(self, user_id: str) -> Row | None:
        """One person."""
        sql = "SELECT * FROM people WHERE workspace = ? AND user_id = ?"
        return self.file.row(sql, (self.workspace, user_id))

    def people(self) -> list[Row]:
        """Everybody known, by id."""
        sql = "SELECT * FROM people WHERE workspace = ? ORDER BY user_id"
        return self.file.rows(sql, (self.workspace,))

    def save_person(self, values: Values) -> None:
        """Add or replace."""
        sql = """INSERT INTO people (workspace, user_id, name, settings) VALUES (?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET name = excluded.name, settings = excluded.settings"""
        with self.file.transaction() as connection:
            _put(connection, sql, values)

    def task_types(self) -> list[Row]:
        """Every task type, by name."""
        sql = "SELECT * FROM task_types WHERE workspace = ? ORDER BY name"
        return self.file.rows(sql, (self.workspace,))

    def save_task_type(self, name: str, centroid: bytes, count: int) -> None:
        """Add or replace."""
        sql = """INSERT INTO task_types (workspace, name, centroid, count) VALUES (?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET centroid = excluded.centroid, count = excluded.count"""
        with self.file.transaction() as connection:
            _put(connection, sql, (self.workspace, name, centroid, count))

    # What a backend does (see backend.Backend)

    @property
    def local(self) -> Self:
        """Itself."""
        return self

    @property
    def learning(self) -> SqliteLearning:
        """Learning's part of it."""
        return self.learned

    async def start(self) -> None:
        """Nothing else is to be kept alike."""

    async def close(self) -> None:
        """Let go of the file; everything appended stays."""
        self.file.close()

    def appended(self) -> None:
        """Nobody else is to be told."""

    def stop_sending(self) -> int:
        """Drop what waits for Supabase."""
        return OutboxRows(self.file, self.workspace).switch_off()

    async def follow_forgetting(self, follower: Callable[[str], Awaitable[object]]) -> None:
        """There is no other home."""

    async def health(self) -> RecordHealth:
        """Nothing is elsewhere, but for what Supabase got when it was configured."""
        return await health_without_supabase(self.file, self.workspace)

    async def old_run(self, run_id: str | None, channel_id: str | None, ts: str | None) -> None:
        """There is nowhere else to look."""

    async def create(self, made: Document) -> Document:
        """Version 1 of something new. Raises InputError when the name is taken."""
        with self.file.transaction() as connection:
            if self.document(made.kind, made.name) is not None:
                raise taken(made)
            audit.append(connection, self.workspace, [audit.of_document(made, "created")])
            return self.save_version(connection, made)

    async def activate(self, made: Document) -> Document:
        """Make it the active version. Raises UnknownName and StaleBase."""
        with self.file.transaction() as connection:
            current = self.document(made.kind, made.name)
            if current is None:
                raise unknown(made)
            if current["version"] != made.base:
                raise stale(made, current["number"])
            audit.append(connection, self.workspace, [audit.of_document(made, "activated")])
            return self.save_version(connection, replace(made, audience=current["audience"]))

    def save_version(self, connection: sqlite3.Connection, made: Document) -> Document:
        """As the next number, or by taking up the earlier version that has the same content.

        Its body is written again, in case it had been forgotten.
        """
        key = (self.workspace, made.kind, made.name)
        history = self.history(made.kind, made.name)
        number = max((row["number"] for row in history), default=0) + 1
        values = rows.document_values(
            self.workspace, replace(made, number=number, created_at=time.time())
        )
        self.retire(connection, made.kind, made.name)
        if any(row["version"] == made.version for row in history):
            body = dict(zip(rows.DOCUMENT.split(", "), values, strict=True))["body"]
            again = f"UPDATE documents SET active = 1, body = ? WHERE {_DOCUMENT} AND version = ?"
            _put(connection, again, (body, *key, made.version))
        else:
            _put(connection, _ADD_DOCUMENT, values)
        active = f"SELECT * FROM documents WHERE {_DOCUMENT} AND active = 1"
        return rows.document_from(connection.execute(active, key).fetchone())

    def retire(self, connection: sqlite3.Connection, kind: str, name: str) -> None:
        """No version is active from now on; history stays."""
        retire = f"UPDATE documents SET active = 0 WHERE {_DOCUMENT} AND active = 1"
        connection.execute(retire, (self.workspace, kind, name))
        self.note_documents_changed(connection)

    async def runs(self, query: RunQuery, with_steps: bool) -> list[Run]:
        """Newest first; runs without a time come last."""
        where, values = matching(self.workspace, query)
        sql = f"""SELECT * FROM runs WHERE {where}
            ORDER BY day DESC, started_at DESC, seq DESC LIMIT ?"""

        def read(connection: sqlite3.Connection) -> list[Run]:
            found = connection.execute(sql, (*values, query.limit)).fetchall()
            return self._runs_from(connection, found, with_steps)

        return await self.file.aside(read)

    async def page_of_runs(self, after: int, user_id: str | None) -> tuple[int, list[Run]]:
        """The next page of all runs, or of a person's, in the order they were recorded."""
        whose = "" if user_id is None else "AND user_id = ?"
        values = (self.workspace, after) if user_id is None else (self.workspace, after, user_id)
        sql = f"""SELECT * FROM runs WHERE workspace = ? AND seq > ? {whose}
            ORDER BY seq LIMIT {_PAGE}"""

        def read(connection: sqlite3.Connection) -> tuple[int, list[Run]]:
            found = connection.execute(sql, values).fetchall()
            last = found[-1]["seq"] if found else after
            return last, self._runs_from(connection, found, with_steps=True)

        return await self.file.aside(read)

    def _runs_from(
        self, connection: sqlite3.Connection, found: Sequence[Row], with_steps: bool
    ) -> list[Run]:
        steps = self._steps_of(connection, [row["run_id"] for row in found] if with_steps else [])
        return rows.runs_from(found, steps)

    def _steps_of(
        self, connection: sqlite3.Connection, run_ids: Sequence[str]
    ) -> dict[str, tuple[Step, ...]]:
        sql = """SELECT * FROM steps WHERE workspace = ?
            AND run_id IN (SELECT value FROM json_each(?)) ORDER BY run_id, position"""
        found = connection.execute(sql, (self.workspace, json.dumps(run_ids))).fetchall()
        return rows.steps_by_run(found)

    async def metrics(self, query: RunQuery) -> Metrics:
        """Success, speed, cost and feedback of all runs that the query matches."""

        def read(connection: sqlite3.Connection) -> Metrics:
            note = trimming.missing(connection, self.workspace, query)
            return replace(metrics.metrics(connection, self.workspace, query), note=note)

        return await self.file.aside(read)

    async def agent_records(self, since: float) -> list[AgentRecord]:
        """How each agent did with each type of task since a moment."""
        return await self.file.aside(lambda c: metrics.agent_records(c, self.workspace, since))

    async def everything_about(self, user_id: str) -> list[Kept]:
        """What `forget` would empty or delete."""
        return await self.file.aside(lambda c: known.everything_about(c, self.workspace, user_id))

    async def forget(self, user_id: str) -> ForgetReport:
        """By FORGET_RULES, down to the bytes on disk."""
        return await asyncio.to_thread(forgetting.forget, self.file, self.workspace, user_id)

    async def purge(self, before: float) -> Mapping[str, int]:
        """Delete texts from before a moment; numbers stay."""
        return await asyncio.to_thread(forgetting.purge, self.file, self.workspace, before)

    async def erase(self) -> Mapping[str, int]:
        """Delete everything there is of this workspace, down to the bytes on disk."""
        return await asyncio.to_thread(erasing.erase, self.file, self.workspace)


def tidy_up(connection: sqlite3.Connection) -> bool:
    """Some of the work that writers leave behind; False when there is none."""
    return index_messages(connection) or count_a_day(connection)


def index_messages(connection: sqlite3.Connection) -> bool:
    """Make some more messages known to the search; False when all were."""
    behind = "SELECT EXISTS (SELECT 1 FROM messages, search_progress p WHERE messages.seq > p.seq)"
    if not connection.execute(behind).fetchone()[0]:
        return False
    connection.execute("BEGIN IMMEDIATE")
    done = "(SELECT seq FROM search_progress)"
    (last,) = connection.execute(
        f"SELECT max(seq) FROM (SELECT seq FROM messages WHERE seq > {done} ORDER BY seq LIMIT ?)",
        (_INDEX_BATCH,),
    ).fetchone()
    if last is not None:
        sql = f"""INSERT INTO message_words (rowid, text)
            SELECT seq, text FROM messages WHERE seq > {done} AND seq <= ?"""
        connection.execute(sql, (last,))
        connection.execute("UPDATE search_progress SET seq = ?", (last,))
    connection.execute("COMMIT")
    return last is not None


def workspaces(path: Path) -> list[str]:
    """The workspaces that have rows in a record."""
    tables = ("runs", "messages", "documents", "people", "feedback")
    sql = " UNION ".join(f"SELECT workspace FROM {table}" for table in tables)
    file = SqliteFile(path, "record")
    try:
        return [row["workspace"] for row in file.rows(f"{sql} ORDER BY workspace")]
    finally:
        file.close()


def _put(connection: sqlite3.Connection, sql: str, values: Values) -> int:
    """Rows changed. Half a surrogate pair, which no database takes, becomes a question mark."""
    try:
        return connection.execute(sql, values).rowcount
    except UnicodeEncodeError:
        return connection.execute(sql, [_encodable(value) for value in values]).rowcount


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return value
