"""The Web API as slack_sdk sees it: arguments, tokens, scopes, posting, reading."""

import time
from typing import Any

import httpx
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import AppConfig, LocalWorkspace
from slack_interface.local_workspace.activity_log import ActivityLog, ApiCall
from slack_interface.local_workspace.config import DEFAULT_SCOPES
from tests.slack_interface.local_workspace.conftest import Script, until


def code(problem: pytest.ExceptionInfo[SlackApiError]) -> str:
    return str(problem.value.response["error"])


async def test_the_token_decides_who_may_call(workspace: LocalWorkspace) -> None:
    async with httpx.AsyncClient(base_url=workspace.api_url, trust_env=False) as http:
        assert (await http.post("auth.test")).json()["error"] == "not_authed"
        for token, error in (
            ("xoxb-wrong", "invalid_auth"),
            (workspace.app_token, "not_allowed_token_type"),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            assert (await http.post("auth.test", headers=headers)).json()["error"] == error
        bot = {"Authorization": f"Bearer {workspace.bot_token}"}
        opened = await http.post("apps.connections.open", headers=bot)
        assert opened.json()["error"] == "not_allowed_token_type"
        answer = await http.post("auth.test", headers=bot)
        assert answer.json()["user_id"] == "U0VIRTUOUS"
        assert "chat:write" in answer.headers["x-oauth-scopes"]
        unknown = await http.post("chat.shout", headers=bot)
        assert unknown.json()["error"] == "unknown_method"


async def test_arguments_come_as_query_form_json_or_multipart(workspace: LocalWorkspace) -> None:
    where = {"channel": "C0GENERAL", "text": "hello"}
    bot = {"Authorization": f"Bearer {workspace.bot_token}"}
    async with httpx.AsyncClient(base_url=workspace.api_url, trust_env=False) as http:
        url = "chat.postMessage"
        sent = [
            await http.get(url, params=where, headers=bot),
            await http.post(url, params=where, headers=bot),
            await http.post(url, data=where, headers=bot),
            await http.post(url, data={**where, "token": workspace.bot_token}),
            await http.post(url, json=where, headers=bot),
            await http.post(url, data=where, files={"x": b"y"}, headers=bot),
        ]
        assert [answer.json()["ok"] for answer in sent] == [True] * 6
        broken = {**bot, "Content-Type": "application/json"}
        answer = await http.post(url, content=b"{", headers=broken)
        assert answer.json()["error"] == "invalid_json"
        answer = await http.post(url, content=b"[1]", headers=broken)
        assert answer.json()["error"] == "json_not_object"


async def test_a_missing_scope_is_named() -> None:
    app = AppConfig(scopes=DEFAULT_SCOPES - {"reactions:write", "im:history"})
    async with LocalWorkspace(pacing=False, app=app) as workspace:
        client = AsyncWebClient(workspace.bot_token, base_url=workspace.api_url)
        with pytest.raises(SlackApiError) as problem:
            await client.reactions_add(channel="C0GENERAL", name="eyes", timestamp="1.000001")
        assert code(problem) == "missing_scope"
        assert problem.value.response["needed"] == "reactions:write"
        with pytest.raises(SlackApiError) as problem:
            await client.conversations_history(channel="D0ADA")
        assert problem.value.response["needed"] == "im:history"


async def test_posting_editing_deleting(client: AsyncWebClient, script: Script) -> None:
    metadata = {"event_type": "reply", "event_payload": {"run_id": "r1"}}
    posted = await client.chat_postMessage(channel="#general", text="one", metadata=metadata)
    ts = posted["ts"]
    assert posted["message"]["metadata"] == metadata
    await client.chat_update(channel="C0GENERAL", ts=ts, text="two")
    [message] = await script.messages("%23general")
    assert (message["text"], "edited" in message) == ("two", True)
    link = await client.chat_getPermalink(channel="C0GENERAL", message_ts=ts)
    assert link["permalink"].endswith(f"/archives/C0GENERAL/p{ts.replace('.', '')}")
    await client.chat_delete(channel="C0GENERAL", ts=ts)
    assert await script.messages("C0GENERAL") == []


async def test_who_a_message_is_from_and_its_own_id_are_kept(client: AsyncWebClient) -> None:
    more = {"username": "Six", "icon_emoji": ":six:", "client_msg_id": "m-1"}
    sent = {"channel": "C0GENERAL", "text": "x", **more}
    message = (await client.api_call("chat.postMessage", json=sent))["message"]
    assert (message["username"], message["icons"]) == ("Six", {"emoji": ":six:"})
    assert (message["client_msg_id"], message["bot_id"]) == ("m-1", "B0VIRTUOUS")


def test_the_log_is_a_ring_and_can_be_narrowed() -> None:
    log = ActivityLog(size=3)
    for number in range(5):
        log.add(ApiCall(f"m{number}", {}, 200, None, 0.1))
    assert [row["method"] for row in log.rows()] == ["m2", "m3", "m4"]
    assert [row["method"] for row in log.rows(limit=1)] == ["m4"]
    assert [row["method"] for row in log.rows(method="m3")] == ["m3"]
    assert log.rows(kind="delivery") == []


async def test_what_cannot_be_posted(client: AsyncWebClient, script: Script) -> None:
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"channel": "C0NOWHERE", "text": "x"}, "channel_not_found"),
        ({"channel": "C0GENERAL"}, "no_text"),
        ({"channel": "C0GENERAL", "text": "x", "thread_ts": "1.000001"}, "thread_not_found"),
        ({"channel": "C0GENERAL", "text": "x", "metadata": {"a": 1}}, "invalid_metadata_format"),
        ({"channel": "C0GENERAL", "text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
        ({"channel": "C0GENERAL", "markdown_text": "y" * 12_001}, "msg_too_long"),
        ({"channel": "C0GENERAL", "text": "x", "blocks": "{"}, "invalid_blocks_format"),
    ]
    for arguments, error in refusals:
        with pytest.raises(SlackApiError) as problem:
            await client.api_call("chat.postMessage", json=arguments)
        assert code(problem) == error, arguments
    assert await script.messages("C0GENERAL") == []
    theirs = await script.say("C0GENERAL", "ada", "mine")
    for method in ("chat_update", "chat_delete"):
        more = {"text": "x"} if method == "chat_update" else {}
        with pytest.raises(SlackApiError) as problem:
            await getattr(client, method)(channel="C0GENERAL", ts=theirs["ts"], **more)
        assert code(problem) in ("cant_update_message", "cant_delete_message")
    own = await client.chat_postMessage(channel="C0GENERAL", text="x" * 50_000)
    assert len(own["message"]["text"]) == 40_000
    with pytest.raises(SlackApiError) as problem:
        await client.chat_update(channel="C0GENERAL", ts=own["ts"], text="x" * 4_001)
    assert code(problem) == "msg_too_long"


async def test_history_is_paged_newest_first_and_threads_oldest_first(
    client: AsyncWebClient, script: Script
) -> None:
    roots = [await script.say("C0GENERAL", "ada", f"root {n}") for n in range(5)]
    for n in range(5):
        await script.say("C0GENERAL", "alan", f"reply {n}", roots[0]["ts"])
    seen = []
    async for page in await client.conversations_history(channel="C0GENERAL", limit=2):
        seen += [message["text"] for message in page["messages"]]
    assert seen == [f"root {n}" for n in (4, 3, 2, 1, 0)]
    replies = []
    async for page in await client.conversations_replies(
        channel="C0GENERAL", ts=roots[0]["ts"], limit=3
    ):
        replies += [message["text"] for message in page["messages"]]
    assert replies == ["root 0"] + [f"reply {n}" for n in range(5)]
    window = await client.conversations_history(
        channel="C0GENERAL", oldest=roots[1]["ts"], latest=roots[3]["ts"], inclusive=True
    )
    assert [m["text"] for m in window["messages"]] == ["root 3", "root 2", "root 1"]
    last = await client.conversations_history(channel="C0GENERAL", oldest=roots[3]["ts"])
    assert [m["text"] for m in last["messages"]] == ["root 4"]
    [root] = (await client.conversations_history(channel="C0GENERAL", latest=roots[1]["ts"]))[
        "messages"
    ]
    assert (root["reply_count"], root["reply_users"]) == (5, ["U0ALAN"])


async def test_people_and_places(client: AsyncWebClient) -> None:
    members = (await client.users_list())["members"]
    assert {m["name"] for m in members} >= {"ada", "grace", "alan"}
    ada = (await client.users_info(user="U0ADA"))["user"]
    assert (ada["real_name"], ada["is_admin"]) == ("Ada Lovelace", True)
    found = await client.users_lookupByEmail(email="grace@virtuous6.example")
    assert found["user"]["id"] == "U0GRACE"
    types = "public_channel,private_channel,im"
    listed = (await client.conversations_list(types=types))["channels"]
    assert {c["id"] for c in listed} >= {"C0GENERAL", "C0LEADERSHIP", "D0ADA"}
    assert (await client.conversations_open(users="U0ADA"))["channel"]["id"] == "D0ADA"
    in_private = (await client.conversations_members(channel="C0LEADERSHIP"))["members"]
    assert in_private == ["U0ADA", "U0GRACE", "U0VIRTUOUS"]
    assert (await client.team_info())["team"]["id"] == "T0VIRTUOUS"
    assert (await client.bots_info(bot="B0VIRTUOUS"))["bot"]["user_id"] == "U0VIRTUOUS"
    with pytest.raises(SlackApiError) as problem:
        await client.users_info(user="U0NOBODY")
    assert code(problem) == "user_not_found"


async def test_reactions(client: AsyncWebClient, script: Script) -> None:
    message = await script.say("C0GENERAL", "ada", "hi")
    where = {"channel": "C0GENERAL", "timestamp": message["ts"]}
    await client.reactions_add(name="eyes", **where)
    with pytest.raises(SlackApiError) as problem:
        await client.reactions_add(name="eyes", **where)
    assert code(problem) == "already_reacted"
    await script.post("reaction", channel="C0GENERAL", ts=message["ts"], user="alan", name="eyes")
    [eyes] = (await client.reactions_get(**where))["message"]["reactions"]
    assert eyes == {"name": "eyes", "users": ["U0VIRTUOUS", "U0ALAN"], "count": 2}
    await client.reactions_remove(name="eyes", **where)
    with pytest.raises(SlackApiError) as problem:
        await client.reactions_remove(name="eyes", **where)
    assert code(problem) == "no_reaction"


async def test_ephemeral_messages_are_for_one_person(
    client: AsyncWebClient, script: Script
) -> None:
    await client.chat_postEphemeral(channel="C0GENERAL", user="U0ADA", text="psst")
    assert await script.messages("C0GENERAL") == []
    [kept] = (await script.get("/_control/ephemeral/ada"))["messages"]
    assert (kept["text"], kept["is_ephemeral"]) == ("psst", True)
    assert (await script.get("/_control/ephemeral/alan"))["messages"] == []
    page = await script.get("/_page/history?user=ada&channel=C0GENERAL")
    assert [m["text"] for m in page["messages"]] == ["psst"]
    with pytest.raises(SlackApiError) as problem:
        await client.chat_postEphemeral(channel="C0LEADERSHIP", user="U0ALAN", text="x")
    assert code(problem) == "user_not_in_channel"


async def test_files_are_uploaded_in_two_steps_and_read_with_the_token(
    client: AsyncWebClient, script: Script, workspace: LocalWorkspace
) -> None:
    done = await client.files_upload_v2(
        channel="C0GENERAL", filename="notes.csv", content="a,b\n1,2\n", initial_comment="here"
    )
    info = (await client.files_info(file=done["file"]["id"]))["file"]
    assert (info["size"], info["mimetype"], info["channels"]) == (8, "text/csv", ["C0GENERAL"])
    [message] = await script.messages("C0GENERAL")
    assert (message["text"], message["files"][0]["name"]) == ("here", "notes.csv")
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(info["url_private"])).status_code == 403
        bot = {"Authorization": f"Bearer {workspace.bot_token}"}
        assert (await http.get(info["url_private"], headers=bot)).content == b"a,b\n1,2\n"
    started = await client.files_getUploadURLExternal(filename="x.txt", length=3)
    with pytest.raises(SlackApiError) as problem:
        await client.files_completeUploadExternal(
            files=[{"id": started["file_id"], "title": "x"}], channel_id="C0GENERAL"
        )
    assert code(problem) == "file_not_found"


async def test_a_revoked_token_is_dead(client: AsyncWebClient, script: Script) -> None:
    await client.auth_revoke()
    with pytest.raises(SlackApiError) as problem:
        await client.auth_test()
    assert code(problem) == "token_revoked"
    await script.post("reset")
    assert (await client.auth_test())["ok"]


async def test_oauth_gives_the_bot_token_for_a_code(workspace: LocalWorkspace) -> None:
    keys = workspace.config.secrets
    anonymous = AsyncWebClient(base_url=workspace.api_url)
    async with httpx.AsyncClient(base_url=workspace.url, trust_env=False) as http:
        query = {
            "client_id": keys.client_id,
            "state": "s",
            "scope": "chat:write",
            "redirect_uri": "http://127.0.0.1:1/back",
        }
        form = query | {"team": "T0VIRTUOUS", "user": "ada", "decision": "allow"}
        sent = await http.post("/oauth/v2/authorize", data=form)
        location = httpx.URL(sent.headers["location"])
    assert location.params["state"] == "s"
    wanted = {
        "client_id": keys.client_id,
        "code": location.params["code"],
        "redirect_uri": "http://127.0.0.1:1/back",
    }
    with pytest.raises(SlackApiError) as problem:
        await anonymous.oauth_v2_access(client_secret="wrong", **wanted)
    assert code(problem) == "bad_client_secret"
    given = await anonymous.oauth_v2_access(client_secret=keys.client_secret, **wanted)
    assert given["access_token"] == workspace.bot_token
    with pytest.raises(SlackApiError) as problem:
        await anonymous.oauth_v2_access(client_secret=keys.client_secret, **wanted)
    assert code(problem) == "invalid_code"


async def test_a_scheduled_message_comes_when_it_is_due(
    client: AsyncWebClient, script: Script
) -> None:
    await script.post("faults", clock_rate=10_000)
    due = int(time.time()) + 60
    sent = await client.chat_scheduleMessage(channel="C0GENERAL", post_at=due, text="late")
    [message] = await until(lambda: script.messages("C0GENERAL"))
    assert message["text"] == "late"
    with pytest.raises(SlackApiError) as problem:
        await client.chat_deleteScheduledMessage(
            channel="C0GENERAL", scheduled_message_id=sent["scheduled_message_id"]
        )
    assert code(problem) == "invalid_scheduled_message_id"
    await script.post("faults", clock_rate=1)
    cancelled = await client.chat_scheduleMessage(channel="C0GENERAL", post_at=due, text="never")
    await client.chat_deleteScheduledMessage(
        channel="C0GENERAL", scheduled_message_id=cancelled["scheduled_message_id"]
    )
    for post_at, error in ((1, "time_in_past"), (due + 999_999_999, "time_too_far")):
        with pytest.raises(SlackApiError) as problem:
            await client.chat_scheduleMessage(channel="C0GENERAL", post_at=post_at, text="x")
        assert code(problem) == error
