"""What came in is on disk before Slack hears that we have it, done once, in order in its thread."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from database.errors import VirtuousError
from slack_interface.incoming import Incoming

log = structlog.get_logger()

Handler = Callable[[Incoming], Awaitable[None]]


class InboxEntry(Protocol):
    """A row that is waiting; `payload` decrypted."""

    @property
    def event_key(self) -> str:
        """The key it was accepted under."""

    @property
    def payload(self) -> bytes:
        """What was accepted."""


class InboxRows(Protocol):
    """The rows on disk (database.coordination)."""

    async def accept(self, event_key: str, thread_key: str, payload: bytes) -> bool:
        """Encrypted and flushed to disk when this returns; False if the key is known."""

    async def pending(self) -> Sequence[InboxEntry]:
        """What was accepted and not done, in order."""

    async def done(self, event_key: str) -> None:
        """Delete the payload; keep the key, so that a late delivery is known."""


class Inbox:
    """Persist, claim once, order inside a lane, then done.

    `accept` returns when the row is on disk: the caller then acknowledges. Work goes on in a task
    for each lane. A row whose work was cut short stays and resumes with the next `resume`.
    """

    def __init__(self, rows: InboxRows, handle: Handler) -> None:
        self._rows = rows
        self._handle = handle
        self._lanes: dict[str, deque[Incoming]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    async def accept(self, item: Incoming) -> bool:
        """Keep `item` and see that it gets done; False where it is known already."""
        if not await self._rows.accept(item.key, item.lane, item.to_bytes()):
            return False
        self._enqueue(item)
        return True

    async def resume(self) -> int:
        """Take up what was left when the last process ended; how many there were."""
        taken_up = 0
        for entry in await self._rows.pending():
            try:
                item = Incoming.from_bytes(entry.payload)
            except (TypeError, KeyError, ValueError, AttributeError):
                # Of another version: it must not keep this one from starting.
                log.exception("incoming_unreadable", key=entry.event_key)
                await self._rows.done(entry.event_key)
            else:
                self._enqueue(replace(item, resumed=True))
                taken_up += 1
        return taken_up

    async def drop(self, unwanted: Callable[[Incoming], bool]) -> list[Incoming]:
        """Take out what waits for its turn and is not wanted any more; what that was."""
        dropped = []
        for lane in self._lanes.values():
            found = [item for item in lane if unwanted(item)]
            for item in found:
                lane.remove(item)
            dropped += found
        for item in dropped:
            await self._rows.done(item.key)
        return dropped

    @property
    def unfinished(self) -> int:
        """How many are being done or wait for their turn."""
        return len(self._tasks) + sum(len(lane) for lane in self._lanes.values())

    async def idle(self) -> None:
        """Return when nothing is being done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self, grace_s: float = 5.0) -> None:
        """Let running work end, then stop it; what did not end resumes with the next start."""
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _enqueue(self, item: Incoming) -> None:
        if self._closing:
            return
        lane = self._lanes.get(item.lane)
        if lane is not None:
            _insert(lane, item)
            return
        self._lanes[item.lane] = deque([item])
        task = asyncio.create_task(self._work(item.lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, name: str) -> None:
        lane = self._lanes[name]
        try:
            while lane and not self._closing:
                item = lane.popleft()
                await self._do(item)
        finally:
            del self._lanes[name]

    async def _do(self, item: Incoming) -> None:
        try:
            await self._handle(item)
        except Exception:
            log.exception("incoming_failed", **item.described())
        try:
            await self._rows.done(item.key)
        except VirtuousError:
            log.exception("inbox_done_failed", key=item.key)


def _insert(lane: deque[Incoming], item: Incoming) -> None:
    """Behind what was said before it: events may arrive out of order."""
    place = len(lane)
    while place and item.ts and lane[place - 1].ts > item.ts:
        place -= 1
    lane.insert(place, item)
