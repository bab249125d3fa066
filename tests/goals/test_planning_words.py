"""What planners are shown and told, and which wishes need none."""

import json
import time

import pytest

from goals.changing import Wish, wish_of
from goals.drafts import Draft, plan_schema, steps_schema
from goals.pieces import pieces
from goals.planning_examples import (
    FAILURE_EXAMPLE,
    PARTS_EXAMPLE,
    STAGES_EXAMPLE,
    WISH_EXAMPLE,
)
from goals.planning_words import asked, failure_of, plan_of
from goals.repairs import planned, repeats
from tests.goals.plans import done, failed, plan, running

_12, _2 = frozenset({1, 2}), frozenset({2})


@pytest.mark.parametrize(
    ("shown", "parts"), [(PARTS_EXAMPLE, 3), (STAGES_EXAMPLE, 0)], ids=["parts", "stages"]
)
def test_the_plans_shown_are_such_as_are_asked_for(shown: tuple[str, str], parts: int) -> None:
    request, answer = shown
    schema = plan_schema(2, 6, parts).model_json_schema()
    body = json.loads(answer)
    assert list(body) == list(schema["properties"])
    properties = schema["properties"]["steps"]["items"]["properties"]
    for said in body["steps"]:
        assert list(said) == list(properties)
        for name in ("title", "task", "result"):
            assert len(said[name]) <= properties[name]["maxLength"]
    request = request.splitlines()[0].removeprefix("Request: ")
    found = pieces(request) if parts else ()
    assert len(found) == parts
    made = planned(Draft.model_validate(body), 6, parts=found)
    assert made.notes == ()
    assert [task.title for task in made.tasks] == [said["title"] for said in body["steps"]]


@pytest.mark.parametrize("shown", [FAILURE_EXAMPLE, WISH_EXAMPLE], ids=["failure", "wish"])
def test_the_further_steps_shown_are_such_as_are_asked_for(shown: tuple[str, str]) -> None:
    steps = steps_schema(3, 6).model_json_schema()["properties"]["steps"]["items"]
    for said in json.loads(shown[1])["steps"]:
        assert list(said) == list(steps["properties"])
    assert "1. Find caterers (" in shown[0]


def test_a_planner_reads_where_every_step_is() -> None:
    goal = done(running({"a": (), "b": ("a",), "c": ()}), "a")
    goal = failed(goal, "c", "no such file")
    assert plan_of(goal) == (
        "Plan:\n"
        "1. Title a (done): Do a. Result: what a found\n"
        "2. Title b (queued, after 1): Do b.\n"
        "3. Title c (failed): Do c."
    )
    assert failure_of(goal.task("c")) == "Step 3 failed: no such file"


def test_a_planner_reads_the_parts_of_a_request() -> None:
    assert asked(plan({"a": ()})) == "Request: do it"
    assert asked(plan({"a": ()}), ["one", "two"]) == "Request: do it\n\nParts:\n1. one\n2. two"


def test_steps_of_nearly_the_same_words_are_one() -> None:
    goal = plan({"count the desks in the hall": (), "write a mail": ()})
    tasks = goal.tasks
    assert repeats(tasks[0], tasks)
    assert not repeats(tasks[0], tasks[1:])


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ("add a step that asks Bo", Wish("", added="asks Bo")),
        (
            "add a step: ask Bo, from steps 1 and 2",
            Wish("", added="ask Bo", after=_12),
        ),
        (
            "please add another step before step 2 to ask Bo",
            Wish("", added="ask Bo", before=_2),
        ),
        ("skip step 3", Wish("", skipped=(3,))),
        ("Remove steps 2, 3 and 5.", Wish("", skipped=(2, 3, 5))),
        ("have the coder do step 2", Wish("", agent="coder", handed=(2,))),
        ("add a bit of humour", Wish("")),
        ("skip the boring parts", Wish("")),
        ("do it without step-by-step detail", Wish("")),
        ("let us do step 2 in Rome", Wish("")),
        ("", Wish("")),
    ],
)
def test_plain_wishes_are_understood_without_a_model(words: str, wish: Wish) -> None:
    understood = wish_of(words)
    assert understood.words == words
    same = ("added", "skipped", "agent", "handed")
    assert [getattr(understood, name) for name in same] == [getattr(wish, name) for name in same]
    assert (set(understood.after), set(understood.before)) == (set(wish.after), set(wish.before))


@pytest.mark.parametrize(
    "odd", [" ", "\n", " \n", ", ", " ,", "after ", "after step 1 ", "and ", "1, ", " and 1"]
)
@pytest.mark.parametrize("begins", ["add a step ", "skip step 1", "have bob do step 1"])
def test_long_and_odd_wishes_take_no_time(begins: str, odd: str) -> None:
    began = time.process_time()
    wish_of(begins + (odd * 4_000)[:4_000] + "x")
    assert time.process_time() - began < 0.5
