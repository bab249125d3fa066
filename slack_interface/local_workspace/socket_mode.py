"""Socket Mode: WebSocket connections of the app, envelopes to one of them, acknowledgements."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

import orjson
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from slack_interface.local_workspace.activity_log import Attempt
from slack_interface.local_workspace.clock import Clock
from slack_interface.local_workspace.config import APP_ID, Json, Limits
from slack_interface.local_workspace.delivery import Parcel, Reply, UndeliveredError

logger = structlog.get_logger(__name__)

TICKET_S = 30.0
WARNING_S = 10.0
"""Slack announces a refresh this long before it closes the connection."""


@dataclass(eq=False)
class Connection:
    """One open socket; everything it sends goes through one queue, so that order is kept."""

    websocket: WebSocket
    refresh_s: float
    outbox: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    is_retiring: bool = False
    is_broken: bool = False

    def send(self, text: str) -> None:
        """Queue one message."""
        self.outbox.put_nowait(text)

    def close(self) -> None:
        """Close once everything queued has been sent."""
        self.is_retiring = True
        self.outbox.put_nowait(None)


class SocketHub:
    """All connections of the app; implements Transport."""

    name = "socket"

    def __init__(self, clock: Clock, limits: Limits, changed: Callable[[], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._limits = limits
        self._tickets: dict[str, tuple[float, bool]] = {}
        self._connections: list[Connection] = []
        self._next = 0
        self._waiting: dict[str, asyncio.Future[Reply]] = {}

    def issue_ticket(self, debug_reconnects: bool = False) -> str:
        """A one-use ticket for the WebSocket address of `apps.connections.open`."""
        now = time.monotonic()
        self._tickets = {k: v for k, v in self._tickets.items() if v[0] > now}
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = (now + TICKET_S, debug_reconnects)
        return ticket

    @property
    def connections(self) -> int:
        """How many connections take envelopes now."""
        return sum(not c.is_retiring for c in self._connections)

    def is_open(self) -> bool:
        """Whether an app is connected."""
        return any(not c.is_retiring for c in self._connections)

    async def send(self, parcel: Parcel, attempt: Attempt, deadline_s: float, kill: bool) -> Reply:
        """Send one envelope to one connection and wait for its acknowledgement."""
        connection = self._pick()
        attempt.envelope_id = envelope_id = str(uuid4())
        envelope: Json = {
            "envelope_id": envelope_id,
            "payload": parcel.payload,
            "type": parcel.type,
            "accepts_response_payload": parcel.accepts_response,
        }
        if parcel.type == "events_api":
            envelope["retry_attempt"] = attempt.attempt
            envelope["retry_reason"] = attempt.reason or ""
        answer = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = answer
        connection.send(orjson.dumps(envelope).decode())
        if kill:
            connection.is_broken = True
            connection.close()
        try:
            return await asyncio.wait_for(answer, deadline_s)
        except TimeoutError:
            raise UndeliveredError("timeout", "timeout") from None
        finally:
            del self._waiting[envelope_id]

    def _pick(self) -> Connection:
        able = [c for c in self._connections if not c.is_retiring]
        self._next = (self._next + 1) % len(able)
        return able[self._next]

    def disconnect(self, reason: str) -> int:
        """Ask every connection to reconnect as Slack does on a refresh; returns how many."""
        able = [c for c in self._connections if not c.is_retiring]
        for connection in able:
            connection.send(_disconnect(reason))
            if reason != "warning":
                connection.close()
        return len(able)

    async def serve(self, websocket: WebSocket) -> None:
        """One connection from handshake to close."""
        expires, debug = self._tickets.pop(websocket.query_params.get("ticket", ""), (0.0, False))
        if expires < time.monotonic():
            await websocket.close(code=1008)
            return
        await websocket.accept()
        refresh_s = 360.0 if debug else self._limits.socket_refresh_s
        connection = Connection(websocket, refresh_s)
        if self.connections >= self._limits.sockets:
            await websocket.send_text(_disconnect("too_many_websockets"))
            await websocket.close()
            return
        self._connections.append(connection)
        connection.send(self._hello(refresh_s))
        self._changed()
        writer = asyncio.create_task(_write(connection))
        refresher = asyncio.create_task(self._refresh(connection))
        try:
            await self._read(connection)
        finally:
            self._connections.remove(connection)
            refresher.cancel()
            writer.cancel()
            self._changed()

    def _hello(self, refresh_s: float) -> str:
        hello = {
            "type": "hello",
            "num_connections": self.connections,
            "debug_info": {
                "host": "local-workspace",
                "build_number": 1,
                "approximate_connection_time": int(refresh_s),
            },
            "connection_info": {"app_id": APP_ID},
        }
        return orjson.dumps(hello).decode()

    async def _read(self, connection: Connection) -> None:
        while True:
            try:
                text = await connection.websocket.receive_text()
            except (WebSocketDisconnect, RuntimeError):
                return
            if not connection.is_broken:
                self._acknowledge(text)

    def _acknowledge(self, text: str) -> None:
        try:
            message = orjson.loads(text)
            envelope_id = message["envelope_id"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            logger.warning("socket_message_ignored", text=text[:200])
            return
        waiting = self._waiting.get(envelope_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(Reply(message.get("payload")))

    async def _refresh(self, connection: Connection) -> None:
        await self._clock.sleep(max(0.0, connection.refresh_s - WARNING_S))
        connection.send(_disconnect("warning"))
        await self._clock.sleep(WARNING_S)
        connection.send(_disconnect("refresh_requested"))
        connection.close()


async def _write(connection: Connection) -> None:
    try:
        while (text := await connection.outbox.get()) is not None:
            await connection.websocket.send_text(text)
        await connection.websocket.close(code=1012)
    except (WebSocketDisconnect, RuntimeError) as problem:
        logger.debug("socket_gone", reason=str(problem))


def _disconnect(reason: str) -> str:
    message = {"type": "disconnect", "reason": reason, "debug_info": {"host": "local-workspace"}}
    return orjson.dumps(message).decode()
