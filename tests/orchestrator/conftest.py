from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agents.definition import AgentDefinition
from agents.tools.base import Tool
from agents.universal_agent import UniversalAgent
from database.privacy import Redactor
from database.store import Store
from orchestrator.agent_orchestrator import AgentOrchestrator
from orchestrator.agent_pool import AgentPool, register_shipped
from orchestrator.choosing import fast_chooser
from orchestrator.consent import Consent
from orchestrator.event_bus import EventBus
from orchestrator.memory import Memory
from orchestrator.policy import Policy
from orchestrator.requests import ReplyEvent, ReplyFinished, Request
from orchestrator.routing import Router
from orchestrator.spawning import Spawner
from orchestrator.task_types import TaskTypes
from orchestrator.workflows import Workflows
from tests.orchestrator.fakes import GENERAL, NoFiles, ScriptedModels, WordEmbedder


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store.open(tmp_path, "T1")
    yield store
    await store.close()


@dataclass
class House:
    """Everything above the store, wired as bootstrap does it, on scripted models."""

    store: Store
    models: ScriptedModels
    tools: dict[str, Tool] = field(default_factory=dict)
    max_live: int = 50
    budget_tokens: int = 2000
    summarise_above: int = 1500
    before_reply: Callable[[], None] = lambda: None
    off: bool = False
    embedder: WordEmbedder = field(default_factory=WordEmbedder)

    def __post_init__(self) -> None:
        self.bus = EventBus()
        self.redactor = Redactor()
        self.router = Router(self.embedder, fast_chooser(self.models))
        self.pool = AgentPool(
            self.store,
            self.router,
            self.bus,
            self.built,
            max_live=self.max_live,
            off=lambda: self.off,
        )
        self.consent = Consent(self.store, Policy(self.store.policy))
        recorded = partial(self.bus.emit, "run_recorded")
        self.workflows = Workflows(self.store, self.pool, self.redactor, recorded=recorded)
        self.spawner = Spawner(self.store, self.models, self.pool, self.redactor.redact)
        self.orchestrator = AgentOrchestrator(
            store=self.store,
            models=self.models,
            pool=self.pool,
            router=self.router,
            task_types=TaskTypes(self.store),
            memory=Memory(
                self.store,
                self.models,
                budget_tokens=self.budget_tokens,
                summarise_above=self.summarise_above,
            ),
            redactor=self.redactor,
            bus=self.bus,
            workflows=self.workflows,
            consent=self.consent,
            spawn=self.spawner,
            before_reply=self.before_reply,
            **self.serving(),
        )

    def serving(self) -> dict[str, Any]:
        """What the orchestrator is given of trials."""
        return {}

    def built(self, definition: AgentDefinition) -> UniversalAgent:
        return UniversalAgent(definition, self.models, self.tools)

    async def start(self, *definitions: AgentDefinition) -> "House":
        await register_shipped(self.store, [GENERAL, *definitions])
        await self.pool.refresh()
        await self.orchestrator.start()
        return self

    async def ask(self, request: Request) -> list[ReplyEvent]:
        return [event async for event in self.orchestrator.reply(request, NoFiles())]

    async def answer(self, request: Request, reply_ts: str) -> ReplyFinished:
        """Ask, and record the answer as the Slack side does."""
        finished = (await self.ask(request))[-1]
        assert isinstance(finished, ReplyFinished)
        await self.orchestrator.record(finished, reply_ts)
        assert await self.bus.drain()
        return finished
