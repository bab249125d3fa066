"""HTTP mode with Bolt's own Starlette adapter: verification, signatures, retries, interactions."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from slack_interface.local_workspace import LocalWorkspace
from slack_interface.local_workspace.errors import ControlError
from tests.slack_interface.local_workspace.conftest import Script, next_retry, until

Json = dict[str, Any]


class HttpApp:
    """A Bolt app behind an HTTP server, with every request's headers and a switch to fail."""

    def __init__(self, workspace: LocalWorkspace, signing_secret: str | None = None) -> None:
        client = AsyncWebClient(workspace.bot_token, base_url=workspace.api_url)
        secret = signing_secret or workspace.signing_secret
        self.app = AsyncApp(client=client, signing_secret=secret)
        self._handler = AsyncSlackRequestHandler(self.app)
        self.headers: list[dict[str, str]] = []
        self.failures: list[Response | None] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/slack/events"

    async def _serve(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        if self.failures:
            failure = self.failures.pop(0)
            if failure is not None:
                return failure
            await asyncio.Event().wait()
        return await self._handler.handle(request)

    async def __aenter__(self) -> "HttpApp":
        asgi = Starlette(routes=[Route("/slack/events", self._serve, methods=["POST"])])
        settings = uvicorn.Config(asgi, log_level="critical", timeout_graceful_shutdown=0)
        self._server = uvicorn.Server(settings)
        self._serving = asyncio.create_task(self._server._serve([self._socket]))
        await until(lambda: self._server.started)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._serving


@pytest.fixture
async def http_app(workspace: LocalWorkspace) -> AsyncIterator[HttpApp]:
    async with HttpApp(workspace) as served:
        await workspace.set_request_url(served.url)
        served.headers.clear()
        yield served


async def test_events_commands_and_modals_over_http(http_app: HttpApp, script: Script) -> None:
    events: list[Json] = []
    submitted: list[Json] = []

    @http_app.app.event("message")
    async def heard(event: Json) -> None:
        events.append(event)

    @http_app.app.command("/form")
    async def form(ack: AsyncAck, body: Json, client: AsyncWebClient) -> None:
        await ack("opening")
        text = {"type": "plain_text", "text": "T"}
        element = {"type": "plain_text_input", "action_id": "a"}
        block = {"type": "input", "block_id": "b", "label": text, "element": element}
        view = {"type": "modal", "callback_id": "f", "title": text, "submit": text}
        await client.views_open(trigger_id=body["trigger_id"], view={**view, "blocks": [block]})

    @http_app.app.view("f")
    async def saved(ack: AsyncAck, body: Json) -> None:
        submitted.append(body)
        await ack(response_action="errors", errors={"b": "No"})

    await script.say("@assistant", "ada", "hello & <hi>")
    [event] = await until(lambda: events)
    assert event["text"] == "hello &amp; &lt;hi&gt;"
    command = {"channel": "#general", "user": "ada", "command": "/form", "text": "ä&b=c"}
    answer = await script.post("command", **command)
    assert answer["response"]["text"] == "opening"

    async def modals() -> list[Json]:
        found: list[Json] = (await script.get("/_control/views/ada"))["modals"]
        return found

    [view] = await until(modals)
    values = {"b": {"a": "x"}}
    done = await script.post("submit", view_id=view["id"], user="ada", values=values)
    assert (done["response_action"], done["errors"]) == ("errors", {"b": "No"})
    assert submitted[0]["view"]["state"]["values"]["b"]["a"]["value"] == "x"


async def test_a_wrong_signature_is_refused_at_verification(workspace: LocalWorkspace) -> None:
    async with HttpApp(workspace, signing_secret="another") as served:
        with pytest.raises(ControlError, match="signing secret"):
            await workspace.set_request_url(served.url)
    with pytest.raises(ControlError, match="cannot be reached"):
        await workspace.set_request_url(served.url)
    with pytest.raises(ControlError, match="on this machine"):
        await workspace.set_request_url("http://example.com/slack/events")
    assert workspace.runtime.delivery.transport.name == "socket"


async def test_retries_carry_their_number_and_reason(
    workspace: LocalWorkspace, http_app: HttpApp, script: Script
) -> None:
    events: list[Json] = []

    @http_app.app.event("message")
    async def heard(event: Json) -> None:
        events.append(event)

    await script.post("faults", clock_rate=3)
    http_app.failures = [PlainTextResponse("no", 500), None, PlainTextResponse("no", 503)]
    await script.say("@assistant", "ada", "hello")
    await next_retry(workspace, "http_error", "timeout")
    await next_retry(workspace, "http_error", "timeout", "http_error")
    await until(lambda: len(http_app.headers) == 4)
    numbers = [headers.get("x-slack-retry-num") for headers in http_app.headers]
    assert numbers == [None, "1", "2", "3"]
    reasons = [headers.get("x-slack-retry-reason") for headers in http_app.headers]
    assert reasons == [None, "http_error", "http_timeout", "http_error"]
    await until(lambda: events)


async def test_an_app_may_refuse_retries(http_app: HttpApp, script: Script) -> None:
    await script.post("faults", clock_rate=100_000)
    http_app.failures = [PlainTextResponse("no", 500, {"X-Slack-No-Retry": "1"})] * 4
    await script.say("@assistant", "ada", "hello")

    async def is_settled() -> bool:
        return [row["outcome"] for row in await script.deliveries()] == ["http_error"]

    await until(is_settled)
    await asyncio.sleep(0.05)
    assert len(http_app.headers) == 1


async def test_http_mode_by_script_and_back(http_app: HttpApp, script: Script) -> None:
    state = await script.get("/_control/state")
    assert state["app"] == {"connected": True, "connections": 0, "transport": "http"}
    await script.post("request-url", url=None)
    assert (await script.get("/_control/state"))["app"]["transport"] == "socket"
    error = await script.refused("request-url", url="http://10.0.0.1/x")
    assert error == "invalid_request_url"


async def test_a_body_without_a_valid_signature_is_refused_by_the_app(http_app: HttpApp) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        forged = await http.post(http_app.url, json={"type": "event_callback"})
    assert forged.status_code == 401
