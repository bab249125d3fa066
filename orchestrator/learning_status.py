"""How learning stands, as people see it: switch, learners, agents, figures.

Times are seconds since the epoch (UTC), money US dollars, shares 0..1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from database.records import PUBLIC
from orchestrator.policy import Improving, Mode


@dataclass(frozen=True, slots=True)
class LearnerStatus:
    """A learner: `signals` of the `threshold` that make it look before `next_run` (its cron).

    `problem`: what it fails on or left out, in some words; '' for nothing.
    """

    name: str
    about: str
    signals: int = 0
    threshold: int = 0
    next_run: float | None = None
    last_run: float | None = None
    running: bool = False
    problem: str = ""


@dataclass(frozen=True, slots=True)
class AgentStanding:
    """An agent's mode, and what became of its changes.

    `earned`: its record is good enough that people are offered the mode automatic. `audience`: who
    may know that there is such an agent. `health` is 0..100, None where too little is known; it is
    made of `parts`, 0..1 each (agents/improvement/health.py says how).
    """

    agent: str
    mode: Mode = "ask"
    verified: int = 0
    rolled_back: int = 0
    earned: bool = False
    audience: str = PUBLIC
    health: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpentOn:
    """What the `runs` of an agent, a workflow or a person cost; `unpriced` ones are not in `usd`.

    `audience`: who may be told of it; '' is nobody, then it is only counted.
    """

    name: str
    usd: float
    tokens: int
    runs: int
    unpriced: int = 0
    audience: str = PUBLIC


@dataclass(frozen=True, slots=True)
class Contested:
    """A request whose right answer people disagree about; who may read it."""

    request: str
    audience: str = PUBLIC


@dataclass(frozen=True, slots=True)
class LearningStatus:
    """Everything at once. `because` says why the switch is not on, `set_by` who put it there.

    `contested` are requests that the exam leaves out until more people say the one answer than all
    others.

    Learning's own budget: `tokens_today` of `tokens_allowed`, `usd_week` of `usd_allowed` (None:
    unlimited, or prices are unknown).
    """

    switch: Improving = "on"
    set_by: str = ""
    because: str = ""
    learners: tuple[LearnerStatus, ...] = ()
    agents: tuple[AgentStanding, ...] = ()
    contested: tuple[Contested, ...] = ()
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
    `unpriced` how many runs have no known price. `by_agent` is of all runs of the period, the
    dearest first; `by_workflow` and `by_person` (names are user ids) of the ISO week `week`, of the
    runs that may be learned from. `could_save_*` is what reused answers would have saved so far,
    counted as `could_save_how` says.
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
    by_agent: tuple[SpentOn, ...] = ()
    week: str = ""
    by_workflow: tuple[SpentOn, ...] = ()
    by_person: tuple[SpentOn, ...] = ()
    could_save_usd: float = 0.0
    could_save_minutes: float = 0.0
    could_save_how: str = ""

    @property
    def promoted(self) -> int:
        """Changes that went live."""
        return self.promoted_alone + self.promoted_by_people
