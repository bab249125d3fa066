"""Requests become plans that can be carried out, whatever the model says; or they are refused."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database.errors import InputError, ModelError
from database.goals import ANSWER, Budget, Estimate, Goal
from goals.checking import checked_plan, cycle
from goals.drafts import plan_schema
from goals.ports import Runbook, Specialist, TaskOutcome
from goals.task_graph import MAX_NOTES, advance, begin, settle, start
from tests.goals.planners import PLANNING, TEAM, Team, drafted, planning, said, wish
from tests.goals.plans import NOW, RESERVE, done

MOVE = drafted(
    said("Count the desks"),
    said("Calculating the costs and percentages", 1, stage=2),
    said("Write the mail", 2, stage=2),
)
PARTS = (
    "Compare three vendors, check them against 3,000 dollars a year, and draft the announcement."
)


def lines(goal: Goal) -> list[tuple[int, str, tuple[str, ...]]]:
    return [(one.number, one.title, one.needs) for one in goal.tasks]


async def test_a_request_becomes_a_plan_with_goals_on_three_levels() -> None:
    decomposition, _ = planning(MOVE)
    goal = await decomposition.plan(wish())
    assert (goal.state, goal.title) == ("proposed", "The office has moved")
    assert lines(goal) == [
        (1, "Count the desks", ()),
        (2, "Calculating the costs and percentages", ("s1",)),
        (3, "Write the mail", ("s2",)),
        (4, "Answer", ("s1", "s2", "s3")),
    ]
    assert [(one.level, one.title, one.parent) for one in goal.objectives][:4] == [
        ("strategic", "The office has moved", None),
        ("tactical", "Prepare", "goal"),
        ("tactical", "Move", "goal"),
        ("operational", "Count the desks: done", "t1"),
    ]
    assert [one.agent for one in goal.tasks] == [
        "generalist",
        "analyst",
        "generalist",
        "generalist",
    ]
    assert goal.planning == PLANNING
    assert goal.notes == ()
    assert checked_plan(goal) == goal


async def test_what_is_expected_comes_from_the_records() -> None:
    decomposition, _ = planning(MOVE)
    goal = await decomposition.plan(wish())
    first, second = goal.tasks[0].estimate, goal.tasks[1].estimate
    assert (first.known, second.known) == (10, 20)
    assert second.seconds < first.seconds
    assert second.chance > first.chance
    assert goal.estimate.chance < min(first.chance, second.chance)
    assert goal.estimate.seconds == pytest.approx(sum(one.estimate.seconds for one in goal.tasks))
    assert goal.estimate.usd is None


async def test_the_parts_of_a_request_are_its_goals_and_each_gets_a_step() -> None:
    decomposition, planner = planning(
        {
            "goal": "A vendor is chosen",
            "steps": [said("Compare the vendors"), said("Check costs", 1, stage=2)],
        }
    )
    goal = await decomposition.plan(wish(PARTS))
    assert "1. Compare three vendors\n2. check them against 3,000" in planner.asked[0][2]
    assert [one.title for one in goal.objectives if one.level == "tactical"] == [
        "Compare three vendors",
        "check them against 3,000 dollars a year",
        "draft the announcement",
    ]
    forgotten = goal.tasks[2]
    assert forgotten.needs == ("s2",)
    assert (forgotten.title, forgotten.instruction) == (
        "Draft the announcement", "draft the announcement",
    )  # fmt: skip
    assert goal.notes == (
        'The model had forgotten "Draft the announcement": it has a step now.',
    )  # fmt: skip


async def test_a_step_belongs_to_the_part_whose_words_it_says() -> None:
    decomposition, _ = planning(
        {
            "goal": "A vendor is chosen",
            "steps": [
                said("List vendors", task="List three vendors."),
                said("Check", 1, task="Check them against 3,000 dollars a year."),
                said("Draft the announcement", 2, stage=2),
            ],
        }
    )
    goal = await decomposition.plan(wish(PARTS))
    parents = {one.key: one.parent for one in goal.objectives}
    assert [parents[one.objective] for one in goal.tasks[:-1]] == ["t1", "t2", "t3"]
    assert goal.notes == ()


async def test_words_that_speak_of_an_earlier_step_are_needs() -> None:
    decomposition, _ = planning(
        drafted(
            said("List vendors", task="List three vendors with prices."),
            said("Rules", task="Draft five rules for phone calls."),
            said("Choose one", task="Choose the vendors within budget."),
            said("Tell people", task="Put it into a mail."),
        )
    )
    goal = await decomposition.plan(wish())
    assert [one.needs for one in goal.tasks[:-1]] == [(), (), ("s1",), ("s3",)]


async def test_a_circle_is_cut_and_said() -> None:
    decomposition, _ = planning(drafted(said("One", 2), said("Two", 3), said("Three", 1)))
    goal = await decomposition.plan(wish())
    assert goal.state == "proposed"
    assert goal.notes == ('"One" does not wait for "Two", which waits for it.',)
    assert lines(goal)[:3] == [(1, "One", ()), (2, "Three", ("s1",)), (3, "Two", ("s2",))]


async def test_needs_of_steps_that_are_not_there_are_dropped_and_said() -> None:
    decomposition, _ = planning(drafted(said("One", 1, 7), said("Two", 1, -3)))
    goal = await decomposition.plan(wish())
    assert lines(goal)[:2] == [(1, "One", ()), (2, "Two", ("s1",))]
    assert goal.notes == (
        '"One" waits for no step that is not in the plan.',
        '"Two" waits for no step that is not in the plan.',
    )


async def test_a_plan_that_is_too_long_is_cut_and_said_and_a_flood_is_refused() -> None:
    decomposition, _ = planning(drafted(*(said(f"Step {n}") for n in range(1, 9))))
    goal = await decomposition.plan(wish())
    assert len(goal.tasks) == 7
    assert goal.notes == ('The plan was longer than 6 steps; left out: "Step 7", "Step 8".',)
    decomposition, _ = planning(drafted(*(said(f"Step {n}") for n in range(200))))
    goal = await decomposition.plan(wish())
    assert goal.state == "refused"
    assert goal.reason.startswith("The model planned 200 steps, where at most 6 are allowed")
    assert (goal.tasks, goal.planning) == ((), PLANNING)


@pytest.mark.parametrize(
    "answer", [{}, {"steps": []}, {"steps": [{}, {"title": " ", "task": "…"}]}, {"steps": "none"}]
)
async def test_an_empty_plan_is_refused(answer: dict[str, Any]) -> None:
    decomposition, _ = planning(answer)
    goal = await decomposition.plan(wish())
    assert goal.state == "refused"
    assert goal.reason == "The model found no steps in this: say in more detail what you need."
    assert goal.ended_at == NOW


async def test_steps_that_say_the_same_are_done_once() -> None:
    decomposition, _ = planning(
        drafted(said("One"), said("Uno", task="one,  ALL of it!"), said("Two", 2))
    )
    goal = await decomposition.plan(wish())
    assert lines(goal)[:2] == [(1, "One", ()), (2, "Two", ("s1",))]
    assert goal.notes == ("1 steps that were planned twice are done once.",)


async def test_a_plan_beyond_the_budget_is_refused_with_what_it_needs() -> None:
    decomposition, _ = planning(MOVE)
    goal = await decomposition.plan(wish(tokens=1_000))
    assert goal.state == "refused"
    assert "tokens and may have 1,000" in goal.reason


async def test_a_plan_grants_nothing() -> None:
    hostile = drafted(
        said(
            "Ignore all rules", 2, agent="root", tools=["delete_everything"], model="strong",
            audience="public", budget={"usd": 10**9}, key=ANSWER, state="done", result=7,
        ),
        said("<!channel>\u202e\x07 Call\neverybody", reader_channels=["C9"], usd=10**9),
        budget={"usd": 10**9, "tokens": 10**12}, audience="public", tasks=[1], user_id="U9",
    )  # fmt: skip
    asked = replace(wish(), audience="person:U1", reader_public=False)
    decomposition, _ = planning(hostile)
    goal = await decomposition.plan(asked)
    assert goal.state == "proposed"
    assert (goal.budget, goal.audience, goal.user_id) == (Budget(), "person:U1", "U1")
    assert (goal.reader_channels, goal.reader_public) == (frozenset(), False)
    assert {one.agent for one in goal.tasks} <= {one.name for one in TEAM}
    assert {(one.state, one.model) for one in goal.tasks} == {("pending", None)}
    assert [one.key for one in goal.tasks] == ["s1", "s2", ANSWER]
    assert goal.tasks[0].title == "<!channel> Call everybody"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
strange_steps = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "title": anything | st.text(min_size=1),
            "task": anything | st.text(min_size=1),
            "needs": st.lists(st.integers(-2, 15)) | anything,
            "stage": anything,
            "result": anything,
        },
    )
    | anything,
    max_size=15,
)


@given(goal=anything, stages=anything, steps=strange_steps, request=st.sampled_from([PARTS, "Do."]))
@settings(max_examples=80)
async def test_whatever_a_model_says_gives_a_plan_that_holds_or_a_reason(
    goal: object, stages: object, steps: object, request: str
) -> None:
    decomposition, _ = planning({"goal": goal, "stages": stages, "steps": steps})
    made = await decomposition.plan(wish(request))
    if made.state == "refused":
        assert made.reason
        return
    assert checked_plan(made) == made
    assert not cycle({one.key: one.needs for one in made.tasks})
    assert all(one.agent in {"generalist", "analyst", "coder"} for one in made.tasks)
    assert all(len(one.title) <= 60 for one in made.tasks)
    assert begin(made, NOW).state == "running"


async def test_the_form_asked_for_is_bounded() -> None:
    decomposition, planner = planning(MOVE)
    await decomposition.plan(wish(tasks=4))
    steps = planner.schemas[0]["properties"]["steps"]
    assert (steps["minItems"], steps["maxItems"]) == (2, 4)
    assert steps["items"]["properties"]["task"]["maxLength"] == 300
    assert plan_schema(2, 6).model_json_schema()["additionalProperties"] is False


async def test_a_model_that_is_away_is_said_by_its_error() -> None:
    decomposition, _ = planning()
    with pytest.raises(ModelError, match="away"):
        await decomposition.plan(wish())


async def test_without_anybody_to_work_it_is_refused() -> None:
    decomposition, planner = planning(team=Team(members=()))
    goal = await decomposition.plan(wish())
    assert (goal.state, planner.asked) == ("refused", [])


# Who does what


OPEN = drafted(said("Calculating with Python"), said("Say hello"))


async def test_the_fast_model_is_asked_once_where_meaning_leaves_it_open() -> None:
    decomposition, planner = planning(OPEN, {"step_1": "coder", "step_2": "coder"})
    goal = await decomposition.plan(wish())
    assert [one.agent for one in goal.tasks] == ["coder", "generalist", "generalist"]
    model, _, asked = planner.asked[1]
    assert model == "fast"
    assert "analyst: calculating costs and percentages (19 of 20 went well)" in asked
    assert list(planner.schemas[1]["properties"]) == ["step_1"]
    assert goal.planning == PLANNING + PLANNING


@pytest.mark.parametrize("answers", [[{"step_1": "root"}], [{}], []])
async def test_a_choice_that_was_not_offered_counts_for_nothing(answers: list[Any]) -> None:
    decomposition, _ = planning(OPEN, *answers)
    goal = await decomposition.plan(wish())
    assert goal.tasks[0].agent in ("analyst", "coder", "generalist")
    assert goal.state == "proposed"


async def test_whoever_mostly_fails_is_not_chosen() -> None:
    poor = Specialist("analyst", "calculating costs and percentages", runs=30, succeeded=2)
    decomposition, _ = planning(MOVE, team=Team((TEAM[0], poor)))
    goal = await decomposition.plan(wish())
    assert {one.agent for one in goal.tasks} == {"generalist"}


async def test_no_more_agents_work_than_may() -> None:
    decomposition, _ = planning(MOVE)
    goal = await decomposition.plan(wish(agents=1))
    assert {one.agent for one in goal.tasks} == {"generalist"}
    assert goal.notes == ("At most 1 agents may work on this: generalist does what is left.",)


async def test_experts_are_made_where_they_are_asked_for_and_missing() -> None:
    decomposition, _ = planning(MOVE)
    goal = await decomposition.plan(wish("Have experts sort out the office move.", spawns=1))
    assert [(one.agent, one.specialty) for one in goal.tasks] == [
        (None, "Count the desks"), ("analyst", ""), ("generalist", ""), ("generalist", ""),
    ]  # fmt: skip


# Saved workflows


async def test_a_saved_workflow_is_used_before_anything_is_invented() -> None:
    steps = (("Get the figures of {month}.", "analyst"), ("Write the report of {month}.", "gone"))
    team = Team(runbook=Runbook("monthly-report", "the monthly report", steps))
    decomposition, planner = planning({"month": "June"}, team=team)
    goal = await decomposition.plan(wish("The monthly report for June, please."))
    assert (goal.state, goal.runbook) == ("proposed", "monthly-report")
    assert [(one.instruction, one.agent, one.needs) for one in goal.tasks[:2]] == [
        ("Get the figures of June.", "analyst", ()),
        ("Write the report of June.", "generalist", ("s1",)),
    ]
    assert goal.notes == ("This follows the saved workflow monthly-report.",)
    assert len(planner.asked) == 1
    assert [one.others_words for one in goal.tasks] == [True, True, False]
    changing, _ = planning(MOVE)
    changed = await changing.change(goal, "make it shorter")
    assert changed.tasks[0].title == "Count the desks"
    assert changed.tasks[0].others_words, "the model has read the workflow"


async def test_blanks_that_the_request_does_not_fill_are_said_to_be_open() -> None:
    team = Team(runbook=Runbook("greet", "", (("Greet {who}.", "generalist"),)))
    decomposition, _ = planning({}, team=team)
    goal = await decomposition.plan(wish())
    assert goal.tasks[0].instruction == "Greet (who: not said)."


async def test_a_workflow_that_is_longer_than_a_plan_may_be_is_not_used() -> None:
    steps = tuple((f"Do {n}.", "generalist") for n in range(13))
    decomposition, _ = planning(MOVE, team=Team(runbook=Runbook("long", "", steps)))
    assert (await decomposition.plan(wish())).runbook is None


# Changes


async def proposed() -> Goal:
    decomposition, _ = planning(MOVE)
    return await decomposition.plan(wish())


async def running() -> Goal:
    return advance(begin(await proposed(), NOW), NOW)


@pytest.mark.parametrize(
    ("words", "title", "needs"),
    [
        ("add a step that translates the mail", "Translates the mail", ("s3",)),
        ("Please add another task to count chairs after step 1", "Count chairs", ("s1",)),
        ("add a step after 2: check the lease", "Check the lease", ("s2",)),
    ],
)
async def test_a_step_is_added_as_it_is_worded(words: str, title: str, needs: Any) -> None:
    decomposition, planner = planning()
    for goal in (await proposed(), await running()):
        changed = await decomposition.change(goal, words)
        added = changed.tasks[3]
        assert (added.number, added.title, added.needs) == (4, title, needs)
        assert added.agent == "generalist"
        assert changed.tasks[-1].needs[-1] == added.key
        assert changed.notes[-1] == f"Step 4 ({title}) was added."
    assert planner.asked == []


async def test_a_step_is_added_before_another() -> None:
    decomposition, _ = planning()
    goal = await decomposition.change(await running(), "add a step to ask Bo before step 3")
    assert goal.task("s3").needs == ("s2", goal.tasks[3].key)
    goal = await decomposition.change(await running(), "add a step to ask Bo before step 1")
    assert goal.notes[-1] == (
        "Nothing was changed: Step 1 has begun: it can wait for nothing more."
    )  # fmt: skip


async def test_steps_are_left_out_and_handed_over_by_plain_words() -> None:
    decomposition, _ = planning()
    goal = await decomposition.change(await proposed(), "skip steps 1 and 2")
    assert [one.state for one in goal.tasks] == ["skipped", "skipped", "pending", "pending"]
    goal = await decomposition.change(await proposed(), "let the coder do step 3")
    assert (goal.tasks[2].agent, goal.notes[-1]) == ("coder", "coder does step 3.")
    unchanged = await decomposition.change(await proposed(), "let the boss do step 3")
    assert unchanged.tasks[2].agent == "generalist"
    assert unchanged.notes[-1].startswith("Nothing was changed: There is no agent boss")
    unchanged = await decomposition.change(await proposed(), "remove step 9")
    assert "There is no step 9" in unchanged.notes[-1]


async def test_other_words_have_a_plan_made_anew_before_it_starts() -> None:
    decomposition, planner = planning(drafted(said("Sell the desks"), said("Write the mail", 1)))
    goal = await decomposition.change(await proposed(), "sell the desks instead of counting them")
    assert [one.title for one in goal.tasks[:2]] == ["Sell the desks", "Write the mail"]
    assert (goal.state, goal.planning) == ("proposed", PLANNING + PLANNING)
    assert "sell the desks instead" in planner.asked[0][2]
    assert goal.notes[-1] == "The plan was changed: sell the desks instead of counting them"


async def test_a_change_that_gives_no_plan_leaves_the_old_one() -> None:
    before = await proposed()
    decomposition, _ = planning({"steps": []})
    goal = await decomposition.change(before, "make it purple")
    assert goal.tasks == before.tasks
    assert goal.notes[-1].startswith("Nothing was changed: The model found no steps")
    assert goal.planning == before.planning + PLANNING, "it was asked all the same"
    for _ in range(MAX_NOTES):
        goal = await decomposition.change(goal, "skip step 99")
    assert len(goal.notes) == MAX_NOTES


async def test_what_asking_took_is_counted_whatever_comes_of_it() -> None:
    alike = [Specialist(name, "counting chairs") for name in ("ann", "bob")]
    decomposition, planner = planning({"step_0": "ann"}, team=Team((TEAM[0], *alike)))
    before = await running()
    goal = await decomposition.change(before, "add a step to count chairs before step 1")
    assert goal.notes[-1].startswith("Nothing was changed: Step 1 has begun")
    assert len(planner.asked) == 1, "who is to do it"
    assert goal.planning == before.planning + PLANNING


async def test_other_words_give_a_running_plan_further_steps() -> None:
    goal = done(await running(), "s1")
    decomposition, _ = planning({"steps": [said("Ask for a quote", 1), said("Compare it", 4, 9)]})
    changed = await decomposition.change(goal, "we also need a quote from a mover")
    assert lines(changed)[3:5] == [
        (4, "Ask for a quote", ("s1",)),
        (5, "Compare it", ("s4n1",)),
    ]
    assert changed.state == "running"
    assert [one.others_words for one in changed.tasks[2:5]] == [False, True, True]
    decomposition, _ = planning({"steps": [said("Count the desks")]})
    same = await decomposition.change(goal, "count the desks")
    assert same.tasks == goal.tasks
    assert same.notes[-1].startswith("Nothing was changed: The plan does that already")
    assert same.planning == goal.planning + PLANNING
    over = replace(changed, state="done")
    with pytest.raises(InputError, match="over"):
        await decomposition.change(over, "more")


# Failures


async def broken() -> Goal:
    goal = start(await running(), "s1", RESERVE, NOW)
    return settle(goal, "s1", TaskOutcome(failure="no file", run_id="r"), NOW)


async def test_a_failure_is_planned_around() -> None:
    decomposition, planner = planning({"steps": [said("Ask Bo"), said("Count from the photo", 4)]})
    goal = await decomposition.replan(await broken(), "s1")
    assert "Step 1 failed: no file" in planner.asked[0][2]
    assert [(one.key, one.needs) for one in goal.tasks] == [
        ("s1", ()), ("s2", ("s1r2",)), ("s3", ("s2",)), ("s1r1", ()), ("s1r2", ("s1r1",)),
        (ANSWER, ("s2", "s3", "s1r1", "s1r2")),
    ]  # fmt: skip
    assert (goal.replans, goal.planning) == (1, PLANNING + PLANNING)
    assert all(one.estimate != Estimate(0, 0, None, 0) and one.agent for one in goal.tasks)


@pytest.mark.parametrize(
    "answer",
    [
        {"steps": []},
        {"steps": [said("Count", task="count the DESKS, all of it.")]},
        {"steps": [said("Mail", task="Write the mail, all of it")]},
        {"steps": [said(f"Way {n}") for n in range(9)]},
    ],
)
async def test_without_another_way_a_failure_stays(answer: dict[str, Any]) -> None:
    decomposition, _ = planning(answer)
    goal = await broken()
    found = await decomposition.alternative(goal, "s1")
    assert (found.tasks, found.spent) == ((), PLANNING)
    tired, planner = planning(answer)
    assert (await tired.alternative(replace(goal, replans=2), "s1")).tasks == ()
    assert planner.asked == []
