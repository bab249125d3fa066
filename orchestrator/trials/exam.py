"""The exam: each workspace's own questions, grown from feedback that tells the right answer.

A correction that states it, an improved answer that was accepted, or a thumb up where the answer is
one that can be checked. What people said in a private place stays a question for that audience;
people and channels that declined are left out. Identical requests are in the same part, so that
what learners see is never what they are judged on.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from cachetools import LRUCache

from agents.checks.stated import check_of, questions_alike, stated_check
from agents.definition import AgentDefinition, DefinitionError, parse_definition
from agents.improvement.asking import nobody
from agents.improvement.intervals import wilson
from agents.tools.tape import Tape
from agents.turns import Turn
from agents.variants import variant_of
from database.learning import ExamPart, ExamQuestion, Proposal, Trial, learning_id
from database.records import Feedback, FeedbackKind, Run, run_id_of
from database.store import Store
from orchestrator.consent import Consent
from orchestrator.trials.answers import Build, Unseen, answer_unseen
from orchestrator.trials.arms import candidate_of
from orchestrator.trials.background import Background
from orchestrator.trials.exam_rules import READ_AT_ONCE, answer_key, fair
from orchestrator.trials.judging import passes

PARTS: Mapping[ExamPart, float] = {"learn": 0.4, "trial": 0.3, "held_out": 0.3}
HELD_OUT_AT_ONCE = 60
"""Questions of a score: more would take a small model too long."""

MOST_A_DAY = 200
"""Questions that one person's words make in a day, in each process."""

_STATING: frozenset[FeedbackKind] = frozenset({"reason", "better", "correction"})
_LEAST_WEIGHT = 0.5
_HARMLESS = frozenset({"calculator"})
"""Tools whose results depend on nothing but their arguments."""
_HIDDEN = "(a question of the exam that is held out)"

log = structlog.get_logger()


def part_of(request: str) -> ExamPart:
    """The part that a request belongs to, asked by whomever and whenever."""
    digest = hashlib.blake2b(questions_alike(request).encode(), digest_size=8).digest()
    drawn = int.from_bytes(digest, "big") / 2**64
    for part, share in PARTS.items():
        if drawn < share:
            return part
        drawn -= share
    return "held_out"


async def told_check(run: Run, said: Sequence[Feedback]) -> dict[str, Any] | None:
    """What every right answer to a run's request must satisfy, as people told us.

    The newest word that tells it; one that contradicts itself (wrong, but it passes) tells nothing.
    """
    for feedback in sorted(said, key=lambda f: f.created_at, reverse=True):
        check = _told(run, feedback)
        if check is None:
            continue
        accepted = feedback.value > 0
        if run.error is None and await passes(check, run.reply) == accepted:
            return check
    return None


def _told(run: Run, feedback: Feedback) -> dict[str, Any] | None:
    if feedback.value > 0 and feedback.kind == "rating":
        return check_of(run.request, run.reply) if run.reply else None
    if feedback.kind in _STATING and feedback.text and feedback.weight >= _LEAST_WEIGHT:
        return stated_check(run.request, feedback.text)
    return None


@dataclass(frozen=True, slots=True)
class Score:
    """How a definition did on a part of the exam; `low` and `high` are Wilson's 95% bounds."""

    right: int
    asked: int

    @property
    def share(self) -> float | None:
        """Share of right answers; None where nothing was asked."""
        return self.right / self.asked if self.asked else None

    @property
    def bounds(self) -> tuple[float, float]:
        """Wilson's interval at 95%."""
        return wilson(self.right, self.asked)


@dataclass(frozen=True, slots=True)
class Sides:
    """What a trial compares. `audience`: who may see what the candidate says."""

    active: AgentDefinition
    candidate: AgentDefinition
    audience: str


class Exam:
    """Grows on the bus (`feedback_given`); scores definitions on the held-out part."""

    def __init__(
        self,
        store: Store,
        consent: Consent,
        *,
        build: Build,
        background: Background,
        off: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`off` is the off switch, read from memory: then nothing is added."""
        self._store = store
        self._consent = consent
        self._build = build
        self._background = background
        self._off = off
        self._clock = clock
        self._today: LRUCache[tuple[str, int], int] = LRUCache(10_000)

    async def feedback_given(self, feedback: Feedback) -> None:
        """Somebody said something about an answer; perhaps it tells the right one."""
        if self._off():
            return
        run = await self._store.run(feedback.run_id)
        if run is None or run.kind != "reply" or not run.request:
            return
        if not await self._may_learn(run, feedback) or not await self._stands_alone(run):
            return
        check = await told_check(run, [feedback])
        if check is None:
            return
        teller = feedback.user_id or ""
        if not self._room_for(teller):
            log.warning("exam_question_refused", reason="one person told too many today")
            return
        question = ExamQuestion(
            "", run.run_id, run.request, check, run.agent, part_of(run.request), run.task_type,
            feedback.user_id, run.audience, self._clock(),
        )  # fmt: skip
        # who tells another answer later on tells a new question, and their newest word counts
        told = answer_key(question).decode()
        name = learning_id("exam", run.run_id, teller, told)
        self._store.append(replace(question, question_id=name))
        log.info("exam_question", run_id=run.run_id, kind=check["kind"])

    async def questions(
        self, part: ExamPart, agent: str, task_type: str | None, limit: int
    ) -> list[ExamQuestion]:
        """The newest questions of a part for an agent (or a variant's), each request once.

        Of several askings of a request the first is taken, so that later ones are no new question.
        What people disagree about is left out, and so is what one person told beyond their share
        (exam_rules.py).
        """
        variant = variant_of(agent)
        name = variant.agent if variant else agent
        found = await self._store.exam(part, name, task_type, READ_AT_ONCE)
        once: dict[str, ExamQuestion] = {}
        for question in reversed(fair(found)):
            once.setdefault(questions_alike(question.request), question)
        return list(once.values())[::-1][:limit]

    async def answer(self, definition: AgentDefinition, question: ExamQuestion) -> Unseen | None:
        """A definition's answer; None where it wanted to change something, which is not done.

        Raises BudgetExceeded, and the error of a model that is away (agents.errors.AWAY).
        """
        now = datetime.fromtimestamp(question.created_at, UTC)

        async def ask() -> Unseen | None:
            tape = Tape().replay()
            context = replace(nobody(), now=now, tape=tape)
            agent = self._build(definition)
            said = await answer_unseen(agent, [Turn("user", question.request)], context)
            return None if tape.missed else said

        return await self._background.run(ask)

    async def score_of(
        self, definition: AgentDefinition, questions: Sequence[ExamQuestion], trial: str
    ) -> Score:
        """How many of the questions it answers right; what it was asked for a trial stays known.

        Raises BudgetExceeded, and the error of a model that is away: the rest is asked later.
        """
        told = [await self._right(definition, question, trial) for question in questions]
        return Score(told.count(True), len(told) - told.count(None))

    async def _right(
        self, definition: AgentDefinition, question: ExamQuestion, trial: str
    ) -> bool | None:
        """Whether it answers right; None where it wanted to change something."""
        before = await self._store.run(_run_id(definition, question, trial))
        if before is not None and "right" in (before.route or {}):
            return bool((before.route or {})["right"])
        said = await self.answer(definition, question)
        if said is None:
            return None
        right = await passes(question.check, said.reply)
        self._keep(said, definition, question, trial, right)
        return right

    async def score(self, trial: Trial, proposal: Proposal) -> Mapping[str, Any] | None:
        """`before` and `after` (shares of right answers on the held-out part), their bounds, `n`.

        None without questions. Raises what `score_of` raises.
        """
        there = await self.questions("held_out", trial.agent, trial.task_type, HELD_OUT_AT_ONCE)
        sides = await self.sides(trial, proposal)
        if not there or sides is None:
            return None
        before = await self.score_of(sides.active, there, trial.trial_id)
        after = await self.score_of(sides.candidate, there, trial.trial_id)
        if before.share is None or after.share is None:
            return None
        return {
            "before": round(before.share, 4),
            "after": round(after.share, 4),
            "before_bounds": [round(bound, 4) for bound in before.bounds],
            "after_bounds": [round(bound, 4) for bound in after.bounds],
            "n": min(before.asked, after.asked),
        }

    async def sides(self, trial: Trial, proposal: Proposal | None) -> Sides | None:
        """Both versions of a trial; None where one is gone or cannot be used."""
        variant = variant_of(trial.agent)
        names = [trial.agent, *([variant.agent] if variant else [])]
        known = [await self._store.document("agent", name, trial.active) for name in names]
        active = next((document for document in known if document), None)
        candidate = await candidate_of(self._store, trial, proposal)
        if active is None or candidate is None:
            return None
        try:
            return Sides(
                parse_definition(active.body, f"agent {active.name}"),
                parse_definition(candidate.body, f"the candidate of {candidate.name}"),
                candidate.audience,
            )
        except DefinitionError as error:
            log.error("candidate_unusable", trial=trial.trial_id, problem=str(error))
            return None

    def _keep(
        self,
        said: Unseen,
        definition: AgentDefinition,
        question: ExamQuestion,
        trial: str,
        right: bool,
    ) -> None:
        """Its figures, and none of its words: what is held out is to be read by no learner."""
        run_id = _run_id(definition, question, trial)
        parent = Run(
            question.run_id, _HIDDEN, question.agent, audience=question.audience,
            task_type=question.task_type,
        )  # fmt: skip
        route = {"trial": trial, "exam": question.part, "right": right}
        made = said.as_run(run_id, "replay", parent, definition, route)
        steps = tuple(replace(step, arguments=None, error=None) for step in made.steps)
        error = made.error and made.error.partition(":")[0]
        self._store.append(replace(made, reply=None, error=error, steps=steps))

    def _room_for(self, teller: str) -> bool:
        key = teller, int(self._clock() // 86_400)
        self._today[key] = self._today.get(key, 0) + 1
        return self._today[key] <= MOST_A_DAY

    async def _may_learn(self, run: Run, feedback: Feedback) -> bool:
        return await self._consent.given(run.user_id, run.channel_id) and await self._consent.given(
            feedback.user_id, run.channel_id
        )

    async def _stands_alone(self, run: Run) -> bool:
        """Whether the request can be asked again without what was said before it, and beside it."""
        if any(step.kind == "tool" and step.name not in _HARMLESS for step in run.steps):
            return False
        if (run.route or {}).get("instruction") and run.parent_run_id:
            parent = await self._store.run(run.parent_run_id)
            return parent is not None and await self._stands_alone(parent)
        return run.message_ts == run.thread_ts


def _run_id(definition: AgentDefinition, question: ExamQuestion, trial: str) -> str:
    """The run of a definition's answer in a score: one, however often the score is begun."""
    return run_id_of(question.run_id, "exam", trial, definition.version)
