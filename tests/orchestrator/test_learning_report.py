"""What learning says of money and health comes from runs, to the cent, for those who may know."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.improvement.agent_performance_analyst import AgentPerformanceAnalyst
from agents.improvement.cost_optimizer import CostOptimizer
from agents.improvement.learner import Learner, Window
from agents.improvement.spending import week_of
from database.learning import Decision, LearnerState
from database.records import Outcome, Run, one_person, private_channel
from tests.orchestrator.fakes import ScriptedModels, agent
from tests.orchestrator.pipeline import Pipeline

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


async def test_the_health_of_agents_stands_beside_their_record(pipeline: Pipeline) -> None:
    runs = await recorded(pipeline)
    await looked(pipeline, AgentPerformanceAnalyst(ScriptedModels(lambda t, m: "")), runs)
    standing = {one.agent: one for one in (await pipeline.improvement.status()).agents}
    assert (standing["coder"].health or 0) > (standing["writer"].health or 0) > 0
    assert standing["coder"].parts["success"] > standing["writer"].parts["success"]
    assert standing["secret"].audience == one_person(ADA)
