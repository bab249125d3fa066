"""Shadow answers: the candidate is asked the same, unseen, and the pair becomes observations.

What was asked is kept in memory only, and a process that ends forgets what still waits. Whatever
was to be compared and was not, for this or any other reason, is counted as missing in its trial:
an observation of the aspect `error` without values. So is what fails because a model is away, of
either version: a server that is down for an hour says nothing of them.

A candidate on a model that gives way (the embedded one) answers when nobody else asks, and the
person's answer came when somebody did: there, how long they took is not compared.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import structlog

from agents.errors import AWAY
from agents.ports import ToolContext
from agents.tools.tape import Tape
from agents.turns import Turn
from database.errors import BudgetExceeded, VirtuousError
from database.learning import Aspect, Observation, Trial
from database.records import Run, RunQuery
from database.store import Store
from orchestrator.answering import STOPPED
from orchestrator.trials.answers import Build, Redact, Unseen, answer_unseen, worked_ms
from orchestrator.trials.arms import Arms, Course
from orchestrator.trials.background import Background
from orchestrator.trials.outcomes import Outcomes, observed, shadow_id, tried_others, was_away

_UNRECORDED = 500
"""Answers that are being given and delivered; more than that at once are not compared."""
_WAITING = 200
_LOST_S, _LOST_UNTIL_S = 3_600.0, 86_400.0
"""What was asked so long ago, and is not compared, waits nowhere any more; it is looked for within
a day."""
_LOOKED_AT = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the person's answer was made of."""

    trials: tuple[str, ...]
    turns: tuple[Turn, ...]
    context: ToolContext


class Shadows:
    """Has candidates answer what people asked, in the background.

    `build` makes agents on learning's models, `may_spend` says whether its budget allows any more.
    """

    def __init__(
        self,
        store: Store,
        arms: Arms,
        outcomes: Outcomes,
        *,
        build: Build,
        redact: Redact,
        background: Background,
        may_spend: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._arms = arms
        self._outcomes = outcomes
        self._build = build
        self._redact = redact
        self._background = background
        self._may_spend = may_spend
        self._clock = clock
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._waiting: deque[tuple[_Asked, Run]] = deque()
        self._under_way: set[str] = set()
        self._workers: set[asyncio.Task[None]] = set()

    def asked(
        self, run_id: str, trials: Sequence[str], turns: Sequence[Turn], context: ToolContext
    ) -> None:
        """These trials' candidates are to answer the same, once the run is recorded."""
        self._asked[run_id] = _Asked(tuple(trials), tuple(turns), context)
        while len(self._asked) > _UNRECORDED:
            self._asked.popitem(last=False)

    def make_way(self) -> None:
        """A person waits for an answer; `go_on` once they have it."""
        self._background.make_way()

    def go_on(self) -> None:
        """That person has the answer."""
        self._background.go_on()

    async def recorded(self, run: Run) -> None:
        """A run was recorded; for the bus. Returns before any candidate has answered."""
        asked = self._asked.pop(run.run_id, None)
        if asked is None or run.error == STOPPED:
            return
        if len(self._waiting) == _WAITING:
            self._miss(*self._waiting.popleft())
        self._waiting.append((asked, run))
        if sum(not worker.done() for worker in self._workers) < self._background.at_once:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def done(self) -> None:
        """Wait until nothing waits any more."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def stop(self) -> None:
        """Drop what waits and break off what is under way; both count as missing."""
        self._drop()
        for worker in self._workers:
            worker.cancel()
        await self.done()

    async def _work(self) -> None:
        while self._waiting:
            if self._arms.off:
                self._drop()
                return
            asked, run = self._waiting.popleft()
            for trial_id in asked.trials:
                compared = False
                self._under_way.add(run.run_id)
                try:
                    compared = await self._compare(trial_id, asked, run)
                except (BudgetExceeded, *AWAY) as error:
                    log.info("shadow_not_asked", run_id=run.run_id, reason=str(error))
                except VirtuousError as error:
                    log.warning("shadow_failed", run_id=run.run_id, problem=str(error))
                except Exception:
                    log.exception("shadow_failed", run_id=run.run_id)
                finally:
                    self._under_way.discard(run.run_id)
                    if not compared:
                        self._miss(replace(asked, trials=(trial_id,)), run)

    def _drop(self) -> None:
        while self._waiting:
            self._miss(*self._waiting.popleft())

    def _miss(self, asked: _Asked, run: Run) -> None:
        """What was to be compared with this run, and is not."""
        for trial_id in asked.trials:
            if course := self._arms.course(trial_id):
                self._store.append(_missing(course.trial, run, self._clock()))

    async def count_lost(self) -> int:
        """Count as missing what a process that ended had still to compare; how many.

        For the clock. What was asked within the last hour may wait in another process.
        """
        lost = 0
        here = {run.run_id for _, run in self._waiting} | self._under_way
        for course in self._arms.courses:
            if course.trial.method == "shadow":
                lost += await self._count_lost(course.trial, here)
        return lost

    async def _count_lost(self, trial: Trial, here: Collection[str]) -> int:
        now = self._clock()
        asked = RunQuery(since=max(trial.started_at, now - _LOST_UNTIL_S), until=now - _LOST_S,
                         limit=_LOOKED_AT)  # fmt: skip
        runs = await self._store.runs(asked)
        seen = {o.run_id for o in await self._store.observations(trial.trial_id)}
        lost = [
            run for run in runs
            if trial.trial_id in (run.route or {}).get("shadows", ())
            and run.run_id not in seen and run.run_id not in here
        ]  # fmt: skip
        self._store.append(*(_missing(trial, run, now) for run in lost))
        return len(lost)

    async def _compare(self, trial_id: str, asked: _Asked, run: Run) -> bool:
        """Whether the pair was compared, or need not be any more."""
        course = self._arms.course(trial_id)
        if course is None:
            return True
        if was_away(run) or not self._may_spend():
            return False
        if not as_assigned(course, run):
            other = observed(
                course.trial, run.run_id, "error", None, None, served=run.agent_version,
                now=self._clock(),
            )  # fmt: skip
            self._store.append(other)
            return True
        shadow, missed = await self._background.run(lambda: self._answer(course, asked, run))
        shadow = await self._as_far_as_kept(shadow, run)
        told = () if missed else tuple(self._observed(course, run, shadow))
        self._store.append(self._redact(shadow), *told)
        if missed:
            return False
        await self._outcomes.pair(course.trial, run, shadow)
        return True

    async def _answer(self, course: Course, asked: _Asked, run: Run) -> tuple[Run, list[str]]:
        recorded = asked.context.tape
        tape = recorded.replay() if isinstance(recorded, Tape) else Tape().replay()
        agent = self._build(course.definition)
        unseen = await answer_unseen(agent, asked.turns, replace(asked.context, tape=tape))
        return self._as_run(course, run, unseen, tape.missed), tape.missed

    def _as_run(self, course: Course, run: Run, unseen: Unseen, missed: Sequence[str]) -> Run:
        trial = course.trial
        route = {"trial": trial.trial_id, "arm": "candidate"}
        if missed:
            route["not_comparable"] = ", ".join(missed)
        run_id = shadow_id(run.run_id, trial.trial_id)
        made = unseen.as_run(run_id, "shadow", run, course.definition, route)
        return replace(made, agent_version=trial.candidate)

    async def _as_far_as_kept(self, shadow: Run, run: Run) -> Run:
        """Without words where the message was deleted, or its person forgotten, in the meantime."""
        kept = await self._store.run(run.run_id)
        if kept is None or (run.request and not kept.request):
            return replace(shadow, request="", reply=None, user_id=None, steps=())
        return shadow

    def _observed(self, course: Course, run: Run, shadow: Run) -> Iterator[Observation]:
        failed = run.error is not None or tried_others(run)
        served = run.agent_version if run.agent_version == course.trial.active else None

        def seen(aspect: Aspect, active: float, candidate: float) -> Observation:
            return observed(
                course.trial, run.run_id, aspect, active, candidate, other=shadow.run_id,
                served=served,
                source="check" if aspect == "error" else None, now=self._clock(),
            )  # fmt: skip

        yield seen("error", float(failed), float(shadow.error is not None))
        if failed or shadow.error:
            return  # what an answer took that was none says nothing
        took, took_shadow = worked_ms(run.steps), worked_ms(shadow.steps)
        if took is not None and took_shadow is not None and not self._background.gives_way:
            yield seen("latency_ms", took, took_shadow)
        if run.cost_usd is not None and shadow.cost_usd is not None:
            yield seen("cost_usd", run.cost_usd, shadow.cost_usd)


def _missing(trial: Trial, run: Run, now: float) -> Observation:
    return observed(trial, run.run_id, "error", None, None, now=now)


def as_assigned(course: Course, run: Run) -> bool:
    """Whether the version that was to answer did, or failed at it."""
    return course.fresh or run.agent_version == course.trial.active or tried_others(run)
