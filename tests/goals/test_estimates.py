"""What a step and a plan are expected to take, and what they hold of the budget."""

from dataclasses import replace

import pytest

from database.goals import UNKNOWN, Budget, Estimate, Spent
from goals.estimates import enough, estimated, expected, pooled, reservation, shortfall
from goals.ports import Specialist, TaskOutcome
from goals.task_graph import settle, skip, start
from tests.goals.plans import NOW, RESERVE, TOOK, done, plan, running, task

LONG = {f"s{n}": () for n in range(8)}


def test_time_is_until_the_last_step_ends_with_so_many_at_once() -> None:
    goal = plan(LONG)  # eight steps of 10 s, then the answer
    assert expected(goal, parallel=8).seconds == 20
    assert expected(goal, parallel=4).seconds == 30
    assert expected(goal, parallel=1).seconds == 90
    assert expected(plan({"a": (), "b": ("a",), "c": ()}), parallel=4).seconds == 30


def test_cost_is_a_sum_and_chances_multiply() -> None:
    whole = expected(plan({"a": (), "b": ()}))
    assert whole.tokens == 3_000
    assert whole.usd == pytest.approx(0.03)
    assert whole.chance == pytest.approx(0.9**3)


def test_one_unknown_price_makes_the_whole_unknown() -> None:
    goal = plan({"a": ()})
    free = replace(goal.tasks[0], estimate=replace(goal.tasks[0].estimate, usd=None))
    assert expected(replace(goal, tasks=(free, *goal.tasks[1:]))).usd is None


def test_what_is_skipped_is_not_expected() -> None:
    goal = running({"a": (), "b": ()})
    assert expected(skip(goal, "a", "", NOW)).tokens == 2_000


def test_with_runs_the_record_outweighs_the_prior() -> None:
    new = Specialist("new", "")
    few = Specialist("few", "", runs=2, succeeded=2, seconds=4, tokens=100, usd=0.5)
    many = Specialist("many", "", runs=400, succeeded=100, seconds=40, tokens=5_000, usd=0.1)
    team = [new, few, many]
    of = {one.name: estimated(replace(task("a", 1), agent=one.name), team) for one in team}
    assert of["new"].estimate.chance == pytest.approx(pooled(team).chance, abs=0.01)
    assert of["many"].estimate.chance == pytest.approx(0.25, abs=0.01)
    assert of["many"].estimate.seconds == pytest.approx(40, rel=0.02)
    assert of["few"].estimate.chance > of["new"].estimate.chance
    assert 4 < of["few"].estimate.seconds < 40
    assert [one.estimate.known for one in of.values()] == [0, 2, 400]


def test_with_nothing_known_the_prior_speaks() -> None:
    made = pooled([Specialist("new", "")])
    assert (made.seconds, made.tokens, made.usd) == (UNKNOWN.seconds, UNKNOWN.tokens, None)
    assert made.known == 0
    assert made.chance == pytest.approx(0.7)
    assert estimated(replace(task("a", 1), agent=None), []).estimate == made


def test_a_step_holds_more_than_it_is_expected_to_take() -> None:
    held = reservation(task("a", 1))
    assert (held.seconds, held.tokens) == (30.0, 4_000)
    assert held.usd == pytest.approx(0.03)
    dear = replace(task("a", 1), estimate=Estimate(100, 10_000, None, 0.5))
    assert reservation(dear) == Spent(300.0, 30_000, 0.0)


def test_what_is_short_is_said_with_figures_and_enough_ends_it() -> None:
    goal = done(running({"a": (), "b": (), "c": ()}), "a")
    goal = start(goal, "b", RESERVE, NOW)
    goal = replace(goal, budget=Budget(9.0, 5_000, 3_600, 8, 2, 12))
    assert shortfall(goal) == (
        "What is left to do may take 4,400 tokens more than the budget has."
    )  # fmt: skip
    grown = enough(goal)
    assert grown == replace(goal.budget, tokens=TOOK.tokens + RESERVE.tokens + 2 * 4_000)
    goal = replace(goal, budget=grown)
    goal = start(goal, "c", reservation(goal.task("c")), NOW)
    for key in ("b", "c"):
        goal = settle(goal, key, TaskOutcome(result="x", spent=TOOK, run_id=key), NOW)
    assert enough(goal) == grown
