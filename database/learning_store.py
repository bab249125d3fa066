"""What learning keeps, as a part of the Store: everything is read and decided here."""

from collections.abc import Collection, Mapping, Sequence

from database.backend import Backend
from database.learning import (
    Aspect,
    AuditEntry,
    AuditReport,
    Decision,
    ExamPart,
    ExamQuestion,
    Finding,
    FindingState,
    ImprovementCounts,
    LearnerState,
    Observation,
    Proposal,
    ProposalOrder,
    ProposalState,
    Trial,
    TrialState,
    WindowRows,
)
from database.learning_rows import FINDINGS, PROPOSALS, TRIALS, refuse_twice
from database.records import Document, RunKind

WORK: tuple[RunKind, ...] = ("reply", "task")
"""What learners look at; the rest is their own."""


_ORDERS: Mapping[ProposalOrder, str] = {
    "newest": "created_at DESC",
    "moved_last": "moved_at DESC",
    "waits_longest": "moved_at",
}


class LearningStore:
    """The methods of the Store for learning. Each raises StoreError.

    A row that is damaged is left out of what is read, with a line in the log, and stays as it is.

    What was decided is read from the local record, which knows decisions made elsewhere within ten
    seconds; facts and figures are read where the record is.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._learned = backend.local.learned

    # Decisions

    async def decide(self, decision: Decision) -> list[Document]:
        """Make everything of a decision true at once, or nothing; the documents it made active.

        A change without a base creates a document, one without a body retires it: no version is
        active any more, history stays, and creating it again makes the next version. A document
        that is there keeps its audience.

        Raises StaleRevision when somebody moved a record first, StaleBase when a change's base is
        not the active version (any more), UnknownName when there never was such a document,
        NotAllowed for a change that rests on what not everybody who uses the document may read,
        and RecordAway while Supabase is away.
        """
        refuse_twice(decision)
        return await self._backend.learning.decide(decision)

    async def decide_here(self, decision: Decision) -> list[Document]:
        """The same, but while Supabase is away it counts here at once and is recorded later.

        For rollbacks and the off switch only: what others decide meanwhile goes first then.
        """
        refuse_twice(decision)
        return await self._backend.learning.decide_here(decision)

    async def note(self, *entries: AuditEntry) -> None:
        """Add to the audit log alone; while Supabase is away it arrives there later."""
        await self._backend.learning.decide_here(Decision(audit=entries))

    def learning_changes(self) -> int:
        """A number that grows with each decision, of whichever process (about 5 microseconds)."""
        return self._learned.changes()

    async def proposals(
        self,
        states: Collection[ProposalState] | None = None,
        limit: int = 200,
        order: ProposalOrder = "newest",
        moved_since: float = 0.0,
    ) -> list[Proposal]:
        """Those in any of some states, or all; of what moved since then, in an order."""
        where, values = _in_states(states)
        where = f"{where} AND moved_at >= ? ORDER BY {_ORDERS[order]}, proposal_id LIMIT ?"
        return self._learned.read(PROPOSALS, where, (*values, moved_since, limit))

    async def proposal(self, proposal_id: str) -> Proposal | None:
        """One proposal."""
        found = self._learned.read(PROPOSALS, "AND proposal_id = ?", (proposal_id,))
        return found[0] if found else None

    async def proposal_revision(self, proposal_id: str) -> int:
        """How often a proposal has moved, 0: there is none. Also of one that is damaged, which is
        not read and which nothing is written over."""
        return self._learned.revision(PROPOSALS, proposal_id)

    async def trials(
        self, states: Collection[TrialState] | None = None, limit: int = 200
    ) -> list[Trial]:
        """Newest first; those in any of some states, or all."""
        where, values = _in_states(states)
        order = "ORDER BY started_at DESC, trial_id LIMIT ?"
        return self._learned.read(TRIALS, f"{where} {order}", (*values, limit))

    async def trial(self, trial_id: str) -> Trial | None:
        """One trial."""
        found = self._learned.read(TRIALS, "AND trial_id = ?", (trial_id,))
        return found[0] if found else None

    async def trials_of(self, proposal_id: str) -> list[Trial]:
        """The trials of a proposal, oldest first."""
        order = "ORDER BY started_at, trial_id"
        return self._learned.read(TRIALS, f"AND proposal_id = ? {order}", (proposal_id,))

    async def findings(
        self, since: float | None = None, state: FindingState | None = None, limit: int = 200
    ) -> list[Finding]:
        """Newest first; since a moment, in a state, or all."""
        where, values = _in_states(None if state is None else {state})
        order = "AND created_at >= ? ORDER BY created_at DESC, finding_id LIMIT ?"
        return self._learned.read(FINDINGS, f"{where} {order}", (*values, since or 0.0, limit))

    async def finding(self, finding_id: str) -> Finding | None:
        """One finding."""
        found = self._learned.read(FINDINGS, "AND finding_id = ?", (finding_id,))
        return found[0] if found else None

    async def learner_state(self, name: str) -> LearnerState:
        """What a learner remembers; revision 0 and empty while it has never looked.

        One whose state is damaged is empty too, and begins anew.
        """
        return self._learned.learner_state(name)

    # Facts

    async def observations(self, trial_id: str, aspect: Aspect | None = None) -> list[Observation]:
        """What a trial has seen, of every machine, in the order in which it was recorded."""
        return await self._backend.learning.observations(trial_id, aspect)

    async def exam(
        self,
        part: ExamPart,
        agent: str | None = None,
        task_type: str | None = None,
        limit: int = 500,
    ) -> list[ExamQuestion]:
        """The newest questions of a part, without those of people or channels that declined."""
        return await self._backend.learning.exam(part, agent, task_type, limit)

    async def window(
        self,
        runs_seen: int,
        feedback_seen: int,
        limit: int = 5000,
        kinds: Sequence[RunKind] = WORK,
    ) -> WindowRows:
        """What is new since two watermarks, of those who may be learned from.

        At most `limit` new runs and `limit` new pieces of feedback are looked at, so that time and
        memory do not grow with the record; `more` says that there is more already. With Supabase
        the watermarks count there. Raises RecordAway while it is away.
        """
        return await self._backend.learning.window(runs_seen, feedback_seen, kinds, limit)

    async def improvement_counts(self, since: float, until: float) -> list[ImprovementCounts]:
        """What learning did and took, by UTC day and agent, of the days that lie between."""
        return await self._backend.learning.counts(since, until)

    # The audit log

    async def audit(self, since: int = 0, limit: int = 1000) -> list[AuditEntry]:
        """The entries behind place `since`, oldest first; who was forgotten is not named."""
        return await self._backend.learning.audit(since, limit)

    async def audit_verify(self) -> AuditReport:
        """Whether anything was changed in, added to or taken from the audit log."""
        return await self._backend.learning.audit_verify()


def _in_states(states: Collection[str] | None) -> tuple[str, tuple[str, ...]]:
    if states is None:
        return "", ()
    return f"AND state IN ({', '.join('?' for _ in states)})", tuple(sorted(states))
