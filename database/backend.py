"""Where a workspace's record is: what SQLite and Supabase do differently, behind one protocol.

Facts go to the local record first, always, and conversations read it (`local`); those are not part
of this. Decisions are made where the record is, and figures and exports are read there.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from database.known import Kept
from database.learning import (
    Aspect,
    AuditEntry,
    AuditReport,
    Decision,
    ExamPart,
    ExamQuestion,
    ImprovementCounts,
    Observation,
    WindowRows,
)
from database.records import (
    AgentRecord,
    Document,
    ForgetReport,
    Metrics,
    RecordHealth,
    Run,
    RunKind,
    RunQuery,
)
from database.sqlite_backend import SqliteBackend


class Backend(Protocol):
    """The record of one workspace. Every method raises StoreError; decisions raise RecordAway too.

    What a decision changes shows in `local` when it returns, and in other processes soon after.
    """

    @property
    def local(self) -> SqliteBackend:
        """The local record: all of it, or a copy."""

    @property
    def learning(self) -> "Learning":
        """Learning's part of the record."""

    async def start(self) -> None:
        """Keep the local copy and what is elsewhere alike from now on."""

    async def close(self) -> None:
        """Let go of everything; nothing that was appended is lost."""

    def appended(self) -> None:
        """Something was written to `local` (about a microsecond)."""

    def stop_sending(self) -> int:
        """Drop what waits for a record elsewhere, which is not configured any more; how much.

        Raises InputError while it is.
        """

    async def follow_forgetting(self, follower: Callable[[str], Awaitable[object]]) -> None:
        """Let a follower know of each person who is forgotten here because another home did so."""

    async def health(self) -> RecordHealth:
        """How far what is here and what is elsewhere are apart."""

    async def create(self, made: Document) -> Document:
        """Version 1 of something new, or the next of a name that is free again.

        Raises InputError when the name is taken.
        """

    async def activate(self, made: Document) -> Document:
        """Make `made` the active version where `made.base` is; its audience is the one it has.

        Raises UnknownName and StaleBase; then nothing was changed.
        """

    async def runs(self, query: RunQuery, with_steps: bool) -> list[Run]:
        """Newest first, those without a time last; at most `query.limit`."""

    async def old_run(
        self, run_id: str | None, channel_id: str | None, ts: str | None
    ) -> Run | None:
        """A run that is not in `local` (any more), by its id or by a message of it.

        None where there is none, or where it cannot be asked for soon.
        """

    async def page_of_runs(self, after: int, user_id: str | None) -> tuple[int, list[Run]]:
        """The next runs with their steps as they were recorded, and what to give next time."""

    async def metrics(self, query: RunQuery) -> Metrics:
        """Counts of all runs that the query matches."""

    async def agent_records(self, since: float) -> list[AgentRecord]:
        """How each agent did with each type of task, by agent and type."""

    async def everything_about(self, user_id: str) -> list[Kept]:
        """Everything that is kept about a person."""

    async def forget(self, user_id: str) -> ForgetReport:
        """Apply FORGET_RULES, here and elsewhere."""

    async def purge(self, before: float) -> Mapping[str, int]:
        """Delete the texts from before a moment; rows by table."""

    async def erase(self) -> Mapping[str, int]:
        """Delete the whole workspace; rows by table."""


class Learning(Protocol):
    """Learning's part of the record; what Store promises of each is in learning_store.py.

    What a decision changes shows in `local` when it returns.
    """

    async def decide(self, decision: Decision) -> list[Document]:
        """All or nothing. Raises StaleRevision, StaleBase, UnknownName, NotAllowed, RecordAway."""

    async def decide_here(self, decision: Decision) -> list[Document]:
        """The same, at once also where the record is away; it is recorded later then."""

    async def observations(self, trial_id: str, aspect: Aspect | None) -> list[Observation]:
        """In the order in which they were recorded."""

    async def exam(
        self, part: ExamPart, agent: str | None, task_type: str | None, limit: int
    ) -> list[ExamQuestion]:
        """Newest first, of those who may be learned from."""

    async def window(
        self, runs_seen: int, feedback_seen: int, kinds: Sequence[RunKind], limit: int
    ) -> WindowRows:
        """What is new since two watermarks."""

    async def counts(self, since: float, until: float) -> list[ImprovementCounts]:
        """What learning did, by day and agent."""

    async def audit(self, since: int, limit: int) -> list[AuditEntry]:
        """The entries behind a place, oldest first."""

    async def audit_verify(self) -> AuditReport:
        """Check every entry."""
