"""Attempts at tasks, run once by some worker: a queue of DBOS, on SQLite or Postgres.

Each attempt is one short workflow whose id is its run's id; DBOS gets ids and no texts. What an
attempt did before its worker died is in the journal, so that the workflow needs no steps: whoever
takes it over runs it again from the beginning. DBOS runs in its own threads and never touches our
loop; it is launched when the first attempt is queued or found, and closed without a trace.
"""

import asyncio
import concurrent.futures
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import structlog

from database.errors import ConfigurationError, StaleRevision, StoreError
from database.records import run_id_of
from goals import dbos_calls
from goals.dbos_calls import Left, Place, Which
from goals.ledger import HOLD, Attempt, Hold, Ledger
from goals.workers import Workers

T = TypeVar("T")

MOST_TAKES = 10
"""An attempt that was taken up so often without an end kills its workers: it is given up."""

PUT_OFF_S, MOST_PUT_OFF_S = 15.0, 300.0
"""What cannot be worked on here, nor elsewhere, is looked at again after so long, then twice as
long and so on, up to the second; workers are free meanwhile."""

KEPT_DAYS = 2
"""So long stays known what has run: nobody enqueues an attempt later."""

_LOOK_S = 2.0

_log = structlog.get_logger(__name__)

Work = Callable[[str, str, str, int], Awaitable[None]]
"""(workspace, goal id, task's key, attempt): does it or goes on with it, and settles it. Called at
least once for each attempt; CancelledError when it was stopped or this process ends."""

GiveUp = Callable[[str, str, str, int, str], Awaitable[None]]
"""The same and why: settles an attempt that no worker survives."""

Ready = Callable[[str], Awaitable[None]]
"""(workspace): returns where its attempts can be worked on here. Raises StoreError at once where
they cannot: then they are put off."""


@dataclass(eq=False, slots=True)
class _Running:
    """An attempt that this process is at, by which workflow."""

    workflow: str
    workspace: str
    which: tuple[str, str, int]
    task: asyncio.Task[Any]
    hold: Hold | None = None


class Execution:
    """The attempts that this process runs and enqueues, of all its workspaces.

    A process has one at a time. Methods may raise StoreError and ConfigurationError.
    """

    def __init__(
        self,
        ledger: Ledger,
        home: Path,
        url: str | None,
        *,
        work: Work,
        give_up: GiveUp,
        ready: Ready,
        slots: int = 16,
        per_person: int = 4,
        name: str = "assistant",
    ) -> None:
        """`slots` attempts at once in this process; `per_person` at once of one person in all.

        `url` is None for a file in `home`, as for the ledger. `name` begins the worker's id.
        """
        self.ledger = ledger
        self.worker = f"{name}-{uuid.uuid4().hex[:12]}"
        self._place = Place(home, url, self.worker, slots, per_person)
        self._work, self._give_up, self._ready = work, give_up, ready
        self._workers = Workers(ledger, self, home, self.worker, slots)
        self._running: set[_Running] = set()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="dbos-calls")
        self._launching: asyncio.Task[None] | None = None
        self._launched = False
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def of(self, workspace: str) -> "WorkspaceEngine":
        """The engine of one workspace's goals."""
        return WorkspaceEngine(self, workspace)

    @property
    def launched(self) -> bool:
        """Whether this process looks for attempts to run."""
        return self._launched

    @property
    def live_workers(self) -> int:
        """How many processes run attempts, as of the last look; at least one, this."""
        return self._workers.live

    @property
    def running(self) -> int:
        """Attempts that this process is at."""
        return len(self._running)

    async def start(self, *, always: bool = False) -> None:
        """Go on with what is queued or was left by a dead process.

        Without `always` nothing is launched, and so nothing costs, while there is no such thing.
        """
        if always or await self.ledger.busy():
            await self._launch()

    async def stop(self, grace: float = 0.0) -> None:
        """Take on nothing more, wait so many seconds for what runs, then leave it to others."""
        self._closing = True
        if self._launching is not None:
            await asyncio.wait([self._launching])
        if self._launched:
            await self._leave_the_rest(grace)
            await self._workers.stop()
            await self._call(dbos_calls.destroy)
            self._launched = False
            _let_go(self)
        self._threads.shutdown(wait=False)

    async def _leave_the_rest(self, grace: float) -> None:
        tasks = [running.task for running in self._running]
        if tasks and grace > 0:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def leave(self, workspace: str) -> None:
        """Break off what runs here of a workspace; somebody goes on with it who has that open."""
        tasks = [running.task for running in self._running if running.workspace == workspace]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def enqueue(self, workspace: str, name: tuple[str, str, int], person: str) -> None:
        """Have an attempt run by some worker; the same once more changes nothing.

        `name` is (goal id, task's key, attempt), `person` as in the ledger's attempts.
        """
        await self._enqueue(workspace, name, person, 0)

    async def _enqueue(
        self, workspace: str, name: tuple[str, str, int], person: str, again: int
    ) -> None:
        if self._closing:
            return  # the ledger knows that it is queued
        await self._launch()
        workflow, delay = workflow_id(*name, again), _put_off(again)
        await self._call(dbos_calls.enqueue, workflow, person, (workspace, *name), delay)

    async def wake(self) -> None:
        """Look again at once at what was put off: it may be possible by now."""
        if not self._launched or self._closing:
            return
        with contextlib.suppress(StoreError):  # then it comes up by itself, later
            if later := await self._call(dbos_calls.delayed):
                await self.resume(later)

    async def cancel(self, name: tuple[str, str, int]) -> None:
        """Stop an attempt that waits for a worker or runs here; others see it within seconds."""
        here = [running for running in self._running if running.which == name]
        for running in here:
            running.task.cancel()
        if not here and self._launched and not self._closing:
            await self._call(dbos_calls.cancel_waiting, workflow_id(*name))

    # What goals.workers needs

    async def pending(self) -> dict[str, str]:
        """Workflows that some worker has begun, and which."""
        return await self._call(dbos_calls.pending)

    async def resume(self, workflows: Sequence[str]) -> None:
        """Put workflows back into the queue, whoever had them."""
        await self._call(dbos_calls.resume, workflows)

    async def requeue(self, attempts: Sequence[Attempt]) -> None:
        """Enqueue those of the attempts that no workflow is at.

        A workflow that ended without settling its attempt gets a successor.
        """
        names = [(one.goal_id, one.key, one.attempt) for one in attempts]
        first = [workflow_id(*which) for which in names]
        known = await self._call(dbos_calls.statuses, first)
        for attempt, which, workflow in zip(attempts, names, first, strict=True):
            if known.get(workflow) in _UNDER_WAY:
                continue
            with_successors = await self._call(dbos_calls.statuses_of_all, workflow)
            if not _UNDER_WAY.intersection(with_successors.values()):
                again = _after(with_successors)
                await self._enqueue(attempt.workspace, which, attempt.person, again)

    async def tidy(self) -> None:
        """Delete workflows that ended days ago."""
        before = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
        while await self._call(dbos_calls.delete_ended, before) == dbos_calls.DELETED_AT_ONCE:
            pass

    def here(self) -> Collection[str]:
        """Workflows that this process is at."""
        return {running.workflow for running in self._running}

    def holds(self) -> Sequence[Hold]:
        """What this process has taken."""
        return [running.hold for running in self._running if running.hold is not None]

    def drop(self, hold: Hold) -> None:
        """It is over, stopped or another's: stop working on it."""
        for running in self._running:
            if running.hold == hold:
                running.task.cancel()

    # Running

    async def _launch(self) -> None:
        """Once, and to its end, also where whoever asked for it is stopped meanwhile."""
        if self._launched or self._closing:
            return
        if self._launching is None or self._launching.done():
            self._launching = asyncio.create_task(self._launch_all())
            self._launching.add_done_callback(_heard)
        await asyncio.shield(self._launching)

    async def _launch_all(self) -> None:
        self._loop = asyncio.get_running_loop()
        _have_for_itself(self)
        try:
            await self._workers.register()
            await self._call(dbos_calls.launch, self._place, self._run_here)
        except BaseException:
            _let_go(self)
            raise
        self._launched = True
        self._workers.start()
        await self.wake()

    def _run_here(self, workflow: str, which: Which) -> None:
        """A workflow's thread, until its attempt has ended or is left to others."""
        loop = self._loop
        if loop is None or loop.is_closed() or self._closing:
            raise Left
        work = self._attempt(workflow, which)
        try:
            ended = asyncio.run_coroutine_threadsafe(work, loop)
        except RuntimeError as error:  # the loop was closed in between
            work.close()
            raise Left from error
        while not concurrent.futures.wait([ended], timeout=_LOOK_S).done:
            if loop.is_closed():
                raise Left
        if ended.cancelled() or not ended.result():
            raise Left

    async def _attempt(self, workflow: str, which: Which) -> bool:
        """Whether it has ended: False leaves it to whoever takes it over."""
        task = asyncio.current_task()
        assert task is not None
        running = _Running(workflow, which[0], which[1:], task)
        self._running.add(running)
        try:
            await self._take_and_work(running, which)
        except asyncio.CancelledError:
            return not self._closing
        except StaleRevision:
            _log.debug("attempt_taken_over", goal=which[1], task=which[2])
        except StoreError as error:  # whoever looks after attempts queues it again
            _log.warning("attempt_put_off", goal=which[1], task=which[2], reason=str(error))
            return not self._closing
        except Exception as error:  # noqa: BLE001 (the outermost boundary)
            _log.exception("attempt_broke", goal=which[1], task=which[2], error=str(error))
            return not self._closing
        finally:
            self._running.discard(running)
        return True

    async def _take_and_work(self, running: _Running, which: Which) -> None:
        # First: a workspace that is closed here has killed nobody.
        await self._ready(which[0])
        hold = await self.ledger.take(*which, self.worker)
        running.hold = hold
        HOLD.set(hold)
        if hold is not None and hold.fence > MOST_TAKES:
            await self._give_up(*which, _DEADLY)
        else:
            await self._work(*which)

    async def _call(self, work: Callable[..., T], *values: object) -> T:
        """Something of DBOS's, in a thread, so that it finds no loop and no context of ours."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, work, *values)
        except (ConfigurationError, StoreError):
            raise
        except Exception as error:
            raise _explained(error) from error


@dataclass(frozen=True, slots=True)
class WorkspaceEngine:
    """Where one workspace's attempts wait for a worker (goals.ports.Engine)."""

    execution: Execution
    workspace: str

    async def enqueue(self, goal_id: str, key: str, attempt: int, person: str) -> None:
        """Have an attempt run by some worker, soon; the same one again changes nothing."""
        digest = self.execution.ledger.of(self.workspace).owner(person).person
        await self.execution.enqueue(self.workspace, (goal_id, key, attempt), digest)

    async def cancel(self, goal_id: str, key: str, attempt: int) -> None:
        """Stop it where it waits or runs; no matter if it is over."""
        await self.execution.cancel((goal_id, key, attempt))


def workflow_id(goal_id: str, key: str, attempt: int, again: int = 0) -> str:
    """Of an attempt: its run's id; `again` where earlier workflows did not settle it."""
    name = run_id_of(goal_id, key, str(attempt))
    return f"{name}.{again}" if again else name


def _after(workflows: Collection[str]) -> int:
    """Which `again` the next workflow of an attempt has, that nobody had before."""
    numbers = [int(name.partition(".")[2] or 0) for name in workflows]
    return max(numbers) + 1 if numbers else 0


def _put_off(again: int) -> float:
    """How much later the workflow is to run that is the `again`th try of an attempt."""
    return 0.0 if again < 2 else min(PUT_OFF_S * 2.0 ** min(again - 2, 32), MOST_PUT_OFF_S)


_DEADLY = (
    f"no worker got through it: {MOST_TAKES} took it up and ended in the middle. Split it into "
    "smaller steps, or leave it out."
)
_UNDER_WAY = frozenset({"ENQUEUED", "PENDING", "DELAYED"})

_current: Execution | None = None
"""Whose attempts DBOS runs in this process: it has one instance for each."""


def _have_for_itself(execution: Execution) -> None:
    global _current
    if _current is not None and _current is not execution:
        raise ConfigurationError(
            "Goals run in this process already, from another home or database: one process runs "
            "those of one. Start a second process for the other, or stop the first."
        )
    _current = execution


def _heard(launching: asyncio.Task[None]) -> None:
    """Whoever waits for it is told why it failed; nobody need be there."""
    if not launching.cancelled():
        launching.exception()


def _let_go(execution: Execution) -> None:
    global _current
    if _current is execution:
        _current = None


def _explained(error: Exception) -> StoreError:
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    return StoreError(
        f"The queue of goals' tasks cannot be used just now ({reason}). See that the disk, or the "
        "Postgres at VIRTUOUS6_ENGINE_URL, is there and may be written; nothing is lost."
    )
