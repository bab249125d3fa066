"""What happens to served requests, as observations of the trials that they are part of.

A split is observed as its answers are recorded; how right they were comes with what people say. Of
what is assigned together only one may count: the first answer of a thread that tells. The pairs of
a shadow trial are made by `shadow`; here they are judged, at once where a check or people's word
decides, and by `settle` where nothing was said for a while.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any, TypeVar

import structlog
from cachetools import LRUCache

from agents.errors import AWAY
from database.errors import BudgetExceeded, ModelError
from database.learning import Aspect, Observation, Trial, observation_id_of
from database.records import IMPLICIT, Feedback, OutcomeSource, Run, RunQuery, run_id_of
from database.store import Store
from orchestrator.answering import STOPPED
from orchestrator.consent import Consent
from orchestrator.trials.answers import worked_ms
from orchestrator.trials.arms import Arms, Course
from orchestrator.trials.background import Background, GaveWay
from orchestrator.trials.exam import told_check
from orchestrator.trials.judging import Judge, Pair, Word, by_check, by_word, word_of
from orchestrator.trials.sequential import is_missing
from orchestrator.trials.who_told import rest_without, selection

SETTLED_SECONDS = 15 * 60.0
"""Who says nothing about an answer for so long mostly says nothing at all."""
_LOOKED_AT = 200
"""Answers of a trial that one `settle` looks at."""
_JUDGED_AT_ONCE = 20
_PEOPLES: frozenset[OutcomeSource | None] = frozenset({"check", "user", "implicit"})
"""What an outcome rests on where people told it; a model's judgement is nobody's word."""
_LATELY = 1_000
"""Replies by which it is known whether one person alone uses the assistant."""
TOKENS_OF = 20
"""Answers of each version before it is known what they take."""
_SLOWLY = 3
"""Pairs that one `settle` has a model judge; on the embedded model each takes many seconds."""

Result = TypeVar("Result")

log = structlog.get_logger()


def shadow_id(run_id: str, trial_id: str) -> str:
    """The shadow of a run in a trial: one, whoever makes it."""
    return run_id_of(run_id, "shadow", trial_id)


def tried_others(run: Run) -> bool:
    """Whether the agent that was to answer failed, and another one did."""
    return len((run.route or {}).get("tried", ())) > 1


def was_away(run: Run) -> bool:
    """Whether the model of who was to answer was away: that says nothing of the version."""
    if (run.route or {}).get("away"):
        return True
    return not tried_others(run) and (run.error or "").partition(":")[0] in _AWAY


def _names(kinds: Sequence[type]) -> Iterator[str]:
    for kind in kinds:
        yield kind.__name__
        yield from _names(kind.__subclasses__())


_AWAY = frozenset(_names(AWAY))
"""A run's error begins with the name of its kind."""


def observed(
    trial: Trial,
    run_id: str,
    aspect: Aspect,
    active: float | None,
    candidate: float | None,
    *,
    other: str | None = None,
    served: str | None = None,
    source: OutcomeSource | None = None,
    now: float = 0.0,
    unit: str | None = None,
) -> Observation:
    """One observation of a request in a trial; of one `unit` (the request itself) one counts."""
    return Observation(
        observation_id_of(trial.trial_id, unit or run_id, aspect),
        trial.trial_id,
        run_id,
        aspect,
        active,
        candidate,
        other_run_id=other,
        served=served,
        source=source,
        created_at=now,
    )


class Outcomes:
    """Listens on the bus (`recorded`, `feedback_given`) and to the clock (`settle`)."""

    def __init__(
        self,
        store: Store,
        arms: Arms,
        consent: Consent,
        judge: Judge,
        background: Background,
        *,
        settled_seconds: float = SETTLED_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._arms = arms
        self._consent = consent
        self._judge = judge
        self._background = background
        self._settled_seconds = settled_seconds
        self._clock = clock
        self._questions = 0
        self._settled: LRUCache[str, bool] = LRUCache(10_000)
        """Requests of which no more will be known."""

    async def recorded(self, run: Run) -> None:
        """A reply was recorded: what it took, if a split (or its verification) is served by it."""
        course = self._split_of(run)
        if course is None or run.error == STOPPED:
            return
        failed = run.error is not None or tried_others(run)
        told: list[Observation] = [self._in_arm(course, run, "error", float(failed), "check")]
        if failed:
            told.append(self._in_arm(course, run, "outcome", 0.0, "check"))
        else:
            for aspect, value in _taken(run):
                told.append(self._in_arm(course, run, aspect, value))
        self._store.append(*told)

    async def feedback_given(self, feedback: Feedback) -> None:
        """Somebody said something about an answer."""
        run = await self._store.run(feedback.run_id)
        if run is None or run.kind != "reply":
            return
        said = await self._said_of(run)
        split = self._split_of(run)
        if split is not None:
            self._judge_served(split, run, word_of(said, implicit=False))
        for course in self._arms.courses:
            shadow = await self._shadow_of(course, run)
            if shadow is not None:
                await self._judge_pair(course.trial, run, shadow, said, implicit=False)

    async def pair(self, trial: Trial, run: Run, shadow: Run) -> None:
        """A candidate has answered: judge the pair, if anything is known yet."""
        if tried_others(run) or was_away(run):
            return
        await self._judge_pair(trial, run, shadow, await self._said_of(run), implicit=False)

    async def settle(self) -> int:
        """Judge what nobody spoke about for a while, a few pairs by a model.

        For the clock, every few minutes. Returns how many requests were judged.
        """
        judged = 0
        self._questions = _SLOWLY if self._background.gives_way else _JUDGED_AT_ONCE
        for course in self._arms.courses:
            if self._arms.off:
                break
            seen = await self._store.observations(course.trial.trial_id)
            if course.trial.method == "split":
                judged += await self._settle_split(course, seen)
            else:
                judged += await self._settle_pairs(course, seen)
                await self._compare_judge(course, seen)
        return judged

    async def figures(self, trial: Trial) -> Mapping[str, Any]:
        """What belongs beside the verdict: how the judge agrees, and how much feedback chose.

        `effect_at_worst` is the effect if everybody who said nothing was content: people who
        complain more often than they praise make any change look better than it is, as only what
        they speak about can be compared. None where that cannot be said. `missing` counts what was
        to be compared in pairs and was not, `timed` whether the times of pairs were compared.
        """
        seen = await self._store.observations(trial.trial_id)
        share, labels = await self._judge.agreement(trial.task_type)
        sources = [o.source or "none" for o in seen if o.aspect == "outcome"]
        figures: dict[str, Any] = {
            "judge_labels": labels,
            "judged_by": {source: sources.count(source) for source in sorted(set(sources))},
        }
        if share is not None:
            figures["judge_agreement"] = round(share, 3)
        if trial.method != "shadow":
            return figures
        figures["missing"] = sum(is_missing(o) for o in seen)
        figures["timed"] = not self._background.gives_way
        return figures | selection(seen)

    async def without_one(self, trial: Trial) -> Mapping[str, Any]:
        """What is left of a trial's effect without the word of whoever told most of it.

        `askers` people use the workspace, `tellers` told which answers are right; `most_told` is
        the share of judged requests that rest on one of these, `others` the number of those that
        do not, and `effect_of_others` what they show (None where they compare nothing).
        """
        seen = await self._store.observations(trial.trial_id, "outcome")
        lately = await self._store.runs(RunQuery(limit=_LATELY))
        askers = {run.user_id or "" for run in lately}
        tellers: dict[str, str] = {}
        for o in seen:
            await asyncio.sleep(0)  # replies go on between two of them
            run = await self._store.run(o.run_id)
            if run is None:
                continue
            askers.add(run.user_id or "")
            if said := await self._said_of(run) if o.source in _PEOPLES else ():
                tellers[o.run_id] = _teller(said)
        return {"askers": len(askers), **rest_without(seen, tellers)}

    async def tokens(self, trial: Trial) -> Mapping[str, Any]:
        """How many tokens the candidate's answers take, as a share of the active version's.

        `tokens_ratio`, over `tokens_of` answers of each; only of answers by one and the same model,
        and nothing where there are fewer than TOKENS_OF: where prices are unknown it stands for
        them.
        """
        took: tuple[list[int], list[int]] = ([], [])
        models = set()
        for o in await self._store.observations(trial.trial_id, "error"):
            await asyncio.sleep(0)  # replies go on between two of them
            for run_id, arm in _answers(trial, o):
                run = await self._store.run(run_id)
                if run and not run.error and run.input_tokens and run.output_tokens:
                    took[arm].append(run.input_tokens + run.output_tokens)
                    models.add(run.model)
        count = min(map(len, took))
        if len(models) != 1 or count < TOKENS_OF:
            return {}
        return {"tokens_ratio": round(fmean(took[1]) / fmean(took[0]), 4), "tokens_of": count}

    # Splits

    def _split_of(self, run: Run) -> Course | None:
        if was_away(run):
            return None
        trial_id = (run.route or {}).get("trial")
        return self._arms.course(str(trial_id)) if trial_id and run.kind == "reply" else None

    def _in_arm(
        self,
        course: Course,
        run: Run,
        aspect: Aspect,
        value: float,
        source: OutcomeSource | None = None,
    ) -> Observation:
        candidate = (run.route or {}).get("arm") == "candidate"
        both = (None, value) if candidate else (value, None)
        served = None if tried_others(run) or run.error else run.agent_version
        if course.fresh and not candidate:
            served = None  # whatever is served for the agent is what it is compared with
        thread = f"{run.channel_id}/{run.thread_ts}" if run.thread_ts else run.run_id
        return observed(
            course.trial, run.run_id, aspect, *both, served=served, source=source,
            now=self._clock(), unit=thread,
        )  # fmt: skip

    def _judge_served(self, course: Course, run: Run, word: Word | None) -> None:
        if word is None:
            return
        value = float(word.right)
        told = [self._in_arm(course, run, "outcome", value, word.source)]
        if not word.right:
            told.append(self._in_arm(course, run, "complaint", 1.0, word.source))
        self._store.append(*told)

    async def _settle_split(self, course: Course, seen: Sequence[Observation]) -> int:
        known = {o.run_id for o in seen if o.aspect == "complaint"} | self._settled.keys()
        due = self._clock() - self._settled_seconds
        silent = [
            o.run_id for o in seen
            if o.aspect == "error" and o.run_id not in known and o.created_at <= due
        ][:_LOOKED_AT]  # fmt: skip
        for run_id in silent:
            await asyncio.sleep(0)  # replies go on between two of them
            self._settled[run_id] = True
            run = await self._store.run(run_id)
            if run is not None:
                self._judge_served(course, run, word_of(await self._said_of(run)))
                self._store.append(self._in_arm(course, run, "complaint", 0.0))
        return len(silent)

    # Pairs

    async def _shadow_of(self, course: Course, run: Run) -> Run | None:
        if course.trial.method != "shadow" or tried_others(run) or was_away(run):
            return None  # what people saw is no answer of either version
        shadow = await self._store.run(shadow_id(run.run_id, course.trial.trial_id))
        comparable = shadow is not None and "not_comparable" not in (shadow.route or {})
        return shadow if comparable else None

    async def _judge_pair(
        self, trial: Trial, run: Run, shadow: Run, said: Sequence[Feedback], *, implicit: bool
    ) -> bool:
        """Judge a pair by a check or by people's word; False where neither says enough."""
        if (word := word_of(said, implicit=implicit)) and not word.right:
            self._keep(trial, run, shadow, "complaint", 1.0, None, word.source)
        known = await self._known(run, shadow, said, implicit)
        if known is None:
            return False
        self._keep(trial, run, shadow, "outcome", known.active, known.candidate, known.source)
        return True

    async def _known(
        self, run: Run, shadow: Run, said: Sequence[Feedback], implicit: bool
    ) -> Pair | None:
        check = await told_check(run, said)
        if check is not None:
            return await by_check(check, run, shadow)
        word = word_of(said, implicit=implicit)
        return by_word(word, run, shadow) if word else None

    def _keep(
        self,
        trial: Trial,
        run: Run,
        shadow: Run,
        aspect: Aspect,
        active: float,
        candidate: float | None,
        source: OutcomeSource,
    ) -> None:
        # where neither version answered, or a fresh candidate is compared with whatever does, there
        # is nothing to hold the served version against
        served = run.agent_version if run.agent_version == trial.active else None
        self._store.append(
            observed(
                trial,
                run.run_id,
                aspect,
                active,
                candidate,
                other=shadow.run_id,
                served=served,
                source=source,
                now=self._clock(),
            )
        )

    async def _settle_pairs(self, course: Course, seen: Sequence[Observation]) -> int:
        trial = course.trial
        told = {(o.run_id, o.aspect) for o in seen}
        due = self._clock() - self._settled_seconds
        settled = [
            o.run_id for o in seen
            if o.aspect == "error" and o.created_at <= due and None not in (o.active, o.candidate)
        ]  # fmt: skip
        waiting = [
            run_id for run_id in settled
            if not {(run_id, "outcome"), (run_id, "complaint")} <= told
            and run_id not in self._settled
        ]  # fmt: skip
        judged = 0
        for run_id in waiting[:_LOOKED_AT]:
            await asyncio.sleep(0)
            run, shadow = await self._store.run(run_id), None
            if run is not None:
                shadow = await self._shadow_of(course, run)
            if run is None or shadow is None:
                self._settled[run_id] = True
                continue
            if (run_id, "outcome") not in told:
                judged += await self._settle_pair(trial, run, shadow)
            self._keep(trial, run, shadow, "complaint", 0.0, None, "implicit")
        return judged

    async def _settle_pair(self, trial: Trial, run: Run, shadow: Run) -> bool:
        said = await self._said_of(run)
        if await self._judge_pair(trial, run, shadow, said, implicit=True):
            return True
        return await self._by_judge(trial, run, shadow)

    async def _compare_judge(self, course: Course, seen: Sequence[Observation]) -> None:
        """Have the model judge what is judged already, to know how far its word can be trusted."""
        for o in seen:
            if not self._questions:
                return
            if not _tells_apart(o) or o.observation_id in self._settled:
                continue
            await asyncio.sleep(0)
            run = await self._store.run(o.run_id)
            shadow = await self._shadow_of(course, run) if run else None
            if run is not None and shadow is not None and run.request:
                known = Pair(o.active or 0.0, o.candidate or 0.0, o.source or "user")
                asked = await self._asked(run, partial(self._judge.compare, run, shadow, known))
                if asked is None:
                    return
            self._settled[o.observation_id] = True

    async def _by_judge(self, trial: Trial, run: Run, shadow: Run) -> bool:
        # where each word of it takes half a minute, it has to have shown that it is worth that
        unproven = not self._background.gives_way
        worth = await self._judge.worth_asking(run.task_type, unproven=unproven)
        if not self._questions or not run.request or not worth:
            return False
        pair = await self._asked(run, partial(self._judge.prefers, run, shadow))
        if pair is None:
            return False
        self._keep(trial, run, shadow, "outcome", pair.active, pair.candidate, pair.source)
        return True

    async def _asked(self, run: Run, ask: Callable[[], Awaitable[Result]]) -> Result | None:
        """What the model says; None where it cannot be asked now."""
        try:
            answer = await self._background.run(ask)
        except (ModelError, BudgetExceeded, GaveWay) as error:
            log.info("pair_not_judged", run_id=run.run_id, reason=str(error))
            return None
        self._questions -= answer is not False
        return answer

    async def _said_of(self, run: Run) -> list[Feedback]:
        return await said_of(self._store, self._consent, run)


async def said_of(store: Store, consent: Consent, run: Run) -> list[Feedback]:
    """What was said of an answer by those who may be learned from."""
    if not await consent.given(run.user_id, run.channel_id):
        return []
    said = await store.feedback_on(run.run_id)
    return [f for f in said if await consent.given(f.user_id, run.channel_id)]


def _teller(said: Sequence[Feedback]) -> str:
    """Whose word counts of several: the latest explicit one."""
    last = max(said, key=lambda f: (f.kind not in IMPLICIT, f.created_at))
    return last.user_id or ""


def _answers(trial: Trial, o: Observation) -> Iterator[tuple[str, int]]:
    """The runs that an observation is of, and whose each is: 0 the active version's, 1 the other's.

    Of a pair both or none: what one version alone was asked may be harder.
    """
    if trial.method == "split":
        yield o.run_id, int(o.candidate is not None)
    elif o.other_run_id and o.active == o.candidate == 0.0:
        yield o.run_id, 0
        yield o.other_run_id, 1


def _tells_apart(o: Observation) -> bool:
    """Whether a check or somebody's word said that one answer is better than the other."""
    return (
        o.aspect == "outcome"
        and o.source in ("check", "user")
        and None not in (o.active, o.candidate)
        and o.active != o.candidate
    )


def _taken(run: Run) -> Iterator[tuple[Aspect, float]]:
    took = worked_ms(run.steps)
    if took is not None:
        yield "latency_ms", took
    if run.cost_usd is not None:
        yield "cost_usd", run.cost_usd
