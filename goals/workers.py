"""Which processes are at work, and what becomes of the attempts of one that died.

Each says every two seconds that it lives. One at a time (a lease) looks for workflows whose worker
does not, and puts them back into the queue, where anybody takes them up; for attempts that no
workflow is at; and for workers that are gone. A process on the same home that is killed is known to
be dead at once, since the system lets go of its lock; one on another machine after ten seconds.
Being taken for dead while one lives does no harm: the ledger's fences refuse what it then does.
"""

import asyncio
import contextlib
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import structlog
from filelock import FileLock, Timeout

from database.errors import VirtuousError
from goals.ledger import Attempt, Hold, Ledger
from goals.sql import Transaction

BEAT_S = 2.0
DEAD_S = 10.0
"""Silent for so long is dead. With the lease's time and a beat it is taken over within 15 s."""
LEASE_S = 6.0
LOST_S = 15.0
"""Attempts older than this are looked at: does a workflow know them?"""
TIDY_S = 3600.0

_LEASE = "takeover"
_FOLDER = "workers"

_log = structlog.get_logger(__name__)


class Attempts(Protocol):
    """The attempts of this process and of all (goals.execution)."""

    async def pending(self) -> dict[str, str]:
        """Workflows that some worker has begun, and which."""

    async def resume(self, workflows: Sequence[str]) -> None:
        """Put workflows back into the queue."""

    async def requeue(self, attempts: Sequence[Attempt]) -> None:
        """Enqueue those of the attempts that no workflow is at."""

    async def tidy(self) -> None:
        """Delete what ended long ago."""

    def here(self) -> Collection[str]:
        """Workflows that this process is at."""

    def holds(self) -> Sequence[Hold]:
        """What this process has taken."""

    def drop(self, hold: Hold) -> None:
        """Stop working on it."""


class Workers:
    """This process among all that share the engine database."""

    def __init__(
        self, ledger: Ledger, attempts: Attempts, home: Path, name: str, slots: int
    ) -> None:
        self.live = 1
        self._ledger, self._attempts = ledger, attempts
        self._name, self._slots = name, slots
        self._folder = home / _FOLDER
        self._lock = FileLock(self._folder / f"{name}.lock")
        self._beating: asyncio.Task[None] | None = None
        self._looked_at = self._steady_since = _now()
        self._led_at, self._tidied_at = _now() - LOST_S, _now() - TIDY_S
        self._away = False
        self._strays: frozenset[str] = frozenset()

    async def register(self) -> None:
        """Say that this process lives: before it takes on anything."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.acquire(blocking=False)
        await self._ledger.sql.do(self._say)

    def start(self) -> None:
        """Say so from now on, and look after the others."""
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    async def stop(self) -> None:
        """This process ends: others may take over at once what it leaves."""
        if self._beating is not None:
            self._beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beating
        with contextlib.suppress(VirtuousError):
            await self._ledger.sql.do(self._leave)
        self._lock.release(force=True)  # registered as often as a launch failed, and once more
        self._lock_file(self._name).unlink(missing_ok=True)

    async def _beat(self) -> None:
        while True:
            try:
                await self._once()
                self._away = False
            except VirtuousError as error:
                self._steady_since = _now()
                if not self._away:
                    _log.warning("goals_engine_away", reason=str(error))
                self._away = True
            except Exception as error:  # noqa: BLE001 (the outermost boundary: it must beat on)
                _log.exception("goals_beat_broke", error=str(error))
            await asyncio.sleep(BEAT_S)

    async def _once(self) -> None:
        leads = await self._ledger.sql.do(self._say)
        for hold in await self._ledger.lost(self._attempts.holds()):
            self._attempts.drop(hold)
        if _now() - self._looked_at >= LOST_S:
            self._looked_at = _now()
            await self._resume_strays()
        if leads:
            await self._take_over()
            await self._look_after()

    async def _take_over(self) -> None:
        pending = await self._attempts.pending()
        live = await self._living()  # afterwards: whoever has begun something is in it
        orphans = [one for one, worker in pending.items() if worker not in live]
        if orphans:
            _log.info("attempts_taken_over", count=len(orphans))
            await self._attempts.resume(orphans)

    async def _resume_strays(self) -> None:
        """Workflows that are said to run here, twice in a row, and do not."""
        pending = await self._attempts.pending()
        mine = {one for one, worker in pending.items() if worker == self._name}
        strays = mine - set(self._attempts.here())
        if again := sorted(strays & self._strays):
            await self._attempts.resume(again)
        self._strays = frozenset(strays)

    async def _look_after(self) -> None:
        """Now and then: attempts that nobody is at, as their process died in between; old ones."""
        if _now() - self._led_at < LOST_S:
            return
        self._led_at = _now()
        if found := await self._ledger.waiting_enqueue(LOST_S):
            await self._attempts.requeue(found)
        if _now() - self._tidied_at >= TIDY_S:
            self._tidied_at = _now()
            await self._attempts.tidy()

    async def _living(self) -> set[str]:
        """Names of those who live; the dead are struck off."""
        rows = await self._ledger.sql.do(_all_workers)
        # Who could not look for a while does not know who was silent meanwhile.
        silent_for = DEAD_S if _now() - self._steady_since >= DEAD_S else float("inf")
        dead = {name for name, silent in rows if silent > silent_for or self._is_dead_here(name)}
        if dead:
            names = [{"worker": name} for name in dead]
            sql = "DELETE FROM workers WHERE worker = :worker"
            await self._ledger.sql.do(lambda t: t.change_all(sql, names))
            for name in dead:
                self._lock_file(name).unlink(missing_ok=True)
        return {name for name, _ in rows} - dead

    def _is_dead_here(self, name: str) -> bool:
        """Whether a process on this home has let go of its lock, as the system does for it."""
        path = self._lock_file(name)
        if name == self._name or not path.exists():
            return False
        lock = FileLock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        lock.release()
        return True

    def _say(self, transaction: Transaction) -> bool:
        """That this process lives; whether it looks after the others."""
        now = transaction.now()
        transaction.change(_SAY, worker=self._name, now=now, slots=self._slots,
                           running=len(self._attempts.here()))  # fmt: skip
        values = {"name": _LEASE, "holder": self._name, "now": now, "until": now + LEASE_S}
        row = transaction.row("SELECT count(*) FROM workers WHERE seen_at > :since",
                              since=now - DEAD_S)  # fmt: skip
        self.live = max(1, row[0] if row else 1)
        return transaction.change(_HAVE_LEASE, **values) == 1

    def _leave(self, transaction: Transaction) -> None:
        transaction.change("DELETE FROM workers WHERE worker = :worker", worker=self._name)
        sql = "DELETE FROM leases WHERE holder = :holder"
        transaction.change(sql, holder=self._name)

    def _lock_file(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


def _now() -> float:
    return time.monotonic()


def _all_workers(transaction: Transaction) -> list[tuple[str, float]]:
    now = transaction.now()
    rows = transaction.rows("SELECT worker, seen_at FROM workers")
    return [(row.worker, now - row.seen_at) for row in rows]


_SAY = """INSERT INTO workers (worker, started_at, seen_at, slots, running)
    VALUES (:worker, :now, :now, :slots, :running) ON CONFLICT (worker) DO UPDATE
    SET seen_at = excluded.seen_at, running = excluded.running"""
_HAVE_LEASE = """INSERT INTO leases (name, holder, until) VALUES (:name, :holder, :until)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE leases.holder = excluded.holder OR leases.until <= :now"""
