from collections.abc import Sequence
from typing import Any

import pytest

from agents.errors import ModelUnavailable
from agents.turns import Turn
from database.learning import Decision, LearnerState, Observation, Trial
from database.records import OutcomeSource, Person
from database.store import Store
from orchestrator.requests import ReplyFinished
from orchestrator.trials.outcomes import SETTLED_SECONDS
from orchestrator.trials.who_told import mismatch, selection
from tests.orchestrator.fakes import Say, ScriptedModels, agent, away, refused
from tests.orchestrator.trials.house import TryingHouse
from tests.orchestrator.trials.observed import trial as a_trial

TICKET = "Sort this ticket as bug, billing or feature request.\nI was charged twice, case {n}."
TRIAGE = agent("triage", "sort this ticket as bug or billing", "write a poem about a ticket")
BETTER = agent(*("triage", *TRIAGE.examples), system_prompt="You are sharp.")


def sharp(turns: Sequence[Turn]) -> bool:
    return "sharp" in turns[0].text


def script(turns: Sequence[Turn], model: str) -> Say:
    if "poem" in turns[-1].text:
        return "Roses, sharp." if sharp(turns) else "Roses."
    return "billing" if sharp(turns) else "bug"


async def house_of(store: Store, models: ScriptedModels | None = None) -> TryingHouse:
    house = TryingHouse(store, models or ScriptedModels(script))
    await house.start(TRIAGE)
    await house.arms.refresh()
    return house


async def both_arms(house: TryingHouse, many: int, **more: Any) -> list[ReplyFinished]:
    return [await house.asked(TICKET.format(n=n), f"{n}.0", **more) for n in range(1, many + 1)]


def arm_of(finished: ReplyFinished) -> str:
    return str((finished.run.route or {})["arm"])


async def said_by(seen: Sequence[Observation]) -> list[tuple[Any, Any, Any]]:
    return [(o.active, o.candidate, o.source) for o in seen]


# Splits


async def test_a_split_is_observed_in_the_arm_that_was_served(store: Store) -> None:
    house = await house_of(store)
    trial = await house.try_out(BETTER, share=1.0)
    asked = await both_arms(house, 12)
    assert {arm_of(one) for one in asked} == {"active", "candidate"}
    for one in asked:
        candidate = arm_of(one) == "candidate"
        assert one.run.reply == ("billing" if candidate else "bug")
        assert one.run.agent_version == (BETTER if candidate else TRIAGE).version
    for aspect, value in (("error", 0.0), ("latency_ms", 1.0), ("cost_usd", 0.001)):
        seen = {o.run_id: o for o in await house.seen(trial, aspect)}
        assert len(seen) == 12
        for one in asked:
            o, candidate = seen[one.run.run_id], arm_of(one) == "candidate"
            assert (o.active, o.candidate) == ((None, value) if candidate else (value, None))
            assert o.served == one.run.agent_version
    assert await house.seen(trial) == []


async def test_what_people_say_is_how_right_an_arm_was(store: Store) -> None:
    house = await house_of(store)
    trial = await house.try_out(BETTER, share=1.0)
    asked = await both_arms(house, 8)
    for one in asked:
        await house.says(one, "rating", 1.0 if arm_of(one) == "candidate" else -1.0)
    seen = await house.seen(trial)
    assert {(o.active, o.candidate, o.source) for o in seen} == {
        (0.0, None, "user"), (None, 1.0, "user"),
    }  # fmt: skip
    complaints = await house.seen(trial, "complaint")
    assert {(o.active, o.candidate) for o in complaints} == {(1.0, None)}


async def test_of_a_thread_one_answer_counts_that_tells(store: Store) -> None:
    house = await house_of(store)
    trial = await house.try_out(BETTER, share=1.0)
    first = await house.asked(TICKET.format(n=1), "1.0")
    second = await house.asked(TICKET.format(n=2), "2.0", thread_ts="1.0")
    third = await house.asked(TICKET.format(n=3), "3.0", thread_ts="1.0")
    assert arm_of(first) == arm_of(second) == arm_of(third)
    inside = await house.asked(TICKET.format(n=4), "5.0", thread_ts="4.0")
    restarted = await house_of(store)
    await restarted.asked(TICKET.format(n=5), "6.0", thread_ts="4.0")
    seen = await house.seen(trial, "error")
    assert [o.run_id for o in seen] == [first.run.run_id, inside.run.run_id]
    await restarted.says(second, "rating", 1.0)
    await restarted.says(third, "rating", -1.0)
    assert [o.run_id for o in await house.seen(trial)] == [second.run.run_id]


async def test_an_arm_whose_model_was_away_says_nothing(store: Store) -> None:
    house = await house_of(store, ScriptedModels(away))
    trial = await house.try_out(BETTER, share=1.0)
    [first, *_] = await both_arms(house, 8)
    await house.says(first, "rating", -1.0)
    assert await store.observations(trial.trial_id) == []


async def test_an_arm_that_fails_fails_in_its_own_arm(store: Store) -> None:
    def fails(turns: Sequence[Turn], model: str) -> Say:
        return refused(turns, model) if sharp(turns) else "bug"

    house = await house_of(store, ScriptedModels(fails))
    trial = await house.try_out(BETTER, share=1.0)
    asked = await both_arms(house, 8)
    errors = {o.run_id: o for o in await house.seen(trial, "error")}
    outcomes = {o.run_id: o for o in await house.seen(trial)}
    for one in asked:
        o = errors[one.run.run_id]
        if arm_of(one) == "candidate":
            assert (o.active, o.candidate, o.served) == (None, 1.0, None)
            assert outcomes[one.run.run_id].candidate == 0.0
        else:
            assert (o.active, o.candidate) == (0.0, None)
            assert one.run.run_id not in outcomes


async def test_silence_is_no_complaint_after_a_while(store: Store) -> None:
    house = await house_of(store)
    trial = await house.try_out(BETTER, share=1.0)
    asked = await both_arms(house, 6)
    await house.says(asked[0], "rating", -1.0)
    await house.says(asked[1], "rephrase", -0.5, "again", weight=0.3)
    await house.outcomes.settle()
    assert len(await house.seen(trial, "complaint")) == 1
    house.clock.now += SETTLED_SECONDS + 1
    await house.outcomes.settle()
    await house.outcomes.settle()
    complaints = {o.run_id: o for o in await house.seen(trial, "complaint")}
    told = [max(o.active or 0.0, o.candidate or 0.0) for o in complaints.values()]
    assert sorted(told) == [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    seen = {o.run_id: o.source for o in await house.seen(trial)}
    assert seen == {asked[0].run.run_id: "user", asked[1].run.run_id: "implicit"}


async def test_who_declines_says_nothing_that_counts(store: Store) -> None:
    house = await house_of(store)
    await store.save_person(Person("U2", "Bo", {"learning": "no"}))
    trial = await house.try_out(BETTER, share=1.0)
    asked = await house.asked(TICKET.format(n=1), "1.0")
    await house.says(asked, "rating", -1.0, user_id="U2")
    assert await house.seen(trial) == []


def served(candidates: int, actives: int) -> list[Observation]:
    return [
        Observation(f"o{n}", "t1", f"r{n}", "error", *((None, 0.0) if n < candidates else (0.0,)))
        for n in range(candidates + actives)
    ]


def test_a_split_whose_arms_are_not_served_as_assigned_must_stop() -> None:
    split = a_trial("split")
    assert mismatch(split, served(50, 50)) is None
    reason = mismatch(split, served(100, 20))
    assert reason is not None
    assert "100 of 120" in reason
    assert mismatch(a_trial("shadow"), served(100, 20)) is None


# Pairs


async def shadowed(house: TryingHouse, text: str) -> tuple[Trial, ReplyFinished]:
    trial = await house.try_out(BETTER, method="shadow", task_type=None)
    return trial, await house.asked(text, "1.0")


@pytest.mark.parametrize(
    ("kind", "value", "text", "pair"),
    [
        ("correction", -0.7, "No, it's billing.", (0.0, 1.0, "check")),
        ("reason", -1.0, "it should be feature request", (0.0, 0.0, "check")),
        ("rating", 1.0, None, (1.0, 0.0, "check")),
    ],
)
async def test_a_pair_is_judged_by_the_answer_that_people_tell(
    store: Store, kind: Any, value: float, text: str | None, pair: tuple[float, float, str]
) -> None:
    house = await house_of(store)
    trial, asked = await shadowed(house, TICKET.format(n=1))
    await house.says(asked, kind, value, text)
    assert await said_by(await house.seen(trial)) == [pair]
    [one] = await house.seen(trial)
    assert one.served == TRIAGE.version


async def test_a_word_on_one_answer_is_one_on_the_same_answer_of_the_other(store: Store) -> None:
    house = await house_of(store, ScriptedModels(lambda turns, model: "**Roses** are red"))
    trial, asked = await shadowed(house, "write a poem about a ticket")
    await house.says(asked, "rating", -1.0)
    assert await said_by(await house.seen(trial)) == [(0.0, 0.0, "user")]


async def test_a_word_on_one_answer_says_nothing_of_another(store: Store) -> None:
    house = await house_of(store)
    trial, asked = await shadowed(house, "write a poem about a ticket")
    await house.says(asked, "rating", 1.0)
    assert await house.seen(trial) == []
    assert await house.seen(trial, "complaint") == []
    await house.says(asked, "rating", -1.0, user_id="U2")
    assert await house.seen(trial) == []
    assert await said_by(await house.seen(trial, "complaint")) == [(1.0, None, "user")]


async def test_silence_is_no_complaint_in_pairs_either(store: Store) -> None:
    house = await house_of(store)
    trial = await house.try_out(BETTER, method="shadow")
    asked = [await house.asked(TICKET.format(n=n), f"{n}.0") for n in range(1, 4)]
    await house.says(asked[0], "rating", -1.0)
    await house.says(asked[1], "rephrase", -0.5, "again", weight=0.3)
    house.clock.now += SETTLED_SECONDS + 1
    await house.outcomes.settle()
    await house.outcomes.settle()
    complaints = {o.run_id: o.active for o in await house.seen(trial, "complaint")}
    assert [complaints[one.run.run_id] for one in asked] == [1.0, 1.0, 0.0]


async def test_what_was_said_before_the_candidate_had_answered_counts(store: Store) -> None:
    house = await house_of(store)
    trial = await house.try_out(BETTER, method="shadow")
    asked = await house.ask_only(TICKET.format(n=1), "1.0")
    house.store.append(asked.run)
    await house.says(asked, "reason", -1.0, "billing")
    assert await house.seen(trial) == []
    await house.orchestrator.record(asked, "1.5")
    assert await house.bus.drain()
    await house.shadows.done()
    assert await said_by(await house.seen(trial)) == [(0.0, 1.0, "check")]


async def test_an_answer_that_is_none_is_not_right(store: Store) -> None:
    def fails(turns: Sequence[Turn], model: str) -> Say:
        return refused(turns, model) if sharp(turns) else "Roses."

    house = await house_of(store, ScriptedModels(fails))
    trial, asked = await shadowed(house, "write a poem about a ticket")
    await house.says(asked, "rating", 1.0)
    assert await said_by(await house.seen(trial)) == [(1.0, 0.0, "user")]


# The judge


def better(*answers: str) -> list[dict[str, Any] | Any]:
    return [{"better": answer} for answer in answers]


@pytest.mark.parametrize(
    ("answers", "pair"),
    [
        (("B", "A"), (0.0, 1.0)),
        (("A", "B"), (1.0, 0.0)),
        (("A", "A"), (0.5, 0.5)),  # whichever stands first: it cannot tell
        (("B", "B"), (0.5, 0.5)),
    ],
)
async def test_a_model_judges_what_nobody_spoke_of_in_both_orders(
    store: Store, answers: tuple[str, str], pair: tuple[float, float]
) -> None:
    house = await house_of(store)
    trial, _ = await shadowed(house, "write a poem about a ticket")
    house.models.structured_answers = better(*answers)
    await house.outcomes.settle()
    assert await house.seen(trial) == []  # people may still speak
    house.clock.now += SETTLED_SECONDS + 1
    await house.outcomes.settle()
    assert await said_by(await house.seen(trial)) == [(*pair, "judge")]
    forth, back = [turns[-1].text for _, turns in house.models.asked[-2:]]
    assert forth.index("Roses.") < forth.index("Roses, sharp.")
    assert back.index("Roses, sharp.") < back.index("Roses.")
    assert (await house.outcomes.figures(trial))["judged_by"] == {"judge": 1}


async def test_answers_cannot_end_their_quotation(store: Store) -> None:
    house = await house_of(store)
    await shadowed(house, "write a poem about a ticket")
    house.models.structured_answers = better("A", "A")
    house.clock.now += SETTLED_SECONDS + 1
    await house.outcomes.settle()
    marks = set()
    for _, turns in house.models.asked[-2:]:
        mark = turns[-1].text.split("<")[1].split(">")[0]
        assert turns[-1].text.count(f"<{mark}>") == turns[-1].text.count(f"</{mark}>") == 3
        assert "never an instruction" in turns[0].text
        marks.add(mark)
    assert len(marks) == 2


async def test_a_judge_is_measured_against_people_for_each_kind(store: Store) -> None:
    house = await house_of(store)
    trial = await house.try_out(BETTER, method="shadow")
    kind = None
    for n in range(1, 4):
        asked = await house.asked(TICKET.format(n=n), f"{n}.0")
        kind = asked.run.task_type
        agrees = better("B", "A") if n < 3 else better("A", "B")
        house.models.structured_answers = agrees
        await house.says(asked, "reason", -1.0, "billing")
        await house.outcomes.settle()
    await house.outcomes.settle()
    share, labels = await house.judge.agreement(kind)
    assert (round(share or 0, 2), labels) == (0.67, 3)
    assert await house.judge.agreement("kind-99") == (None, 0)
    assert (await house.judge.agreement(None))[1] == 3
    figures = await house.outcomes.figures(trial)
    assert (figures["judge_agreement"], figures["judge_labels"]) == (0.667, 3)
    restarted = await house_of(store)
    await restarted.outcomes.settle()  # what was asked before is not asked again
    assert (await restarted.judge.agreement(kind))[1] == 3
    reviews = [r async for page in store.pages_of_runs() for r in page if r.kind == "review"]
    assert len(reviews) == 6
    assert {r.agent for r in reviews} == {"judge"}
    assert {r.input_tokens for r in reviews} == {10}


async def test_a_judge_that_is_often_wrong_is_not_asked_any_more(store: Store) -> None:
    house = await house_of(store)
    await house.try_out(BETTER, method="shadow")
    kinds = set()
    for n in range(1, 9):
        asked = await house.asked(TICKET.format(n=n), f"{n}.0")
        house.models.structured_answers = better("A", "B")
        await house.says(asked, "reason", -1.0, "billing")
        await house.outcomes.settle()
        kinds.add(asked.run.task_type)
    [kind] = kinds
    assert await house.judge.agreement(kind) == (0.0, 7)  # 13 of 20 would be too few already
    assert not await house.judge.worth_asking(kind, unproven=True)
    assert await house.judge.worth_asking("kind-99", unproven=True)


async def test_a_judge_that_guesses_is_tried_on_no_further_kind(store: Store) -> None:
    house = await house_of(store)
    kinds = {f"kind-{n}": [n == 1, 5] for n in range(1, 5)}
    counted = LearnerState("judge", {"kinds": kinds}, revision=1)
    await store.decide(Decision(learners=(counted,)))
    assert not await house.judge.worth_asking("kind-99", unproven=True)


async def test_a_slow_judge_counts_only_once_it_has_shown_that_it_can(store: Store) -> None:
    house = await house_of(store)
    trial, _ = await shadowed(house, "write a poem about a ticket")
    house.background.gives_way = True
    house.clock.now += SETTLED_SECONDS + 1
    house.models.structured_answers = better("B", "A")
    await house.outcomes.settle()
    assert await house.seen(trial) == []
    counted = LearnerState("judge", {"kinds": {"kind-1": [20, 20]}}, revision=1)
    await store.decide(Decision(learners=(counted,)))
    restarted = await house_of(store)
    restarted.background.gives_way = True
    restarted.clock.now = house.clock.now
    restarted.models.structured_answers = better("B", "A")
    await restarted.outcomes.settle()
    [one] = await house.seen(trial, "complaint")
    assert one.active == 0.0
    assert await said_by(await house.seen(trial)) == [(0.0, 1.0, "judge")]


async def test_a_judge_that_is_away_leaves_the_pair_for_later(store: Store) -> None:
    house = await house_of(store)
    trial, _ = await shadowed(house, "write a poem about a ticket")
    house.clock.now += SETTLED_SECONDS + 1
    house.models.structured_answers = [ModelUnavailable("away")]
    await house.outcomes.settle()
    assert await house.seen(trial) == []
    house.models.structured_answers = better("B", "A")
    await house.outcomes.settle()
    assert await said_by(await house.seen(trial)) == [(0.0, 1.0, "judge")]


# What may be said of them all


def pair(n: int, active: float, candidate: float, source: OutcomeSource = "check") -> Observation:
    return Observation(f"p{n}", "t1", f"r{n}", "outcome", active, candidate, source=source)


def silent(n: int) -> Observation:
    return Observation(f"e{n}", "t1", f"r{n}", "error", 0.0, 0.0)


def test_where_everybody_speaks_the_worst_case_is_the_effect() -> None:
    pairs = [pair(n, 0.0, float(n < 30)) for n in range(40)]
    pairs += [pair(n, 1.0, float(n < 90)) for n in range(40, 100)]
    found = selection(pairs)
    assert found["spoken_of"] == 1.0
    assert found["effect_at_worst"] == pytest.approx((30 - 10) / 100)


def test_a_change_without_effect_is_none_at_worst_though_only_complaints_are_heard() -> None:
    # 70 of 100 answers are right; the candidate is right on 14 of the 30 others and wrong on 14 of
    # the 70. People complain about all 30, and praise ten of the right ones.
    pairs = [pair(n, 0.0, float(n < 14)) for n in range(30)]
    pairs += [pair(n, 1.0, float(n >= 32)) for n in range(30, 40)]
    everything = [*pairs, *(silent(n) for n in range(100))]
    assert sum((o.candidate or 0) - (o.active or 0) for o in pairs) == 12  # it looks better
    found = selection(everything)
    assert found["spoken_of"] == 0.4
    assert found["effect_at_worst"] == pytest.approx(0.3 * 14 / 30 - 0.7 * 2 / 10, abs=1e-3)


def test_without_praise_nothing_can_be_said() -> None:
    assert selection([pair(1, 0.0, 1.0), silent(2)])["effect_at_worst"] is None
    assert selection([]) == {}


async def test_pairs_are_judged_after_a_restart(store: Store) -> None:
    house = await house_of(store)
    trial = await house.try_out(BETTER, method="shadow")
    first = await house.asked(TICKET.format(n=1), "1.0")
    await house.asked("write a poem about a ticket", "2.0")
    await house.shadows.stop()
    restarted = await house_of(store)
    restarted.clock.now = house.clock.now + SETTLED_SECONDS + 1
    await restarted.says(first, "reason", -1.0, "billing")
    restarted.models.structured_answers = better("B", "A")
    await restarted.outcomes.settle()
    assert await said_by(await house.seen(trial)) == [(0.0, 1.0, "check"), (0.0, 1.0, "judge")]


@pytest.mark.parametrize("method", ["shadow", "split"])
async def test_what_answers_take_is_known_without_prices(store: Store, method: Any) -> None:
    house = await house_of(store, ScriptedModels(lambda *_: "bug"))
    trial = await house.try_out(BETTER, method=method, share=1.0)
    await both_arms(house, 10)
    assert await house.outcomes.tokens(trial) == {}, "too few"
    for n in range(11, 61):
        await house.asked(TICKET.format(n=n), f"{n}.0")
    told = await house.outcomes.tokens(trial)
    assert told["tokens_ratio"] == 1.0
    assert told["tokens_of"] >= 20
