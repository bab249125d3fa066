"""One installation for a whole organisation: each workspace of it is answered and kept apart."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from bootstrap import House, house
from orchestrator.settings import load_settings
from slack_interface.http_server import Listen
from slack_interface.local_workspace import Enterprise, LocalWorkspace, Team
from slack_interface.manifest import manifest
from slack_interface.slack_bot import Mode
from tests.model_server.server import ScriptedModel, answer
from tests.people import ADA
from tests.stories.story import asked, seen
from tests.stories.two import Place, install

ONE, OTHER = "T0ONE", "T0OTHER"
GRID = Enterprise("E0GRID", "Grid")


@pytest.fixture
async def grid(
    model_server: ScriptedModel, home: Path, transport: Mode
) -> AsyncIterator[tuple[House, list[Place]]]:
    """Two workspaces of an organisation whose admin has just installed the app for all of them."""
    teams = tuple(Team(team, team, enterprise=GRID, installed=False) for team in (ONE, OTHER))
    described = manifest()
    described["settings"]["org_deploy_enabled"] = True
    described["settings"]["event_subscriptions"]["bot_events"].append("team_access_revoked")
    async with LocalWorkspace(manifest=described, pacing=False, teams=teams) as workspace:
        settings = load_settings(
            slack_api_url=workspace.api_url,
            slack_app_token=workspace.app_token,
            slack_signing_secret=SecretStr(workspace.signing_secret),
            slack_client_id=workspace.client_id,
            slack_client_secret=SecretStr(workspace.client_secret),
            openai_base_url=model_server.base_url,
            virtuous6_home=home,
        )
        async with house(settings, mode=transport, listen=Listen(port=0)) as running:
            base = f"http://127.0.0.1:{running.slack.port}"
            if transport == "http":
                await workspace.set_request_url(f"{base}/slack/events")
            assert "Open Slack" in await install(base, workspace, GRID.id)
            places = [
                Place(
                    workspace, httpx.AsyncClient(base_url=team.url), model_server, settings,
                    transport, bot=running.slack, team=team, secret=team.id,
                )
                for team in workspace.teams
            ]  # fmt: skip
            for place in places:
                await place.connected()
                await place.post("join", channel="#general", user="virtuous6")
            yield running, places
            for place in places:
                await place.http.aclose()


async def use(place: Place, running: House) -> None:
    """Ada asks, looks at her Home and figures, and says in a modal what was wrong."""
    reply = await place.ask(f"What about {place.secret}?")
    place._house = running.assistants[place.team.id]
    assert reply["text"] == f"{place.secret} is fine."
    assert (await place.mention("Hello there"))["text"] == "Hello."
    assert "Hello Ada" in seen(await place.home())
    await place.command("/metrics", "me")
    assert "Answers: 2" in (await place.whispers())[-1]["text"]
    await place.rate(reply, "negative")
    await place.submit(await place.modal(), words=f"not {place.secret}", reasons=["wrong"])
    await place.idle()


async def test_each_workspace_of_an_organisation_is_answered_and_kept_apart(
    grid: tuple[House, list[Place]], home: Path
) -> None:
    running, places = grid
    one, other = places
    about = [answer(f"{team} is fine.", when=asked(team)) for team in (ONE, OTHER)]
    await one.told(*about, answer("Hello.", when=asked("")))
    for place in places:
        await use(place, running)
    assert sorted(running.assistants) == [ONE, OTHER]
    for place in places:
        runs = await place.runs()
        assert [run.request for run in runs] == [f"What about {place.secret}?", "Hello there"]
        kinds = {entry.kind for entry in await place.feedback_on(runs[0])}
        assert "reason" in kinds, "a modal is about no workspace by name"

    await one.post("team-access", granted=False)
    await other.idle()
    assert list(running.assistants) == [OTHER]
    kept = b"".join(file.read_bytes() for file in home.iterdir() if file.is_file())
    assert b"What about T0ONE?" not in kept
    assert b"What about T0OTHER?" in kept
    assert (await other.ask(f"And {OTHER} again?"))["text"] == "T0OTHER is fine."

    await other.post("uninstall", org=True)
    await other.idle()
    assert running.assistants == {}
    kept = b"".join(file.read_bytes() for file in home.iterdir() if file.is_file())
    for gone in (b"T0OTHER", b"E0GRID", ADA.encode()):
        assert gone not in kept
