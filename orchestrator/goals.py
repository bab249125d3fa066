"""The goals of a process, wired: their ledger, who runs attempts, and each workspace's manager."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from database.errors import ConfigurationError, StoreError, VirtuousError
from database.goals import Goal
from database.records import Reader
from database.store import Store
from goals.decomposition import Decomposition
from goals.execution import Execution
from goals.goal_manager import GoalManager
from goals.handing_over import HandingOver
from goals.ledger import Ledger
from goals.ports import Wish
from goals.rates import Rates
from orchestrator.agent_orchestrator import AgentOrchestrator
from orchestrator.answering import place_reader, thread_reader
from orchestrator.goal_planning import GoalPlanner, GoalRoster, GoalRules
from orchestrator.goal_replies import answer_run_id, figures_of, replies_at_the_end
from orchestrator.goal_requests import goal_text, wants_goal
from orchestrator.goal_work import GoalWork, Team
from orchestrator.limits import Limits
from orchestrator.policy import Policy
from orchestrator.provider_rate import ProviderRate
from orchestrator.requests import Request
from orchestrator.resource_pool import ResourcePool, replying_to
from orchestrator.routing import Embedder
from orchestrator.settings import Settings

SLOTS = 16
"""Tasks that a process is at, at once; models answer as many at once as the resource pool lets."""
EMBEDDED_SLOTS = 2
EMBEDDED_CHARACTERS = 8_000
"""Of results that a task on the embedded model is given: about 2,000 of its 8,192 tokens."""

_SHARE_SECONDS = 2.0
_AGAIN_SECONDS = 10.0
"""An engine database that was away at the start is asked again so soon."""

log = structlog.get_logger()

_RIGHTS_WITHIN_S = 10.0
"""Who is not told by then what somebody may read takes it that they read nothing private."""
_RIGHTS_EACH_S = 60.0

OpenWorkspace = Callable[[str], Awaitable[None]]

AskReader = Callable[[str, str], Awaitable[Reader]]
"""(person, channel): what they may read now, there."""


class AssistantGoals(GoalManager):
    """The goals of one workspace, as an assistant has them: who asks waits for the plan."""

    limits: Limits | None = None
    alone: Callable[[], bool] = staticmethod(lambda: False)
    """Whether no other process works on goals."""

    async def begin(self, request: Wish) -> Goal:
        """Plan a request, as `GoalManager.begin`: before background work, without "plan:".

        It counts as a request of its person. Raises LimitReached, too.
        """
        if not isinstance(request, Request):
            return await super().begin(request)
        if self.limits:
            self.limits.admit(request)
        try:
            with replying_to(request.user_id):
                return await super().begin(replace(request, text=goal_text(request.text)))
        finally:
            if self.limits:
                self.limits.done(request)

    async def change(
        self, goal_id: str, words: str, person: str, *, approver: bool = False, act: str = ""
    ) -> Goal:
        """Change a plan, as `GoalManager.change`, before background work."""
        with replying_to(person):
            return await super().change(goal_id, words, person, approver=approver, act=act)

    def ask_readers_of(self, ask: AskReader) -> None:
        """Have it asked what whoever wants a goal may read by now, also for workers elsewhere.

        It is asked before each attempt and each act here and, where workers are elsewhere, each
        minute of all that runs.
        """

        async def rights(goal: Goal) -> Reader:
            if not goal.channel_id:  # of the command line, which reads nothing private
                return goal.reader
            try:
                async with asyncio.timeout(_RIGHTS_WITHIN_S):
                    reader = await ask(goal.user_id, goal.channel_id)
            except TimeoutError:
                log.warning("rights_unknown", goal=goal.goal_id)
                reader = Reader(goal.user_id, public=not goal.lost_public)
            return place_reader(reader, goal.user_id, goal.channel_id, goal.audience)

        self.ask_for_rights(rights)

    async def watch(self) -> None:
        """Tell what others move, as `GoalManager.watch`, and keep rights as they are now."""
        async with asyncio.TaskGroup() as both:
            both.create_task(super().watch())
            both.create_task(self._watch_rights())

    async def _watch_rights(self) -> None:
        while True:
            await asyncio.sleep(_RIGHTS_EACH_S)
            try:
                if not self.alone():
                    await self.look_at_rights()
            except Exception as error:  # noqa: BLE001 (the outermost boundary: it must look on)
                log.warning("rights_not_looked_at", reason=str(error))


class GoalChronicle:
    """What an ended goal leaves in the record (goals.ports.Chronicle)."""

    def __init__(self, store: Store, record: AgentOrchestrator) -> None:
        self._store = store
        self._record = record

    async def ended(self, goal: Goal) -> None:
        """A goal has ended; the same one again changes nothing."""
        figures = figures_of(goal)
        log.info("goal_ended", goal=goal.goal_id, state=goal.state, took=figures["took"])
        replies = replies_at_the_end(goal)
        if replies and await self._store.run(answer_run_id(goal)) is None:
            for reply in replies:
                await self._record.record(reply, None)


class GoalWorks:
    """The goals' database and engine of a process; workspaces join it while they are open."""

    def __init__(
        self, settings: Settings, models: ResourcePool, *, name: str = "assistant"
    ) -> None:
        key = settings.virtuous6_secret_key
        self.ledger = Ledger.open(
            settings.home, settings.engine_url, key.get_secret_value() if key else None
        )
        if settings.virtuous6_model_calls_per_minute and not settings.embedded:
            provider = settings.openai_base_url or "OpenAI"
            per_minute = settings.virtuous6_model_calls_per_minute
            models.rate = ProviderRate(Rates(self.ledger), provider, per_minute)
        self.open_workspace: OpenWorkspace | None = None
        self._settings = settings
        self._models = models
        self._managers: dict[str, AssistantGoals] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._starting: asyncio.Task[None] | None = None
        self._sharing: asyncio.Task[None] | None = None
        self._execution = Execution(
            self.ledger,
            settings.home,
            settings.engine_url,
            work=self._work,
            give_up=self._give_up,
            ready=self._ready,
            slots=EMBEDDED_SLOTS if settings.embedded else SLOTS,
            name=name,
        )

    @property
    def live_workers(self) -> int:
        """How many processes run tasks, this one included."""
        return self._execution.live_workers

    @property
    def running(self) -> int:
        """Tasks that this process is at."""
        return self._execution.running

    @property
    def launched(self) -> bool:
        """Whether this process looks for tasks."""
        return self._execution.launched

    async def join(
        self,
        team: Team,
        policy: Policy,
        record: AgentOrchestrator,
        embedder: Embedder,
    ) -> AssistantGoals:
        """Have the goals of a workspace, from now on."""
        workspace = team.store.workspace
        rows = self.ledger.of(workspace)
        roster = GoalRoster(team.store, team.pool, team.workflows, embedder, team.tools)
        small = self._settings.embedded
        if small:
            team = replace(team, results_characters=EMBEDDED_CHARACTERS)
        work = GoalWork(team, rows)
        manager = AssistantGoals(
            rows,
            self._execution.of(workspace),
            HandingOver(work, work.handed_over) if small else work,
            Decomposition(GoalPlanner(team.models), roster, team.clock, small=small),
            GoalRules(policy, roster, self._settings.approvers),
            GoalChronicle(team.store, record),
            wants=wants_goal,
            read_by=_reader,
            clock=team.clock,
        )
        manager.limits = team.limits
        manager.alone = lambda: self._execution.live_workers == 1
        self._managers[workspace] = manager
        await self._execution.wake()
        self._watching[workspace] = asyncio.create_task(manager.watch())
        return manager

    async def leave(self, workspace: str) -> None:
        """A workspace closes: its goals go on elsewhere, or when it is open again."""
        manager = self._managers.pop(workspace, None)
        await self._execution.leave(workspace)
        await _ended(self._watching.pop(workspace, None))
        if manager is not None:
            await manager.close()

    async def start(self, *, always: bool = False) -> None:
        """Go on with what is queued or was left by a dead process.

        Without `always` nothing is launched, and so nothing costs, before there is a goal; and
        where the engine database is away people are answered meanwhile, and it is asked again.
        With it that raises StoreError.
        """
        try:
            await self._execution.start(always=always)
        except StoreError as error:
            if always:
                raise
            log.warning("goals_engine_away", reason=str(error))
            self._starting = asyncio.create_task(self._start_later())
        self._sharing = asyncio.create_task(self._share())

    async def stop(self, grace: float = 0.0) -> None:
        """Take on nothing more, wait so many seconds for what runs, leave the rest to others."""
        await _ended(self._starting)
        await _ended(self._sharing)
        await self._execution.stop(grace)

    async def close(self) -> None:
        """Let go of the database."""
        for workspace in list(self._managers):
            await self.leave(workspace)
        await self.ledger.close()

    async def _work(self, workspace: str, goal_id: str, key: str, attempt: int) -> None:
        await (await self._manager(workspace)).work(goal_id, key, attempt)

    async def _give_up(
        self, workspace: str, goal_id: str, key: str, attempt: int, why: str
    ) -> None:
        await (await self._manager(workspace)).give_up(goal_id, key, attempt, why)

    async def _ready(self, workspace: str) -> None:
        await self._manager(workspace)

    async def _manager(self, workspace: str) -> AssistantGoals:
        """The workspace's. Raises StoreError where it is not open here: nobody waits for that."""
        if workspace not in self._managers and self.open_workspace:
            await self.open_workspace(workspace)
        manager = self._managers.get(workspace)
        if manager is None:
            raise StoreError(
                f"The workspace {workspace} is not open here, so its goals cannot go on. Start the "
                "assistant that it is installed in."
            )
        return manager

    async def _start_later(self) -> None:
        started = False
        while not started:
            await asyncio.sleep(_AGAIN_SECONDS)
            with contextlib.suppress(VirtuousError):
                await self._execution.start()
                started = True

    async def _share(self) -> None:
        """Divide what the provider takes at once among all that run tasks."""
        while not self._settings.embedded:
            self._models.share_among(self._execution.live_workers)
            await asyncio.sleep(_SHARE_SECONDS)


def check_worker(settings: Settings) -> None:
    """Whether a worker may run here. Raises ConfigurationError that says what to set."""
    if settings.engine_elsewhere and settings.supabase_url is None:
        raise ConfigurationError(
            "VIRTUOUS6_ENGINE_URL is on another machine, so that workers may be on several: set "
            "SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY, as what agents are must have one home."
        )


def _reader(request: Wish) -> Reader:
    """Whoever reads the answer, where it is a request of the orchestrator's own."""
    return thread_reader(request) if isinstance(request, Request) else request.reader


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
