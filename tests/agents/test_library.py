"""The shipped agents and the questions beside them."""

import asyncio
import json
import re
from collections import Counter

import pytest

from agents.checks import Question, judge, load_questions
from agents.definition import LIBRARY, AgentDefinition, shipped_definitions

SPECIALISTS = sorted(path.stem for path in LIBRARY.glob("*.yaml") if path.stem != "generalist")
SHARED_WORDS = 6
"""So many words in a row, said by a question and by a prompt alike, are no accident."""


def questions(name: str) -> list[Question]:
    return load_questions(LIBRARY / f"{name}.questions.jsonl")


def runs_of_words(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[i : i + SHARED_WORDS]) for i in range(len(words) - SHARED_WORDS + 1)}


def taught(definition: AgentDefinition) -> set[tuple[str, ...]]:
    """What an agent is told and shown, as runs of words."""
    said = runs_of_words(definition.system_prompt)
    for shown in definition.demonstrations:
        said |= runs_of_words(shown.request) | runs_of_words(shown.answer)
    return said


def test_there_is_a_generalist_and_at_least_eight_specialists() -> None:
    names = {definition.name for definition in shipped_definitions()}

    assert names == {*SPECIALISTS, "generalist"}
    assert len(SPECIALISTS) >= 8


def test_every_questions_file_stands_beside_a_specialist() -> None:
    files = {path.name.removesuffix(".questions.jsonl") for path in LIBRARY.glob("*.jsonl")}

    assert files == set(SPECIALISTS)


def test_every_specialist_says_what_it_is_for_and_falls_back_to_the_generalist() -> None:
    for definition in shipped_definitions():
        if definition.name != "generalist":
            assert len(set(definition.examples)) >= 8, definition.name
            assert definition.fallbacks == ("generalist",), definition.name


def test_no_example_is_claimed_by_two_agents() -> None:
    claimed = Counter(example for one in shipped_definitions() for example in one.examples)

    assert [example for example, times in claimed.items() if times > 1] == []


@pytest.mark.parametrize("name", SPECIALISTS)
def test_forty_questions_are_measured_and_others_developed_on(name: str) -> None:
    parts = Counter(question.part for question in questions(name))

    assert parts["test"] >= 40
    assert parts["dev"] >= 10


def test_no_two_questions_share_an_id_or_a_wording() -> None:
    asked = [question for name in SPECIALISTS for question in questions(name)]

    assert len({question.id for question in asked}) == len(asked)
    assert len({question.request.casefold() for question in asked}) == len(asked)


@pytest.mark.parametrize("name", SPECIALISTS)
async def test_every_question_can_be_answered_and_not_by_silence_or_echo(name: str) -> None:
    async def verdicts(question: Question) -> tuple[bool, bool, bool]:
        given = (question.answer, "", "I am sorry, I cannot help with that.")
        own, silence, excuse = [await judge(question.check, answer) for answer in given]
        return own.passed, silence.passed, excuse.passed

    asked = questions(name)
    judged = await asyncio.gather(*map(verdicts, asked))

    wrong = [q.id for q, found in zip(asked, judged, strict=True) if found != (True, False, False)]
    assert wrong == []


@pytest.mark.parametrize("name", SPECIALISTS)
def test_no_question_stands_in_a_prompt(name: str) -> None:
    prompts = {definition.name: taught(definition) for definition in shipped_definitions()}

    for question in questions(name):
        for agent, said in prompts.items():
            assert not runs_of_words(question.request) & said, (question.id, agent)


@pytest.mark.parametrize("name", SPECIALISTS)
def test_the_questions_file_is_written_one_object_a_line(name: str) -> None:
    text = (LIBRARY / f"{name}.questions.jsonl").read_text(encoding="utf-8")

    assert text.endswith("\n")
    assert all(isinstance(json.loads(line), dict) for line in text.splitlines())
