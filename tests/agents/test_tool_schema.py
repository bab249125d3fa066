"""What a model without tools is shown when it chooses one."""

import json

from agents.tool_schema import NO_TOOL, choice
from agents.tools import CATALOGUE
from agents.turns import Turn

TOOLS = [CATALOGUE[name].spec for name in ("calculator", "date_time", "search_messages")]


def test_what_was_said_before_is_shown_to_need_no_tool() -> None:
    """In the very form in which a follow-up is asked about."""
    said = [Turn("user", "The retro is on Thursday."), Turn("assistant", "Fine.")]
    asked, _ = choice([*said, Turn("user", "When is the retro?")], TOOLS)
    *shown, request = asked
    assert request.text == (
        "Earlier, user: The retro is on Thursday.\nEarlier, assistant: Fine.\nWhen is the retro?"
    )
    followed = [
        json.loads(answer.text)["tool"]
        for question, answer in zip(shown[1::2], shown[2::2], strict=True)
        if question.text.startswith("Earlier, user: ")
    ]
    assert followed == [NO_TOOL]


def test_the_examples_are_the_same_for_every_request() -> None:
    """So that the model reads them once."""
    first, _ = choice([Turn("user", "What is 2 + 2?")], TOOLS)
    other, _ = choice([Turn("user", "Hi"), Turn("assistant", "Ho"), Turn("user", "Bye")], TOOLS)
    assert first[:-1] == other[:-1]
