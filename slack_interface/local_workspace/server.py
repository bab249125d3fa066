"""The ASGI application, and a workspace that runs in the caller's event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from slack_interface.local_workspace import persistence
from slack_interface.local_workspace.config import (
    AppConfig,
    Json,
    Limits,
    Secrets,
    WorkspaceConfig,
)
from slack_interface.local_workspace.control import Control
from slack_interface.local_workspace.errors import ControlError, SlackError, WorkspaceError
from slack_interface.local_workspace.interactions import answer_url
from slack_interface.local_workspace.page_api import PageApi, file_response
from slack_interface.local_workspace.posting import sweep_statuses
from slack_interface.local_workspace.requests import guarded, reply
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.web_api.endpoint import PREFIX, ApiEndpoint
from slack_interface.local_workspace.web_api.oauth_misc import authorize
from slack_interface.local_workspace.web_api.streams import sweep_streams

PAGE = Path(__file__).parent / "page"
SWEEP_S = 1.0
LOOPBACK = frozenset(("127.0.0.1", "localhost", "[::1]", "::1"))
POLICY = (
    b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    b"object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = [
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class Gate:
    """Outermost: loopback Host headers only, no foreign origins, /api on its short way."""

    def __init__(self, inner: ASGIApp, api: ASGIApp) -> None:
        self._inner = inner
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if not _is_local(headers):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
                return
            refusal = PlainTextResponse("Open this workspace by its loopback address.", 403)
            await refusal(scope, receive, send)
        elif scope["path"].startswith(PREFIX) and scope["type"] == "http":
            await self._api(scope, receive, send)
        else:
            await self._inner(scope, receive, _secured(send))


def _is_local(headers: dict[bytes, bytes]) -> bool:
    host = headers.get(b"host", b"").decode("latin-1")
    if urlsplit(f"//{host}").hostname not in LOOPBACK:
        return False
    origin = headers.get(b"origin")
    return origin is None or urlsplit(origin.decode("latin-1")).netloc == host


def _secured(send: Send) -> Send:
    async def send_secured(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *SECURITY_HEADERS]}
        await send(message)

    return send_secured


def build_app(config: WorkspaceConfig, runtime: Runtime | None = None) -> ASGIApp:
    """The whole workspace as an ASGI application.

    Raises SnapshotError when the state file cannot be used.
    """
    snapshot = persistence.load(config.state_file) if config.state_file else None
    runtime = runtime or Runtime(config)
    if snapshot is not None:
        persistence.restore(runtime.workspace, snapshot)
    control, page = Control(runtime), PageApi(runtime)
    other = Routes(runtime)
    routes = [
        *control.routes(),
        *page.routes(),
        *other.routes(),
        WebSocketRoute("/_page/live", other.live),
        WebSocketRoute("/link/", runtime.sockets.serve),
    ]
    if PAGE.is_dir():
        routes.append(Mount("/page", StaticFiles(directory=PAGE)))
    app = Starlette(routes=routes, lifespan=_lifespan(config, runtime))
    return Gate(app, ApiEndpoint(runtime))


def _lifespan(config: WorkspaceConfig, runtime: Runtime) -> Any:
    @contextlib.asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[None]:
        snapshots = None
        if config.state_file:
            workspace, keys = runtime.workspace, runtime.secrets
            snapshots = persistence.Snapshots(config.state_file, workspace, keys)
            workspace.on_change = snapshots.changed
        sweeper = asyncio.create_task(_sweep(runtime))
        yield
        sweeper.cancel()
        await runtime.close()
        if snapshots is not None:
            await snapshots.close()

    return run


async def _sweep(runtime: Runtime) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        sweep_streams(runtime)
        sweep_statuses(runtime)


class Routes:
    """Everything that is neither Web API nor scripting nor the page's own API."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/", self.index),
            Route("/archives/{channel}", self.index),
            Route("/archives/{channel}/{message}", self.index),
            Route("/healthz", self.health),
            Route("/oauth/v2/authorize", guarded(self.authorize)),
            Route("/files-pri/{file_id}/{name:path}", self.private_file),
            Route("/upload/v1/{key}", self.upload, methods=["POST"]),
            Route("/response/{key}", self.response_url, methods=["POST"]),
        ]

    async def index(self, request: Request) -> Response:
        """The page."""
        if not (PAGE / "index.html").is_file():
            return PlainTextResponse("This workspace has no page; use /api and /_control.", 404)
        return FileResponse(PAGE / "index.html")

    async def health(self, request: Request) -> Response:
        """Whether the workspace answers, and an app is connected."""
        return reply({"ok": True, "app_connected": self._runtime.delivery.is_connected()})

    async def authorize(self, request: Request) -> Response:
        """OAuth: consent is given at once, and the browser goes back to the app."""
        return RedirectResponse(authorize(self._runtime, dict(request.query_params)))

    async def private_file(self, request: Request) -> Response:
        """url_private: a file's bytes for the app's token."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        stored = self._runtime.workspace.files.get(request.path_params["file_id"])
        can_read = "files:read" in self._runtime.config.app.scopes
        if token != self._runtime.secrets.bot_token or self._runtime.revoked or not can_read:
            return PlainTextResponse("A token with files:read is needed.", 403)
        if stored is None or stored.content is None:
            return PlainTextResponse("No such file.", 404)
        return file_response(stored.info, stored.content)

    async def upload(self, request: Request) -> Response:
        """The bytes of a file.getUploadURLExternal; raw, or multipart as some clients send."""
        file_id = self._runtime.uploads.pop(request.path_params["key"], None)
        stored = self._runtime.workspace.files.get(file_id or "")
        if stored is None:
            return PlainTextResponse("This upload address is not valid any more.", 404)
        content = await request.body()
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            parts = [v for v in (await request.form()).values() if not isinstance(v, str)]
            content = await parts[0].read() if parts else b""
        if len(content) != stored.info["size"]:
            self._runtime.uploads[request.path_params["key"]] = stored.info["id"]
            return PlainTextResponse("The file does not have the announced length.", 400)
        stored.content = content
        self._runtime.workspace.on_change()
        return PlainTextResponse(f"OK - {len(content)}")

    async def response_url(self, request: Request) -> Response:
        """What an app posts to a response URL."""
        try:
            body: Json = orjson.loads(await request.body())
            if not isinstance(body, dict):
                return reply({"ok": False, "error": "invalid_payload"}, 400)
            answer_url(self._runtime, request.path_params["key"], body)
        except orjson.JSONDecodeError:
            return reply({"ok": False, "error": "invalid_json"}, 400)
        except SlackError as problem:
            return reply(problem.body(), problem.status)
        return PlainTextResponse("ok")

    async def live(self, websocket: WebSocket) -> None:
        """The page's WebSocket."""
        try:
            user = self._runtime.workspace.user_named(websocket.query_params.get("user", ""))
        except ControlError:
            await websocket.close(code=1008)
            return
        await self._runtime.live.serve(websocket, user, self._greeting)

    def _greeting(self) -> Json:
        return {"type": "app", "connected": self._runtime.delivery.is_connected()}


class LocalWorkspace:
    """A running workspace: `async with LocalWorkspace() as ws:` serves until the block ends.

    `port` 0 takes a free one. With a `state_file` a second start remembers, tokens included.
    `manifest` is the app's manifest (scopes, events, commands); `limits` moves Slack's limits.
    """

    def __init__(
        self,
        port: int = 0,
        state_file: Path | None = None,
        *,
        manifest: Mapping[str, Any] | None = None,
        app: AppConfig | None = None,
        secrets: Secrets | None = None,
        limits: Limits | None = None,
        pacing: bool = True,
        clock_rate: float = 1.0,
        echo_own_messages: bool = True,
    ) -> None:
        snapshot = persistence.load(state_file) if state_file else None
        described = AppConfig.from_manifest(manifest) if manifest is not None else AppConfig()
        self._socket = _listen(port)
        self.config = WorkspaceConfig(
            port=self._socket.getsockname()[1],
            state_file=state_file,
            app=app or described,
            secrets=secrets or persistence.stored_secrets(snapshot) or Secrets(),
            limits=limits or Limits(),
            pacing=pacing,
            clock_rate=clock_rate,
            echo_own_messages=echo_own_messages,
        )
        self.runtime = Runtime(self.config)
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Address of the page, without a slash at the end."""
        return self.runtime.base_url

    @property
    def api_url(self) -> str:
        """For SLACK_API_URL: http://127.0.0.1:PORT/api/."""
        return f"{self.url}{PREFIX}"

    @property
    def bot_token(self) -> str:
        """xoxb-..."""
        return self.config.secrets.bot_token

    @property
    def app_token(self) -> str:
        """xapp-..."""
        return self.config.secrets.app_token

    @property
    def signing_secret(self) -> str:
        """For HTTP mode."""
        return self.config.secrets.signing_secret

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point an app at this workspace."""
        return {
            "SLACK_API_URL": self.api_url,
            "SLACK_BOT_TOKEN": self.bot_token,
            "SLACK_APP_TOKEN": self.app_token,
            "SLACK_SIGNING_SECRET": self.signing_secret,
        }

    async def set_request_url(self, url: str | None) -> None:
        """HTTP mode at this URL (verified first), or Socket Mode again with None."""
        await self.runtime.set_request_url(url)

    async def __aenter__(self) -> Self:
        """Serve; returns once requests are answered."""
        app = build_app(replace(self.config), self.runtime)
        settings = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            ws="websockets-sansio",
            ws_ping_interval=30,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(settings)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise WorkspaceError("The local workspace stopped before it served anything.")
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop serving; the snapshot is written."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        self._socket.close()

    async def wait(self) -> None:
        """Until the server ends."""
        if self._serving is not None:
            await self._serving


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the event loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as problem:
        listener.close()
        raise WorkspaceError(
            f"Port {port} cannot be used ({problem.strerror}); choose another with --port."
        ) from None
    return listener
