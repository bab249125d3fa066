import asyncio
import gc
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from filelock import FileLock

from bootstrap import Assistant, assistant, house
from database.coordination import Coordination
from database.errors import ConfigurationError
from database.installations import Installation
from database.records import Run, RunQuery
from database.store import Store
from orchestrator.administration import forget
from orchestrator.settings import Settings, load_settings
from serving import demo, serve
from slack_interface.http_server import Listen
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.manifest import manifest
from slack_interface.slack_bot import Mode
from tests.model_server.server import ScriptedModel, answer
from tests.orchestrator.fakes import ScriptedModels, WordEmbedder
from tests.patience import PATIENCE_S


@pytest.fixture
async def workspace() -> AsyncIterator[LocalWorkspace]:
    async with LocalWorkspace(manifest=manifest(), pacing=False) as workspace:
        yield workspace


def settings_for(workspace: LocalWorkspace, home: Path, **more: Any) -> Settings:
    return load_settings(
        slack_api_url=workspace.api_url,
        slack_bot_token=workspace.bot_token,
        slack_app_token=workspace.app_token,
        virtuous6_home=home,
        **more,
    )


async def ask(workspace: LocalWorkspace, house: Assistant, **body: str) -> list[Mapping[str, Any]]:
    """Say something in the workspace; what stands in its thread once the assistant is idle."""
    async with httpx.AsyncClient(base_url=workspace.url) as client:
        said = (await client.post("/_control/message", json=body)).raise_for_status().json()
        message = said["message"]
        thread = message.get("thread_ts") or message["ts"]
        channel = said.get("channel") or message["channel"]
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await house.slack.idle()
                path = f"/_control/messages/{channel}?thread_ts={thread}"
                found: list[Mapping[str, Any]] = (await client.get(path)).json()["messages"]
                if found[-1].get("bot_id") and not found[-1].get("streaming"):
                    await house.slack.idle()  # what is seen may not be recorded yet
                    return found
                await asyncio.sleep(0.02)


async def test_one_message_through_the_whole_house(
    workspace: LocalWorkspace, scripted_model: ScriptedModel, home: Path
) -> None:
    await scripted_model.script([answer("A log that is written first.")])
    settings = settings_for(workspace, home, openai_base_url=scripted_model.base_url)
    async with assistant(settings) as house:
        messages = await ask(
            workspace, house, channel="@assistant", user="ada", text="What is a write-ahead log?"
        )
        assert await house.bus.drain()
        assert "A log that is written first." in messages[-1]["text"]
        (run,) = await house.store.runs(RunQuery(), with_steps=True)
        assert (run.reply, run.error) == ("A log that is written first.", None)
        assert run.reply_ts == messages[-1]["ts"]
        assert run.agent_version == house.pool.definitions[run.agent].version
        own = [step for step in run.steps if not step.arguments]  # beside choosing the agent
        assert [step.kind for step in own] == ["model"]


async def test_a_second_start_remembers_the_thread(workspace: LocalWorkspace, home: Path) -> None:
    models = ScriptedModels(lambda turns, model: f"Heard {len(turns)}.")
    settings = settings_for(workspace, home)
    parts: dict[str, Any] = {"models": models, "embedder": WordEmbedder()}
    async with assistant(settings, **parts) as house:
        first = await ask(workspace, house, channel="@assistant", user="ada", text="My cat is Mia")
    async with assistant(settings, **parts) as house:
        await ask(
            workspace, house, channel="@assistant", user="ada", text="What is my cat's name?",
            thread_ts=first[0]["ts"],
        )  # fmt: skip
    said = [turn.text for turn in models.asked[-1][1] if turn.role != "system"]
    assert said == ["My cat is Mia", first[-1]["text"].strip(), "What is my cat's name?"]


async def test_without_tokens_it_says_what_to_set(home: Path) -> None:
    settings = load_settings(openai_base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigurationError, match="SLACK_BOT_TOKEN"):
        await serve(settings, lambda line: None)


async def test_http_mode_needs_a_signing_secret_and_no_app_token(home: Path) -> None:
    settings = load_settings(slack_bot_token="xoxb-1", openai_base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigurationError, match="SLACK_SIGNING_SECRET"):
        await serve(settings, lambda line: None, mode="http")
    with pytest.raises(ConfigurationError, match="SLACK_APP_TOKEN"):
        await serve(settings, lambda line: None)


async def test_a_host_in_socket_mode_needs_a_port(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="--port"):
        await serve(load_settings(), lambda line: None, host="127.0.0.1")


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_serve_says_where_it_listens_and_answers_about_its_health(
    workspace: LocalWorkspace, home: Path, mode: Mode
) -> None:
    settings = settings_for(
        workspace,
        home,
        slack_signing_secret=workspace.signing_secret,
        openai_base_url="http://127.0.0.1:9/v1",
    )
    lines: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.create_task(serve(settings, lines.put_nowait, mode=mode, port=0))
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert (await lines.get()).startswith("Connected to ")
            where = await lines.get()
        assert gc.get_freeze_count(), "what stays is left alone by the garbage collector"
        [health] = re.findall(r"http://127\.0\.0\.1:\d+/health/ready", where)
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(health)).json() == {"ready": True, "reasons": []}
        if mode == "http":
            [events] = re.findall(r"http://\S+/slack/events", where)
            await workspace.set_request_url(events)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_without_a_workspace_it_says_where_one_installs_the_app(
    workspace: LocalWorkspace, home: Path, mode: Mode
) -> None:
    settings = oauth_settings(workspace, home)
    lines: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.create_task(serve(settings, lines.put_nowait, mode=mode, port=0))
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert (await lines.get()) == "Connected to Slack. Ctrl-C stops."
            health = re.findall(r"http://\S+/health/ready", await lines.get())[0]
            install = re.findall(r"http://\S+/slack/install", await lines.get())[0]
            assert "VIRTUOUS6_PUBLIC_URL" in await lines.get()
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(health)).json() == {"ready": True, "reasons": []}
            page = await client.get(install)
        assert "Add to Slack" in page.text
        assert workspace.client_id in page.text
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def oauth_settings(workspace: LocalWorkspace, home: Path, **more: Any) -> Settings:
    """An app that workspaces install, and none has."""
    return load_settings(
        slack_api_url=workspace.api_url,
        slack_app_token=workspace.app_token,
        slack_signing_secret=workspace.signing_secret,
        slack_client_id=workspace.client_id,
        slack_client_secret=workspace.client_secret,
        openai_base_url="http://127.0.0.1:9/v1",
        virtuous6_home=home,
        **more,
    )


async def test_the_address_from_outside_is_what_slack_is_told(
    workspace: LocalWorkspace, home: Path
) -> None:
    settings = oauth_settings(workspace, home, virtuous6_public_url="https://bot.example.com/a/")
    lines: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.create_task(serve(settings, lines.put_nowait, mode="http", port=0))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await lines.get()
            where = re.findall(r"http://[^/]+", await lines.get())[0]
            told = "Workspaces install the app at https://bot.example.com/a/slack/install"
            assert await lines.get() == told
        async with httpx.AsyncClient(trust_env=False) as client:
            page = await client.get(f"{where}/slack/install", headers={"Host": "evil.example"})
        assert "bot.example.com%2Fa%2Fslack%2Foauth_redirect" in page.text
        assert "evil" not in page.text
        assert "; Path=/a/slack/oauth_redirect; SameSite=lax; Secure" in page.headers["set-cookie"]
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.parametrize(
    ("given", "missing"),
    [("slack_client_id", "SLACK_CLIENT_SECRET"), ("slack_client_secret", "SLACK_CLIENT_ID")],
)
async def test_half_of_an_app_to_install_is_not_enough(
    home: Path, given: str, missing: str
) -> None:
    settings = load_settings(**{given: "1.2"}, openai_base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ConfigurationError, match=f"Set {missing} too"):
        await serve(settings, lambda line: None)


async def test_two_assistants_do_not_share_a_home(workspace: LocalWorkspace, home: Path) -> None:
    home.mkdir(parents=True)
    with (
        FileLock(home / "serve.lock"),
        pytest.raises(ConfigurationError, match="An assistant is already running"),
    ):
        await serve(settings_for(workspace, home), lambda line: None)


async def test_a_workspace_that_installs_the_app_is_looked_after_like_the_others(
    workspace: LocalWorkspace, home: Path
) -> None:
    models = ScriptedModels(lambda turns, model: "Fine.")
    settings = oauth_settings(workspace, home)
    parts: dict[str, Any] = {"models": models, "embedder": WordEmbedder()}
    store = Store.open(home, "T0VIRTUOUS")
    store.append(Run("old", "old words", "a", started_at=time.time() - 91 * 86_400))
    await store.close()
    async with house(settings, mode="http", listen=Listen(port=0), **parts) as running:
        assert running.assistants == {}
        token = workspace.bot_token
        await running.slack.install(Installation("T0VIRTUOUS", "Local", token, installer="U0ADA"))
        [one] = running.assistants.values()
        scheduler = running.scheduler()
        scheduler.start()
        scheduler.hurry()
        async with asyncio.timeout(PATIENCE_S):
            while (old := await one.store.run("old")) and old.request:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        scheduler.stop()
        assert {"look after workspaces", "learn what worked"} <= scheduler.next_times().keys()


async def test_without_any_model_it_says_how_to_get_one(
    workspace: LocalWorkspace, home: Path, tmp_path: Path
) -> None:
    settings = settings_for(workspace, home, virtuous6_models_dir=tmp_path / "none")
    with pytest.raises(ConfigurationError, match="model pull"):
        async with assistant(settings):
            pass


async def test_a_refused_token_is_said(workspace: LocalWorkspace, home: Path) -> None:
    settings = settings_for(workspace, home).model_copy(
        update={"slack_bot_token": load_settings(slack_bot_token="xoxb-wrong").slack_bot_token}
    )
    with pytest.raises(ConfigurationError, match="SLACK_BOT_TOKEN"):
        async with assistant(settings, models=ScriptedModels(lambda turns, model: "x")):
            pass


async def test_two_demos_do_not_share_a_home(home: Path) -> None:
    home.mkdir(parents=True)
    said: list[str] = []
    with (
        FileLock(home / "demo.lock"),
        pytest.raises(ConfigurationError, match="already running"),
    ):
        await demo(load_settings(), port=0, model="none", browser=False, say=said.append)
    assert said == []


async def test_a_saved_workflow_replays_with_new_inputs(
    workspace: LocalWorkspace, home: Path
) -> None:
    models = ScriptedModels(lambda turns, model: f"Done: {turns[-1].text}")
    settings = settings_for(workspace, home)
    async with assistant(settings, models=models, embedder=WordEmbedder()) as house:
        to_ada = {"channel": "@assistant", "user": "ada"}
        first = await ask(workspace, house, **to_ada, text="Write a greeting for Bob Marley")
        await ask(workspace, house, **to_ada, text="save-workflow greet", thread_ts=first[0]["ts"])
        replayed = await ask(workspace, house, **to_ada, text='run greet name="Nina Simone"')
        await house.bus.drain()
        runs = await house.store.runs(RunQuery())
    assert "Done: Write a greeting for Nina Simone" in replayed[-1]["text"]
    assert runs[0].request == "Write a greeting for Nina Simone"


async def test_a_specialist_asked_for_in_a_channel_answers_there(
    workspace: LocalWorkspace, home: Path
) -> None:
    models = ScriptedModels(lambda turns, model: f"From {turns[0].text.split('.')[0]}")
    models.structured_answers = [
        {
            "name": "knot-expert",
            "specialty": "knots and ropes for sailors",
            "description": "Explains knots and ropes.",
            "instructions": "You are a patient teacher of knots. Explain each knot step by step.",
            "examples": [
                "how do I tie a bowline knot",
                "best knot for two ropes",
                "what is a hitch",
            ],
        }
    ]
    settings = settings_for(workspace, home)
    async with assistant(settings, models=models, embedder=WordEmbedder()) as house:
        said = await ask(
            workspace, house, channel="#general", user="ada",
            text="@Virtuous6 create a specialist for knots",
        )  # fmt: skip
        assert "knot-expert" in said[-1]["text"]
        said = await ask(
            workspace, house, channel="#general", user="ada",
            text="@Virtuous6 how do I tie a bowline knot",
        )  # fmt: skip
    assert "From You are a patient teacher of knots" in said[-1]["text"]


async def test_what_is_on_its_way_is_forgotten_too_and_never_reaches_another_workspace(
    workspace: LocalWorkspace, home: Path
) -> None:
    models = ScriptedModels(lambda turns, model: "x")
    settings = settings_for(workspace, home)
    async with assistant(settings, models=models, embedder=WordEmbedder()) as house:
        await house.coordination.accept("key", "lane", b"from U0ADA: a secret")
        report = await forget(settings, None, "U0ADA")
        assert report.rows["under way"] == 1
        await house.coordination.accept("key-2", "lane", b"from U0ADA: another")
        elsewhere = Coordination.open(home, workspace="T0ELSEWHERE")
        assert await elsewhere.pending() == []
        await elsewhere.close()
        await house.coordination.done("key-2")


async def test_texts_older_than_ninety_days_are_deleted_at_the_start(
    workspace: LocalWorkspace, home: Path
) -> None:
    store = Store.open(home, "T0VIRTUOUS")
    for run_id, days in (("old", 91), ("young", 89)):
        store.append(Run(run_id, f"{run_id} words", "a", started_at=time.time() - days * 86_400))
    models = ScriptedModels(lambda turns, model: "x")
    settings = settings_for(workspace, home)
    async with (
        assistant(settings, models=models, embedder=WordEmbedder(), store=store),
        asyncio.timeout(PATIENCE_S),
    ):
        while (old := await store.run("old")) and old.request:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    young = await store.run("young")
    assert young is not None
    assert young.request == "young words"
    await store.close()
