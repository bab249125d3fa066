"""The one Store: everything that happened and was decided in one workspace."""

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from database import rows
from database.backend import Backend
from database.errors import InputError
from database.known import Kept
from database.learning import AuditEntry, LearningFact
from database.learning_store import LearningStore
from database.outbox import MAX_ROWS
from database.outbox_rows import OutboxRows
from database.policy_rows import PolicyRows
from database.records import (
    PUBLIC,
    AgentRecord,
    Document,
    DocumentKind,
    Fact,
    Feedback,
    ForgetReport,
    Message,
    Metrics,
    Person,
    Reader,
    RecordHealth,
    Run,
    RunQuery,
    Summary,
    TaskType,
    content_hash,
)
from database.rows import Row
from database.sqlite_backend import SqliteBackend, workspaces
from database.supabase_backend import Supabase, SupabaseBackend

RECORD = "record.db"
_SEARCH_WORDS = 32


class Store(LearningStore):
    """Opened for one workspace, which leads every key.

    Facts are appended in line (well under a millisecond); reads that may be long run in a thread.
    Every method raises StoreError when the file cannot be read or written.
    """

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._local = backend.local
        self.policy = PolicyRows(backend)

    @classmethod
    def open(
        cls,
        home: Path,
        workspace: str,
        supabase: Supabase | None = None,
        *,
        outbox_max_rows: int = MAX_ROWS,
    ) -> Self:
        """Open or create `home/record.db` and bring it up to date.

        With a client of Supabase that is the record, and the file its copy: `start` keeps both
        alike. Whoever opened the client closes it, after the store.
        Raises InputError without a workspace, StoreError when the file is not ours, damaged or
        cannot be written, MigrationError when it was written by newer code.
        """
        if not workspace:
            raise InputError("A store needs a workspace: give its id, for example T0123ABCD.")
        local = SqliteBackend(home / RECORD, workspace)
        if supabase is None:
            return cls(local)
        return cls(SupabaseBackend(local, supabase, outbox_max_rows=outbox_max_rows))

    @staticmethod
    def workspaces(home: Path) -> list[str]:
        """The ids that have anything in this folder's record; none when there is no record yet."""
        return workspaces(home / RECORD) if (home / RECORD).exists() else []

    @property
    def workspace(self) -> str:
        """The id of the workspace this store is opened for."""
        return self._local.workspace

    async def start(self) -> None:
        """With Supabase: send on what happens, and learn of what is decided elsewhere."""
        await self._backend.start()

    async def close(self) -> None:
        """Let go of the file; everything appended stays."""
        await self._backend.close()

    @property
    def outbox(self) -> OutboxRows:
        """What is on its way to Supabase, and what was refused there."""
        return OutboxRows(self._local.file, self.workspace)

    def stop_sending(self) -> int:
        """Keep nothing for Supabase any more, until it is configured again; how much waited.

        Raises InputError while it is configured.
        """
        return self._backend.stop_sending()

    async def follow_forgetting(self, follower: Callable[[str], Awaitable[object]]) -> None:
        """Let a follower know of each person who is forgotten here because another home did so."""
        await self._backend.follow_forgetting(follower)

    async def health(self) -> RecordHealth:
        """How far the local record and the one at Supabase are apart."""
        return await self._backend.health()

    # Facts

    def append(self, *facts: Fact | LearningFact) -> None:
        """Add facts in one transaction; a fact whose key is known changes nothing.

        What was under way while its person was forgotten is added without them: their messages are
        left out, runs and feedback keep their numbers only.
        """
        self._local.append_new(facts)
        self._backend.appended()

    def append_all(self, facts: Iterable[Fact | LearningFact]) -> int:
        """Old facts as they are, for imports; how many were new.

        An error while iterating undoes all.
        """
        added = self._local.append(facts)
        self._backend.appended()
        return added

    async def run(self, run_id: str) -> Run | None:
        """One run with its steps."""
        found = self._with_steps(self._local.run(run_id))
        return found or await self._backend.old_run(run_id, None, None)

    async def runs(self, query: RunQuery, *, with_steps: bool = False) -> list[Run]:
        """Newest first, at most `query.limit`; without steps unless asked."""

        return await self._backend.runs(query, with_steps)

    async def pages_of_runs(self, user_id: str | None = None) -> AsyncIterator[list[Run]]:
        """Every run with its steps, or every run of a person, in the order they were recorded."""
        after = 0
        while True:
            after, runs = await self._backend.page_of_runs(after, user_id)
            if not runs:
                return
            yield runs

    async def run_of_message(self, channel_id: str, ts: str) -> Run | None:
        """The reply whose `reply_ts`, or else whose `message_ts`, this is."""
        found = self._with_steps(self._local.run_of_message(channel_id, ts))
        return found or await self._backend.old_run(None, channel_id, ts)

    async def last_agent(self, channel_id: str, thread_ts: str) -> str | None:
        """Who answered last in this thread, as far as this machine knows (nobody else is asked)."""
        row = self._local.last_reply_in(channel_id, thread_ts)
        return None if row is None else str(row["agent"])

    async def last_reply(
        self, channel_id: str, user_id: str, thread_ts: str | None = None
    ) -> Run | None:
        """The newest reply to this person in this channel, or in this thread of it."""
        return self._with_steps(self._local.last_reply(channel_id, user_id, thread_ts))

    def _with_steps(self, row: Row | None) -> Run | None:
        if row is None:
            return None
        return next(
            iter(rows.runs_from([row], rows.steps_by_run(self._local.steps(row["run_id"])))), None
        )

    async def feedback_on(self, run_id: str) -> list[Feedback]:
        """Oldest first."""
        return [rows.feedback_from(row) for row in self._local.feedback_on(run_id)]

    async def metrics(self, query: RunQuery) -> Metrics:
        """Success, speed, cost and feedback of all runs that the query matches."""
        return await self._backend.metrics(query)

    async def agent_record(self, since: float) -> list[AgentRecord]:
        """How each agent did with each type of task since a moment: what routing learns from."""
        return await self._backend.agent_records(since)

    # Messages

    async def thread(self, channel_id: str, thread_ts: str, limit: int = 50) -> list[Message]:
        """The newest `limit` messages of a thread, oldest first."""
        found = self._local.thread(channel_id, thread_ts, limit)
        return [rows.message_from(row) for row in reversed(found)]

    async def messages(self, channel_id: str, since: float, limit: int = 50) -> list[Message]:
        """The newest `limit` messages of a channel since a moment, oldest first."""
        found = self._local.messages(channel_id, f"{since:.6f}", limit)
        return [rows.message_from(row) for row in reversed(found)]

    async def search_messages(self, words: str, reader: Reader, limit: int = 10) -> list[Message]:
        """Best match first, only what the reader may see; deleted messages are never found.

        Messages with all the words come first, else those with any of them.
        """
        terms = [f'"{word}"' for word in re.findall(r"\w+", words)[:_SEARCH_WORDS]]
        if not terms:
            return []

        def read(connection: sqlite3.Connection) -> list[Message]:
            for joint in (" AND ", " OR "):
                match = joint.join(terms)
                found = self._local.search(connection, match, reader.audiences(), limit)
                if found:
                    return [rows.message_from(row) for row in found]
            return []

        return await self._local.file.aside(read)

    async def edit_message(self, channel_id: str, ts: str, text: str) -> bool:
        """Replace what was remembered; False when the message was never heard or is deleted."""
        return self._local.edit_message(channel_id, ts, text)

    async def delete_message(self, channel_id: str, ts: str) -> None:
        """Forget the text, for good: a late delivery of the message does not bring it back.

        The run that it asked for, or that it answers, keeps its numbers only, also where it is
        recorded later.
        """
        self._local.delete_message(channel_id, ts)

    async def latest_summary(self, channel_id: str, thread_ts: str) -> Summary | None:
        """The summary that reaches furthest into the thread."""
        row = self._local.latest_summary(channel_id, thread_ts)
        return None if row is None else rows.summary_from(row)

    # Documents

    async def documents(self, kind: DocumentKind) -> list[Document]:
        """The active version of each, by name."""
        return [rows.document_from(row) for row in self._local.documents(kind)]

    async def document(
        self, kind: DocumentKind, name: str, version: str | None = None
    ) -> Document | None:
        """One version, or the active one."""
        row = self._local.document(kind, name, version)
        return None if row is None else rows.document_from(row)

    async def history(self, kind: DocumentKind, name: str) -> list[Document]:
        """Every version, oldest first."""
        return [rows.document_from(row) for row in self._local.history(kind, name)]

    async def create_document(
        self,
        kind: DocumentKind,
        name: str,
        body: Mapping[str, Any],
        *,
        origin: str,
        author: str | None = None,
        reason: str | None = None,
        audience: str = PUBLIC,
    ) -> Document:
        """Version 1 of something new. Raises InputError when the name is taken."""
        made = Document(
            kind, name, body, content_hash(body), origin=origin, author=author, reason=reason,
            audience=audience,
        )  # fmt: skip
        return await self._backend.create(made)

    async def activate(
        self,
        kind: DocumentKind,
        name: str,
        body: Mapping[str, Any],
        *,
        base: str,
        origin: str,
        author: str | None,
        reason: str | None,
    ) -> Document:
        """Make `body` the active version; a body that was active before is taken up again.

        Raises UnknownName when there is no such document and StaleBase when its active version is
        not `base` any more; then nothing was changed.
        """
        made = Document(
            kind, name, body, content_hash(body), base=base, origin=origin, author=author,
            reason=reason,
        )  # fmt: skip
        return await self._backend.activate(made)

    def documents_changed(self) -> int:
        """A number that differs once any process has changed a document (about 5 microseconds)."""
        return self._local.document_changes()

    # People and task types

    async def person(self, user_id: str) -> Person | None:
        """What is kept of a person."""
        row = self._local.person(user_id)
        return None if row is None else rows.person_from(row)

    async def save_person(self, person: Person) -> None:
        """Add or replace."""
        self._local.save_person(rows.person_values(self.workspace, person))

    async def people(self) -> list[Person]:
        """Everybody known, by id."""
        return [rows.person_from(row) for row in self._local.people()]

    async def task_types(self) -> list[TaskType]:
        """Every task type, by name."""
        return [rows.task_type_from(row) for row in self._local.task_types()]

    async def save_task_type(self, task_type: TaskType) -> None:
        """Add or replace."""
        self._local.save_task_type(task_type.name, task_type.centroid, task_type.count)

    # Privacy

    async def everything_about(self, user_id: str) -> list[Kept]:
        """Everything that is kept about a person: what `forget` would empty or delete."""
        return await self._backend.everything_about(user_id)

    async def forget(self, user_id: str) -> ForgetReport:
        """Empty or delete everything about a person by FORGET_RULES, down to the bytes on disk.

        Numbers stay, without the person; so it is for what is under way and recorded later. Takes
        seconds on a large record; appends wait meanwhile.
        """
        report = await self._backend.forget(user_id)
        await self.note(AuditEntry("privacy", "person forgotten", "", {"rows": report.rows}))
        return report

    async def purge(self, before: float) -> Mapping[str, int]:
        """Delete texts from before a moment (retention); numbers stay. Rows by table."""
        return await self._backend.purge(before)

    async def erase(self) -> Mapping[str, int]:
        """Delete everything there is of this workspace, down to the bytes on disk. Rows by table.

        Takes seconds on a large record; other workspaces' appends wait meanwhile.
        """
        return await self._backend.erase()
