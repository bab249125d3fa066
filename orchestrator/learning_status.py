"""How learning stands, as people see it: switch, learners, agents, figures.

Times are seconds since the epoch (UTC), money US dollars, shares 0..1.
"""

from dataclasses import dataclass

from database.records import PUBLIC
from orchestrator.policy import Improving, Mode


@dataclass(frozen=True, slots=True)
class LearnerStatus:
    """A learner: `signals` of the `threshold` that make it look before `next_run` (its cron)."""

    name: str
    about: str
    signals: int = 0
    threshold: int = 0
    next_run: float | None = None
    last_run: float | None = None
    running: bool = False


@dataclass(frozen=True, slots=True)
class AgentStanding:
    """An agent's mode, and what became of its changes.

    `earned`: its record is good enough that people are offered the mode automatic. `audience`: who
    may know that there is such an agent.
    """

    agent: str
    mode: Mode = "ask"
    verified: int = 0
    rolled_back: int = 0
    earned: bool = False
    audience: str = PUBLIC


@dataclass(frozen=True, slots=True)
class LearningStatus:
    """Everything at once. `because` says why the switch is not on, `set_by` who put it there.

    Learning's own budget: `tokens_today` of `tokens_allowed`, `usd_week` of `usd_allowed` (None:
    unlimited, or prices are unknown).
    """

    switch: Improving = "on"
    set_by: str = ""
    because: str = ""
    learners: tuple[LearnerStatus, ...] = ()
    agents: tuple[AgentStanding, ...] = ()
    tokens_today: int = 0
    tokens_allowed: int | None = None
    usd_week: float | None = None
    usd_allowed: float | None = None


@dataclass(frozen=True, slots=True)
class LearningFigures:
    """What learning did in a period, and what it cost.

    `minutes_saved` and `usd_saved` are estimates; `minutes_how` and `usd_how` say how they were
    made, in a sentence each. None: nothing can be said yet. `cost_usd` is what all runs cost,
    learning included; `learning_usd` and `learning_tokens` what shadows, replays and reviews took;
    `unpriced` how many runs have no known price.
    """

    patterns: int = 0
    proposals: int = 0
    promoted_alone: int = 0
    promoted_by_people: int = 0
    rejected: int = 0
    verified: int = 0
    rolled_back: int = 0
    prevented_errors: int = 0
    minutes_saved: float | None = None
    minutes_how: str = ""
    usd_saved: float | None = None
    usd_how: str = ""
    answers: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    learning_usd: float = 0.0
    learning_tokens: int = 0

    @property
    def promoted(self) -> int:
        """Changes that went live."""
        return self.promoted_alone + self.promoted_by_people
