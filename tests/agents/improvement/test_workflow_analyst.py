"""The workflow analyst: patterns with their strength, runbooks, and what slows people down."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agents.improvement.learner import Learned, Window
from agents.improvement.workflow_analyst import WorkflowAnalyst
from database.learning import Finding
from database.records import (
    PUBLIC,
    Document,
    Feedback,
    Outcome,
    Run,
    Step,
    one_person,
    private_channel,
)

HOUR = 3600.0


def tool(name: str, ms: float = 100.0, **arguments: Any) -> Step:
    return Step(0, "tool", name, arguments, ok=True, duration_ms=ms)


def run(
    number: int,
    request: str = "How did we do?",
    *steps: Step,
    person: str | None = None,
    audience: str = PUBLIC,
    success: bool | None = True,
    agent: str = "analyst",
    at: float | None = None,
    **more: Any,
) -> Run:
    return Run(
        f"run-{number}",
        request,
        agent,
        started_at=HOUR * 24 * number if at is None else at,
        user_id=person or f"U{number % 6}",
        audience=audience,
        outcome=Outcome(success),
        steps=steps,
        **more,
    )


async def learned(
    runs: Sequence[Run],
    state: Any = None,
    feedback: Sequence[Feedback] = (),
    documents: Sequence[Document] = (),
) -> Learned:
    by_run = {one.run_id: [f for f in feedback if f.run_id == one.run_id] for one in runs}
    window = Window(runs, 1.0, by_run, documents=documents)
    found = await WorkflowAnalyst().learn(window, state or {})
    json.dumps(found.state)
    return found


def weekly(number: int, **known: Any) -> Run:
    return run(
        number, f"Numbers of 2026-01-{10 + number}", tool("query"), tool("chart"), **known
    )  # fmt: skip


def patterns(found: Learned) -> list[Finding]:
    return [one for one in found.findings if one.kind == "pattern"]


async def test_what_repeats_is_told_with_its_support_its_people_and_its_success() -> None:
    runs = [weekly(n, success=n != 3) for n in range(6)]
    [pattern] = patterns(await learned(runs))
    assert pattern.title == "Agents work in the same order: query → chart"
    assert pattern.strength == "moderate"
    assert pattern.data["support"] == 6
    assert pattern.data["people"] == 6
    assert pattern.data["success"] == 5 / 6
    assert "5 of 6 judged ones went well: 83% (95%: 44% to 97%)" in pattern.text
    assert set(pattern.runs) < {one.run_id for one in runs}


async def test_a_pattern_grows_stronger_over_windows_and_is_told_only_then() -> None:
    first = await learned([weekly(n) for n in range(4)])
    assert [one.strength for one in patterns(first)] == ["weak"]
    second = await learned([weekly(4)], first.state)
    assert [one.strength for one in patterns(second)] == ["moderate"]
    third = await learned([weekly(5)], second.state)
    assert not patterns(third)
    fourth = await learned([weekly(n) for n in range(6, 30)], third.state)
    [strongest] = patterns(fourth)
    assert strongest.strength == "very strong"
    assert strongest.data["support"] == 30
    assert strongest.finding_id == patterns(first)[0].finding_id


def thumb(of: Run, value: float) -> Feedback:
    return Feedback(f"{of.run_id}-{value}", of.run_id, "rating", value, created_at=value)


async def told_later(state: Any, older: Sequence[Run], *said: Feedback) -> Learned:
    """What a window teaches that brings nothing but words on runs of before."""
    by_run = {one.run_id: [f for f in said if f.run_id == one.run_id] for one in older}
    return await WorkflowAnalyst().learn(Window((), 1.0, by_run, older), state)


async def test_words_that_come_later_reach_what_was_seen_before() -> None:
    runs = [weekly(n, success=None) for n in range(24)]
    first = await learned(runs)
    assert [one.strength for one in patterns(first)] == ["moderate"]
    ups = [thumb(one, 1.0) for one in runs]
    second = await told_later(first.state, runs, *ups)
    [strong] = patterns(second)
    assert (strong.strength, strong.data["judged"]) == ("very strong", 24)
    assert strong.data["success"] == strong.data["success_of_all"] == 1.0
    mind = await told_later(second.state, runs[:12], *[thumb(one, -1.0) for one in runs[:12]])
    [weaker] = patterns(mind)
    assert (weaker.data["judged"], weaker.data["success"]) == (24, 0.5)
    assert json.loads(json.dumps(mind.state)) == (await learned([], mind.state)).state


async def test_what_is_said_later_of_a_plan_is_said_of_its_steps() -> None:
    runs = [one for number in range(1, 25) for one in planned(number)]
    silent = [replace(one, outcome=Outcome()) for one in runs]
    first = await learned(silent)
    ends = [one for one in silent if one.agent == "team"]
    second = await told_later(first.state, ends, *[thumb(one, 1.0) for one in ends])
    [pattern] = patterns(second)
    assert (pattern.data["judged"], pattern.data["success"]) == (24, 1.0)


async def test_few_people_or_bad_results_keep_a_pattern_low() -> None:
    alone = await learned([weekly(n, person="U1") for n in range(30)])
    assert [one.strength for one in patterns(alone)] == ["weak"]
    bad = await learned([weekly(n, success=n % 3 == 0) for n in range(30)])
    assert [one.strength for one in patterns(bad)] == ["moderate"]
    assert not alone.proposals
    assert not bad.proposals


async def test_the_word_of_people_counts_where_nothing_was_checked() -> None:
    runs = [weekly(n, success=None) for n in range(5)]
    words = [Feedback(f"f{n}", f"run-{n}", "rating", -1.0) for n in range(2)]
    [pattern] = patterns(await learned(runs, feedback=words))
    assert (pattern.data["judged"], pattern.data["success"]) == (2, 0.0)


async def test_a_strong_pattern_becomes_a_runbook_of_the_latest_time_it_went_well() -> None:
    runs = [weekly(n, success=n != 29) for n in range(30)]
    found = await learned(runs)
    [proposal] = found.proposals
    [change] = proposal.changes
    assert change.body
    assert (change.kind, change.base, change.audience) == ("runbook", None, PUBLIC)
    assert change.body["steps"] == [
        {
            "request": "Numbers of {date}\n\nWork in this order: query, then chart.",
            "agent": "analyst",
        }
    ]
    assert change.body["inputs"] == [{"name": "date", "example": "2026-01-38"}]
    assert proposal.evidence["runs"] == ["run-28"]


async def test_a_pattern_is_drafted_once_until_it_is_seen_twice_as_often() -> None:
    found = await learned([weekly(n) for n in range(30)])
    assert len(found.proposals) == 1
    again = await learned([weekly(n) for n in range(30, 40)], found.state)
    assert not again.proposals
    later = await learned([weekly(n) for n in range(40, 70)], again.state)
    assert len(later.proposals) == 1
    names = [one.proposals[0].changes[0].name for one in (found, later)]
    assert names == ["numbers", "numbers-2"]


async def test_requests_in_a_row_become_a_workflow_of_several_steps() -> None:
    runs = [
        run(2 * n + k, text, agent=agent, person=f"U{n % 4}", at=n * 24 * HOUR + k * 600)
        for n in range(16)
        for k, (text, agent) in enumerate(
            [("Summarise the tickets of Monday", "summarizer"), ("Write it as a mail", "rewriter")]
        )
    ]
    found = await learned(runs)
    [pattern] = patterns(found)
    assert pattern.title == "People ask in a row: summarizer → rewriter"
    assert pattern.data["people"] == 4
    [proposal] = found.proposals
    [change] = proposal.changes
    assert change.body
    assert [step["agent"] for step in change.body["steps"]] == ["summarizer", "rewriter"]
    assert change.name == "summarise-tickets-mail"


async def test_what_lies_hours_apart_does_not_belong_together() -> None:
    runs = [
        run(2 * n + k, agent=agent, person=f"U{n % 4}", at=n * 48 * HOUR + k * 5 * HOUR)
        for n in range(16)
        for k, agent in enumerate(["summarizer", "rewriter"])
    ]
    found = await learned(runs)
    assert not [one for one in patterns(found) if "summarizer → rewriter" in one.title]


async def test_a_private_pattern_is_for_those_who_may_see_it() -> None:
    here = private_channel("C1")
    found = await learned([weekly(n, audience=here) for n in range(30)])
    assert {one.audience for one in found.findings} == {here}
    assert {(p.audience, p.changes[0].audience) for p in found.proposals} == {(here, here)}


async def test_of_patterns_in_several_private_places_only_counts_are_told_and_once() -> None:
    runs = [weekly(n, audience=one_person(f"U{n % 6}")) for n in range(30)]
    runs += [
        run(n, "?", tool("look"), tool("book"), audience=one_person(f"U{n % 6}"))
        for n in range(30, 55)
    ]
    found = await learned(runs)
    [pattern] = patterns(found)
    assert pattern.audience == PUBLIC
    assert pattern.data["support"] == 30
    assert not pattern.runs
    assert not found.proposals
    whole = json.dumps([pattern.title, pattern.text, dict(pattern.data)])
    assert "query" not in whole
    assert "Numbers" not in whole


async def test_what_is_remembered_holds_no_texts_and_stays_bounded() -> None:
    state: Any = None
    for start in range(0, 3000, 500):
        runs = [
            run(n, f"secret {n}", tool(f"t{n % 37}"), tool(f"t{n % 41}"), tool(f"t{n % 43}"))
            for n in range(start, start + 500)
        ]
        state = (await learned(runs, state)).state
    text = json.dumps(state)
    assert "secret" not in text
    assert len(text) < 200_000


async def test_the_step_that_takes_the_time_is_told_once() -> None:
    runs = [run(n, "?", tool("query", 6000.0), tool("chart", 500.0)) for n in range(12)]
    found = await learned(runs)
    [slow] = [one for one in found.findings if one.kind == "bottleneck"]
    assert slow.title == "analyst spends most of its time in tool: query"
    assert slow.data["figures"] == {
        "share of the time": 0.923, "seconds each": 6.0, "runs": 12,
    }  # fmt: skip
    again = await learned(runs, found.state)
    assert not [one for one in again.findings if one.kind == "bottleneck"]


def shipped(name: str = "analyst", audience: str = PUBLIC) -> Document:
    return Document("agent", name, {}, "v1", audience=audience)


async def slow_in(places: Sequence[str], documents: Sequence[Document]) -> list[str]:
    """Who is told that an agent is slow, which was asked in these places."""
    runs = [
        run(n, f"Of Acme {n}", tool("query", 6000.0, of=f"Acme {n}"), tool("chart", of=f"Acme {n}"),
            audience=places[n % len(places)])
        for n in range(24)
    ]  # fmt: skip
    found = (await learned(runs, documents=documents)).findings
    return sorted({one.audience for one in found if one.kind == "bottleneck"})


async def test_what_slows_an_agent_down_is_for_those_who_may_know_of_it() -> None:
    here, there = private_channel("C1"), private_channel("C2")
    assert await slow_in([here], []) == [here]
    assert await slow_in([here], [shipped()]) == [here]
    assert await slow_in([here, PUBLIC], [shipped(audience=here)]) == [here]
    assert await slow_in([here, there], [shipped(audience=here)]) == [here]
    assert await slow_in([here, there], [shipped()]) == [PUBLIC]
    assert await slow_in([here, PUBLIC], []) == [PUBLIC]
    assert await slow_in([here, there], []) == [], "it is gone, and was in private places only"


async def test_imported_tools_may_be_called_anything() -> None:
    runs = [run(n, f"Of Acme {n}", tool("a|b", 6000.0, of=f"Acme {n}"),
                tool("c\n|d", 900.0, of=f"Acme {n}")) for n in range(12)]  # fmt: skip
    found = await learned(runs, documents=[shipped()])
    again = await learned(runs, found.state, documents=[shipped()])
    assert sorted(one.title for one in found.findings if one.kind == "bottleneck") == [
        "analyst could call a|b and c\n|d at the same time",
        "analyst spends most of its time in tool: a|b",
    ]
    assert not [one for one in again.findings if one.kind == "bottleneck"]


async def test_calls_that_need_nothing_of_each_other_could_run_together() -> None:
    def asked(n: int, second: str) -> Run:
        request = f"Compare Acme {n} and Globex {n}"
        return run(n, request, tool("look", 900, of=f"Acme {n}"), tool("find", 700, of=second))

    [both] = [
        one
        for one in (await learned([asked(n, f"Globex {n}") for n in range(12)])).findings
        if one.kind == "bottleneck"
    ]
    assert both.title == "analyst could call look and find at the same time"
    assert both.data["figures"]["seconds saved a run"] == 0.7
    led = await learned([asked(n, f"id-of-acme-{n}") for n in range(12)])
    assert not [one for one in led.findings if one.kind == "bottleneck"]


def planned(number: int) -> list[Run]:
    """A goal of three steps and its answer, all recorded."""
    goal = {"goal": f"g{number}"}
    steps = [
        run(
            10 * number + at, f"{what} of week {number}", agent=agent, person=f"U{number % 6}",
            at=HOUR * number, kind="task",
            success=None, route={**goal, "task": f"s{at}", "number": at},
        )
        for at, (what, agent) in enumerate(
            [("Numbers", "analyst"), ("Text", "writer"), ("Check", "reviewer")], 1
        )
    ]  # fmt: skip
    end = run(10 * number, "All of it", agent="team", person=f"U{number % 6}", at=HOUR * number,
              route={**goal, "state": "done", "took": {}})  # fmt: skip
    return [end, *reversed(steps)]


async def test_steps_of_plans_that_repeat_are_a_pattern_and_become_a_workflow() -> None:
    found = await learned([one for number in range(1, 13) for one in planned(number)])
    [pattern] = [f for f in found.findings if f.kind == "pattern"]
    assert pattern.data["sequence"] == ["analyst", "writer", "reviewer"]
    assert pattern.data["support"] == 12
    [proposal] = found.proposals
    steps = (proposal.changes[0].body or {})["steps"]
    assert [step["agent"] for step in steps] == ["analyst", "writer", "reviewer"]


async def test_a_goal_without_an_answer_teaches_no_pattern() -> None:
    half = [one for number in range(1, 13) for one in planned(number)[1:]]
    found = await learned(half)
    assert [f for f in found.findings if f.kind == "pattern"] == []
