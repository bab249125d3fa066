"""The learning loop of one workspace, wired; the command line uses it without an assistant."""

import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from agents.definition import AgentDefinition
from agents.improvement.agent_performance_analyst import AgentPerformanceAnalyst
from agents.improvement.cost_optimizer import CostOptimizer
from agents.improvement.error_recovery import ErrorRecovery
from agents.improvement.learner import Learner
from agents.improvement.prompt_optimizer import PromptOptimizer
from agents.improvement.team_review import TeamReview
from agents.improvement.workflow_analyst import WorkflowAnalyst
from agents.tools.base import Tool
from agents.universal_agent import UniversalAgent
from database.errors import StoreError
from database.learning import Proposal, Trial
from database.privacy import Redactor
from database.store import Store
from orchestrator.advancing import Advance
from orchestrator.agent_pool import AgentPool
from orchestrator.budgets import LearningBudget, LearningModels
from orchestrator.consent import Consent
from orchestrator.event_bus import EventBus
from orchestrator.improvement_orchestrator import Improvement
from orchestrator.known_errors import KnownErrors
from orchestrator.learning_cycle import Cycles, Lull, no_lull
from orchestrator.learning_report import LearningReport, NextRun
from orchestrator.leases import Claims, lease
from orchestrator.moves import Moves
from orchestrator.next_trial import NextTrials
from orchestrator.policy import Policy
from orchestrator.ports import ModelsPort
from orchestrator.routing import Embedder
from orchestrator.settings import Settings
from orchestrator.signals import Signals
from orchestrator.spreading import Spreading
from orchestrator.trial_ports import HeldOut, Outcomes, Replays
from orchestrator.trials.arms import Arms
from orchestrator.trials.background import Background
from orchestrator.trials.exam import Exam
from orchestrator.trials.judging import Judge
from orchestrator.trials.outcomes import Outcomes as WatchedOutcomes
from orchestrator.trials.replay import Replays as ExamReplays
from orchestrator.trials.shadow import Shadows
from orchestrator.trials.uses import Uses
from orchestrator.trials.variant_choice import VariantChoice

_SLOT_SECONDS = 3_000.0
"""A slot of the clock is claimed for so long: less than the shortest time between two slots."""

log = structlog.get_logger()


class NoBench:
    """Where there is no assistant: nothing is asked, nothing is served."""

    async def questions(self, agent: str, task_type: str | None) -> int:
        """None."""
        return 0

    async def run(self, trial: Trial, proposal: Proposal, limit: int) -> int:
        """Asks none."""
        return 0

    async def score(self, trial: Trial, proposal: Proposal) -> Mapping[str, Any] | None:
        """No score."""
        return None

    async def figures(self, trial: Trial) -> Mapping[str, Any]:
        """Nothing is known."""
        return {}

    async def without_one(self, trial: Trial) -> Mapping[str, Any]:
        """Nothing is known."""
        return {}

    async def tokens(self, trial: Trial) -> Mapping[str, Any]:
        """Nothing is known."""
        return {}

    async def refresh(self) -> None:
        """Nobody serves."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What asks models and serves arms, for the pipeline."""

    replays: Replays
    held_out: HeldOut
    outcomes: Outcomes
    refresh: Callable[[], Awaitable[None]]


def no_bench() -> Bench:
    """For deciding and for cycles; what would move trials is not to be called with it."""
    nobody = NoBench()
    return Bench(nobody, nobody, nobody, nobody.refresh)


@dataclass(frozen=True, slots=True)
class Loop:
    """The pipeline of one workspace."""

    improvement: Improvement
    cycles: Cycles
    signals: Signals
    budget: LearningBudget
    claims: Claims
    report: LearningReport

    async def slot(self, learner: str, clock: Callable[[], float] = time.time) -> None:
        """A learner's time by the clock has come: one process takes it."""
        minute = int(clock() // 60)
        if await self.claims.claim(f"slot:{learner}:{minute}", _SLOT_SECONDS):
            self.signals.looked(learner)
            await self.cycles.cycle(learner)


def learners(models: ModelsPort) -> Mapping[str, Learner]:
    """Every learner there is, by name."""
    every: Sequence[Learner] = (
        WorkflowAnalyst(models),
        AgentPerformanceAnalyst(models),
        CostOptimizer(models),
        ErrorRecovery(),
        PromptOptimizer(models),
        TeamReview(models),
    )
    return {learner.name: learner for learner in every}


def pipeline(
    store: Store,
    claims: Claims,
    policy: Policy,
    bus: EventBus,
    budget: LearningBudget,
    learning: Mapping[str, Learner],
    bench: Bench,
    *,
    tools: Collection[str],
    redactor: Redactor | None = None,
    named: Sequence[str] = (),
    allowed: bool = True,
    next_run: NextRun = lambda _: None,
    clock: Callable[[], float] = time.time,
    lull: Lull = no_lull,
) -> Loop:
    """The pipeline, wired. `allowed` False is VIRTUOUS6_LEARNING=off."""
    moves = Moves(store, bus, clock)

    def switch() -> str:
        return policy.improvement() if allowed else "off"

    cycles = Cycles(
        store, claims, policy, moves, budget, learning, tools=tools, switch=switch, clock=clock,
        lull=lull,
    )  # fmt: skip
    advance = Advance(
        store, claims, policy, moves, switch=switch,
        next_trials=NextTrials(store, bench.replays, clock), replays=bench.replays,
        held_out=bench.held_out, outcomes=bench.outcomes, clock=clock,
    )  # fmt: skip
    signals = Signals(store, learning, cycles.cycle, advance.advance, clock=clock)
    report = LearningReport(
        store, policy, cycles, signals, budget, allowed=allowed, next_run=next_run, clock=clock
    )
    improvement = Improvement(
        store, policy, moves, cycles, advance, report, redactor=redactor or Redactor(),
        named=named, refresh=bench.refresh, clock=clock,
    )  # fmt: skip
    return Loop(improvement, cycles, signals, budget, claims, report)


Learners = Callable[[ModelsPort], Mapping[str, Learner]]
"""Makes the learners on models that learning may use."""


@dataclass(frozen=True, slots=True)
class Learning:
    """The whole learning loop beside an assistant: `arms` and `shadows` are for its answers."""

    loop: Loop
    arms: Arms
    shadows: Shadows
    outcomes: WatchedOutcomes
    exam: Exam
    known_errors: KnownErrors
    choice: VariantChoice
    spreading: Spreading
    uses: Uses

    @property
    def improvement(self) -> Improvement:
        """What people and the clock do with it."""
        return self.loop.improvement

    async def start(self, bus: EventBus) -> None:
        """Listen, and take up what was left; where that fails each minute tries it again."""
        self._listen(bus)
        await self._take_up()

    async def _take_up(self) -> bool:
        """Whether what was left is taken up; people get their answers whatever is wrong with it."""
        report = self.loop.report
        try:
            await self.serve_what_is_decided()
            await self.known_errors.refresh()
            await self.loop.budget.load()
            await self.loop.signals.load()
        except StoreError as error:
            log.warning("learning_starts_later", reason=str(error))
            report.trouble = f"What was learned cannot be read just now: {error}"
        except Exception:
            log.exception("learning_starts_later")
            report.trouble = (
                "What was learned cannot be read; I try it again each minute. The log says more, "
                "and `virtuous6 db check` looks for the damage."
            )
        else:
            report.trouble = ""
        return not report.trouble

    def _listen(self, bus: EventBus) -> None:
        signals = self.loop.signals
        ran = (self.shadows.recorded, self.outcomes.recorded, self.known_errors.note)
        for heard in (*ran, self.uses.recorded, signals.recorded):
            bus.on("run_recorded", heard)
        bus.on("proposal_moved", self.spreading.moved)
        for told in (self.exam.feedback_given, self.outcomes.feedback_given, signals.felt):
            bus.on("feedback_given", told)

    async def serve_what_is_decided(self) -> None:
        """Take over trials, and how variants did."""
        await _refresh(self.choice, self.arms, self.uses)

    async def each_minute(self) -> None:
        """Move what can move, serve what others decided, tell of it."""
        if self.loop.report.trouble and not await self._take_up():
            return
        await self.serve_what_is_decided()
        await self.loop.improvement.advance()
        await self.loop.improvement.announce()
        await self.loop.signals.tick()

    async def watch(self) -> None:
        """Look after what is live, whatever else is being tried just now."""
        await self.loop.improvement.watch()

    async def each_few_minutes(self) -> None:
        """Read what was spent, and judge what nobody spoke of, unless learning is off."""
        await self.loop.budget.load()
        if self.arms.off:
            return
        async with lease(self.loop.claims, "improvement:settle") as mine:
            if mine:
                await self.outcomes.settle()
                await self.uses.settle()
                await self.shadows.count_lost()

    async def stop(self) -> None:
        """Break off what is under way; what was saved goes on with the next start."""
        await self.loop.signals.stop()
        await self.shadows.stop()


async def _refresh(choice: VariantChoice, arms: Arms, uses: Uses) -> None:
    await choice.refresh()
    await arms.refresh()
    await uses.refresh()


def off_switch(settings: Settings, policy: Policy) -> Callable[[], bool]:
    """Whether answers are to be those that were shipped; read from memory."""
    return lambda: not settings.virtuous6_learning or policy.improvement() == "off"


def beside_an_assistant(
    settings: Settings,
    store: Store,
    claims: Claims,
    policy: Policy,
    bus: EventBus,
    pool: AgentPool,
    consent: Consent,
    models: ModelsPort,
    *,
    embedder: Embedder,
    tools: Mapping[str, Tool],
    redactor: Redactor,
    background: Background,
    next_run: NextRun,
    learners: Learners = learners,
) -> Learning:
    """The learning loop of a workspace in which an assistant answers."""
    off = off_switch(settings, policy)
    budget = LearningBudget(policy, store)
    learning = LearningModels(models, budget, background.quiet, off)

    def unseen(definition: AgentDefinition) -> UniversalAgent:
        return UniversalAgent(definition, learning, tools)

    def paused(agent: str) -> bool:
        return policy.improvement() != "on" or policy.mode(agent) == "paused"

    choice = VariantChoice(store)
    arms = Arms(store, pool, off=off, paused=paused, choose=choice)
    judge = Judge(store, learning, floor=lambda: policy.share("judge_floor"))
    outcomes = WatchedOutcomes(store, arms, consent, judge, background)
    shadows = Shadows(
        store, arms, outcomes, build=unseen, redact=redactor.redact_run, background=background,
        may_spend=budget.may_spend,
    )  # fmt: skip
    exam = Exam(store, consent, build=unseen, background=background, off=off)
    replays = ExamReplays(store, exam, redact=redactor.redact_run)
    uses = Uses(store, consent, off=off)
    bench = Bench(replays, exam, outcomes, partial(_refresh, choice, arms, uses))
    loop = pipeline(
        store, claims, policy, bus, budget, learners(learning), bench, tools=tools,
        redactor=redactor, named=settings.approvers, allowed=settings.virtuous6_learning,
        next_run=next_run, lull=background.lull,
    )  # fmt: skip
    return Learning(loop, arms, shadows, outcomes, exam, KnownErrors(store), choice,
                    Spreading(store, loop.cycles, embedder), uses)  # fmt: skip
