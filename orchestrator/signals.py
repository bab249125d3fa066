"""What makes learners look before the clock does: enough new runs and feedback."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import structlog

from agents.improvement.learner import Learner
from database.errors import VirtuousError
from database.records import Feedback, Run
from database.store import Store

GAP_SECONDS = 60.0
"""A learner does not look again so soon, however much happens."""
LOOK_SECONDS = 5.0
"""So long after something happened learners and trials look: what others on the bus make of it (the
exam's questions) is there by then."""

log = structlog.get_logger()


class Signals:
    """Counts what happened since each learner looked, and starts it when there is enough.

    Counting costs the reply nothing: it happens on the bus. `look` is called soon after anything
    happened, at most once in LOOK_SECONDS.
    """

    def __init__(
        self,
        store: Store,
        learners: Mapping[str, Learner],
        start: Callable[[str], Awaitable[object]],
        look: Callable[[], Awaitable[object]],
        *,
        clock: Callable[[], float] = time.time,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._store = store
        self._learners = learners
        self._start = start
        self._look = look
        self._clock = clock
        self._look_seconds = look_seconds
        self._gathered: Counter[str] = Counter()
        self._looked: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._look_soon: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Count what happened before this process started, up to each threshold."""
        for name, learner in self._learners.items():
            state = await self._store.learner_state(name)
            most = max(1, learner.threshold)
            rows = await self._store.window(state.runs_seen, state.feedback_seen, most)
            words = sum(len(said) for said in rows.feedback.values())
            self._gathered[name] = min(len(rows.runs) + words, most)

    def gathered(self, learner: str) -> int:
        """How many signals a learner has that it did not look at."""
        return self._gathered[learner]

    async def recorded(self, run: Run) -> None:
        """A run was recorded; for the bus."""
        if run.kind in ("reply", "task"):
            self._happened()

    async def felt(self, _: Feedback) -> None:
        """Feedback was given; for the bus."""
        self._happened()

    def looked(self, learner: str) -> None:
        """A learner has seen everything until now."""
        self._gathered[learner] = 0
        self._looked[learner] = self._clock()

    async def tick(self) -> None:
        """Start those that have enough; for the clock, after a learner had to wait."""
        for name in self._learners:
            self._start_if_due(name)

    async def stop(self) -> None:
        """Break off what is under way: a cycle that is cut off has saved nothing."""
        tasks = [*self._tasks, *([self._look_soon] if self._look_soon else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _happened(self) -> None:
        for name in self._learners:
            self._gathered[name] += 1
            self._start_if_due(name)
        if self._look_soon is None or self._look_soon.done():
            self._look_soon = asyncio.create_task(self._look_later())

    def _start_if_due(self, name: str) -> None:
        threshold = self._learners[name].threshold
        since = self._clock() - self._looked.get(name, -GAP_SECONDS)
        lately = 0.0 <= since < GAP_SECONDS  # below 0 the clock was set back
        if threshold > 0 and self._gathered[name] >= threshold and not lately:
            self.looked(name)
            task = asyncio.create_task(self._run(name))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, name: str) -> None:
        await asyncio.sleep(self._look_seconds)
        try:
            await self._start(name)
        except VirtuousError as error:
            log.warning("learning_failed", learner=name, problem=str(error))
        except Exception:
            log.exception("learning_failed", learner=name)

    async def _look_later(self) -> None:
        await asyncio.sleep(self._look_seconds)
        try:
            await self._look()
        except VirtuousError as error:
            log.warning("look_failed", problem=str(error))
        except Exception:
            log.exception("look_failed")
