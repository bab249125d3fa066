"""What planning needs of the house: models to ask, who there is, what approvers allow."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel

from agents.definition import AgentDefinition
from agents.tools import TOOL_NAMES
from agents.tools.base import Tool
from agents.turns import Turn
from database.goals import Budget, Goal, Spent
from database.records import AgentRecord, Document, MetricsRow, Reader, RunQuery
from database.store import Store
from goals.budgets import DayLimit
from goals.ports import Runbook, Specialist
from orchestrator.agent_pool import AgentPool
from orchestrator.policy import Policy
from orchestrator.ports import ModelsPort
from orchestrator.routing import Embedder
from orchestrator.workflows import Workflows

Asked = TypeVar("Asked", bound=BaseModel)

PLAN_TOKENS = 2_000
"""What a plan may take to write: of six steps a model needs about 600."""

LIKE_RUNBOOK = 0.8
"""A saved workflow is reused for a request at least this much like what it was made for."""

_RECORD_SECONDS = 90 * 86_400.0
_REMEMBERED_SECONDS = 60.0
_NO_LIMIT = 10**9

SMALL_STEPS = 5
SMALL_SECONDS = 300.0
SMALL_TOKENS = 30_000
SMALL_USD = 0.05
"""A plan up to all of these is small: it starts by itself unless approvers decided otherwise."""


class GoalPlanner:
    """The models, as far as planning needs them (goals.ports.Planner)."""

    def __init__(self, models: ModelsPort) -> None:
        self._models = models

    async def ask(
        self,
        instructions: str,
        request: str,
        schema: type[Asked],
        *,
        model: str = "strong",
        examples: Sequence[tuple[str, str]] = (),
    ) -> tuple[Asked, Spent]:
        """An answer of the given shape and what it took. Raises ModelError."""
        turns = [Turn("system", instructions)]
        for asked, answered in examples:
            turns += [Turn("user", asked), Turn("assistant", answered)]
        turns.append(Turn("user", request))
        said, end = await self._models.structured(
            turns, schema, model=model, temperature=0.0, max_tokens=PLAN_TOKENS
        )
        tokens = (end.input_tokens or 0) + (end.output_tokens or 0)
        return said, Spent(end.duration_ms / 1000, tokens, end.cost_usd or 0.0)


class GoalRoster:
    """Who there is, and what the record says of them (goals.ports.Roster)."""

    def __init__(
        self,
        store: Store,
        pool: AgentPool,
        workflows: Workflows,
        embedder: Embedder,
        tools: Mapping[str, Tool],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._pool = pool
        self._workflows = workflows
        self._embedder = embedder
        self._tools = tools
        self._clock = clock
        self._read_at = 0.0
        self._records: dict[str, list[AgentRecord]] = {}
        self._figures: dict[str, MetricsRow] = {}

    async def specialists(self, reader: Reader) -> Sequence[Specialist]:
        """Agents that may work for this reader."""
        await self._pool.refresh()
        await self._read()
        return [
            self._specialist(definition)
            for name, definition in self._pool.definitions.items()
            if self._pool.serves(name, reader)
        ]

    async def runbook_for(self, request: str, reader: Reader) -> Runbook | None:
        """The saved workflow that was made for such a request, where one clearly fits."""
        saved = [one for one in await self._workflows.seen_by(reader) if one.body["steps"]]
        firsts = [f"{one.body['steps'][0]['request']}" for one in saved]
        like = self.likeness(request, [one.body.get("description") or "" for one in saved])
        begins = self.likeness(request, firsts)
        ranked = sorted(zip(map(max, like, begins), saved, strict=True), key=lambda pair: -pair[0])
        if not ranked or ranked[0][0] < LIKE_RUNBOOK:
            return None
        return self._runbook(ranked[0][1])

    def likeness(self, one: str, others: Sequence[str]) -> Sequence[float]:
        """How alike a text and each of the others are in meaning, -1..1."""
        if not others:
            return ()
        rows = self._embedder.embed([one, *others])
        return [float(value) for value in rows[1:] @ rows[0]]

    def writes(self, agent: str | None) -> bool:
        """Whether an agent has tools that change something outside of the house."""
        definition = self._pool.definitions.get(agent or "")
        if definition is None:
            return False
        lent = [name for name, tool in self._tools.items() if agent in tool.lent_to]
        named = {*definition.tools, *lent} - set(TOOL_NAMES)
        return any(self._tools[n].effect == "write" for n in named if n in self._tools)

    def _runbook(self, saved: Document) -> Runbook:
        steps = tuple((str(step["request"]), str(step["agent"])) for step in saved.body["steps"])
        return Runbook(saved.name, str(saved.body.get("description") or ""), steps)

    async def _read(self) -> None:
        now = self._clock()
        if now - self._read_at < _REMEMBERED_SECONDS:
            return
        self._read_at = now
        records: dict[str, list[AgentRecord]] = {}
        for record in await self._store.agent_record(now - _RECORD_SECONDS):
            records.setdefault(record.agent, []).append(record)
        figures = await self._store.metrics(RunQuery(since=now - _RECORD_SECONDS))
        self._records = records
        self._figures = {row.label: row for row in figures.by_agent}

    def _specialist(self, definition: AgentDefinition) -> Specialist:
        records = self._records.get(definition.name, [])
        row = self._figures.get(definition.name)
        tokens = (row.input_tokens + row.output_tokens) / row.runs if row and row.runs else None
        return Specialist(
            name=definition.name,
            specialty=definition.specialty,
            description=definition.description,
            runs=sum(record.judged for record in records),
            succeeded=sum(record.succeeded for record in records),
            seconds=_mean([(r.mean_ms, r.runs) for r in records], 1000.0),
            usd=_mean([(r.mean_cost_usd, r.runs) for r in records], 1.0),
            tokens=tokens,
            writes=self.writes(definition.name),
        )


class GoalRules:
    """What approvers decided about goals (goals.ports.Rules)."""

    def __init__(self, policy: Policy, roster: GoalRoster, named: Sequence[str] = ()) -> None:
        self._policy = policy
        self._roster = roster
        self._named = tuple(named)

    def on(self) -> bool:
        """Whether requests are made into goals."""
        return self._policy.goals()

    def budget(self) -> Budget:
        """What one goal may use."""
        usd, tokens, minutes = (
            self._policy.goal_limit(name) for name in ("goal_usd", "goal_tokens", "goal_minutes")
        )  # fmt: skip
        return Budget(
            usd=_NO_LIMIT if usd is None else usd,
            tokens=_NO_LIMIT if tokens is None else int(tokens),
            seconds=_NO_LIMIT if minutes is None else minutes * 60.0,
        )

    def day(self, user_id: str) -> DayLimit:
        """What all goals of one person may use in a day."""
        usd = self._policy.goal_limit("goal_usd_per_day", user_id)
        tokens = self._policy.goal_limit("goal_tokens_per_day", user_id)
        return DayLimit(usd, None if tokens is None else int(tokens))

    async def starts_alone(self, goal: Goal) -> str:
        """Why a plan starts without being asked, for the thread; '' where it waits for Start."""
        start = self._policy.goal_start()
        if start == "always":
            return "I have started at once, as plans do here; say stop to end it."
        if start == "ask" or not self._small(goal):
            return ""
        return "This is small, so I have started at once; say stop to end it."

    def approvers(self) -> Sequence[str]:
        """Who may act on everybody's goals, where some are named."""
        return self._policy.approvers or self._named

    def _small(self, goal: Goal) -> bool:
        takes = goal.estimate
        return (
            len(goal.tasks) <= SMALL_STEPS
            and takes.seconds <= SMALL_SECONDS
            and takes.tokens <= SMALL_TOKENS
            and (takes.usd or 0.0) <= SMALL_USD
            and all(task.agent is not None for task in goal.tasks)
            and not any(self._roster.writes(task.agent) for task in goal.tasks)
        )


def _mean(values: Sequence[tuple[float | None, int]], unit: float) -> float | None:
    known = [(value, runs) for value, runs in values if value is not None and runs]
    total = sum(runs for _, runs in known)
    return sum(value * runs for value, runs in known) / total / unit if total else None
