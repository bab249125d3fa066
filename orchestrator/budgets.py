"""What learning may spend: tokens and seconds a day with a floor, money as a share of the answers'.

What it spent is what runs of the kinds shadow, replay and review took: a restart forgives nothing.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from agents.turns import ModelEvent, ModelFinished, ToolSpec, Turn
from database.errors import BudgetExceeded
from database.records import Metrics, Run, RunKind, RunQuery, Step
from orchestrator.model_steps import step_of
from orchestrator.ports import Answered, ModelsPort
from orchestrator.resource_pool import in_background

_DAY = 86_400.0
_WEEK = 7 * _DAY
LEARNING_KINDS: tuple[RunKind, ...] = ("shadow", "replay", "review")
NOT_LEARNING = frozenset({"memory"})
"""Agents of runs that are reviews, but of a conversation and not of the assistant's work."""
_COUNTED_RUNS = 20_000

_steps: ContextVar[list[Step] | None] = ContextVar("learning_steps", default=None)


class LearningOff(BudgetExceeded):
    """Nothing may be spent: an approver has switched learning off."""


class BudgetPolicy(Protocol):
    """What approvers decided (orchestrator.policy)."""

    def count(
        self, name: Literal["learning_tokens_per_day", "learning_seconds_per_day"]
    ) -> int | None:
        """A limit; None is no limit."""

    def share(self, name: Literal["learning_share"]) -> float:
        """A share, 0..1."""


class SpentSource(Protocol):
    """The record of what runs took."""

    async def runs(self, query: RunQuery) -> list[Run]:
        """Newest first."""

    async def metrics(self, query: RunQuery) -> Metrics:
        """Sums over runs."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What learning has used, and may use; None is unlimited, or without known prices."""

    tokens_today: int = 0
    tokens_allowed: int | None = None
    seconds_today: float = 0.0
    seconds_allowed: float | None = None
    usd_week: float = 0.0
    usd_allowed: float | None = None

    @property
    def problem(self) -> str:
        """Which limit is reached, in a sentence; '' where something is left."""
        if self.tokens_allowed is not None and self.tokens_today >= self.tokens_allowed:
            return (
                f"Learning has used the {self.tokens_allowed:,} tokens that it may use a day. An "
                "approver can raise it: `policy set learning_tokens_per_day NUMBER`."
            )
        if self.seconds_allowed is not None and self.seconds_today >= self.seconds_allowed:
            return (
                f"Learning has used the {self.seconds_allowed:,.0f} seconds of a model's time that "
                "it may use a day: `policy set learning_seconds_per_day NUMBER` raises it."
            )
        if self.usd_allowed is not None and self.usd_week >= self.usd_allowed:
            return (
                f"Learning has used the ${self.usd_allowed:.2f} that it may spend in seven days. "
                "An approver can raise it: `policy set learning_share SHARE`."
            )
        return ""


class LearningBudget:
    """Counts in this process; `load` reads the record again, other processes' runs included."""

    def __init__(
        self,
        policy: BudgetPolicy,
        source: SpentSource,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._policy = policy
        self._source = source
        self._clock = clock
        self._day = 0.0
        self._tokens = 0
        self._seconds = 0.0
        self._usd = 0.0
        self._answers_tokens = 0.0
        self._answers_usd = 0.0

    async def load(self) -> None:
        """Read what was spent; for the start and the clock."""
        now = self._clock()
        self._day = now - now % _DAY
        week = RunQuery(since=now - _WEEK, kinds=LEARNING_KINDS)
        learning = await self._source.metrics(week)
        self._usd = sum(r.cost_usd for r in learning.by_agent if r.label not in NOT_LEARNING)
        today = replace(week, since=self._day, limit=_COUNTED_RUNS)
        runs = [r for r in await self._source.runs(today) if r.agent not in NOT_LEARNING]
        self._tokens = sum(_tokens(run) for run in runs)
        self._seconds = sum((run.duration_ms or 0.0) / 1000 for run in runs)
        answers = (await self._source.metrics(RunQuery(since=now - _WEEK))).total
        self._answers_usd = answers.cost_usd
        self._answers_tokens = (answers.input_tokens + answers.output_tokens) / 7

    def spend(self, tokens: int, seconds: float, usd: float | None) -> None:
        """Something was spent just now."""
        now = self._clock()
        if now - self._day >= _DAY:
            self._day, self._tokens, self._seconds = now - now % _DAY, 0, 0.0
        self._tokens += tokens
        self._seconds += seconds
        self._usd += usd or 0.0

    def spent(self, run: Run) -> None:
        """A run of learning's was recorded."""
        self.spend(_tokens(run), (run.duration_ms or 0.0) / 1000, run.cost_usd)

    def spending(self) -> Spending:
        """How much is used and how much may be."""
        share = self._policy.share("learning_share")
        tokens = self._policy.count("learning_tokens_per_day")
        seconds = self._policy.count("learning_seconds_per_day")
        return Spending(
            tokens_today=self._tokens,
            tokens_allowed=None
            if tokens is None
            else max(tokens, int(share * self._answers_tokens)),
            seconds_today=self._seconds,
            seconds_allowed=seconds,
            usd_week=self._usd,
            usd_allowed=share * self._answers_usd if self._answers_usd > 0 else None,
        )

    def may_spend(self) -> bool:
        """Whether anything is left."""
        return not self.spending().problem


@contextmanager
def metered() -> Iterator[list[Step]]:
    """The model calls that learning makes inside, as steps."""
    steps: list[Step] = []
    token = _steps.set(steps)
    try:
        yield steps
    finally:
        _steps.reset(token)


class LearningModels:
    """The models as learning may use them: after every reply, and within its budget.

    A call raises BudgetExceeded when nothing is left, and LearningOff once it was switched `off`:
    what is under way ends with its next call.
    """

    def __init__(
        self,
        models: ModelsPort,
        budget: LearningBudget,
        quiet: Callable[[], Awaitable[None]] | None = None,
        off: Callable[[], bool] = lambda: False,
    ) -> None:
        self._models = models
        self._budget = budget
        self._quiet = quiet
        self._off = off

    def resolve(self, model: str) -> str:
        """The real name behind `strong`, `fast` or a real name."""
        return self._models.resolve(model)

    async def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncGenerator[ModelEvent, None]:
        """One model call."""
        await self._begin()
        with in_background():
            events = self._models.stream(
                turns, model=model, temperature=temperature, max_tokens=max_tokens, tools=tools
            )
            async with aclosing(_closable(events)) as coming:
                async for event in coming:
                    if isinstance(event, ModelFinished):
                        self._count(event)
                    yield event

    async def structured(
        self,
        turns: Sequence[Turn],
        schema: type[Answered],
        *,
        model: str = "strong",
        temperature: float | None = 0.0,
        max_tokens: int | None = None,
    ) -> tuple[Answered, ModelFinished]:
        """An answer of the given shape."""
        await self._begin()
        with in_background():
            answer, end = await self._models.structured(
                turns, schema, model=model, temperature=temperature, max_tokens=max_tokens
            )
        self._count(end)
        return answer, end

    async def _begin(self) -> None:
        if self._quiet:
            await self._quiet()
        if self._off():
            raise LearningOff("Learning is off: `learn on` starts it.")
        problem = self._budget.spending().problem
        if problem:
            raise BudgetExceeded(problem)

    def _count(self, end: ModelFinished) -> None:
        tokens = (end.input_tokens or 0) + (end.output_tokens or 0)
        self._budget.spend(tokens, end.duration_ms / 1000, end.cost_usd)
        steps = _steps.get()
        if steps is not None:
            steps.append(replace(step_of("learning", end), position=len(steps)))


async def _closable(events: AsyncIterator[ModelEvent]) -> AsyncGenerator[ModelEvent, None]:
    try:
        async for event in events:
            yield event
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _tokens(run: Run) -> int:
    return (run.input_tokens or 0) + (run.output_tokens or 0)
