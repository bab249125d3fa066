from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import ModelUnavailable
from agents.turns import ToolCall, ToolCallsRequested, Turn
from agents.variants import variant_name
from database.errors import BudgetExceeded
from database.learning import ExamPart, ExamQuestion, learning_id
from database.records import Person, RunQuery, one_person, private_channel
from database.store import Store
from orchestrator.trials.exam import PARTS, Score, part_of
from tests.orchestrator.fakes import Say, ScriptedModels, agent, away
from tests.orchestrator.trials.house import TryingHouse
from tests.orchestrator.trials.test_shadow import NOTED, notes

TICKET = "Sort this ticket as bug, billing or feature request.\nI was charged twice, case {n}."
TRIAGE = agent("triage", "sort this ticket as bug or billing")
BETTER = agent("triage", "sort this ticket as bug or billing", system_prompt="You are sharp.")


def script(turns: Sequence[Turn], model: str) -> Say:
    return "billing" if "sharp" in turns[0].text else "bug"


async def house_of(store: Store, models: ScriptedModels | None = None) -> TryingHouse:
    house = TryingHouse(store, models or ScriptedModels(script))
    await house.start(TRIAGE)
    await house.arms.refresh()
    return house


async def all_questions(store: Store) -> list[ExamQuestion]:
    return [question for part in PARTS for question in await store.exam(part)]


async def keep(store: Store, part: ExamPart, many: int, right: str = "billing") -> None:
    labels = ["bug", "billing", "feature request"]
    check = {"kind": "label", "labels": labels, "expected": right}
    found = [TICKET.format(n=n) for n in range(40 * many)]
    for text in [one for one in found if part_of(one) == part][:many]:
        run_id = learning_id("run", text)
        store.append(ExamQuestion(f"q-{run_id}", run_id, text, check, "triage", part, None, "U1"))


async def test_a_correction_that_states_the_answer_becomes_a_question(store: Store) -> None:
    house = await house_of(store)
    asked = await house.asked(TICKET.format(n=1), "1.0")
    await house.says(asked, "correction", -0.7, "No, it's billing.", weight=0.5)
    [question] = await all_questions(store)
    assert question.check == {
        "kind": "label", "labels": ["bug", "billing", "feature request"], "expected": "billing",
    }  # fmt: skip
    assert (question.run_id, question.request) == (asked.run.run_id, TICKET.format(n=1))
    assert (question.agent, question.task_type) == ("triage", asked.run.task_type)
    assert (question.user_id, question.audience) == ("U1", asked.run.audience)
    assert question.part == part_of(TICKET.format(n=1))


async def test_nothing_becomes_a_question_while_learning_is_off(store: Store) -> None:
    house = await house_of(store)
    house.off = True
    asked = await house.asked(TICKET.format(n=1), "1.0")
    await house.says(asked, "correction", -1.0, "It is billing.")
    assert await all_questions(store) == []
    house.off = False
    await house.says(asked, "correction", -0.9, "It is billing.")
    assert len(await all_questions(store)) == 1


async def test_a_reason_and_a_thumb_up_become_questions_and_each_run_one(store: Store) -> None:
    house = await house_of(store)
    bad = await house.asked(TICKET.format(n=1), "1.0")
    await house.says(bad, "reason", -1.0, "Something in it is wrong: billing")
    good = await house.asked(TICKET.format(n=2), "2.0")
    await house.says(good, "rating", 1.0)
    await house.says(good, "rating", 1.0, user_id="U2")
    found = {q.run_id: q.check["expected"] for q in await all_questions(store)}
    assert found == {bad.run.run_id: "billing", good.run.run_id: "bug"}


async def test_an_improved_answer_that_was_accepted_becomes_a_question(store: Store) -> None:
    house = await house_of(store)
    first = await house.asked(TICKET.format(n=1), "1.0")
    house.models.script = lambda turns, model: "billing"
    again = await house.asked(
        TICKET.format(n=1), "1.1", thread_ts="1.0", instruction="read again",
        parent_run_id=first.run.run_id, agent="triage",
    )  # fmt: skip
    await house.says(again, "rating", 1.0)
    [question] = await all_questions(store)
    assert question.check["expected"] == "billing"


@pytest.mark.parametrize(
    ("kind", "value", "text", "weight"),
    [
        ("rating", -1.0, None, 1.0),
        ("reason", -1.0, "It is too long", 1.0),
        ("reason", -1.0, "bug", 1.0),  # it said so
        ("correction", -0.3, "Sort this ticket as bug, billing or none.", 0.2),
        ("reaction", 1.0, None, 0.5),
    ],
)
async def test_what_tells_no_right_answer_becomes_none(
    store: Store, kind: str, value: float, text: str | None, weight: float
) -> None:
    house = await house_of(store)
    asked = await house.asked(TICKET.format(n=1), "1.0")
    await house.says(asked, kind, value, text, weight=weight)  # type: ignore[arg-type]
    assert await all_questions(store) == []


async def test_what_rests_on_other_words_becomes_none(store: Store) -> None:
    def uses_a_tool(turns: Sequence[Turn], model: str) -> Say:
        if turns[-1].role == "tool":
            return "billing"
        return ToolCallsRequested((ToolCall("1", "look_up", {}),))

    house = await house_of(store, ScriptedModels(uses_a_tool))
    looked_up = await house.asked(TICKET.format(n=1), "1.0")
    assert "look_up" in [step.name for step in looked_up.run.steps]
    await house.says(looked_up, "rating", 1.0)
    house.models.script = script
    follows = await house.asked(TICKET.format(n=2), "2.0", thread_ts="1.0")
    await house.says(follows, "rating", 1.0)
    assert await all_questions(store) == []


@pytest.mark.parametrize("who", ["U1", "U2"])
async def test_who_declines_is_in_no_exam(store: Store, who: str) -> None:
    house = await house_of(store)
    await store.save_person(Person(who, "Ann", {"learning": "no"}))
    asked = await house.asked(TICKET.format(n=1), "1.0")
    await house.says(asked, "reason", -1.0, "billing", user_id="U2")
    assert await all_questions(store) == []


async def test_private_words_stay_with_their_audience(store: Store) -> None:
    house = await house_of(store)
    asked = await house.asked(TICKET.format(n=1), "1.0", audience=one_person("U1"))
    await house.says(asked, "reason", -1.0, "billing")
    [question] = await all_questions(store)
    assert question.audience == one_person("U1")


@given(st.text(min_size=1, max_size=40))
def test_the_same_request_is_always_in_the_same_part(text: str) -> None:
    assert part_of(text) == part_of(f"  {text} ") == part_of(text.replace(" ", "  "))


def test_the_parts_have_their_shares() -> None:
    counts = Counter(part_of(f"request number {n}") for n in range(5000))
    for part, share in PARTS.items():
        assert abs(counts[part] / 5000 - share) < 0.03


async def test_a_score_is_of_the_held_out_part_and_keeps_no_word_of_it(store: Store) -> None:
    house = await house_of(store)
    await keep(store, "held_out", 5)
    await keep(store, "trial", 3)
    trial = await house.try_out(BETTER, method="shadow")
    proposal = await store.proposal(trial.proposal_id)
    assert proposal is not None
    score = await house.exam.score(trial, proposal)
    assert score is not None
    assert (score["before"], score["after"], score["n"]) == (0.0, 1.0, 5)
    assert 0.5 < score["after_bounds"][0] < 1.0
    runs = await store.runs(RunQuery(kinds=("replay",)), with_steps=True)
    assert len(runs) == 10
    for run in runs:
        assert "charged" not in run.request
        assert run.reply is None
        assert run.input_tokens == 10
        assert run.agent_version in (TRIAGE.version, BETTER.version)


async def test_a_score_goes_on_where_it_was_broken_off(store: Store) -> None:
    house = await house_of(store)
    await keep(store, "held_out", 5)
    trial = await house.try_out(BETTER, method="shadow")
    proposal = await store.proposal(trial.proposal_id)
    assert proposal is not None
    answers, left = house.models.script, 7

    def tires(turns: Sequence[Turn], model: str) -> Say:
        nonlocal left
        left -= 1
        return answers(turns, model) if left >= 0 else away(turns, model)

    house.models.script = tires
    with pytest.raises(ModelUnavailable):
        await house.exam.score(trial, proposal)
    restarted = await house_of(store)
    score = await restarted.exam.score(trial, proposal)
    assert score is not None
    assert (score["before"], score["after"], score["n"]) == (0.0, 1.0, 5)
    assert len(restarted.models.asked) == 3


async def test_without_questions_there_is_no_score(store: Store) -> None:
    house = await house_of(store)
    await keep(store, "learn", 3)
    trial = await house.try_out(BETTER, method="shadow")
    proposal = await store.proposal(trial.proposal_id)
    assert proposal is not None
    assert await house.exam.score(trial, proposal) is None


async def test_a_replay_asks_both_versions_a_few_questions_at_a_time(store: Store) -> None:
    house = await house_of(store)
    await keep(store, "trial", 5)
    await keep(store, "held_out", 3)
    trial = await house.try_out(BETTER, method="replay", most=300)
    proposal = await store.proposal(trial.proposal_id)
    assert proposal is not None
    assert house.arms.courses == ()
    assert await house.replays.questions("triage", None) == 5
    assert [await house.replays.run(trial, proposal, 3) for _ in range(3)] == [3, 2, 0]
    assert len(house.models.asked) == 10
    seen = await house.seen(trial)
    assert {(o.active, o.candidate, o.source) for o in seen} == {(0.0, 1.0, "check")}
    assert len({o.run_id for o in seen}) == 5
    for aspect in ("error", "latency_ms", "cost_usd"):
        assert len(await house.seen(trial, aspect)) == 5
    runs = await store.runs(RunQuery(kinds=("replay",)))
    assert Counter(run.reply for run in runs) == {"bug": 5, "billing": 5}


async def test_a_replay_goes_on_where_it_was_broken_off(store: Store) -> None:
    house = await house_of(store)
    await keep(store, "trial", 4)
    trial = await house.try_out(BETTER, method="replay", most=300)
    proposal = await store.proposal(trial.proposal_id)
    assert proposal is not None
    await house.replays.run(trial, proposal, 1)

    def broke(turns: Sequence[Turn], model: str) -> Say:
        raise BudgetExceeded("Learning has used its tokens.")

    house.models.script = broke
    with pytest.raises(BudgetExceeded):
        await house.replays.run(trial, proposal, 5)
    restarted = await house_of(store)
    assert await restarted.replays.run(trial, proposal, 5) == 3
    assert len(await house.seen(trial)) == 4


async def test_a_replay_keeps_nothing_of_a_model_that_is_away(store: Store) -> None:
    house = await house_of(store)
    await keep(store, "trial", 3)
    trial = await house.try_out(BETTER, method="replay", most=300)
    proposal = await store.proposal(trial.proposal_id)
    assert proposal is not None
    answers = house.models.script

    def half(turns: Sequence[Turn], model: str) -> Say:
        return answers(turns, model) if len(house.models.asked) % 2 else away(turns, model)

    house.models.script = half
    with pytest.raises(ModelUnavailable):
        await house.replays.run(trial, proposal, 5)
    assert await store.observations(trial.trial_id) == []
    house.models.script = answers
    assert await house.replays.run(trial, proposal, 5) == 3
    assert {(o.active, o.candidate) for o in await house.seen(trial)} == {(0.0, 1.0)}


async def test_what_rests_on_private_words_says_nothing_to_others(store: Store) -> None:
    house = await house_of(store)
    await keep(store, "trial", 4)
    [first, *_] = await store.exam("trial")
    secret = private_channel("C9")
    store.append(replace(first, question_id="q9", run_id="r9", request="x", audience=secret))
    trial = await house.try_out(
        BETTER, document=variant_name("triage", "kind-1"), against="triage", method="replay",
        audience=secret, most=300,
    )  # fmt: skip
    proposal = await store.proposal(trial.proposal_id)
    assert proposal is not None
    assert [await house.replays.run(trial, proposal, 3) for _ in range(2)] == [1, 0]
    runs = await store.runs(RunQuery(kinds=("replay",)))
    assert {run.audience for run in runs} == {secret}


async def test_what_would_change_something_is_not_compared(store: Store) -> None:
    house = await house_of(store)
    await keep(store, "trial", 1)
    trial = await house.try_out(BETTER, method="replay", most=300)
    proposal = await store.proposal(trial.proposal_id)
    assert proposal is not None
    NOTED.clear()
    house.tools["note"] = replace(notes("write"), lent_to=("triage",))

    def writes(turns: Sequence[Turn], model: str) -> Say:
        if turns[-1].role == "tool":
            return "billing"
        return ToolCallsRequested((ToolCall("1", "note", {"text": "x"}),))

    house.models.script = writes
    assert await house.replays.run(trial, proposal, 5) == 1
    assert NOTED == []
    assert await house.seen(trial) == []
    assert await house.replays.run(trial, proposal, 5) == 0


async def test_a_request_asked_by_many_is_one_question(store: Store) -> None:
    house = await house_of(store)
    await keep(store, "trial", 1)
    [first] = await store.exam("trial")
    again = replace(
        first, question_id="q-again", run_id="r-again", request=first.request.upper(),
        created_at=9.0,
    )  # fmt: skip
    store.append(again)
    [question] = await house.exam.questions("trial", "triage--kind-9", None, 10)
    assert question == first


def test_the_bounds_of_a_score_hold_it() -> None:
    assert Score(0, 0).share is None
    assert Score(0, 0).bounds == (0.0, 1.0)
    low, high = Score(9, 10).bounds
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)
