"""The pipeline over real files, with small stand-ins for what learns and what asks models."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.definition import AgentDefinition
from agents.improvement.learner import Learned, Window
from database.coordination import Coordination
from database.engine import Engine
from database.errors import ModelError
from database.learning import Aspect, Change, Observation, Proposal, Trial, observation_id_of
from database.records import Run
from database.store import Store
from orchestrator.agent_pool import register_shipped
from orchestrator.budgets import LearningBudget
from orchestrator.event_bus import EventBus
from orchestrator.improving import Bench, pipeline
from orchestrator.policy import Policy
from tests.orchestrator.fakes import GENERAL, agent

ADA, GRACE = "U0ADA", "U0GRACE"
CODER = agent("coder", "write a function")
WRITER = agent("writer", "write a letter")
TOOLS = ("calculator",)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class ScriptedLearner:
    """Finds and proposes what it was told to, and remembers how many runs it saw."""

    about, cron = "A learner of the tests.", "0 */6 * * *"

    def __init__(self, name: str = "prompt-optimizer", threshold: int = 5) -> None:
        self.name = name
        self.threshold = threshold
        self.windows: list[Window] = []
        self.says = Learned()

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        self.windows.append(window)
        seen = int(state.get("seen", 0)) + len(window.runs)
        return Learned(self.says.findings, self.says.proposals, {"seen": seen})


@dataclass
class Exam:
    """Questions that are replayed: each adds what both versions made of it."""

    store: Store
    left: int = 0
    outcomes: tuple[float, float] = (0.0, 1.0)
    held_out: Mapping[str, Any] | None = None
    known: Mapping[str, Any] = field(default_factory=dict)
    asked: int = 0
    tokens_known: Mapping[str, Any] = field(default_factory=dict)
    away: ModelError | None = None
    scored: Callable[[], Awaitable[object]] | None = None

    async def questions(self, agent: str, task_type: str | None) -> int:
        return self.left

    async def run(self, trial: Trial, proposal: Proposal, limit: int) -> int:
        if self.away:
            raise self.away
        count = min(limit, self.left)
        for _ in range(count):
            self.asked += 1
            observe(self.store, trial, f"q{self.asked}", *self.outcomes)
        self.left -= count
        return count

    async def score(self, trial: Trial, proposal: Proposal) -> Mapping[str, Any] | None:
        if self.away:
            raise self.away
        if self.scored:
            await self.scored()
        return self.held_out

    async def figures(self, trial: Trial) -> Mapping[str, Any]:
        return self.known

    async def tokens(self, trial: Trial) -> Mapping[str, Any]:
        return self.tokens_known

    async def without_one(self, trial: Trial) -> Mapping[str, Any]:
        return {}


def observe(
    store: Store,
    trial: Trial,
    run_id: str,
    active: float | None,
    candidate: float | None,
    aspect: Aspect = "outcome",
) -> None:
    """What one request showed in a trial."""
    store.append(
        Observation(
            observation_id_of(trial.trial_id, run_id, aspect), trial.trial_id, run_id, aspect,
            active, candidate, served=trial.active, source="check",
        )
    )  # fmt: skip


def observe_all(
    store: Store, trial: Trial, count: int, active: float, candidate: float, first: int = 0
) -> None:
    """So many requests that went alike, with the same cost, errors and speed."""
    for number in range(first, first + count):
        run_id = f"{trial.trial_id}-{number}"
        observe(store, trial, run_id, active, candidate)
        observe(store, trial, run_id, 0.0, 0.0, "error")
        observe(store, trial, run_id, 0.001, 0.001, "cost_usd")
        observe(store, trial, run_id, 900.0, 900.0, "latency_ms")


def changed(definition: AgentDefinition, **fields: Any) -> Change:
    """A change of an agent's definition."""
    body = definition.body() | fields
    return Change("agent", definition.name, definition.version, body)


def proposal(*changes: Change, learner: str = "prompt-optimizer", **more: Any) -> Proposal:
    """As a learner makes it: whatever it says of its risk and state is not believed."""
    return Proposal("", learner, "Let it answer better", "It was often wrong.", changes, **more)


@dataclass
class Pipeline:
    """Everything of the pipeline in one process; `again` is another process on the same files."""

    home: Path
    clock: Clock = field(default_factory=Clock)
    learner: ScriptedLearner = field(default_factory=ScriptedLearner)
    named: tuple[str, ...] = (ADA,)
    allowed: bool = True

    async def open(self) -> "Pipeline":
        self.store = Store.open(self.home, "T1")
        self.engine = Engine.open(self.home, None, clock=self.clock)
        self.rows = Coordination(self.engine, "T1")
        self.bus = EventBus()
        self.policy = Policy(self.store.policy)
        self.exam = Exam(self.store)
        self.told: list[Any] = []
        self.loop = loop = pipeline(
            self.store, self.rows, self.policy, self.bus,
            LearningBudget(self.policy, self.store, clock=self.clock),
            {self.learner.name: self.learner},
            Bench(self.exam, self.exam, self.exam, _nothing),
            tools=TOOLS, named=self.named, allowed=self.allowed, clock=self.clock,
        )  # fmt: skip
        self.improvement, self.cycles, self.signals = loop.improvement, loop.cycles, loop.signals
        self.improvement.on_changed(self._hear)
        await register_shipped(self.store, [GENERAL, CODER, WRITER])
        return self

    async def close(self) -> None:
        await self.signals.stop()
        await self.bus.drain()
        await self.store.close()
        await self.engine.close()

    async def again(self) -> "Pipeline":
        """Another process on the same files, beside this one."""
        return await Pipeline(self.home, self.clock, self.learner, self.named).open()

    async def propose(self, *changes: Change, **more: Any) -> Proposal:
        """A proposal that is taken up."""
        sifted = await self.improvement.submit([proposal(*changes, **more)])
        assert sifted.taken, sifted.held
        return sifted.taken[0]

    async def now(self, proposal: Proposal) -> Proposal:
        """As it stands in the record."""
        found = await self.store.proposal(proposal.proposal_id)
        assert found is not None
        return found

    async def trial(self, proposal: Proposal) -> Trial:
        """The newest one."""
        found = await self.improvement.trial_of(proposal.proposal_id)
        assert found is not None
        return found

    async def tried(
        self, proposal: Proposal, active: float, candidate: float, n: int = 60
    ) -> Trial:
        """Begin the trial and let so many requests go alike; then look."""
        await self.improvement.advance()
        trial = await self.trial(proposal)
        observe_all(self.store, trial, 60, active, candidate)
        await self.improvement.advance()
        return await self.trial(proposal)

    async def awaiting(self, *changes: Change) -> Proposal:
        """A proposal that is proven and waits for a person."""
        made = await self.propose(*changes)
        await self.tried(made, 0.0, 1.0)
        found = await self.now(made)
        assert found.state == "awaiting", found
        return found

    async def active(self, name: str) -> str:
        """The version that answers."""
        document = await self.store.document("agent", name)
        assert document is not None
        return document.version

    def run(self, run_id: str, **more: Any) -> Run:
        """A reply that was recorded."""
        made = Run(run_id, f"request {run_id}", "coder", started_at=self.clock(), **more)
        self.store.append(made)
        return made

    async def _hear(self, what: Any) -> None:
        self.told.append(what)


async def _nothing() -> None:
    return


def states(proposals: Sequence[Proposal]) -> list[str]:
    return [p.state for p in proposals]
