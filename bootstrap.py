"""The composition root: which part runs, every part replaceable by keyword."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from agents.definition import AgentDefinition, shipped_definitions
from agents.similarity import Similarity, surface_similarity
from agents.tools.base import Tool
from agents.universal_agent import UniversalAgent
from database.coordination import Coordination
from database.engine import Engine
from database.installations import InstallationRows
from database.privacy import Redactor
from database.store import Store
from goals.ledger import Goals
from orchestrator.agent_orchestrator import AgentOrchestrator
from orchestrator.agent_pool import AgentPool
from orchestrator.event_bus import EventBus
from orchestrator.goals import AssistantGoals, GoalWorks, check_worker
from orchestrator.improving import (
    Learners,
    Learning,
    learners,
)
from orchestrator.limits import Limits
from orchestrator.own_data import OwnData
from orchestrator.policy import Policy
from orchestrator.ports import ModelsPort
from orchestrator.providers import models_of, reads_slowly, slots_of, tools_of
from orchestrator.resource_pool import ResourcePool
from orchestrator.routing import GENERALIST, Embedder, Router
from orchestrator.scheduler import Scheduler
from orchestrator.settings import Settings
from orchestrator.spawning import Spawner
from orchestrator.supabase import connected
from orchestrator.trials.background import Background
from orchestrator.warming import WarmUp
from orchestrator.wiring import Shared, agents_of, learning_of, orchestrator_of, team_of
from orchestrator.workflows import Workflows
from slack_interface.desk import Backroom
from slack_interface.http_server import Listen
from slack_interface.slack_bot import Mode, SlackBot, check_token

log = structlog.get_logger()

KEPT_DAYS = 90
"""How long texts are kept; numbers stay."""
GOALS_GRACE_S = 3.0
"""So long what tasks of goals are at may still end when the process is told to."""


@dataclass(frozen=True, slots=True)
class Assistant:
    """The wired parts of the assistant in one workspace; `slack` is the whole process's."""

    settings: Settings
    store: Store
    coordination: Coordination
    models: ModelsPort
    bus: EventBus
    router: Router
    pool: AgentPool
    spawner: Spawner
    workflows: Workflows
    policy: Policy
    limits: Limits
    orchestrator: AgentOrchestrator
    learning: Learning
    goals: AssistantGoals
    slack: SlackBot

    @property
    def backroom(self) -> Backroom:
        """What the desk needs of it."""
        return Backroom(
            orchestrator=self.orchestrator,
            workflows=self.workflows,
            store=self.store,
            rows=self.coordination,
            policy=self.policy,
            own_data=_own_data(self.store, self.coordination, self.goals.rows),
            likeness=surface_similarity,
            approvers=self.settings.approvers,
            improvement=self.learning.improvement,
            improvements_channel=self.settings.virtuous6_improvements_channel or "",
            goals=self.goals,
        )


class House:
    """A process: what its workspaces share, and the assistant of each one that is open."""

    def __init__(
        self,
        shared: Shared,
        engine: Engine,
        store: Store | None = None,
        coordination: Coordination | None = None,
        *,
        answers: bool = True,
    ) -> None:
        """`answers` is False for a worker, which speaks to nobody and leaves learning to others."""
        self.shared = shared
        self._answers = answers
        self.assistants: dict[str, Assistant] = {}
        self.slack = SlackBot(
            settings=shared.settings,
            furnish=self.furnished,
            ledger=InstallationRows(engine),
            erase=self.erase,
            figures=self.figures,
        )
        self.rooms = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._clock: Scheduler | None = None
        self._engine = engine
        self._store = store
        self._coordination = coordination

    @asynccontextmanager
    async def furnished(self, workspace: str) -> AsyncIterator[Backroom]:
        """The assistant of a workspace, for as long as its desk is open."""
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(self._record(workspace))
            coordination = self._coordination or Coordination(self._engine, workspace)
            goals = self.shared.goals
            under_way = _own_data(store, coordination, goals.ledger.of(workspace))
            await store.follow_forgetting(under_way.forget_under_way)
            made = await _assistant(self.shared, store, coordination, self)
            stack.push_async_callback(goals.leave, workspace)
            stack.push_async_callback(made.bus.drain)
            if self._answers:
                await made.learning.start(made.bus)
                stack.push_async_callback(made.learning.stop)
            self.assistants[workspace] = made
            stack.callback(self.assistants.pop, workspace)
            log.info("assistant_started", workspace=workspace, agents=len(made.pool.definitions))
            yield made.backroom

    async def open_room(self, workspace: str) -> None:
        """Have a workspace's assistant although it has no desk here; until the process ends."""
        async with self._opening:
            if workspace not in self.assistants:
                await self.rooms.enter_async_context(self.furnished(workspace))

    def scheduler(self) -> Scheduler:
        """What happens by itself in every open workspace."""
        scheduler = Scheduler()
        self._clock = self._clock or scheduler
        scheduler.every("drop idle agents", "17 * * * *", self._each(_sweep))
        learn = self._each(lambda one: one.orchestrator.learn_what_worked())
        scheduler.every("learn what worked", "* * * * *", learn)
        if not self._answers:
            return scheduler
        scheduler.every("delete old texts", "43 3 * * *", self._each(_retention), at_start=True)
        scheduler.every("read what was spent", "*/5 * * * *", self._each(watch_spending))
        scheduler.every("warn of the record", "7 * * * *", self._each(warn_of_the_record))
        scheduler.every("look after workspaces", "*/5 * * * *", self.slack.look_after)
        self._schedule_learning(scheduler)
        return scheduler

    def next_run(self, learner: str) -> float | None:
        """When the clock starts a learner next."""
        time = self._clock.next_times().get(_job(learner)) if self._clock else None
        return time.timestamp() if time else None

    def _schedule_learning(self, scheduler: Scheduler) -> None:
        every = scheduler.every
        every("improve", "* * * * *", self._each(lambda one: one.learning.each_minute()))
        every("watch what is live", "* * * * *", self._each(lambda one: one.learning.watch()))
        every("judge and count", "*/5 * * * *",
              self._each(lambda one: one.learning.each_few_minutes()))  # fmt: skip
        every("show what was learned", "* * * * *", self._show_what_was_learned)
        for name, learner in self.shared.learners(self.shared.models.of("")).items():
            slot = partial(_slot, name)
            every(_job(name), learner.cron, self._each(slot))

    async def _show_what_was_learned(self) -> None:
        for desk in self.slack.desks:
            await desk.look_after_learning()

    async def figures(self) -> Mapping[str, float | None]:
        """With Supabase: seconds since what was decided there was last known to be what is here.

        Of the workspace that is furthest behind; None where one has never known. And how many
        changes wait to be sent.
        """
        found = [await one.store.health() for one in list(self.assistants.values())]
        found = [health for health in found if health.supabase]
        if not found:
            return {}
        copied = [health.copied_at for health in found]
        oldest = None if None in copied else min(filter(None, copied))
        return {
            "copy_age_s": None if oldest is None else round(time.time() - oldest, 1),
            "waiting_for_supabase": sum(health.waiting for health in found),
        }

    async def erase(self, workspace: str) -> Mapping[str, int]:
        """Delete all that is kept of a workspace whose desk is closed; rows by table."""
        async with self._record(workspace) as store:
            rows = await store.erase()
        goals = await self.shared.goals.ledger.of(workspace).erase()
        under_way = await Coordination(self._engine, workspace).erase()
        return {**rows, "under_way": under_way, "goals": goals}

    @asynccontextmanager
    async def _record(self, workspace: str) -> AsyncIterator[Store]:
        if self._store:
            yield self._store
            return
        settings = self.shared.settings
        most = settings.virtuous6_outbox_max_rows
        store = Store.open(settings.home, workspace, self.shared.supabase, outbox_max_rows=most)
        try:
            await store.start()
            yield store
        finally:
            await store.close()

    def _each(self, work: Callable[[Assistant], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """The work done for one workspace after the other; one that fails stops no other."""

        async def all_of_them() -> None:
            for workspace, one in list(self.assistants.items()):
                try:
                    await work(one)
                except Exception:
                    log.exception("job_failed", workspace=workspace)

        return all_of_them


@asynccontextmanager
async def house(
    settings: Settings,
    *,
    store: Store | None = None,
    coordination: Coordination | None = None,
    mode: Mode = "socket",
    listen: Listen | None = None,
    **parts: Any,
) -> AsyncIterator[House]:
    """The process, connected and answering for as long as the block runs.

    `parts` as for `_shared`. Every part given is used as it is and left open; the others are made
    here and closed in the end. `listen` is where HTTP is served: Slack's requests in HTTP mode,
    health in both. Raises ConfigurationError that says what to set.
    """
    async with AsyncExitStack() as stack:
        # A missing or wrong token is said at once, not after the embedded model has been loaded.
        await check_token(settings, mode)
        engine = coordination.engine if coordination else _engine(settings)
        if coordination is None:
            stack.push_async_callback(engine.close)
        shared = await _shared(settings, stack, **parts)
        running = House(shared, engine, store, coordination)
        stack.push_async_callback(running.slack.stop)
        await running.slack.start(mode, listen)
        stack.push_async_callback(shared.goals.stop, GOALS_GRACE_S)
        await shared.goals.start()
        if shared.warm:
            shared.warm.start()
        scheduler = running.scheduler()
        scheduler.start()
        stack.callback(scheduler.stop)
        yield running


@asynccontextmanager
async def workshop(
    settings: Settings,
    *,
    name: str = "worker",
    always: bool = True,
    grace: float = GOALS_GRACE_S,
    store: Store | None = None,
    **parts: Any,
) -> AsyncIterator[House]:
    """A process that runs tasks of goals and speaks to nobody, for as long as the block runs.

    Workspaces are opened as their tasks come. With `always` it looks for tasks at once; else when
    one is queued here. Stopping waits `grace` seconds for what runs. Raises ConfigurationError.
    """
    check_worker(settings)
    async with AsyncExitStack() as stack:
        engine = _engine(settings)
        stack.push_async_callback(engine.close)
        shared = await _shared(settings, stack, name=name, **parts)
        running = House(shared, engine, store, answers=False)
        stack.push_async_callback(running.rooms.aclose)
        shared.goals.open_workspace = running.open_room
        stack.push_async_callback(shared.goals.stop, grace)
        await shared.goals.start(always=always)
        scheduler = running.scheduler()
        scheduler.start()
        stack.callback(scheduler.stop)
        yield running


async def _shared(
    settings: Settings,
    stack: AsyncExitStack,
    *,
    models: ModelsPort | None = None,
    embedder: Embedder | None = None,
    tools: Mapping[str, Tool] | None = None,
    shipped: Sequence[AgentDefinition] | None = None,
    learners: Learners = learners,
    weights: str | None = None,
    name: str = "assistant",
) -> Shared:
    """What a process shares; `weights` names the embedded model's, `name` begins the worker's."""
    models = models or await models_of(settings, weights, stack)
    slow = reads_slowly(models)
    # Where nobody is answered the work of goals may have every call that the provider takes.
    pool = ResourcePool(models, slots_of(models), background=0.5 if name == "assistant" else 1.0)
    goals = GoalWorks(settings, pool, name=name)
    stack.push_async_callback(goals.close)
    shared = Shared(
        settings,
        pool,
        embedder or Similarity.load(),
        await tools_of(settings) if tools is None else tools,
        shipped_definitions() if shipped is None else shipped,
        Redactor(),
        Background(gives_way=slow),
        learners,
        goals,
        await stack.enter_async_context(connected(settings)),
    )
    return replace(shared, warm=_warm_up(shared, stack)) if slow else shared


@asynccontextmanager
async def assistant(settings: Settings, **parts: Any) -> AsyncIterator[Assistant]:
    """The assistant in the one workspace of SLACK_BOT_TOKEN; `parts` as for `house`."""
    async with house(settings, **parts) as running:
        [only] = running.assistants.values()
        yield only


async def _assistant(
    shared: Shared, store: Store, coordination: Coordination, house: House
) -> Assistant:
    """Everything of one workspace above its store, wired: agents, learning, answers, goals."""
    agents = await agents_of(shared, store)
    learning = learning_of(shared, agents, coordination, house.next_run)
    orchestrator = orchestrator_of(shared, agents, learning)
    await orchestrator.start()
    team = team_of(shared, agents, learning)
    goals = await shared.goals.join(team, agents.policy, orchestrator, shared.embedder)
    return Assistant(
        shared.settings, store, coordination, agents.models, agents.bus, agents.router,
        agents.pool, agents.spawner, agents.workflows, agents.policy, agents.limits,
        orchestrator, learning, goals, house.slack,
    )  # fmt: skip


def _warm_up(shared: Shared, stack: AsyncExitStack) -> WarmUp:
    """For the generalist, who has the longest prompts and most often the first word."""
    generalist = next(d for d in shared.shipped if d.name == GENERALIST)
    warm = WarmUp(UniversalAgent(generalist, shared.models.of(""), shared.tools))
    stack.callback(warm.stop)
    return warm


def _own_data(store: Store, coordination: Coordination, goals: Goals) -> OwnData:
    return OwnData(store, coordination, InstallationRows(coordination.engine), KEPT_DAYS, goals)


def _engine(settings: Settings) -> Engine:
    key = settings.virtuous6_secret_key
    return Engine.open(settings.home, key.get_secret_value() if key else None)


def _job(learner: str) -> str:
    return f"learner {learner}"


async def _slot(learner: str, one: Assistant) -> None:
    await one.learning.loop.slot(learner)


async def _sweep(one: Assistant) -> None:
    one.pool.sweep()


async def warn_of_the_record(one: Assistant) -> None:
    """Approvers hear, once a day, what somebody has to do so that nothing is lost."""
    warnings = (await one.store.health()).warnings
    for desk in one.slack.desks if warnings else ():
        if desk.identity.team_id == one.store.workspace:
            await desk.warn_approvers("record", "\n".join(warnings))


async def watch_spending(one: Assistant) -> None:
    """Read what was spent; approvers hear at 80% of a day's limit, and are asked at all of it."""
    await one.limits.load()
    alerts = one.limits.alerts()
    for desk in one.slack.desks if alerts else ():
        if desk.identity.team_id == one.store.workspace:
            for alert in alerts:
                await desk.warn_approvers(alert.about, alert.text)


async def _retention(one: Assistant) -> None:
    before = time.time() - KEPT_DAYS * 86_400.0
    deleted = {**await one.store.purge(before), "goals": await one.goals.rows.retention(before)}
    if any(deleted.values()):
        log.info("old_texts_deleted", workspace=one.store.workspace, **deleted)
