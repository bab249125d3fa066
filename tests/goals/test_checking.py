"""What no plan may be, whoever made it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from database.goals import ANSWER, Budget, Goal, Objective, Task
from goals.checking import PlanInvalid, checked_plan, cycle
from tests.goals.planners import planning, said, wish
from tests.goals.plans import plan, task

WHOLE = plan({"a": (), "b": ("a",)}, Budget(1.0, 10_000, 100.0, 3, 2, 5))
GOALS = (
    Objective("goal", "strategic", "All"),
    Objective("t1", "tactical", "Part", "goal"),
    Objective("o1", "operational", "Piece", "t1"),
)


def changed(which: str, **fields: object) -> Goal:
    tasks = tuple(replace(one, **fields) if one.key == which else one for one in WHOLE.tasks)  # type: ignore[arg-type]
    return replace(WHOLE, tasks=tasks)


def with_tasks(*tasks: Task) -> Goal:
    return replace(WHOLE, tasks=tasks)


def with_budget(**fields: object) -> Goal:
    return replace(WHOLE, budget=replace(WHOLE.budget, **fields))  # type: ignore[arg-type]


def test_a_plan_that_holds_gets_its_estimate() -> None:
    made = checked_plan(replace(WHOLE, objectives=GOALS))
    assert (made.estimate.tokens, made.estimate.seconds) == (3_000, 30)
    assert made.tasks == WHOLE.tasks


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (lambda: with_tasks(), "has no steps"),
        (lambda: with_tasks(task(ANSWER, 1)), "has no steps"),
        (lambda: with_tasks(task("a", 1), task("a", 2), task(ANSWER, 3, "a")), "the same key"),
        (lambda: changed("b", number=7), "must be numbered 1 to 3"),
        (lambda: changed("b", instruction=" "), "Step 2 does not say what to do"),
        (lambda: changed("b", title=""), "Step 2 does not say what to do"),
        (lambda: changed("b", needs=("z",)), "Step 2 needs z, which is not in the plan"),
        (lambda: changed("b", needs=(ANSWER,)), "needs the answer, which comes last"),
        (lambda: changed("a", needs=("b",)), "wait for each other: (1, 2|2, 1)"),
        (lambda: changed("a", needs=("a",)), "wait for each other: 1"),
        (lambda: changed(ANSWER, needs=("a",)), "The answer makes no use of step 2"),
        (lambda: changed(ANSWER, key="c"), "The last step of a plan makes the answer"),
        (lambda: changed("a", objective="z"), "serves a goal that is not in the plan"),
        (
            lambda: replace(WHOLE, objectives=(GOALS[0], GOALS[0])),
            "Two goals of the plan have the same key",
        ),
        (
            lambda: replace(WHOLE, objectives=(GOALS[2], replace(GOALS[1], parent="o1"))),
            "serves none that is above it",
        ),
        (lambda: with_budget(tasks=1), "needs 2 steps and may have 1"),
        (lambda: with_budget(tokens=2_999), "needs 3,000 tokens and may have 2,999"),
        (lambda: with_budget(seconds=29.0), "needs 30 seconds of work and may have 29"),
        (lambda: with_budget(usd=0.01), r"needs 0.03 dollars and may have 0.01"),
        (lambda: with_budget(agents=0), "needs 1 agents and may have 0"),
        (
            lambda: replace(changed("a", agent=None), budget=Budget(spawns=0)),
            "needs 1 new specialists and may have 0",
        ),
    ],
)
def test_a_plan_that_does_not_hold_is_refused(broken: Callable[[], Goal], why: str) -> None:
    with pytest.raises(PlanInvalid, match=why):
        checked_plan(broken())


def test_the_seconds_of_a_budget_are_of_work_also_beside_each_other() -> None:
    goal = plan({"a": (), "b": (), "c": ()}, Budget(1.0, 10_000, 39.0, 3, 2, 5))
    with pytest.raises(PlanInvalid, match="40 seconds of work"):
        checked_plan(goal)


def test_a_circle_is_named_in_its_order() -> None:
    assert cycle({1: (2,), 2: ()}) == ()
    circle = cycle({1: (2,), 2: (3,), 3: (1,), 4: (1,)})
    assert sorted(circle) == [1, 2, 3]
    at = circle.index(1)
    assert circle[at - 1] == 2  # what 1 waits for


async def test_forgotten_parts_take_the_place_of_steps_that_can_be_spared() -> None:
    request = "Draft the report, translate it into German, and list the readers for the mail."
    steps = [said(f"Draft chapter {n}") for n in range(1, 7)]
    decomposition, _ = planning({"goal": "A report", "steps": steps})
    goal = await decomposition.plan(wish(request))
    assert [one.title for one in goal.tasks[-4:]] == [
        "Draft chapter 4", "Translate it into German", "List the readers for the mail", "Answer",
    ]  # fmt: skip
    assert len(goal.notes) == 2


async def test_a_step_with_a_word_of_another_part_stays_where_it_is() -> None:
    request = "Draft the yearly report, translate it into German, and list the report's readers."
    steps = [said("Report draft"), said("Report for Jo", 1, stage=2), said("Readers", stage=3)]
    decomposition, _ = planning({"goal": "A report", "steps": steps})
    goal = await decomposition.plan(wish(request))
    parents = {one.key: one.parent for one in goal.objectives}
    assert [parents[one.objective] for one in goal.tasks[:-1]] == ["t1", "t2", "t3"]
