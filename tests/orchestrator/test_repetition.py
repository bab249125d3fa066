"""Answers that go round in circles are cut; lists, tables and code are not."""

import pytest

from orchestrator.repetition import without_circles

STEPS = [f"{n}. Check out of the elevator to get your keys." for n in range(5, 30)]


def test_what_is_said_again_and_again_is_said_once() -> None:
    told = "\n".join(["Here is the list:", "1. Arrive at the office on time.", *STEPS])
    cut = without_circles(told)
    assert cut.count("Check out of the elevator") == 1
    assert "Arrive at the office" in cut
    assert cut.endswith("left out.)")


def test_circles_of_several_lines_are_cut_at_their_second_round() -> None:
    teams = ["sales", "legal", "finance"]
    told = [f"{n}. The contact of our {teams[n % 3]} team by phone" for n in range(12)]
    cut = without_circles("\n".join(told))
    assert [cut.count(team) for team in teams] == [1, 1, 1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- yes\n- yes\n- yes\n- yes",
        "```\n" + "\n".join(["assert answer(1, 2) == expected_answer"] * 5) + "\n```",
        "\n".join(f"{n}. Write to customer number {n} and wait." for n in range(9)),
        "The same long sentence twice is fine.\nThe same long sentence twice is fine.",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert without_circles(text) == text
