"""Socket Mode: a few WebSocket connections to Slack, each replaced before it ends.

The SDK's own client closes the old connection before it asks for a new one, and tries an address
that has expired for ever. Here a connection that Slack announces to end stays open until its
successor is up, and every attempt asks for a new address.
"""

import asyncio
import random
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import structlog
from cachetools import TTLCache
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from database.errors import ConfigurationError, VirtuousError
from slack_interface.incoming import Json
from slack_interface.switchboard import Take
from slack_interface.transport import TRANSPORT_ERRORS, in_words, is_slack, no_such_method

log = structlog.get_logger()

CONNECTIONS = 2
"""Slack allows ten for an app and sends each envelope to one of them."""
PING_S = 10.0
"""A ping this often; a connection that is silent for half as long afterwards is dead."""
HELLO_S = 10.0
SILENCE_S = 1.0
"""A server that is not Slack and says nothing for so long is taken to have no hello."""
RETIRE_S = 15.0
"""How long a replaced connection may still bring something before it is closed."""
_IN_ORDER = frozenset({1000, 1001, 1008})
"""How a server closes what it no longer wants (RFC 6455, 7.4.1)."""
DISPLACED_S = 0.5
"""What ends so soon after its neighbour opened was ended by that."""
SAME_S = 60.0
"""So long an envelope is known that comes again; some servers send each by every connection."""
SOUND_S = 5.0
"""A connection that lived so long, or brought anything, is replaced without a pause."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
FAREWELL_S = 2.0

_ADVICE = {
    "too_many_websockets": "more than ten connections use this app: stop some",
    "link_disabled": "switch Socket Mode on at api.slack.com/apps, Socket Mode",
}

_NO_SOCKETS = (
    "{url} offers no Socket Mode (apps.connections.open): start with `virtuous6 serve --mode http`."
)


class _NotWelcomeError(VirtuousError):
    """Slack took the connection and ended it at once."""


_NOT_OPENED = (*TRANSPORT_ERRORS, VirtuousError)


@dataclass(slots=True, eq=False)
class _Connection:
    """One WebSocket; `leaving` is set as soon as it needs a successor."""

    socket: aiohttp.ClientWebSocketResponse
    number: int
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    opened_at: float = field(default_factory=time.monotonic)
    useful: bool = False

    @property
    def sound(self) -> bool:
        return self.useful or time.monotonic() - self.opened_at >= SOUND_S


class SocketMode:
    """Takes Slack's envelopes in for as long as it runs.

    An envelope is acknowledged when `take` has answered 200, on the connection it came by where
    that still lives; Slack sends again what was not acknowledged.
    """

    def __init__(
        self,
        take: Take,
        web: AsyncWebClient,
        session: aiohttp.ClientSession,
        app_token: str,
        *,
        connections: int = CONNECTIONS,
        ping_s: float = PING_S,
    ) -> None:
        self._take_in = take
        self._web = web
        self._session = session
        self._app_token = app_token
        self._count = connections
        self._ping_s = ping_s
        self._live: set[_Connection] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._handling: set[asyncio.Task[None]] = set()
        self._taken: TTLCache[str, asyncio.Future[BoltResponse]] = TTLCache(
            10_000, SAME_S, timer=time.monotonic
        )
        self._opened = 0
        self._displaced = 0
        self._newest = 0.0
        self._by_slack = is_slack(web.base_url)
        self._closing = False

    async def start(self) -> None:
        """Open the first connection; the others follow, and a failed one is tried again for ever.

        Raises:
            ConfigurationError: Slack refuses the app token.
        """
        first: _Connection | None = None
        try:
            first = await self._open()
        except ConfigurationError:
            raise
        except SlackApiError as error:
            if no_such_method(error, self._web):
                raise ConfigurationError(_NO_SOCKETS.format(url=self._web.base_url)) from error
            raise ConfigurationError(
                f"Slack refuses SLACK_APP_TOKEN ({in_words(error)}): make an app-level "
                "token with connections:write at api.slack.com/apps, Basic Information."
            ) from error
        except _NOT_OPENED as error:
            log.warning("slack_socket_not_opened", error=in_words(error))
        slots = [first, *[None] * (self._count - 1)]
        self._keepers = [asyncio.create_task(self._keep(made)) for made in slots]

    async def stop(self) -> None:
        """Take nothing new, let what came in be kept and acknowledged, close."""
        self._closing = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        if self._handling:
            await asyncio.wait(self._handling, timeout=FAREWELL_S)
        await asyncio.gather(*(c.socket.close() for c in self._live), return_exceptions=True)
        left = self._tasks | self._handling
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def connected(self) -> bool:
        """Whether at least one connection lives."""
        return any(not connection.socket.closed for connection in self._live)

    # Connections

    async def _keep(self, connection: _Connection | None) -> None:
        """Keep one connection up, for ever; `connection` where it is open already."""
        former: _Connection | None = None
        failures = 0
        while True:
            if connection is None:
                try:
                    connection = await self._open()
                except _NOT_OPENED as error:
                    failures += 1
                    await _pause(failures, in_words(error))
                    continue
            if former:
                _spawn(self._retire(former), self._tasks)
            await connection.leaving.wait()
            if self._displaced > 1 and await self._other_lives():
                log.info("slack_takes_one_socket_only", socket=connection.number)
                return
            failures = 0 if connection.sound else failures + 1
            if failures:
                await _pause(failures, "ended at once")
            former, connection = connection, None

    async def _open(self) -> _Connection:
        """One more connection, greeted by Slack."""
        web = self._web
        answer = await web.apps_connections_open(app_token=self._app_token)
        if not answer.get("url"):
            raise ConfigurationError(_NO_SOCKETS.format(url=web.base_url))
        self._newest = time.monotonic()
        socket = await self._session.ws_connect(
            answer["url"],
            heartbeat=self._ping_s,
            timeout=aiohttp.ClientWSTimeout(ws_close=FAREWELL_S),
            proxy=web.proxy,
            ssl=True if web.ssl is None else web.ssl,
        )
        try:
            early = await _greeted(socket, by_slack=self._by_slack)
        except BaseException:
            await socket.close()
            raise
        self._opened += 1
        connection = _Connection(socket, self._opened)
        self._live.add(connection)
        if early:
            self._take(connection, early)
        _spawn(self._read(connection), self._tasks)
        log.info("slack_socket_opened", socket=connection.number, live=len(self._live))
        return connection

    async def _retire(self, connection: _Connection) -> None:
        """Close a connection that has a successor, when it has had time to bring the rest."""
        if not connection.socket.closed:
            await asyncio.sleep(RETIRE_S)
        await connection.socket.close()

    async def _read(self, connection: _Connection) -> None:
        socket = connection.socket
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(connection, message.data)
        finally:
            self._live.discard(connection)
            self._displaced = self._displaced + 1 if self._was_displaced(connection) else 0
            if not self._closing:
                self._tell_end(connection)
            connection.leaving.set()

    async def _other_lives(self) -> bool:
        """Whether what displaced a connection is up, if it is given a moment."""
        await asyncio.sleep(DISPLACED_S)
        return self.connected()

    def _was_displaced(self, connection: _Connection) -> bool:
        """Whether it was ended, in order, because another was opened; that is not Slack's way."""
        if connection.leaving.is_set() or connection.socket.close_code not in _IN_ORDER:
            return False
        age = time.monotonic() - self._newest
        return connection.opened_at < self._newest and age < DISPLACED_S and not self._by_slack

    def _tell_end(self, connection: _Connection) -> None:
        trouble, code = connection.socket.exception(), connection.socket.close_code
        tell = log.info if connection.leaving.is_set() else log.warning
        tell(
            "slack_socket_ended",
            socket=connection.number,
            live=len(self._live),
            reason=str(trouble) if trouble else f"closed ({code})",
        )

    # Envelopes

    def _take(self, connection: _Connection, text: str) -> None:
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict):
            log.warning("slack_socket_noise", size=len(text))
        elif message.get("type") == "disconnect":
            reason = str(message.get("reason"))
            log.info("slack_socket_to_be_replaced", socket=connection.number, reason=reason)
            connection.leaving.set()
        elif not self._closing and "envelope_id" in message:
            connection.useful = True
            _spawn(self._handle(connection, message), self._handling)

    async def _handle(self, connection: _Connection, message: Json) -> None:
        try:
            request = SocketModeRequest.from_dict(message)
            if request is None:
                return
            response = await self._taken_once(request)
        except Exception:
            log.exception("envelope_failed", type=message.get("type"))
            return
        if response.status == 200:
            await self._acknowledge(connection, request.envelope_id, response)
        else:
            log.warning("envelope_refused", type=request.type, status=response.status)

    async def _taken_once(self, request: SocketModeRequest) -> BoltResponse:
        """What became of an envelope, also where it came by several connections."""
        taken = self._taken.get(request.envelope_id)
        if taken is None or not _may_stand(taken):
            taken = asyncio.ensure_future(self._take_in(request.payload, _retry(request)))
            self._taken[request.envelope_id] = taken
        return await taken

    async def _acknowledge(
        self, connection: _Connection, envelope_id: str, response: BoltResponse
    ) -> None:
        text = orjson.dumps(SocketModeResponse(envelope_id, _said(response)).to_dict()).decode()
        for way in (connection, *self._live):
            try:
                await way.socket.send_str(text)
            except TRANSPORT_ERRORS:
                continue
            return
        log.warning("envelope_not_acknowledged", reason="no connection lives")


def _spawn(work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
    task = asyncio.create_task(work)
    among.add(task)
    task.add_done_callback(among.discard)


def _may_stand(taken: asyncio.Future[BoltResponse]) -> bool:
    """Whether it is under way or was taken; what failed is tried again."""
    if not taken.done():
        return True
    return not taken.cancelled() and not taken.exception() and taken.result().status == 200


async def _greeted(socket: aiohttp.ClientWebSocketResponse, *, by_slack: bool) -> str:
    """Return when Slack has said hello.

    Servers that are not Slack may say nothing, or begin with an envelope, which is returned.

    Raises:
        _NotWelcomeError: it was ended at once.
        TimeoutError: Slack says nothing.
    """
    try:
        async with asyncio.timeout(HELLO_S if by_slack else SILENCE_S):
            first = await socket.receive()
    except TimeoutError:
        if by_slack or socket.closed:
            raise
        return ""
    if first.type is not aiohttp.WSMsgType.TEXT:
        raise _NotWelcomeError(f"no hello, but {first.type.name}")
    try:
        message = orjson.loads(first.data)
    except orjson.JSONDecodeError:
        message = None
    said = message if isinstance(message, dict) else {}
    if "envelope_id" in said:
        return str(first.data)
    if said.get("type") != "hello":
        reason = str(said.get("reason"))
        raise _NotWelcomeError(f"{reason}: {_ADVICE.get(reason, 'no hello')}")
    return ""


async def _pause(failures: int, reason: str) -> None:
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1))
    pause = longest * random.uniform(0.5, 1.0)
    log.warning("slack_socket_tried_again_later", reason=reason, failures=failures, in_s=pause)
    await asyncio.sleep(pause)


def _retry(request: SocketModeRequest) -> dict[str, str]:
    """What HTTP says in headers beside a payload that is sent again."""
    if request.retry_attempt is None:
        return {}
    found = {"x-slack-retry-num": str(request.retry_attempt)}
    if request.retry_reason is not None:
        found["x-slack-retry-reason"] = str(request.retry_reason)
    return found


def _said(response: BoltResponse) -> Json | None:
    """What goes back with the acknowledgement: a view's errors, a command's words."""
    if not response.body:
        return None
    kind = (response.headers.get("content-type") or [""])[0]
    if kind.startswith("application/json"):
        said = orjson.loads(response.body)
        return said if isinstance(said, dict) else None
    return {"text": response.body}
