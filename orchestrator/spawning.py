"""How a described specialty becomes a new agent, within a budget."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from agents.definition import AgentDefinition
from agents.drafting import DRAFTING, DraftAgent, definition_of
from agents.ports import SpawnPort
from agents.turns import Turn
from database.errors import BudgetExceeded, InputError, ModelError
from database.records import PUBLIC, Document, Run, Step, random_run_id
from database.store import Store
from orchestrator.agent_pool import AgentPool
from orchestrator.model_steps import failed_step, step_of, with_step
from orchestrator.ports import ModelsPort
from orchestrator.resource_pool import in_background
from orchestrator.routing import GENERALIST

SPAWNS_A_DAY = 10
SPAWNS_IN_TOTAL = 200
MAX_DESCRIPTION = 1000

_DAY_SECONDS = 24 * 3600.0


class Spawner:
    """Makes new specialists: the strong model drafts, this checks, the store keeps version 1."""

    def __init__(
        self,
        store: Store,
        models: ModelsPort,
        pool: AgentPool,
        redact: Callable[[str], str],
        *,
        per_day: int = SPAWNS_A_DAY,
        in_total: int = SPAWNS_IN_TOTAL,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._models = models
        self._pool = pool
        self._redact = redact
        self._per_day = per_day
        self._in_total = in_total
        self._clock = clock
        self._drafting = 0

    def heard_by(self, audience: str) -> SpawnPort:
        """The same for what was said where only `audience` could read it."""
        return _SpawnerHere(self, audience)

    async def spawn(
        self,
        description: str,
        author: str,
        audience: str = PUBLIC,
        note: Callable[[Step], None] | None = None,
    ) -> str:
        """Create an agent for a described specialty and return its name.

        It answers from the next message on, with the generalist's tools, and only where no more
        than `audience` can read: its prompt repeats what was said there. `note` hears of the model
        call, made well or not; without one it becomes a run of its own.
        Raises BudgetExceeded past the spawn budget, InputError when no agent can be made of the
        description, ModelError when the model cannot draft one.
        """
        described = self._described(description)
        if len(described) < 3:
            raise InputError(
                "Say what the new specialist is for, such as: a reviewer of contracts."
            )
        if len(described) > MAX_DESCRIPTION:
            raise InputError(
                f"Describe the specialist in at most {MAX_DESCRIPTION} characters "
                f"(these are {len(described)})."
            )
        await self._within_budget()
        self._drafting += 1
        try:
            definition = await self._drafted(described, note or self._recorded(author, audience))
            document = await self._store.create_document(
                "agent",
                definition.name,
                definition.body(),
                origin="spawn",
                author=author,
                reason=described,
                audience=audience,
            )
        finally:
            self._drafting -= 1
        await self._pool.refresh()
        return document.name

    async def made_since(
        self, since: float, description: str, author: str, audience: str = PUBLIC
    ) -> str | None:
        """The agent that `spawn` made of the same since then, for whoever died before they knew."""
        wanted = (author, self._described(description), audience)
        for one in await self._spawned():
            if one.created_at >= since and (one.author, one.reason, one.audience) == wanted:
                return one.name
        return None

    def _described(self, description: str) -> str:
        return " ".join(self._redact(description).split())

    async def _within_budget(self) -> None:
        spawned = await self._spawned()
        if len(spawned) + self._drafting >= self._in_total:
            raise BudgetExceeded(
                f"There are {len(spawned)} spawned specialists, the limit is {self._in_total}. "
                "Improve one of them instead; whoever runs the assistant can raise the limit."
            )
        since = self._clock() - _DAY_SECONDS
        today = sum(document.created_at > since for document in spawned)
        if today + self._drafting >= self._per_day:
            raise BudgetExceeded(
                f"{today} specialists were created in the last 24 hours, the limit is "
                f"{self._per_day}. Try again tomorrow; whoever runs the assistant can raise it."
            )

    async def _spawned(self) -> list[Document]:
        """First versions that came from a spawn, also where later versions replaced them."""
        firsts: list[Document] = []
        for document in await self._store.documents("agent"):
            first = document
            if document.number > 1 and document.origin != "shipped":
                history = await self._store.history("agent", document.name)
                first = min(history, key=lambda d: d.number)
            if first.origin == "spawn":
                firsts.append(first)
        return firsts

    async def _drafted(self, described: str, note: Callable[[Step], None]) -> AgentDefinition:
        turns = [Turn("system", DRAFTING), Turn("user", f"The specialty: {described}")]
        began = time.perf_counter()
        try:
            with in_background():
                draft, end = await self._models.structured(
                    turns, DraftAgent, model="strong", temperature=0.2, max_tokens=1200
                )
        except ModelError as error:
            took = (time.perf_counter() - began) * 1000
            note(failed_step("drafting", self._models.resolve("strong"), str(error), took))
            raise
        note(step_of("drafting", end))
        return self._definition(draft)

    def _recorded(self, author: str, audience: str) -> Callable[[Step], None]:
        """Keeps the model call of an agent that was made by another one."""

        def note(step: Step) -> None:
            made = Run(
                random_run_id(),
                "",
                GENERALIST,
                kind="task",
                started_at=self._clock(),
                user_id=author,
                audience=audience,
            )
            self._store.append(with_step(made, step))

        return note

    def _definition(self, draft: DraftAgent) -> AgentDefinition:
        known = self._pool.definitions
        generalist = known.get(GENERALIST)
        return definition_of(draft, known, generalist.tools if generalist else ())


@dataclass(frozen=True, slots=True)
class _SpawnerHere:
    """A spawner for one place."""

    spawner: Spawner
    audience: str

    async def spawn(self, description: str, author: str) -> str:
        return await self.spawner.spawn(description, author, self.audience)
