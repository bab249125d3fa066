import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.definition import AgentDefinition
from agents.universal_agent import UniversalAgent
from database.errors import UnknownName
from database.records import Document
from database.store import Store
from orchestrator.agent_pool import AgentPool, register_shipped
from orchestrator.event_bus import EventBus
from orchestrator.routing import Router
from tests.orchestrator.fakes import ScriptedModels, WordEmbedder, agent
from tests.patience import PATIENCE_S

AGENTS = [agent(f"agent-{n}") for n in range(5)]


def pool_of(
    store: Store, *, max_live: int = 2, clock: Callable[[], float] = lambda: 0.0
) -> AgentPool:
    models = ScriptedModels(lambda turns, model: "ok")

    def build(definition: AgentDefinition) -> UniversalAgent:
        return UniversalAgent(definition, models, {})

    router = Router(WordEmbedder())
    return AgentPool(store, router, EventBus(), build, max_live=max_live, clock=clock)


@pytest.fixture
async def pool(store: Store) -> AgentPool:
    await register_shipped(store, AGENTS)
    pool = pool_of(store)
    await pool.refresh()
    return pool


async def test_the_least_recently_used_makes_room(pool: AgentPool) -> None:
    async with pool.use("agent-0") as first:
        pass
    async with pool.use("agent-1"):
        pass
    async with pool.use("agent-0") as again:
        assert again is first
    async with pool.use("agent-2"):
        assert pool.live == 2
    async with pool.use("agent-0") as kept:
        assert kept is first


async def test_one_in_use_is_pinned_and_others_wait_in_order(pool: AgentPool) -> None:
    order: list[str] = []
    leave = {name: asyncio.Event() for name in ("agent-2", "agent-3")}

    async def work(name: str) -> None:
        async with pool.use(name):
            order.append(name)
            await leave[name].wait()

    async with pool.use("agent-1"):
        async with pool.use("agent-0"):
            waiting = [asyncio.create_task(work(name)) for name in leave]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (order, pool.live) == ([], 2)
            async with pool.use("agent-1"):
                assert pool.live == 2
        await asyncio.sleep(0)
        assert order == ["agent-2"]
        leave["agent-2"].set()
        leave["agent-3"].set()
        await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S)
    assert order == ["agent-2", "agent-3"]
    assert pool.live == 2


async def test_a_newcomer_does_not_overtake_those_who_wait(store: Store) -> None:
    await register_shipped(store, AGENTS)
    pool = pool_of(store, max_live=1)
    await pool.refresh()
    order: list[str] = []

    async def work(name: str) -> None:
        async with pool.use(name):
            order.append(name)

    async with pool.use("agent-0"):
        first = asyncio.create_task(work("agent-1"))
        await asyncio.sleep(0)
    await asyncio.gather(first, asyncio.create_task(work("agent-2")))
    assert order == ["agent-1", "agent-2"]


async def test_who_stops_waiting_takes_no_room(store: Store) -> None:
    await register_shipped(store, AGENTS)
    pool = pool_of(store, max_live=1)
    await pool.refresh()

    async def work(name: str) -> None:
        async with pool.use(name):
            pass

    async with pool.use("agent-0"):
        gone = asyncio.create_task(work("agent-1"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        served = asyncio.create_task(work("agent-2"))
        await asyncio.sleep(0)
    # Cancelled in the moment in which its turn has come.
    async with pool.use("agent-3"):
        late = asyncio.create_task(work("agent-4"))
        await asyncio.sleep(0)
    late.cancel()
    await asyncio.wait_for(asyncio.gather(served, late, return_exceptions=True), PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S), pool.use("agent-1"):
        assert pool.live == 1


async def test_idle_agents_are_dropped_but_not_those_in_use(store: Store) -> None:
    now = 0.0
    await register_shipped(store, AGENTS)
    pool = pool_of(store, clock=lambda: now)
    await pool.refresh()
    async with pool.use("agent-0"):
        async with pool.use("agent-1"):
            pass
        now = 23 * 3600.0
        assert pool.sweep() == 0
        now = 24 * 3600.0
        assert pool.sweep() == 1
        assert pool.live == 1


async def test_unknown_agents_are_named(pool: AgentPool) -> None:
    with pytest.raises(UnknownName, match="nobody"):
        async with pool.use("nobody"):
            pass


async def test_a_new_active_version_answers_next(pool: AgentPool, tmp_path: Path) -> None:
    elsewhere = Store.open(tmp_path, "T1")
    try:
        async with pool.use("agent-0") as before:
            changed = agent("agent-0", system_prompt="You are new.")
            await elsewhere.activate(
                "agent", "agent-0", changed.body(), base=before.document.version,
                origin="person", author="U1", reason=None,
            )  # fmt: skip
            await pool.refresh()
            async with pool.use("agent-0") as after:
                assert after.definition.system_prompt == "You are new."
                assert after.document.version == changed.version
        assert pool.live == 1
    finally:
        await elsewhere.close()


async def test_changes_are_announced(store: Store) -> None:
    heard: list[str] = []

    async def note(document: Document) -> None:
        heard.append(document.name)

    bus = EventBus()
    bus.on("document_changed", note)
    await register_shipped(store, AGENTS)
    pool = AgentPool(store, Router(WordEmbedder()), bus, lambda d: UniversalAgent(d, None, {}))  # type: ignore[arg-type]
    await pool.refresh()
    await store.create_document("agent", "new", agent("new").body(), origin="person")
    await pool.refresh()
    await bus.drain()
    assert heard == ["new"]


async def test_a_changed_shipped_file_is_a_new_version_unless_a_person_changed_it(
    store: Store,
) -> None:
    await register_shipped(store, AGENTS[:2])
    mine = agent("agent-1", system_prompt="Mine.")
    await store.activate(
        "agent", "agent-1", mine.body(), base=AGENTS[1].version,
        origin="person", author="U1", reason=None,
    )  # fmt: skip
    newer = [agent(f"agent-{n}", system_prompt="Newer.") for n in range(2)]
    await register_shipped(store, newer)
    await register_shipped(store, newer)
    active = {d.name: d for d in await store.documents("agent")}
    assert (active["agent-0"].number, active["agent-0"].version) == (2, newer[0].version)
    assert active["agent-1"].version == mine.version


async def test_an_unusable_document_hurts_only_itself(pool: AgentPool, store: Store) -> None:
    await store.create_document("agent", "broken", {"nonsense": 1}, origin="person")
    await pool.refresh()
    assert "broken" not in pool.definitions
    async with pool.use("agent-0"):
        pass


async def test_an_offered_version_answers_beside_the_active_one(pool: AgentPool) -> None:
    better = agent("agent-0", system_prompt="You are better.")
    offered = Document("agent", "agent-0", better.body(), better.version, origin="proposal")
    pool.offer([offered])
    async with pool.use("agent-0", better.version) as new, pool.use("agent-0") as old:
        assert (new.definition.version, old.definition.version) == (
            better.version, AGENTS[0].version,
        )  # fmt: skip
        pool.offer([])
        assert pool.live == 2
    assert pool.live == 1
    async with pool.use("agent-0", better.version) as gone:
        assert gone.document.version == AGENTS[0].version


async def test_a_variant_that_is_gone_leaves_its_agent(pool: AgentPool) -> None:
    async with pool.use("agent-0--kind-1", "0123") as live:
        assert live.document.name == "agent-0"
    with pytest.raises(UnknownName):
        pool.document("agent-0--kind-1")


async def test_a_variant_that_cannot_be_used_is_left_out(store: Store) -> None:
    await register_shipped(store, AGENTS)
    await store.create_document("agent", "agent-0--kind-1", {"name": "x"}, origin="proposal")
    pool = pool_of(store)
    await pool.refresh()
    assert pool.variants("agent-0", "kind-1") == ()
    assert pool.variants("agent-0", None) == ()
