"""Installing by OAuth, rotating tokens, and leaving again: as an app and its people see it."""

import re
from collections.abc import AsyncIterator, Awaitable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import LocalWorkspace, Team
from slack_interface.local_workspace.errors import SlackError
from tests.slack_interface.local_workspace.conftest import Bolt, Script, until

Json = dict[str, Any]
BACK = "http://127.0.0.1:9/slack/oauth_redirect"
TWELVE_HOURS = 43_200


@pytest.fixture
async def workspace() -> AsyncIterator[LocalWorkspace]:
    """Two teams: the app is in the first one, and nobody has installed it in the second."""
    teams = (Team(), Team("T0SECOND", "Second", installed=False))
    async with LocalWorkspace(pacing=False, teams=teams, token_rotation=True) as running:
        yield running


@pytest.fixture
async def second(workspace: LocalWorkspace) -> AsyncIterator[Script]:
    made = Script(workspace.teams[1])
    yield made
    await made.http.aclose()


@pytest.fixture
async def bolt(workspace: LocalWorkspace) -> AsyncIterator[Bolt]:
    made = Bolt(workspace)
    made.keep("message", "tokens_revoked", "app_uninstalled", "app_mention")
    await made.connect()
    yield made
    await made.close()


def asking(workspace: LocalWorkspace, **changes: str | None) -> str:
    """The address an app sends people to."""
    query = {
        "client_id": workspace.client_id,
        "scope": "chat:write,im:history,app_mentions:read,channels:history,users:read",
        "state": "s t",
        "redirect_uri": BACK,
        **changes,
    }
    given = {key: value for key, value in query.items() if value is not None}
    return f"{workspace.authorize_url}?{urlencode(given)}"


def credentials(workspace: LocalWorkspace) -> dict[str, str]:
    return {"client_id": workspace.client_id, "client_secret": workspace.client_secret}


def app(workspace: LocalWorkspace, token: str | None = None) -> AsyncWebClient:
    return AsyncWebClient(token, base_url=workspace.api_url)


async def install(workspace: LocalWorkspace, user: str = "grace", **asked: str) -> Json:
    """The whole way, in the second team; what oauth.v2.access answered."""
    back = workspace.consent(asking(workspace, **asked), "T0SECOND", user)
    code = httpx.URL(back).params["code"]
    answer = await app(workspace).oauth_v2_access(
        **credentials(workspace), code=code, redirect_uri=BACK
    )
    assert isinstance(answer.data, dict)
    return answer.data


async def refused(call: Awaitable[Any]) -> str:
    with pytest.raises(SlackApiError) as problem:
        await call
    return str(problem.value.response["error"])


async def test_the_page_asks_and_its_form_gives_a_code(workspace: LocalWorkspace) -> None:
    url = asking(workspace, state='"><script>', team="T0SECOND")
    async with httpx.AsyncClient(trust_env=False) as http:
        page = await http.get(url)
        assert page.status_code == 200
        assert '<option value="T0SECOND" selected>' in page.text
        assert "<code>chat:write</code>" in page.text
        assert "<script>" not in page.text
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        assert fields.pop("state") == "&quot;&gt;&lt;script&gt;"
        form = fields | {"state": "x", "team": "T0SECOND", "user": "U0GRACE", "decision": "allow"}
        sent = await http.post(workspace.authorize_url, data=form)
        form["decision"] = "cancel"
        cancelled = await http.post(workspace.authorize_url, data=form)
    assert sent.status_code == 302
    assert sent.headers["location"].startswith(f"{BACK}?code=")
    assert httpx.URL(sent.headers["location"]).params["state"] == "x"
    assert cancelled.headers["location"] == f"{BACK}?error=access_denied&state=x"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "1.2"}, "invalid_client_id"),
        ({"client_id": None}, "invalid_client_id"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "chat:write,fly:high"}, "invalid_scope"),
        ({"user_scope": "chat:write"}, "invalid_scope"),
        ({"redirect_uri": None}, "bad_redirect_uri"),
        ({"redirect_uri": "http://example.com/back"}, "bad_redirect_uri"),
        ({"team": "T0NOWHERE"}, "team_not_found"),
    ],
)
async def test_what_is_asked_wrongly_is_said_on_a_page(
    workspace: LocalWorkspace, changes: dict[str, str | None], error: str
) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        page = await http.get(asking(workspace, **changes))
    assert page.status_code == 400
    assert f"<code>{error}</code>" in page.text


async def test_configured_redirect_urls_are_kept_to() -> None:
    allowed = "http://127.0.0.1:9/slack"
    async with LocalWorkspace(redirect_urls=[allowed]) as workspace:
        for redirect, there in ((None, allowed), (f"{allowed}/deeper", f"{allowed}/deeper")):
            back = workspace.consent(asking(workspace, redirect_uri=redirect), "T0VIRTUOUS")
            assert back.startswith(f"{there}?code=")
        for redirect in ("http://127.0.0.1:9/slacker", "http://127.0.0.1:8/slack"):
            with pytest.raises(SlackError, match="bad_redirect_uri"):
                workspace.consent(asking(workspace, redirect_uri=redirect), "T0VIRTUOUS")


async def test_a_code_gives_a_token_once(workspace: LocalWorkspace) -> None:
    answer = await install(workspace)
    access, refresh = answer.pop("access_token"), answer.pop("refresh_token")
    assert access.startswith("xoxe.xoxb-1-")
    assert refresh.startswith("xoxe-1-")
    assert answer == {
        "ok": True,
        "app_id": "A0VIRTUOUS",
        "authed_user": {"id": "U0GRACE"},
        "scope": "app_mentions:read,channels:history,chat:write,im:history,users:read",
        "token_type": "bot",
        "bot_user_id": "U0VIRTUOUS",
        "team": {"id": "T0SECOND", "name": "Second"},
        "enterprise": None,
        "is_enterprise_install": False,
        "expires_in": TWELVE_HOURS,
    }
    who = await app(workspace, access).auth_test()
    assert (who["team_id"], who["expires_in"]) == ("T0SECOND", TWELVE_HOURS)
    assert who.headers["x-oauth-scopes"] == answer["scope"]
    assert await refused(app(workspace, access).team_info()) == "missing_scope"


async def test_a_code_is_for_its_app_its_address_and_ten_minutes(
    workspace: LocalWorkspace,
) -> None:
    def code() -> str:
        back = workspace.consent(asking(workspace), "T0SECOND")
        return httpx.URL(back).params["code"]

    right, anonymous = credentials(workspace), app(workspace)
    spent = code()
    wrong = {"client_id": workspace.client_id, "client_secret": "no"}
    assert await refused(anonymous.oauth_v2_access(**wrong, code=spent)) == "bad_client_secret"
    other = {**right, "client_id": "1.2"}
    assert await refused(anonymous.oauth_v2_access(**other, code=spent)) == "invalid_client_id"
    await anonymous.oauth_v2_access(**right, code=spent, redirect_uri=BACK)
    again = anonymous.oauth_v2_access(**right, code=spent, redirect_uri=BACK)
    assert await refused(again) == "invalid_code"
    elsewhere = anonymous.oauth_v2_access(**right, code=code(), redirect_uri=f"{BACK}/x")
    assert await refused(elsewhere) == "bad_redirect_uri"
    late = code()
    workspace.runtime.clock.advance(601)
    too_late = anonymous.oauth_v2_access(**right, code=late, redirect_uri=BACK)
    assert await refused(too_late) == "invalid_code"
    odd = anonymous.oauth_v2_access(**right, code=code(), grant_type="password")
    assert await refused(odd) == "invalid_grant_type"


async def test_the_bot_comes_with_the_installation(
    workspace: LocalWorkspace, second: Script, bolt: Bolt
) -> None:
    assert await second.refused("message", channel="@assistant", user="ada", text="hi") == (
        "app_not_installed"
    )
    assert await second.refused(
        "command", channel="#general", user="ada", command="x", text=""
    ) == ("app_not_installed")
    await second.say("#general", "ada", "before")
    client = app(workspace, (await install(workspace))["access_token"])
    assert (await client.users_info(user="U0VIRTUOUS"))["user"]["deleted"] is False
    await second.say("#general", "ada", "not a member yet")
    await second.post("join", channel="#general", user="virtuous6")
    await second.say("#general", "ada", "<@U0VIRTUOUS> a member")
    await second.say("@assistant", "ada", "direct")
    heard = await until(lambda: [e for e in bolt.events("message") if e["text"] == "direct"])
    assert heard
    await until(lambda: bolt.events("app_mention"))
    texts = {event["text"] for event in bolt.events("message")}
    assert texts == {"<@U0VIRTUOUS> a member", "direct"}
    assert {body["team_id"] for body in bolt.bodies} == {"T0SECOND"}


async def test_scopes_decide_what_is_heard_and_add_up(
    workspace: LocalWorkspace, second: Script, bolt: Bolt
) -> None:
    await install(workspace, scope="chat:write")
    await second.say("@assistant", "ada", "unheard")
    answer = await install(workspace, scope="im:history")
    assert answer["scope"] == "chat:write,im:history"
    await second.say("@assistant", "ada", "heard")
    await until(lambda: bolt.events("message"))
    assert [event["text"] for event in bolt.events("message")] == ["heard"]


async def test_a_refreshed_token_takes_over_while_the_old_one_still_works(
    workspace: LocalWorkspace, second: Script
) -> None:
    first = await install(workspace)
    wanted = {**credentials(workspace), "grant_type": "refresh_token"}
    await second.post("clock", advance_s=TWELVE_HOURS - 60)
    newer = await app(workspace).oauth_v2_access(**wanted, refresh_token=first["refresh_token"])
    assert (newer["token_type"], newer["expires_in"]) == ("bot", TWELVE_HOURS)
    assert newer["team"]["id"] == "T0SECOND"
    old, new = app(workspace, first["access_token"]), app(workspace, newer["access_token"])
    assert (await old.auth_test())["expires_in"] == 60
    again = app(workspace).oauth_v2_access(**wanted, refresh_token=first["refresh_token"])
    assert await refused(again) == "invalid_refresh_token"
    workspace.runtime.clock.advance(60)
    assert await refused(old.auth_test()) == "token_expired"
    assert (await new.auth_test())["ok"]


async def test_two_rotating_tokens_work_at_a_time(workspace: LocalWorkspace) -> None:
    answers = [await install(workspace)]
    wanted = {**credentials(workspace), "grant_type": "refresh_token"}
    for _ in range(2):
        refresh = answers[-1]["refresh_token"]
        answer = await app(workspace).oauth_v2_access(**wanted, refresh_token=refresh)
        assert isinstance(answer.data, dict)
        answers.append(answer.data)
    clients = [app(workspace, answer["access_token"]) for answer in answers]
    assert await refused(clients[0].auth_test()) == "token_revoked"
    for client in clients[1:]:
        assert (await client.auth_test())["ok"]


async def test_an_expired_token_is_still_refreshed_and_events_go_on(
    workspace: LocalWorkspace, second: Script, bolt: Bolt
) -> None:
    first = await install(workspace)
    workspace.runtime.clock.advance(10 * TWELVE_HOURS)
    await second.say("@assistant", "ada", "still there?")
    await until(lambda: bolt.events("message"))
    wanted = {**credentials(workspace), "grant_type": "refresh_token"}
    newer = await app(workspace).oauth_v2_access(**wanted, refresh_token=first["refresh_token"])
    assert (await app(workspace, newer["access_token"]).auth_test())["ok"]


async def test_a_lasting_token_is_exchanged_once(workspace: LocalWorkspace) -> None:
    lasting, anonymous = workspace.bot_token, app(workspace)
    given = await anonymous.oauth_v2_exchange(**credentials(workspace), token=lasting)
    assert given["expires_in"] == TWELVE_HOURS
    assert (await app(workspace, given["access_token"]).auth_test())["team_id"] == "T0VIRTUOUS"
    again = anonymous.oauth_v2_exchange(**credentials(workspace), token=lasting)
    assert await refused(again) == "token_already_exchanged"
    nothing = anonymous.oauth_v2_exchange(**credentials(workspace), token="xoxb-nothing")
    assert await refused(nothing) == "invalid_token"
    async with LocalWorkspace() as plain:
        call = app(plain).oauth_v2_exchange(**credentials(plain), token=plain.bot_token)
        assert await refused(call) == "token_rotation_not_enabled"


async def test_without_rotation_a_token_lasts_and_installing_again_gives_the_same() -> None:
    teams = (Team(), Team("T0SECOND", "Second", installed=False))
    async with LocalWorkspace(teams=teams, pacing=False) as workspace:
        first, again = await install(workspace), await install(workspace, "alan")
        assert first["access_token"] == again["access_token"] == workspace.teams[1].bot_token
        assert "expires_in" not in first
        assert again["authed_user"] == {"id": "U0ALAN"}
        workspace.runtime.clock.advance(100 * TWELVE_HOURS)
        assert (await app(workspace, first["access_token"]).auth_test())["ok"]


async def test_an_admin_removes_the_app_and_it_hears_of_it(
    workspace: LocalWorkspace, second: Script, bolt: Bolt
) -> None:
    answer = await install(workspace)
    await second.post("join", channel="#general", user="virtuous6")
    await second.post("uninstall")
    await until(lambda: bolt.events("tokens_revoked") and bolt.events("app_uninstalled"))
    assert {body["team_id"] for body in bolt.bodies} == {"T0SECOND"}
    assert bolt.events("tokens_revoked") == [
        {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": ["U0VIRTUOUS"]}}
    ]
    client = app(workspace, answer["access_token"])
    assert await refused(client.auth_test()) == "account_inactive"
    wanted = {**credentials(workspace), "grant_type": "refresh_token"}
    refresh = app(workspace).oauth_v2_access(**wanted, refresh_token=answer["refresh_token"])
    assert await refused(refresh) == "invalid_refresh_token"
    await second.say("#general", "ada", "<@U0VIRTUOUS> gone?")
    state = await second.get("/_control/state")
    assert state["installation"] == {"installed": False, "scopes": []}
    assert all("U0VIRTUOUS" not in c["members"] for c in state["channels"] if c["kind"] != "im")
    assert await second.refused("uninstall") == "app_not_installed"
    assert (await app(workspace, workspace.bot_token).auth_test())["team_id"] == "T0VIRTUOUS"
    assert bolt.events("message") == []
    newer = await install(workspace)
    assert newer["access_token"] != answer["access_token"]
    assert (await app(workspace, newer["access_token"]).auth_test())["ok"]


async def test_the_app_takes_itself_away(workspace: LocalWorkspace, bolt: Bolt) -> None:
    client = app(workspace, (await install(workspace))["access_token"])
    wrong = client.apps_uninstall(client_id=workspace.client_id, client_secret="no")
    assert await refused(wrong) == "bad_client_secret"
    assert (await client.apps_uninstall(**credentials(workspace)))["ok"]
    await until(lambda: bolt.events("app_uninstalled"))
    assert await refused(client.auth_test()) == "account_inactive"


async def test_revoked_tokens_do_not_uninstall(
    workspace: LocalWorkspace, second: Script, bolt: Bolt
) -> None:
    client = app(workspace, (await install(workspace))["access_token"])
    assert (await client.auth_revoke(test=True))["revoked"] is False
    assert (await client.auth_revoke())["revoked"] is True
    assert await refused(client.auth_test()) == "token_revoked"
    client = app(workspace, (await install(workspace))["access_token"])
    await second.post("revoke-tokens")
    assert await refused(client.auth_test()) == "token_revoked"
    await until(lambda: len(bolt.events("tokens_revoked")) == 2)
    assert bolt.events("app_uninstalled") == []


async def test_a_second_start_remembers_installations(tmp_path: Any) -> None:
    teams = (Team(), Team("T0SECOND", "Second", installed=False))
    state = tmp_path / "state.json"
    async with LocalWorkspace(0, state, teams=teams, token_rotation=True) as workspace:
        answer = await install(workspace)
        workspace.runtime.clock.advance(3_600)
    async with LocalWorkspace(0, state, teams=teams, token_rotation=True) as workspace:
        who = await app(workspace, answer["access_token"]).auth_test()
        assert 0 < who["expires_in"] <= TWELVE_HOURS - 3_600
        wanted = {**credentials(workspace), "grant_type": "refresh_token"}
        await app(workspace).oauth_v2_access(**wanted, refresh_token=answer["refresh_token"])
        async with Script(workspace.teams[1]).http as http:
            await http.post("/_control/uninstall", json={})
    async with LocalWorkspace(0, state, teams=teams) as workspace:
        assert await refused(app(workspace, answer["access_token"]).auth_test()) == (
            "account_inactive"
        )
        assert [team.bot_token != "" for team in workspace.teams] == [True, False]
        users = workspace.teams[1].runtime.workspace.users
        assert users["U0VIRTUOUS"]["deleted"] is True


async def test_no_secret_is_in_the_log(workspace: LocalWorkspace, second: Script) -> None:
    answer = await install(workspace)
    wanted = {**credentials(workspace), "grant_type": "refresh_token"}
    await app(workspace).oauth_v2_access(**wanted, refresh_token=answer["refresh_token"])
    log = str(await second.get("/_control/log"))
    assert "oauth.v2.access" in log
    for secret in (answer["access_token"], answer["refresh_token"], workspace.client_secret):
        assert secret not in log


@pytest.mark.parametrize("advance", [-1, "5", True, None])
async def test_time_only_passes_forward(second: Script, advance: Any) -> None:
    assert await second.refused("clock", advance_s=advance) == "invalid_field"
