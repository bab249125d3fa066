"""Workspace time: real time, or faster when a test says so."""

import asyncio
import time

SHORTEST_DEADLINE_S = 0.25
"""A limit that an app must meet never gets shorter than this in real time, at any rate."""


class Clock:
    """Virtual seconds that pass `rate` times as fast as real ones.

    Timestamps shown to apps stay real (Slack signs and compares them); only waits, lifetimes
    and rates are scaled.
    """

    def __init__(self, rate: float = 1.0) -> None:
        self._rate = rate
        self._virtual = 0.0
        self._real = time.monotonic()
        self._changed = asyncio.Event()

    @property
    def rate(self) -> float:
        """Virtual seconds a real second."""
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        self._virtual, self._real = self.now(), time.monotonic()
        self._rate = value
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def now(self) -> float:
        """Virtual seconds since the start; never goes back."""
        return self._virtual + (time.monotonic() - self._real) * self._rate

    def advance(self, virtual_seconds: float) -> None:
        """Let time pass at once; waits that are under way get shorter."""
        self._virtual += virtual_seconds
        self._wake()

    def real(self, virtual_seconds: float) -> float:
        """How long `virtual_seconds` last in real seconds."""
        return virtual_seconds / self._rate

    def deadline(self, virtual_seconds: float) -> float:
        """Real seconds an app has to meet a limit of `virtual_seconds`."""
        return max(virtual_seconds / self._rate, min(SHORTEST_DEADLINE_S, virtual_seconds))

    async def sleep(self, virtual_seconds: float) -> None:
        """Wait in workspace time; a change of rate shortens waits that are under way."""
        until = self.now() + virtual_seconds
        while (left := until - self.now()) > 0:
            try:
                await asyncio.wait_for(self._changed.wait(), self.real(left))
            except TimeoutError:
                continue
