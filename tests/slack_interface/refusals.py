"""A Slack that refuses some calls: stands before the workspace and passes the rest on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web


@dataclass(slots=True)
class Refusal:
    """What a method answers instead, and how many times."""

    body: Mapping[str, Any]
    times: int = 1_000_000
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Refusals:
    """`async with Refusals(workspace.api_url) as slack:` listens at `slack.url`."""

    upstream: str
    by_method: dict[str, Refusal] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""
    _runner: web.AppRunner | None = None
    _session: aiohttp.ClientSession | None = None

    def refuse(self, method: str, error: str, times: int = 1_000_000) -> None:
        self.by_method[method] = Refusal({"ok": False, "error": error}, times)

    def lose(self, method: str, times: int = 1) -> None:
        """The workspace does what it is asked, but its answer is lost with the connection."""
        self.lost[method] = times

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/api/{method}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner
        assert self._session
        await self._runner.cleanup()
        await self._session.close()

    async def _answer(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        self.asked.append(method)
        refusal = self.by_method.get(method)
        if refusal and refusal.times > 0:
            refusal.times -= 1
            return web.json_response(
                dict(refusal.body), status=refusal.status, headers=dict(refusal.headers)
            )
        assert self._session
        headers = {
            key: value
            for key, value in request.headers.items()
            if key.lower() in ("authorization", "content-type")
        }
        async with self._session.request(
            request.method,
            self.upstream + method,
            params=request.query,
            data=await request.read(),
            headers=headers,
        ) as answer:
            if self.lost.get(method, 0) > 0 and request.transport:
                self.lost[method] -= 1
                request.transport.abort()
            return web.Response(
                body=await answer.read(), status=answer.status, content_type="application/json"
            )
