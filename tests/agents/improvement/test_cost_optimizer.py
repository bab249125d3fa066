"""The cost optimizer: who spent what, what may be cheaper, and answers that could be reused."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.definition import parse_definition
from agents.improvement.cost_optimizer import CostOptimizer, could_save, spent_in
from agents.improvement.learner import Learned, Window
from agents.improvement.spending import week_of
from database.records import PUBLIC, Document, Feedback, Outcome, Run, Step, one_person
from database.records import private_channel as channel

DAY = 86_400.0
NOW = 20_000 * DAY
LAST_WEEK = NOW - 7 * DAY


class Names:
    def __init__(self, fast: str = "small") -> None:
        self._fast = fast

    def resolve(self, model: str) -> str:
        return {"strong": "large", "fast": self._fast}.get(model, model)


def agent(name: str = "coder", audience: str = PUBLIC, **fields: Any) -> Document:
    body = {"name": name, "specialty": "Code", "description": "It codes.",
            "system_prompt": "You code.", **fields}  # fmt: skip
    made = parse_definition(body, name)
    return Document("agent", name, made.body(), made.version, audience=audience)


def run(
    number: int,
    request: str = "What is the capital of France?",
    *,
    by: str = "coder",
    reply: str = "Paris",
    good: bool | None = True,
    usd: float | None = 0.01,
    at: float = NOW,
    **known: Any,
) -> Run:
    return Run(
        f"run-{number}", request, by, reply=reply, started_at=at, outcome=Outcome(good),
        duration_ms=2000.0, input_tokens=80, output_tokens=20, cost_usd=usd,
        **{"user_id": f"U{number % 7}", "model": "large", **known},
    )  # fmt: skip


async def learned(
    runs: Sequence[Run],
    documents: Sequence[Document] = (),
    state: Mapping[str, Any] | None = None,
    *,
    feedback: Mapping[str, Sequence[Feedback]] | None = None,
    older: Sequence[Run] = (),
    names: Names | None = None,
) -> Learned:
    window = Window(runs, NOW, feedback or {}, older, documents)
    found = await CostOptimizer(names or Names()).learn(window, state or {})
    assert "France" not in json.dumps(found.state)
    return found


async def test_a_week_is_told_by_agent_and_workflow_and_nobody_by_name() -> None:
    runs = [
        *[run(n, at=LAST_WEEK, route={"workflow": "weekly"}) for n in range(14)],
        *[run(100 + n, by="poet", at=LAST_WEEK, usd=0.02, user_id="U1") for n in range(10)],
        *[run(200 + n, by="secretary", at=LAST_WEEK, usd=None) for n in range(3)],
    ]
    hidden = agent("secretary", channel("C9"))
    found = await learned(runs, [agent(), agent("poet"), hidden])
    [note] = [one for one in found.findings if one.kind == "note"]
    assert note.title == f"What answers cost in week {week_of(LAST_WEEK)}"
    assert note.text.startswith("$0.34 and 2,700 tokens, 3 runs without a known price for 27 runs.")
    assert "Of 7 people the one who used most took 65%." in note.text
    assert note.data["chart"]["labels"] == ["poet", "coder", "private agents"]
    assert "secretary" not in json.dumps([note.text, dict(note.data)])
    assert "U1" not in json.dumps([note.text, dict(note.data)])
    again = await learned([run(500)], state=found.state)
    assert not [one for one in again.findings if one.kind == "note"]
    by_person = spent_in(again.state).of(week_of(LAST_WEEK), "person")
    assert by_person["U1"].runs == 12


async def test_of_few_people_nothing_is_told() -> None:
    runs = [run(n, at=LAST_WEEK, user_id=f"U{n % 3}") for n in range(12)]
    [note] = (await learned(runs)).findings[:1]
    assert "who used most" not in note.text


async def test_good_answers_may_do_with_the_fast_model_if_a_trial_shows_it() -> None:
    coder = agent()
    priced = [run(1000 + n, by="triage", model="small", usd=0.001) for n in range(30)]
    runs = [run(n, f"Question {n}", good=n % 20 != 0) for n in range(60)]
    [proposal] = (await learned([*runs, *priced], [coder])).proposals
    [change] = proposal.changes
    assert change.body == {**coder.body, "model": "fast"}
    assert (proposal.evidence["aim"], proposal.evidence["may_lose"]) == ("cheaper", 0.05)
    assert proposal.evidence["cost"] == {"before": 0.01, "after": 0.001}
    assert "95% of 60" in proposal.why


async def test_what_one_private_place_showed_is_proposed_there() -> None:
    runs = [run(n, f"Question {n}", audience=channel("C1")) for n in range(60)]
    [proposal] = (await learned(runs, [agent()])).proposals
    assert proposal.audience == channel("C1")


async def test_nothing_cheaper_where_it_is_weak_free_or_already_cheap() -> None:
    good = [run(n, f"Question {n}") for n in range(60)]
    weak = [run(n, f"Question {n}", good=n % 3 != 0) for n in range(60)]
    free = [run(n, f"Question {n}", usd=0.0) for n in range(60)]
    dear = [run(1000 + n, by="triage", model="small", usd=0.02) for n in range(30)]
    assert not (await learned(weak, [agent()])).proposals
    assert not (await learned(free, [agent()])).proposals
    assert not (await learned(good, [agent(model="fast")])).proposals
    assert not (await learned(good, [agent()], names=Names("large"))).proposals
    assert not (await learned([*good, *dear], [agent()])).proposals
    assert (await learned(good, [agent()])).proposals


async def test_a_version_that_costs_more_and_is_no_better_is_told_once() -> None:
    coder = agent()
    runs = [
        *[run(n, f"Q {n}", agent_version="before", good=n % 5 != 0) for n in range(400)],
        *[run(1000 + n, f"Q {n}", agent_version=coder.version, usd=0.03, good=n % 5 != 0)
          for n in range(400)],
    ]  # fmt: skip
    found = await learned(runs, [coder])
    [problem] = [one for one in found.findings if one.kind == "problem"]
    assert problem.title == "coder costs more than before and is no better"
    assert "$0.0300, with the version before it $0.0100" in problem.text
    again = await learned([run(5000)], [coder], found.state)
    assert not [one for one in again.findings if one.kind == "problem"]


async def test_an_answer_that_is_given_again_and_again_could_be_reused() -> None:
    asked = ["What is the capital of France?", "what is  the capital of France", "WHAT IS the "
             "capital of France?!"]  # fmt: skip
    runs = [run(n, asked[n % 3], good=None) for n in range(6)]
    first = await learned(runs)
    assert not first.findings
    up = {"run-2": [Feedback("f", "run-2", "rating", 1.0)]}
    second = await learned([run(6, good=None)], state=first.state, feedback=up, older=runs[2:3])
    [found] = second.findings
    assert "was asked 7 times; 7 answers were the same, 1 were found good" in found.text
    assert found.data == {"support": 7, "people": 7}
    usd, minutes, _ = could_save(second.state)
    assert round(usd, 4) == 0.06
    assert round(minutes * 60) == 12
    down = {"run-2": [Feedback("f2", "run-2", "rating", -1.0, created_at=5)]}
    third = await learned([], state=second.state, feedback=down, older=runs[2:3])
    assert could_save(third.state)[:2] == (0, 0)


async def test_what_may_change_or_is_anothers_is_not_reused() -> None:
    async def told(**known: Any) -> int:
        runs = [run(n, **{key: value[n] if isinstance(value, list) else value
                          for key, value in known.items()}) for n in range(8)]  # fmt: skip
        return len([f for f in (await learned(runs)).findings if f.kind == "pattern"])

    assert await told() == 1
    assert await told(request="What is my plan?") == 0
    assert await told(request="What did we ship last week?") == 0
    assert await told(reply=[f"Perhaps {n}" for n in range(8)]) == 0
    assert await told(steps=(Step(0, "tool", "search_messages"),)) == 0
    assert await told(steps=(Step(0, "tool", "calculator"),)) == 1
    assert await told(request=[f"What is {n} + 1?" for n in range(8)]) == 0
    assert await told(thread_ts="1.0", message_ts="2.0") == 0
    assert await told(user_id="U1") == 0
    assert await told(audience=[one_person(f"U{n}") for n in range(8)]) == 0


async def test_what_is_remembered_stays_bounded() -> None:
    state: Any = None
    for start in range(0, 3000, 1500):
        runs = [run(start + n, f"Question {start + n}", user_id=f"U{n}") for n in range(1500)]
        state = (await learned(runs, state=state)).state
    assert len(json.dumps(state)) < 1_500_000


async def test_what_could_be_reused_is_told_though_no_run_of_it_is_in_sight() -> None:
    """A thumb on an old answer can come long after the latest of the runs that are remembered."""
    runs = [run(n, good=None) for n in range(6)]
    first = await learned(runs)
    up = {"run-0": [Feedback("f", "run-0", "rating", 1.0)]}
    async with asyncio.timeout(20):  # it was waited for, for ever
        [found] = (await learned([], state=first.state, feedback=up, older=runs[:1])).findings
    assert found.text.startswith("One question to coder was asked 6 times;")
    near = {"run-5": [Feedback("f", "run-5", "rating", 1.0)]}
    [found] = (await learned([], state=first.state, feedback=near, older=runs[5:])).findings
    assert found.text.startswith("“What is the capital of France?” was asked 6 times;")
