"""A thousand deliveries, doubled, late and out of order: each message is answered once, in turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import combinations

import pytest

from agents.ports import FilesPort
from agents.turns import TextDelta
from orchestrator.requests import ReplyEvent, Request
from slack_interface.local_workspace.config import Limits
from tests.people import ADA, GRACE, eventually
from tests.slack_interface.world import Rows, World, finished, over_both_transports

THREADS = 30
MESSAGES = 10
"""In each thread; each is delivered as a mention and as a message, most of them twice."""


async def brisk(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
    yield TextDelta(f"Re: {request.text}")
    await asyncio.sleep(0)
    yield finished(request, f"Re: {request.text}")


@pytest.fixture
def arrivals(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The key of every delivery that reached the inbox, in order."""
    arrived: list[str] = []
    accept = Rows.accept

    async def noted(self: Rows, event_key: str, thread_key: str, payload: bytes) -> bool:
        arrived.append(event_key)
        return await accept(self, event_key, thread_key, payload)

    monkeypatch.setattr(Rows, "accept", noted)
    return arrived


@pytest.fixture
def limits() -> Limits:
    """Slack gives up in the end; here that would only tell how busy this machine is."""
    return Limits(ack_s=2.0, retry_after_s=(0.2,) * 100)


@over_both_transports
@pytest.mark.timeout(300)
async def test_a_thousand_deliveries_lead_to_one_answer_each_in_the_threads_order(
    world: World, arrivals: list[str]
) -> None:
    world.orchestrator.script = brisk
    roots = [await world.say(f"thread {n}", ADA, "general") for n in range(THREADS)]
    await world.post("faults", duplicate=0.9, drop=0.05, reorder=0.3, seed=11)

    async def talk(number: int, root: str) -> None:
        for n in range(MESSAGES):
            text, user = f"@Virtuous6 {number}.{n}", ADA if n % 2 else GRACE
            await world.say(text, user, "general", thread=root)

    await asyncio.gather(*(talk(n, root) for n, root in enumerate(roots)))
    threads = [await world.replies(root, "C0GENERAL", MESSAGES) for root in roots]
    await eventually(enough_of(arrivals), "the late deliveries", timeout=60)
    await world.idle()

    keys = {request.text: request.run_id for request in world.orchestrator.requests}
    assert len(world.orchestrator.requests) == len(keys) == THREADS * MESSAGES
    for number, replies in enumerate(threads):
        said = [reply["text"].removeprefix("Re: ") for reply in replies]
        asked = [f"{number}.{n}" for n in range(MESSAGES)]
        assert sorted(said) == sorted(asked)
        came = [arrivals.index(keys[text]) for text in asked]
        for earlier, later in combinations(range(MESSAGES), 2):
            if came[earlier] < came[later]:
                assert said.index(asked[earlier]) < said.index(asked[later]), said
    assert await world.rows.pending() == []
    for number, root in enumerate(roots):
        assert len(await world.replies(root, "C0GENERAL", MESSAGES)) == MESSAGES, number


def enough_of(arrivals: list[str]) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return len(arrivals) >= THREADS * MESSAGES * 3

    return enough
