"""What a learner is given, for how long it may look, and what becomes of what it fails on.

A learner that fails sees the same again. After three failures half as much is tried, and half of
that, until what it fails on is alone; that is left out, so that the rest is learned from. In one
cycle only little is left out: a learner that fails on everything is broken itself.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from agents.checks.stated import questions_alike
from agents.improvement.cost_optimizer import NAME as COST_OPTIMIZER
from agents.improvement.learner import Learned, Learner, Window
from database.errors import BudgetExceeded, ModelError, StoreError, VirtuousError
from database.learning import ExamPart, ExamQuestion, LearnerState, WindowRows
from database.records import Feedback, Run

LEARNS_WITHIN = 6 * 3600.0
"""More than all of the models' time that learning may use a day by default."""
TRIES = 3
SKIPPED_A_CYCLE = 5
HIDDEN: tuple[ExamPart, ...] = ("trial", "held_out")
"""The parts of the exam that no learner may see."""
_KEY = "_window"
"""Where trouble is kept, beside what the learner itself remembers."""
_SEES_ALL = frozenset({COST_OPTIMIZER})
"""It compares questions and answers as digests, and nothing that it proposes is made of words."""

log = structlog.get_logger()


class LearnerFailed(VirtuousError):
    """A learner could not learn from what it was given; `ended` says that it took too long."""

    def __init__(self, message: str, *, ended: bool = False) -> None:
        super().__init__(message)
        self.ended = ended


@dataclass(frozen=True, slots=True)
class Trouble:
    """How often in a row a learner failed, and on what (`problem`: the kind of error, no words).

    `at_once`: how much it is given until it is past that, 0 for as much as usual. `skipped` is how
    often something was left out, ever.
    """

    failures: int = 0
    at_once: int = 0
    skipped: int = 0
    problem: str = ""

    @property
    def says(self) -> str:
        """It in some words, for people; '' for none."""
        if self.failures:
            return f"fails ({self.problem}), the log says where"
        return f"left out {self.skipped:,} that it fails on" if self.skipped else ""

    def failed(self, problem: str, size: int) -> "Trouble":
        """After one failure more, at something of this `size`."""
        failures = self.failures + 1
        at_once = max(1, size // 2) if failures >= TRIES else self.at_once
        return replace(self, failures=failures, at_once=at_once, problem=problem)

    def went_well(self, usual: int) -> "Trouble":
        """After something was learned: twice as much next time, up to the usual."""
        more = 2 * self.at_once
        if not more or more >= usual:
            return Trouble(skipped=self.skipped)
        return replace(self, failures=TRIES, at_once=more)


def trouble_in(state: Mapping[str, Any]) -> Trouble:
    """By what is kept of a learner."""
    return Trouble(**state.get(_KEY, {}))


def kept_with(trouble: Trouble, state: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a learner: what it remembers, and what trouble there is."""
    own = {key: value for key, value in state.items() if key != _KEY}
    return own | {_KEY: asdict(trouble)} if trouble != Trouble() else own


async def let_learn(
    learner: Learner, window: Window, state: Mapping[str, Any], within: float = LEARNS_WITHIN
) -> Learned:
    """What it learned. Raises LearnerFailed for what is wrong with it or the window.

    That a model, the record or the budget is not there is no fault of theirs and is raised as is.
    """
    own = kept_with(Trouble(), state)
    try:
        async with asyncio.timeout(within):
            return await learner.learn(window, own)
    except (ModelError, StoreError, BudgetExceeded):
        raise
    except TimeoutError as error:
        log.error("learner_took_too_long", learner=learner.name, runs=len(window.runs))
        raise LearnerFailed(
            f"{learner.name} did not end within {within / 3600:g} hours; what it was given is "
            "tried again, in smaller pieces if need be.",
            ended=True,
        ) from error
    except Exception as error:
        log.exception("learner_failed", learner=learner.name, runs=len(window.runs))
        raise LearnerFailed(
            f"{learner.name} failed with {type(error).__name__}; the log says where. What it was "
            "given is tried again, in smaller pieces if need be."
        ) from error


def after_failure(
    state: LearnerState, rows: WindowRows, error: LearnerFailed, *, may_skip: bool
) -> LearnerState:
    """What is kept after a failure: as before, or past what was alone in the window."""
    before, problem = trouble_in(state.state), type(error.__cause__).__name__
    size = max(len(rows.runs), sum(map(len, rows.feedback.values())))
    trouble = before.failed(problem, min(size, before.at_once or size))
    if before.at_once != 1 or not may_skip:
        return replace(state, state=kept_with(trouble, state.state), revision=state.revision + 1)
    log.warning("learner_skips", learner=state.learner, problem=problem,
                runs=[run.run_id for run in (*rows.runs, *rows.older)])  # fmt: skip
    trouble = replace(trouble, skipped=before.skipped + 1)
    return replace(
        state, state=kept_with(trouble, state.state), runs_seen=rows.runs_seen,
        feedback_seen=rows.feedback_seen, revision=state.revision + 1,
    )  # fmt: skip


def unseen(learner: str, rows: WindowRows, hidden: Sequence[ExamQuestion]) -> WindowRows:
    """The window without the words of what its candidates will be judged on; numbers stay."""
    if learner in _SEES_ALL or not hidden:
        return rows
    asked = {questions_alike(question.request) for question in hidden}
    behind = {question.run_id for question in hidden}
    found = {
        run.run_id
        for run in (*rows.runs, *rows.older)
        if run.run_id in behind or (run.request and questions_alike(run.request) in asked)
    }
    return replace(
        rows,
        runs=tuple(_wordless(run) if run.run_id in found else run for run in rows.runs),
        older=tuple(_wordless(run) if run.run_id in found else run for run in rows.older),
        feedback={
            run_id: tuple(map(_mute, said)) if run_id in found else said
            for run_id, said in rows.feedback.items()
        },
    )


def _wordless(run: Run) -> Run:
    return replace(run, request="", reply=None if run.reply is None else "")


def _mute(said: Feedback) -> Feedback:
    return replace(said, text=None)
