"""Brings what changed in the local record to the record at Supabase: everything, once, in the end.

What waits is known by its key (see outbox_rows.py) and sent as it is when it is sent, so sending
twice changes nothing and the latest state wins. A request whose end nobody heard may still be
carried out later, over something newer; so its rows are sent once more when that is over.
"""

import asyncio
import contextlib
import random
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import structlog
from filelock import FileLock, Timeout

from database.errors import RecordAway, RecordMisconfigured, RecordRefused, StoreError
from database.outbox_rows import KEYS, Entry, Key, OutboxRows
from database.sqlite_file import SqliteFile

BATCH = 1000
"""Rows in one look at the queue: several tables share them, and each takes a request."""
REQUEST_ROWS = 500
REQUEST_CHARACTERS = 1_000_000
"""Long texts make smaller requests: proxies in front of a database refuse large ones."""
MAX_ROWS = 1_000_000
OLD_S = 3600.0
LOW_DISK = 2**30
_SMALLEST = 16
_AT_A_TIME = 100
"""Rows written to the local record before others get their turn, well under a millisecond."""
_END = 2**62

_log = structlog.get_logger(__name__)


class Record(Protocol):
    """Where the rows go.

    Either method raises RecordAway when it cannot be reached, RecordMisconfigured when it does not
    let us in or lacks the table, and RecordRefused, having changed nothing, for what is in the
    rows.
    """

    async def upsert(self, table: str, rows: Sequence[Any]) -> None:
        """Add rows or write over those of the same key; no key twice."""

    async def delete(self, table: str, keys: Sequence[Key]) -> None:
        """Delete what there is of these keys."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon and how often, in seconds."""

    gather_s: float = 0.25
    """Changes that come together are sent together."""
    look_s: float = 1.0
    """So often the queue is looked at without being told: other processes write to it too."""
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    unsure_s: float = 60.0
    """A request whose end nobody heard is over by then; databases end statements earlier."""


@dataclass(frozen=True, slots=True)
class OutboxHealth:
    """How far the record at Supabase is behind; `oldest_s` is the age of what waits longest."""

    waiting: int
    refused: int
    oldest_s: float | None
    backfilling: bool
    problem: str | None
    sent_at: float | None
    max_rows: int
    free_bytes: int

    def warnings(self) -> list[str]:
        """What somebody should look at, in words that say what to do."""
        found = []
        if (self.oldest_s or 0.0) > OLD_S:
            reason = f" ({self.problem})" if self.problem else ""
            found.append(
                f"Changes have waited for Supabase for {(self.oldest_s or 0.0) / 3600:.1f} hours"
                f"{reason}. They are kept here and sent when it can be reached: see `outbox list`."
            )
        if self.waiting > self.max_rows / 2:
            found.append(
                f"{self.waiting:,} changes wait for Supabase, of at most {self.max_rows:,} that "
                "are meant to (VIRTUOUS6_OUTBOX_MAX_ROWS). Replies go on and nothing is dropped; "
                "bring Supabase back, or give the disk more space."
            )
        if self.free_bytes < LOW_DISK:
            found.append(
                f"The disk has {self.free_bytes / 2**20:,.0f} MB left: free some space, or what "
                "happens cannot be kept."
            )
        if self.refused:
            found.append(
                f"Supabase refused {self.refused:,} changes: `outbox list` says why, and "
                "`outbox retry` offers them again."
            )
        return found


class Outbox:
    """The way of one workspace's changes to the record; from its making on, they are queued.

    Of several processes on one home one sends at a time; another takes over when it ends.
    """

    def __init__(
        self,
        file: SqliteFile,
        workspace: str,
        record: Record,
        *,
        pace: Pace | None = None,
        max_rows: int = MAX_ROWS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rows = OutboxRows(file, workspace)
        self._file = file
        self._record = record
        self._pace = pace or Pace()
        self._max_rows = max_rows
        self._clock = clock
        self._lock = FileLock(file.path.with_name(f"outbox-{workspace}.lock"))
        self._one_at_a_time = asyncio.Lock()
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._limit = BATCH
        self._pause_s = 0.0
        self._warned = 0
        self.rows.switch_on()

    async def start(self) -> None:
        """Send from now on what is queued, and soon what will be."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._begin(self._keep_sending())

    async def stop(self, timeout: float = 5.0) -> None:
        """Let what is under way end, as long as that; the rest waits for the next start."""
        self._stopping.set()
        self.kick()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._lock.release()

    def kick(self) -> None:
        """Something was queued: send it soon. From any thread, about a microsecond."""
        if threading.get_ident() == self._thread:
            self._changed.set()
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(self._changed.set)

    async def flush(self, timeout: float) -> bool:
        """Whether everything that is queued now reached the record, within `timeout` seconds.

        False at once while the record is away.
        """
        until = self.rows.last()
        if self._pause_s:
            return False
        task = self._begin(self._sent(until))
        await asyncio.wait({task}, timeout=timeout)
        return task.done() and task.result()

    async def health(self) -> OutboxHealth:
        """What a person who looks after this wants to know."""
        state = await self._file.aside(self.rows.state)
        oldest_s = None if state.oldest_at is None else self._clock() - state.oldest_at
        return OutboxHealth(
            waiting=state.waiting,
            refused=state.refused,
            oldest_s=oldest_s,
            backfilling=state.backfilling,
            problem=state.problem,
            sent_at=state.sent_at,
            max_rows=self._max_rows,
            free_bytes=shutil.disk_usage(self._file.path.parent).free,
        )

    # The task that sends

    def _begin(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.warning("outbox_failed", reason=str(task.exception()))

    async def _keep_sending(self) -> None:
        looked_at = 0.0
        while not self._stopping.is_set():
            try:
                if self._mine():
                    await self._send_until(_END)
                if self._clock() - looked_at > 60:
                    looked_at = self._clock()
                    self._warn((await self.health()).warnings())
            except Exception as error:  # noqa: BLE001 - what was not sent is sent by a later attempt
                _log.exception("outbox_failed", reason=str(error))
                self._pause_longer(None)
            await self._rest()

    async def _rest(self) -> None:
        """Until something is queued or it is time to look; while the record is away, longer."""
        if self._pause_s:
            await _heard(self._stopping, self._pause_s * random.uniform(0.5, 1.0))
            return
        await _heard(self._changed, self._pace.look_s)
        if self._changed.is_set():
            await _heard(self._stopping, self._pace.gather_s)
            self._changed.clear()

    def _mine(self) -> bool:
        """Whether this process is the one that sends."""
        if self._lock.is_locked:
            return True
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        self.rows.doubt_abandoned(self._clock() + self._pace.unsure_s)
        return True

    async def _sent(self, until: int) -> bool:
        """Everything up to this place is at the record, whoever brought it there."""
        while not self._mine():
            if not self.rows.is_due(until, self._clock()):
                return True
            if await _heard(self._stopping, 0.05):
                return False
        return await self._send_until(until)

    async def _send_until(self, until: int) -> bool:
        """Send once what is due, in the order it was queued; False when the record is away."""
        after = 0
        while not self._stopping.is_set():
            async with self._one_at_a_time:
                limit, now = self._limit, self._clock()
                head = partial(self.rows.head, after=after, until=until, now=now, limit=limit)
                entries = await self._file.aside(head)
                if entries and not await self._send(entries):
                    return False
            after = entries[-1].seq if entries else after
            if len(entries) < limit and not (until == _END and await self._backfilled(limit)):
                return True
        return False

    async def _backfilled(self, limit: int) -> int:
        """Queue some of what was there before; how much, 0 when all of it was."""
        total = 0
        while total < limit and (count := self.rows.backfill(_AT_A_TIME)):
            total += count
            await asyncio.sleep(0)
        return total

    async def _send(self, entries: Sequence[Entry]) -> bool:
        self.rows.begin(entries[-1].seq)
        try:
            for table in KEYS:
                for part in _parts([e for e in entries if e.table == table and e.row is None]):
                    await self._bring(table, part, self._delete)
                for part in _parts([e for e in entries if e.table == table and e.row is not None]):
                    await self._bring(table, part, self._upsert)
        except (RecordAway, RecordMisconfigured) as error:
            self._away(error)
            return False
        self.rows.end(None, self._clock())
        self._back()
        return True

    async def _upsert(self, table: str, entries: Sequence[Entry]) -> None:
        await self._record.upsert(table, [entry.row for entry in entries])

    async def _delete(self, table: str, entries: Sequence[Entry]) -> None:
        await self._record.delete(table, [entry.key for entry in entries])

    async def _bring(
        self,
        table: str,
        entries: Sequence[Entry],
        how: Callable[[str, Sequence[Entry]], Awaitable[None]],
    ) -> None:
        """All of them, but for those that the record refuses: halving finds which these are."""
        began = self._clock()
        try:
            await how(table, entries)
        except RecordRefused as error:
            if len(entries) == 1:
                self._refused(entries[0], error)
                return
            middle = len(entries) // 2
            await self._bring(table, entries[:middle], how)
            await self._bring(table, entries[middle:], how)
        except RecordMisconfigured:
            raise
        except BaseException:
            self.rows.doubt(entries, self._clock() + self._pace.unsure_s)
            raise
        else:
            for start in range(0, len(entries), _AT_A_TIME):
                self.rows.settle(entries[start : start + _AT_A_TIME], began)
                await asyncio.sleep(0)

    # What came of it

    def _refused(self, entry: Entry, error: RecordRefused) -> None:
        self.rows.refuse(entry, str(error))
        # A key may be a person's id, which no log should have: `outbox list` shows it.
        _log.warning("record_refused_row", table=entry.table, reason=str(error))

    def _away(self, error: StoreError) -> None:
        if not self._pause_s:
            _log.warning("record_away", reason=str(error))
        self.rows.end(str(error), None)
        self._pause_longer(getattr(error, "retry_after", None))
        self._limit = max(_SMALLEST, self._limit // 2)
        # Nothing else may be writing while it is away, and the log must not stay long.
        self._file.checkpoint_soon()

    def _pause_longer(self, at_least: float | None) -> None:
        longer = max(self._pace.first_pause_s, 2 * self._pause_s, at_least or 0.0)
        self._pause_s = min(longer, self._pace.longest_pause_s)

    def _back(self) -> None:
        if self._pause_s:
            _log.info("record_back")
        self._pause_s = 0.0
        self._limit = min(BATCH, 2 * self._limit)

    def _warn(self, warnings: list[str]) -> None:
        """When it begins and when it gets worse, not every minute."""
        if len(warnings) > self._warned:
            _log.warning("outbox_needs_attention", reasons=warnings)
        self._warned = len(warnings)


def _parts(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """As many rows at a time as make a request of a bearable size, one at least."""
    start, size = 0, 0
    for place, entry in enumerate(entries):
        long = sum(len(value) for value in (entry.row or {}).values() if isinstance(value, str))
        full = place - start == REQUEST_ROWS or size + long > REQUEST_CHARACTERS
        if full and place > start:
            yield entries[start:place]
            start, size = place, 0
        size += long
    if entries[start:]:
        yield entries[start:]


async def _heard(event: asyncio.Event, timeout: float) -> bool:
    with contextlib.suppress(TimeoutError):
        return await asyncio.wait_for(event.wait(), timeout)
    return False
