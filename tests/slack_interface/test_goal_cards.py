"""What a plan looks like: within Slack's limits, honest about what is not known."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models.blocks import PlanBlock, TaskCardBlock

from database.goals import ANSWER, Estimate, Goal, Objective, Spent, Task, TaskState
from slack_interface.goal_cards import (
    answer_form,
    change_form,
    plan_card,
    question_card,
    results_view,
)
from slack_interface.goal_figures import about, account, lasts, status
from slack_interface.local_workspace.block_rules import check_blocks
from tests.people import find
from tests.slack_interface.goal_samples import OBJECTIVES, STEPS

NOW = 1_790_000_000.0
STATES: tuple[TaskState, ...] = (
    "pending", "queued", "running", "waiting", "done", "failed", "skipped", "blocked", "cancelled"
)  # fmt: skip


def goal_of(*tasks: Task, **more: Any) -> Goal:
    fields: dict[str, Any] = {
        "title": "Choose an error tracker", "channel_id": "C0GENERAL", "thread_ts": "1.0",
        "objectives": OBJECTIVES, "tasks": tasks or STEPS, "created_at": NOW - 100.0,
        "estimate": Estimate(75.0, 7_500, 0.015, 0.72, 4),
    }  # fmt: skip
    return Goal("g1", "U0ADA", "choose", "r1", **(fields | more))


@given(
    st.lists(
        st.tuples(st.sampled_from(STATES), st.text(max_size=4_000), st.text(max_size=400)),
        max_size=30,
    ),
    st.sampled_from(["proposed", "running", "waiting", "done", "failed", "cancelled", "refused"]),
)
def test_whatever_a_plan_holds_it_fits_into_a_message(
    found: list[tuple[TaskState, str, str]], state: Any
) -> None:
    tasks = [
        Task(f"t{number}", number, title, "Do it.", title[:50], state=task_state, result=text,
             reason=title, question=text)
        for number, (task_state, text, title) in enumerate(found, 1)
    ]  # fmt: skip
    goal = goal_of(*tasks, state=state, tasks=tuple(tasks), notes=(*(t.title for t in tasks),))
    card = plan_card(replace(goal, asks="Go on?"), NOW)
    for blocks in (card.blocks, card.plainer):
        assert check_blocks(blocks, "message") == []
    assert card.text.strip()
    assert check_blocks(results_view(goal)["blocks"], "modal") == []


def test_long_results_are_cut_so_that_slack_takes_the_message() -> None:
    tasks = [
        Task(f"t{n}", n, "A title of forty characters or thereabouts", "Do it.", "generalist",
             state="done", result="слово " * 2_000)
        for n in range(1, 13)
    ]  # fmt: skip
    plan = plan_card(goal_of(*tasks, state="running", started_at=NOW - 5), NOW).blocks
    [block] = find(plan, "plan")
    texts = [part["text"] for part in find([block], "text")]
    heads = [card["title"] for card in find([block], "task_card")]
    weight = sum(len(t.encode()) for t in heads) + 2 * sum(len(t.encode()) for t in texts)
    assert weight <= 9_000
    assert all(find([card], "text") for card in find([block], "task_card"))


def test_slacks_own_models_take_the_plan() -> None:
    [block] = find(plan_card(goal_of(), NOW).blocks, "plan")
    for card in block["tasks"]:
        TaskCardBlock(**{k: v for k, v in card.items() if k != "type"}).validate_json()
    PlanBlock(**{k: v for k, v in block.items() if k != "type"}).validate_json()


@pytest.mark.parametrize(
    ("state", "shown"),
    [("pending", "pending"), ("queued", "pending"), ("running", "in_progress"),
     ("waiting", "pending"), ("done", "complete"), ("failed", "error"), ("blocked", "error"),
     ("skipped", "pending"), ("cancelled", "pending")],
)  # fmt: skip
def test_states_of_steps(state: TaskState, shown: str) -> None:
    [card] = find(plan_card(goal_of(replace(STEPS[0], state=state)), NOW).blocks, "task_card")
    assert card["status"] == shown


def test_what_the_plan_is_for_with_its_steps() -> None:
    below = Objective("sheet", "operational", "a comparison", "choose")
    task = replace(STEPS[0], objective="sheet")
    shown = str(plan_card(goal_of(task, objectives=(*OBJECTIVES, below)), NOW).blocks)
    assert "• Know which one fits us: a comparison  _(step 1)_" in shown
    assert "• Tell the team" in shown


def test_a_price_that_nobody_knows_is_said_as_such() -> None:
    unknown = Estimate(75.0, 7_480, None, 0.5)
    proposed = str(plan_card(goal_of(estimate=unknown), NOW).blocks)
    assert "price unknown, about 7,500 tokens" in proposed
    assert "50% (a guess)" in proposed
    done = replace(STEPS[0], state="done", result="x", spent=Spent(3.0, 1_200, 0.0))
    ended = goal_of(done, estimate=unknown, state="done", started_at=NOW - 9, ended_at=NOW)
    assert "1,200 tokens, price unknown (expected: about 7,500 tokens)" in account(ended, NOW)


def test_waiting_for_people_is_told_apart_from_work() -> None:
    answered = replace(STEPS[0], state="done", answers=("yes",), spent=Spent(100.0, 10, 0.0))
    ended = goal_of(answered, state="done", started_at=NOW - 3 * 86_400, ended_at=NOW)
    assert "1 min 40 s of work (expected: about 1 min), over 3 days" in account(ended, NOW)


def test_status_while_it_runs() -> None:
    running = replace(STEPS[0], state="running", started_at=NOW - 65.0)
    asks = replace(STEPS[1], state="waiting", question="Which plan?")
    text = status(goal_of(running, asks, state="running", started_at=NOW - 70.0), NOW)
    assert "0 of 2 steps done" in text
    assert "Step 1, Compare three error trackers: researcher, for 1 min 5 s" in text
    assert "Step 2 waits for an answer: Which plan?" in text


def test_forms_and_questions_are_taken() -> None:
    goal = goal_of(replace(STEPS[0], state="waiting", question="Which?"), asks="May I go on?")
    for view in (change_form(goal, "{}"), answer_form(goal, 1, "{}")):
        assert check_blocks(view["blocks"], "modal") == []
    for task in (None, goal.tasks[0]):
        assert check_blocks(question_card(goal, task).blocks, "message") == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "less than 1 s"), (8, "8 s"), (125, "2 min 5 s"), (12_000, "3 h 20 min"),
     (200_000, "2 days")],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert lasts(seconds) == words


def test_a_guess_is_no_more_exact_than_it_is() -> None:
    assert [about(s) for s in (3, 47, 130, 1_000)] == [
        "about 3 s", "about 45 s", "about 2 min", "about 15 min"
    ]  # fmt: skip


def test_the_answers_own_step_does_not_repeat_it() -> None:
    done = replace(STEPS[3], state="done", result="The whole answer.", needs=())
    shown = plan_card(goal_of(done, state="done", started_at=NOW, ended_at=NOW), NOW)
    assert "The whole answer." not in str(shown.blocks)
    assert done.key == ANSWER
