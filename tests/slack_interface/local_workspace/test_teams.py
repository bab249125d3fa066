"""Several teams behind one API address and one app: told apart by token, heard apart by team."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import LocalTeam, LocalWorkspace, Team
from slack_interface.local_workspace.errors import WorkspaceError
from tests.patience import PATIENCE_S
from tests.slack_interface.local_workspace.conftest import Bolt, Script, until
from tests.slack_interface.local_workspace.test_http_mode import HttpApp

Json = dict[str, Any]


class Two:
    """A workspace of two teams with a script and a client for each."""

    def __init__(self, workspace: LocalWorkspace) -> None:
        self.workspace = workspace
        self.teams = workspace.teams
        self.scripts = [Script(team) for team in self.teams]
        self.clients = [
            AsyncWebClient(team.bot_token, base_url=workspace.api_url) for team in self.teams
        ]


@pytest.fixture
async def two() -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        teams = (Team(), Team("T0SECOND", "Second Team"))
        workspace = await stack.enter_async_context(LocalWorkspace(pacing=False, teams=teams))
        made = Two(workspace)
        for script in made.scripts:
            await stack.enter_async_context(script.http)
        yield made


async def test_a_token_leads_to_its_team(two: Two) -> None:
    for team, client in zip(two.teams, two.clients, strict=True):
        who = await client.auth_test()
        assert (who["team_id"], who["team"], who["url"]) == (team.id, team.name, f"{team.url}/")
        await client.chat_postMessage(channel="C0GENERAL", text=f"only in {team.id}")
    for team, script in zip(two.teams, two.scripts, strict=True):
        assert [m["text"] for m in await script.messages("C0GENERAL")] == [f"only in {team.id}"]
    info = await two.clients[1].team_info()
    assert info["team"]["domain"] == "second-team"


async def test_team_id_does_not_lead_a_team_s_token_astray(two: Two) -> None:
    await two.clients[0].chat_postMessage(channel="C0GENERAL", text="x", team_id="T0SECOND")
    assert await two.scripts[1].messages("C0GENERAL") == []


async def test_one_connection_gets_the_events_of_all_teams(two: Two) -> None:
    bolt = Bolt(two.workspace)
    bolt.keep("message")
    await bolt.connect()
    await until(two.workspace.runtime.delivery.is_connected)
    try:
        for team, script in zip(two.teams, two.scripts, strict=True):
            await script.say("@assistant", "ada", f"from {team.id}")
        await until(lambda: len(bolt.bodies) == 2)
    finally:
        await bolt.close()
    for body in bolt.bodies:
        team_id = body["team_id"]
        assert body["event"]["text"] == f"from {team_id}"
        assert body["event"]["team"] == body["context_team_id"] == team_id
        [authorization] = body["authorizations"]
        assert (authorization["team_id"], authorization["is_enterprise_install"]) == (
            team_id,
            False,
        )
    assert {body["team_id"] for body in bolt.bodies} == {"T0VIRTUOUS", "T0SECOND"}


async def test_one_request_url_gets_the_events_of_all_teams(two: Two) -> None:
    heard: list[Json] = []
    async with HttpApp(two.workspace) as app:

        @app.app.event("message")
        async def listener(body: Json) -> None:
            heard.append(body)

        await two.workspace.set_request_url(app.url)
        for team, script in zip(two.teams, two.scripts, strict=True):
            await script.say("@assistant", "ada", f"from {team.id}")
        await until(lambda: len(heard) == 2)
    assert {(b["team_id"], b["event"]["text"]) for b in heard} == {
        (team.id, f"from {team.id}") for team in two.teams
    }


async def test_a_button_of_one_team_says_so_and_answers_there(two: Two) -> None:
    bolt, clicks = Bolt(two.workspace), []

    @bolt.app.action("go")
    async def clicked(ack: Any, body: Json, respond: Any) -> None:
        clicks.append(body)
        await ack()
        await respond(text="done", replace_original=False, response_type="in_channel")

    await bolt.connect()
    try:
        button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
        blocks = [{"type": "actions", "block_id": "b", "elements": [button]}]
        sent = await two.clients[1].chat_postMessage(channel="C0GENERAL", text="?", blocks=blocks)
        action = {"type": "button", "action_id": "go", "block_id": "b"}
        place = {"channel": "C0GENERAL", "message_ts": sent["ts"], "user": "ada"}
        await two.scripts[1].post("interact", **place, action=action)
        await until(lambda: len(two.teams[1].runtime.workspace.channels["C0GENERAL"].messages) == 2)
    finally:
        await bolt.close()
    assert clicks[0]["team"] == {"id": "T0SECOND", "domain": "second-team"}
    assert clicks[0]["user"]["team_id"] == "T0SECOND"
    assert clicks[0]["response_url"].startswith(two.teams[1].url)
    assert await two.scripts[0].messages("C0GENERAL") == []


async def test_triggers_files_and_addresses_belong_to_their_team(two: Two) -> None:
    first, second = two.clients
    upload = await second.files_getUploadURLExternal(filename="a.txt", length=3)
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.post(upload["upload_url"], content=b"abc")).status_code == 200
        done = await second.files_completeUploadExternal(
            files=[{"id": upload["file_id"], "title": "a"}], channel_id="C0GENERAL"
        )
        link = done["files"][0]["url_private"]
        for client, status in ((first, 403), (second, 200)):
            headers = {"Authorization": f"Bearer {client.token}"}
            assert (await http.get(link, headers=headers)).status_code == status
    with pytest.raises(SlackApiError) as problem:
        await first.files_info(file=upload["file_id"])
    assert problem.value.response["error"] == "file_not_found"
    trigger = two.teams[1].runtime.triggers.issue_trigger("U0ADA")
    title = {"type": "plain_text", "text": "T"}
    view = {"type": "modal", "title": title, "blocks": [{"type": "divider"}]}
    with pytest.raises(SlackApiError) as problem:
        await first.views_open(trigger_id=trigger, view=view)
    assert problem.value.response["error"] == "invalid_trigger_id"
    opened = await second.views_open(trigger_id=trigger, view=view)
    assert opened["view"]["team_id"] == opened["view"]["app_installed_team_id"] == "T0SECOND"


async def test_the_list_of_teams_the_log_and_a_reset(two: Two) -> None:
    listed = (await two.scripts[1].get("/_control/teams"))["teams"]
    assert [(row["id"], row["url"], row["installed"]) for row in listed] == [
        (team.id, team.url, True) for team in two.teams
    ]
    await two.clients[1].auth_test()
    await two.clients[0].api_test()
    log = await two.scripts[0].get("/_control/log?kind=api&team=T0SECOND")
    assert [row["method"] for row in log["log"]] == ["auth.test"]
    tokens = [team.bot_token for team in two.teams]
    await two.scripts[1].say("#general", "ada", "hello")
    await two.scripts[0].post("reset")
    assert await two.scripts[1].messages("C0GENERAL") == []
    assert [team.bot_token for team in two.teams] == tokens


async def test_a_second_start_remembers_every_team(tmp_path: Any) -> None:
    teams, state = (Team(), Team("T0SECOND", "Second")), tmp_path / "state.json"
    async with LocalWorkspace(state_file=state, teams=teams, pacing=False) as workspace:
        tokens = [team.bot_token for team in workspace.teams]
        client = AsyncWebClient(tokens[1], base_url=workspace.api_url)
        await client.chat_postMessage(channel="C0GENERAL", text="kept")
    async with LocalWorkspace(state_file=state, teams=teams, pacing=False) as workspace:
        assert [team.bot_token for team in workspace.teams] == tokens
        assert _texts(workspace.teams[1]) == ["kept"]
        assert _texts(workspace.teams[0]) == []


async def test_in_a_process_of_its_own() -> None:
    options = ["--port", "0", "--json", "--oauth", "--team", "T0ONE=One", "--team", "T0TWO"]
    command = [sys.executable, "-m", "slack_interface.local_workspace", *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        settings = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S))
        async with httpx.AsyncClient(base_url=settings["url"], trust_env=False) as http:
            listed = (await http.get("/_control/teams")).json()["teams"]
    finally:
        process.terminate()
        await process.wait()
    assert [(row["id"], row["name"], row["installed"]) for row in listed] == [
        ("T0ONE", "One", False),
        ("T0TWO", "T0TWO", False),
    ]
    assert settings["SLACK_CLIENT_SECRET"]
    assert "SLACK_BOT_TOKEN" not in settings


@pytest.mark.parametrize("teams", [(), (Team(), Team())])
async def test_teams_are_there_and_differ(teams: tuple[Team, ...]) -> None:
    with pytest.raises(WorkspaceError, match="team"):
        LocalWorkspace(teams=teams)


def _texts(team: LocalTeam) -> list[str]:
    messages = team.runtime.workspace.channels["C0GENERAL"].messages
    return [message["text"] for message in messages.values()]
