"""What trials need of the rest of the house; database and bootstrap have it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from database.learning import (
    Decision,
    ExamPart,
    ExamQuestion,
    LearnerState,
    Observation,
    Proposal,
    Trial,
    TrialState,
)
from database.records import Document, DocumentKind, Feedback, Person, Run, RunQuery


class TrialRows(Protocol):
    """What the record knows of trials and documents (database.store)."""

    async def trials(self, states: Collection[TrialState] | None = None) -> list[Trial]:
        """Trials in any of these states."""

    async def proposal(self, proposal_id: str) -> Proposal | None:
        """One proposal."""

    async def documents(self, kind: DocumentKind) -> list[Document]:
        """The active version of each, by name."""

    async def document(
        self, kind: DocumentKind, name: str, version: str | None = None
    ) -> Document | None:
        """One version, or the active one."""


class Rows(TrialRows, Protocol):
    """What the record knows of runs, and where observations and questions are kept."""

    def append(self, *facts: Run | Observation | ExamQuestion) -> None:
        """Add facts; one that is known changes nothing."""

    async def run(self, run_id: str) -> Run | None:
        """One run with its steps."""

    async def runs(self, query: RunQuery, *, with_steps: bool = False) -> list[Run]:
        """Newest first."""

    async def feedback_on(self, run_id: str) -> list[Feedback]:
        """Oldest first."""

    async def person(self, user_id: str) -> Person | None:
        """What is kept of a person."""

    async def observations(self, trial_id: str) -> list[Observation]:
        """In the order they were recorded."""

    async def exam(
        self,
        part: ExamPart,
        agent: str | None = None,
        task_type: str | None = None,
        limit: int = 500,
    ) -> list[ExamQuestion]:
        """Questions of one part."""

    async def learner_state(self, name: str) -> LearnerState:
        """What a learner remembers."""

    async def decide(self, decision: Decision) -> Sequence[Document]:
        """Everything in it, or nothing."""
