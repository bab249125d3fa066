import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from agents.errors import (
    ModelError,
    ModelPaused,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)
from agents.ports import ToolContext
from agents.tools.base import Tool
from agents.turns import ToolCall, ToolCallsRequested, Turn
from database.learning import Trial
from database.records import Message, Person, Run, RunQuery, one_person
from database.store import Store
from orchestrator.trials.outcomes import shadow_id
from orchestrator.trials.sequential import verdict
from tests.orchestrator.fakes import Say, ScriptedModels, agent, away, refused
from tests.orchestrator.trials.house import TryingHouse

COOK = agent("cook", "how do I cook rice")
BETTER = agent("cook", "how do I cook rice", system_prompt="You are a better cook.")
NOTED: list[str] = []


def is_candidate(turns: Sequence[Turn]) -> bool:
    return "better cook" in turns[0].text


def script(turns: Sequence[Turn], model: str) -> Say:
    return "With more water." if is_candidate(turns) else "With water."


async def house_of(store: Store, models: ScriptedModels, **more: Any) -> TryingHouse:
    house = TryingHouse(store, models, **more)
    await house.start(COOK)
    await house.arms.refresh()
    return house


async def shadow_of(house: TryingHouse, run: Run, trial_id: str) -> Run | None:
    return await house.store.run(shadow_id(run.run_id, trial_id))


async def test_the_candidate_answers_the_same_unseen(store: Store) -> None:
    models = ScriptedModels(script)
    house = await house_of(store, models)
    trial = await house.try_out(BETTER, method="shadow")
    first = await house.asked("how do I cook rice for ann@example.org", "1.0")
    await house.orchestrator.heard(
        Message("C1", "1.7", "1.0", "person", "I like rice", "U2", created_at=1.7)
    )
    second = await house.asked("and for three?", "2.0", thread_ts="1.0")
    assert (first.run.reply, second.run.reply) == ("With water.", "With water.")
    assert second.run.agent_version == COOK.version
    seen, unseen = models.asked[-2][1], models.asked[-1][1]
    assert [t for t in seen if t.role != "system"] == [t for t in unseen if t.role != "system"]
    assert "better" in unseen[0].text
    assert "better" not in seen[0].text
    shadow = await shadow_of(house, first.run, trial.trial_id)
    assert shadow is not None
    assert (shadow.kind, shadow.parent_run_id) == ("shadow", first.run.run_id)
    assert (shadow.reply, shadow.agent_version) == ("With more water.", BETTER.version)
    assert shadow.request == "how do I cook rice for [email]"
    assert shadow.audience == first.run.audience
    assert shadow.route == {"trial": trial.trial_id, "arm": "candidate"}
    said = await store.thread("C1", "1.0")
    assert not [m for m in said if "more water" in m.text]
    assert [r.reply for r in await store.runs(RunQuery())] == ["With water.", "With water."]


async def test_a_pair_is_observed_by_what_was_really_served(store: Store) -> None:
    house = await house_of(store, ScriptedModels(script))
    trial = await house.try_out(BETTER, method="shadow")
    run = (await house.asked("how do I cook rice", "1.0")).run
    for aspect, both in (("error", (0.0, 0.0)), ("latency_ms", (1.0, 1.0)),
                         ("cost_usd", (0.001, 0.001))):  # fmt: skip
        [one] = await house.seen(trial, aspect)
        assert (one.active, one.candidate) == both
        assert (one.run_id, one.served) == (run.run_id, COOK.version)
        assert one.other_run_id == shadow_id(run.run_id, trial.trial_id)
    assert await house.seen(trial, "outcome") == []


async def test_a_share_of_the_requests_is_compared_and_who_declines_never_is(
    store: Store,
) -> None:
    house = await house_of(store, ScriptedModels(script))
    await store.save_person(Person("U2", "Bo", {"learning": "no"}))
    trial = await house.try_out(BETTER, method="shadow", share=0.5)
    for n in range(1, 21):
        await house.asked("how do I cook rice", f"{n}.0")
    compared = len(await house.seen(trial, "error"))
    assert 3 < compared < 17
    for n in range(21, 31):
        await house.asked("how do I cook rice", f"{n}.0", user_id="U2")
    assert len(await house.seen(trial, "error")) == compared


async def test_nothing_is_asked_beyond_the_budget_or_after_the_trial(store: Store) -> None:
    models = ScriptedModels(script)
    house = await house_of(store, models)
    trial = await house.try_out(BETTER, method="shadow")
    house.may_spend = False
    await house.asked("how do I cook rice", "1.0")
    assert len(models.asked) == 1
    house.may_spend = True
    await house.end(trial)
    await house.asked("how do I cook rice", "2.0")
    assert len(models.asked) == 2
    assert await missing(house, trial) == 1


async def missing(house: TryingHouse, trial: Trial) -> int:
    """What was to be compared and was not; it is no request of the verdict."""
    figures = await house.outcomes.figures(trial)
    seen = await house.store.observations(trial.trial_id)
    compared = {o.run_id for o in seen if o.active is not None}
    assert verdict(trial, seen).requests == len(compared)
    return int(figures["missing"])


async def test_a_candidate_that_fails_is_an_error_of_its_own(store: Store) -> None:
    def fails(turns: Sequence[Turn], model: str) -> Say:
        return refused(turns, model) if is_candidate(turns) else "With water."

    house = await house_of(store, ScriptedModels(fails))
    trial = await house.try_out(BETTER, method="shadow")
    run = (await house.asked("how do I cook rice", "1.0")).run
    [error] = await house.seen(trial, "error")
    assert (error.active, error.candidate) == (0.0, 1.0)
    assert await house.seen(trial, "latency_ms") == []
    shadow = await shadow_of(house, run, trial.trial_id)
    assert shadow is not None
    assert "m-strong does not accept that" in (shadow.error or "")


@pytest.mark.parametrize(
    "why",
    [
        ModelUnavailable("It is away."),
        ModelPaused("It failed 5 times in a row."),
        ModelRateLimited("Slower.", 5.0),
        ModelTimeout("It took too long."),
    ],
)
async def test_a_candidate_whose_model_is_away_did_not_fail(store: Store, why: ModelError) -> None:
    models = ScriptedModels(lambda turns, _: why if is_candidate(turns) else "With water.")
    house = await house_of(store, models)
    trial = await house.try_out(BETTER, method="shadow")
    for n in range(1, 16):
        finished = await house.asked("how do I cook rice", f"{n}.0")
    assert await missing(house, trial) == 15
    await house.says(finished, "rating", -1.0)
    await house.outcomes.settle()
    seen = await store.observations(trial.trial_id)
    assert {(o.aspect, o.active, o.candidate) for o in seen} == {("error", None, None)}
    models.script = script
    await house.asked("how do I cook rice", "99.0")
    [pair] = [o for o in await house.seen(trial, "error") if o.active is not None]
    assert (pair.active, pair.candidate) == (0.0, 0.0)


async def test_an_active_version_whose_model_was_away_did_not_fail_either(store: Store) -> None:
    models = ScriptedModels(away)
    house = await house_of(store, models)
    trial = await house.try_out(BETTER, method="shadow")
    finished = await house.ask_only("how do I cook rice", "1.0")
    assert "m-strong is away" in (finished.run.error or "")
    models.script = script
    await house.orchestrator.record(finished, "1.5")
    assert await house.bus.drain()
    await house.shadows.done()
    await house.says(finished, "rating", -1.0)
    assert await missing(house, trial) == 1
    assert len(await store.observations(trial.trial_id)) == 1


@pytest.mark.parametrize(
    ("why", "both"), [(refused, (1.0, 0.0)), (away, (None, None))], ids=["failed", "away"]
)
async def test_an_active_version_that_fails_is_an_error_of_its_own(
    store: Store, why: Callable[[Sequence[Turn], str], Say], both: tuple[float | None, ...]
) -> None:
    def fails(turns: Sequence[Turn], model: str) -> Say:
        if "You are cook" in turns[0].text:
            return why(turns, model)
        return script(turns, model)

    models = ScriptedModels(fails)
    models.names = {"strong": "m-strong", "fast": "m-fast", "m-cook": "m-cook"}
    cook = agent("cook", "how do I cook rice", model="m-cook")
    house = TryingHouse(store, models)
    await house.start(cook)
    better = agent("cook", "how do I cook rice", system_prompt="You are a better cook.")
    trial = await house.try_out(better, method="shadow")
    finished = await house.asked("how do I cook rice", "1.0")
    assert finished.run.agent == "generalist"
    [error] = await house.seen(trial, "error")
    assert (error.active, error.candidate, error.served) == (*both, None)
    await house.says(finished, "rating", -1.0)
    assert {o.aspect for o in await store.observations(trial.trial_id)} == {"error"}


async def test_an_answer_of_another_version_than_the_trials_is_no_pair(store: Store) -> None:
    house = await house_of(store, ScriptedModels(script))
    trial = await house.try_out(BETTER, method="shadow")
    best = agent("cook", "how do I cook rice", system_prompt="You are the best cook.")
    finished = await house.ask_only("how do I cook rice", "1.0")
    stray = replace(finished, run=replace(finished.run, agent_version=best.version))
    await house.orchestrator.record(stray, "1.5")
    assert await house.bus.drain()
    await house.shadows.done()
    [error] = await house.seen(trial, "error")
    assert (error.active, error.candidate, error.served) == (None, None, best.version)


def notes(effect: str) -> Tool:
    async def call(given: Mapping[str, Any], context: ToolContext) -> str:
        NOTED.append(str(given["text"]))
        return f"noted {given['text']} as {len(NOTED)}"

    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    return Tool(
        "note", "Notes.", schema, "write" if effect == "write" else "read", "Noting", call,
        foreign=False,
    )  # fmt: skip


def noting(candidates: str) -> Any:
    def say(turns: Sequence[Turn], model: str) -> Say:
        if turns[-1].role == "tool":
            return f"Done: {turns[-1].text}"
        what = candidates if is_candidate(turns) else "rice"
        return ToolCallsRequested((ToolCall("1", "note", {"text": what}),))

    return say


async def noting_house(store: Store, effect: str, candidates: str) -> TryingHouse:
    NOTED.clear()
    house = TryingHouse(store, ScriptedModels(noting(candidates)), {"note": notes(effect)})
    await house.start(agent("cook", "how do I cook rice", tools=["note"]))
    return house


def with_notes() -> Any:
    return agent(
        "cook", "how do I cook rice", tools=["note"], system_prompt="You are a better cook."
    )


async def test_tools_answer_the_candidate_from_the_recording(store: Store) -> None:
    house = await noting_house(store, "write", "rice")
    trial = await house.try_out(with_notes(), method="shadow")
    run = (await house.asked("how do I cook rice", "1.0")).run
    shadow = await shadow_of(house, run, trial.trial_id)
    assert shadow is not None
    assert NOTED == ["rice"]
    assert run.reply == shadow.reply == "Done: noted rice as 1"
    assert len(await house.seen(trial, "error")) == 1


async def test_a_change_that_was_not_recorded_is_not_made_and_nothing_is_compared(
    store: Store,
) -> None:
    house = await noting_house(store, "write", "soup")
    trial = await house.try_out(with_notes(), method="shadow")
    run = (await house.asked("how do I cook rice", "1.0")).run
    assert NOTED == ["rice"]
    shadow = await shadow_of(house, run, trial.trial_id)
    assert shadow is not None
    assert (shadow.route or {})["not_comparable"] == "note"
    assert await missing(house, trial) == 1
    await house.outcomes.settle()
    assert await house.seen(trial, "outcome") == []


async def test_what_only_reads_is_read_anew_where_it_was_not_recorded(store: Store) -> None:
    house = await noting_house(store, "read", "soup")
    trial = await house.try_out(with_notes(), method="shadow")
    await house.asked("how do I cook rice", "1.0")
    assert NOTED == ["rice", "soup"]
    assert len(await house.seen(trial, "error")) == 1


async def test_words_that_were_deleted_meanwhile_are_not_kept(store: Store) -> None:
    models = ScriptedModels(script)
    house = await house_of(store, models)
    trial = await house.try_out(BETTER, method="shadow")
    finished = await house.ask_only("how do I cook rice", "1.0")
    models.hold = asyncio.Event()
    await house.orchestrator.record(finished, "1.5")
    await house.calls(2)
    await house.orchestrator.deleted("C1", "1.0")
    models.hold.set()
    await house.shadows.done()
    shadow = await shadow_of(house, finished.run, trial.trial_id)
    assert shadow is not None
    assert (shadow.request, shadow.reply) == ("", None)


@pytest.mark.parametrize("gives_way", [True, False])
async def test_a_person_goes_first_where_the_machine_is_shared(
    store: Store, gives_way: bool
) -> None:
    models = ScriptedModels(script)
    house = await house_of(store, models, gives_way=gives_way)
    trial = await house.try_out(BETTER, method="shadow")
    first = await house.ask_only("how do I cook rice", "1.0")
    models.hold = asyncio.Event()
    await house.orchestrator.record(first, "1.5")
    await house.calls(2)
    task = asyncio.create_task(house.ask_only("how do I cook rice", "2.0"))
    await house.calls(3)
    models.hold.set()
    await task
    await house.shadows.done()
    begun = [turns for _, turns in models.asked if is_candidate(turns)]
    assert len(begun) == (2 if gives_way else 1)
    shadow = await shadow_of(house, first.run, trial.trial_id)
    assert shadow is not None
    assert shadow.reply == "With more water."


async def test_switched_off_what_waits_is_dropped(store: Store) -> None:
    models = ScriptedModels(script)
    house = await house_of(store, models, gives_way=True)
    trial = await house.try_out(BETTER, method="shadow")
    asked = [await house.ask_only("how do I cook rice", f"{n}.0") for n in range(1, 4)]
    models.hold = asyncio.Event()
    for finished in asked:
        await house.orchestrator.record(finished, "9.5")
    await house.calls(4)
    assert await house.bus.drain()  # one is under way, two wait
    house.off = True
    models.hold.set()
    await house.shadows.done()
    assert len(models.asked) == 4
    assert await missing(house, trial) == 2


async def test_stopping_drops_what_waits(store: Store) -> None:
    models = ScriptedModels(script)
    house = await house_of(store, models, gives_way=True)
    trial = await house.try_out(BETTER, method="shadow")
    finished = await house.ask_only("how do I cook rice", "1.0")
    second = await house.ask_only("how do I cook soup", "2.0")
    models.hold = asyncio.Event()
    await house.orchestrator.record(finished, "1.5")
    await house.orchestrator.record(second, "2.5")
    await house.calls(3)
    assert await house.bus.drain()  # one is under way, the other waits
    await house.shadows.stop()
    assert await missing(house, trial) == 2


async def test_what_a_killed_process_had_still_to_compare_is_counted_as_missing(
    store: Store,
) -> None:
    models = ScriptedModels(script)
    house = await house_of(store, models)
    trial = await house.try_out(BETTER, method="shadow")
    await house.asked("how do I cook rice", "1.0")
    lost = await house.ask_only("how do I cook beans", "2.0")
    store.append(replace(lost.run, started_at=house.clock()))  # and the process ends
    late = await house_of(store, models)
    late.clock = house.clock
    late.shadows._clock = house.clock
    assert await late.shadows.count_lost() == 0  # it may wait in another process
    house.clock.now += 7_200
    assert await late.shadows.count_lost() == 1
    assert await late.shadows.count_lost() == 0
    assert await missing(house, trial) == 1


async def test_times_are_not_compared_where_unseen_answers_wait_for_quiet(store: Store) -> None:
    house = await house_of(store, ScriptedModels(script), gives_way=True)
    trial = await house.try_out(BETTER, method="shadow")
    await house.asked("how do I cook rice", "1.0")
    assert await house.seen(trial, "latency_ms") == []
    assert len(await house.seen(trial, "cost_usd")) == 1
    assert (await house.outcomes.figures(trial))["timed"] is False


async def test_what_was_asked_in_private_stays_with_its_audience(store: Store) -> None:
    house = await house_of(store, ScriptedModels(script))
    trial = await house.try_out(BETTER, method="shadow")
    run = (await house.asked("how do I cook rice", "1.0", audience=one_person("U1"))).run
    shadow = await shadow_of(house, run, trial.trial_id)
    assert shadow is not None
    assert (shadow.audience, shadow.user_id) == (one_person("U1"), "U1")
