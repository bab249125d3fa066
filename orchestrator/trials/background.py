"""Learning's own work: a few pieces at a time, giving way to whoever waits for an answer."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from database.errors import VirtuousError

AT_ONCE = 4
_TRIES = 20
CALM_SECONDS = 0.5
"""Who just had an answer often asks the next thing, and where many ask somebody always does."""
LULL_SECONDS = 10.0
"""What computes waits so long for a calm moment; there may never be one."""

Result = TypeVar("Result")


class GaveWay(VirtuousError):
    """People asked for so much that a piece of work never came to its end."""


class Background:
    """Runs so many pieces `at_once`; more would only wait for each other at the provider.

    `gives_way` is for a model that shares the machine with everything else (the embedded one):
    there one piece runs at a time, is broken off when a person asks something, and begun anew once
    nobody waits for an answer.
    """

    def __init__(self, *, gives_way: bool = False, at_once: int = AT_ONCE) -> None:
        self.gives_way = gives_way
        self.at_once = 1 if gives_way else at_once
        self._places = asyncio.Semaphore(self.at_once)
        self._running: set[asyncio.Future[Any]] = set()
        self._people = 0
        self._alone = asyncio.Event()
        self._alone.set()
        self._left = float("-inf")

    def make_way(self) -> None:
        """A person waits for an answer (about a microsecond); `go_on` once they have it."""
        self._people += 1
        self._alone.clear()
        if self.gives_way:
            for task in self._running:
                task.cancel()

    def go_on(self) -> None:
        """That person has the answer."""
        self._people -= 1
        if not self._people:
            self._alone.set()
            self._left = time.monotonic()

    async def quiet(self) -> None:
        """Wait until nobody waits for an answer, where that makes a difference to a model."""
        if self.gives_way:
            await self._alone.wait()

    async def lull(self) -> None:
        """Wait until nobody has waited for an answer for CALM_SECONDS, LULL_SECONDS at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LULL_SECONDS):
                while (still := self._restless()) > 0:
                    await asyncio.sleep(still)
                    await self._alone.wait()

    def _restless(self) -> float:
        """Seconds until it may be calm."""
        left = CALM_SECONDS if self._people else self._left + CALM_SECONDS - time.monotonic()
        return max(0.0, left)

    async def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of `work`, which may be begun several times. Raises GaveWay."""
        async with self._places:
            for _ in range(_TRIES):
                await self.quiet()
                task = asyncio.ensure_future(work())
                self._running.add(task)
                try:
                    await asyncio.wait([task])
                finally:
                    self._running.discard(task)
                    if not task.done():
                        task.cancel()
                if not task.cancelled():
                    return task.result()
        raise GaveWay("Learning gave way to people; it goes on when there is less to answer.")
