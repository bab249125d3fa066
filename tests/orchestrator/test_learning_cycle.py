"""A learner's cycle: what is new is seen once, saved at once, and paid for."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agents.improvement.learner import Learned, Window
from database.errors import BudgetExceeded, StoreError, UnknownName
from database.learning import Finding
from database.records import LEARNING, Feedback, Person, Run, RunQuery, one_person, private_channel
from orchestrator.budgets import LearningBudget, LearningModels
from orchestrator.learning_cycle import CycleReport
from orchestrator.leases import LEASE_SECONDS, lease
from orchestrator.policy import Policy
from tests.orchestrator.fakes import ScriptedModels
from tests.orchestrator.pipeline import ADA, CODER, Pipeline, ScriptedLearner, changed, proposal
from tests.patience import PATIENCE_S

NAME = "prompt-optimizer"
PATTERN = Finding("f1", NAME, "pattern", "Numbers, then a chart", "Often.", runs=("r1", "r2"))


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    made = await Pipeline(tmp_path).open()
    yield made
    await made.close()


async def test_a_learner_sees_what_is_new_once_and_remembers(pipeline: Pipeline) -> None:
    pipeline.run("r1")
    pipeline.run("r2")
    pipeline.learner.says = Learned((PATTERN,), (proposal(changed(CODER, system_prompt="New.")),))
    report = await pipeline.improvement.cycle(NAME)
    assert (report.runs, len(report.findings), len(report.proposals)) == (2, 1, 1)
    assert [d.name for d in pipeline.learner.windows[0].documents if d.kind == "agent"] == [
        "coder", "generalist", "writer",
    ]  # fmt: skip

    pipeline.store.append(Feedback("said", "r1", "rating", -1.0, user_id="U1", created_at=1.0))
    again = await pipeline.improvement.cycle(NAME)
    window = pipeline.learner.windows[1]
    assert (again.runs, again.feedback, again.findings, again.proposals) == (0, 1, (), ())
    assert [run.run_id for run in window.older] == ["r1"]
    assert [held.reason for held in again.held] == ["The same was proposed before: proposed."]
    state = await pipeline.store.learner_state(NAME)
    assert (state.state, state.revision) == ({"seen": 2}, 2)


async def test_more_than_fits_into_a_window_is_seen_in_the_next_ones(pipeline: Pipeline) -> None:
    pipeline.cycles._at_once = 4
    for number in range(10):
        pipeline.run(f"r{number}")
    told: list[int] = []
    report = await pipeline.cycles.cycle(NAME, lambda so_far: told.append(so_far.runs))
    assert report.runs == 10
    assert [len(window.runs) for window in pipeline.learner.windows] == [4, 4, 2]
    assert told == [0, 4, 8, 10]


async def test_a_learner_looks_while_nobody_waits_for_an_answer(pipeline: Pipeline) -> None:
    waits, may_go_on = asyncio.Event(), asyncio.Event()

    async def lull() -> None:
        waits.set()
        await may_go_on.wait()

    pipeline.cycles._lull = lull
    pipeline.run("r1")
    cycle = asyncio.create_task(pipeline.cycles.cycle(NAME))
    await waits.wait()
    assert not pipeline.learner.windows
    pipeline.run("meanwhile")
    may_go_on.set()
    assert (await cycle).runs == 2


def test_a_cycles_windows_add_up() -> None:
    one = CycleReport(NAME, runs=4, tokens=30, cost_usd=0.5, seconds=1.0)
    other = CycleReport(NAME, runs=2, tokens=12, cost_usd=0.25, seconds=0.5)
    assert one.plus(other) == CycleReport(NAME, runs=6, tokens=42, cost_usd=0.75, seconds=1.5)
    assert one.plus(replace(other, cost_usd=None)).cost_usd is None


async def test_who_declined_is_not_learned_from(pipeline: Pipeline) -> None:
    await pipeline.store.save_person(Person("U7", "Eve", {LEARNING: "no"}))
    pipeline.run("hers", user_id="U7")
    pipeline.run("his", user_id="U8")
    await pipeline.improvement.cycle(NAME)
    assert [run.run_id for run in pipeline.learner.windows[0].runs] == ["his"]


class Slow(ScriptedLearner):
    """Takes until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.go = asyncio.Event(), asyncio.Event()

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        self.began.set()
        await self.go.wait()
        return await super().learn(window, state)


async def test_two_cycles_never_run_beside_each_other(tmp_path: Path) -> None:
    slow = Slow()
    one = await Pipeline(tmp_path, learner=slow).open()
    other = await one.again()
    one.run("r1")
    running = asyncio.create_task(one.improvement.cycle(NAME))
    await asyncio.wait_for(slow.began.wait(), 20)
    assert [s.running for s in (await one.improvement.status()).learners] == [True]
    for beside in (one, other):
        assert "running already" in (await beside.improvement.cycle(NAME)).skipped
    slow.go.set()
    assert (await running).runs == 1
    assert (await other.improvement.cycle(NAME)).skipped == ""
    await other.close()
    await one.close()


async def test_a_cycle_that_was_overtaken_saves_nothing(tmp_path: Path) -> None:
    """A process that slept longer than its claim lasts meets what another one saved."""
    slow = Slow()
    one = await Pipeline(tmp_path, learner=slow).open()
    one.run("r1")
    slow.says = Learned((PATTERN,))
    running = asyncio.create_task(one.improvement.cycle(NAME))
    await asyncio.wait_for(slow.began.wait(), 20)
    state = await one.store.learner_state(NAME)
    other = await Pipeline(tmp_path, one.clock).open()
    one.clock.now += LEASE_SECONDS + 1
    assert (await other.improvement.cycle(NAME)).runs == 1
    slow.go.set()
    assert "Another process" in (await running).skipped
    assert await one.store.finding("f1") is None
    assert (await one.store.learner_state(NAME)).revision == state.revision + 1
    await other.close()
    await one.close()


async def test_a_finding_is_told_again_only_when_it_says_more(pipeline: Pipeline) -> None:
    pipeline.learner.says = Learned((PATTERN,))
    await pipeline.improvement.cycle(NAME)
    await pipeline.improvement.judge_finding("f1", ADA, True)
    assert (await pipeline.improvement.cycle(NAME)).findings == ()
    pipeline.learner.says = Learned((replace(PATTERN, text="Very often."),))
    await pipeline.improvement.cycle(NAME)
    kept = await pipeline.store.finding("f1")
    assert kept is not None
    assert (kept.text, kept.state, kept.decided_by) == ("Very often.", "verified", ADA)
    await pipeline.bus.drain()
    assert [f.revision for f in pipeline.told] == [1, 2, 3]


async def test_what_rests_on_private_talk_is_for_those_who_were_there(pipeline: Pipeline) -> None:
    here, there = private_channel("C1"), one_person("U1")
    pipeline.run("r1", audience=here)
    pipeline.run("r2", audience=there)
    pipeline.run("r3")
    said = {"runs": ["r1", "r3"], "examples": [{"request": "secret plan"}], "figures": {"n": 2}}
    both = {**said, "runs": ["r1", "r2"]}
    writer = changed(CODER, temperature=0.5)
    pipeline.learner.says = Learned(
        (replace(PATTERN, runs=("r1",)),
         replace(PATTERN, finding_id="f2", data={"n": 2, "quote": "secret"})),
        (proposal(changed(CODER, system_prompt="One."), evidence=said),
         proposal(writer, evidence=both)),
    )  # fmt: skip
    await pipeline.improvement.cycle(NAME)
    narrow = await pipeline.store.finding("f1")
    counted = await pipeline.store.finding("f2")
    assert narrow is not None
    assert counted is not None
    assert narrow.audience == here
    assert (counted.audience, counted.data, counted.runs) == ("public", {"n": 2}, ())
    made = {p.audience: p for p in await pipeline.improvement.proposals()}
    assert made[here].evidence == said
    assert "examples" not in made["public"].evidence
    assert "secret" not in str(made["public"])


async def test_private_words_never_become_part_of_what_others_use(pipeline: Pipeline) -> None:
    pipeline.run("r1", audience=one_person("U1"), reply="The merger closes on Friday.")
    leaking = changed(
        CODER, demonstrations=[{"request": "When?", "answer": "The merger closes on Friday."}]
    )
    pipeline.learner.says = Learned((), (proposal(leaking),))
    report = await pipeline.improvement.cycle(NAME)
    assert report.proposals == ()
    assert "private conversation" in report.held[0].reason
    assert "merger" not in report.held[0].reason


class Anything(BaseModel):
    """Of any shape."""


class Asking(ScriptedLearner):
    """Asks a model as learners do."""

    def __init__(self) -> None:
        super().__init__()
        self.models: LearningModels | None = None
        self.calls = 1

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        assert self.models
        for _ in range(self.calls):
            async for _event in self.models.stream([]):
                pass
        return await super().learn(window, state)


async def test_what_a_cycle_asks_of_models_is_recorded_and_limited(tmp_path: Path) -> None:
    asking = Asking()
    pipeline = await Pipeline(tmp_path, learner=asking).open()
    budget = LearningBudget(pipeline.policy, pipeline.store)
    asking.models = LearningModels(ScriptedModels(lambda *_: "one two"), budget)
    report = await pipeline.improvement.cycle(NAME)
    assert (report.tokens, report.cost_usd) == (15, 0.001)
    [run] = await pipeline.store.runs(RunQuery(kinds=("review",)), with_steps=True)
    assert (run.agent, run.input_tokens, run.cost_usd, len(run.steps)) == (NAME, 10, 0.001, 1)

    await pipeline.policy.set("learning_tokens_per_day", "20", ADA)
    asking.calls = 5
    stopped = await pipeline.improvement.cycle(NAME)
    assert "learning_tokens_per_day" in stopped.skipped
    assert (await pipeline.store.learner_state(NAME)).revision == 1, "nothing of it was saved"
    assert sum(r.input_tokens or 0 for r in await pipeline.store.runs(
        RunQuery(kinds=("review",)))) == 20, "what was asked is counted all the same"  # fmt: skip
    with pytest.raises(BudgetExceeded):
        await asking.models.structured([], Anything)
    await pipeline.close()


async def test_switched_off_a_cycle_asks_no_more(tmp_path: Path) -> None:
    asking, calls = Asking(), 0
    pipeline = await Pipeline(tmp_path, learner=asking).open()
    off = [False, False, True]

    def script(*_: object) -> str:
        nonlocal calls
        calls += 1
        return "one two"

    asking.models = LearningModels(
        ScriptedModels(script),
        LearningBudget(pipeline.policy, pipeline.store),
        off=lambda: off.pop(0),
    )
    asking.calls = 280
    stopped = await pipeline.improvement.cycle(NAME)
    assert "Learning is off" in stopped.skipped
    assert calls == 2
    await pipeline.close()


async def test_a_proposal_whose_record_is_damaged_holds_up_no_other(pipeline: Pipeline) -> None:
    one, other = (changed(CODER, system_prompt=words) for words in ("One.", "Other."))
    made = await pipeline.propose(one)
    with sqlite3.connect(pipeline.home / "record.db") as connection:
        connection.execute("UPDATE proposals SET changes = '[{' WHERE workspace = 'T1'")
    connection.close()
    assert await pipeline.store.proposal(made.proposal_id) is None
    pipeline.run("r1")
    pipeline.learner.says = Learned((), (proposal(one), proposal(other)))
    report = await pipeline.improvement.cycle(NAME)
    assert [p.changes for p in report.proposals] == [(other,)]
    assert "damaged" in report.held[0].reason
    assert not report.skipped


class Overtaken(ScriptedLearner):
    """Learning is switched while it learns."""

    policy: Policy
    to = "off"

    async def learn(self, window: Window, state: Mapping[str, Any]) -> Learned:
        await self.policy.set("improvement", self.to, ADA)
        return await super().learn(window, state)


@pytest.mark.parametrize(("to", "kept"), [("off", 0), ("paused", 1)])
async def test_what_is_found_while_learning_is_switched_off_is_not_kept(
    tmp_path: Path, to: str, kept: int
) -> None:
    overtaken = Overtaken()
    pipeline = await Pipeline(tmp_path, learner=overtaken).open()
    overtaken.policy, overtaken.to = pipeline.policy, to
    pipeline.run("r1")
    overtaken.says = Learned((PATTERN,), (proposal(changed(CODER, system_prompt="New.")),))
    await pipeline.improvement.cycle(NAME)
    assert len(await pipeline.store.proposals()) == kept
    assert len(await pipeline.store.findings()) == kept
    await pipeline.close()


async def test_learning_may_spend_a_share_of_what_answers_cost(tmp_path: Path) -> None:
    pipeline = await Pipeline(tmp_path).open()
    budget = LearningBudget(pipeline.policy, pipeline.store)
    await budget.load()
    assert budget.spending().usd_allowed is None, "without known prices tokens are the limit"
    now = time.time()
    for number in range(10):
        answered = Run(f"r{number}", "x", "coder", started_at=now, input_tokens=5, cost_usd=0.1)
        pipeline.store.append(answered)
    pipeline.store.append(
        Run("s1", "x", "coder", kind="shadow", started_at=now, duration_ms=2_000.0, cost_usd=0.06,
            input_tokens=900, output_tokens=100),
        Run("m1", "", "memory", kind="review", started_at=now, cost_usd=5.0),
    )  # fmt: skip
    await budget.load()
    spent = budget.spending()
    assert spent.usd_allowed == pytest.approx(0.1)
    assert spent.usd_week == pytest.approx(0.06), "summaries of conversations are no learning"
    assert (spent.tokens_today, spent.seconds_today) == (1_000, 2.0)
    assert budget.may_spend()
    budget.spend(10, 1.0, 0.05)
    assert not budget.may_spend()
    assert "learning_share" in budget.spending().problem
    await pipeline.policy.set("learning_share", "50%", ADA)
    assert budget.may_spend()
    await pipeline.policy.set("learning_seconds_per_day", "3", ADA)
    assert "learning_seconds_per_day" in budget.spending().problem
    await pipeline.close()


async def test_an_unknown_learner_is_told_with_those_there_are(pipeline: Pipeline) -> None:
    with pytest.raises(UnknownName, match=NAME):
        await pipeline.improvement.cycle("guesser")


class Failing:
    """Claims that cannot be renewed at first."""

    def __init__(self) -> None:
        self.tries = 0
        self.renewed = asyncio.Event()

    async def claim(self, name: str, ttl: float) -> bool:
        return True

    async def renew(self, name: str, ttl: float) -> bool:
        self.tries += 1
        if self.tries < 3:
            raise StoreError("The disk is full.")
        self.renewed.set()
        return True

    async def release(self, name: str) -> None:
        return


async def test_a_lease_that_could_not_be_renewed_once_is_renewed_the_next_time() -> None:
    claims = Failing()
    async with asyncio.timeout(PATIENCE_S), lease(claims, "work", 0.01) as mine:
        assert mine
        await claims.renewed.wait()


async def test_what_one_process_holds_no_other_gets_until_it_is_let_go(pipeline: Pipeline) -> None:
    other = await pipeline.again()
    async with lease(pipeline.rows, "work") as mine:
        assert mine
        async with lease(other.rows, "work") as theirs:
            assert not theirs
        pipeline.clock.now += LEASE_SECONDS + 1
        async with lease(other.rows, "work") as late:
            assert late, "a process that is gone holds nothing for ever"
    async with lease(other.rows, "work") as after:
        assert after
    await other.close()
