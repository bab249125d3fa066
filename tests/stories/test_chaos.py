"""Everything fails now and then at once: each message gets its answer or a reason, once."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from agents.model_settings import ModelSettings
from agents.models import Models
from tests.model_server.server import ScriptedModel, answer
from tests.model_server.trouble import SPOILT, Trouble
from tests.people import ADA, ALAN, BOT, GRACE, Json, eventually
from tests.stories.story import Story, asked, direct
from tests.wire import Wire

PEOPLE = (ADA, GRACE, ALAN)
QUESTIONS = 12
"""Of each person."""
TEA = "There is green tea, and there is black tea."
PATIENCE_S = 2.0
"""For a model that says nothing."""
CUT_EVERY_S, CUT_FOR_S = 1.0, 0.3


@pytest.fixture
async def provider(model_server: ScriptedModel) -> AsyncIterator[Trouble]:
    """Fails at three calls in ten: too busy, broken, silent, cut off, garbled."""
    async with Trouble(model_server.base_url, seed=5) as provider:
        yield provider


@pytest.fixture
async def unlucky(quiet_story: Story, provider: Trouble) -> AsyncIterator[Story]:
    """People whose assistant thinks with that provider."""
    settings = ModelSettings(
        base_url=provider.base_url,
        api_key=None,
        strong="gpt-4.1",
        fast="gpt-4.1-mini",
        timeout_s=PATIENCE_S,
        silence_s=PATIENCE_S,
    )
    models = Models(settings)
    await quiet_story.start(models=models)
    yield quiet_story
    await quiet_story.stop()
    await models.aclose()


@asynccontextmanager
async def cutting(story: Story) -> AsyncIterator[Callable[[bool], Awaitable[object]]]:
    """A switch: while it is on, each delivery to the assistant loses its connection.

    The assistant has got it by then, and Slack does not hear so.
    """
    if story.transport == "socket":
        yield lambda on: story.post("faults", socket_kill=float(on))
        return
    assert story.bot
    assert story.bot.port
    async with Wire(story.bot.port) as wire:
        await story.workspace.set_request_url(f"http://127.0.0.1:{wire.port}/slack/events")

        async def switch(on: bool) -> None:
            wire.is_losing = on
            wire.cut()

        yield switch


@asynccontextmanager
async def connections_cut(story: Story) -> AsyncIterator[None]:
    """Slack's connections to the assistant end every now and then, unannounced."""
    async with cutting(story) as switch:

        async def cut() -> None:
            while True:
                await asyncio.sleep(CUT_EVERY_S)
                await switch(True)
                await asyncio.sleep(CUT_FOR_S)
                await switch(False)

        task = asyncio.create_task(cut())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await switch(False)


@pytest.mark.timeout(300)
async def test_a_model_slack_and_connections_that_fail_leave_no_message_unanswered(
    unlucky: Story, provider: Trouble
) -> None:
    story = unlucky
    await story.told(answer(TEA, when=asked("tea")))
    await story.post("faults", errors=0.1, seed=5, clock_rate=30)
    said: list[tuple[str, str]] = []

    async def person(user: str) -> None:
        for number in range(QUESTIONS):
            said.append((user, await story.say(f"What tea is there, number {number}?", user)))
            await asyncio.sleep(0.3)

    async with connections_cut(story):
        await asyncio.gather(*(person(user) for user in PEOPLE))
        outcomes = [await outcome(story, user, ts) for user, ts in said]

    await story.idle()  # what a person reads is complete before it is recorded
    assert len(outcomes) == len(PEOPLE) * QUESTIONS
    assert sum(text == TEA for text in outcomes) >= len(outcomes) // 2
    runs = {run.message_ts or "": run for run in await story.runs()}
    assert sorted(runs) == sorted(ts for _, ts in said)
    assert len(await story.runs()) == len(said)
    assert provider.met.keys() == {"answered", *SPOILT}, "all that was to go wrong did"
    assert (await failed_calls(story)) / len(await story.calls()) > 0.05
    deliveries = (await story.get("log?kind=delivery"))["log"]
    assert any(row["attempt"] for row in deliveries), "a connection was cut under a message"


async def failed_calls(story: Story) -> int:
    """How many calls of Slack's Web API the workspace refused."""
    rows = (await story.get("log?kind=api"))["log"]
    return sum(row["status"] >= 500 for row in rows)


async def outcome(story: Story, user: str, ts: str) -> str:
    """What a person reads under their question once it is complete: an answer or a reason."""

    async def complete() -> list[Json] | None:
        found = [m for m in await story.thread(ts, direct(user)) if m["user"] == BOT]
        whole = found and not any(m.get("streaming") for m in found)
        return found if whole and "run_id" in str(found[-1].get("metadata")) else None

    replies: list[Json] = await eventually(complete, f"an answer to {user} {ts}", timeout=60)
    text = "".join(str(reply["text"]) for reply in replies)
    assert text == TEA or ":warning:" in text, replies
    assert len(replies) == 1, replies
    assert text.count("green tea") <= 1
    assert not re.search(r"Traceback|Error\b.*line \d|sk-|xox", text)
    return text
