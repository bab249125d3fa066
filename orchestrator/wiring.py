"""The assistant of one workspace, wired of its parts; which parts they are, bootstrap decides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from agents.definition import AgentDefinition
from agents.tools.base import Tool
from agents.universal_agent import UniversalAgent
from database.privacy import Redactor
from database.store import Store
from database.supabase_backend import Supabase
from orchestrator.agent_orchestrator import AgentOrchestrator
from orchestrator.agent_pool import AgentPool, register_shipped
from orchestrator.choosing import fast_chooser
from orchestrator.consent import Consent
from orchestrator.event_bus import EventBus
from orchestrator.goal_work import Team
from orchestrator.goals import GoalWorks
from orchestrator.improving import Learners, Learning, beside_an_assistant, off_switch
from orchestrator.learning_report import NextRun
from orchestrator.leases import Claims
from orchestrator.limits import Limits
from orchestrator.memory import Memory
from orchestrator.policy import Policy
from orchestrator.ports import ModelsPort
from orchestrator.resource_pool import ResourcePool
from orchestrator.routing import Embedder, Router
from orchestrator.settings import Settings
from orchestrator.spawning import Spawner
from orchestrator.task_types import TaskTypes
from orchestrator.trials.background import Background
from orchestrator.warming import WarmUp
from orchestrator.workflows import Workflows


@dataclass(frozen=True, slots=True)
class Shared:
    """What all workspaces of a process share."""

    settings: Settings
    models: ResourcePool
    embedder: Embedder
    tools: Mapping[str, Tool]
    shipped: Sequence[AgentDefinition]
    redactor: Redactor
    background: Background
    learners: Learners
    goals: GoalWorks
    supabase: Supabase | None = None
    warm: WarmUp | None = None


@dataclass(frozen=True, slots=True)
class Agents:
    """The agents of one workspace with what they need, before anybody asks or learns."""

    store: Store
    models: ModelsPort
    bus: EventBus
    router: Router
    policy: Policy
    off: Callable[[], bool]
    pool: AgentPool
    consent: Consent
    limits: Limits
    spawner: Spawner
    workflows: Workflows
    task_types: TaskTypes


async def agents_of(shared: Shared, store: Store) -> Agents:
    """Everything that answering and learning stand on, up to date with the record."""
    models, redactor, bus = shared.models.of(store.workspace), shared.redactor, EventBus()
    # Asking is cheap where there is a fast model of its own; else it doubles the wait.
    cheap = models.resolve("fast") != models.resolve("strong")
    router = Router(shared.embedder, fast_chooser(models) if cheap else None)
    policy = Policy(store.policy)
    off = off_switch(shared.settings, policy)
    pool = AgentPool(store, router, bus, lambda d: UniversalAgent(d, models, shared.tools), off=off)
    await register_shipped(store, shared.shipped)
    await pool.refresh()
    limits = Limits(policy, store.policy)
    await limits.load()
    recorded = partial(bus.emit, "run_recorded")
    return Agents(
        store, models, bus, router, policy, off, pool,
        Consent(store, policy),
        limits,
        Spawner(store, models, pool, redactor.redact),
        Workflows(store, pool, redactor, off=off, recorded=recorded),
        TaskTypes(store),
    )  # fmt: skip


def learning_of(shared: Shared, agents: Agents, claims: Claims, next_run: NextRun) -> Learning:
    """The learning loop beside these agents."""
    return beside_an_assistant(
        shared.settings, agents.store, claims, agents.policy, agents.bus, agents.pool,
        agents.consent, agents.models,
        embedder=shared.embedder, tools=shared.tools, redactor=shared.redactor,
        background=shared.background, next_run=next_run, learners=shared.learners,
    )  # fmt: skip


def orchestrator_of(shared: Shared, agents: Agents, learning: Learning) -> AgentOrchestrator:
    """What turns messages into replies; the caller starts it."""
    return AgentOrchestrator(
        store=agents.store,
        models=agents.models,
        pool=agents.pool,
        router=agents.router,
        task_types=agents.task_types,
        memory=Memory(agents.store, agents.models),
        redactor=shared.redactor,
        bus=agents.bus,
        workflows=agents.workflows,
        consent=agents.consent,
        spawn=agents.spawner,
        limits=agents.limits,
        arms=learning.arms,
        watch=learning.shadows,
        known_errors=learning.known_errors,
        before_reply=shared.warm.stop if shared.warm else lambda: None,
        brief=shared.background.gives_way,
    )


def team_of(shared: Shared, agents: Agents, learning: Learning) -> Team:
    """What the tasks of goals are done with."""
    return Team(
        store=agents.store,
        models=agents.models,
        pool=agents.pool,
        tools=shared.tools,
        spawner=agents.spawner,
        redactor=shared.redactor,
        workflows=agents.workflows,
        consent=agents.consent,
        router=agents.router,
        task_types=agents.task_types,
        bus=agents.bus,
        known_errors=learning.known_errors,
        limits=agents.limits,
        brief=shared.background.gives_way,
        off=agents.off,
    )
