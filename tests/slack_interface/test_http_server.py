"""The HTTP door: what Slack signed comes in, everything else is turned away in words."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from pydantic import SecretStr

from agents.ports import FilesPort
from database.errors import ConfigurationError
from orchestrator.requests import ReplyEvent, Request
from slack_interface import desk, http_server
from slack_interface.http_server import BODY_LIMIT, STALE_S, HttpServer, Listen
from slack_interface.local_workspace.http_push import signature
from slack_interface.slack_bot import SlackBot
from tests.patience import PATIENCE_S
from tests.people import ADA, TEAM, Json, eventually
from tests.slack_interface.world import (
    Settings,
    World,
    finished,
    over_both_transports,
)

JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@pytest.fixture
def transport() -> str:
    return "http"


def said(text: str = "hello", ts: str = "1700000000.000100") -> bytes:
    """A direct message as Slack would send it."""
    event = {"type": "message", "channel": "D0ADA", "channel_type": "im", "user": ADA}
    body = {
        "type": "event_callback",
        "team_id": TEAM,
        "api_app_id": "A0",
        "event_id": f"Ev{ts}",
        "event": event | {"text": text, "ts": ts},
    }
    return json.dumps(body).encode()


def signed(
    world: World, body: bytes, kind: str = JSON, *, secret: str = "", at: float | None = None
) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    return {
        "Content-Type": kind,
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": signature(secret or world.workspace.signing_secret, stamp, body),
    }


async def send(
    world: World, body: bytes, headers: dict[str, str], path: str = "/slack/events", **more: Any
) -> httpx.Response:
    assert world.bot
    method = more.get("method", "POST")
    url = f"http://127.0.0.1:{world.bot.port}{path}"
    sent = {name.encode(): value.encode() for name, value in headers.items()}
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.request(method, url, content=body, headers=sent)


async def assert_nothing_came_of_it(world: World, answer: httpx.Response) -> None:
    await world.idle()
    assert world.orchestrator.requests == []
    assert len(answer.text) < 100
    assert "Traceback" not in answer.text
    assert world.workspace.signing_secret not in answer.text


async def test_what_slack_signed_is_taken_in(world: World) -> None:
    for number, name in enumerate(("events", "interactive", "commands")):
        body = said(f"say {name}", f"1700000000.00010{number}")
        answer = await send(world, body, signed(world, body), f"/slack/{name}")
        assert answer.status_code == 200
    await world.idle()
    texts = {request.text for request in world.orchestrator.requests}
    assert texts == {"say events", "say interactive", "say commands"}


FORGERIES: list[Callable[[World, bytes], dict[str, str]]] = [
    lambda world, body: {"Content-Type": JSON},
    lambda world, body: signed(world, body, secret="another app's"),
    lambda world, body: signed(world, b'{"type":"something else"}'),
    lambda world, body: signed(world, body, at=time.time() - STALE_S - 2),
    lambda world, body: signed(world, body, at=time.time() + STALE_S + 2),
    lambda world, body: signed(world, body) | {"X-Slack-Request-Timestamp": "soon"},
    lambda world, body: signed(world, body) | {"X-Slack-Request-Timestamp": "9" * 5000},
    lambda world, body: signed(world, body) | {"X-Slack-Request-Timestamp": str(time.time())},
    lambda world, body: signed(world, body) | {"X-Slack-Signature": ""},
    lambda world, body: signed(world, body) | {"X-Slack-Signature": "v0=é"},
]


async def test_a_forged_or_stale_request_is_refused(world: World) -> None:
    body = said()
    for number, forged in enumerate(FORGERIES):
        answer = await send(world, body, forged(world, body))
        assert answer.status_code == 401, number
        is_stale = number in (3, 4)
        assert (answer.json()["error"] == "stale_timestamp") == is_stale, number
        await assert_nothing_came_of_it(world, answer)


async def test_a_replayed_request_is_answered_once(world: World) -> None:
    body = said("once")
    headers = signed(world, body)
    statuses = [(await send(world, body, headers)).status_code for _ in range(3)]
    assert statuses == [200, 200, 200]
    await world.idle()
    assert [request.text for request in world.orchestrator.requests] == ["once"]


async def test_other_methods_and_paths_are_refused(world: World) -> None:
    body = said()
    for method, path, status in (
        ("GET", "/slack/events", 405),
        ("PUT", "/slack/events", 405),
        ("POST", "/", 404),
        ("POST", "/slack/events/more", 404),
        ("POST", "/slack/../etc/passwd", 404),
        ("POST", "/health/live", 405),
    ):
        answer = await send(world, body, signed(world, body), path, method=method)
        assert answer.status_code == status, (method, path)
        await assert_nothing_came_of_it(world, answer)


async def test_another_content_type_is_refused(world: World) -> None:
    body = said()
    for kind in ("text/plain", "multipart/form-data; boundary=x", ""):
        answer = await send(world, body, signed(world, body, kind))
        assert answer.status_code == 415, kind
        await assert_nothing_came_of_it(world, answer)


async def test_a_malformed_body_is_refused(world: World) -> None:
    for kind, body in (
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b"[1, 2]"),
        (JSON, b'"text"'),
        (JSON, b"{}"),
        (JSON, b'{"authorizations": 7}'),
        (JSON, b"\xff\xfe{}"),
        (JSON, b'{"a":' * 90_000 + b"1" + b"}" * 90_000),
        (FORM, b""),
        (FORM, b"payload="),
        (FORM, b"payload=not+json"),
        (FORM, b"payload=[]"),
        (FORM, b"&&&"),
    ):
        answer = await send(world, body, signed(world, body, kind))
        assert answer.status_code == 400, (kind, body[:40])
        await assert_nothing_came_of_it(world, answer)


async def raw(world: World, *pieces: bytes) -> bytes:
    """Bytes straight to the port; everything that comes back until it is closed."""
    assert world.bot
    reader, writer = await asyncio.open_connection("127.0.0.1", world.bot.port)
    with closing(writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()


HEAD = b"POST /slack/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def test_a_body_announced_too_large_is_refused_before_it_is_sent(world: World) -> None:
    answer = await raw(world, HEAD + f"Content-Length: {BODY_LIMIT + 1}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_of_unknown_length_is_refused_at_the_limit(world: World) -> None:
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    pieces = [piece] * (BODY_LIMIT // 0x10000 + 1)
    answer = await raw(world, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *pieces)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_at_the_limit_is_taken(world: World) -> None:
    body = said("long")
    body += b" " * (BODY_LIMIT - len(body))
    assert (await send(world, body, signed(world, body))).status_code == 200


async def test_slow_clients_are_hung_up_on(
    quiet_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await quiet_world.start()
    monkeypatch.setattr(http_server, "HEAD_S", 0.05)
    assert await raw(quiet_world, b"POST /slack/events HTTP/1.1\r\nHos") == b""
    monkeypatch.setattr(http_server, "HEAD_S", PATIENCE_S)
    monkeypatch.setattr(http_server, "BODY_S", 0.05)
    answer = await raw(quiet_world, HEAD + b"Content-Length: 100\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_the_url_is_verified_for_slack_only(world: World) -> None:
    body = b'{"type":"url_verification","challenge":"3eZbrw1aB"}'
    answer = await send(world, body, signed(world, body))
    assert (answer.status_code, answer.json()) == (200, {"challenge": "3eZbrw1aB"})
    assert (await send(world, body, signed(world, body, secret="no"))).status_code == 401


@over_both_transports
async def test_a_command_may_speak_of_a_payload(world: World) -> None:
    await world.command("/better", "explain payload=1 & more")
    [whisper] = await world.whispers()
    assert "answer" in whisper["text"]


async def test_a_form_with_an_unknown_action_is_acknowledged_as_in_socket_mode(
    world: World,
) -> None:
    payload = {
        "type": "block_actions",
        "user": {"id": ADA},
        "team": {"id": TEAM},
        "trigger_id": "1.2.abc",
        "actions": [{"action_id": "nobody's", "type": "button"}],
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    assert (await send(world, body, signed(world, body, FORM))).status_code == 200


@over_both_transports
async def test_what_cannot_be_kept_is_not_acknowledged_and_comes_again(world: World) -> None:
    await world.post("faults", clock_rate=12)
    world.rows.failures = 1
    ts = await world.say("important")
    [reply] = await world.replies(ts)
    assert reply["text"] == "You said: important"
    log = (await world.get("log?kind=delivery"))["log"]
    assert [row["outcome"] for row in log if row["name"] == "message"][-1] == "acked"
    assert {row["attempt"] for row in log if row["name"] == "message"} >= {0, 1}


# Readiness


async def health(bot: SlackBot, what: str) -> tuple[int, Json]:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{bot.port}/health/{what}")
        return answer.status_code, answer.json()


@over_both_transports
async def test_it_says_that_it_lives_and_is_ready(quiet_world: World) -> None:
    bot = await quiet_world.start(listen=Listen(port=0))
    assert await health(bot, "live") == (200, {"live": True})
    assert await health(bot, "ready") == (200, {"ready": True, "reasons": []})


async def test_it_is_not_ready_when_the_database_cannot_be_written(world: World) -> None:
    assert world.bot
    world.rows.failures = 1
    status, told = await health(world.bot, "ready")
    assert (status, told["ready"]) == (503, False)
    assert told["reasons"] == ["The database cannot be written; the log says why."]
    assert (await health(world.bot, "live"))[0] == 200
    world.rows.failures = 0
    assert (await health(world.bot, "ready"))[0] == 200


async def test_it_is_not_ready_while_too_much_is_unanswered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "BACKLOG", 1)
    go_on = asyncio.Event()

    async def slow(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        await go_on.wait()
        yield finished(request, "done")

    world.orchestrator.script = slow
    await world.say("think long")
    bot = world.bot
    assert bot

    async def is_not_ready() -> list[str]:
        return list((await health(bot, "ready"))[1]["reasons"])

    assert await eventually(is_not_ready) == ["1 messages are not answered yet."]
    go_on.set()
    await world.idle()
    assert await is_not_ready() == []


async def test_requests_wait_until_somebody_takes_them() -> None:
    async def not_ready() -> list[str]:
        return ["Slack has not said yet who we are."]

    server = HttpServer(Listen(port=0), not_ready, "secret")
    await server.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            base = f"http://127.0.0.1:{server.port}"
            assert (await client.post(f"{base}/slack/events", content=said())).status_code == 503
            assert (await client.get(f"{base}/health/ready")).status_code == 503
    finally:
        await server.stop()


@pytest.mark.parametrize("transport", ["socket"])
async def test_in_socket_mode_the_port_takes_no_requests_of_slack(quiet_world: World) -> None:
    await quiet_world.start(listen=Listen(port=0))
    body = said()
    answer = await send(quiet_world, body, signed(quiet_world, body))
    assert answer.status_code == 404
    await assert_nothing_came_of_it(quiet_world, answer)


# Starting


async def test_without_a_signing_secret_it_does_not_start(quiet_world: World) -> None:
    world = quiet_world
    bot = world.bot_with(
        Settings(SecretStr("xoxb-1"), None, world.workspace.api_url, SecretStr(" "))
    )
    with pytest.raises(ConfigurationError, match="SLACK_SIGNING_SECRET"):
        await bot.start("http")
    assert "Slack has not said yet who we are." in await bot.not_ready()


async def test_a_port_in_use_is_named(quiet_world: World) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} .*--port"):
            await quiet_world.start(listen=Listen(port=port))
    assert quiet_world.bot
    assert not await quiet_world.bot.connected()


async def test_health_is_served_on_loopback_unless_asked_otherwise() -> None:
    assert Listen().host == "127.0.0.1"
