"""The HTTP door: Slack's signed requests in HTTP mode, and health for whoever runs the house."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson
import structlog
import uvicorn
from slack_bolt.adapter.starlette.async_handler import to_starlette_response
from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from database.errors import ConfigurationError, VirtuousError
from slack_interface.incoming import Json
from slack_interface.switchboard import Take

log = structlog.get_logger()

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 3000
PATHS = ("/slack/events", "/slack/interactive", "/slack/commands")
"""Slack lets an app give each kind of request an address; here all of them take every kind."""

BODY_LIMIT = 1024 * 1024
"""Bytes. A message of Slack's has 40,000 characters at most; views and blocks stay below 250 kB."""
STALE_S = 300
"""Slack's advice for the age at which a signed request counts as replayed."""
HEAD_S = BODY_S = 10.0
"""How long a client may take to send the head, and then the body, of a request."""
OPEN_AT_ONCE = 256
FAREWELL_S = 3

_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"
_RETRY = ("x-slack-retry-num", "x-slack-retry-reason")

NotReady = Callable[[], Awaitable[Sequence[str]]]
"""Why the house cannot answer now; empty when it can."""
Figures = Callable[[], Awaitable[Mapping[str, float | None]]]
"""What whoever watches the house may want to know besides, in numbers."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where HTTP requests are taken; port 0 takes a free one."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT


class _RefusedError(VirtuousError):
    """A request that is not passed on, with the HTTP status that says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class HttpServer:
    """Serves health, pages and, with a signing secret, Slack's requests, in the caller's loop.

    Requests are refused with 503 until `open_to` says who takes them.
    """

    def __init__(
        self,
        listen: Listen,
        not_ready: NotReady,
        signing_secret: str = "",
        pages: Sequence[Route] = (),
        figures: Figures | None = None,
    ) -> None:
        self._listen = listen
        self._pages = pages
        self._not_ready = not_ready
        self._figures = figures
        self._verifier = SignatureVerifier(signing_secret) if signing_secret else None
        self._take_in: Take | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Return when requests are answered. Raises ConfigurationError for a port in use."""
        listener = _bound(self._listen)
        self.port = listener.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                self._routes(),
                http=_Impatient,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=OPEN_AT_ONCE,
                timeout_graceful_shutdown=FAREWELL_S,
            )
        )
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise ConfigurationError("The HTTP server stopped before it served anything.")
            await asyncio.sleep(0.005)
        log.info("http_listening", host=self._listen.host, port=self.port)

    def open_to(self, take: Take) -> None:
        """From here on Slack's requests are taken."""
        self._take_in = take

    async def stop(self) -> None:
        """Let requests that came in be answered, then close."""
        if self._server and self._serving:
            self._server.should_exit = True
            await self._serving
        self._server = self._serving = self._take_in = None

    @property
    def is_open(self) -> bool:
        """Whether Slack's requests are taken."""
        return self._take_in is not None

    def _routes(self) -> Starlette:
        health = [Route("/health/live", _live), Route("/health/ready", self._ready)]
        routes = [*health, *self._pages]
        if self._verifier:
            routes += [Route(path, self._take, methods=["POST"]) for path in PATHS]
        return Starlette(routes=routes)

    async def _ready(self, request: Request) -> Response:
        reasons = list(await self._not_ready())
        figures = dict(await self._figures()) if self._figures else {}
        told = {"ready": not reasons, "reasons": reasons, **figures}
        return JSONResponse(told, status_code=503 if reasons else 200)

    async def _take(self, request: Request) -> Response:
        """One request of Slack's; answered when what it brought is kept."""
        try:
            take = self._take_in
            if take is None:
                raise _RefusedError(503, "starting")
            content_type = _content_type(request)
            text = await _text(request)
            self._verify(request, text)
            payload = _payload(text, content_type)
            answer = await take(payload, _retry(request))
        except _RefusedError as refused:
            log.warning(
                "http_request_refused",
                path=request.url.path,
                status=refused.status,
                reason=refused.reason,
                client=request.client.host if request.client else None,
            )
            return JSONResponse(
                {"error": refused.reason}, refused.status, headers={"Connection": "close"}
            )
        return to_starlette_response(answer)

    def _verify(self, request: Request, text: str) -> None:
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        is_number = timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16
        if not is_number or not signature.isascii():
            raise _RefusedError(401, "not_signed")
        if abs(time.time() - int(timestamp)) > STALE_S:
            raise _RefusedError(401, "stale_timestamp")
        if not self._verifier or not self._verifier.is_valid(text, timestamp, signature):
            raise _RefusedError(401, "invalid_signature")


async def _live(request: Request) -> Response:
    return JSONResponse({"live": True})


def _content_type(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (_JSON, _FORM):
        raise _RefusedError(415, "unsupported_content_type")
    return kind


async def _text(request: Request) -> str:
    """The body, refused as soon as it is known to be too long."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > BODY_LIMIT:
        raise _RefusedError(413, "body_too_large")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for piece in request.stream():
                body += piece
                if len(body) > BODY_LIMIT:
                    raise _RefusedError(413, "body_too_large")
        return body.decode()
    except TimeoutError:
        raise _RefusedError(408, "body_too_slow") from None
    except ClientDisconnect:
        raise _RefusedError(400, "body_cut_off") from None
    except UnicodeDecodeError:
        raise _RefusedError(400, "malformed_body") from None


def _payload(text: str, content_type: str) -> Json:
    """What was sent. Bolt's own reading of forms loses commands that say "payload" somewhere."""
    try:
        sent = orjson.loads(text) if content_type == _JSON else dict(parse_qsl(text, True))
        if content_type == _FORM and "payload" in sent:
            sent = orjson.loads(sent["payload"])
    except ValueError:
        raise _RefusedError(400, "malformed_body") from None
    if not isinstance(sent, dict) or not sent:
        raise _RefusedError(400, "malformed_body")
    return sent


def _retry(request: Request) -> dict[str, str]:
    """What Socket Mode says beside a payload that is sent again."""
    return {name: request.headers[name] for name in _RETRY if name in request.headers}


def _bound(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        return socket.create_server((listen.host, listen.port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"Port {listen.port} on {listen.host} cannot be used ({error.strerror}): "
            "choose another with --port or --host."
        ) from error


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the event loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Impatient(H11Protocol):
    """Hangs up on a client that does not get its first request's head across in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEAD_S, self._hang_up)

    def _hang_up(self) -> None:
        if self.cycle is None:
            self.transport.close()
