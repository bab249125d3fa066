"""What learning says of money and health comes from runs, to the cent, for those who may know."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents.improvement.agent_performance_analyst import AgentPerformanceAnalyst
from agents.improvement.cost_optimizer import CostOptimizer
from agents.improvement.learner import Learner, Window
from agents.improvement.spending import week_of
from database.learning import Change, Decision, LearnerState, Trial
from database.records import Outcome, Run, one_person, private_channel
from tests.orchestrator.fakes import ScriptedModels, agent
from tests.orchestrator.pipeline import CODER, Pipeline, changed, proposal

ADA, GRACE = "U0ADA", "U0GRACE"
SECRET = agent("secret", "write a secret")
STEPS = {"description": "", "steps": [{"request": "Numbers?", "agent": "coder"}], "inputs": []}


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    made = await Pipeline(tmp_path).open()
    yield made
    await made.close()


async def looked(pipeline: Pipeline, learner: Learner, runs: list[Run]) -> None:
    """A learner looks at runs, and what it remembers is kept."""
    documents = await pipeline.store.documents("agent")
    found = await learner.learn(Window(runs, pipeline.clock.now, documents=documents), {})
    state = LearnerState(learner.name, found.state, revision=1)
    await pipeline.store.decide(Decision(learners=(state,)))


async def recorded(pipeline: Pipeline) -> list[Run]:
    """Answers of three agents, some of them steps of workflows, one agent known to one person."""
    store = pipeline.store
    await store.create_document(
        "agent", "secret", SECRET.body(), origin="person", author=ADA, audience=one_person(ADA)
    )
    await store.create_document("runbook", "weekly", STEPS, origin="person", author=ADA)
    hidden = private_channel("C0BOARD")
    await store.create_document(
        "runbook", "board@123", STEPS, origin="person", author=ADA, audience=hidden
    )
    runs = []
    for n in range(60):
        name = ("coder", "writer", "secret")[n % 3]
        workflow = {0: "weekly", 1: "board"}.get(n % 6)
        runs.append(
            Run(
                f"r{n}", "Capital of France?", name, started_at=pipeline.clock.now - 60,
                user_id=ADA if n % 4 else GRACE, reply="Paris", outcome=Outcome(n % 3 != 1),
                duration_ms=60_000.0, model="m", input_tokens=10, output_tokens=5,
                cost_usd=0.01 * (n % 3 + 1), route={"workflow": workflow} if workflow else None,
            )
        )  # fmt: skip
    store.append(*runs)
    return runs


async def test_money_by_agent_workflow_and_person_is_the_sum_of_their_runs(
    pipeline: Pipeline,
) -> None:
    runs = await recorded(pipeline)
    now = pipeline.clock.now
    await looked(pipeline, CostOptimizer(ScriptedModels(lambda t, m: "")), runs)
    found = await pipeline.improvement.figures(now - 3_600, now + 3_600)

    def spent(of: list[Run]) -> tuple[float, int]:
        return round(sum(run.cost_usd or 0.0 for run in of), 6), len(of)

    by_agent = {one.name: one for one in found.by_agent}
    assert [one.name for one in found.by_agent] == ["secret", "writer", "coder"]
    for name, one in by_agent.items():
        assert (round(one.usd, 6), one.runs) == spent([r for r in runs if r.agent == name])
    assert by_agent["secret"].audience == one_person(ADA)
    assert found.week == week_of(now)
    by_workflow = {one.name: one for one in found.by_workflow}
    for name, one in by_workflow.items():
        theirs = [r for r in runs if (r.route or {}).get("workflow") == name]
        assert (round(one.usd, 6), one.runs) == spent(theirs)
    assert by_workflow["weekly"].audience == "public"
    assert by_workflow["board"].audience == private_channel("C0BOARD")
    for one in found.by_person:
        assert (round(one.usd, 6), one.runs) == spent([r for r in runs if r.user_id == one.name])
        assert one.audience == one_person(one.name)
    assert {one.name for one in found.by_person} == {ADA, GRACE}


async def test_what_could_be_saved_is_all_answers_but_the_first(pipeline: Pipeline) -> None:
    runs = await recorded(pipeline)
    now = pipeline.clock.now
    await looked(pipeline, CostOptimizer(ScriptedModels(lambda t, m: "")), runs)
    found = await pipeline.improvement.figures(now - 3_600, now + 3_600)
    # twenty of the coder and twenty of the secret agent were good; the writer's were not
    assert found.could_save_usd == pytest.approx(19 * 0.01 + 19 * 0.03)
    assert found.could_save_minutes == pytest.approx(38)
    assert "all answers but the first" in found.could_save_how


DAY = 86_400.0
CHEAPER = "coder--kind-1"


async def in_force(pipeline: Pipeline, change: Change, ratio: float) -> None:
    """A change that went live a fortnight ago, at so much of the cost before it."""
    key, then = f"live-{change.name}", pipeline.clock.now - 14 * DAY
    made = replace(proposal(change), proposal_id=key, state="live", moved_at=then)
    trial = Trial(
        f"trial-{key}", key, "shadow", change.name, "before", change.version or "", state="proven",
        figures={"guardrails": {"cost_usd": {"ratio": ratio}}},
    )  # fmt: skip
    await pipeline.store.decide(Decision(proposals=(made,), trials=(trial,)))


async def test_what_changes_saved_is_of_the_period_and_of_what_they_changed(
    pipeline: Pipeline,
) -> None:
    now = pipeline.clock.now
    await in_force(pipeline, Change("agent", CHEAPER, None, CODER.body()), 0.5)
    await in_force(pipeline, changed(CODER, temperature=0.5), 0.8)
    lesson = Change("lesson", "calculator-1", None, {"tool": "calculator", "error": "e"})
    await in_force(pipeline, lesson, 0.1)
    runs = [
        Run(f"r{n}", "Question", "coder", started_at=now - DAY * (1 + n // 4), reply="Yes",
            cost_usd=0.01, route={"variant": CHEAPER} if n % 2 else None)
        for n in range(40)
    ]  # fmt: skip
    pipeline.store.append(*runs)
    await looked(pipeline, CostOptimizer(ScriptedModels(lambda t, m: "")), runs)

    async def saved(since: float, until: float) -> float | None:
        return (await pipeline.improvement.figures(now - since * DAY, now - until * DAY)).usd_saved

    def both(answers: int) -> float:
        """Half of them by the variant, which would have cost twice as much, half a quarter more."""
        return answers / 2 * 0.01 * (2.0 - 1.0) + answers / 2 * 0.01 * (1 / 0.8 - 1.0)

    midnight = now % DAY / DAY
    assert await saved(midnight + 2, midnight) == pytest.approx(both(8))
    assert await saved(midnight + 5, midnight + 2) == pytest.approx(both(12))
    assert await saved(60, 30) is None, "before it was in force"


async def test_what_lessons_prevented_is_of_the_period(pipeline: Pipeline) -> None:
    now = pipeline.clock.now
    today = int(now // DAY)
    days = {str(today): [6, 0, 0, 0.0], str(today - 20): [100, 10, 8, 4_800_000.0]}
    state = LearnerState("error-recovery", {"days": days}, revision=1)
    await pipeline.store.decide(Decision(learners=(state,)))
    week = await pipeline.improvement.figures(now - 7 * DAY, now + 1)
    month = await pipeline.improvement.figures(now - 30 * DAY, now + 1)
    assert week.prevented_errors == 5
    assert week.minutes_saved == pytest.approx(6 * 0.8 * 10)
    assert month.prevented_errors == 85
    assert week.minutes_how.startswith(
        "6 calls that are known to fail were not made; 80% of all 10"
    )


async def test_the_health_of_agents_stands_beside_their_record(pipeline: Pipeline) -> None:
    runs = await recorded(pipeline)
    await looked(pipeline, AgentPerformanceAnalyst(ScriptedModels(lambda t, m: "")), runs)
    standing = {one.agent: one for one in (await pipeline.improvement.status()).agents}
    assert (standing["coder"].health or 0) > (standing["writer"].health or 0) > 0
    assert standing["coder"].parts["success"] > standing["writer"].parts["success"]
    assert standing["secret"].audience == one_person(ADA)
