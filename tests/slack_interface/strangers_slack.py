"""A server that speaks like Slack as far as a test says, and is not Slack."""

import asyncio
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.people import Json, eventually

TEAM, BOT, PERSON, CHANNEL = "T-one", "u.bot", "u.ada", "general"

Otherwise = Callable[[], web.Response]


def unknown_method() -> web.Response:
    return web.json_response({"ok": False, "error": "unknown_method"})


@dataclass(slots=True)
class StrangersSlack:
    """`async with StrangersSlack() as slack:` listens at `slack.url`.

    It knows auth.test, chat.postMessage, Socket Mode and what is in `answers`; of all else it says
    `otherwise`. `posted` are the messages, `asked` every call with its HTTP verb, `given` what
    each method was last called with.
    """

    otherwise: Otherwise = unknown_method
    answers: dict[str, Json | Otherwise] = field(default_factory=dict)
    label: str | None = "application/json"
    only_post: bool = False
    tells_ts: bool = True
    hello: bool = True
    single: bool = False
    first: Json | None = None
    posted: list[Json] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    given: dict[str, Json] = field(default_factory=dict)
    acknowledged: list[Json] = field(default_factory=list)
    responded: list[Json] = field(default_factory=list)
    url: str = ""
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/link", self._link)
        app.router.add_post("/response", self._respond)
        app.router.add_route("*", "/api/{method}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner
        await asyncio.gather(*(socket.close() for socket in self.sockets))
        await self._runner.cleanup()

    async def say(self, text: str, *, event_type: str = "message", **more: Any) -> str:
        """Somebody says something, told as sparsely as possible; its `ts`."""
        ts = f"{1_700_000_000 + len(self.acknowledged)}.{uuid.uuid4().int % 10**6:06}"
        event = {"type": event_type, "user": PERSON, "text": text, "channel": CHANNEL, "ts": ts}
        await self.send("events_api", {"type": "event_callback", "event": event | more})
        return ts

    async def send(self, kind: str, payload: Json, *, to_all: bool = False) -> Json:
        """An envelope; the acknowledgement."""
        envelope = {"envelope_id": uuid.uuid4().hex, "type": kind, "payload": payload}
        open_ones = [socket for socket in self.sockets if not socket.closed]
        for socket in open_ones if to_all else open_ones[-1:]:
            await socket.send_str(json.dumps(envelope))
        wanted = len(open_ones) if to_all else 1

        async def acknowledged() -> list[Json] | None:
            id_ = envelope["envelope_id"]
            found = [ack for ack in self.acknowledged if ack["envelope_id"] == id_]
            return found if len(found) == wanted else None

        found: list[Json] = await eventually(acknowledged, f"{wanted} acknowledgements")
        return found[-1]

    async def has_posted(self, count: int = 1) -> list[Json]:
        """The messages, once there are so many."""

        async def enough() -> list[Json] | None:
            return self.posted if len(self.posted) >= count else None

        found: list[Json] = await eventually(enough, f"{count} messages posted")
        return found

    async def _answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        self.asked.append((request.method, method))
        if self.only_post and request.method != "POST":
            return web.json_response({"message": "Not Found"}, status=404)
        given = self.given[method] = await _arguments(request)
        answer = self.answers.get(method) or self._core(method, given)
        if answer is None:
            answer = self.otherwise
        if callable(answer):
            return answer()
        response = web.Response(body=json.dumps(answer).encode())
        response.headers.pop("content-type", None)
        if self.label:
            response.headers["content-type"] = self.label
        return response

    async def _respond(self, request: web.Request) -> web.Response:
        self.responded.append(await request.json())
        return web.Response(text="ok")

    def _core(self, method: str, given: Json) -> Json | None:
        if method == "auth.test":
            return {"ok": True, "team_id": TEAM, "user_id": BOT}
        if method == "apps.connections.open":
            return {"ok": True, "url": self.url.replace("http", "ws").replace("api/", "link")}
        if method == "chat.postMessage":
            self.posted.append(given)
            ts = f"1800000000.{len(self.posted):06}"
            return {"ok": True, "ts": ts} if self.tells_ts else {"ok": True}
        return None

    async def _link(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self.single:
            for former in self.sockets:
                await former.close()
        if self.first:
            await socket.send_str(json.dumps(self.first))
            self.first = None
        elif self.hello:
            await socket.send_str('{"type": "hello"}')
        self.sockets.append(socket)
        async for message in socket:
            self.acknowledged.append(json.loads(message.data))
        return socket


async def _arguments(request: web.Request) -> Json:
    if request.content_type == "application/json":
        return dict(await request.json())
    return dict(await request.post()) or dict(request.query)
