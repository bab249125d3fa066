"""Work that one process at a time may do: a claim that is kept up while it runs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import structlog

from database.errors import VirtuousError

log = structlog.get_logger()

LEASE_SECONDS = 60.0
"""After a process was killed, another one may go on so much later."""


class Claims(Protocol):
    """Claims over all processes (database.coordination)."""

    async def claim(self, name: str, ttl: float) -> bool:
        """True for one caller only until `ttl` seconds have passed."""

    async def renew(self, name: str, ttl: float) -> bool:
        """Keep what was claimed for `ttl` seconds from now; False where others have it by now."""

    async def release(self, name: str) -> None:
        """Let the next caller have it, unless others have it by now."""


@asynccontextmanager
async def lease(claims: Claims, name: str, ttl: float = LEASE_SECONDS) -> AsyncIterator[bool]:
    """True inside for one block only, over all processes, for as long as the block runs.

    It is against work done twice and not against writes done twice: a process that was stopped for
    longer than `ttl` may go on beside another one, so what it writes names the revision it saw.
    """
    if not await claims.claim(name, ttl):
        yield False
        return

    async def keep_up() -> None:
        while True:
            await asyncio.sleep(ttl / 3)
            try:
                if not await claims.renew(name, ttl):
                    log.warning("lease_lost", lease=name)
                    return
            except VirtuousError as error:
                log.warning("lease_not_renewed", lease=name, problem=str(error))

    keeping = asyncio.create_task(keep_up())
    try:
        yield True
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
        await claims.release(name)
