"""What a model without tools is shown when it chooses one."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from agents.errors import ModelAnswerMalformed
from agents.tool_schema import NO_TOOL, choice, json_object, read_as
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


class Step(BaseModel):
    title: str


class Plan(BaseModel):
    goal: str = ""
    stages: list[str] = []
    steps: list[Step]


PLAN = Plan(goal="all", steps=[Step(title="Write {it} [down]")])
BODY = PLAN.model_dump_json()

prose = st.text().filter(lambda text: not {"{", "["} & set(text))


@given(prose, prose, st.sampled_from(["", "```json\n", "Use {braces} [so]: "]))
def test_whatever_is_said_around_an_answer_it_is_read_the_same(
    before: str, after: str, opening: str
) -> None:
    text = f"{before}{opening}{BODY}{after}"
    assert read_as(text, Plan) == PLAN
    assert json_object(text, "the plan") == PLAN.model_dump()


@pytest.mark.parametrize(
    "text",
    ["Here is the plan:\n```json\n{}\n```", "Sure! {}", "{}\nHope this helps!", "As in [1]: {}",
     '{{"steps": 3}} was wrong. {}'],
)  # fmt: skip
def test_what_models_say_around_an_answer(text: str) -> None:
    assert read_as(text.replace("{}", BODY).replace("{{", "{").replace("}}", "}"), Plan) == PLAN


def test_a_bare_list_is_the_part_of_the_form_that_it_fits() -> None:
    assert read_as('Steps:\n[{"title": "a"}, {"title": "b"}]', Plan).steps[1].title == "b"
    with pytest.raises(ValidationError):
        read_as("[1, 2]", Plan)


@pytest.mark.parametrize("cut", [BODY[:-1], BODY[:-2], BODY[:-9], "Sure.", "", "[" * 99_999])
def test_what_breaks_off_is_no_answer(cut: str) -> None:
    with pytest.raises(ValidationError):
        read_as(cut, Plan)
    with pytest.raises(ModelAnswerMalformed, match="the plan not as JSON"):
        json_object(cut, "the plan")
