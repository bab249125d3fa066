"""Socket Mode: connections come and go, and nobody notices."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
import httpx
import pytest
from aiohttp import web
from slack_bolt.response import BoltResponse
from structlog.testing import capture_logs

from database.errors import ConfigurationError
from slack_interface import socket_mode
from slack_interface.http_server import Listen
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.config import Limits
from slack_interface.socket_mode import SocketMode
from slack_interface.web_client import web_client
from tests.patience import PATIENCE_S
from tests.people import TEAM, Json, People, eventually
from tests.slack_interface.refusals import Refusal, Refusals
from tests.slack_interface.world import MANIFEST, World


def sockets(world: World) -> int:
    return world.workspace.runtime.sockets.connections


async def count(world: World, expected: int) -> None:
    async def is_it() -> bool:
        return sockets(world) == expected

    await eventually(is_it, f"{expected} connections")


def counted(world: World) -> list[int]:
    """How many connections there are, after every change from here on."""
    hub = world.workspace.runtime.sockets
    seen: list[int] = []
    before = hub._changed

    def changed() -> None:
        seen.append(len(hub._connections))
        before()

    hub._changed = changed
    return seen


async def outcomes(world: World) -> list[tuple[int, str]]:
    """Attempt number and outcome of each delivery."""
    rows = (await world.get("log?kind=delivery"))["log"]
    return [(row["attempt"], row["outcome"]) for row in rows]


async def answered(world: World, texts: list[str]) -> None:
    """Say them at once; each is answered once."""
    said = await asyncio.gather(*(world.say(text) for text in texts))
    for ts, text in zip(said, texts, strict=True):
        replies = await world.replies(ts)
        assert [reply["text"] for reply in replies] == [f"You said: {text}"]


async def test_several_connections_share_the_work(world: World) -> None:
    await count(world, 2)
    await answered(world, ["one", "two", "three"])
    assert set(await outcomes(world)) == {(0, "acked")}


async def test_an_announced_end_is_met_by_a_successor_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_mode, "RETIRE_S", 0.05)
    await count(world, 2)
    seen = counted(world)
    await world.post("disconnect", reason="warning")

    async def replaced() -> bool:
        return len(seen) >= 4 and seen[-1] == 2

    await eventually(replaced, "two successors, and the former ones closed")
    assert min(seen) >= 2
    await answered(world, ["after the change"])
    assert set(await outcomes(world)) == {(0, "acked")}


async def test_refreshes_leave_no_gap(quiet_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slack warns ten seconds before it closes a connection; here it does so twice a second."""
    monkeypatch.setattr(socket_mode, "RETIRE_S", 0.05)
    hub = quiet_world.workspace.runtime.sockets
    hub._limits = Limits(socket_refresh_s=11.0)
    await quiet_world.post("faults", clock_rate=2)
    await quiet_world.start()
    seen = counted(quiet_world)
    for number in range(12):
        await answered(quiet_world, [f"message {number}"])

    async def refreshed() -> bool:
        return len(seen) >= 8

    await eventually(refreshed, "several refreshes")
    assert min(seen) >= 1
    assert {outcome for _, outcome in await outcomes(quiet_world)} == {"acked"}
    assert {number for number, _ in await outcomes(quiet_world)} == {0}


async def test_closed_without_a_warning_it_is_back_at_once_and_nothing_is_lost(
    world: World,
) -> None:
    await count(world, 2)
    await world.post("faults", clock_rate=100)
    for reason in ("refresh_requested", "link_disabled"):
        assert (await world.post("disconnect", reason=reason))["connections"]
        await answered(world, [f"a {reason}", f"b {reason}"])
    await count(world, 2)


async def test_killed_sockets_lose_nothing(world: World) -> None:
    """What was not acknowledged comes again, after a minute and five; the clock is quick."""
    await world.post("faults", socket_kill=0.5, clock_rate=100)
    for number in range(12):
        await answered(world, [f"message {number}"])
    await world.post("faults", socket_kill=0.0)
    await count(world, 2)


@dataclass(slots=True)
class Gateway:
    """A WebSocket of Slack's that a test holds in its hands; it does not answer pings."""

    first: str = json.dumps({"type": "hello"})
    opened: list[web.WebSocketResponse] = field(default_factory=list)
    received: list[Json] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/link", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"ws://127.0.0.1:{self._runner.addresses[0][1]}/link"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner
        await self._runner.cleanup()

    def once(self, times: int = 1) -> Refusal:
        """For apps.connections.open: leads here, and then where it should."""
        return Refusal({"ok": True, "url": self.url}, times)

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        self.opened.append(socket)
        await socket.send_str(self.first)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.received.append(json.loads(message.data))
        return socket


@dataclass(slots=True)
class Apart:
    """Socket Mode by itself, with an app that notes what it hears."""

    connection: SocketMode
    heard: list[str]

    async def connects(self) -> None:
        """Return when Slack has greeted us; it counts a connection before that."""

        async def is_connected() -> bool:
            return self.connection.connected()

        await eventually(is_connected, "a connection")

    async def hears(self, text: str) -> None:
        async def did() -> bool:
            return text in self.heard

        await eventually(did, f"{text} is heard")


@asynccontextmanager
async def apart(world: World, api_url: str, **more: Any) -> AsyncIterator[Apart]:
    heard: list[str] = []
    async with aiohttp.ClientSession() as session:

        async def take(payload: Json, headers: Mapping[str, str]) -> BoltResponse:
            if payload["event"]["type"] == "message":
                heard.append(payload["event"]["text"])
            return BoltResponse(status=200)

        web = web_client(None, api_url, session)
        connection = SocketMode(
            take, web, session, world.workspace.app_token, connections=1, **more
        )
        await connection.start()
        try:
            yield Apart(connection, heard)
        finally:
            await connection.stop()


def envelope(name: str, payload: Any) -> str:
    return json.dumps({"type": "events_api", "envelope_id": name, "payload": payload})


async def test_a_dead_socket_is_noticed_replaced_and_told_of(quiet_world: World) -> None:
    async with Refusals(quiet_world.workspace.api_url) as slack, Gateway() as gateway:
        slack.by_method["apps.connections.open"] = gateway.once()
        with capture_logs() as logs:
            async with apart(quiet_world, slack.url, ping_s=0.1) as here:
                assert sockets(quiet_world) == 0
                here.connection._ping_s = PATIENCE_S  # the next one is not dead for being slow
                await count(quiet_world, 1)
                await quiet_world.say("are you there?")
                await here.hears("are you there?")
    ends = [row["reason"] for row in logs if row["event"] == "slack_socket_ended"]
    assert len(ends) == 1
    assert "PONG" in ends[0]


async def test_noise_on_the_line_hurts_nothing(quiet_world: World) -> None:
    event = {"type": "message", "channel": "D0ADA", "user": "U0ADA", "ts": "1.0", "text": "clear"}
    async with Refusals(quiet_world.workspace.api_url) as slack, Gateway() as gateway:
        slack.by_method["apps.connections.open"] = gateway.once()
        async with apart(quiet_world, slack.url) as here:
            [socket] = gateway.opened
            for text in (
                "", "not JSON", "[1]", '{"type": "unheard of"}', envelope("e1", [1]),
                envelope("e2", {}), envelope("e3", {"authorizations": 7}), envelope("e4", None),
            ):  # fmt: skip
                await socket.send_str(text)
            await socket.send_bytes(b"\xff\x00")
            good = {"type": "event_callback", "team_id": TEAM, "event_id": "Ev1", "event": event}
            await socket.send_str(envelope("good", good))
            await here.hears("clear")

            async def acknowledged() -> list[Json]:
                return gateway.received

            assert await eventually(acknowledged) == [{"envelope_id": "good"}]


async def test_a_connection_too_many_is_tried_again_with_advice(
    quiet_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_mode, "FIRST_PAUSE_S", 0.01)
    async with Refusals(quiet_world.workspace.api_url) as slack, Gateway() as gateway:
        gateway.first = json.dumps({"type": "disconnect", "reason": "too_many_websockets"})
        slack.by_method["apps.connections.open"] = gateway.once(times=3)
        with capture_logs() as logs:
            async with apart(quiet_world, slack.url) as here:
                assert not here.connection.connected()
                await here.connects()
                assert sockets(quiet_world) == 1
    advised = [row for row in logs if "stop some" in str(row)]
    assert len(advised) == 3
    pauses = [row["in_s"] for row in logs if row["event"] == "slack_socket_tried_again_later"]
    assert pauses == sorted(pauses)


async def test_it_comes_back_when_slack_was_away(
    quiet_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_mode, "FIRST_PAUSE_S", 0.02)
    secrets = quiet_world.workspace.config.secrets
    async with AsyncExitStack() as first:
        slack = LocalWorkspace(manifest=MANIFEST, secrets=secrets)
        await first.enter_async_context(slack)
        async with apart(quiet_world, slack.api_url) as here:
            await first.aclose()

            async def is_cut_off() -> bool:
                return not here.connection.connected()

            await eventually(is_cut_off)
            port = slack.config.port
            async with (
                LocalWorkspace(port, manifest=MANIFEST, secrets=secrets) as again,
                httpx.AsyncClient(base_url=again.url) as http,
            ):
                people = People(again, http)
                await people.connected()
                await people.say("welcome back")
                await here.hears("welcome back")


async def test_it_is_not_ready_while_no_connection_can_be_opened(
    quiet_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_mode, "FIRST_PAUSE_S", 0.02)
    async with Refusals(quiet_world.workspace.api_url) as slack:
        bot = await quiet_world.start(slack.url, Listen(port=0))
        await count(quiet_world, 2)
        slack.refuse("apps.connections.open", "internal_error")
        await quiet_world.post("disconnect", reason="link_disabled")

        async def reasons() -> list[str]:
            return await bot.not_ready()

        assert await eventually(reasons) == ["There is no connection to Slack."]
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{bot.port}/health/ready")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        slack.by_method.clear()

        async def ready() -> bool:
            return await bot.not_ready() == []

        await eventually(ready, "it is ready")


async def test_a_refused_app_token_is_named(quiet_world: World) -> None:
    async with Refusals(quiet_world.workspace.api_url) as slack:
        slack.refuse("apps.connections.open", "invalid_auth")
        with pytest.raises(ConfigurationError, match="SLACK_APP_TOKEN"):
            await quiet_world.start(slack.url)
