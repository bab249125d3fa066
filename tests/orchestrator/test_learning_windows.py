"""What a learner is given; one that fails on something is not stopped by it for ever."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from agents.improvement.learner import Learned, Window
from database.errors import ModelError
from database.learning import ExamPart, ExamQuestion, WindowRows
from database.records import Feedback, Run
from orchestrator.learning_windows import (
    SKIPPED_A_CYCLE,
    TRIES,
    LearnerFailed,
    Trouble,
    let_learn,
    trouble_in,
    unseen,
)
from tests.orchestrator.pipeline import Pipeline, ScriptedLearner

NAME = "prompt-optimizer"


class Choking(ScriptedLearner):
    """Fails on some windows, and keeps what it learned from."""

    def __init__(self, fails: Callable[[Run], bool]) -> None:
        super().__init__()
        self.fails = fails
        self.tried: list[int] = []
        self.error: type[Exception] = ValueError

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        self.tried.append(len(window.runs))
        assert set(state) <= {"seen"}, "it remembers what it said, and nothing of ours"
        if any(self.fails(run) for run in window.runs):
            raise self.error("of what r3 said")
        return await super().learn(window, state)

    @property
    def learned_from(self) -> list[str]:
        return [run.run_id for window in self.windows for run in window.runs]


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    made = await Pipeline(tmp_path, learner=Choking(lambda run: run.run_id == "r3")).open()
    with structlog.testing.capture_logs():  # to draw what is raised would take seconds
        yield made
    await made.close()


def choking(pipeline: Pipeline) -> Choking:
    assert isinstance(pipeline.learner, Choking)
    return pipeline.learner


async def trouble(pipeline: Pipeline) -> Trouble:
    return trouble_in((await pipeline.store.learner_state(NAME)).state)


async def test_what_a_learner_fails_on_is_left_out_and_the_rest_is_learned(
    pipeline: Pipeline,
) -> None:
    for number in range(8):
        pipeline.run(f"r{number}")
    for failures in range(1, TRIES):
        report = await pipeline.improvement.cycle(NAME)
        assert "failed with ValueError" in report.skipped
        assert "what r3 said" not in report.skipped, "the words of an error may be somebody's"
        assert (await trouble(pipeline)).failures == failures
        assert choking(pipeline).tried == [8] * failures
        [told] = (await pipeline.improvement.status()).learners
        assert told.problem == "fails (ValueError), the log says where"

    report = await pipeline.improvement.cycle(NAME)
    assert (report.skipped, report.left_out, report.runs) == ("", 1, 7)
    assert sorted(choking(pipeline).learned_from) == [f"r{n}" for n in range(8) if n != 3]
    pipeline.run("r8")
    assert (await pipeline.improvement.cycle(NAME)).runs == 1
    for number in range(1_001, 2_005):
        pipeline.run(f"r{number}")
    await pipeline.improvement.cycle(NAME)
    assert max(choking(pipeline).tried) > 400, "more and more at once"
    assert await trouble(pipeline) == Trouble(skipped=1), "until it is as before"
    [told] = (await pipeline.improvement.status()).learners
    assert told.problem == "left out 1 that it fails on"


async def test_of_a_broken_learner_little_is_left_out(pipeline: Pipeline) -> None:
    choking(pipeline).fails = lambda _: True
    for number in range(30):
        pipeline.run(f"r{number}")
    for _ in range(TRIES):
        report = await pipeline.improvement.cycle(NAME)
    assert "failed with ValueError" in report.skipped
    assert (await trouble(pipeline)).skipped == SKIPPED_A_CYCLE
    choking(pipeline).fails = lambda _: False
    assert (await pipeline.improvement.cycle(NAME)).runs == 30 - SKIPPED_A_CYCLE


async def test_a_model_that_is_away_is_no_fault_of_a_window(pipeline: Pipeline) -> None:
    choking(pipeline).error = ModelError
    pipeline.run("r3")
    for _ in range(TRIES + 1):
        with pytest.raises(ModelError):
            await pipeline.improvement.cycle(NAME)
    assert await trouble(pipeline) == Trouble()


class Hanging(ScriptedLearner):
    """Never comes to an end."""

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_learner_that_never_ends_is_ended() -> None:
    with pytest.raises(LearnerFailed, match="did not end within") as failed:
        await let_learn(Hanging(), Window((), time.time()), {}, within=0.01)
    assert failed.value.ended


# What is hidden


def question(part: ExamPart, run: Run) -> ExamQuestion:
    check = {"kind": "label", "answer": "refund"}
    return ExamQuestion(f"e-{run.run_id}", run.run_id, run.request, check, run.agent, part)


async def test_nobody_learns_from_the_words_that_candidates_are_judged_on(
    pipeline: Pipeline,
) -> None:
    choking(pipeline).fails = lambda _: False
    parts: tuple[ExamPart, ...] = ("learn", "trial", "held_out")
    for part in parts:
        run = pipeline.run(part, reply="lost card", duration_ms=7.0)
        said = Feedback(f"f-{part}", part, "correction", -1.0, text="It is refund.", user_id="U1")
        pipeline.store.append(said, question(part, run))
    pipeline.store.append(Run("again", "Request  HELD_out", "coder", reply="lost card"))
    await pipeline.improvement.cycle(NAME)
    [window] = choking(pipeline).windows
    seen = {run.run_id: (run.request, run.reply) for run in window.runs}
    assert seen == {
        "learn": ("request learn", "lost card"),
        "trial": ("", ""),
        "held_out": ("", ""),
        "again": ("", ""),
    }
    assert {run.duration_ms for run in window.runs} == {7.0, None}
    said_of = {run_id: (one.text, one.value) for run_id, [one] in window.feedback.items()}
    assert said_of["learn"] == ("It is refund.", -1.0)
    assert said_of["trial"] == said_of["held_out"] == (None, -1.0)


def test_who_makes_nothing_of_words_may_compare_them() -> None:
    run = Run("r1", "What is it?", "coder", reply="a card")
    rows = WindowRows((run,), {}, (), 1, 0)
    assert unseen("cost-optimizer", rows, [question("trial", run)]) == rows
    assert unseen("team-review", rows, [question("trial", run)]).runs[0].request == ""
