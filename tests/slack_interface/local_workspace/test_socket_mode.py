"""Events over Socket Mode to a real Bolt app: shapes, retries, reconnects, faults."""

import time
from contextlib import suppress

import aiohttp
import pytest
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import AppConfig, LocalWorkspace
from tests.patience import PATIENCE_S
from tests.slack_interface.local_workspace.conftest import Bolt, Script, next_retry, until


async def test_a_mention_arrives_twice_with_one_ts(bolt: Bolt, script: Script) -> None:
    bolt.keep("app_mention", "message")
    sent = await script.say("#general", "ada", "Hello @Virtuous6 & all")
    await until(lambda: len(bolt.bodies) == 2)
    [mention], [message] = bolt.events("app_mention"), bolt.events("message")
    assert mention["ts"] == message["ts"] == sent["ts"]
    assert mention["text"] == message["text"] == "Hello <@U0VIRTUOUS> &amp; all"
    assert (message["channel_type"], "channel_type" in mention) == ("channel", False)
    assert message["client_msg_id"] == sent["client_msg_id"]
    assert len({body["event_id"] for body in bolt.bodies}) == 2
    body = bolt.bodies[0]
    assert (body["api_app_id"], body["team_id"]) == ("A0VIRTUOUS", "T0VIRTUOUS")
    assert body["authorizations"][0]["user_id"] == "U0VIRTUOUS"


async def test_each_direct_message_is_a_root_and_replies_name_it(
    bolt: Bolt, script: Script
) -> None:
    bolt.keep("message", "app_mention")
    root = await script.say("@assistant", "alan", "@Virtuous6 one")
    await script.say("@assistant", "alan", "two", root["ts"])
    await until(lambda: len(bolt.bodies) == 2)
    first, second = bolt.events("message")
    assert (first["channel"], first["channel_type"]) == ("D0ALAN", "im")
    assert "thread_ts" not in first
    assert (second["thread_ts"], second["parent_user_id"]) == (root["ts"], "U0ALAN")
    assert bolt.events("app_mention") == []


async def test_edits_deletions_reactions_joins(bolt: Bolt, script: Script) -> None:
    bolt.keep("message", "reaction_added", "reaction_removed", "member_joined_channel")
    sent = await script.say("#engineering", "ada", "typo")
    here = {"channel": "#engineering", "user": "ada", "ts": sent["ts"]}
    await script.post("reaction", **here, name="tada")
    await script.post("reaction", **here, name="tada", remove=True)
    await script.post("edit-message", **here, text="fixed")
    assert await script.refused("edit-message", **(here | {"user": "alan"}), text="x") == (
        "cant_edit_message"
    )
    await script.post("delete-message", **here)
    await script.post("join", channel="#leadership", user="alan", inviter="ada")
    await until(lambda: len(bolt.bodies) == 6)
    _, changed, deleted = bolt.events("message")
    assert (changed["subtype"], changed["message"]["text"]) == ("message_changed", "fixed")
    assert changed["previous_message"]["text"] == "typo"
    assert (deleted["subtype"], deleted["deleted_ts"]) == ("message_deleted", sent["ts"])
    [added], [removed] = bolt.events("reaction_added"), bolt.events("reaction_removed")
    item = {"type": "message", "channel": "C0ENGINEERING", "ts": sent["ts"]}
    assert added["item"] == removed["item"] == item
    assert (added["reaction"], added["item_user"]) == ("tada", "U0ADA")
    [joined] = bolt.events("member_joined_channel")
    assert (joined["user"], joined["inviter"]) == ("U0ALAN", "U0ADA")


async def test_the_home_and_context_events(bolt: Bolt, script: Script) -> None:
    bolt.keep("app_home_opened", "app_context_changed")
    view = {"type": "home", "blocks": [{"type": "divider"}]}
    await bolt.client.views_publish(user_id="U0ADA", view=view)
    await script.post("open-home", user="ada", tab="home")
    await script.post("open-home", user="ada", tab="messages")
    await script.post("context", user="ada", channel="#general")
    await until(lambda: len(bolt.bodies) == 3)
    home, messages = bolt.events("app_home_opened")
    assert (home["tab"], home["view"]["type"]) == ("home", "home")
    assert (messages["tab"], messages["channel"], messages["context"]) == ("messages", "D0ADA", {})
    [changed] = bolt.events("app_context_changed")
    assert changed["context"]["entities"][0]["value"] == "C0GENERAL"


async def test_only_subscribed_events_in_channels_of_the_app_are_sent() -> None:
    app = AppConfig(events=frozenset(("app_mention",)))
    async with LocalWorkspace(pacing=False, app=app) as workspace:
        bolt, script = Bolt(workspace), Script(workspace)
        bolt.keep("app_mention", "message")
        await bolt.connect()
        await until(workspace.runtime.delivery.is_connected)
        workspace.runtime.workspace.channels["C0ENGINEERING"].members.discard("U0VIRTUOUS")
        await script.say("#engineering", "ada", "@Virtuous6 not here")
        await script.say("#general", "ada", "no mention")
        await script.say("#general", "ada", "@Virtuous6 here")
        await until(lambda: bolt.bodies)
        assert [(e["type"], e["channel"]) for b in bolt.bodies for e in (b["event"],)] == [
            ("app_mention", "C0GENERAL")
        ]
        assert len(await script.deliveries()) == 1
        await bolt.close()
        await script.http.aclose()


class Silent:
    """A Socket Mode client that answers only from attempt `answers_from` on."""

    def __init__(self, workspace: LocalWorkspace, answers_from: int) -> None:
        self.requests: list[SocketModeRequest] = []
        self._answers_from = answers_from
        web = AsyncWebClient(base_url=workspace.api_url)
        self.client = SocketModeClient(workspace.app_token, web_client=web, ping_interval=0.2)
        self.client.socket_mode_request_listeners.append(self._hear)

    async def connect(self) -> None:
        """Connect over Socket Mode."""
        await self.client.connect()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Go away."""
        await self.client.close()  # type: ignore[no-untyped-call]

    async def _hear(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        self.requests.append(request)
        if len(self.requests) > self._answers_from:
            await client.send_socket_mode_response(SocketModeResponse(request.envelope_id))


async def test_what_is_not_acknowledged_comes_again_and_again(
    workspace: LocalWorkspace, script: Script
) -> None:
    await script.post("faults", clock_rate=12)
    silent = Silent(workspace, answers_from=3)
    await silent.connect()
    await until(workspace.runtime.delivery.is_connected)
    await script.say("@assistant", "ada", "anybody?")
    await next_retry(workspace, "timeout", "timeout")
    await until(lambda: len(silent.requests) == 3)
    workspace.runtime.set_faults({"clock_rate": 1})
    await next_retry(workspace, "timeout", "timeout", "timeout")
    await until(lambda: len(silent.requests) == 4)
    assert [r.retry_attempt for r in silent.requests] == [0, 1, 2, 3]
    assert [r.retry_reason for r in silent.requests] == ["", "timeout", "timeout", "timeout"]
    assert len({r.payload["event_id"] for r in silent.requests}) == 1
    assert len({r.envelope_id for r in silent.requests}) == 4

    async def outcomes() -> bool:
        found = [row["outcome"] for row in await script.deliveries()]
        return found == ["timeout", "timeout", "timeout", "acked"]

    await until(outcomes)
    await silent.close()


async def test_an_event_waits_for_an_app_that_comes_later(
    workspace: LocalWorkspace, script: Script
) -> None:
    await script.say("@assistant", "ada", "too early")
    await until(script.deliveries)
    bolt = Bolt(workspace)
    bolt.keep("message")
    await bolt.connect()
    await script.post("faults", clock_rate=1_000)
    [event] = await until(lambda: bolt.events("message"))
    assert event["text"] == "too early"
    await bolt.close()


async def test_a_refresh_makes_the_client_reconnect(bolt: Bolt, script: Script) -> None:
    bolt.keep("message")
    first = bolt.handler.client.current_session
    asked = await script.post("disconnect", reason="refresh_requested")
    assert asked["connections"] == 1

    async def is_back() -> bool:
        connected = (await script.get("/healthz"))["app_connected"]
        return connected and bolt.handler.client.current_session is not first

    await until(is_back)
    # the SDK may replace its new connection once more, and what was sent to that comes again only
    # after Slack's minute: whoever asks again is heard
    for _ in range(10):
        await script.say("@assistant", "ada", "still there?")
        with suppress(TimeoutError):
            await until(lambda: bolt.events("message"), PATIENCE_S / 10)
            return
    pytest.fail("nothing was heard through the new connection")


async def test_connections_share_the_work_and_are_limited(
    workspace: LocalWorkspace, script: Script
) -> None:
    clients = [Silent(workspace, answers_from=0) for _ in range(11)]
    for one in clients:
        one.client.auto_reconnect_enabled = one.client.default_auto_reconnect_enabled = False
        await one.connect()
    await until(lambda: workspace.runtime.sockets.connections == 10)
    for number in range(20):
        await script.say("@assistant", "ada", f"message {number}")
    await until(lambda: sum(len(one.requests) for one in clients) == 20)
    assert sorted(len(one.requests) for one in clients) == [0] + [2] * 10
    for one in clients:
        await one.close()


async def test_a_ticket_works_once(workspace: LocalWorkspace) -> None:
    web = AsyncWebClient(base_url=workspace.api_url)
    url = (await web.apps_connections_open(app_token=workspace.app_token))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as first:
        assert (await first.receive_json())["type"] == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)
        assert workspace.runtime.sockets.connections == 1


async def test_duplicates_share_their_event_id(bolt: Bolt, script: Script) -> None:
    bolt.keep("message")
    await script.post("faults", duplicate=1)
    await script.say("@assistant", "ada", "twice")
    await until(lambda: len(bolt.bodies) == 2)
    assert len({body["event_id"] for body in bolt.bodies}) == 1


async def test_reordered_events_overtake_each_other(bolt: Bolt, script: Script) -> None:
    bolt.keep("message")
    await script.post("faults", reorder=1)
    for text in ("one", "two"):
        await script.say("@assistant", "ada", text)
    await until(lambda: len(bolt.bodies) == 2)
    assert [event["text"] for event in bolt.events("message")] == ["two", "one"]


async def test_delayed_events_arrive_later(bolt: Bolt, script: Script) -> None:
    bolt.keep("message")
    await script.post("faults", delay_ms=150)
    sent = time.monotonic()
    await script.say("@assistant", "ada", "slowly")
    await until(lambda: bolt.bodies)
    assert time.monotonic() - sent >= 0.15


async def test_a_dropped_event_and_a_broken_socket_are_made_good_by_retries(
    workspace: LocalWorkspace, bolt: Bolt, script: Script
) -> None:
    bolt.keep("message")
    await script.post("faults", drop=1, clock_rate=3)
    await script.say("@assistant", "ada", "dropped")
    workspace.runtime.set_faults({"drop": 0})
    await until(lambda: bolt.bodies)
    await script.post("faults", socket_kill=1)
    await script.say("@assistant", "ada", "killed")
    workspace.runtime.set_faults({"socket_kill": 0})

    async def outcomes() -> list[str]:
        found = [row["outcome"] for row in await script.deliveries()]
        return found if found[3:] and found[-1] == "acked" else []

    found = await until(outcomes)
    assert found[:3] == ["dropped", "acked", "timeout"]
    assert set(found[3:-1]) <= {"no_connection"}, "where the app is slow to come back"
    assert [event["text"] for event in bolt.events("message")][-1] == "killed"


async def test_wrong_faults_change_nothing(script: Script) -> None:
    before = await script.get("/_control/faults")
    for wrong in ({"drop": 2}, {"nap": 1}, {"pacing": 1}, {"clock_rate": 0}, {"delay_ms": "1"}):
        error = await script.refused("faults", **{"duplicate": 1, **wrong})
        assert error == "invalid_fault"
    assert await script.get("/_control/faults") == before
