"""A provider that spoils three calls in ten, in every way that providers do."""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web

SPOILT: Mapping[str, int] = {
    "rate_limited": 2,
    "failed": 2,
    "never_answered": 2,
    "cut": 2,
    "malformed": 2,
    "hung_up": 1,
    "fell_silent": 1,
}
"""How many of `DEAL` calls."""
DEAL = 40


class Trouble:
    """`async with Trouble(model.base_url) as provider:` serves at `provider.base_url`.

    The rest is passed on to the server behind. Each `DEAL` calls hold their share of each trouble,
    in an order that `seed` decides; `met` counts what happened.
    """

    def __init__(self, behind: str, *, seed: int) -> None:
        self._behind = behind
        self._dice = random.Random(seed)
        self._deal: list[str] = []
        self.met: Counter[str] = Counter()
        self.base_url = ""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=10_000_000)
        app.router.add_post("/v1/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def _next(self) -> str:
        if not self._deal:
            kinds = [kind for kind, count in SPOILT.items() for _ in range(count)]
            self._deal = kinds + ["answered"] * (DEAL - len(kinds))
            self._dice.shuffle(self._deal)
        return self._deal.pop()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        happens = self._next()
        self.met[happens] += 1
        match happens:
            case "rate_limited":
                return _refused(429, {"retry-after-ms": "100"})
            case "failed":
                return _refused(500)
            case "malformed":
                return web.Response(text='data: {"choices": [{"del\n\n', content_type=_STREAM)
            case "hung_up":
                return _hung_up(request)
            case "never_answered":
                return await _silence(request)
        return await self._passed_on(request, body, happens)

    async def _passed_on(
        self, request: web.Request, body: bytes, happens: str
    ) -> web.StreamResponse:
        url = f"{self._behind}/{request.match_info['path']}"
        headers = {"content-type": request.content_type}
        async with self._session.post(url, data=body, headers=headers) as found:
            answer = web.StreamResponse(status=found.status)
            answer.content_type = found.content_type
            await answer.prepare(request)
            async for piece in found.content.iter_any():
                if happens == "answered":
                    await answer.write(piece)
                    continue
                await answer.write(piece[: len(piece) // 2])
                return _hung_up(request) if happens == "cut" else await _silence(request)
            return answer


_STREAM = "text/event-stream"


def _refused(status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    body: dict[str, Any] = {"error": {"message": "trouble", "type": "trouble"}}
    return web.json_response(body, status=status, headers=headers)


def _hung_up(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.close()
    return web.Response()


async def _silence(request: web.Request) -> web.Response:
    """Nothing more, until whoever asked hangs up."""
    while request.transport and not request.transport.is_closing():  # noqa: ASYNC110 (no event)
        await asyncio.sleep(0.05)
    return web.Response()
