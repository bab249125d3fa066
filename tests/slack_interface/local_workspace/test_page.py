"""What the page gets: state, history, files, live events; and what keeps strangers out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import AppConfig, LocalWorkspace
from tests.slack_interface.local_workspace.conftest import Bolt, Script, until

Json = dict[str, Any]


class Page:
    """An open page of one person: the live events it got."""

    def __init__(self) -> None:
        self.events: list[Json] = []

    def of(self, kind: str) -> list[Json]:
        """The events of one type."""
        return [event for event in self.events if event["type"] == kind]


@asynccontextmanager
async def opened(workspace: LocalWorkspace, user: str) -> AsyncIterator[Page]:
    page = Page()
    url = f"{workspace.url}/_page/live?user={user}".replace("http", "ws", 1)

    async with aiohttp.ClientSession() as session, session.ws_connect(url) as live:

        async def read() -> None:
            async for message in live:
                page.events.append(message.json())

        reading = asyncio.create_task(read())
        await until(lambda: page.events)
        yield page
        reading.cancel()


async def test_the_state_draws_everything(script: Script) -> None:
    state = await script.get("/_page/state?user=ada")
    assert (state["team"]["name"], state["me"]["initials"]) == ("Virtuous6 Local", "AL")
    assert state["me"]["is_approver"] is True
    channels = {channel["name"]: channel for channel in state["channels"]}
    assert channels["leadership"]["kind"] == "private"
    assert channels["Virtuous6"] == {
        "id": "D0ADA",
        "name": "Virtuous6",
        "kind": "im",
        "topic": "",
        "unread": 0,
        "is_member": True,
    }
    alan = await script.get("/_page/state?user=U0ALAN")
    assert "leadership" not in {channel["name"] for channel in alan["channels"]}
    assert [c["id"] for c in alan["channels"] if c["kind"] == "im"] == ["D0ALAN"]


async def test_a_manifest_describes_the_app() -> None:
    manifest = {
        "display_information": {"name": "Six"},
        "features": {
            "agent_view": {
                "agent_description": "Helps",
                "suggested_prompts": [{"title": "T", "message": "M"}],
            },
            "bot_user": {"display_name": "Six"},
            "slash_commands": [
                {"command": "/metrics", "description": "Numbers", "usage_hint": "[days]"}
            ],
        },
        "oauth_config": {"scopes": {"bot": ["chat:write"]}},
        "settings": {"event_subscriptions": {"bot_events": ["message.im"]}},
    }
    app = AppConfig.from_manifest(manifest)
    assert (app.scopes, app.events) == (frozenset({"chat:write"}), frozenset({"message.im"}))
    async with LocalWorkspace(manifest=manifest) as workspace:
        script = Script(workspace)
        state = await script.get("/_page/state?user=ada")
        assert state["assistant"]["description"] == "Helps"
        assert state["prompts"]["prompts"] == [{"title": "T", "message": "M"}]
        assert state["commands"] == [
            {"command": "/metrics", "description": "Numbers", "usage_hint": "[days]"}
        ]
        await script.http.aclose()


async def test_unread_counts_grow_and_are_cleared(script: Script) -> None:
    await script.say("#general", "ada", "one")
    await script.say("#general", "ada", "two")

    async def unread(user: str) -> int:
        state = await script.get(f"/_page/state?user={user}")
        return next(int(c["unread"]) for c in state["channels"] if c["name"] == "general")

    assert (await unread("ada"), await unread("alan")) == (0, 2)
    answer = await script.http.post("/_page/read", json={"user": "alan", "channel": "#general"})
    assert answer.status_code == 200
    assert await unread("alan") == 0


async def test_live_events_reach_those_who_may_see_them(
    workspace: LocalWorkspace, script: Script, client: AsyncWebClient
) -> None:
    async with opened(workspace, "ada") as ada, opened(workspace, "alan") as alan:
        assert ada.events[0] == {"type": "app", "connected": False}
        sent = await script.say("#leadership", "grace", "secret")
        await script.say("#general", "ada", "public")
        await until(lambda: len(ada.of("message")) == 2 and alan.of("message"))
        assert [e["message"]["text"] for e in alan.of("message")] == ["public"]
        await client.chat_postMessage(channel="C0LEADERSHIP", text="reply", thread_ts=sent["ts"])
        await until(lambda: ada.of("message_changed"))
        assert ada.of("message_changed")[-1]["message"]["reply_count"] == 1
        await script.post("reaction", channel="#leadership", ts=sent["ts"], user="ada", name="eyes")
        await until(lambda: "reactions" in ada.of("message_changed")[-1]["message"])
        await script.post("delete-message", channel="#leadership", ts=sent["ts"], user="grace")
        await until(lambda: ada.of("message_deleted"))
        await client.chat_postEphemeral(channel="C0GENERAL", user="U0ADA", text="psst")
        await until(lambda: ada.of("ephemeral"))
        home = {"type": "home", "blocks": [{"type": "divider"}]}
        await client.views_publish(user_id="U0ADA", view=home)
        await until(lambda: ada.of("home"))
        assert {event["type"] for event in alan.events} == {"app", "message"}


async def test_a_stream_is_drawn_as_it_grows(
    workspace: LocalWorkspace, script: Script, client: AsyncWebClient
) -> None:
    asked = await script.say("@assistant", "ada", "question")
    async with opened(workspace, "ada") as page:
        where = {"channel_id": "D0ADA", "thread_ts": asked["ts"]}
        await client.assistant_threads_setStatus(**where, status="is thinking...")
        await client.agents_sessions_setStatus(**where, status="processing", title="Q")
        stream = await client.chat_stream(channel="D0ADA", thread_ts=asked["ts"], buffer_size=1)
        for word in ("one ", "two ", "three"):
            await stream.append(markdown_text=word)
        await until(lambda: page.of("message_changed")[-1]["message"]["text"] == "one two three")
        assert page.of("message_changed")[-1]["message"]["streaming"] is True
        await stream.stop(session_status="active")
        await until(lambda: "streaming" not in page.of("message_changed")[-1]["message"])
        assert [event["status"] for event in page.of("status")] == ["is thinking...", ""]
        assert [event["status"] for event in page.of("session")] == ["processing", "active"]


async def test_the_page_sees_the_app_come_and_go_and_fail(
    workspace: LocalWorkspace, script: Script
) -> None:
    async with opened(workspace, "ada") as page:
        bolt = Bolt(workspace)
        await bolt.connect()
        await until(lambda: page.events[-1] == {"type": "app", "connected": True})
        await bolt.close()
        await until(lambda: page.events[-1] == {"type": "app", "connected": False})
        command = {"channel": "#general", "user": "ada", "command": "/x", "text": ""}
        await script.refused("command", **command)
        await until(lambda: page.of("notice"))


async def test_people_share_files(bolt: Bolt, script: Script) -> None:
    bolt.keep("message", "file_shared")
    path = "/_page/upload?user=ada&channel=%23general"
    files = [("file", ("a ü.csv", b"x,y\n", "text/csv")), ("file", ("b.svg", b"<svg/>", "x/y"))]
    answer = await script.http.post(path, files=files, data={"text": "look"})
    message = answer.json()["message"]
    assert (message["text"], message["subtype"]) == ("look", "file_share")
    await until(lambda: len(bolt.bodies) == 3)
    [event] = bolt.events("message")
    assert [file["name"] for file in event["files"]] == ["a ü.csv", "b.svg"]
    assert {e["file_id"] for e in bolt.events("file_shared")} == {f["id"] for f in event["files"]}
    first, second = event["files"]
    shown = await script.http.get(f"/_page/file/{first['id']}/a.csv")
    assert (shown.content, shown.headers["content-type"]) == (
        b"x,y\n",
        "text/plain; charset=utf-8",
    )
    risky = await script.http.get(f"/_page/file/{second['id']}/b.svg")
    assert risky.headers["content-disposition"].startswith("attachment")
    empty = await script.http.post(path, data={"text": "nothing"})
    assert (empty.status_code, empty.json()["error"]) == (400, "no_file")


async def test_only_members_read_and_write(script: Script) -> None:
    refused = await script.http.get("/_page/history?user=alan&channel=C0LEADERSHIP")
    assert refused.status_code == 403
    say = {"channel": "#leadership", "user": "alan", "text": "hi"}
    assert await script.refused("message", **say) == "not_in_channel"
    assert await script.refused("message", **(say | {"user": "eve"})) == "user_not_found"
    assert await script.refused("message", **(say | {"channel": "#x"})) == "channel_not_found"
    assert await script.refused("message", channel="#general", user="ada") == "missing_field"
    assert await script.refused("message", **(say | {"user": "ada", "text": " "})) == "no_text"
    reply = say | {"user": "ada", "thread_ts": "1.000001"}
    assert await script.refused("message", **reply) == "thread_not_found"


async def test_other_hosts_and_origins_are_refused(
    workspace: LocalWorkspace, script: Script
) -> None:
    bad_host = await script.http.get("/_page/state?user=ada", headers={"Host": "evil.example"})
    assert bad_host.status_code == 403
    api = await script.http.post("/api/api.test", headers={"Host": "evil.example"})
    assert api.status_code == 403
    body = {"channel": "#general", "user": "ada", "text": "hi"}
    foreign = {"Origin": "http://evil.example"}
    assert (await script.http.post("/_control/message", json=body, headers=foreign)).is_error
    form = await script.http.post("/_control/message", data=body)
    assert (form.status_code, form.json()["error"]) == (415, "json_needed")
    own = {"Origin": workspace.url}
    assert (await script.http.post("/_control/message", json=body, headers=own)).is_success
    assert len(await script.messages("C0GENERAL")) == 1
    url = f"{workspace.url}/_page/live?user=ada".replace("http", "ws", 1)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url, headers=foreign)


async def test_the_page_is_served_with_a_strict_policy(workspace: LocalWorkspace) -> None:
    async with httpx.AsyncClient(base_url=workspace.url, trust_env=False) as http:
        page = await http.get("/")
        assert "script-src" not in page.headers["content-security-policy"]
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert (await http.get("/page/../server.py")).status_code == 404


async def test_a_reset_forgets_everything(
    workspace: LocalWorkspace, script: Script, client: AsyncWebClient
) -> None:
    await script.say("#general", "ada", "hi")
    await client.chat_postEphemeral(channel="C0GENERAL", user="U0ADA", text="psst")
    await script.post("faults", duplicate=1)
    await script.post("reset")
    assert await script.messages("C0GENERAL") == []
    assert (await script.get("/_control/ephemeral/ada"))["messages"] == []
    assert (await script.get("/_control/faults"))["duplicate"] == 0
    assert (await script.get("/_control/log"))["log"] == []
