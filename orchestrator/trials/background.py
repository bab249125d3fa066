"""Learning's own work: one piece after the other, giving way to whoever waits for an answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from database.errors import VirtuousError

_TRIES = 20

Result = TypeVar("Result")


class GaveWay(VirtuousError):
    """People asked for so much that a piece of work never came to its end."""


class Background:
    """Runs one piece at a time.

    `gives_way` is for a model that shares the machine with everything else (the embedded one):
    there the piece under way is broken off when a person asks something, and begun anew once
    nobody waits for an answer.
    """

    def __init__(self, *, gives_way: bool = False) -> None:
        self._gives_way = gives_way
        self._one = asyncio.Lock()
        self._running: asyncio.Future[Any] | None = None
        self._people = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def make_way(self) -> None:
        """A person waits for an answer (about a microsecond); `go_on` once they have it."""
        self._people += 1
        if self._gives_way:
            self._quiet.clear()
            if self._running is not None:
                self._running.cancel()

    def go_on(self) -> None:
        """That person has the answer."""
        self._people -= 1
        if not self._people:
            self._quiet.set()

    async def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of `work`, which may be begun several times. Raises GaveWay."""
        async with self._one:
            for _ in range(_TRIES):
                await self._quiet.wait()
                task = asyncio.ensure_future(work())
                self._running = task
                try:
                    await asyncio.wait([task])
                finally:
                    self._running = None
                    if not task.done():
                        task.cancel()
                if not task.cancelled():
                    return task.result()
        raise GaveWay("Learning gave way to people; it goes on when there is less to answer.")
