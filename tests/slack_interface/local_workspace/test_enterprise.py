"""An organisation of two teams with the app installed org-wide."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import Enterprise, LocalWorkspace, Team
from slack_interface.local_workspace.errors import ControlError
from tests.slack_interface.local_workspace.conftest import Bolt, Script, until

Json = dict[str, Any]
ORG = Enterprise("E0ORG", "The Org", installed=True)
TEAMS = (Team("T0ONE", "One", ORG), Team("T0TWO", "Two", ORG), Team("T0ALONE", "Alone"))
NAMED = {"id": "E0ORG", "name": "The Org"}
TITLE = {"type": "plain_text", "text": "T"}


@pytest.fixture
async def workspace() -> AsyncIterator[LocalWorkspace]:
    async with LocalWorkspace(pacing=False, teams=TEAMS) as running:
        yield running


@pytest.fixture
async def scripts(workspace: LocalWorkspace) -> AsyncIterator[list[Script]]:
    made = [Script(team) for team in workspace.teams]
    yield made
    for script in made:
        await script.http.aclose()


@pytest.fixture
async def bolt(workspace: LocalWorkspace) -> AsyncIterator[Bolt]:
    made = Bolt(workspace)
    made.keep("message", "team_access_granted", "team_access_revoked", "app_uninstalled")
    await made.connect()
    yield made
    await made.close()


async def refused(call: Awaitable[Any]) -> str:
    with pytest.raises(SlackApiError) as problem:
        await call
    return str(problem.value.response["error"])


async def test_one_token_stands_for_the_organisation(
    workspace: LocalWorkspace, client: AsyncWebClient
) -> None:
    one, two, alone = workspace.teams
    assert one.bot_token == two.bot_token != alone.bot_token
    who = await client.auth_test()
    assert (who["enterprise_id"], who["team_id"]) == ("E0ORG", "E0ORG")
    assert who["is_enterprise_install"] is True
    teams = (await client.auth_teams_list())["teams"]
    assert teams == [{"id": "T0ONE", "name": "One"}, {"id": "T0TWO", "name": "Two"}]
    info = (await client.team_info(team_id="T0TWO"))["team"]
    assert (info["id"], info["enterprise_id"], info["enterprise_name"]) == (
        "T0TWO",
        "E0ORG",
        "The Org",
    )
    person = (await client.users_info(user="U0ADA", team_id="T0TWO"))["user"]
    assert person["enterprise_user"]["enterprise_id"] == "E0ORG"


async def test_methods_that_need_a_team_insist(client: AsyncWebClient) -> None:
    for method in ("conversations.list", "users.conversations", "users.list", "bots.info"):
        assert await refused(client.api_call(method)) == "missing_argument"
        assert (await client.api_call(method, params={"team_id": "T0TWO"}))["ok"]
        for foreign in ("T0ALONE", "T0NOWHERE"):
            call = client.api_call(method, params={"team_id": foreign})
            assert await refused(call) == "team_not_found"


async def test_a_call_acts_in_the_team_it_names(
    workspace: LocalWorkspace, client: AsyncWebClient, scripts: list[Script]
) -> None:
    sent = await client.chat_postMessage(channel="C0GENERAL", text="here", team_id="T0TWO")
    assert [m["ts"] for m in await scripts[1].messages("C0GENERAL")] == [sent["ts"]]
    assert await scripts[0].messages("C0GENERAL") == []
    unclear = client.chat_postMessage(channel="C0GENERAL", text="where?")
    assert await refused(unclear) == "missing_argument"
    await client.chat_update(channel="C0GENERAL", ts=sent["ts"], text="changed")
    assert (await scripts[1].messages("C0GENERAL"))[0]["text"] == "changed"
    of_org = client.chat_update(channel="C0GENERAL", ts=sent["ts"], text="y", team_id="E0ORG")
    assert (await of_org)["text"] == "y"
    assert await refused(client.conversations_list(team_id="E0ORG")) == "missing_argument"
    trigger = workspace.teams[1].runtime.triggers.issue_trigger("U0ADA")
    view = {"type": "modal", "title": TITLE, "blocks": [{"type": "divider"}]}
    opened = (await client.views_open(trigger_id=trigger, view=view))["view"]
    assert (opened["team_id"], opened["app_installed_team_id"]) == ("T0TWO", "E0ORG")


async def test_events_name_the_team_and_the_organisation(bolt: Bolt, scripts: list[Script]) -> None:
    await scripts[1].say("@assistant", "ada", "hello")
    await until(lambda: bolt.bodies)
    body = bolt.bodies[0]
    assert (body["team_id"], body["context_team_id"]) == ("T0TWO", "T0TWO")
    assert body["enterprise_id"] == body["context_enterprise_id"] == "E0ORG"
    [authorization] = body["authorizations"]
    assert authorization == {
        "enterprise_id": "E0ORG",
        "team_id": "T0TWO",
        "user_id": "U0VIRTUOUS",
        "is_bot": True,
        "is_enterprise_install": True,
    }


async def test_commands_and_interactions_name_the_organisation(
    workspace: LocalWorkspace, bolt: Bolt, client: AsyncWebClient, scripts: list[Script]
) -> None:
    seen: list[Json] = []

    async def keep(ack: Any, body: Json) -> None:
        seen.append(body)
        await ack()

    bolt.app.command("/x")(keep)
    bolt.app.action("go")(keep)
    bolt.app.view("f")(keep)
    await scripts[1].post("command", channel="#general", user="ada", command="/x", text="")
    button = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
    blocks = [{"type": "actions", "block_id": "b", "elements": [button]}]
    sent = await client.chat_postMessage(
        channel="C0GENERAL", team_id="T0TWO", text="?", blocks=blocks
    )
    action = {"type": "button", "action_id": "go", "block_id": "b"}
    place = {"channel": "C0GENERAL", "message_ts": sent["ts"], "user": "ada"}
    await scripts[1].post("interact", **place, action=action)
    trigger = workspace.teams[1].runtime.triggers.issue_trigger("U0ADA")
    view = {
        "type": "modal",
        "callback_id": "f",
        "title": TITLE,
        "submit": TITLE,
        "blocks": [{"type": "divider"}],
    }
    opened = await client.views_open(trigger_id=trigger, view=view)
    await scripts[1].post("submit", view_id=opened["view"]["id"], user="ada")
    command, click, submitted = seen
    assert (command["team_id"], command["enterprise_id"]) == ("T0TWO", "E0ORG")
    assert (command["enterprise_name"], command["is_enterprise_install"]) == ("The Org", "true")
    for body in (click, submitted):
        assert (body["enterprise"], body["is_enterprise_install"]) == (NAMED, True)
        assert body["user"]["team_id"] == "T0TWO"
    in_org = {"enterprise_id": "E0ORG", "enterprise_name": "The Org"}
    assert click["team"] == {"id": "T0TWO", "domain": "two", **in_org}
    assert submitted["team"] is None


async def test_a_team_outside_says_nothing_of_it(bolt: Bolt, scripts: list[Script]) -> None:
    await scripts[2].say("@assistant", "ada", "hello")
    await until(lambda: bolt.bodies)
    body = bolt.bodies[0]
    assert "enterprise_id" not in body
    assert body["authorizations"][0]["is_enterprise_install"] is False


async def test_an_org_admin_takes_a_team_away_and_gives_it_back(
    client: AsyncWebClient, bolt: Bolt, scripts: list[Script]
) -> None:
    await scripts[1].post("uninstall")
    await until(lambda: bolt.events("team_access_revoked"))
    body = bolt.bodies[-1]
    assert body["event"] == {"type": "team_access_revoked", "team_ids": ["T0TWO"]}
    assert (body["team_id"], body["enterprise_id"]) == (None, "E0ORG")
    call = client.chat_postMessage(channel="C0GENERAL", text="x", team_id="T0TWO")
    assert await refused(call) == "team_access_not_granted"
    assert [t["id"] for t in (await client.auth_teams_list())["teams"]] == ["T0ONE"]
    await client.chat_postMessage(channel="C0GENERAL", text="unmistakable")
    assert await scripts[1].refused("message", channel="@assistant", user="ada", text="x") == (
        "app_not_installed"
    )
    await scripts[1].post("team-access", granted=True)
    await until(lambda: bolt.events("team_access_granted"))
    await scripts[1].say("@assistant", "ada", "again")
    await until(lambda: [b for b in bolt.bodies if b["event"].get("text") == "again"])
    assert await scripts[2].refused("team-access", granted=True) == "app_not_installed"


async def test_removed_from_the_organisation_it_is_gone_everywhere(
    client: AsyncWebClient, bolt: Bolt, scripts: list[Script]
) -> None:
    await scripts[1].post("uninstall", org=True)
    await until(lambda: bolt.events("app_uninstalled"))
    body = next(b for b in bolt.bodies if b["event"]["type"] == "app_uninstalled")
    assert (body["team_id"], body["enterprise_id"]) == (None, "E0ORG")
    assert body["authorizations"][0]["is_enterprise_install"] is True
    assert await refused(client.auth_test()) == "account_inactive"
    installed = [t["installed"] for t in (await scripts[0].get("/_control/teams"))["teams"]]
    assert installed == [False, False, True]


async def test_an_admin_installs_it_org_wide() -> None:
    org = Enterprise("E0ORG", "The Org")
    teams = tuple(Team(i, i, org, installed=False) for i in ("T0ONE", "T0TWO"))
    async with LocalWorkspace(teams=teams, pacing=False) as workspace:
        query = {"client_id": workspace.client_id, "scope": "chat:write,im:history"}
        query["redirect_uri"] = "http://localhost:9/back"
        url = f"{workspace.authorize_url}?{urlencode(query)}"
        with pytest.raises(ControlError, match="not_an_admin"):
            workspace.consent(url, "E0ORG", "grace")
        code = httpx.URL(workspace.consent(url, "E0ORG", "ada")).params["code"]
        answer = await AsyncWebClient(base_url=workspace.api_url).oauth_v2_access(
            client_id=workspace.client_id,
            client_secret=workspace.client_secret,
            code=code,
            redirect_uri=query["redirect_uri"],
        )
        assert (answer["team"], answer["enterprise"]) == (None, NAMED)
        assert answer["is_enterprise_install"] is True
        assert [team.bot_token for team in workspace.teams] == [answer["access_token"]] * 2
        log = workspace.runtime.log
        sent, *_ = await until(lambda: log.rows(method="team_access_granted"))
    assert sent["payload"]["event"]["team_ids"] == ["T0ONE", "T0TWO"]


async def test_an_org_wide_installation_goes_before_a_team_s_own() -> None:
    async with LocalWorkspace(teams=TEAMS[:1], pacing=False) as workspace:
        of_org = workspace.bot_token
        query = {"client_id": workspace.client_id, "scope": "chat:write,im:history"}
        query["redirect_uri"] = "http://localhost:9/back"
        back = workspace.consent(f"{workspace.authorize_url}?{urlencode(query)}", "T0ONE")
        client = AsyncWebClient(base_url=workspace.api_url)
        answer = await client.oauth_v2_access(
            client_id=workspace.client_id,
            client_secret=workspace.client_secret,
            code=httpx.URL(back).params["code"],
            redirect_uri=query["redirect_uri"],
        )
        assert workspace.bot_token == of_org != answer["access_token"]
        async with Script(workspace).http as http:
            said = {"channel": "@assistant", "user": "ada", "text": "x"}
            await http.post("/_control/message", json=said)
        sent, *_ = await until(lambda: workspace.runtime.log.rows(method="message"))
        assert sent["payload"]["authorizations"][0]["is_enterprise_install"] is True
        client.token = answer["access_token"]
        assert (await client.auth_test())["team_id"] == "T0ONE"


async def test_an_app_that_is_not_for_organisations_is_not_offered_to_them() -> None:
    manifest = {"oauth_config": {"scopes": {"bot": ["chat:write"]}}}
    async with LocalWorkspace(teams=TEAMS, manifest=manifest) as workspace:
        query = {"client_id": workspace.client_id, "scope": "chat:write"}
        query["redirect_uri"] = "http://localhost:9/back"
        url = f"{workspace.authorize_url}?{urlencode(query)}"
        async with httpx.AsyncClient(trust_env=False) as http:
            assert "E0ORG" not in (await http.get(url)).text
        with pytest.raises(ControlError, match="org_deploy_disabled"):
            workspace.consent(url, "E0ORG")
