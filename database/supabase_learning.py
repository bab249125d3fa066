"""Learning's part of the record at Supabase: decided there by one function, read there or copied.

What is decided here while Supabase is away (`decide_here`) counts at once in the local copy, waits
in `waiting_decisions`, and is brought there before anything else is decided or copied. Where
somebody else decided meanwhile, that stays, and the late one is only noted in the audit log.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Protocol

import structlog

from database import audit, improvement_counts, rows
from database.errors import InputError, RecordAway, RecordMisconfigured
from database.learning import (
    Aspect,
    AuditEntry,
    AuditReport,
    Change,
    Decision,
    ExamPart,
    ExamQuestion,
    ImprovementCounts,
    Observation,
    WindowRows,
)
from database.learning_rows import EXAM, OBSERVATIONS, document_of, moving
from database.local_learning import LocalLearning
from database.records import Document, PolicyChange, Run, RunKind, RunQuery
from database.refusals import beyond, gone, moved, stale, unknown
from database.run_counts import Count
from database.sqlite_backend import SqliteBackend
from database.sqlite_learning import days_between

_PAGE = 500
_AUDIT_PAGE = 1000

_log = structlog.get_logger(__name__)


class Asking(Protocol):
    """What this needs of the backend: its functions, and what becomes of the copy."""

    async def ask(self, function: str, *, read: bool = False, **arguments: Any) -> Any:
        """What a function answers for the workspace. Raises RecordAway in words for people."""

    async def ask_or_none(self, function: str, **arguments: Any) -> Any:
        """What a reading function answers; None while Supabase is away."""

    async def count_runs(self, query: RunQuery) -> Sequence[Count] | None:
        """Counts of runs in pieces; None while Supabase is away."""

    async def flush(self) -> None:
        """Wait a moment for what happened here to arrive there."""


class SupabaseLearning:
    """Learning's part of one workspace's record: a backend.Learning."""

    def __init__(self, local: SqliteBackend, copy: LocalLearning, asking: Asking) -> None:
        self._local = local
        self._copy = copy
        self._asking = asking
        self._workspace = local.workspace

    # Decisions

    async def decide(self, decision: Decision) -> list[Document]:
        """All or nothing, there; it shows here when this returns."""
        sent = payload(self._workspace, decision)
        async with self._copy.one_at_a_time:
            await self._copy.send_waiting()
            answer = await self._asking.ask("decide", decision=sent)
            if "refused" in answer:
                await self._copy.take_refused(answer)
                raise refusal(decision, answer)
            self._copy.take_decided(sent, answer)
        return self._active(decision.changes)

    async def decide_here(self, decision: Decision) -> list[Document]:
        """The same; while Supabase is away here at once, and there later."""
        try:
            return await self.decide(decision)
        except (RecordAway, RecordMisconfigured) as error:
            _log.warning("decided_here_until_supabase_is_back", reason=str(error))
        sent = payload(self._workspace, decision, late=uuid.uuid4().hex)
        return self._local.learned.decide_waiting(decision, sent)

    def _active(self, changes: Sequence[Change]) -> list[Document]:
        found = (self._local.document(c.kind, c.name) for c in changes if c.body is not None)
        return [rows.document_from(row) for row in found if row is not None]

    # Facts

    async def observations(self, trial_id: str, aspect: Aspect | None) -> list[Observation]:
        """Of every machine; of this one only while Supabase is away."""
        await self._asking.flush()
        found = await self._asking.ask_or_none("observations_of", p_trial=trial_id, p_aspect=aspect)
        if found is None:
            return await self._local.learned.observations(trial_id, aspect)
        return OBSERVATIONS.read_all(found)

    async def exam(
        self, part: ExamPart, agent: str | None, task_type: str | None, limit: int
    ) -> list[ExamQuestion]:
        """Of every machine; of this one only while Supabase is away."""
        await self._asking.flush()
        found = await self._asking.ask_or_none(
            "exam_of", p_part=part, p_agent=agent, p_task_type=task_type, p_limit=limit
        )
        if found is None:
            return await self._local.learned.exam(part, agent, task_type, limit)
        return EXAM.read_all(found)

    async def window(
        self, runs_seen: int, feedback_seen: int, kinds: Sequence[RunKind], limit: int
    ) -> WindowRows:
        """Page by page: an answer of thousands of runs with their steps would be too long."""
        await self._asking.flush()
        runs: dict[str, Run] = {}
        older: dict[str, Run] = {}
        feedback: list[Mapping[str, Any]] = []
        before, looked_at, more = runs_seen, 0, True
        while more and looked_at < limit:
            page = min(_PAGE, limit - looked_at)
            found = await self._asking.ask(
                "learning_window",
                read=True,
                p_runs_seen=runs_seen,
                p_feedback_seen=feedback_seen,
                before=before,
                kinds=list(kinds),
                page=page,
            )
            runs |= {run.run_id: run for run in rows.runs_with_steps(found["runs"])}
            older |= {run.run_id: run for run in rows.runs_with_steps(found["older"])}
            feedback += found["feedback"]
            runs_seen, feedback_seen = found["runs_seen"] or 0, found["feedback_seen"] or 0
            looked_at, more = looked_at + page, found["more"]
        return WindowRows(
            runs=tuple(runs.values()),
            feedback=_by_run(feedback),
            older=tuple(older.values()),
            runs_seen=runs_seen,
            feedback_seen=feedback_seen,
            more=more,
        )

    async def counts(self, since: float, until: float) -> list[ImprovementCounts]:
        """Of every machine; of this one only while Supabase is away."""
        await self._asking.flush()
        first, last = days_between(since, until)
        replies = await self._asking.count_runs(improvement_counts.replies_of(first, last))
        found = await self._asking.ask_or_none("improvement_counts", first_day=first, last_day=last)
        if found is None or replies is None:
            return await self._local.learned.counts(since, until)
        return improvement_counts.together(replies, found)

    # The audit log

    async def audit(self, since: int, limit: int) -> list[AuditEntry]:
        """The entries behind a place, oldest first. Raises RecordAway."""
        found = await self._asking.ask("audit_rows", read=True, after=since, page=limit)
        return audit.shown(found["entries"], found["people"])

    async def audit_verify(self) -> AuditReport:
        """Check every entry there. Raises RecordAway."""
        checked, at = audit.Verification(), 0
        while True:
            found = await self._asking.ask("audit_rows", read=True, after=at, page=_AUDIT_PAGE)
            if at == 0:
                checked.know(found["people"])
            if not found["entries"]:
                return checked.report(found["head"])
            at = checked.look(found["entries"])


def payload(workspace: str, decision: Decision, late: str | None = None) -> dict[str, Any]:
    """A decision as the function `decide` takes it."""
    now = time.time()
    return {
        **{
            table.name: [table.row(workspace, record) for record in records]
            for table, records in moving(decision)
        },
        "changes": [_change(workspace, change, decision, now) for change in decision.changes],
        "policy": [_policy(made, now) for made in decision.policy],
        "audit": [_entry(entry, late) for entry in audit.entries_of(decision)],
        "late": late,
    }


def _change(workspace: str, change: Change, decision: Decision, now: float) -> dict[str, Any]:
    made = document_of(change, decision, now)
    values = rows.document_values(workspace, made)
    row = dict(zip(rows.DOCUMENT.split(", "), values, strict=True))
    return {**row, "active": True, "retire": change.body is None}


def _policy(made: PolicyChange, now: float) -> dict[str, Any]:
    return {
        "key": made.key, "value": made.value, "set_by": made.set_by, "set_at": made.set_at or now
    }  # fmt: skip


def _entry(entry: AuditEntry, late: str | None) -> dict[str, Any]:
    noted = AuditEntry(
        entry.actor, entry.action, entry.subject,
        {**entry.details, "late": late} if late else entry.details, entry.at,
    )  # fmt: skip
    row = audit.as_row(noted)
    return {**row, "people": audit.people_in(row)}


def refusal(decision: Decision, answer: Mapping[str, Any]) -> InputError:
    """Why nothing was decided."""
    if answer["refused"] == "moved":
        return moved(answer["table"], answer["key"])
    change = next(
        change
        for change in decision.changes
        if (change.kind, change.name) == (answer["kind"], answer["name"])
    )
    made = document_of(change, decision, 0.0)
    match answer["refused"]:
        case "unknown":
            return unknown(made)
        case "gone":
            return gone(made)
        case "beyond":
            return beyond(made)
        case _:
            return stale(made, answer["number"])


def _by_run(found: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
    """What is on each run; a run that two pages speak of has all of it in each."""
    once = {row["feedback_id"]: row for row in found}.values()
    ordered = sorted(once, key=lambda row: (row["run_id"], row["created_at"], row["feedback_id"]))
    return {
        run_id: tuple(rows.feedback_from(row) for row in group)
        for run_id, group in groupby(ordered, key=lambda row: str(row["run_id"]))
    }
