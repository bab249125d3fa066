"""Replays: both versions answer the exam's questions whose turn it is; a cheap first look.

The questions are those that people spoke about, so a replay says which version is better on these.
Both are asked anew: the answer that a question was made from was right or wrong by selection.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

from agents.definition import AgentDefinition
from database.learning import Aspect, ExamQuestion, Proposal, Trial
from database.records import PUBLIC, Run, run_id_of
from database.store import Store
from orchestrator.trials.answers import Redact, Unseen, worked_ms
from orchestrator.trials.exam import Exam, Sides
from orchestrator.trials.judging import passes
from orchestrator.trials.outcomes import observed

MOST_QUESTIONS = 300


class Replays:
    """Asks the exam's `trial` part, a few questions at a time."""

    def __init__(
        self,
        store: Store,
        exam: Exam,
        *,
        redact: Redact,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._exam = exam
        self._redact = redact
        self._clock = clock

    async def questions(self, agent: str, task_type: str | None) -> int:
        """How many there are to ask."""
        return len(await self._exam.questions("trial", agent, task_type, MOST_QUESTIONS))

    async def run(self, trial: Trial, proposal: Proposal, limit: int) -> int:
        """Ask at most so many more of both versions; how many were asked, 0 when none are left.

        Raises BudgetExceeded when learning may spend no more, and the error of a model that is
        away (agents.errors.AWAY); what was asked stays, and the rest is asked later.
        """
        sides = await self._exam.sides(trial, proposal)
        if sides is None:
            return 0
        most = min(trial.most, MOST_QUESTIONS)
        there = await self._exam.questions("trial", trial.agent, trial.task_type, most)
        seen = {o.run_id for o in await self._store.observations(trial.trial_id)}
        # what is asked while the trial runs is compared, too: the questions are known by their runs
        new = [q for q in there if q.run_id not in seen and _may_see(q, sides)]
        waiting = new[: min(limit, most - len(seen))]
        for question in waiting:
            await self._ask(trial, (sides.active, sides.candidate), question)
        return len(waiting)

    async def _ask(
        self, trial: Trial, both: tuple[AgentDefinition, AgentDefinition], question: ExamQuestion
    ) -> None:
        said = [await self._exam.answer(definition, question) for definition in both]
        runs = [
            self._redact(_as_run(trial, arm, definition, question, one))
            for arm, definition, one in zip(("active", "candidate"), both, said, strict=True)
            if one is not None
        ]
        active, candidate = said
        other = run_id_of(question.run_id, "replay", trial.trial_id, "candidate")
        told = partial(observed, trial, question.run_id, other=other, now=self._clock())
        if active is None or candidate is None:
            self._store.append(*runs, told("error", None, None))
            return
        seen = [told("error", float(bool(active.error)), float(bool(candidate.error)))]
        seen += [told(aspect, *values) for aspect, values in _taken(active, candidate)]
        right = [float(await passes(question.check, one.reply)) for one in (active, candidate)]
        seen.append(told("outcome", right[0], right[1], source="check"))
        self._store.append(*runs, *seen)


def _may_see(question: ExamQuestion, sides: Sides) -> bool:
    """Whether whoever may read the question may see what the candidate says to it."""
    return sides.audience in (PUBLIC, question.audience)


def _taken(active: Unseen, candidate: Unseen) -> Iterator[tuple[Aspect, tuple[float, float]]]:
    if active.error or candidate.error:
        return
    took = worked_ms(active.finished.steps), worked_ms(candidate.finished.steps)
    if took[0] is not None and took[1] is not None:
        yield "latency_ms", (took[0], took[1])
    cost = active.finished.cost_usd, candidate.finished.cost_usd
    if cost[0] is not None and cost[1] is not None:
        yield "cost_usd", (cost[0], cost[1])


def _as_run(
    trial: Trial, arm: str, definition: AgentDefinition, question: ExamQuestion, said: Unseen
) -> Run:
    parent = Run(
        question.run_id, question.request, question.agent, user_id=question.user_id,
        audience=question.audience, task_type=question.task_type,
    )  # fmt: skip
    run_id = run_id_of(question.run_id, "replay", trial.trial_id, arm)
    return said.as_run(run_id, "replay", parent, definition, {"trial": trial.trial_id, "arm": arm})
