"""What planning is told of the house, which plans start by themselves, how estimates did."""

from dataclasses import replace

from agents.tools.base import Tool
from database.goals import ANSWER, Budget, Estimate, Goal, Spent, Task
from database.records import PUBLIC, Outcome, Reader, Run, RunQuery, one_person
from database.store import Store
from goals.budgets import DayLimit
from orchestrator.goal_figures import GoalScores, goal_scores
from orchestrator.goal_planning import GoalPlanner, GoalRoster, GoalRules
from orchestrator.goal_replies import reply_of
from orchestrator.policy import Policy
from tests.orchestrator.conftest import House
from tests.orchestrator.fakes import ScriptedModels, WordEmbedder, agent

EVERYBODY = Reader("", frozenset())


async def roster_of(store: Store) -> tuple[GoalRoster, House]:
    async def post(_: object, __: object) -> str:
        return "posted"

    outside = Tool("post", "Posts.", {"type": "object"}, "write", "Posting", post,
                   lent_to=("herald",))  # fmt: skip
    house = House(store, ScriptedModels(lambda turns, _: "ok"), tools={"post": outside})
    await house.start(agent("writer", tools=["calculator"]), agent("herald"))
    roster = GoalRoster(store, house.pool, house.workflows, WordEmbedder(), house.tools)
    return roster, house


def ran(number: int, name: str, ok: bool) -> Run:
    return Run(
        f"r{number}", "write it", name, started_at=1_800_000_000.0, duration_ms=4_000.0,
        user_id="U1", input_tokens=70, output_tokens=30, cost_usd=0.01,
        outcome=Outcome(ok, source="check"),
    )  # fmt: skip


async def test_specialists_come_with_what_the_record_says_of_them(store: Store) -> None:
    store.append(*(ran(n, "writer", n > 0) for n in range(4)))
    roster, _ = await roster_of(store)
    known = {one.name: one for one in await roster.specialists(EVERYBODY)}
    writer = known["writer"]
    assert (writer.runs, writer.succeeded, writer.seconds) == (4.0, 3.0, 4.0)
    assert (writer.usd, writer.tokens) == (0.01, 100.0)
    assert (known["herald"].writes, writer.writes, known["herald"].runs) == (True, False, 0)


async def test_a_private_specialist_works_only_for_who_may_know_it(store: Store) -> None:
    roster, house = await roster_of(store)
    secret = agent("secret").body()
    await store.create_document("agent", "secret", secret, origin="spawn", author="U1",
                                audience=one_person("U1"))  # fmt: skip
    await house.pool.refresh()
    assert "secret" in {one.name for one in await roster.specialists(Reader("U1"))}
    assert "secret" not in {one.name for one in await roster.specialists(EVERYBODY)}


async def test_a_saved_workflow_serves_a_request_that_is_clearly_like_it(store: Store) -> None:
    roster, house = await roster_of(store)
    said = "compare the three vendors for our error tracker"
    runs = [replace(ran(1, "writer", True), request=said, reply="done", audience=PUBLIC)]
    await house.workflows.save("vendors", runs, "U1", PUBLIC)
    found = await roster.runbook_for(said, EVERYBODY)
    assert found is not None
    assert (found.name, found.steps[0][1]) == ("vendors", "writer")
    assert await roster.runbook_for("write a birthday card for Maria", EVERYBODY) is None


async def test_a_plan_is_asked_of_the_strong_model_and_paid_for(store: Store) -> None:
    models = ScriptedModels(lambda turns, _: "")
    models.structured_answers = [agent("x").body()]
    _, spent = await GoalPlanner(models).ask("Plan.", "Do it.", type(agent("x")))
    assert models.asked[0][0] == "m-strong"
    assert spent == Spent(0.001, 15, 0.001)


def small(**more: object) -> Goal:
    tasks = tuple(
        Task(key, number, key, key, "writer") for number, key in enumerate(("s1", ANSWER), 1)
    )
    goal = Goal("g", "U1", "do it", "r", tasks=tasks, estimate=Estimate(60, 5_000, 0.01, 0.8))
    return replace(goal, **more)  # type: ignore[arg-type]


async def test_small_and_cheap_plans_start_by_themselves(store: Store) -> None:
    roster, _ = await roster_of(store)
    rules = GoalRules(Policy(store.policy), roster)
    assert "say stop" in await rules.starts_alone(small())
    [first, last] = small().tasks
    for larger in (
        small(estimate=Estimate(4_000, 5_000, 0.01, 0.8)),
        small(estimate=Estimate(60, 500_000, None, 0.8)),
        small(estimate=Estimate(60, 5_000, 2.0, 0.8)),
        small(tasks=(replace(first, agent="herald"), last)),
        small(tasks=(replace(first, agent=None), last)),
        small(tasks=(first,) * 5 + (last,)),
    ):
        assert await rules.starts_alone(larger) == ""


async def test_approvers_decide_what_starts_and_what_it_may_take(store: Store) -> None:
    roster, _ = await roster_of(store)
    policy = Policy(store.policy)
    rules = GoalRules(policy, roster, ("U0BOSS",))
    assert (rules.on(), rules.approvers()) == (True, ("U0BOSS",))
    for key, value in {
        "goal_start": "ask", "goals": "off", "goal_usd": "2.5", "goal_minutes": "10",
        "goal_tokens": "unlimited", "goal_usd_per_day.U1": "3", "approvers": "U0CHIEF",
    }.items():  # fmt: skip
        await policy.set(key, value, "U0BOSS")
    assert await rules.starts_alone(small()) == ""
    assert (rules.on(), rules.approvers()) == (False, ("U0CHIEF",))
    assert rules.budget() == Budget(usd=2.5, tokens=10**9, seconds=600.0)
    assert rules.day("U1") == DayLimit(3.0, 5_000_000)
    assert rules.day("U2") == DayLimit(10.0, 5_000_000)
    await policy.set("goal_start", "always", "U0BOSS")
    large = small(estimate=Estimate(4_000, 5_000, 9.0, 0.8))
    assert "as plans do here" in await rules.starts_alone(large)


async def test_estimates_are_scored_against_what_happened(store: Store) -> None:
    expected = {"seconds": 10.0, "tokens": 100, "usd": 0.01, "chance": 0.75}

    def step(number: int, seconds: float, waits: bool = False, error: str | None = None) -> Run:
        route = {"goal": "g", "expected": expected, "waits": waits}
        return Run(
            f"t{number}", "do it", "writer", kind="task", parent_run_id="r", user_id="U1",
            started_at=1_800_000_000.0, duration_ms=seconds * 1000, input_tokens=150,
            output_tokens=50, cost_usd=0.03, route=route, error=error,
        )  # fmt: skip

    goal = small(
        state="done", user_id="U1", channel_id="C1", thread_ts="1.0", message_ts="1.0",
        started_at=1_800_000_000.0, ended_at=1_800_000_060.0,
    )  # fmt: skip
    assert await goal_scores(store, RunQuery()) == GoalScores()
    store.append(*(step(n, 5.0 * n) for n in range(1, 5)), step(5, 1.0, waits=True),
                 step(6, 25.0, error="ModelError: away"))  # fmt: skip
    for part in ("plan", "answer"):
        store.append(reply_of(goal, part, "Here.").run)
    found = await goal_scores(store, RunQuery(user_id="U1"))
    assert replace(found, usd=round(found.usd or 0.0, 6)) == GoalScores(
        1, 1, 5, 0.8, 0.75, 1.5, 2.0, 3.0
    )
    assert found.sentence() == (
        "Goals: 1 ended, 1 with an answer. Their 5 steps took 1.5 times the time, 2.0 times the "
        "tokens, 3.0 times the cost expected; 80% came to a result, 75% were expected to."
    )
    assert (await goal_scores(store, RunQuery(user_id="U2"))).sentence() == ""


async def test_a_goals_two_replies_are_found_again_in_its_thread(store: Store) -> None:
    goal = small(
        state="failed", reason="It was too much.", channel_id="C1", thread_ts="1.0",
        message_ts="1.0", planning=Spent(2.0, 300, 0.02),
    )  # fmt: skip
    plan, answer = reply_of(goal, "plan", "Two steps."), reply_of(goal, "answer", "Nothing came.")
    assert (plan.run.run_id, plan.run.input_tokens, plan.run.cost_usd) == ("r", 300, 0.02)
    assert [message.role for message in plan.messages] == ["person", "assistant"]
    assert [message.role for message in answer.messages] == ["assistant"]
    assert answer.run.parent_run_id == "r"
    assert (answer.run.outcome.success, answer.run.error) == (False, "failed: It was too much.")
