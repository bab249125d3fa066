import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import structlog
from pydantic import SecretStr

from orchestrator.settings import load_settings
from slack_interface.local_workspace import LocalWorkspace
from slack_interface.manifest import manifest
from slack_interface.slack_bot import Mode
from tests.model_server.server import ScriptedModel
from tests.stories.story import Story
from tests.supabase_server.fixtures import supabase, supabase_server  # noqa: F401


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def model_server() -> AsyncIterator[ScriptedModel]:
    """One scripted model server for all stories; each tells it anew what to answer."""
    async with ScriptedModel() as model:
        yield model


@pytest.fixture(autouse=True)
def logs_on_standard_error() -> Iterator[None]:
    """As in production: a command run beside the assistant has standard output to itself."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    yield
    structlog.reset_defaults()


@pytest.fixture(params=["socket", "http"])
def transport(request: pytest.FixtureRequest) -> Mode:
    """Every story is told twice: once over Socket Mode, once over HTTP."""
    mode: Mode = request.param
    return mode


@pytest.fixture
async def quiet_story(
    model_server: ScriptedModel, home: Path, transport: Mode
) -> AsyncIterator[Story]:
    """People in a workspace whose assistant is not started yet."""
    async with (
        LocalWorkspace(manifest=manifest(), pacing=False) as workspace,
        httpx.AsyncClient(base_url=workspace.url) as http,
    ):
        settings = load_settings(
            slack_api_url=workspace.api_url,
            slack_bot_token=workspace.bot_token,
            openai_base_url=model_server.base_url,
            virtuous6_home=home,
        )
        settings = settings.model_copy(update=secret_of(transport, workspace))
        story = Story(workspace, http, model_server, settings, transport)
        await story.told()
        yield story
        await story.stop()


@pytest.fixture
async def story(quiet_story: Story) -> Story:
    """People in a workspace with the assistant in it."""
    await quiet_story.start()
    return quiet_story


def secret_of(transport: Mode, workspace: LocalWorkspace) -> dict[str, SecretStr]:
    """The one secret that this transport needs beside the bot token."""
    if transport == "http":
        return {"slack_signing_secret": SecretStr(workspace.signing_secret)}
    return {"slack_app_token": SecretStr(workspace.app_token)}
