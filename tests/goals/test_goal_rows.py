"""A goal as bytes, and back."""

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
    notes=st.lists(texts, max_size=2).map(tuple), asks=st.none() | texts, revision=st.just(7),
)  # fmt: skip


@given(any_goal)
def test_a_goal_is_the_same_when_it_is_read_again(one: Goal) -> None:
    assert goal_rows.read(goal_rows.written(one), 7) == one


def test_a_goal_of_newer_code_is_not_read_in_part() -> None:
    body = goal_rows.written(goal()).replace(b'"title"', b'"headline"', 1)
    with pytest.raises(MigrationError, match="headline"):
        goal_rows.read(body, 0)
