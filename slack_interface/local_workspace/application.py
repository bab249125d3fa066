"""The ASGI application: the Web API, sockets and OAuth of all teams, and a page for each."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from slack_interface.local_workspace import consent, persistence
from slack_interface.local_workspace.config import Json, WorkspaceConfig
from slack_interface.local_workspace.control import Control
from slack_interface.local_workspace.errors import ControlError, SlackError
from slack_interface.local_workspace.interactions import answer_url
from slack_interface.local_workspace.page_api import PageApi, file_response
from slack_interface.local_workspace.posting import sweep_statuses
from slack_interface.local_workspace.requests import reply
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.teams import Teams
from slack_interface.local_workspace.web_api.endpoint import PREFIX, ApiEndpoint
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
    # Not no-referrer: with that a form of our own would come with `Origin: null`.
    (b"referrer-policy", b"same-origin"),
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


def build_app(config: WorkspaceConfig, teams: Teams | None = None) -> ASGIApp:
    """All teams as one ASGI application: each below /team/ID, the first one at the root too.

    Raises SnapshotError when the state file cannot be used.
    """
    snapshot = persistence.load(config.state_file) if config.state_file else None
    teams = teams or Teams(config)
    if snapshot is not None:
        persistence.restore(teams, snapshot)
    routes: list[BaseRoute] = [
        Route("/oauth/v2/authorize", Consent(teams).answer, methods=["GET", "POST"]),
        WebSocketRoute("/link/", teams.platform.sockets.serve),
    ]
    if PAGE.is_dir():
        routes.append(Mount("/page", StaticFiles(directory=PAGE)))
    for team_id, runtime in teams.runtimes.items():
        routes.append(Mount(f"/team/{team_id}", routes=_team_routes(teams, runtime)))
    routes += _team_routes(teams, teams.first)
    app = Starlette(routes=routes, lifespan=_lifespan(config, teams))
    return Gate(app, ApiEndpoint(teams))


def _team_routes(teams: Teams, runtime: Runtime) -> list[BaseRoute]:
    other = Routes(runtime)
    return [
        *Control(teams, runtime).routes(),
        *PageApi(teams, runtime).routes(),
        *other.routes(),
        WebSocketRoute("/_page/live", other.live),
    ]


def _lifespan(config: WorkspaceConfig, teams: Teams) -> Any:
    @contextlib.asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[None]:
        snapshots = None
        if config.state_file:
            snapshots = persistence.Snapshots(config.state_file, teams)
            teams.platform.installations.on_change = snapshots.changed
            for runtime in teams.runtimes.values():
                runtime.workspace.on_change = snapshots.changed
        sweeper = asyncio.create_task(_sweep(teams))
        yield
        sweeper.cancel()
        await teams.close()
        if snapshots is not None:
            await snapshots.close()

    return run


async def _sweep(teams: Teams) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        for runtime in teams.runtimes.values():
            sweep_streams(runtime)
            sweep_statuses(runtime)


class Consent:
    """The page on which a person lets the app in; a form of it comes back as POST."""

    def __init__(self, teams: Teams) -> None:
        self._teams = teams

    async def answer(self, request: Request) -> Response:
        """Ask, or send the browser back to the app with the answer."""
        given: dict[str, str] = dict(request.query_params)
        if request.method == "POST":
            form = await request.form()
            given |= {key: value for key, value in form.items() if isinstance(value, str)}
        try:
            asked = consent.read(self._teams, given)
            if request.method == "GET":
                return HTMLResponse(consent.page(self._teams, asked, given))
            allow = given.get("decision") == "allow"
            place, user = given.get("team", ""), given.get("user", "")
            there = consent.decide(self._teams, asked, place, user, allow=allow)
        except SlackError as problem:
            return HTMLResponse(consent.error_page(problem.code, problem.messages[0]), 400)
        except ControlError as problem:
            return HTMLResponse(consent.error_page(problem.code, problem.message), problem.status)
        return RedirectResponse(there, 302)


class Routes:
    """What a team has beside its scripting API and its page's own API."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route("/", self.index),
            Route("/archives/{channel}", self.index),
            Route("/archives/{channel}/{message}", self.index),
            Route("/healthz", self.health),
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

    async def private_file(self, request: Request) -> Response:
        """url_private: a file's bytes for the app's token."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        stored = self._runtime.workspace.files.get(request.path_params["file_id"])
        if not self._may_read_files(token):
            return PlainTextResponse("A token with files:read is needed.", 403)
        if stored is None or stored.content is None:
            return PlainTextResponse("No such file.", 404)
        return file_response(stored.info, stored.content)

    def _may_read_files(self, token: str) -> bool:
        try:
            installation = self._runtime.platform.installations.authenticate(token).installation
        except SlackError:
            return False
        is_here = self._runtime.team.id in installation.team_ids
        return is_here and "files:read" in installation.scopes

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
