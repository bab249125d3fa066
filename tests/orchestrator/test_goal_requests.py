"""Which requests get a plan: several works at once, never a single one, whatever it talks about."""

import json
import time
from pathlib import Path

import pytest

from agents.definition import load_definition
from goals.pieces import pieces
from orchestrator.goal_requests import goal_text, reason, wants_goal

HERE = Path(__file__).parent
LIBRARY = HERE.parent.parent / "agents" / "library"


def texts(*, goal: bool, part: str | None = None) -> list[str]:
    lines = (HERE / "goal_requests.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [r["text"] for r in rows if r["goal"] == goal and part in (None, r["part"])]


def test_requests_for_several_works_get_a_plan() -> None:
    known = texts(goal=True, part="dev") + texts(goal=True, part="seen")
    assert len(known) == 51
    assert [text for text in known if not wants_goal(text)] == []


def test_most_requests_that_the_rules_were_not_made_of_get_one_too() -> None:
    new = texts(goal=True, part="held_out")
    assert sum(map(wants_goal, new)) >= 15
    assert len(new) == 20


def test_single_works_get_none_however_many_verbs_they_hold() -> None:
    assert [text for text in texts(goal=False) if wants_goal(text)] == []


def test_no_question_of_the_shipped_agents_gets_one() -> None:
    asked = [
        json.loads(line)["request"]
        for file in LIBRARY.glob("*.questions.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    for file in LIBRARY.glob("*.yaml"):
        definition = load_definition(file)
        asked += [*definition.examples, *(one.request for one in definition.demonstrations)]
    assert len(asked) > 600
    assert [text for text in asked if wants_goal(text)] == []


@pytest.mark.parametrize("text", ["plan: a party", "Goal: less noise", " PLAN :  büro umziehen"])
def test_who_asks_for_a_plan_gets_one(text: str) -> None:
    assert reason(text) == "You asked for a plan."
    assert goal_text(text) == text.split(":", 1)[1].strip()


@pytest.mark.parametrize(
    "text", ["", "plan:", "goal: ", "planning: a party", "the goal: less noise"]
)
def test_nothing_else_asks_for_one(text: str) -> None:
    assert not wants_goal(text)
    assert goal_text(text) == text


def test_the_reason_says_how_much_was_found() -> None:
    text = "Compare three vendors, check them against our budget, and draft the announcement."
    assert reason(text) == "This asks for 3 pieces of work."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Compare A and B for 3,000 dollars a year and draft a note and a mail, please",
            ("Compare A and B for 3,000 dollars a year", "draft a note and a mail, please"),
        ),
        (
            "Prepare the launch: list the risks, then make a schedule.",
            ("list the risks", "make a schedule"),
        ),
        ("First gather facts, then write it up!", ("gather facts", "write it up")),
        ("1. list names 2. rank them", ("list names", "rank them")),
        ('Explain "compare prices, draft a plan"', ()),
        ("Summarise this: compare prices, draft a plan, write it", ("Summarise this",)),
        ("How do I compare prices, draft a plan and write it?", ()),
        ("Which is right?\nA. Compare prices\nB. Draft a plan\nC. Write a list", ()),
        ("Compare them. Compare them.", ("Compare them",)),
    ],
)
def test_pieces_are_the_words_of_the_request(text: str, found: tuple[str, ...]) -> None:
    assert pieces(text) == found


@pytest.mark.parametrize(
    "text", ["and " * 5_000, "1. " * 5_000, '"' * 5_000, "please, " * 5_000, "write a: " * 2_000]
)
def test_long_and_odd_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    wants_goal(text)
    assert time.process_time() - began < 1.0
