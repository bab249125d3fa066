"""The comparison of specialists with the generalist: its statistics, and that it goes on."""

import json
from pathlib import Path

import pytest

from agents.checks import Question
from agents.definition import AgentDefinition
from agents.turns import Turn
from agents.universal_agent import UniversalAgent
from benchmarks.paired import clustered_difference, paired_difference
from benchmarks.specialists import (
    GENERALIST,
    Answers,
    Asked,
    Work,
    ask,
    in_rounds,
    read_arguments,
    summary,
)
from tests.agents.doubles import ScriptedModel, says

WON, LOST, BOTH, NEITHER = (True, False), (False, True), (True, True), (False, False)

QUESTION = Question.model_validate(
    {
        "id": "greeter-001",
        "part": "test",
        "request": "Say hi",
        "check": [{"kind": "equals", "values": ["hi"]}],
        "answer": "hi",
    }
)


def greeter(model: ScriptedModel) -> UniversalAgent:
    definition = AgentDefinition(
        name="greeter", specialty="greetings", description="Greets.", system_prompt="Greet."
    )
    return UniversalAgent(definition, model, {})


def asked(agent: str, *, passed: bool, seconds: float = 1.0) -> Asked:
    return Asked(agent, agent, "q", "r", "a", passed, "", (), 30, 10, seconds)


def test_the_difference_counts_only_where_the_two_sides_disagree() -> None:
    found = paired_difference([WON] * 9 + [LOST] * 3 + [BOTH] * 20 + [NEITHER] * 8)

    assert found.n == 40
    assert found.difference == pytest.approx(0.15)
    assert found.low < 0.15 < found.high


def test_newcombes_published_example_is_reproduced() -> None:
    # Newcombe 1998 (paired), table II, method 10: 36, 12, 2, 0 of 50
    found = paired_difference([BOTH] * 36 + [WON] * 12 + [LOST] * 2)

    assert found.difference == pytest.approx(0.20)
    assert (found.low, found.high) == pytest.approx((0.0569, 0.3404), abs=1e-4)


def test_sides_exchanged_give_the_mirrored_interval() -> None:
    pairs = [WON] * 7 + [LOST] * 2 + [BOTH] * 11
    forth = paired_difference(pairs)
    back = paired_difference([(second, first) for first, second in pairs])

    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low))


@pytest.mark.parametrize("pair", [WON, LOST, BOTH, NEITHER])
def test_the_interval_stays_between_minus_one_and_one_and_is_never_a_point(
    pair: tuple[bool, bool],
) -> None:
    found = paired_difference([pair] * 12)

    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert found.low < found.high


def test_specialists_that_differ_widen_the_pooled_interval() -> None:
    alike = clustered_difference([[WON, BOTH, BOTH, BOTH]] * 5)
    unlike = clustered_difference(
        [[WON] * 4, [LOST, BOTH, BOTH, BOTH], [BOTH] * 4, [WON, BOTH] * 2]
    )

    assert alike.high - alike.low == pytest.approx(0)
    assert alike.difference == pytest.approx(0.25)
    assert unlike.low < 0 < unlike.difference


def test_a_specialist_with_many_questions_does_not_outweigh_the_others() -> None:
    assert clustered_difference([[WON] * 90, [BOTH] * 10]).difference == pytest.approx(0.5)


def test_nothing_to_compare_is_said() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        paired_difference([])
    with pytest.raises(ValueError, match="clusters"):
        clustered_difference([[WON]])


def test_the_report_has_each_specialist_and_the_pooled_difference() -> None:
    better = (asked("a", passed=True, seconds=2.0), asked("generalist", passed=False, seconds=4.0))
    same = (asked("b", passed=True), asked("generalist", passed=True))

    report = summary("small", {"a": [better] * 4, "b": [same] * 4})

    one = report["specialists"]["a"]
    assert (one["n"], one["specialist"], one["generalist"], one["difference"]) == (4, 1.0, 0.0, 1.0)
    assert (one["specialist_seconds"], one["generalist_seconds"]) == (2.0, 4.0)
    assert (report["pooled_difference"], report["n"]) == (0.5, 8)
    assert report["low"] < 0.5 < report["high"]
    assert report["low"] < report["these"]["low"] < 0.5 < report["these"]["high"] < 1
    assert json.loads(json.dumps(report)) == report


async def test_a_question_goes_through_the_agent_loop_and_is_judged() -> None:
    model = ScriptedModel(says("H", "i!"))

    given = await ask(greeter(model), QUESTION, "k")

    assert (given.answer, given.passed, given.agent) == ("Hi!", True, "greeter")
    assert (given.input_tokens, given.output_tokens) == (10, 5)
    assert model.asked[0].turns[-1] == Turn("user", "Say hi")


async def test_an_answer_that_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "answers.jsonl"
    first = await ask(greeter(ScriptedModel(says("hello"))), QUESTION, "k")
    Answers(path).keep(first)

    assert Answers(path).kept == {"k": first}


def test_answers_are_kept_outside_the_repository_unless_told_otherwise() -> None:
    out: Path = read_arguments([]).out

    assert not out.resolve().is_relative_to(Path(__file__).resolve().parents[2])


async def test_only_questions_that_both_sides_have_answered_are_compared(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers.jsonl")
    sides = {"greeter": greeter(ScriptedModel(says("hi"))), GENERALIST: other()}
    first, second = numbered("greeter", 2)
    work = Work(answers, sides, "scripted")
    told: list[tuple[str, bool]] = []

    await work.do(iter([("greeter", first)]), lambda name, *, new: told.append((name, new)), 60)
    await work.do(iter([("greeter", second)]), lambda name, *, new: told.append((name, new)), 0)

    assert told == [("greeter", True)] * 2
    [(ours, theirs)] = work.pairs("greeter", [first, second])
    assert (ours.passed, theirs.passed) == (True, False)


def other() -> UniversalAgent:
    definition = AgentDefinition(
        name=GENERALIST, specialty="all", description="Answers.", system_prompt="Answer."
    )
    return UniversalAgent(definition, ScriptedModel(says("hello")), {})


def numbered(name: str, count: int) -> list[Question]:
    return [
        QUESTION.model_copy(update={"id": f"{name}-{at}", "request": f"Say hi {at}"})
        for at in range(count)
    ]


def test_a_run_that_is_cut_short_has_asked_a_little_of_every_specialist() -> None:
    order = [name for name, _ in in_rounds({"a": numbered("a", 20), "b": numbered("b", 15)})]

    assert order == ["a"] * 14 + ["b"] * 14 + ["a"] * 6 + ["b"]
