"""What was decided at Supabase, kept in the local record: conversations read it from there.

Asked for every few seconds, so that a decision shows everywhere within ten seconds; while Supabase
is away the copy stays as it is and says how old it is.
"""

import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Protocol

import structlog

from database import rows
from database.errors import RecordAway, RecordMisconfigured
from database.forgotten_elsewhere import ForgottenElsewhere
from database.local_learning import LocalLearning
from database.outbox_rows import OutboxRows
from database.reunion import Reunion
from database.sqlite_backend import SqliteBackend

LOOK_SECONDS = 5.0
NOTE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 60.0
_NAMES_AT_ONCE = 200
_VERSIONS_AT_ONCE = 200
_DAYS_AT_ONCE = 20
_COUNT_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class Functions(Protocol):
    """Supabase's SQL functions (supabase_client.SupabaseClient)."""

    async def call(self, function: str, *, read: bool = False, **arguments: Any) -> Any:
        """What a function answers."""


class LocalCopy:
    """The copy of one workspace; times are seconds since the epoch."""

    def __init__(self, local: SqliteBackend, functions: Functions, outbox: OutboxRows) -> None:
        self._local = local
        self._functions = functions
        self._outbox = outbox
        self._workspace = local.workspace
        self._seen: Mapping[str, Any] = {}
        self._adopted = False
        self._count_at = 0.0
        self._noted_at = 0.0
        self.forgotten = ForgottenElsewhere(local, self._ask, outbox)
        self.one_at_a_time = asyncio.Lock()
        self.learning = LocalLearning(
            local, functions, self.one_at_a_time, self.take_documents, self.take_policy
        )
        self.copied_at = outbox.copied_at()
        self.away_since: float | None = None
        self.problem: str | None = None

    async def keep(self) -> None:
        """Look again and again, for ever; less often while Supabase is away."""
        pause = LOOK_SECONDS
        while True:
            await asyncio.sleep(pause * random.uniform(0.8, 1.0))
            try:
                await self.look()
                await self._count_days()
                await self.forgotten.wipe_when_sent()
                pause = LOOK_SECONDS
            except (RecordAway, RecordMisconfigured) as error:
                self.note_away(error)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 - the copy stays as it is; the next look tries
                _log.exception("local_copy_failed", reason=str(error))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def look(self) -> None:
        """Take over what was decided since the last time. Raises StoreError."""
        async with self.one_at_a_time:
            if not self._adopted:
                # What is brought along must not bring back who was forgotten meanwhile.
                await self.forgotten.take()
            await self.learning.send_waiting()
            if self.learning.differs:
                self._seen = {}
            if not self._adopted:
                await self._adopt()
            found = await self._ask("changes")
            for name, take in (
                ("documents", self._take_changed_documents),
                ("policy", self._take_changed_policy),
                ("people", self._take_changed_people),
                ("forgotten", self._take_forgotten),
                ("learning", self.learning.take_changed),
            ):
                if found[name] != self._seen.get(name):
                    await take()
            self._seen = found
        if self.away_since is not None:
            _log.info("supabase_is_back", away_s=round(time.time() - self.away_since))
        self.away_since, self.problem = None, None
        self._note_copied(time.time())

    def _note_copied(self, now: float) -> None:
        """Kept for other processes and for the next start, but not every few seconds."""
        self.copied_at = now
        if now - self._noted_at >= NOTE_SECONDS:
            self._outbox.note_copied(now)
            self._noted_at = now

    async def _count_days(self) -> None:
        """Have some past days counted at Supabase, so that figures over a long time come soon."""
        if time.monotonic() < self._count_at:
            return
        for _ in range(_DAYS_AT_ONCE):
            if not await self._functions.call("count_day", p_workspace=self._workspace):
                self._count_at = time.monotonic() + _COUNT_SECONDS
                return

    def note_away(self, error: Exception) -> None:
        """Supabase did not answer: said once, until it is back."""
        if self.away_since is None:
            self.away_since = time.time()
            _log.warning("supabase_is_away", reason=str(error))
        self.problem = str(error)

    async def _ask(self, function: str, **arguments: Any) -> Any:
        return await self._functions.call(
            function, read=True, p_workspace=self._workspace, **arguments
        )

    # A home that had a record of its own before

    async def _adopt(self) -> None:
        """Bring what was decided here, and is not known there, to Supabase: once a process."""
        known = {tuple(entry[:2]) for entry in await self._ask("document_index")}
        every = "SELECT * FROM policy WHERE workspace = ? ORDER BY seq"
        policy = [dict(row) for row in self._local.file.rows(every, (self._workspace,))]
        if policy:
            await self._bring([], policy)
        every = "SELECT * FROM documents WHERE workspace = ? ORDER BY kind, name, number"
        found = self._local.file.rows(every, (self._workspace,))
        fresh = (dict(row) for row in found if (row["kind"], row["name"]) not in known)
        documents: list[dict[str, Any]] = []
        for _, versions in groupby(fresh, key=lambda row: (row["kind"], row["name"])):
            documents += [{**row, "active": bool(row["active"])} for row in versions]
            if len(documents) >= _VERSIONS_AT_ONCE:
                await self._bring(documents, [])
                documents = []
        if documents:
            await self._bring(documents, [])
        await self.learning.adopt()
        if self.copied_at is not None:
            await self.forgotten.bring(self.copied_at)
            await Reunion(self._local, self._functions.call, self.copied_at).bring()
        self._adopted = True

    async def _bring(
        self, documents: Sequence[Mapping[str, Any]], policy: Sequence[Mapping[str, Any]]
    ) -> None:
        await self._functions.call(
            "adopt_decisions", p_workspace=self._workspace, documents=documents, policy=policy
        )

    # Documents

    async def _take_changed_documents(self) -> None:
        there = {tuple(entry) for entry in await self._ask("document_index")}
        sql = """SELECT kind, name, number, version, active, body IS NULL FROM documents
            WHERE workspace = ?"""
        here = {
            (kind, name, number, version, bool(active), bool(gone))
            for kind, name, number, version, active, gone in self._local.file.rows(
                sql, (self._workspace,)
            )
        }
        known = {entry[:2] for entry in there}
        names = sorted({entry[:2] for entry in there ^ here} & known)
        for first in range(0, len(names), _NAMES_AT_ONCE):
            part = names[first : first + _NAMES_AT_ONCE]
            self.take_documents(await self._ask("documents_named", names=part))

    def take_documents(self, found: Sequence[Mapping[str, Any]]) -> None:
        """Make these the versions of their names."""
        columns = rows.DOCUMENT.split(", ")
        delete = "DELETE FROM documents WHERE workspace = ? AND kind = ? AND name = ?"
        insert = f"""INSERT INTO documents ({rows.DOCUMENT})
            VALUES ({", ".join("?" for _ in columns)})"""
        names = {(row["kind"], row["name"]) for row in found}
        with self._local.file.transaction() as connection:
            connection.executemany(delete, [(self._workspace, *name) for name in names])
            connection.executemany(insert, [[row[name] for name in columns] for row in found])
            self._local.note_documents_changed(connection)

    # Policy

    async def _take_changed_policy(self) -> None:
        self.take_policy(await self._ask("policy_rows"))

    def take_policy(self, found: Sequence[Mapping[str, Any]]) -> None:
        """Make these all there is; their numbers here are higher than any before."""
        columns = ("key", "value", "set_by", "set_at")
        wanted = [tuple(row[name] for name in columns) for row in found]
        file, workspace = self._local.file, (self._workspace,)
        sql = "SELECT * FROM policy WHERE workspace = ? ORDER BY seq"
        with file.transaction() as connection:
            here = connection.execute(sql, workspace).fetchall()
            if [tuple(row[name] for name in columns) for row in here] == wanted:
                return
            last = connection.execute("SELECT max(seq) AS last FROM policy").fetchone()["last"] or 0
            connection.execute("DELETE FROM policy WHERE workspace = ?", workspace)
            connection.executemany(
                """INSERT INTO policy (seq, workspace, key, value, set_by, set_at)
                VALUES (?, ?, ?, ?, ?, ?)""",
                [
                    (last + place, self._workspace, *values)
                    for place, values in enumerate(wanted, start=1)
                ],
            )

    # People

    async def _take_changed_people(self) -> None:
        found = await self._ask("people_rows")
        put = """INSERT INTO people (workspace, user_id, name, settings) VALUES (?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET name = excluded.name, settings = excluded.settings
            WHERE (name, settings) <> (excluded.name, excluded.settings)"""
        with self._local.file.transaction() as connection, self._outbox.uncaptured(connection):
            for row in found:
                if not self._is_queued(connection, row["user_id"]):
                    values = (self._workspace, row["user_id"], row["name"], row["settings"])
                    connection.execute(put, values)

    def _is_queued(self, connection: sqlite3.Connection, user_id: str) -> bool:
        """Whether what is here is newer than what is there."""
        sql = """SELECT 1 FROM outbox WHERE workspace = ? AND "table" = 'people' AND key = ?"""
        key = json.dumps([user_id], ensure_ascii=False, separators=(",", ":"))
        return connection.execute(sql, (self._workspace, key)).fetchone() is not None

    # People who were forgotten

    async def _take_forgotten(self) -> None:
        if await self.forgotten.take():
            self.learning.look_at_all()


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
