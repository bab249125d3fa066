"""What moving proposals asks of what asks models and watches answers."""

from collections.abc import Mapping
from typing import Any, Protocol

from database.learning import Proposal, Trial


class Replays(Protocol):
    """Asks both versions the exam's questions (orchestrator.trials.replay)."""

    async def run(self, trial: Trial, proposal: Proposal, limit: int) -> int:
        """Ask at most so many more; how many were asked, 0 when none are left."""

    async def questions(self, agent: str, task_type: str | None) -> int:
        """How many there are to ask."""


class Outcomes(Protocol):
    """What is known of a trial beside how it compares (orchestrator.trials.outcomes)."""

    async def figures(self, trial: Trial) -> Mapping[str, Any]:
        """How the judging model agrees with people, and how much their feedback chose."""

    async def without_one(self, trial: Trial) -> Mapping[str, Any]:
        """What is left of a trial's effect without the word of whoever told most of it."""

    async def tokens(self, trial: Trial) -> Mapping[str, Any]:
        """`tokens_ratio` of the candidate's answers to the active version's, where it is known."""


class HeldOut(Protocol):
    """The part of the exam that no learner and no trial sees (orchestrator.trials.exam)."""

    async def score(self, trial: Trial, proposal: Proposal) -> Mapping[str, Any] | None:
        """`before`, `after` (shares of right answers) and `n`; None without questions."""
