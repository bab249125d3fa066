import asyncio

from orchestrator.event_bus import EventBus
from tests.patience import PATIENCE_S


async def test_handlers_run_after_the_announcer() -> None:
    bus = EventBus()
    heard: list[str] = []

    async def note(payload: str) -> None:
        heard.append(payload)

    bus.on("run_recorded", note)
    bus.emit("run_recorded", "one")
    assert heard == []
    assert await bus.drain()
    assert heard == ["one"]


async def test_a_failing_handler_hurts_nobody() -> None:
    bus = EventBus()
    heard: list[str] = []

    async def bad(payload: str) -> None:
        raise RuntimeError(payload)

    async def good(payload: str) -> None:
        heard.append(payload)

    bus.on("run_recorded", bad)
    bus.on("run_recorded", good)
    bus.emit("run_recorded", "x")
    assert await bus.drain()
    assert heard == ["x"]


async def test_drain_waits_for_what_handlers_announce() -> None:
    bus = EventBus()
    heard: list[str] = []

    async def first(payload: str) -> None:
        await asyncio.sleep(0)
        bus.emit("document_changed", payload)

    async def second(payload: str) -> None:
        heard.append(payload)

    bus.on("run_recorded", first)
    bus.on("document_changed", second)
    bus.emit("run_recorded", "x")
    assert await bus.drain()
    assert heard == ["x"]


async def test_drain_stops_handlers_that_take_too_long() -> None:
    bus = EventBus()
    stopped = asyncio.Event()

    async def slow(_: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    bus.on("run_recorded", slow)
    bus.emit("run_recorded", "x")
    assert not await bus.drain(timeout=0.01)
    await asyncio.wait_for(stopped.wait(), PATIENCE_S)


async def test_emitting_without_handlers_is_fine() -> None:
    bus = EventBus()
    bus.emit("feedback_given", "x")
    assert await bus.drain()
