"""Servers that speak like Slack and are not: people get an answer wherever posting works."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr
from structlog.testing import capture_logs

from agents.ports import FilesPort
from agents.turns import TextDelta
from database.errors import ConfigurationError
from goals.ports import TaskOutcome
from orchestrator.requests import ReplyEvent, Request
from slack_interface import socket_mode
from slack_interface.gate import GUEST, NOT_ALLOWED_TO_SEE, STRANGER, UNSURE
from slack_interface.slack_bot import SlackBot
from tests.people import Json, eventually
from tests.slack_interface.goal_samples import ScriptedGoals
from tests.slack_interface.strangers_slack import (
    BOT,
    CHANNEL,
    PERSON,
    StrangersSlack,
    unknown_method,
)
from tests.slack_interface.world import Settings, World, finished

Serve = Callable[[StrangersSlack], Awaitable[StrangersSlack]]
MENTION = f"<@{BOT}> hello"


def page(status: int) -> Callable[[], web.Response]:
    text = "<!doctype html><title>Not here</title>"
    return lambda: web.Response(text=text, status=status, content_type="text/html")


def body(value: Any, status: int = 200) -> Callable[[], web.Response]:
    return lambda: web.json_response(value, status=status)


def no_to_all() -> web.Response:
    return web.json_response({"ok": False})


def bot_on(world: World, url: str) -> SlackBot:
    return world.bot_with(
        Settings(SecretStr("xoxb-1"), SecretStr("xapp-1"), url, SecretStr("secret"))
    )


@pytest.fixture
async def serve(quiet_world: World) -> AsyncIterator[Serve]:
    """Starts the bot on such a server, and returns when it is connected."""
    async with AsyncExitStack() as stack:

        async def start(slack: StrangersSlack) -> StrangersSlack:
            await stack.enter_async_context(slack)
            quiet_world.bot = bot_on(quiet_world, slack.url)
            await quiet_world.bot.start("socket")
            return slack

        yield start
        if quiet_world.bot:
            await quiet_world.bot.stop()
            quiet_world.bot = None


@pytest.mark.parametrize(
    "otherwise",
    [
        pytest.param(unknown_method, id="unknown_method"),
        pytest.param(body({"ok": True}), id="yes-to-all"),
        pytest.param(no_to_all, id="no-to-all"),
        pytest.param(body({"message": "Not Found"}, 404), id="404-json"),
        pytest.param(body([], 200), id="200-list"),
        pytest.param(page(404), id="404-page"),
        pytest.param(page(405), id="405-page"),
        pytest.param(page(501), id="501-page"),
        pytest.param(page(200), id="200-page"),
        pytest.param(lambda: web.Response(status=404), id="404-empty"),
    ],
)
async def test_posting_is_enough_for_an_answer(
    serve: Serve, quiet_world: World, otherwise: Callable[[], web.Response]
) -> None:
    slack = await serve(StrangersSlack(otherwise))
    if otherwise is no_to_all:
        slack.answers["users.info"] = {"ok": True, "user": {"id": PERSON}}
    mentioned = await slack.say(MENTION)
    direct = await slack.say("hi", channel="D1", channel_type="im")
    first, second = sorted(await slack.has_posted(2), key=lambda said: str(said["channel"]))
    assert (first["channel"], first["thread_ts"], first["text"]) == ("D1", direct, "You said: hi")
    assert (second["channel"], second["thread_ts"]) == (CHANNEL, mentioned)
    assert second["text"] == "You said: hello"
    await slack.say("and more", thread_ts=mentioned)
    assert (await slack.has_posted(3))[2]["text"] == "You said: and more"
    assert quiet_world.bot
    await quiet_world.bot.idle()
    assert len(slack.posted) == 3


@pytest.mark.parametrize(
    "otherwise",
    [
        pytest.param(unknown_method, id="unknown_method"),
        pytest.param(body({"ok": True}), id="yes-to-all"),
        pytest.param(page(404), id="404-page"),
    ],
)
@pytest.mark.parametrize("tells_ts", [True, False])
async def test_posting_is_enough_for_a_plan(
    serve: Serve, quiet_world: World, otherwise: Callable[[], web.Response], tells_ts: bool
) -> None:
    goals = quiet_world.goals = ScriptedGoals()
    quiet_world.pace.update_s = 0.02
    slack = await serve(StrangersSlack(otherwise, tells_ts=tells_ts))
    asked = await slack.say(f"<@{BOT}> plan: compare, check and tell")
    await eventually(lambda: posted(slack, "1. Compare three error trackers"), "the plan")
    await slack.say("start", thread_ts=asked)
    await eventually(lambda: posted(slack, "Started"), "its start")
    await goals.works("vendors", TaskOutcome(question="Which region?"))
    await eventually(lambda: posted(slack, "Which region?"), "a question")
    await slack.say("Europe", thread_ts=asked)
    await eventually(lambda: posted(slack, "it goes on"), "that it was heard")
    await goals.all_works()
    await eventually(lambda: posted(slack, "Take Sentry"), "the answer")
    assert quiet_world.bot
    await quiet_world.bot.idle()
    assert {said["thread_ts"] for said in slack.posted} == {asked}
    assert len(slack.posted) <= 9, "no flood of versions"


async def posted(slack: StrangersSlack, text: str) -> bool:
    return any(text in said["text"] for said in slack.posted)


@pytest.mark.parametrize("label", ["text/html", "text/plain", None, "application/json"])
async def test_json_is_read_whatever_it_is_called(serve: Serve, label: str | None) -> None:
    slack = await serve(StrangersSlack(label=label))
    slack.answers["users.info"] = {"ok": True, "user": {"id": PERSON, "is_restricted": True}}
    await slack.say("hi", channel="D1")
    [said] = await slack.has_posted()
    assert said["text"] == GUEST.format(user=PERSON)


async def test_what_is_known_by_post_only_is_asked_by_post(serve: Serve) -> None:
    slack = await serve(StrangersSlack(only_post=True))
    slack.answers["users.info"] = {"ok": True, "user": {"id": PERSON, "is_restricted": True}}
    await slack.say("hi", channel="D1")
    [said] = await slack.has_posted()
    assert said["text"] == GUEST.format(user=PERSON)
    assert [verb for verb, method in slack.asked if method == "users.info"] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("missing_scope", NOT_ALLOWED_TO_SEE),
        ("user_not_found", STRANGER.format(channel="D1")),
        ("user_not_visible", STRANGER.format(channel="D1")),
        ("fatal_error", UNSURE),
    ],
)
async def test_who_is_not_known_is_refused_with_the_reason(
    serve: Serve, error: str, words: str
) -> None:
    slack = await serve(StrangersSlack())
    slack.answers["users.info"] = {"ok": False, "error": error}
    await slack.say("hi", channel="D1")
    [said] = await slack.has_posted()
    assert said["text"] == words


def in_two_halves(first: str, second: str, pause: asyncio.Event) -> Any:
    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        yield TextDelta(first)
        await pause.wait()
        yield TextDelta(second)
        yield finished(request, first + second)

    return script


@pytest.mark.parametrize(
    ("tells_ts", "otherwise"), [(True, unknown_method), (False, body({"ok": True}))]
)
async def test_where_messages_cannot_change_nothing_is_lost_or_said_twice(
    serve: Serve, quiet_world: World, tells_ts: bool, otherwise: Callable[[], web.Response]
) -> None:
    slack = await serve(StrangersSlack(otherwise, tells_ts=tells_ts))
    quiet_world.pace.update_s = 0.05
    for known_by_now in (False, True):
        pause, before = asyncio.Event(), len(slack.posted)
        quiet_world.orchestrator.script = in_two_halves("One half, ", "and the other.", pause)
        await slack.say("hi", channel="D1")
        if not known_by_now:
            await slack.has_posted(before + 1)
        pause.set()
        await recorded(quiet_world, 1 + known_by_now)
        said = [message["text"] for message in slack.posted[before:]]
        assert "".join(said) == "One half, and the other."
        assert len(said) == (1 if known_by_now else 2)


async def recorded(world: World, count: int) -> None:
    async def enough() -> bool:
        return len(world.orchestrator.recorded) == count

    await eventually(enough, f"{count} answers recorded")


async def test_a_short_answer_is_streamed_in_the_form_that_all_know(serve: Serve) -> None:
    slack = await serve(StrangersSlack())
    slack.answers |= {
        "chat.startStream": {"ok": True, "ts": "9.1"},
        "chat.stopStream": {"ok": True},
    }
    await slack.say("hi", channel="D1")

    async def ended() -> Json | None:
        return slack.given.get("chat.stopStream")

    given = await eventually(ended, "the end of the stream")
    assert given["markdown_text"] == "You said: hi"
    assert "chunks" not in given
    assert not slack.posted


async def test_a_server_without_blocks_gets_plain_words(serve: Serve) -> None:
    def choosy(slack: StrangersSlack) -> Callable[[], web.Response]:
        def answer() -> web.Response:
            slack.answers.pop("chat.postMessage")
            return web.json_response({"ok": False, "error": "invalid_arguments"})

        return answer

    slack = StrangersSlack()
    slack.answers["chat.postMessage"] = choosy(slack)
    await serve(slack)
    await slack.say("hi", channel="D1")
    [said] = await slack.has_posted()
    assert said["text"] == "You said: hi"
    assert "blocks" not in said
    assert "metadata" not in said


async def test_a_command_is_obeyed_where_nothing_can_be_whispered(serve: Serve) -> None:
    slack = await serve(StrangersSlack())
    command = {"command": "/metrics", "user_id": PERSON, "channel_id": CHANNEL, "text": ""}
    await slack.send("slash_commands", command)
    [said] = await slack.has_posted()
    assert said["channel"] == PERSON
    assert "last 30 days" in said["text"]


async def test_a_response_url_on_this_machine_is_used(serve: Serve) -> None:
    async with StrangersSlack() as elsewhere:
        slack = await serve(StrangersSlack())
        command = {"command": "/metrics", "user_id": PERSON, "channel_id": CHANNEL, "text": ""}
        url = elsewhere.url.replace("127.0.0.1", "localhost").replace("/api/", "/response")
        await slack.send("slash_commands", command | {"response_url": url})

        async def responded() -> list[Json]:
            return elsewhere.responded

        [said] = await eventually(responded, "an answer by the response_url")
        assert "last 30 days" in said["text"]
        assert not slack.posted


@pytest.mark.parametrize("hello", [True, False])
async def test_one_connection_with_or_without_hello_will_do(
    serve: Serve, hello: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_mode, "SILENCE_S", 0.05)
    with capture_logs() as logs:
        slack = await serve(StrangersSlack(hello=hello, single=True))

        async def content_with_one() -> bool:
            return "slack_takes_one_socket_only" in {line["event"] for line in logs}

        await eventually(content_with_one, "it no longer tries to have two")
        await slack.say(MENTION)
        [said] = await slack.has_posted()
    assert said["text"] == "You said: hello"
    assert len(slack.sockets) == 3


async def test_an_envelope_before_any_hello_is_not_lost(serve: Serve) -> None:
    event = {"type": "message", "user": PERSON, "text": MENTION, "channel": CHANNEL, "ts": "1.2"}
    payload = {"type": "event_callback", "event": event}
    first = {"envelope_id": "early", "type": "events_api", "payload": payload}
    slack = await serve(StrangersSlack(first=first))
    [said] = await slack.has_posted()
    assert said["text"] == "You said: hello"
    assert {"envelope_id": "early"} in slack.acknowledged


async def test_what_comes_by_every_connection_is_done_once(
    serve: Serve, quiet_world: World
) -> None:
    slack = await serve(StrangersSlack())

    async def both() -> bool:
        return len(slack.sockets) == 2

    await eventually(both, "two connections")
    await slack.say("hi", channel="D1")
    await slack.has_posted()
    run = quiet_world.orchestrator.requests[0].run_id
    pressed: Json = {
        "type": "block_actions",
        "user": {"id": PERSON},
        "channel": {"id": "D1"},
        "actions": [{"action_id": "answer_feedback", "value": f"up:{run}"}],
    }
    await recorded(quiet_world, 1)
    await slack.send("interactive", pressed, to_all=True)
    assert quiet_world.bot
    await quiet_world.bot.idle()
    assert [feedback.value for feedback in quiet_world.orchestrator.feedback] == [1.0]


@pytest.mark.parametrize("ending", ["/api", "/api/"])
async def test_the_address_may_end_with_a_slash_or_without(quiet_world: World, ending: str) -> None:
    async with StrangersSlack() as slack:
        bot = bot_on(quiet_world, slack.url.removesuffix("/api/") + ending)
        await bot.start("socket")
        await bot.stop()


@pytest.mark.parametrize(
    ("method", "answer", "says"),
    [
        ("auth.test", unknown_method, "usually ends in /api/"),
        ("auth.test", page(404), "usually ends in /api/"),
        ("auth.test", page(200), "usually ends in /api/"),
        ("auth.test", body({"ok": True}), "usually ends in /api/"),
        ("auth.test", body({"ok": False, "error": "invalid_auth"}), "SLACK_BOT_TOKEN"),
        ("apps.connections.open", unknown_method, "--mode http"),
        ("apps.connections.open", page(404), "--mode http"),
        ("apps.connections.open", body({"ok": True}), "--mode http"),
        ("apps.connections.open", body({"ok": False, "error": "not_authed"}), "SLACK_APP_TOKEN"),
    ],
)
async def test_a_server_without_the_core_is_named_at_the_start(
    quiet_world: World, method: str, answer: Callable[[], web.Response], says: str
) -> None:
    async with StrangersSlack(answers={method: answer}) as slack:
        bot = bot_on(quiet_world, slack.url)
        with pytest.raises(ConfigurationError, match=says):
            await bot.start("socket")
