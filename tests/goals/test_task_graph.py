"""Every move of a goal does what it says, and refuses what makes no sense."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from database.errors import BudgetExceeded, InputError, UnknownName
from database.goals import ANSWER, NOTHING, Budget, Estimate, Goal, Spent
from goals.checking import PlanInvalid
from goals.estimates import reservation
from goals.ports import TaskOutcome
from goals.task_graph import (
    MAX_ATTEMPTS,
    MAX_NOTES,
    StaleTask,
    add,
    advance,
    answer,
    begin,
    blocked_by,
    cancel,
    finish,
    hold,
    hold_more,
    may_replan,
    queue,
    ready,
    replace_failed,
    retry,
    settle,
    skip,
    start,
    step,
    use_model,
)
from tests.goals.plans import NOW, RESERVE, TOOK, done, ended, failed, plan, running, states, task

CHAIN = {"a": (), "b": ("a",), "c": ()}


def test_steps_without_needs_run_at_once_and_others_wait_for_theirs() -> None:
    goal = running(CHAIN)
    assert states(goal) == {"a": "queued", "b": "pending", "c": "queued", ANSWER: "pending"}
    goal = done(goal, "a")
    assert goal.task("b").state == "queued"
    assert goal.task(ANSWER).state == "pending"


def test_a_goal_is_done_with_its_answer() -> None:
    goal = done(running(CHAIN), "a", "b", "c", ANSWER)
    assert (goal.state, goal.ended_at) == ("done", NOW)
    assert goal.task(ANSWER).result == "what answer found"
    assert goal.spent == Spent(16.0, 1_600, 0.02)
    assert advance(goal, NOW + 1) == goal


def test_what_a_failure_blocks_is_said() -> None:
    goal = failed(running(CHAIN), "a", "no such file")
    assert states(goal) == {"a": "failed", "b": "blocked", "c": "queued", ANSWER: "pending"}
    assert goal.notes == (
        "Step 1 (Title a) failed: no such file",
        "Step 2 cannot go on without it.",
    )
    assert goal.task("b").reason == "It needs step 1."
    assert [one.key for one in blocked_by(goal, "b")] == ["a"]


def test_the_root_of_a_long_row_of_blocked_steps_is_named() -> None:
    goal = failed(running({"a": (), "b": ("a",), "c": ("b",), "d": ("c", "a")}), "a")
    assert [one.key for one in blocked_by(goal, "d")] == ["a"]
    assert goal.notes[-1] == "Steps 2, 3, 4 and 5 cannot go on without it."


def test_an_answer_is_made_of_what_there_is() -> None:
    goal = done(failed(running(CHAIN), "a"), "c")
    assert goal.task(ANSWER).state == "queued"
    assert done(goal, ANSWER).state == "done"


def test_without_any_result_the_goal_fails_and_says_why() -> None:
    goal = failed(failed(running(CHAIN), "a", "first"), "c", "second")
    assert goal.state == "failed"
    assert goal.reason == "Step 1 (Title a) failed: first Step 3 (Title c) failed: second"


def test_a_failure_that_may_pass_is_tried_again_but_not_for_ever() -> None:
    goal = running({"a": ()})
    for attempt in range(1, MAX_ATTEMPTS):
        goal = ended(goal, "a", TaskOutcome(failure="model away", retry=True))
        assert (goal.task("a").state, goal.task("a").attempt) == ("queued", attempt + 1)
    goal = ended(goal, "a", TaskOutcome(failure="model away", retry=True))
    assert goal.state == "failed"


def test_an_empty_result_is_a_failure() -> None:
    goal = ended(running({"a": ()}), "a", TaskOutcome(result=" \n"))
    assert goal.task("a").reason == "It came to no result."


def test_a_step_that_asks_waits_and_goes_on_with_the_answer() -> None:
    goal = ended(running({"a": ()}), "a", TaskOutcome(question="Which year?", spent=TOOK))
    assert (goal.state, goal.task("a").state) == ("waiting", "waiting")
    assert ready(goal) == ()
    goal = advance(answer(goal, None, "2026", NOW), NOW)
    asked = goal.task("a")
    assert (goal.state, asked.state, asked.attempt) == ("running", "queued", 2)
    assert (asked.question, asked.answers) == ("Which year?", ("2026",))
    goal = done(goal, "a")
    assert goal.task("a").question is None
    assert goal.task("a").spent == TOOK + TOOK


def test_answers_of_people_use_up_no_attempt() -> None:
    goal = running({"a": ()})
    for _ in range(MAX_ATTEMPTS + 1):
        goal = ended(goal, "a", TaskOutcome(question="And?"))
        goal = advance(answer(goal, "a", "so", NOW), NOW)
    goal = ended(goal, "a", TaskOutcome(failure="model away", retry=True))
    assert goal.task("a").state == "queued"


def test_what_is_put_back_for_the_budget_uses_up_no_attempt() -> None:
    goal = running({"a": ()})
    for _ in range(MAX_ATTEMPTS + 1):
        goal = advance(answer(hold(goal, "a"), None, "yes", NOW), NOW)
    assert (goal.task("a").attempt, goal.task("a").tries) == (MAX_ATTEMPTS + 2, 1)
    goal = ended(goal, "a", TaskOutcome(failure="model away", retry=True))
    assert goal.task("a").state == "queued"


def test_an_effect_that_is_uncertain_asks_a_person() -> None:
    goal = ended(running({"a": ()}), "a", TaskOutcome(uncertain=True))
    assert goal.task("a").state == "waiting"
    assert "Was it done?" in (goal.task("a").question or "")


def test_it_must_be_clear_which_question_is_answered() -> None:
    goal = running({"a": (), "b": ()})
    goal = ended(goal, "a", TaskOutcome(question="Which year?"))
    assert goal.state == "running"
    goal = ended(goal, "b", TaskOutcome(question="Which city?"))
    assert goal.state == "waiting"
    with pytest.raises(
        InputError, match=r"which step .* Step 1: Which year\? Step 2: Which city\?"
    ):
        answer(goal, None, "2026", NOW)
    assert answer(goal, "b", "Porto", NOW).task("b").answers == ("Porto",)
    with pytest.raises(InputError, match="Nothing was asked"):
        answer(running({"a": ()}), None, "so", NOW)


def test_without_room_in_the_budget_a_step_does_not_begin_but_asks() -> None:
    budget = Budget(1.0, 2_500, 3_600, 8, 2, 12)
    goal = advance(begin(plan({"a": (), "b": ()}, replace(budget, tokens=10_000)), NOW), NOW)
    goal = start(replace(goal, budget=budget), "a", Spent(10, 2_000, 0.0), NOW)
    with pytest.raises(BudgetExceeded, match="3,000 tokens of the 2,500"):
        start(goal, "b", Spent(10, 1_000, 0.0), NOW)
    goal = advance(hold(goal, "b"), NOW)
    assert (goal.state, goal.asks) == ("running", None), "a may give back what it holds"
    assert goal.task("b").state == "pending"
    goal = settle(goal, "a", TaskOutcome(result="found", run_id="r", spent=TOOK), NOW)
    goal = advance(goal, NOW)
    assert goal.task("b").state == "queued"
    goal = hold(goal, "b")
    assert "tokens" in (goal.asks or "")
    assert (goal.state, advance(goal, NOW).task("b").state) == ("waiting", "pending")
    with pytest.raises(InputError, match="yes or no"):
        answer(goal, None, "perhaps", NOW)
    goal = advance(answer(goal, None, "Yes.", NOW), NOW)
    assert (goal.asks, goal.task("b").state) == (None, "queued")
    assert start(goal, "b", Spent(30, 4_000, 0.0), NOW).task("b").state == "running"


def test_steps_beside_each_other_that_only_hold_make_nobody_ask() -> None:
    """Three of 2,500 expected tokens each, of 10,000: one after the other they fit."""
    goal = plan({"a": (), "b": (), "c": ()}, Budget(9.0, 10_000, 10**6, 8, 2, 12))
    dear = Estimate(10.0, 2_500, 0.0, 0.9)
    goal = replace(goal, tasks=tuple(replace(one, estimate=dear) for one in goal.tasks))
    goal = advance(begin(goal, NOW), NOW)
    took = Spent(4.0, 500, 0.0)
    for _ in range(30):
        queued = [one for one in goal.tasks if one.state == "queued"]
        for one in queued:
            try:
                goal = start(goal, one.key, reservation(one), NOW)
            except BudgetExceeded:
                goal = advance(hold(goal, one.key), NOW)
        assert goal.asks is None
        for one in [one for one in goal.tasks if one.state == "running"][:1]:
            done = TaskOutcome(result="found", run_id=one.key, spent=took)
            goal = advance(settle(goal, one.key, done, NOW), NOW)
    assert goal.state == "done"


def test_an_attempt_holds_more_where_there_is_room_and_goes_on_later_where_there_is_none() -> None:
    goal = plan({"a": ()}, Budget(9.0, 6_000, 10**6, 8, 2, 12))
    goal = start(advance(begin(goal, NOW), NOW), "a", Spent(30.0, 4_000, 0.03), NOW)
    goal = hold_more(goal, "a", Spent(0.0, 5_500, 0.02), attempt=1)
    assert goal.task("a").reserved == Spent(30.0, 5_500, 0.03)
    assert hold_more(goal, "a", Spent(0.0, 5_000, 0.0), attempt=1) == goal
    with pytest.raises(BudgetExceeded, match="7,000 tokens of the 6,000"):
        hold_more(goal, "a", Spent(0.0, 7_000, 0.0), attempt=1)
    with pytest.raises(StaleTask):
        hold_more(goal, "a", Spent(0.0, 100, 0.0), attempt=2)
    short = TaskOutcome(lacks=Spent(0.0, 7_000, 0.0), spent=Spent(9.0, 5_000, 0.02), run_id="r")
    goal = settle(goal, "a", short, NOW, attempt=1)
    assert (goal.task("a").state, goal.task("a").tries) == ("pending", 0), "that was no try"
    assert reservation(goal.task("a")).tokens == 7_000
    goal = hold(advance(goal, NOW), "a")
    goal = advance(answer(goal, None, "yes", NOW), NOW)
    assert goal.budget.tokens >= 12_000
    assert start(goal, "a", reservation(goal.task("a")), NOW).task("a").state == "running"


def test_what_is_away_for_long_is_asked_about_and_no_failure() -> None:
    goal = running({"a": (), "b": ("a",)})
    away = TaskOutcome(failure="The model is away.", retry=True, away=True)
    for _ in range(2):
        for _ in range(3):
            assert goal.asks is None
            goal = ended(goal, "a", away)
        assert (goal.state, goal.task("a").state) == ("waiting", "pending")
        assert goal.asks == (
            "Step 1 (Title a): The model is away. Shall I try again now? Yes, or no to end it."
        )
        assert not goal.asks_for_more
        goal = advance(answer(goal, None, "yes", NOW), NOW)
        assert goal.task("a").state == "queued"
    assert answer(replace(goal, asks="x"), None, "no", NOW).state == "cancelled"


def test_no_to_more_budget_ends_the_goal() -> None:
    goal = hold(running({"a": ()}), "a", "More?")
    assert (goal.state, goal.asks) == ("waiting", "More?")
    goal = answer(goal, None, "no", NOW)
    assert (goal.state, goal.task("a").state) == ("cancelled", "cancelled")


@pytest.mark.parametrize(
    ("budget", "what"),
    [
        (Budget(0.02, 10**6, 10**6, 8, 2, 12), "dollars"),
        (Budget(9.0, 10**6, 25.0, 8, 2, 12), "seconds of work"),
        (Budget(9.0, 10**6, 10**6, 8, 0, 12), "new specialists"),
        (Budget(9.0, 10**6, 10**6, 1, 2, 12), "agents"),
    ],
)
def test_every_kind_of_budget_holds(budget: Budget, what: str) -> None:
    goal = running({"a": (), "b": ()})
    new = None if what == "new specialists" else "another"
    tasks = tuple(replace(t, agent=new) if t.key == "b" else t for t in goal.tasks)
    goal = start(replace(goal, tasks=tasks), "a", Spent(20, 10, 0.015), NOW)
    with pytest.raises(BudgetExceeded, match=what):
        start(replace(goal, budget=budget), "b", Spent(10, 10, 0.01), NOW)


def test_an_attempt_that_was_taken_over_goes_on_and_a_stale_one_does_not() -> None:
    goal = running({"a": ()})
    goal = start(goal, "a", RESERVE, NOW, attempt=1)
    assert start(goal, "a", RESERVE, NOW + 9, attempt=1) == goal
    with pytest.raises(StaleTask):
        start(goal, "a", RESERVE, NOW, attempt=2)
    again = advance(
        settle(goal, "a", TaskOutcome(failure="away", retry=True, run_id="r"), NOW), NOW
    )
    with pytest.raises(StaleTask):
        settle(again, "a", TaskOutcome(result="late", run_id="r"), NOW, attempt=1)
    with pytest.raises(StaleTask):
        settle(again, "a", TaskOutcome(result="early", run_id="r"), NOW)


def test_settling_twice_changes_nothing() -> None:
    goal = start(running({"a": ()}), "a", RESERVE, NOW)
    outcome = TaskOutcome(result="found", spent=TOOK, run_id="r")
    once = settle(goal, "a", outcome, NOW)
    assert settle(once, "a", outcome, NOW + 5) == once
    assert once.task("a").reserved == NOTHING


def test_what_was_stopped_while_it_ran_pays_once_when_it_ends() -> None:
    goal = cancel(start(running({"a": ()}), "a", RESERVE, NOW), "enough", NOW)
    assert (goal.state, goal.task("a").reserved) == ("cancelled", RESERVE)
    outcome = TaskOutcome(failure="stopped", spent=TOOK, run_id="r")
    goal = settle(goal, "a", outcome, NOW, attempt=1)
    assert settle(goal, "a", outcome, NOW, attempt=1) == goal
    assert (goal.state, goal.spent) == ("cancelled", TOOK)
    assert goal.task("a").reserved == NOTHING


def test_a_skipped_step_frees_what_waited_for_it() -> None:
    goal = advance(skip(failed(running(CHAIN), "a"), 1, "not needed", NOW), NOW)
    assert states(goal)["b"] == "queued"
    assert goal.notes[-1] == "Step 1 (Title a) is skipped: not needed"
    with pytest.raises(InputError, match="skipped already"):
        skip(goal, 1, "", NOW)
    with pytest.raises(InputError, match="makes the answer"):
        skip(goal, ANSWER, "", NOW)
    with pytest.raises(UnknownName, match="steps are 1 to 4"):
        skip(goal, 9, "", NOW)


def test_with_all_steps_skipped_there_is_nothing_to_answer_from() -> None:
    goal = skip(running({"a": ()}), "a", "", NOW)
    assert advance(goal, NOW).state == "failed"
    assert finish(goal, NOW).reason == "No step was left to answer from."


def test_a_step_can_be_added_while_the_goal_runs() -> None:
    goal = advance(add(done(running(CHAIN), "a"), task("d", 0, "b")), NOW)
    assert [(one.key, one.number) for one in goal.tasks] == [
        ("a", 1), ("b", 2), ("c", 3), ("d", 4), (ANSWER, 5),
    ]  # fmt: skip
    assert goal.task(ANSWER).needs == ("a", "b", "c", "d")
    goal = done(goal, "b", "c")
    assert goal.task("d").state == "queued"
    goal = done(goal, "d")
    with pytest.raises(InputError, match="being written"):
        add(goal, task("e", 0))
    with pytest.raises(PlanInvalid, match="same key"):
        add(running(CHAIN), task("a", 0))


def test_other_steps_take_the_place_of_a_failed_one() -> None:
    goal = failed(running({"a": (), "b": ("a",), "c": ("b",)}), "a")
    assert goal.state == "failed"
    goal = running({"a": (), "b": ("a",), "c": ("b",)})
    goal = start(goal, "a", RESERVE, NOW)
    goal = settle(goal, "a", TaskOutcome(failure="broke", run_id="r", spent=TOOK), NOW)
    assert may_replan(goal, "a")
    goal = advance(replace_failed(goal, "a", [task("x", 0), task("y", 0, "x")]), NOW)
    assert states(goal) == {
        "a": "failed", "b": "pending", "c": "pending", "x": "queued", "y": "pending",
        ANSWER: "pending",
    }  # fmt: skip
    assert goal.task("b").needs == ("y",)
    assert goal.notes[-1] == "Steps 4 and 5 take the place of step 1, which failed."
    assert done(goal, "x", "y", "b", "c", ANSWER).state == "done"


def test_steps_in_the_place_of_another_need_what_it_needed() -> None:
    goal = done(running({"a": (), "b": ("a",)}), "a")
    goal = settle(start(goal, "b", RESERVE, NOW), "b", TaskOutcome(failure="no", run_id="r"), NOW)
    goal = replace_failed(goal, "b", [task("x", 0)])
    assert goal.task("x").needs == ("a",)
    goal = settle(
        start(advance(goal, NOW), "x", RESERVE, NOW),
        "x",
        TaskOutcome(failure="no", run_id="q"),
        NOW,
    )
    goal = replace_failed(goal, "x", [task("z", 0)])
    assert not may_replan(goal, "z")


def test_a_failed_step_can_be_tried_by_another_agent() -> None:
    goal = settle(
        start(running(CHAIN), "a", RESERVE, NOW), "a", TaskOutcome(failure="no", run_id="r"), NOW
    )
    goal = advance(retry(goal, "a", "expert"), NOW)
    again = goal.task("a")
    assert (again.state, again.agent, again.attempt) == ("queued", "expert", 2)
    assert goal.task("b").state == "pending"
    with pytest.raises(InputError, match="has not failed"):
        retry(goal, "b")


def test_another_model_does_what_has_not_begun() -> None:
    goal = use_model(start(running(CHAIN), "a", RESERVE, NOW), "fast")
    assert [one.model for one in goal.tasks] == [None, "fast", "fast", "fast"]
    assert goal.notes[-1] == "The fast model does steps 2, 3 and 4."


def test_a_new_specialist_is_counted() -> None:
    goal = running({"a": ()})
    goal = start(goal, "a", RESERVE, NOW)
    outcome = TaskOutcome(result="ok", run_id="r", agent="lawyer", spawned=True)
    goal = settle(goal, "a", outcome, NOW)
    assert (goal.spawns, goal.task("a").agent) == (1, "lawyer")


def test_moves_that_make_no_sense_are_refused() -> None:
    proposed = plan(CHAIN)
    with pytest.raises(InputError, match="start the plan first"):
        queue(proposed, "a")
    goal = running(CHAIN)
    with pytest.raises(InputError, match="started already"):
        begin(goal, NOW)
    with pytest.raises(InputError, match="waits for step 1"):
        queue(goal, "b")
    over = cancel(goal, "enough", NOW)
    moves: list[Callable[[], Goal]] = [
        lambda: cancel(over, "", NOW),
        lambda: skip(over, 1, "", NOW),
        lambda: add(over, task("z", 0)),
        lambda: answer(over, None, "yes", NOW),
        lambda: use_model(over, "fast"),
        lambda: begin(over, NOW),
        lambda: retry(over, "a"),
    ]
    for move in moves:
        with pytest.raises(InputError, match="over"):
            move()
    with pytest.raises(StaleTask):
        start(over, "a", RESERVE, NOW)
    with pytest.raises(UnknownName):
        step(goal, "zz")


def test_notes_are_short_and_not_endless() -> None:
    goal = running({f"s{n}": () for n in range(60)})
    for n in range(59):
        goal = failed(goal, f"s{n}", "why " * 400)
    assert len(goal.notes) == MAX_NOTES
    assert all(len(note) < 400 for note in goal.notes)
