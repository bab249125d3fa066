import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.variants import Variant, agent_of, variant_name, variant_of
from database.errors import InputError
from database.learning import Change, Decision, Method, Trial
from database.records import PUBLIC, one_person, private_channel
from database.store import Store
from orchestrator.trials.arms import Arms, Place, Served, arm_of, takes_part
from orchestrator.verifying import verification_id
from tests.orchestrator.fakes import ScriptedModels, agent
from tests.orchestrator.trials.house import TryingHouse

COOK = agent("cook", "how do I cook rice")
BETTER = agent("cook", "how do I cook rice", system_prompt="You are a better cook.")
BEST = agent("cook", "how do I cook rice", system_prompt="You are the best cook.")
BAKER = agent("baker", "how do I bake bread")


def place(thread: str = "C1/1.0", **more: object) -> Place:
    known = Place(thread, f"run-{thread}", "kind-1", (PUBLIC,))
    return replace(known, **more)  # type: ignore[arg-type]


async def house_of(store: Store) -> TryingHouse:
    house = TryingHouse(store, ScriptedModels(lambda turns, model: "ok"))
    await house.start(COOK, BAKER)
    await house.arms.refresh()
    return house


def arms_of(house: TryingHouse, threads: int, agent_name: str = "cook") -> Counter[str | None]:
    served = [house.arms.serve(agent_name, place(f"C1/{n}")) for n in range(threads)]
    return Counter(one.arm for one in served)


async def test_without_trials_the_active_version_answers(store: Store) -> None:
    house = await house_of(store)
    assert house.arms.serve("cook", place()) == Served("cook")
    assert Served("cook").as_json() == {}


async def test_a_thread_stays_in_its_arm_and_halves_of_the_share_get_each(store: Store) -> None:
    house = await house_of(store)
    trial = await house.try_out(BETTER, share=0.4)
    counts = arms_of(house, 4000)
    assert 1440 < 4000 - counts[None] < 1760
    assert 0.45 < counts["candidate"] / (4000 - counts[None]) < 0.55
    threads = [f"C1/{n}" for n in range(200)]
    first = [house.arms.serve("cook", place(thread)) for thread in threads]
    await house.arms.refresh()
    again = [house.arms.serve("cook", place(thread, run_id="other")) for thread in threads]
    assert first == again
    candidates = [one for one in first if one.arm == "candidate"]
    assert {one.version for one in candidates} == {BETTER.version}
    assert candidates[0].as_json() == {"trial": trial.trial_id, "arm": "candidate"}
    assert {one.version for one in first if one.arm == "active"} == {COOK.version}


async def test_other_agents_and_kinds_of_requests_are_left_alone(store: Store) -> None:
    house = await house_of(store)
    await house.try_out(BETTER, share=1.0, task_type="kind-2")
    assert house.arms.serve("cook", place()).arm is None
    assert house.arms.serve("cook", place(task_type=None)).arm is None
    assert house.arms.serve("cook", place(task_type="kind-2")).arm is not None
    assert house.arms.serve("baker", place(task_type="kind-2")) == Served("baker")


async def test_nobody_is_tried_on_where_it_is_off_paused_declined_or_private(store: Store) -> None:
    house = await house_of(store)
    trial = await house.try_out(BETTER, share=1.0)
    assert house.arms.serve("cook", place()).arm is not None
    assert house.arms.serve("cook", place(learned=False)) == Served("cook")
    house.paused = {"cook"}
    assert house.arms.serve("cook", place()) == Served("cook")
    house.paused = {"baker"}
    house.off = True
    assert house.arms.serve("cook", place()) == Served("cook")
    house.off = False
    assert house.arms.serve("cook", place()).arm is not None
    await house.end(trial)
    assert house.arms.serve("cook", place()) == Served("cook")


async def test_what_rests_on_private_words_is_tried_only_where_they_may_be_read(
    store: Store,
) -> None:
    house = await house_of(store)
    name = variant_name("cook", "kind-1")
    secret = private_channel("C9")
    await house.try_out(BETTER, document=name, against="cook", share=1.0, audience=secret)
    assert house.arms.serve("cook", place()) == Served("cook")
    assert house.arms.serve("cook", place(audiences=(PUBLIC, one_person("U1")))) == Served("cook")
    assert house.arms.serve("cook", place(audiences=(PUBLIC, secret))).arm is not None


async def test_a_version_that_was_overtaken_is_not_compared_with(store: Store) -> None:
    house = await house_of(store)
    await house.try_out(BETTER, share=1.0)
    await store.activate(
        "agent", "cook", BEST.body(), base=COOK.version, origin="person", author="U1", reason=None
    )
    await house.arms.refresh()
    assert house.arms.serve("cook", place()) == Served("cook")


async def test_a_variant_answers_its_kind_and_is_compared_with_what_is_served(
    store: Store,
) -> None:
    house = await house_of(store)
    first, second = variant_name("cook", "kind-1"), variant_name("cook", "kind-1", "short")
    change = Change("agent", first, None, BETTER.body())
    await store.decide(Decision(changes=(change,)))
    await house.arms.refresh()
    assert "cook--kind-1" not in house.pool.definitions
    assert house.arms.serve("cook", place()) == Served(first)
    assert house.arms.serve("cook", place()).as_json() == {"variant": first}
    assert house.arms.serve("cook", place(task_type="kind-2")) == Served("cook")
    await house.try_out(BEST, document=second, against="cook", share=1.0, task_type="kind-1")
    served = [house.arms.serve("cook", place(f"C1/{n}")) for n in range(50)]
    assert {(one.arm, one.document, one.version) for one in served} == {
        ("active", first, BETTER.version), ("candidate", second, BEST.version),
    }  # fmt: skip


async def test_a_thread_keeps_the_variant_that_was_chosen_for_it(store: Store) -> None:
    house = await house_of(store)
    name = variant_name("cook", "kind-1")
    await store.decide(Decision(changes=(Change("agent", name, None, BETTER.body()),)))
    await house.arms.refresh()
    chosen: list[str] = []

    def choose(agent_name: str, task_type: str, names: object) -> str:
        assert (agent_name, task_type, names) == ("cook", "kind-1", ("cook", name))
        chosen.append(["cook", name][len(chosen) % 2])
        return chosen[-1]

    house.arms = Arms(store, house.pool, choose=choose)
    served = [house.arms.serve("cook", place(f"C1/{n % 4}")).document for n in range(12)]
    assert served[:4] == ["cook", name, "cook", name] == served[8:]
    assert len(chosen) == 4


async def test_a_new_specialist_is_compared_with_who_answers_now(store: Store) -> None:
    house = await house_of(store)
    sushi = agent("sushi", "how do I make sushi")
    trial = await house.try_out(sushi, document="sushi", against="cook", share=1.0)
    asked, other = [house.router.embed(t) for t in ("how do I make sushi", "boil me an egg")]
    served = [house.arms.serve("cook", place(f"C1/{n}", vector=asked)) for n in range(50)]
    assert {one.document for one in served} == {"cook", "sushi"}
    assert house.arms.serve("cook", place(vector=other)).trial_id is None
    async with house.pool.use("sushi", sushi.version) as live:
        assert live.definition == sushi
    assert house.arms.serve("baker", place(vector=asked)).trial_id is None
    await house.end(trial)
    of_a_kind = agent("sushi", "how do I make sushi", system_prompt="You are quick.")
    await house.try_out(
        of_a_kind, document="sushi", against="cook", task_type="kind-1", method="shadow"
    )
    assert house.arms.serve("cook", place(vector=other)).shadows


async def test_after_a_promotion_the_old_version_can_be_the_candidate(store: Store) -> None:
    house = await house_of(store)
    change = Change("agent", "cook", COOK.version, BETTER.body())
    await store.decide(Decision(changes=(change,)))
    name = verification_id("p1")
    watch = Trial(name, "p1", "shadow", "cook", BETTER.version, COOK.version, share=1.0)
    await store.decide(Decision(trials=(watch,)))
    await house.arms.refresh()
    assert house.arms.serve("cook", place()).shadows == (name,)
    house.paused = {"cook"}
    assert house.arms.serve("cook", place()).shadows == (name,)
    course = house.arms.course(name)
    assert course is not None
    assert course.definition == COOK


async def test_watching_what_is_live_gives_nobody_the_candidate(store: Store) -> None:
    house = await house_of(store)
    await house.try_out(BETTER, share=0.0)
    assert arms_of(house, 100) == {"active": 100}


async def test_the_off_switch_serves_what_was_not_learned_and_gives_it_back(store: Store) -> None:
    house = await house_of(store)
    await store.activate(
        "agent", "baker", replace_prompt("mine"), base=BAKER.version, origin="person",
        author="U1", reason=None,
    )  # fmt: skip
    changes = (
        Change("agent", "cook", COOK.version, BETTER.body()),
        Change("agent", variant_name("cook", "kind-1"), None, BEST.body()),
        Change("agent", "sushi", None, agent("sushi", "sushi").body()),
    )
    await store.decide(Decision(changes=changes))
    await house.pool.refresh()
    learned = {name: house.pool.document(name).version for name in house.pool.definitions}
    assert learned["cook"] == BETTER.version
    house.off = True
    await house.pool.refresh()
    assert house.pool.document("cook").version == COOK.version
    assert house.pool.definitions["baker"].system_prompt == "mine"
    assert "sushi" not in house.pool.definitions
    assert house.arms.serve("cook", place()) == Served("cook")
    house.off = False
    await house.pool.refresh()
    assert learned == {n: house.pool.document(n).version for n in house.pool.definitions}


def replace_prompt(prompt: str) -> dict[str, object]:
    return BAKER.body() | {"system_prompt": prompt}


@given(st.text(max_size=20), st.floats(0.01, 1), st.floats(0.01, 1))
def test_whoever_takes_part_takes_part_at_any_larger_share(
    thread: str, one: float, other: float
) -> None:
    small, large = sorted((one, other))
    trial = Trial("t1", "p1", "split", "cook", "a", "b", share=small)
    if takes_part(trial, thread):
        assert takes_part(replace(trial, share=large), thread)
        assert arm_of(trial, thread) == arm_of(replace(trial, share=large), thread)


def test_names_of_variants_are_told_from_names_of_agents() -> None:
    assert variant_of("cook") is None
    assert variant_of("cook-2") is None
    assert variant_of("cook--kind-1--short") == Variant("cook", "kind-1", "short")
    assert agent_of("cook--kind-1") == agent_of("cook") == "cook"
    with pytest.raises(InputError, match="cannot be part"):
        variant_name("cook", "kind--1")


async def test_what_is_served_is_decided_without_the_record(store: Store) -> None:
    house = await house_of(store)
    await house.try_out(BETTER, share=1.0)
    await store.close()
    assert house.arms.serve("cook", place()).arm is not None


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_somebody_answers_and_nobody_is_tried_on_unasked(
    store: Store, seed: int
) -> None:
    house = await house_of(store)
    chance = random.Random(seed)
    running: list[Trial] = []
    for step in range(40):
        act = chance.choice(("try", "end", "promote", "off", "pause", "ask", "ask", "ask"))
        if act == "try":
            running.append(await begun(house, chance, step))
        elif act == "end" and running:
            await house.end(running.pop(chance.randrange(len(running))))
        elif act == "promote":
            await promoted(house, step)
        elif act == "off":
            house.off = not house.off
            await house.arms.refresh()
        elif act == "pause":
            house.paused = set() if house.paused else {"cook"}
        learned = chance.random() < 0.8
        asked = place(f"C1/{chance.randrange(9)}", task_type=f"kind-{step % 3}", learned=learned)
        served = house.arms.serve("cook", asked)
        if house.off or house.paused or not learned:
            assert (served.trial_id, served.shadows) == (None, ())
        async with house.pool.use(served.document, served.version) as live:
            assert served.version in (None, live.document.version)
            assert (house.off and live.document.origin == "proposal") is False
        assert house.pool.live <= 50


async def begun(house: TryingHouse, chance: random.Random, step: int) -> Trial:
    candidate = agent("cook", "how do I cook rice", system_prompt=f"You try {step}.")
    name = chance.choice(("cook", variant_name("cook", f"kind-{step % 3}", f"n{step}")))
    method: Method = chance.choice(("split", "shadow"))
    against = "" if name == "cook" else "cook"
    return await house.try_out(
        candidate, document=name, against=against, method=method, share=chance.random()
    )


async def promoted(house: TryingHouse, step: int) -> None:
    active = await house.store.document("agent", "cook")
    assert active is not None
    better = agent("cook", "how do I cook rice", system_prompt=f"You are cook {step}.")
    change = Change("agent", "cook", active.version, better.body())
    await house.store.decide(Decision(changes=(change,)))
    await house.arms.refresh()
