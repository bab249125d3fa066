"""Each way to address the assistant, and each way it can fail: the person always hears words."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from agents.ports import FilesPort
from database.errors import StoreError
from orchestrator.requests import ReplyEvent, Request
from tests.people import ADA, BOT, Json, eventually, find
from tests.slack_interface.refusals import Refusals
from tests.slack_interface.world import (
    ScriptedOrchestrator,
    ScriptedWorkflows,
    World,
    finished,
)

GENERAL = "C0GENERAL"
SECRETS = ("Traceback", "xoxb-", "KeyError", "sqlite3")


async def seen_by_ada(world: World) -> list[str]:
    """Everything that the bot has said where she can read it, modals and Home included."""
    found: list[Json] = []
    for channel in ("D0ADA", GENERAL):
        for root in (await world.get(f"messages/{channel}"))["messages"]:
            found += [root, *await world.thread(root["ts"], channel)]
    found = [message for message in found if message.get("user") == BOT]
    found += (await world.get(f"ephemeral/{ADA}"))["messages"]
    views = await world.get(f"views/{ADA}")
    return [json.dumps(part) for part in (*found, *views["modals"], views["home"]) if part]


async def hears(world: World, *before: str) -> str:
    """What she sees now and did not see before, once there is something; no secrets in it."""

    async def something() -> str:
        await world.idle()
        return " ".join(text for text in await seen_by_ada(world) if text not in before)

    words = str(await eventually(something, "the person hears something"))
    assert not any(secret in words for secret in SECRETS), words
    return words


async def broken(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
    if request:
        raise KeyError("a bug")
    yield finished(request, "")


async def away(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
    yield finished(request, None, "The model is away. Try again in a minute.")


class Full:
    """A record that can no longer be written or read."""

    async def fail(self, *_: object, **__: object) -> None:
        raise StoreError("The disk is full. Free some space; nothing was half-written.")


async def direct(world: World) -> None:
    await world.say("what is tea?")


async def mention(world: World) -> None:
    await world.say("@Virtuous6 what is tea?", ADA, "general")


async def follow_up(world: World) -> None:
    [root] = [m for m in (await world.get(f"messages/{GENERAL}"))["messages"] if m["user"] == ADA][
        :1
    ]
    await world.say("and coffee?", ADA, "general", thread=root["ts"])


async def better(world: World) -> None:
    await world.command("/better", "shorter", ADA, "general")


async def metrics(world: World) -> None:
    await world.command("/metrics", "me", ADA, "general")


async def save(world: World) -> None:
    await world.command("/save-workflow", "tea", ADA, "general")


async def file(world: World) -> None:
    await world.share("notes.txt", b"tea", "what does this say?")


async def thumb(world: World) -> None:
    answer = await answered(world)
    [buttons] = find(answer["blocks"], "feedback_buttons")
    action = {"type": "feedback_buttons", "action_id": buttons["action_id"]}
    await world.press(answer, action | {"value": buttons["positive_button"]["value"]}, GENERAL)


async def shortcut(world: World) -> None:
    answer = await answered(world)
    where = {"channel": GENERAL, "message_ts": answer["ts"]}
    await world.post("shortcut", user=ADA, callback_id="how_answered", **where)


async def open_home(world: World) -> None:
    await world.post("open-home", user=ADA, tab="home")


async def answered(world: World) -> Json:
    """The answer in #general that was there from the start."""
    [root] = [m for m in (await world.get(f"messages/{GENERAL}"))["messages"] if m["user"] == ADA][
        :1
    ]
    [answer, *_] = await world.replies(root["ts"], GENERAL)
    return answer


Act = Callable[[World], Awaitable[None]]
ANSWERED: list[Act] = [direct, mention, follow_up, better, file]
EVERYTHING: list[Act] = [*ANSWERED, metrics, save, thumb, shortcut, open_home]


async def with_one_answer(world: World) -> list[str]:
    ts = await world.say("@Virtuous6 what is water?", ADA, "general")
    await world.replies(ts, GENERAL)
    return await seen_by_ada(world)


@pytest.mark.parametrize("act", ANSWERED)
@pytest.mark.parametrize(("script", "says"), [(away, "model is away"), (broken, "went wrong")])
async def test_where_no_answer_can_be_made(
    world: World, act: Act, script: Callable[..., AsyncIterator[ReplyEvent]], says: str
) -> None:
    before = await with_one_answer(world)
    world.orchestrator.script = script
    await act(world)
    assert says in await hears(world, *before)


@pytest.mark.parametrize("act", EVERYTHING)
async def test_where_the_record_is_away(
    world: World, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await with_one_answer(world)
    full = Full()
    for name in ("run", "runs", "run_of_message", "last_reply", "person", "metrics", "thread"):
        monkeypatch.setattr(world.store, name, full.fail)
    monkeypatch.setattr(ScriptedOrchestrator, "give_feedback", full.fail)
    monkeypatch.setattr(ScriptedWorkflows, "save", full.fail)
    await act(world)
    heard = await hears(world, *before)
    assert "The disk is full" in heard or (act in ANSWERED and "You said: " in heard)


@pytest.mark.parametrize("act", [direct, mention, better, metrics, save, file])
async def test_where_nothing_can_be_taken_in(world: World, act: Act) -> None:
    before = await with_one_answer(world)
    await world.post("faults", clock_rate=60)
    world.rows.failures = 1_000
    await act(world)
    assert "The disk is full" in await hears(world, *before)


async def test_where_slack_does_not_show_what_only_one_person_sees(
    quiet_world: World, refusals: Refusals
) -> None:
    refusals.refuse("chat.postEphemeral", "user_not_in_channel")
    before = await with_one_answer(quiet_world)
    await thumb(quiet_world)
    assert "Thank you" in await hears(quiet_world, *before)


async def test_where_slack_shows_no_answer_in_a_channel(
    quiet_world: World, refusals: Refusals
) -> None:
    before = await with_one_answer(quiet_world)
    for method in ("chat.startStream", "chat.postMessage"):
        refusals.refuse(method, "not_in_channel")
    await mention(quiet_world)
    assert "invite me" in await hears(quiet_world, *before)


async def test_a_button_a_form_and_a_trigger_that_are_too_old(
    quiet_world: World, refusals: Refusals
) -> None:
    world = quiet_world
    before = await with_one_answer(world)
    assert world.bot
    [desk] = world.bot.desks
    blocks = [{"type": "actions", "elements": [
        {"type": "button", "action_id": "gone", "text": {"type": "plain_text", "text": "Old"}},
        {"type": "button", "action_id": "improve_answer", "value": "not json",
         "text": {"type": "plain_text", "text": "Bad"}}]}]  # fmt: skip
    ts = await desk.voice.post("D0ADA", "old buttons", blocks)
    before = await seen_by_ada(world)
    await world.press({"ts": ts}, {"type": "button", "action_id": "gone"})
    assert "older version" in await hears(world, *before)
    before = await seen_by_ada(world)
    bad = {"type": "button", "action_id": "improve_answer", "value": "not json"}
    await world.press({"ts": ts}, bad)
    assert "older version" in await hears(world, *before)
    before = await seen_by_ada(world)
    refusals.refuse("views.open", "expired_trigger_id")
    answer = await answered(world)
    where = {"channel": GENERAL, "message_ts": answer["ts"]}
    await world.post("shortcut", user=ADA, callback_id="improve_answer", **where)
    assert "press it again" in await hears(world, *before)
