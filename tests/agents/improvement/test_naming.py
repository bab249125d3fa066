"""Names of what was learned are words that people would use."""

import pytest

from agents.improvement.naming import is_telling, subject

CARDS = [f"Why is my card payment of {n} pounds still pending?" for n in range(9)]
WEATHER = [f"Will it rain in {city} tomorrow?" for city in ("Rome", "Oslo", "Kyiv", "Bonn")]
CODE = ["Complete the following code so that it parses a date", "Following code: parse this date"]


def test_what_a_kind_of_requests_has_and_others_have_not_is_its_name() -> None:
    assert subject(CARDS, WEATHER)[:2] == ("card", "payment")
    assert subject(WEATHER, CARDS) == ("rain", "tomorrow")
    # what all speak of tells nothing apart
    own = ["cancel my card payment", "please cancel the card payment"]
    assert subject(own, CARDS) == ("cancel",)


def test_words_of_instruction_are_no_name() -> None:
    assert "date" in subject(CODE)
    assert not {"complete", "following"} & {*subject(CODE)}
    assert subject(["Please answer the following question", "Answer this question"]) == ()
    assert subject([]) == ()


def test_one_and_many_of_a_thing_are_one_word() -> None:
    assert subject(["block my cards", "cards are lost", "a lost card"]) in (
        ("lost", "cards"), ("cards", "lost"),
    )  # fmt: skip


def test_letters_of_other_languages_become_plain() -> None:
    assert "uberweisung" in subject(["Überweisung der Miete", "Die Überweisung fehlt"])


@pytest.mark.parametrize(
    ("name", "telling"),
    [("complete-following-code", False), ("expense-helper", True), ("question-answerer", False)],
)
def test_a_drafted_name_of_instructions_is_not_used(name: str, telling: bool) -> None:
    assert is_telling(name) is telling
