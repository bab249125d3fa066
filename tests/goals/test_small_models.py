"""Plans and answers of a small model: the request's own parts are the steps; nothing is lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database.goals import ANSWER, NOTHING, Goal, Spent, Task
from goals.decomposition import Decomposition
from goals.handing_over import HandingOver, handed_over
from goals.pieces import spread
from goals.ports import HoldMore, Specialist, TaskOutcome
from tests.goals.planners import (
    PLANNING,
    TEAM,
    ScriptedPlanner,
    Team,
    drafted,
    planning,
    said,
    wish,
)
from tests.goals.plans import NOW

VENDORS = (
    "Compare three vendors, check them against 3,000 dollars a year, and draft the announcement."
)


def small(*answers: Any) -> tuple[Decomposition, ScriptedPlanner]:
    planner = ScriptedPlanner(list(answers))
    return Decomposition(planner, Team(), lambda: NOW, small=True), planner


def brings(*needs: int) -> dict[str, Any]:
    return {"needs": list(needs), "result": f"After {needs}"}


async def planned(request: str, *steps: dict[str, Any]) -> Goal:
    decomposition, _ = small({"goal": "All is done", "steps": list(steps)})
    return await decomposition.plan(wish(request))


async def test_the_parts_of_the_request_are_the_steps_in_its_own_words() -> None:
    decomposition, planner = small(
        {"goal": "A vendor is chosen", "steps": [brings(), brings(1), brings(2)]}
    )
    goal = await decomposition.plan(wish(VENDORS))
    assert [(one.number, one.instruction, one.needs) for one in goal.tasks[:-1]] == [
        (1, "Compare three vendors", ()),
        (2, "check them against 3,000 dollars a year", ("s1",)),
        (3, "draft the announcement", ("s2",)),
    ]
    assert goal.tasks[-1].needs == ("s1", "s2", "s3")
    levels = [one.level for one in goal.objectives]
    assert levels == ["strategic", *3 * ["tactical"], *3 * ["operational"]]
    assert len(planner.asked) == 1
    assert goal.planning == PLANNING
    assert goal.notes == ()


async def test_several_things_under_one_verb_are_steps_of_their_own() -> None:
    request = "Plan: write a letter to the boss and the team, a list of guests, and two questions."
    goal = await planned(request, brings(), brings(), brings())
    assert [one.instruction for one in goal.tasks[:-1]] == [
        "write a letter to the boss and the team",
        "write a list of guests",
        "write two questions",
    ]


@pytest.mark.parametrize(
    "piece",
    [
        "compare the cat, the dog and the horse",
        "write a mail that is short, friendly and clear",
        "write a letter and a note",
        "draft an announcement",
        "Draft an email to the CEO, the CFO and the board",
        "write a note to the sales team, the support team and the board",
        "prepare a list of the risks, the owners and the dates",
    ],
)
def test_what_belongs_together_stays_together(piece: str) -> None:
    assert spread(piece) == (piece,)


def test_the_last_of_several_things_needs_no_comma() -> None:
    assert spread("prepare an agenda, a list of guests and the invitation") == (
        "prepare an agenda", "prepare a list of guests", "prepare the invitation",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("last", "needs"),
    [
        ("explain both in a sentence", ("s1", "s2")),
        ("test it well", ("s2",)),
        ("pick one for the club", ("s2",)),
        ("write a poem", ()),
        ("write a mail that cancels our meeting", ()),
        ("draft an invitation on one page", ()),
    ],
)
async def test_what_the_model_does_not_say_is_read_from_the_words(
    last: str, needs: tuple[str, ...]
) -> None:
    request = f"Draft the rules of our chess club, write a speech on tolerance, and {last}."
    goal = await planned(request, brings(), brings(), brings())
    assert goal.tasks[2].needs == needs


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(-3, 9), max_size=4), max_size=6))
async def test_whatever_the_model_says_every_part_is_done_once(needs: list[list[int]]) -> None:
    goal = await planned(VENDORS, *(brings(*some) for some in needs))
    assert goal.state == "proposed"
    assert [one.instruction for one in goal.tasks[:-1]] == [
        "Compare three vendors",
        "check them against 3,000 dollars a year",
        "draft the announcement",
    ]


async def test_a_model_that_gives_no_order_is_not_needed_for_one() -> None:
    decomposition, planner = small()
    goal = await decomposition.plan(wish(VENDORS))
    assert len(planner.asked) == 1
    assert goal.state == "proposed"
    assert [one.needs for one in goal.tasks[:-1]] == [(), ("s1",), ("s2",)]


async def test_a_request_without_parts_is_planned_by_the_model() -> None:
    decomposition, planner = small(
        {
            "goal": "The office has moved",
            "stages": ["Prepare", "Move"],
            "steps": [
                {"stage": 1, "title": "Count", "task": "Count the desks.", "result": "A number"},
                {"stage": 2, "title": "Pack", "task": "Pack the desks.", "needs": [1]},
            ],
        }
    )
    goal = await decomposition.plan(wish())
    assert [one.title for one in goal.tasks] == ["Count", "Pack", "Answer"]
    assert "stages" in planner.schemas[0]["properties"]


async def test_handing_over_is_expected_to_take_nothing() -> None:
    goal = await planned(VENDORS, brings(), brings(1), brings(2))
    last = goal.task(ANSWER).estimate
    assert (last.seconds, last.tokens, last.chance) == (0.0, 0, 1.0)


def with_results(goal: Goal, **results: str) -> Goal:
    done = (
        replace(task, state="done", result=results[task.key]) if task.key in results else task
        for task in goal.tasks
    )
    return replace(goal, tasks=tuple(done))


async def test_what_was_asked_for_is_handed_over_word_for_word() -> None:
    goal = await planned(VENDORS, brings(), brings(1), brings(2))
    goal = with_results(goal, s1="Green, Blue.", s2="Green: 900.", s3="We take *Green*.")
    assert handed_over(goal) == (
        "**1. Compare three vendors**\n\nGreen, Blue.\n\n"
        "**2. Check them against 3,000 dollars a year**\n\nGreen: 900.\n\n"
        "**3. Draft the announcement**\n\nWe take *Green*."
    )


async def test_what_only_served_another_step_is_left_out() -> None:
    goal = await planned(VENDORS, brings(), brings(1), brings(2))
    invented = replace(goal.task("s1"), title="List kinds", instruction="List kinds of vendors.")
    goal = replace(goal, tasks=(invented, *goal.tasks[1:]))
    answer = handed_over(with_results(goal, s1="Kinds.", s2="Green: 900.", s3="Green it is."))
    assert "Kinds." not in answer
    assert "Green: 900." in answer


async def test_one_result_is_the_answer_itself() -> None:
    goal = await planned(VENDORS, brings(), brings(1), brings(2))
    assert handed_over(with_results(goal, s3="We take Green.")) == "We take Green."


class Others:
    """Says who was asked, and keeps what was handed over."""

    def __init__(self) -> None:
        self.recorded: list[str] = []

    def record(self, goal: Goal, task: Task, answer: str) -> TaskOutcome:
        self.recorded.append(answer)
        return TaskOutcome(result=answer, run_id="r1")

    async def work(self, goal: Goal, task: Task, more: HoldMore | None = None) -> TaskOutcome:
        return TaskOutcome(result=f"a model's {task.key}")

    async def stopped(
        self, goal: Goal, task: Task, spent: Spent = NOTHING, why: str = ""
    ) -> TaskOutcome:
        return TaskOutcome(failure=why, spent=spent)


async def test_only_the_answer_is_handed_over_and_only_if_there_is_one() -> None:
    goal = await planned(VENDORS, brings(), brings(1), brings(2))
    others = Others()
    work = HandingOver(others, others.record)
    assert (await work.work(goal, goal.task("s1"))).result == "a model's s1"
    assert (await work.work(goal, goal.task(ANSWER))).result == "a model's answer"
    goal = with_results(goal, s1="Green, Blue.")
    assert await work.work(goal, goal.task(ANSWER)) == TaskOutcome("Green, Blue.", run_id="r1")
    assert others.recorded == ["Green, Blue."]


async def test_parts_that_others_used_are_handed_over_and_no_heading_is_cut() -> None:
    long = "a letter to all the people who have worked with us in the last five years in Lisbon"
    goal = await planned(
        f"Plan: write {long}, a list of guests, and two questions.", brings(), brings(1), brings(2)
    )
    answer = handed_over(with_results(goal, s1="Dear all", s2="Ann", s3="Who?"))
    assert f"**1. Write {long}**\n\nDear all" in answer
    assert "**2. Write a list of guests**\n\nAnn" in answer


NEW = tuple(Specialist(one.name, one.specialty) for one in TEAM)
"""The team before there is any record of it."""


@dataclass
class Alike(Team):
    """Every step is like the analyst and like the coder by so much."""

    analyst: float = 0.0
    coder: float = 0.0

    def likeness(self, one: str, others: Sequence[str]) -> Sequence[float]:
        own = {"calculating": self.analyst, "writing": self.coder}
        return [own[other.split()[0]] for other in others]


@pytest.mark.parametrize(
    ("analyst", "coder", "agent"), [(0.27, 0.15, "analyst"), (0.27, 0.2, "generalist")]
)
async def test_words_that_are_like_one_specialist_alone_go_to_it(
    analyst: float, coder: float, agent: str
) -> None:
    steps = [said("Count"), said("Pay", 1)]
    decomposition, planner = planning(
        drafted(*steps), team=Alike(NEW, analyst=analyst, coder=coder)
    )
    goal = await decomposition.plan(wish())
    assert goal.tasks[0].agent == agent
    assert len(planner.asked) == 1


@dataclass
class Known(Team):
    """Who is like what is said: the coder is for functions, the analyst a little for tests."""

    heard: list[str] = field(default_factory=list)

    def likeness(self, one: str, others: Sequence[str]) -> Sequence[float]:
        self.heard.append(one)
        coder = 0.5 if "function" in one else 0.3
        analyst = 0.1 if "function" in one else 0.3
        return [analyst if "calculating" in other else coder for other in others]


async def test_who_made_it_also_tests_it_and_short_steps_are_read_once() -> None:
    team = Known(NEW)
    planner = ScriptedPlanner([{"goal": "Done", "steps": [brings(), brings(1), brings()]}])
    decomposition = Decomposition(planner, team, lambda: NOW, small=True)
    words = "Write a Python function that finds duplicates in a list of very many customer numbers"
    goal = await decomposition.plan(wish(f"{words}, write a test for it, and draft a poem."))
    assert [one.agent for one in goal.tasks[:2]] == ["coder", "coder"]
    assert words in team.heard
