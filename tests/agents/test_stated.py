import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from agents.checks import Check, Question, judge, load_questions
from agents.checks.stated import check_of, choices_in, questions_alike, same_answer, stated_check
from agents.definition import LIBRARY

CHECKS: TypeAdapter[Check] = TypeAdapter(Check)
LABELLED = ("triage", "analyst", "scheduler")
QUESTIONS = [q for name in LABELLED for q in load_questions(LIBRARY / f"{name}.questions.jsonl")]

TICKET = 'Sort this ticket as bug, billing, how-to or feature request.\n"I was charged twice."'
INTENT = (
    "Which of these intents is it: card_arrival, card_linking, lost_card? Message: Where is it?"
)


async def passes(check: dict[str, Any] | None, answer: str) -> bool:
    assert check is not None
    assert json.loads(json.dumps(check)) == check
    return (await judge([CHECKS.validate_python(check)], answer)).passed


@pytest.mark.parametrize(
    ("request_", "choices"),
    [
        (TICKET, ("bug", "billing", "how-to", "feature request")),
        (INTENT, ("card_arrival", "card_linking", "lost_card")),
        ("Reply with P1, P2 or P3 only.\n\"Nobody can log in.\"", ("P1", "P2", "P3")),
        ("Labels:\n- card arrival\n- lost card\n\nMessage: x", ("card arrival", "lost card")),
        ("Which team gets it: IT, HR or Facilities? Just the team.", ("IT", "HR", "Facilities")),
        ("Is this comment positive, negative or neutral? One word.",
         ("positive", "negative", "neutral")),
        ("What is the capital of France?", ()),
        ("Write a poem about the sea (short, funny)", ()),
    ],
)  # fmt: skip
def test_choices_are_read_where_they_stand(request_: str, choices: tuple[str, ...]) -> None:
    assert choices_in(request_) == choices


@pytest.mark.parametrize(
    ("request_", "right", "wrong"),
    [
        (TICKET, "billing", "This is a bug."),
        (TICKET, "It is billing.", "billing or bug"),
        (INTENT, "card_arrival", "lost_card"),
        ("What is the capital of France?", "Paris.", "Lyon"),
        ("How many days has March?", "March has 31 days.", "It has 30."),
        ("Which day is ten days after the first of March 2026?", "2026-03-11", "2026-03-12"),
        ("Is the writer angry? Answer yes or no only.", "Yes", "No."),
        ("Labels:\n- card\n- lost card\n\nMessage: x", "lost card", "card"),
    ],
)
async def test_a_right_answer_becomes_a_check(request_: str, right: str, wrong: str) -> None:
    check = check_of(request_, right)
    assert await passes(check, right)
    assert not await passes(check, wrong)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("Write a tagline for our bakery.", "Ten breads a day!"),
        ("What should I say to her?", "Well, that depends: do you want to see her again?"),
        (TICKET, "It could be a bug, but billing is possible too."),
        ("Summarise this: ...", "The team met and decided nothing."),
        ("Give me the query.", "SELECT name, age FROM people;"),
        ("What is it?", ""),
    ],
)
def test_what_cannot_be_checked_without_doubt_becomes_none(request_: str, answer: str) -> None:
    assert check_of(request_, answer) is None


@pytest.mark.parametrize(
    ("request_", "words", "right"),
    [
        (TICKET, "No, it's billing, not bug.", "billing"),
        (TICKET, "that is wrong, should be feature request", "feature request"),
        (INTENT, "Something in it is wrong: card_linking", "card_linking"),
        ("What is the capital of Australia?", "No, the right answer is Canberra.", "Canberra"),
        ("How many days has March?", "Something in it is wrong: 31", "31"),
        ("How many days has March?", "no, it should be 31 because March is long", "31"),
    ],
)
async def test_words_that_state_the_answer_become_a_check(
    request_: str, words: str, right: str
) -> None:
    assert await passes(stated_check(request_, words), right)


@pytest.mark.parametrize(
    "words",
    [
        "no",
        "It is too long",
        "wrong",
        "I meant the other one",
        "not bug",
        "bug or billing?",
        "it should be shorter",
        "It is not what I asked",
    ],
)
def test_words_that_state_nothing_become_none(words: str) -> None:
    assert stated_check(TICKET, words) is None
    assert stated_check("What is the capital of Australia?", words) is None


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.id)
async def test_what_is_read_from_an_answer_fits_the_questions_own_check(question: Question) -> None:
    check = check_of(question.request, question.answer)
    if check is not None:
        assert await passes(check, question.answer)
        if question.check[0].kind == check["kind"] == "label":
            assert question.check[0].expected == check["expected"]


def test_most_questions_with_labels_numbers_and_dates_can_be_checked() -> None:
    read = [q for q in QUESTIONS if check_of(q.request, q.answer)]
    assert len(read) >= 0.9 * len(QUESTIONS)


def test_answers_that_say_the_same_are_told() -> None:
    assert same_answer(TICKET, "**billing**", "Billing.")
    assert same_answer(TICKET, "It is billing.", "billing")
    assert not same_answer(TICKET, "bug", "billing")
    assert not same_answer("Write a poem.", "Roses are red", "Violets are blue")


def test_the_same_request_is_alike_in_any_case_and_spacing() -> None:
    assert questions_alike("What  is it?") == questions_alike("what is it")


@given(st.text(max_size=300), st.text(max_size=80))
def test_any_words_give_a_valid_check_or_none(request_: str, words: str) -> None:
    for check in (check_of(request_, words), stated_check(request_, words)):
        if check is not None:
            CHECKS.validate_python(json.loads(json.dumps(check)))


def test_a_long_request_is_read_in_no_time() -> None:
    for text in ("labels " * 5000, "one of: " + "a, " * 5000, ":" * 9000, "is it or " * 3000):
        choices_in(text)
