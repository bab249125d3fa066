"""Learners look when there is enough, and not too often."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from database.records import Feedback
from orchestrator.signals import GAP_SECONDS, Signals
from tests.orchestrator.pipeline import Pipeline, ScriptedLearner
from tests.people import eventually


class Started:
    """What was started."""

    def __init__(self) -> None:
        self.learners: list[str] = []
        self.looks = 0

    async def learner(self, name: str) -> None:
        self.learners.append(name)

    async def look(self) -> None:
        self.looks += 1

    async def so_often(self, count: int) -> bool:
        return len(self.learners) == count


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    made = await Pipeline(tmp_path).open()
    yield made
    await made.close()


def signals_of(pipeline: Pipeline, started: Started, threshold: int = 3) -> Signals:
    learner = ScriptedLearner("counter", threshold)
    return Signals(
        pipeline.store, {"counter": learner}, started.learner, started.look,
        clock=lambda: pipeline.clock.now, look_seconds=0.01,
    )  # fmt: skip


async def test_enough_runs_and_words_start_a_learner_once(pipeline: Pipeline) -> None:
    started = Started()
    signals = signals_of(pipeline, started)
    await signals.recorded(pipeline.run("r1"))
    await signals.recorded(pipeline.run("s1", kind="shadow"))
    await signals.felt(Feedback("f1", "r1", "rating", 1.0))
    assert signals.gathered("counter") == 2
    assert started.learners == []
    await signals.recorded(pipeline.run("r2"))
    assert signals.gathered("counter") == 0
    await eventually(lambda: started.so_often(1), "the learner looks")

    for number in range(5):
        await signals.recorded(pipeline.run(f"more{number}"))
    assert started.learners == ["counter"], "not again within a minute"
    pipeline.clock.now += GAP_SECONDS
    await signals.tick()
    await eventually(lambda: started.so_often(2), "the learner looks again")

    async def looked() -> bool:
        return started.looks > 0

    await eventually(looked, "trials are looked at")
    assert started.looks < 8, "not after each signal"
    await signals.stop()


async def test_what_happened_before_the_start_counts(pipeline: Pipeline) -> None:
    pipeline.run("r1")
    pipeline.run("r2")
    started = Started()
    signals = signals_of(pipeline, started)
    await signals.load()
    assert signals.gathered("counter") == 2
    await signals.recorded(pipeline.run("r3"))
    await eventually(lambda: started.so_often(1), "the learner looks")
    await signals.stop()


async def test_a_learner_that_fails_hurts_nobody_else(pipeline: Pipeline) -> None:
    began = asyncio.Event()

    async def fail(name: str) -> None:
        began.set()
        raise RuntimeError(name)

    signals = Signals(
        pipeline.store, {"one": ScriptedLearner("one", 1), "other": ScriptedLearner("other", 99)},
        fail, fail_to_look, clock=lambda: pipeline.clock.now, look_seconds=0.0,
    )  # fmt: skip
    await signals.recorded(pipeline.run("r1"))
    await asyncio.wait_for(began.wait(), 20)
    await signals.recorded(pipeline.run("r2"))
    assert signals.gathered("other") == 2
    await signals.stop()


async def fail_to_look() -> None:
    raise RuntimeError("no")


async def test_a_slot_of_the_clock_is_taken_by_one_process(pipeline: Pipeline) -> None:
    other = await pipeline.again()
    pipeline.run("r1")
    await pipeline.loop.slot("prompt-optimizer", clock=pipeline.clock)
    await other.loop.slot("prompt-optimizer", clock=pipeline.clock)
    assert len(pipeline.learner.windows) == 1
    pipeline.clock.now += 3_600
    await other.loop.slot("prompt-optimizer", clock=pipeline.clock)
    assert len(pipeline.learner.windows) == 2
    await other.close()


async def test_a_clock_that_was_set_back_holds_no_learner_up(pipeline: Pipeline) -> None:
    started = Started()
    signals = signals_of(pipeline, started, threshold=1)
    pipeline.clock.now += 30 * 86_400
    signals.looked("counter")
    pipeline.clock.now -= 30 * 86_400
    await signals.recorded(pipeline.run("r1"))
    await eventually(lambda: started.so_often(1), "the learner looks")
    await signals.stop()
