"""Two workspaces with the same people, channels and names, one assistant: nothing crosses over."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from bootstrap import House, house
from orchestrator.settings import load_settings
from slack_interface.http_server import Listen
from slack_interface.local_workspace import LocalWorkspace, Team
from slack_interface.manifest import manifest
from slack_interface.slack_bot import Mode
from tests.model_server.server import ScriptedModel, answer, tool_call
from tests.people import ADA, BOT, GRACE, TEAM, Json, eventually, find
from tests.stories.story import asked, direct, seen
from tests.stories.two import Place, install
from virtuous6 import app

SECOND = "T0SECOND"
HELIOTROPE, PERIWINKLE = "heliotrope", "periwinkle"
"""The word that only the first workspace knows, and the second's."""

DRAFT = {
    "name": "gardener",
    "specialty": "flowers of the colour {}",
    "description": "Knows every flower of the colour {}.",
    "instructions": "You grow {} flowers. Ask back about the soil.",
    "examples": ["Which flowers like shade?", "When do I plant them?", "Why do they droop?"],
}


@dataclass(slots=True)
class Two:
    """Both of them, and the process that serves them."""

    first: Place
    second: Place
    running: House
    base: str


@pytest.fixture
async def two(model_server: ScriptedModel, home: Path, transport: Mode) -> AsyncIterator[Two]:
    """The first workspace's token is in the environment, the second installs the app by OAuth."""
    teams = (Team(), Team(SECOND, "Second", installed=False))
    async with LocalWorkspace(manifest=manifest(), pacing=False, teams=teams) as workspace:
        settings = load_settings(
            slack_api_url=workspace.api_url,
            slack_bot_token=workspace.bot_token,
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
            assert "Open Slack" in await install(base, workspace, SECOND)
            places = []
            for team, secret in zip(workspace.teams, (HELIOTROPE, PERIWINKLE), strict=True):
                http = httpx.AsyncClient(base_url=team.url)
                place = Place(
                    workspace, http, model_server, settings, transport, team=team, secret=secret
                )
                place._house = running.assistants[team.id]
                place.bot = running.slack
                await place.connected()
                places.append(place)
            for channel in ("#general", "#leadership"):
                await places[1].post("join", channel=channel, user="virtuous6")
            yield Two(places[0], places[1], running, base)
            for place in places:
                await place.http.aclose()


async def live(place: Place) -> None:
    """Ada does everything there is to do, with the workspace's word in it."""
    secret = place.secret
    await place.ask(f"Our plan is called {secret}")
    answered = await place.mention(f"What do you think of {secret}?")
    thread = answered["thread_ts"]
    await place.rate(answered, "positive", channel="C0GENERAL")
    await place.rate(answered, "negative", GRACE, channel="C0GENERAL")
    view = await place.modal(GRACE)
    await place.submit(view, GRACE, words=f"more {secret}", reasons=["wrong"])
    await place.say("save-workflow plan", ADA, "general", thread)
    await place.command("/better", f"more {secret}", channel="general")
    await place.mention(f"A secret {secret} one", channel="leadership")
    await place.ask(f"Please create a specialist for {secret} flowers")
    await place.ask("Which flowers like shade?")
    await place.say(
        f"policy set speak.C0GENERAL {'everything' if secret == HELIOTROPE else 'threads'}"
    )
    await place.idle()


async def look(place: Place) -> None:
    """Ada, Grace and Alan try everything that might show something of what was said elsewhere."""
    for user in (ADA, GRACE, "U0ALAN"):
        await place.ask("Please search for it", user)
        for text in ("everyone 30d", "me", f"<@{ADA}> 30d", "#leadership", "agent gardener"):
            await place.command("/metrics", text, user, "general")
        for words in ("help", "who answered?", "policy", "run plan", "better: shorter"):
            await place.say(words, user)
        await place.home(user)
        await place.idle()
    [root] = [m for m in await channel(place, "C0GENERAL") if f"of {place.secret}?" in m["text"]]
    [reply, *_] = await place.thread(root["ts"], "C0GENERAL")
    for button in find(reply["blocks"], "button")[:3]:
        await place.press(reply, button, "C0GENERAL", GRACE)
    await place.idle()


async def channel(place: Place, channel_id: str) -> list[Json]:
    return list((await place.get(f"messages/{channel_id}"))["messages"])


async def shown(place: Place) -> str:
    """All that anybody there was ever shown: messages, whispers, modals, Home."""
    found: list[Any] = []
    for channel_id in ("C0GENERAL", "C0LEADERSHIP", "C0ENGINEERING", "C0IMPROVEMENTS",
                       direct(ADA), direct(GRACE), "D0ALAN"):  # fmt: skip
        for root in await channel(place, channel_id):
            found += [root, *await place.thread(root["ts"], channel_id)]
    for user in (ADA, GRACE, "U0ALAN"):
        found.append((await place.get(f"ephemeral/{user}"))["messages"])
        found.append(await place.get(f"views/{user}"))
    return json.dumps(found)


async def printed(*arguments: str, status: int = 0) -> str:
    """What `virtuous6` prints."""
    done = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert done.exit_code == status, done.output
    return str(done.output)


async def test_nothing_of_one_workspace_is_ever_shown_in_the_other(
    two: Two, tmp_path: Path
) -> None:
    model = two.first.model
    drafts = [
        answer(json.dumps(DRAFT).replace("{}", word), when={"systemMessage": "You design",
                                                            "userMessage": word})
        for word in (HELIOTROPE, PERIWINKLE)
    ]  # fmt: skip
    await model.script([
        *drafts,
        tool_call("search_messages", {"words": "plan secret"}, when=asked("search for it")),
        answer("That is all.", when=asked("search for it", hasToolResult=True)),
        *(answer(f"I like {word}.", when=asked(word)) for word in (HELIOTROPE, PERIWINKLE)),
        answer("Fine.", when=asked("")),
    ])  # fmt: skip
    places = (two.first, two.second)
    for place in places:
        await live(place)
    for place in places:
        await look(place)
    for place, other in (places, places[::-1]):
        everything = await shown(place)
        assert everything.count(place.secret) > 10
        assert other.secret not in everything
        exported = tmp_path / f"{place.team.id}.jsonl"
        at = ("--workspace", place.team.id)
        for arguments in (
            ("runs", "export", str(exported)),
            ("runs", "export", "--user", ADA, str(exported)),
            ("agents", "export", str(tmp_path / place.team.id)),
        ):
            await printed(*at, *arguments)
        lists = [
            await printed(*at, *arguments)
            for arguments in (
                ("agents", "list"), ("agents", "show", "gardener"), ("metrics", "--json"),
                ("policy", "show", "--json"), ("agents", "history", "gardener", "--json"),
            )
        ]  # fmt: skip
        files = [f.read_text() for f in (exported, tmp_path / place.team.id / "gardener.yaml")]
        for text in (*lists, *files):
            assert other.secret not in text
        for text in (lists[1], *files):
            assert place.secret in text
    for call in await model.calls():
        said = json.dumps(call)
        assert not (HELIOTROPE in said and PERIWINKLE in said), "the model saw both in one request"
    assert two.first.house.policy.speaking("C0GENERAL") == "everything"
    assert two.second.house.policy.speaking("C0GENERAL") == "threads"


async def test_forgetting_somebody_in_one_workspace_leaves_the_other(two: Two) -> None:
    await two.first.model.script([answer("Fine.", when=asked(""))])
    for place in (two.first, two.second):
        await place.ask(f"Our plan is called {place.secret}")
        await place.idle()
    assert "several workspaces" in await printed("runs", "forget", "--user", ADA, status=2)
    await printed("--workspace", SECOND, "runs", "forget", "--user", ADA)
    [kept], [emptied] = await two.first.runs(), await two.second.runs()
    assert (kept.request, kept.user_id) == (f"Our plan is called {HELIOTROPE}", ADA)
    assert (emptied.request, emptied.user_id) == ("", None)


async def test_a_workspace_that_removes_the_app_is_erased_and_may_come_back(
    two: Two, home: Path
) -> None:
    await two.first.model.script([answer("Fine.", when=asked(""))])
    for place in (two.first, two.second):
        await place.ask(f"Our plan is called {place.secret}")
        await place.idle()
    await two.second.post("uninstall")
    await two.first.idle()
    assert list(two.running.assistants) == [TEAM]
    kept = b"".join(f.read_bytes() for f in home.iterdir() if f.is_file())
    assert PERIWINKLE.encode() not in kept
    assert SECOND.encode() not in kept
    await two.first.ask("Are you still there?")
    assert "Open Slack" in await install(two.base, two.first.workspace, SECOND, "grace")
    back = two.running.assistants[SECOND]
    two.second._house = back
    await two.second.ask("Hello again")
    [run] = await two.second.runs()
    assert run.request == "Hello again"


async def test_somebody_who_does_not_allow_the_app_reads_why_nothing_happened(two: Two) -> None:
    async with httpx.AsyncClient(trust_env=False) as browser:
        begun = await browser.get(f"{two.base}/slack/install")
        [href] = [part.split('"')[0] for part in begun.text.split('href="')[1:]]
        asked_of_slack = href.replace("&amp;", "&")
        back = two.first.workspace.consent(asked_of_slack, SECOND, allow=False)
        assert parse_qs(urlsplit(back).query)["error"] == ["access_denied"]
        cookie = begun.headers["set-cookie"].split(";")[0]
        page = await browser.get(back, headers={"Cookie": cookie})
    assert "Nothing was installed" in page.text


async def test_stop_in_one_workspace_stops_nothing_in_the_other(two: Two) -> None:
    slow = answer(" ".join(["word"] * 400), when=asked("long"), latency=20)
    await two.first.model.script([slow, answer("Fine.", when=asked(""))])
    tss = [await place.say("Tell me something long") for place in (two.first, two.second)]

    for place, ts in zip((two.first, two.second), tss, strict=True):
        await eventually(partial(place.thread, ts), "the answer began")
    await two.first.say("stop", thread=tss[0])
    await two.first.idle()
    [stopped] = [m for m in await two.first.thread(tss[0]) if m.get("user") == BOT][:1]
    [whole] = [m for m in await two.second.thread(tss[1]) if m.get("user") == BOT]
    assert seen(stopped).count("word") < 400
    assert seen(whole["text"]).count("word") == 400
