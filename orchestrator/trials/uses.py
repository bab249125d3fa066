"""Counts the uses of learned workflows and lessons, and what happened without them.

A workflow's use is a run whose route names it, in the version that is watched; without it are
requests of the same kind that were asked by hand. They count as gone well unless they failed or
somebody found them wrong. A lesson's use is a run with a call that it speaks of; without it are the
runs of the control share, which are not told (agents/improvement/error_recovery.py).
"""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from agents.improvement.error_recovery import in_control
from agents.improvement.error_templates import ErrorTemplates
from agents.improvement.lessons import Lesson, parse_lesson
from database.errors import InputError
from database.learning import Aspect, Change, Observation, Proposal, Trial
from database.records import PUBLIC, OutcomeSource, Run
from database.store import Store
from orchestrator.answering import STOPPED
from orchestrator.consent import Consent
from orchestrator.trials.judging import word_of
from orchestrator.trials.outcomes import SETTLED_SECONDS, observed, said_of, tried_others, was_away
from orchestrator.trials.use import met
from orchestrator.verifying import USED, verification_id, watched

_LOOKED_AT = 200
"""Runs that one `settle` looks at for each item."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Used:
    """What is watched: a workflow with the kinds of requests that it answers, or a lesson."""

    trial: Trial
    change: Change
    kinds: Collection[tuple[str, str]] = ()
    lesson: Lesson | None = None
    templates: ErrorTemplates | None = None


class Uses:
    """Listens on the bus (`recorded`) and to the clock (`settle`). `off` is the off switch."""

    def __init__(
        self,
        store: Store,
        consent: Consent,
        *,
        off: Callable[[], bool] = lambda: False,
        settled_seconds: float = SETTLED_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._consent = consent
        self._off = off
        self._settled_seconds = settled_seconds
        self._clock = clock
        self._watched: list[Used] = []
        self._seen: int | None = None

    async def refresh(self) -> None:
        """Take over what is watched by its use; costs one number read where nothing changed."""
        seen = self._store.learning_changes()
        if seen == self._seen:
            return
        found = [await self._used(p) for p in await self._store.proposals({"live"}, 1_000)]
        self._watched = [used for used in found if used]
        self._seen = seen

    async def recorded(self, run: Run) -> None:
        """A run was recorded: a use of something, or a case without it."""
        if not self._watched or self._off() or run.kind not in ("reply", "task"):
            return
        if run.error == STOPPED or was_away(run):
            return
        if not await self._consent.given(run.user_id, run.channel_id):
            return
        for used in self._watched:
            if (run.started_at or 0.0) >= used.trial.started_at:
                self._store.append(*_seen_of(used, run, self._clock()))

    async def settle(self) -> int:
        """Judge what nobody found wrong for a while; how many. For the clock."""
        judged = 0
        for used in self._watched:
            if used.lesson is None:
                judged += await self._settle(used)
        return judged

    async def _settle(self, used: Used) -> int:
        seen = await self._store.observations(used.trial.trial_id)
        known = {o.run_id for o in seen if o.aspect == "outcome"}
        due = self._clock() - self._settled_seconds
        waiting = [
            o for o in seen
            if o.aspect == "error" and o.run_id not in known and o.created_at <= due
        ][:_LOOKED_AT]  # fmt: skip
        for o in waiting:
            await asyncio.sleep(0)  # replies go on between two of them
            run = await self._store.run(o.run_id)
            word = word_of(await said_of(self._store, self._consent, run)) if run else None
            right = word is None or word.right
            source = word.source if word else None
            told = _observed(used, o.run_id, "outcome", float(right), o.active is not None,
                             self._clock(), source)  # fmt: skip
            self._store.append(told)
        return len(waiting)

    async def _used(self, proposal: Proposal) -> Used | None:
        change = watched(proposal)
        if change is None or change.kind not in USED or change.body is None:
            return None
        trial = await self._store.trial(verification_id(proposal.proposal_id))
        if trial is None or trial.state != "running":
            return None
        if change.kind == "runbook":
            return Used(trial, change, await self._kinds(proposal))
        try:
            lesson = parse_lesson(change.body, change.name)
        except InputError as error:
            log.error("lesson_unusable", trial=trial.trial_id, problem=str(error))
            return None
        return Used(trial, change, lesson=lesson, templates=ErrorTemplates([lesson.error]))

    async def _kinds(self, proposal: Proposal) -> Collection[tuple[str, str]]:
        """Who answered what kind of requests where the workflow was learned from."""
        runs = [await self._store.run(str(r)) for r in proposal.evidence.get("runs", ())]
        return {(run.agent, run.task_type) for run in runs if run and run.task_type}


def _seen_of(used: Used, run: Run, now: float) -> list[Observation]:
    """What a run shows of something that is watched; nothing where it has nothing to do with it."""
    if used.lesson is not None:
        return _met(used, run, now)
    route = run.route or {}
    version = route.get("workflow_version")
    by_hand = not route.get("workflow") and (run.agent, run.task_type) in used.kinds
    if version != used.trial.active and not (by_hand and run.kind == "reply"):
        return []
    failed = run.error is not None or tried_others(run)
    having = version == used.trial.active
    told = [_observed(used, run.run_id, "error", float(failed), having, now, "check")]
    if failed:
        told.append(_observed(used, run.run_id, "outcome", 0.0, having, now, "check"))
    return told


def _met(used: Used, run: Run, now: float) -> list[Observation]:
    assert used.lesson is not None
    assert used.templates is not None
    if used.change.audience not in (PUBLIC, run.audience):
        return []
    went = met(run, used.lesson, used.templates)
    if went is None:
        return []
    having = not in_control(run.run_id)
    return [_observed(used, run.run_id, "outcome", went, having, now, "check")]


def _observed(
    used: Used,
    run_id: str,
    aspect: Aspect,
    value: float,
    having: bool,
    now: float,
    source: OutcomeSource | None = None,
) -> Observation:
    both = (value, None) if having else (None, value)
    served = used.trial.active if having else None
    return observed(used.trial, run_id, aspect, *both, served=served, source=source, now=now)
