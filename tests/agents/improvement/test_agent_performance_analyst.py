"""The agent performance analyst: problems, trends, health, and what may help."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agents.definition import parse_definition
from agents.improvement.agent_performance_analyst import AgentPerformanceAnalyst, standings
from agents.improvement.learner import Learned, Window
from agents.improvement.tallies import Tallies
from agents.improvement.trends import Day, ahead
from database.learning import ExamQuestion, Finding, Proposal
from database.records import PUBLIC, Document, Feedback, Outcome, Run, Step, private_channel

DAY = 86_400.0
TODAY = 20_000
NOW = (TODAY + 0.9) * DAY


class Names:
    def resolve(self, model: str) -> str:
        return {"strong": "large", "fast": "small"}.get(model, model)


def agent(name: str = "coder", audience: str = PUBLIC, **fields: Any) -> Document:
    body = {
        "name": name,
        "specialty": f"What {name} is for",
        "description": f"It does what a {name} does.",
        "system_prompt": f"You are the {name}.",
        **fields,
    }
    definition = parse_definition(body, name)
    return Document("agent", name, definition.body(), definition.version, audience=audience)


def run(
    number: int,
    by: Document | str = "coder",
    *,
    day: float | None = TODAY,
    good: bool | None = True,
    kind: str | None = None,
    version: str | None = None,
    audience: str = PUBLIC,
    **known: Any,
) -> Run:
    name, served = (by, version) if isinstance(by, str) else (by.name, by.version)
    return Run(
        f"run-{number}", "secret words", name, task_type=kind, audience=audience,
        agent_version=version or served, outcome=Outcome(good),
        started_at=None if day is None else (day + 0.5) * DAY, **known,
    )  # fmt: skip


async def learned(
    runs: Sequence[Run],
    documents: Sequence[Document] = (),
    state: Mapping[str, Any] | None = None,
    feedback: Mapping[str, Sequence[Feedback]] | None = None,
    older: Sequence[Run] = (),
) -> Learned:
    window = Window(runs, NOW, feedback or {}, older, documents)
    found = await AgentPerformanceAnalyst(Names()).learn(window, state or {})
    assert "secret words" not in json.dumps(found.state)
    return found


def problems(found: Learned) -> dict[str, Finding]:
    return {one.title: one for one in found.findings if one.kind == "problem"}


def proposed(found: Learned, title: str) -> Proposal:
    [proposal] = [one for one in found.proposals if title in one.title]
    return proposal


def shares(agent: str, day: int, right: int, of: int, start: int = 0, **known: Any) -> list[Run]:
    return [run(start + n, agent, day=day, good=n < right, **known) for n in range(of)]


async def test_an_agent_that_was_better_is_a_problem_with_a_plan() -> None:
    before = shares("coder", TODAY - 20, 90, 100)
    now = shares("coder", TODAY, 30, 60, start=1000)
    found = await learned([*before, *now])
    problem = problems(found)["coder is right less often than it was"]
    assert "50% of 60 judged answers were good" in problem.text
    assert "90% of 100" in problem.text
    assert problem.data["severity"] == "medium"
    assert 0.1 < problem.data["figures"]["worse by at least"] < 0.4
    assert problem.data["plan"]


async def test_a_problem_is_told_once_and_again_when_it_grows() -> None:
    before = shares("coder", TODAY - 20, 90, 100)
    first = await learned([*before, *shares("coder", TODAY, 30, 60, start=1000)])
    again = await learned([run(5000)], state=first.state)
    assert not problems(again)
    worse = await learned(shares("coder", TODAY, 0, 100, start=6000), state=again.state)
    assert [one.data["severity"] for one in problems(worse).values()] == ["high"]


async def test_chance_is_no_problem() -> None:
    draws, told = random.Random(7), 0
    for week in range(30):
        runs = [
            run(n, day=TODAY - n % 40, good=draws.random() < 0.7, duration_ms=draws.random() * 900)
            for n in range(400)
        ]
        told += len([f for f in (await learned(runs)).findings if f.kind != "note"])
        assert told <= 2, f"in week {week}"


async def test_worse_than_peers_at_the_same_kind_of_request() -> None:
    runs = [
        *shares("coder", TODAY, 20, 80, kind="kind-1"),
        *shares("analyst", TODAY, 76, 80, start=1000, kind="kind-1"),
        *shares("other", TODAY, 10, 80, start=2000, kind="kind-2"),
    ]
    [problem] = problems(await learned(runs)).values()
    assert problem.title == "coder is right less often than other agents at requests of kind-1"
    assert "Let analyst answer these: it was right in 95% of 80." in problem.text


async def test_nobody_is_told_to_ask_an_agent_that_they_may_not_know_of() -> None:
    hidden = agent("secretary", private_channel("C9"))
    runs = [
        *shares("coder", TODAY, 20, 80, kind="kind-1"),
        *[run(1000 + n, hidden, kind="kind-1") for n in range(80)],
    ]
    found = await learned(runs, [hidden])
    assert not [one for one in found.findings if "secretary" in json.dumps([one.text, one.data])]


async def test_what_is_known_of_one_private_place_is_told_there() -> None:
    here = private_channel("C1")
    runs = [
        *shares("coder", TODAY - 20, 90, 100, audience=here),
        *shares("coder", TODAY, 20, 60, start=1000, audience=here),
    ]
    found = await learned(runs)
    assert [one.audience for one in problems(found).values()] == [here]
    assert "coder" not in standings(found.state)


async def test_what_is_suggested_by_one_private_place_is_suggested_there() -> None:
    here, coder = private_channel("C1"), agent(temperature=0.9)
    runs = [
        *shares("coder", TODAY - 20, 90, 100, audience=here, version=coder.version),
        *shares("coder", TODAY, 20, 60, start=1000, audience=here, version=coder.version),
    ]
    assert [one.audience for one in (await learned(runs, [coder])).proposals] == [here]
    runs += [run(5000, coder)]
    assert [one.audience for one in (await learned(runs, [coder])).proposals] == [PUBLIC]


async def test_of_an_agent_that_is_gone_nobody_is_told_what_it_did_in_private() -> None:
    runs = [
        *shares("secretary", TODAY - 20, 90, 100, audience=private_channel("C1")),
        *shares("secretary", TODAY, 20, 60, start=1000, audience=private_channel("C2")),
    ]
    found = await learned(runs)
    assert not found.findings
    assert "secretary" not in standings(found.state)


async def test_a_version_that_does_worse_than_the_one_before() -> None:
    runs = [
        *shares("coder", TODAY - 3, 75, 80, version="v1"),
        *shares("coder", TODAY, 40, 80, start=1000, version="v2"),
    ]
    [problem] = problems(await learned(runs)).values()
    assert problem.title == "coder is right less often than its version before"


async def test_errors_slowness_and_cost() -> None:
    runs = [
        *[run(n, day=TODAY - 15, duration_ms=900 + n, cost_usd=0.01) for n in range(60)],
        *[
            run(100 + n, duration_ms=2900 + n, cost_usd=0.03, error="down" if n % 3 else None)
            for n in range(60)
        ],
    ]
    titles = problems(await learned(runs)).keys()
    assert titles == {
        "coder ends in errors too often", "coder has become slower", "coder has become dearer",
    }  # fmt: skip


async def test_a_word_that_comes_later_counts_and_replaces_the_one_before() -> None:
    runs = [run(n, good=None) for n in range(30)]
    first = await learned(runs)
    assert Tallies(first.state["tallies"]).sums()["coder"].judged == 0
    down = {one.run_id: [Feedback("a", one.run_id, "rating", -1.0, created_at=1)] for one in runs}
    second = await learned([], state=first.state, feedback=down, older=runs)
    assert Tallies(second.state["tallies"]).sums()["coder"].down == 30
    up = {
        key: [*said, Feedback("b", key, "rating", 1.0, created_at=2)] for key, said in down.items()
    }
    third = await learned([], state=second.state, feedback=up, older=runs)
    tally = Tallies(third.state["tallies"]).sums()["coder"]
    assert (tally.runs, tally.judged, tally.good, tally.up, tally.down) == (30, 30, 30, 30, 0)


async def test_the_health_of_agents_is_told_once_a_week() -> None:
    runs = [
        *shares("coder", TODAY, 57, 60, duration_ms=1000.0),
        *shares("poet", TODAY, 20, 60, start=1000, duration_ms=3000.0),
    ]
    found = await learned(runs)
    [note] = [one for one in found.findings if one.kind == "note"]
    scores = note.data["figures"]
    assert 90 < scores["coder"] <= 100
    assert 45 < scores["poet"] < 65
    assert {name: one.score for name, one in standings(found.state).items()} == scores
    again = await learned([run(5000)], state=found.state)
    assert not [one for one in again.findings if one.kind == "note"]


async def test_a_trend_is_told_with_its_interval() -> None:
    runs = [
        run(1000 * day + n, day=TODAY - 30 + day, good=n < 9 - day // 5)
        for day in range(30)
        for n in range(10)
    ]
    found = await learned(runs)
    [trend] = [one for one in found.findings if one.kind == "trend"]
    assert trend.title == "coder is getting worse"
    figures = trend.data["figures"]
    assert figures["low"] < figures["ahead"] < figures["high"] < 0.5
    assert figures["ahead"] < figures["now"] < 0.55


def test_a_line_covers_what_comes() -> None:
    draws, kept = random.Random(3), 0
    for _ in range(300):
        days = [Day(d, 12, sum(draws.random() < 0.5 + d / 100 for _ in range(12)))
                for d in range(25)]  # fmt: skip
        line = ahead(days)
        assert line is not None
        kept += line.low <= 0.5 + 31 / 100 <= line.high
    assert kept >= 0.97 * 300
    assert ahead(days[:5]) is None


async def test_a_weak_agent_should_be_calmer_and_ask_the_strong_model() -> None:
    coder = agent(model="fast", temperature=0.9)
    runs = [
        *[run(n, coder, day=TODAY - 20) for n in range(100)],
        *[run(1000 + n, coder, good=n < 30) for n in range(60)],
    ]
    found = await learned(runs, [coder])
    calm, strong = proposed(found, "temperature"), proposed(found, "strong model")
    for proposal, field, value in ((calm, "temperature", 0.0), (strong, "model", "strong")):
        [change] = proposal.changes
        assert change.base == coder.version
        assert change.body == {**coder.body, field: value}
        assert proposal.evidence["problem"]
        assert "aim" not in proposal.evidence


async def test_answers_that_are_cut_off_get_more_room() -> None:
    coder = agent(max_tokens=100)
    runs = [
        run(n, coder, steps=(Step(0, "model", "chat", output_tokens=100 if n % 2 else 60),))
        for n in range(30)
    ]
    proposal = proposed(await learned(runs, [coder]), "200 tokens")
    assert proposal.changes[0].body == {**coder.body, "max_tokens": 200}
    assert len(proposal.evidence["runs"]) == 10


async def test_tools_that_are_never_used_go_but_asking_stays() -> None:
    coder = agent(tools=["calculator", "date_time", "ask_person"])
    used = (Step(0, "tool", "calculator"),)
    runs = [run(n, coder, steps=used if n == 7 else ()) for n in range(120)]
    proposal = proposed(await learned(runs, [coder]), "date_time")
    assert proposal.changes[0].body == {**coder.body, "tools": ["calculator", "ask_person"]}
    assert proposal.evidence["aim"] == "cheaper"
    few = await learned(runs[:90], [coder])
    assert not few.proposals


@pytest.mark.parametrize(("other", "merged"), [("coders", True), ("summariser of news", False)])
async def test_agents_that_are_nearly_the_same_become_one(other: str, merged: bool) -> None:
    words = "It reviews code of the team and says what is wrong."
    alike = {"description": words, "system_prompt": f"You review. {words}"}
    coder = agent(**alike, examples=["Review this function"])
    second = agent(
        "reviewer", **(alike if merged else {"description": f"A {other}."}),
        examples=["Review my patch"],
    )  # fmt: skip
    runs = [run(n, coder) for n in range(20)]
    found = await learned(runs, [coder, second])
    if not merged:
        assert not found.proposals
        return
    [proposal] = found.proposals
    kept, gone = proposal.changes
    assert kept.body
    assert (kept.name, gone.name, gone.body) == ("coder", "reviewer", None)
    assert kept.body["examples"] == ["Review this function", "Review my patch"]


BILLS = ["Why was my bill charged twice?", "Is the bill of May paid?", "Send the bill again"]
CODE = ["Fix this loop", "Why does my test fail?", "Write a parser"]


def helping(kind: str, said: Sequence[str], right: int, of: int, start: int) -> list[Run]:
    return [
        Run(
            f"run-{start + n}", f"{said[n % len(said)]} ({n})", "helper", task_type=kind,
            outcome=Outcome(n < right), started_at=(TODAY + 0.5) * DAY,
        )
        for n in range(of)
    ]  # fmt: skip


HELPER = agent("helper", examples=["Why was my bill so high?", *CODE], tools=["calculator"])
UNEVEN = [*helping("kind-1", BILLS, 8, 40, 0), *helping("kind-2", CODE, 55, 60, 100)]


async def test_who_is_much_worse_at_one_kind_is_split_in_two() -> None:
    found = await learned(UNEVEN, [HELPER])
    proposal = proposed(found, "Let a part of helper be an agent of its own")
    part, whole = proposal.changes
    assert part.body
    assert whole.body
    assert (part.name, part.base) == ("helper-bill", None)
    assert part.body["system_prompt"] == HELPER.body["system_prompt"]
    assert part.body["tools"] == ["calculator"]
    assert len(part.body["examples"]) == 12
    assert all("bill" in example.lower() for example in part.body["examples"])
    assert (whole.name, whole.base) == ("helper", HELPER.version)
    assert whole.body["examples"] == CODE
    assert (proposal.task_type, proposal.evidence["answers_now"]) == ("kind-1", "helper")
    assert "right in 20% of 40 judged answers" in proposal.why
    again = await learned(helping("kind-1", BILLS, 1, 9, 300), [HELPER], found.state)
    assert not [one for one in again.proposals if "part of" in one.title]


@pytest.mark.parametrize(
    "otherwise",
    [
        [*helping("kind-1", BILLS, 26, 40, 0), *helping("kind-2", CODE, 45, 60, 100)],  # by chance
        [*helping("kind-1", BILLS, 2, 10, 0), *helping("kind-2", CODE, 55, 60, 100)],  # too few
        [*UNEVEN, *shares("clerk", TODAY, 38, 40, start=500, kind="kind-1")],  # another can do it
    ],
)
async def test_who_is_about_as_good_at_all_stays_whole(otherwise: list[Run]) -> None:
    found = await learned(otherwise, [HELPER])
    assert not [one for one in found.proposals if "part of" in one.title]


async def test_where_right_answers_are_known_nobody_is_split() -> None:
    check = {"kind": "number", "expected": 3.0}
    exam = [
        ExamQuestion(f"q{n}", f"run-{n}", f"How many {n}?", check, "helper", "learn", "kind-1")
        for n in range(4)
    ]
    window = Window(UNEVEN, NOW, {}, (), [HELPER], exam=exam)
    found = await AgentPerformanceAnalyst(Names()).learn(window, {})
    assert not [one for one in found.proposals if "part of" in one.title]


async def test_who_stands_in_for_others_is_not_taken_away() -> None:
    words = {"description": "It reviews code of the team.", "system_prompt": "You review code."}
    pair = [agent(**words), agent("reviewer", **words)]
    third = agent("poet", fallbacks=["reviewer"])
    runs = [run(n, pair[0]) for n in range(20)]
    assert (await learned(runs, pair)).proposals
    assert not (await learned(runs, [*pair, third])).proposals


async def test_what_is_remembered_stays_bounded() -> None:
    state: Any = None
    for start in range(0, 4000, 1000):
        runs = [
            run(start + n, f"agent-{(start + n) % 700}", day=TODAY - n % 60, kind=f"kind-{n % 90}")
            for n in range(1000)
        ]
        state = (await learned(runs, state=state)).state
    assert len(json.dumps(state)) < 900_000
