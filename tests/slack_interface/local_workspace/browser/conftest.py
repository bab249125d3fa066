"""One Chromium, workspace and Bolt app for all browser tests; fresh pages for each."""

import inspect
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import AppConfig, LocalWorkspace
from slack_interface.local_workspace.config import Command, Limits
from tests.chromium import chromium
from tests.patience import PATIENCE_S
from tests.slack_interface.local_workspace.browser.small_app import SmallApp

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here run on the session's loop, where the browser and the app live."""
    for item in items:
        is_async = inspect.iscoroutinefunction(getattr(item, "function", None))
        if is_async and item.path.parent == HERE:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@dataclass(frozen=True)
class World:
    """What a test acts on and looks at."""

    workspace: LocalWorkspace
    app: SmallApp
    bot: AsyncWebClient
    browser: Browser

    async def page(self, width: int = 1280, height: int = 800) -> Page:
        """An empty page in a window of its own (a tab behind another one is slowed down)."""
        context = await self.browser.new_context(viewport={"width": width, "height": height})
        page = await context.new_page()
        page.on("pageerror", _raise)
        return page

    async def open(self, hash_: str = "user=U0ADA", width: int = 1280, height: int = 800) -> Page:
        """The workspace at that place, once it is live; any script error fails the test."""
        page = await self.page(width, height)
        await page.goto(f"{self.workspace.url}/#{hash_}")
        await expect(page.get_by_test_id("connection")).to_have_text("App connected")
        return page


def _raise(error: Any) -> None:
    raise AssertionError(f"The page threw: {error}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(browser: Browser) -> AsyncIterator[tuple[LocalWorkspace, SmallApp]]:
    commands = (
        Command("/echo", "Say it back", "words"),
        Command("/why", "Ask what was wrong"),
        Command("/metrics", "Success, speed and cost", "[days]"),
    )
    prompts = ({"title": "Greet", "message": "hello from a prompt"},)
    shortcuts = ({"name": "Save this", "type": "message", "callback_id": "save_this"},)
    described = AppConfig(commands=commands, prompts=prompts, shortcuts=shortcuts)
    limits = Limits(trigger_s=PATIENCE_S)
    async with LocalWorkspace(app=described, pacing=False, limits=limits) as workspace:
        small = SmallApp()
        client = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
        app = AsyncApp(client=client, signing_secret=workspace.signing_secret)
        small.install(app)
        handler = AsyncSocketModeHandler(app, workspace.app_token, web_client=client)
        await handler.connect_async()  # type: ignore[no-untyped-call]
        yield workspace, small
        await handler.close_async()  # type: ignore[no-untyped-call]


@pytest_asyncio.fixture(loop_scope="session")
async def world(browser: Browser, running: tuple[LocalWorkspace, SmallApp]) -> AsyncIterator[World]:
    workspace, small = running
    bot = AsyncWebClient(token=workspace.bot_token, base_url=workspace.api_url)
    small.forget()
    yield World(workspace, small, bot, browser)
    small.go_on.set()
    small.stopped.set()
    for context in browser.contexts:
        await context.close()
    await workspace.reset()
