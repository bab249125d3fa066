"""Calls a minute to a provider, shared by all processes of an engine database."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from database.errors import VirtuousError
from goals.rates import Rates

_PAUSE_SECONDS = 5.0
"""After a refusal that names no time."""

log = structlog.get_logger()


class ProviderRate:
    """Waits for a turn in the minute (orchestrator.resource_pool.Rate).

    Where the engine database is away nobody waits: the provider itself then says when it is enough.
    """

    def __init__(
        self,
        rates: Rates,
        provider: str,
        per_minute: int,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rates = rates
        self._name = f"model calls of {provider}"
        self._per_minute = per_minute
        self._sleep = sleep
        self._away = False
        self._background = asyncio.Lock()

    async def turn(self, *, background: bool = False) -> None:
        """Wait until one more call may be made; a tenth of a minute's calls may go at once.

        What nobody sits and waits for goes only where no reply of any process waits, and leaves
        half of those that may go at once to replies.
        """
        burst = max(1, self._per_minute // 10)
        try:
            if background:
                await self._spare(burst)
                return
            seconds = await self._rates.turn(self._name, self._per_minute, burst)
            self._away = False
        except VirtuousError as error:
            self._once(error)
            return
        if seconds:
            await self._sleep(seconds)

    async def _spare(self, burst: int) -> None:
        """One after the other, so that a process asks once for all its work."""
        async with self._background:
            ask = partial(self._rates.spare, self._name, self._per_minute, burst, burst // 2)
            while seconds := await ask():
                await self._sleep(seconds)
            self._away = False

    async def refused(self, seconds: float | None) -> None:
        """Let all processes wait so long."""
        try:
            await self._rates.pause(self._name, seconds or _PAUSE_SECONDS)
        except VirtuousError as error:
            self._once(error)

    def _once(self, error: VirtuousError) -> None:
        if not self._away:
            log.warning("rate_not_shared", reason=str(error))
        self._away = True
