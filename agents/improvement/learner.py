"""What every learner is: `learn(window, state) -> findings, proposals, state`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from database.learning import ExamQuestion, Finding, Proposal
from database.records import Document, Feedback, Run


@dataclass(frozen=True, slots=True)
class Window:
    """What is new since the learner looked last; only what may be learned from.

    `runs` are new runs with their steps, in the order they were recorded. `feedback` is all the
    feedback on each run of `runs` and `older`, by run id; `older` are runs from before that new
    feedback speaks of. `documents` are the active versions of every kind, `exam` is the part of
    the exam that learners may see.
    """

    runs: Sequence[Run]
    now: float
    feedback: Mapping[str, Sequence[Feedback]] = field(default_factory=dict)
    older: Sequence[Run] = ()
    documents: Sequence[Document] = ()
    exam: Sequence[ExamQuestion] = ()


@dataclass(frozen=True, slots=True)
class Learned:
    """What a learner found, what it would change, and what it wants to remember (JSON-able)."""

    findings: tuple[Finding, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    state: Mapping[str, Any] = field(default_factory=dict)


class Learner(Protocol):
    """Costs grow with the window and not with history; what it remembers is bounded.

    `cron` is when it looks at the latest (UTC), `threshold` how many signals (runs and feedback)
    make it look before.
    """

    name: str
    about: str
    cron: str
    threshold: int

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        """Look at what is new. Raises nothing but VirtuousError."""
