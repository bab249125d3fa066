"""Every agent there is, at most a few of them live, and how new ones come to be."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from agents.definition import AgentDefinition, DefinitionError, parse_definition
from agents.universal_agent import UniversalAgent
from database.errors import InputError, RecordAway, UnknownName
from database.records import Document, Reader
from database.store import Store
from orchestrator.event_bus import EventBus
from orchestrator.routing import GENERALIST, Router, Specialty

MAX_LIVE = 50
IDLE_SECONDS = 24 * 3600.0

log = structlog.get_logger()

Build = Callable[[AgentDefinition], UniversalAgent]


@dataclass(slots=True)
class LiveAgent:
    """An agent ready to answer, with the version that it serves."""

    agent: UniversalAgent
    definition: AgentDefinition
    document: Document
    users: int = 0
    last_used: float = 0.0


class AgentPool:
    """The registry of agents, and the live ones.

    Any number of definitions; at most `max_live` agents are built at a time. The one unused for
    longest makes room, one in use never does: whoever finds no room waits, first come first
    served. The rows of the store are the truth: a changed active version answers the next message.
    """

    def __init__(
        self,
        store: Store,
        router: Router,
        bus: EventBus,
        build: Build,
        *,
        max_live: int = MAX_LIVE,
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._router = router
        self._bus = bus
        self._build = build
        self._max_live = max_live
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._documents: dict[str, Document] = {}
        self._definitions: dict[str, AgentDefinition] = {}
        self._live: OrderedDict[tuple[str, str], LiveAgent] = OrderedDict()
        self._waiting: deque[tuple[str, asyncio.Future[LiveAgent]]] = deque()
        self._seen_change: int | None = None
        self._refreshing = asyncio.Lock()

    @property
    def definitions(self) -> Mapping[str, AgentDefinition]:
        """Every agent's definition as it answers now, by name."""
        return self._definitions

    @property
    def live(self) -> int:
        """How many agents are built at the moment."""
        return len(self._live)

    def serves(self, name: str, reader: Reader) -> bool:
        """Whether there is this agent for whoever reads there: some were made in private."""
        return name in self._definitions and self._documents[name].audience in reader.audiences()

    async def refresh(self) -> None:
        """Take over changed documents; costs one number read where nothing changed."""
        if self._store.documents_changed() == self._seen_change:
            return
        async with self._refreshing:
            change = self._store.documents_changed()
            if change == self._seen_change:
                return
            documents = {d.name: d for d in await self._store.documents("agent")}
            await self._take_over(documents)
            self._seen_change = change

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[LiveAgent]:
        """The agent, built and kept for as long as the block runs. Raises UnknownName."""
        live = await self._acquire(name)
        try:
            yield live
        finally:
            self._release(live)

    def sweep(self) -> int:
        """Drop agents idle for longer than `idle_seconds`; returns how many."""
        before = self._clock() - self._idle_seconds
        idle = [k for k, a in self._live.items() if not a.users and a.last_used <= before]
        for key in idle:
            del self._live[key]
        if idle:
            self._serve_waiting()
        return len(idle)

    async def _take_over(self, documents: dict[str, Document]) -> None:
        definitions: dict[str, AgentDefinition] = {}
        changed: list[Document] = []
        for name, document in documents.items():
            kept = self._documents.get(name)
            if kept and kept.version == document.version and name in self._definitions:
                definitions[name] = self._definitions[name]
                continue
            definition = _parsed(document)
            if definition is not None:
                definitions[name] = definition
                changed.append(document)
        first = self._seen_change is None
        self._documents, self._definitions = documents, definitions
        self._router.know(
            Specialty(
                d.name,
                documents[d.name].version,
                d.specialty,
                d.examples,
                documents[d.name].audience,
                d.description,
            )
            for d in definitions.values()
        )
        self._drop_stale()
        for document in () if first else changed:
            self._bus.emit("document_changed", document)

    def _drop_stale(self) -> None:
        stale = [key for key, live in self._live.items() if not live.users and self._stale(live)]
        for key in stale:
            del self._live[key]

    def _stale(self, live: LiveAgent) -> bool:
        current = self._documents.get(live.document.name)
        return current is None or current.version != live.document.version

    async def _acquire(self, name: str) -> LiveAgent:
        live = self._try(name)
        if live is not None:
            return live
        future: asyncio.Future[LiveAgent] = asyncio.get_running_loop().create_future()
        self._waiting.append((name, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception():
                self._release(future.result())
            raise

    def _try(self, name: str, *, queued: bool = False) -> LiveAgent | None:
        """The agent, pinned; None where there is no room, or others wait for it already."""
        document = self._documents.get(name)
        if document is None or name not in self._definitions:
            raise UnknownName(f"There is no agent called {name}. See `agents list`.")
        key = (name, document.version)
        live = self._live.get(key)
        if live is None:
            if (self._waiting and not queued) or not self._make_room():
                return None
            definition = self._definitions[name]
            live = self._live[key] = LiveAgent(self._build(definition), definition, document)
        self._live.move_to_end(key)
        live.users += 1
        live.last_used = self._clock()
        return live

    def _make_room(self) -> bool:
        if len(self._live) < self._max_live:
            return True
        unused = next((key for key, live in self._live.items() if not live.users), None)
        if unused is None:
            return False
        del self._live[unused]
        return True

    def _release(self, live: LiveAgent) -> None:
        live.users -= 1
        live.last_used = self._clock()
        if not live.users and self._stale(live):
            self._live.pop((live.document.name, live.document.version), None)
        if self._waiting:
            self._serve_waiting()

    def _serve_waiting(self) -> None:
        while self._waiting:
            name, future = self._waiting[0]
            if not future.done():
                try:
                    live = self._try(name, queued=True)
                except UnknownName as error:
                    future.set_exception(error)
                else:
                    if live is None:
                        return
                    future.set_result(live)
            self._waiting.popleft()


async def register_shipped(store: Store, shipped: Sequence[AgentDefinition]) -> None:
    """Put what is shipped into the store.

    A shipped definition becomes version 1. One that changed becomes a new version, unless somebody
    has changed the agent since: people's own stay. Where the record is away, what is known of it
    answers; raises RecordAway where nothing is.
    """
    known = {document.name: document for document in await store.documents("agent")}
    try:
        for definition in shipped:
            await _register(store, definition, known.get(definition.name))
    except RecordAway as error:
        if not known:
            raise
        log.warning("shipped_agents_not_registered", reason=str(error))


async def _register(store: Store, definition: AgentDefinition, active: Document | None) -> None:
    name, body = definition.name, definition.body()
    try:
        if active is None:
            await store.create_document("agent", name, body, origin="shipped")
        elif active.origin == "shipped" and active.version != definition.version:
            await store.activate(
                "agent",
                name,
                body,
                base=active.version,
                origin="shipped",
                author=None,
                reason="The shipped definition changed.",
            )
    except InputError:
        # Another machine was first; then it is there.
        if await store.document("agent", name) is None:
            raise


def _parsed(document: Document) -> AgentDefinition | None:
    try:
        return parse_definition(document.body, f"agent {document.name}")
    except DefinitionError as error:
        log.error(
            "agent_unusable", agent=document.name, version=document.version, problem=str(error)
        )
        return None


def fallback_order(definition: AgentDefinition, known: Mapping[str, AgentDefinition]) -> list[str]:
    """Who answers when this agent cannot: its own fallbacks, then the generalist."""
    names = [name for name in definition.fallbacks if name in known]
    if definition.name != GENERALIST and GENERALIST in known and GENERALIST not in names:
        names.append(GENERALIST)
    return names
