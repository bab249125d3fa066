"""Learning's part of the record at Supabase."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

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
from database.records import Document, RunKind
from database.sqlite_learning import SqliteLearning


class SupabaseLearning:
    """For now: policy is decided there, the rest in the local record."""

    def __init__(self, local: SqliteLearning, add_policy: Callable[[Any], Awaitable[None]]) -> None:
        self._local = local
        self._add_policy = add_policy

    async def decide(self, decision: Decision) -> list[Document]:
        """All or nothing."""
        for made in decision.policy:
            await self._add_policy(made)
        if decision.policy:
            return []
        return await self._local.decide(decision)

    async def decide_here(self, decision: Decision) -> list[Document]:
        """The same, at once."""
        return await self._local.decide(decision)

    async def observations(self, trial_id: str, aspect: Aspect | None) -> list[Observation]:
        """In the order in which they were recorded."""
        return await self._local.observations(trial_id, aspect)

    async def exam(
        self, part: ExamPart, agent: str | None, task_type: str | None, limit: int
    ) -> list[ExamQuestion]:
        """Newest first."""
        return await self._local.exam(part, agent, task_type, limit)

    async def window(
        self, runs_seen: int, feedback_seen: int, kinds: Sequence[RunKind], limit: int
    ) -> WindowRows:
        """What is new since two watermarks."""
        return await self._local.window(runs_seen, feedback_seen, kinds, limit)

    async def counts(self, since: float, until: float) -> list[ImprovementCounts]:
        """What learning did, by day and agent."""
        return await self._local.counts(since, until)

    async def audit(self, since: int, limit: int) -> list[AuditEntry]:
        """The entries behind a place, oldest first."""
        return await self._local.audit(since, limit)

    async def audit_verify(self) -> AuditReport:
        """Check every entry."""
        return await self._local.audit_verify()
