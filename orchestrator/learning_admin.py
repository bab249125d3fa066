"""What the command line does about learning, beside a running assistant or without one."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import asdict
from typing import Any

from agents.definition import shipped_definitions
from agents.tools import TOOL_NAMES
from agents.turns import ModelEvent, ModelFinished, ToolSpec, Turn
from database.coordination import Coordination
from database.engine import Engine
from database.learning import Change, Proposal
from database.store import Store
from orchestrator.administration import opened
from orchestrator.agent_pool import register_shipped
from orchestrator.budgets import LearningBudget, LearningModels
from orchestrator.event_bus import EventBus
from orchestrator.improving import Loop, learners, no_bench, off_switch, pipeline
from orchestrator.learning_cycle import CycleReport, Progress
from orchestrator.policy import Policy
from orchestrator.ports import Answered, ModelsPort
from orchestrator.settings import Settings


class LateModels:
    """The configured models, started with the first call: most of learning needs none."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._models: ModelsPort | None = None

    def resolve(self, model: str) -> str:
        """The name that is set for it; the embedded model is both."""
        if self._models is not None:
            return self._models.resolve(model)
        if self._settings.embedded:
            return "embedded"
        set_to = {"strong": self._settings.strong_model, "fast": self._settings.fast_model}
        return set_to.get(model, model)

    async def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncGenerator[ModelEvent, None]:
        """One model call. Raises ConfigurationError where there is no model."""
        models = await self._started()
        events = models.stream(
            turns, model=model, temperature=temperature, max_tokens=max_tokens, tools=tools
        )
        assert isinstance(events, AsyncGenerator)
        async with aclosing(events) as coming:
            async for event in coming:
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
        """An answer of the given shape. Raises ConfigurationError where there is no model."""
        models = await self._started()
        return await models.structured(
            turns, schema, model=model, temperature=temperature, max_tokens=max_tokens
        )

    async def _started(self) -> ModelsPort:
        if self._models is None:
            # langchain and openai take a second to load, and most commands ask no model
            from orchestrator.providers import models_of  # noqa: PLC0415

            self._models = await models_of(self._settings, None, self._stack)
        return self._models


@asynccontextmanager
async def loop_of(settings: Settings, workspace: str | None) -> AsyncIterator[tuple[Loop, Store]]:
    """The learning loop of a workspace, for deciding and for cycles, and its store.

    Trials are moved by the assistant alone. Raises ConfigurationError.
    """
    async with opened(settings, workspace) as store, AsyncExitStack() as stack:
        key = settings.virtuous6_secret_key
        engine = Engine.open(settings.home, key.get_secret_value() if key else None)
        stack.push_async_callback(engine.close)
        policy, bus = Policy(store.policy), EventBus()
        budget = LearningBudget(policy, store)
        await budget.load()
        models = LearningModels(
            LateModels(settings, stack), budget, off=off_switch(settings, policy)
        )
        yield (
            pipeline(
                store, Coordination(engine, store.workspace), policy, bus, budget,
                learners(models), no_bench(), tools=TOOL_NAMES, named=settings.approvers,
                allowed=settings.virtuous6_learning,
            ),
            store,
        )  # fmt: skip
        await bus.drain()


async def learn(
    settings: Settings, workspace: str | None, learner: str | None, progress: Progress
) -> list[CycleReport]:
    """One cycle of a learner now, or of each. Raises UnknownName."""
    async with loop_of(settings, workspace) as (loop, store):
        await register_shipped(store, shipped_definitions())
        names = [learner] if learner else sorted(loop.cycles.learners)
        return [await loop.cycles.cycle(name, progress) for name in names]


async def changes_json(store: Store, proposal: Proposal) -> list[dict[str, Any]]:
    """Each change with the body that it was made from."""
    return [
        {**asdict(change), "version": change.version, "before": await _before(store, change)}
        for change in proposal.changes
    ]


async def _before(store: Store, change: Change) -> Mapping[str, Any] | None:
    if change.base is None:
        return None
    document = await store.document(change.kind, change.name, change.base)
    return document.body if document else None


def proposal_json(proposal: Proposal) -> dict[str, Any]:
    """A proposal with the versions that its changes make."""
    versions = [
        {"kind": c.kind, "name": c.name, "base": c.base, "version": c.version}
        for c in proposal.changes
    ]
    return asdict(proposal) | {"versions": versions}


def cycle_json(report: CycleReport) -> dict[str, Any]:
    """What a cycle saw and made."""
    return asdict(report) | {"proposals": [proposal_json(p) for p in report.proposals]}
