"""A goal as bytes, and back."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from database.errors import MigrationError
from database.goals import (
    Budget,
    Estimate,
    Goal,
    GoalState,
    Level,
    Objective,
    Spent,
    Task,
    TaskState,
)
from goals import goal_rows
from tests.goals.kept import goal

texts = st.text(max_size=8)
amounts = st.builds(Spent, st.floats(0, 1e6), st.integers(0, 10**9), st.floats(0, 1e3))
estimates = st.builds(
    Estimate, st.floats(0, 1e6), st.integers(0, 10**9), st.none() | st.floats(0, 1e3),
    st.floats(0, 1), st.integers(0, 100),
)  # fmt: skip
states: st.SearchStrategy[TaskState] = st.sampled_from(["pending", "running", "done", "failed"])
tasks = st.builds(
    Task, key=texts, number=st.integers(1, 12), title=texts, instruction=texts,
    agent=st.none() | texts, needs=st.lists(texts, max_size=2).map(tuple), estimate=estimates,
    state=states, result=st.none() | texts, answers=st.lists(texts, max_size=2).map(tuple),
    reserved=amounts, spent=amounts, started_at=st.none() | st.floats(0, 1e10),
)  # fmt: skip
levels: st.SearchStrategy[Level] = st.sampled_from(["strategic", "tactical", "operational"])
goal_states: st.SearchStrategy[GoalState] = st.sampled_from(["proposed", "running", "done"])
any_goal = st.builds(
    Goal, goal_id=texts, user_id=texts, request=texts, run_id=texts,
    reader_channels=st.frozensets(texts, max_size=3), state=goal_states,
    lost_channels=st.frozensets(texts, max_size=3),
    objectives=st.lists(st.builds(Objective, texts, levels, texts), max_size=2).map(tuple),
    tasks=st.lists(tasks, max_size=3).map(tuple), budget=st.builds(Budget, usd=st.floats(0, 9)),
    notes=st.lists(texts, max_size=2).map(tuple), asks=st.none() | texts,
    asks_for_more=st.booleans(), revision=st.just(7),
)  # fmt: skip


@given(any_goal)
def test_a_goal_is_the_same_when_it_is_read_again(one: Goal) -> None:
    assert goal_rows.read(goal_rows.written(one), 7) == one


def test_a_goal_of_newer_code_is_not_read_in_part() -> None:
    body = goal_rows.written(goal()).replace(b'"title"', b'"headline"', 1)
    with pytest.raises(MigrationError, match="headline"):
        goal_rows.read(body, 0)


def test_what_newer_code_does_not_use_stops_no_older_code() -> None:
    """Only what somebody has set is written, also of the parts."""
    body = orjson.loads(goal_rows.written(goal(tasks=[Task("t1", 1, "a", "b", None)])))
    assert "asks_for_more" not in body
    assert "lost_public" not in body
    assert body["tasks"] == [
        {"key": "t1", "number": 1, "title": "a", "instruction": "b", "agent": None}
    ]
    asked = replace(goal(), asks="Shall I?", asks_for_more=False)
    assert goal_rows.read(goal_rows.written(asked), 0) == asked


@pytest.mark.parametrize(
    ("asks", "more"),
    [("It may take 9,000 tokens more. May I go on? Yes or no.", True), (None, False),
     ("Today's limit is reached. Shall I try again now? Yes, or no to end it.", False)],
)  # fmt: skip
def test_what_older_code_asked_is_known_for_what_it_is(asks: str | None, more: bool) -> None:
    body = orjson.loads(goal_rows.written(goal()))
    body["asks"] = asks
    assert goal_rows.read(orjson.dumps(body), 0).asks_for_more is more
