"""Every agent there is, at most a few of them live, and how new ones come to be."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import structlog

from agents.definition import AgentDefinition, DefinitionError, parse_definition
from agents.universal_agent import UniversalAgent
from agents.variants import variant_of
from database.errors import InputError, RecordAway, UnknownName
from database.records import Document, Reader
from database.store import Store
from orchestrator.event_bus import EventBus
from orchestrator.routing import GENERALIST, Matrix, Router, Specialty

MAX_LIVE = 50
IDLE_SECONDS = 24 * 3600.0
LEARNED = "proposal"
"""Origin of the versions that learning made."""

log = structlog.get_logger()

Build = Callable[[AgentDefinition], UniversalAgent]
_Key = tuple[str, str]
"""A document's name and version."""


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
    While learning is `off`, what was learned gives way to what was there before.
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
        off: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._router = router
        self._bus = bus
        self._build = build
        self._max_live = max_live
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._off = off
        self._documents: dict[str, Document] = {}
        self._parsed: dict[str, AgentDefinition] = {}
        self._definitions: dict[str, AgentDefinition] = {}
        self._variants: dict[tuple[str, str], tuple[str, ...]] = {}
        self._offered: dict[_Key, tuple[Document, AgentDefinition]] = {}
        self._live: OrderedDict[_Key, LiveAgent] = OrderedDict()
        self._waiting: deque[tuple[str, str | None, asyncio.Future[LiveAgent]]] = deque()
        self._seen: tuple[int, bool] | None = None
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

    def document(self, name: str) -> Document:
        """The version of an agent or of a variant that answers now. Raises UnknownName."""
        document = self._documents.get(name)
        if document is None or name not in self._parsed:
            raise UnknownName(f"There is no agent called {name}. See `agents list`.")
        return document

    def variants(self, agent: str, task_type: str | None) -> Sequence[str]:
        """The variants of an agent for a task type, oldest first."""
        return self._variants.get((agent, task_type), ()) if task_type else ()

    def lines(self, candidate: Document, definition: AgentDefinition) -> Matrix:
        """What routing would compare with requests, were it an agent."""
        return self._router.lines(specialty_of(definition, candidate))

    def offer(self, candidates: Iterable[Document]) -> None:
        """Versions that may be used besides the active ones, in place of those offered before."""
        offered = {(d.name, d.version): (d, _parsed(d)) for d in candidates}
        self._offered = {key: (d, made) for key, (d, made) in offered.items() if made}
        self._drop_stale()

    async def refresh(self) -> None:
        """Take over changed documents; costs one number read where nothing changed."""
        if (self._store.documents_changed(), self._off()) == self._seen:
            return
        async with self._refreshing:
            seen = self._store.documents_changed(), self._off()
            if seen == self._seen:
                return
            active = await self._store.documents("agent")
            if seen[1]:
                active = await without_learned(self._store, active)
            await self._take_over({d.name: d for d in active})
            self._seen = seen

    @asynccontextmanager
    async def use(self, name: str, version: str | None = None) -> AsyncIterator[LiveAgent]:
        """The agent, built and kept for as long as the block runs. Raises UnknownName.

        In an offered `version` if it is still offered, else in the active one.
        """
        live = await self._acquire(name, version)
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
            if kept and kept.version == document.version and name in self._parsed:
                definitions[name] = self._parsed[name]
                continue
            definition = _parsed(document)
            if definition is not None:
                definitions[name] = definition
                changed.append(document)
        first = self._seen is None
        self._documents, self._parsed = documents, definitions
        self._variants = _variants([documents[name] for name in definitions])
        self._definitions = {n: d for n, d in definitions.items() if variant_of(n) is None}
        self._router.know(specialty_of(d, documents[d.name]) for d in self._definitions.values())
        self._drop_stale()
        for document in () if first else changed:
            self._bus.emit("document_changed", document)

    def _drop_stale(self) -> None:
        stale = [key for key, live in self._live.items() if not live.users and self._stale(live)]
        for key in stale:
            del self._live[key]

    def _stale(self, live: LiveAgent) -> bool:
        name, version = live.document.name, live.document.version
        current = self._documents.get(name)
        active = current is not None and current.version == version
        return not active and (name, version) not in self._offered

    async def _acquire(self, name: str, version: str | None) -> LiveAgent:
        live = self._try(name, version)
        if live is not None:
            return live
        future: asyncio.Future[LiveAgent] = asyncio.get_running_loop().create_future()
        self._waiting.append((name, version, future))
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception():
                self._release(future.result())
            raise

    def _try(
        self, name: str, version: str | None = None, *, queued: bool = False
    ) -> LiveAgent | None:
        """The agent, pinned; None where there is no room, or others wait for it already."""
        document, definition = self._wanted(name, version)
        key = (document.name, document.version)
        live = self._live.get(key)
        if live is None:
            if (self._waiting and not queued) or not self._make_room():
                return None
            live = self._live[key] = LiveAgent(self._build(definition), definition, document)
        self._live.move_to_end(key)
        live.users += 1
        live.last_used = self._clock()
        return live

    def _wanted(self, name: str, version: str | None) -> tuple[Document, AgentDefinition]:
        """An offered version, else the active one, else a variant's agent. Raises UnknownName."""
        if version is not None and (offered := self._offered.get((name, version))):
            return offered
        variant = variant_of(name)
        if variant and name not in self._parsed:
            name = variant.agent
        return self.document(name), self._parsed[name]

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
            name, version, future = self._waiting[0]
            if not future.done():
                try:
                    live = self._try(name, version, queued=True)
                except UnknownName as error:
                    future.set_exception(error)
                else:
                    if live is None:
                        return
                    future.set_result(live)
            self._waiting.popleft()


def _variants(documents: Sequence[Document]) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], list[str]] = {}
    for document in sorted(documents, key=lambda d: d.created_at):
        if variant := variant_of(document.name):
            found.setdefault((variant.agent, variant.task_type), []).append(document.name)
    return {key: tuple(names) for key, names in found.items()}


async def without_learned(store: Store, active: Sequence[Document]) -> list[Document]:
    """What would answer had nothing been learned: people's own changes stay.

    A document whose active version came from a proposal is taken back to its last version that did
    not; one that has none is left out.
    """
    kept = []
    for document in active:
        if document.origin != LEARNED:
            kept.append(document)
            continue
        history = await store.history(document.kind, document.name)
        own = [d for d in history if d.origin != LEARNED and d.number < document.number]
        kept += [replace(max(own, key=lambda d: d.number), active=True)] if own else []
    return kept


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


def specialty_of(definition: AgentDefinition, document: Document) -> Specialty:
    """What routing knows of an agent."""
    return Specialty(
        definition.name,
        document.version,
        definition.specialty,
        definition.examples,
        document.audience,
        definition.description,
    )


def fallback_order(definition: AgentDefinition, known: Mapping[str, AgentDefinition]) -> list[str]:
    """Who answers when this agent cannot: its own fallbacks, then the generalist."""
    names = [name for name in definition.fallbacks if name in known]
    if definition.name != GENERALIST and GENERALIST in known and GENERALIST not in names:
        names.append(GENERALIST)
    return names
