"""When models, Slack or this process fail: a fallback or a clear reason, and nothing twice."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.model_server.server import answer, failure
from tests.people import ADA, GRACE, eventually, find
from tests.stories.story import Story, asked

ROOT = Path(__file__).parents[2]
TEA = asked("tea")


@pytest.mark.parametrize(
    ("fixture", "says", "kind"),
    [
        (failure(401, when=TEA), "refused the API key", "ModelRefusedKey"),
        (failure(429, when=TEA, retry_after=90), "Try again in 90 seconds", "ModelRateLimited"),
        (failure(503, when=TEA), "Try again in a moment", "ModelUnavailable"),
        (answer("x", when=TEA, chaos={"malformedRate": 1}), "OPENAI_BASE_URL", "Malformed"),
        (answer(" ", when=TEA), "Ask again", "ModelAnswerEmpty"),
    ],
)
async def test_a_failing_model_is_explained_recorded_and_recovered_from(
    story: Story, fixture: Mapping[str, Any], says: str, kind: str
) -> None:
    await story.told(fixture)

    reply = await story.ask("Do you like tea?")

    assert reply["text"].startswith(":warning: I could not answer.")
    assert says in reply["text"]
    assert find(reply["blocks"], "feedback_buttons") == [], "there is nothing to judge"
    [run] = await story.runs()
    assert run.reply is None
    assert run.error
    assert kind in run.error
    assert [step.ok for step in run.steps] == [False]
    await story.told(answer("I do!", when=TEA))
    again = await story.say("And now, tea?", thread=reply["thread_ts"])
    assert again
    assert (await story.replies(reply["thread_ts"], count=2))[1]["text"] == "I do!"


async def test_a_model_that_is_away_is_explained(quiet_story: Story) -> None:
    update = {"openai_base_url": "http://127.0.0.1:9/v1"}
    quiet_story.settings = quiet_story.settings.model_copy(update=update)
    await quiet_story.start()

    reply = await quiet_story.ask("Do you like tea?")

    assert "cannot be reached" in reply["text"]
    assert "virtuous6 doctor" in reply["text"]


async def test_an_answer_that_breaks_off_is_kept_and_said_to_be_incomplete(story: Story) -> None:
    long = "There is green tea and black tea and white tea. " * 10
    await story.told(answer(long, when=TEA, latency=10, truncateAfterChunks=6))

    reply = await story.ask("What tea is there?")

    assert reply["text"].startswith("There is green tea")
    assert ":warning: My answer broke off." in reply["text"]
    assert find(reply["blocks"], "feedback_buttons")
    [run] = await story.runs()
    assert run.reply
    assert long.startswith(run.reply)
    assert run.error
    assert run.error.startswith("ModelAnswerCut")


async def test_an_answer_that_reached_its_length_says_so_and_goes_on_when_asked(
    story: Story,
) -> None:
    cut = answer("There is green tea and", when=TEA)
    cut["response"]["finishReason"] = "length"
    await story.told(cut, answer("black tea.", when=asked("The rest")))

    reply = await story.ask("What tea is there?")

    assert reply["text"].startswith("There is green tea and")
    assert "Ask for the rest" in reply["text"]
    await story.say("The rest, please", thread=reply["thread_ts"])
    assert (await story.replies(reply["thread_ts"], count=2))[1]["text"] == "black tea."
    assert (await story.prompts())[-1][-2]["content"] == "There is green tea and"
    first, second = await story.runs()
    assert first.reply == "There is green tea and"
    assert first.error
    assert first.error.startswith("ModelAnswerCut")
    assert second.error is None


async def test_a_specialist_that_cannot_answer_is_replaced_by_the_generalist(story: Story) -> None:
    coder = story.house.pool.definitions["coder"].system_prompt[:60]
    question = "Write a regular expression that matches a postcode"
    await story.told(
        answer(" ", when=asked("postcode", systemMessage=coder)),
        answer("`[0-9]{5}`", when=asked("postcode")),
    )

    reply = await story.ask(question)

    assert reply["text"] == "`[0-9]{5}`"
    [run] = await story.runs()
    assert run.agent == "generalist"
    assert run.route
    assert run.route["tried"] == ["coder", "generalist"]
    assert [step.ok for step in run.steps] == [False, True]
    assert run.error is None


async def test_a_provider_that_asks_to_wait_is_waited_for_unseen(story: Story) -> None:
    wait = failure(429, when=TEA | {"sequenceIndex": 0}, retry_after=0)
    await story.told(wait, answer("I do!", when=TEA))
    assert (await story.ask("Do you like tea?"))["text"] == "I do!"


async def test_through_lost_doubled_and_reordered_deliveries_each_is_answered_once(
    story: Story,
) -> None:
    await story.told(answer("I do!", when=TEA))
    await story.post(
        "faults", duplicate=0.5, drop=0.3, reorder=0.3, socket_kill=0.2, seed=7, clock_rate=40
    )
    asked_at = [await story.say(f"Do you like tea number {n}?", GRACE) for n in range(6)]

    for ts in asked_at:
        [reply] = await story.replies(ts, "D0GRACE")
        assert reply["text"] == "I do!"
    runs = await story.runs()
    assert sorted(run.thread_ts or "" for run in runs) == sorted(asked_at)


async def test_slack_that_fails_and_limits_is_tried_again(story: Story) -> None:
    await story.told(answer("I do!", when=TEA))
    await story.post("faults", errors=0.2, rate_limit=0.2, seed=3, clock_rate=20)
    for number in range(3):
        reply = await story.ask(f"Do you like tea number {number}?")
        assert reply["text"] == "I do!"
    assert len(await story.runs()) == 3


@asynccontextmanager
async def served(story: Story) -> AsyncIterator[asyncio.subprocess.Process]:
    """The assistant as a process of its own, killed in the end if it is still there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "virtuous6.py", "serve", "--mode", story.transport, "--port", "0",
        cwd=ROOT, env=os.environ | story.environment(), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    try:
        async with asyncio.timeout(90):
            said = ""
            while not (address := re.search(r"http://[\d.]+:\d+", said)):
                said = (await process.stdout.readline()).decode()
                assert said, "the assistant did not start"
        if story.transport == "http":
            await story.workspace.set_request_url(f"{address.group()}/slack/events")
        await story.connected()
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.timeout(180)
async def test_what_was_asked_of_a_killed_process_is_answered_by_the_next_one_once(
    quiet_story: Story,
) -> None:
    """Ada's answer has begun when the process is killed, Grace's has not."""
    story = quiet_story
    kinds = "There is green tea, black tea and white tea. " * 9
    await story.told(
        answer(kinds, when=TEA, latency=400),
        answer(kinds, when=asked("coffee"), streamingProfile={"ttft": 60_000}),
    )
    async with served(story) as process:
        tea = await story.say("What tea is there?")
        coffee = await story.say("What coffee is there?", GRACE)

        async def under_way() -> bool:
            return bool(await story.thread(tea)) and len(await story.prompts()) == 2

        await eventually(under_way, "both answers are under way")
        process.kill()
        await process.wait()
    await story.told(answer("Green tea.", when=TEA), answer("Mocha.", when=asked("coffee")))

    await story.start()

    await story.idle()
    to_ada = [reply["text"] for reply in await story.replies(tea)]
    to_grace = [reply["text"] for reply in await story.replies(coffee, "D0GRACE")]
    assert to_grace == ["Mocha."]
    assert to_ada[-1] == "Green tea."
    assert sum("Green tea." in text for text in to_ada) == 1
    assert {run.request: (run.reply, run.error) for run in await story.runs()} == {
        "What tea is there?": ("Green tea.", None),
        "What coffee is there?": ("Mocha.", None),
    }
    await story.stop()
    await story.start()
    await story.idle()
    assert len(await story.prompts()) == 2


async def test_commands_without_or_with_odd_words_get_help(story: Story) -> None:
    await story.told(answer("I do!", when=TEA))
    for command, text, says in (
        ("/better", "x", "not answered you here yet"),
        ("/save-workflow", "x", "not answered you here yet"),
        ("/metrics", "bananas", "I do not understand “bananas”"),
        ("/metrics", "@nobody", "I know nobody"),
    ):
        before = len((await story.get(f"ephemeral/{ADA}"))["messages"])
        await story.command(command, text)
        assert says in (await story.whispers(count=before + 1))[-1]["text"]
    help_ = await story.ask("help")
    assert "/better shorter" in help_["text"]
    assert await story.runs() == []
