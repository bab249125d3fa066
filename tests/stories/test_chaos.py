"""Everything fails now and then at once: each message gets its answer or a reason, once."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.model_server.server import answer
from tests.people import ADA, ALAN, BOT, GRACE, Json, eventually
from tests.stories.story import Story, asked, direct

PEOPLE = (ADA, GRACE, ALAN)
QUESTIONS = 12
"""Of each person."""
CHAOS = {"dropRate": 0.1, "malformedRate": 0.1, "disconnectRate": 0.05, "rateLimitRate": 0.05}
"""Three in ten calls of the model fail."""
TEA = "There is green tea, and there is black tea."


@asynccontextmanager
async def connections_cut(story: Story, every_s: float) -> AsyncIterator[None]:
    """All of the assistant's connections to Slack end every few seconds, unannounced."""

    async def cut() -> None:
        while True:
            await asyncio.sleep(every_s)
            await story.post("faults", socket_kill=1.0)
            await asyncio.sleep(0.1)
            await story.post("faults", socket_kill=0.0)

    cutting = asyncio.create_task(cut())
    try:
        yield
    finally:
        cutting.cancel()
        with suppress(asyncio.CancelledError):
            await cutting


@pytest.mark.timeout(120)
async def test_a_model_slack_and_connections_that_fail_leave_no_message_unanswered(
    story: Story,
) -> None:
    await story.told(answer(TEA, when=asked("tea"), chaos=CHAOS))
    await story.post("faults", errors=0.1, seed=5, clock_rate=30)
    said: list[tuple[str, str]] = []

    async def person(user: str) -> None:
        for number in range(QUESTIONS):
            said.append((user, await story.say(f"What tea is there, number {number}?", user)))
            await asyncio.sleep(0.3)

    async with connections_cut(story, 2.0):
        await asyncio.gather(*(person(user) for user in PEOPLE))
        outcomes = [await outcome(story, user, ts) for user, ts in said]

    assert len(outcomes) == len(PEOPLE) * QUESTIONS
    assert sum(text == TEA for text in outcomes) >= len(outcomes) // 2
    runs = {run.message_ts or "": run for run in await story.runs()}
    assert sorted(runs) == sorted(ts for _, ts in said)
    assert len(await story.runs()) == len(said)


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
