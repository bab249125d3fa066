"""Where a workspace's record is: what SQLite and Supabase do differently, behind one protocol.

Facts go to the local record first, always, and conversations read it (`local`); those are not part
of this. Decisions are made where the record is, and figures and exports are read there.
"""

from collections.abc import Mapping
from typing import Protocol

from database.known import Kept
from database.records import (
    AgentRecord,
    Document,
    ForgetReport,
    Metrics,
    PolicyChange,
    RecordHealth,
    Run,
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

    async def start(self) -> None:
        """Keep the local copy and what is elsewhere alike from now on."""

    async def close(self) -> None:
        """Let go of everything; nothing that was appended is lost."""

    def appended(self) -> None:
        """Something was written to `local` (about a microsecond)."""

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

    async def add_policy(self, made: PolicyChange) -> None:
        """Append a decision about the assistant itself."""

    async def runs(self, query: RunQuery, with_steps: bool) -> list[Run]:
        """Newest first, those without a time last; at most `query.limit`."""

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
