"""A running workspace, a Web API client, a script that acts for people, a real Bolt app."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import LocalTeam, LocalWorkspace
from tests.patience import PATIENCE_S

Json = dict[str, Any]


class Script:
    """The scripting API of a workspace or of one of its teams, one method a verb."""

    def __init__(self, workspace: LocalWorkspace | LocalTeam) -> None:
        self.http = httpx.AsyncClient(base_url=workspace.url, trust_env=False)

    async def post(self, verb: str, **body: Any) -> Json:
        """POST /_control/VERB, which must succeed."""
        response = await self.http.post(f"/_control/{verb}", json=body)
        answer: Json = response.json()
        assert response.status_code == 200, answer
        return answer

    async def refused(self, verb: str, **body: Any) -> str:
        """POST /_control/VERB, which must be refused; the error code."""
        response = await self.http.post(f"/_control/{verb}", json=body)
        assert response.status_code >= 400, response.text
        answer = response.json()
        assert answer["message"]
        return str(answer["error"])

    async def get(self, path: str) -> Json:
        """GET a path, which must succeed."""
        response = await self.http.get(path)
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        return answer

    async def say(self, channel: str, user: str, text: str, thread_ts: str | None = None) -> Json:
        """A person writes; the message."""
        more = {"thread_ts": thread_ts} if thread_ts else {}
        answer = await self.post("message", channel=channel, user=user, text=text, **more)
        message: Json = answer["message"]
        return message

    async def messages(self, channel: str, query: str = "") -> list[Json]:
        """Messages of a channel, oldest first."""
        found: list[Json] = (await self.get(f"/_control/messages/{channel}{query}"))["messages"]
        return found

    async def deliveries(self) -> list[Json]:
        """The delivery attempts so far."""
        found: list[Json] = (await self.get("/_control/log?kind=delivery"))["log"]
        return found


async def until(condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """Wait until a condition holds (it may be async); its value."""
    async with asyncio.timeout(timeout_s):
        while True:
            value = condition()
            if isinstance(value, Awaitable):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.01)


async def next_retry(workspace: LocalWorkspace, *outcomes: str) -> None:
    """Let the next retry come once the attempts so far have ended in this way."""
    log = workspace.runtime.log
    await until(lambda: tuple(row["outcome"] for row in log.rows(kind="delivery")) == outcomes)
    workspace.runtime.clock.advance(max(workspace.config.limits.retry_after_s))


class Bolt:
    """An unmodified Bolt app that keeps every event it gets, over Socket Mode."""

    def __init__(self, workspace: LocalWorkspace) -> None:
        self.client = AsyncWebClient(workspace.bot_token, base_url=workspace.api_url)
        self.app = AsyncApp(
            client=self.client,
            signing_secret=workspace.signing_secret,
            ignoring_self_events_enabled=False,
        )
        self.handler = AsyncSocketModeHandler(
            self.app, workspace.app_token, web_client=self.client, ping_interval=0.2
        )
        self.bodies: list[Json] = []

    async def connect(self) -> None:
        """Connect over Socket Mode."""
        await self.handler.connect_async()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Go away."""
        await self.handler.close_async()  # type: ignore[no-untyped-call]

    def keep(self, *kinds: str) -> None:
        """Acknowledge and keep events of these types."""

        async def listener(body: Json) -> None:
            self.bodies.append(body)

        for kind in kinds:
            self.app.event(kind)(listener)

    def events(self, kind: str) -> list[Json]:
        """The kept events of one type."""
        return [b["event"] for b in self.bodies if b["event"]["type"] == kind]


@pytest.fixture
async def workspace() -> AsyncIterator[LocalWorkspace]:
    async with LocalWorkspace(pacing=False) as running:
        yield running


@pytest.fixture
async def script(workspace: LocalWorkspace) -> AsyncIterator[Script]:
    made = Script(workspace)
    yield made
    await made.http.aclose()


@pytest.fixture
def client(workspace: LocalWorkspace) -> AsyncWebClient:
    return AsyncWebClient(workspace.bot_token, base_url=workspace.api_url)


@pytest.fixture
async def bolt(workspace: LocalWorkspace) -> AsyncIterator[Bolt]:
    made = Bolt(workspace)
    await made.connect()
    await until(workspace.runtime.delivery.is_connected)
    yield made
    await made.close()
