"""Turns: replies first, nobody's flood before others, nothing lost when a call is given up."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from agents.errors import ModelRateLimited
from agents.turns import TextDelta, Turn
from goals.ledger import Ledger
from goals.rates import Rates
from orchestrator.provider_rate import ProviderRate
from orchestrator.resource_pool import (
    FairSlots,
    ResourcePool,
    in_background,
    replying_to,
    working_for,
)
from tests.orchestrator.fakes import ScriptedModels
from tests.patience import PATIENCE_S

HELLO = [Turn("user", "hello")]


class Calls:
    """Calls that hold their slot until they are told to end."""

    def __init__(self, slots: int) -> None:
        self.slots = FairSlots(slots)
        self.began: list[str] = []
        self._ends: list[tuple[str, asyncio.Event]] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, *people: str) -> None:
        for person in people:
            self.tasks.append(asyncio.create_task(self._call(person)))
            await settle()

    async def end(self, person: str) -> None:
        entry = next(entry for entry in self._ends if entry[0] == person)
        self._ends.remove(entry)
        entry[1].set()
        await settle()

    async def _call(self, person: str) -> None:
        async with self.slots.one(person):
            self.began.append(person)
            end = asyncio.Event()
            self._ends.append((person, end))
            await end.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def finish(calls: Calls) -> None:
    for task in calls.tasks:
        task.cancel()
    await asyncio.gather(*calls.tasks, return_exceptions=True)
    assert (calls.slots.in_use, calls.slots.waiting) == (0, 0)


async def test_whoever_comes_beside_a_flood_finds_a_slot_free() -> None:
    calls = Calls(4)
    await calls.start(*["flood"] * 10)
    assert calls.began == ["flood"] * 3
    await calls.start("ada")
    assert calls.began[-1] == "ada"
    assert calls.slots.waiting == 7
    await finish(calls)


async def test_waiting_people_take_turns() -> None:
    calls = Calls(2)
    await calls.start("ada", "grace", "ada", "ada", "ada", "alan", "grace")
    assert calls.began == ["ada", "grace"]
    await calls.end("ada")
    assert calls.began[-1] == "ada", "she has none under way now and waited first"
    await calls.end("grace")
    assert calls.began[-1] == "alan"
    await calls.end("ada")
    assert calls.began[-1] == "grace"
    await finish(calls)


async def test_replies_go_before_background_work_which_has_half_at_most() -> None:
    calls = Calls(4)
    await calls.start("", "", "", "ada", "grace", "ada")
    assert calls.began == ["", "", "ada", "grace"]
    await calls.end("")
    assert calls.began[-1] == "ada"
    await calls.end("grace")
    assert calls.began[-1] == ""
    await finish(calls)


async def test_one_slot_serves_everybody() -> None:
    calls = Calls(1)
    await calls.start("", "ada", "grace")
    for _ in range(2):
        await calls.end(calls.began[-1])
    assert calls.began == ["", "ada", "grace"]
    await finish(calls)


async def test_a_call_given_up_while_it_waits_or_just_as_its_turn_comes_loses_no_slot() -> None:
    calls = Calls(2)
    await calls.start("ada", "ada", "ada", "ada")
    calls.tasks[1].cancel()
    await settle()
    assert calls.slots.waiting == 2
    calls._ends[0][1].set()
    await asyncio.sleep(0)
    calls.tasks[2].cancel()
    await settle()
    assert calls.began == ["ada", "ada"]
    assert not calls.tasks[3].done()
    await finish(calls)


async def test_the_pool_knows_who_waits_for_a_call() -> None:
    said = "one two three"

    def script(_: Sequence[Turn], __: str) -> str:
        return said

    pool = ResourcePool(ScriptedModels(script), 2)
    using = []
    with replying_to("ada"):
        async for event in pool.stream(HELLO):
            if isinstance(event, TextDelta):
                using.append(dict(pool.slots._using))
        with in_background():
            events = pool.stream(HELLO)
            await anext(events)
            using.append(dict(pool.slots._using))
            await events.aclose()
    assert using == [{":ada": 1}] * 3 + [{"": 1}]
    assert pool.slots.in_use == 0


async def test_the_same_id_in_two_workspaces_is_two_people() -> None:
    pool = ResourcePool(ScriptedModels(lambda turns, model: "one two"), 4)
    with replying_to("ada"):
        calls = [pool.of(team).stream(HELLO) for team in ("T1", "T1", "T1", "T2")]
        for call in calls:
            await asyncio.wait_for(anext(call), PATIENCE_S)
        assert pool.slots._using == {"T1:ada": 3, "T2:ada": 1}, "a quarter is nobody's alone"
        for call in calls:
            await call.aclose()
    assert pool.slots.in_use == 0


async def test_the_work_of_goals_is_their_persons_and_waits_for_every_reply() -> None:
    calls = Calls(4)
    await calls.start("~ada", "~ada", "~ada", "~grace", "~ada", "grace")
    assert calls.began == ["~ada", "~ada", "grace"], "half of the slots at most"
    await calls.end("~ada")
    assert calls.began[-1] == "~grace", "she has none under way, though she came later"
    await calls.start("alan", "linus")
    await calls.end("~ada")
    assert calls.began[-1] == "linus", "a reply goes before work that waited longer"
    await finish(calls)


async def test_where_nobody_is_answered_background_work_has_every_slot() -> None:
    calls = Calls(4)
    calls.slots.background = 1.0
    await calls.start("~ada", "~ada", "~ada", "~ada", "~ada")
    assert calls.began == ["~ada"] * 4
    await finish(calls)


async def test_processes_share_what_a_provider_takes_at_once() -> None:
    pool = ResourcePool(ScriptedModels(lambda turns, model: "one two"), 6, background=1.0)
    pool.share_among(4)
    first, second = pool.of("T1").stream(HELLO), pool.of("T1").stream(HELLO)
    with working_for("ada"):
        await asyncio.wait_for(anext(first), PATIENCE_S)
        waits = asyncio.create_task(anext(second))
        await settle()
        assert pool.slots._using == {"~T1:ada": 1}, "four processes, six calls at once"
        pool.share_among(2)
        await asyncio.wait_for(waits, PATIENCE_S)
    assert pool.slots._using == {"~T1:ada": 2}
    await first.aclose()
    await second.aclose()
    assert pool.slots.in_use == 0


async def test_what_goals_have_done_in_the_background_stays_their_persons() -> None:
    pool = ResourcePool(ScriptedModels(lambda turns, model: "one two"), 4)
    with working_for("ada"), in_background():
        call = pool.of("T1").stream(HELLO)
        await anext(call)
        assert pool.slots._using == {"~T1:ada": 1}
        await call.aclose()


async def test_calls_a_minute_are_shared_by_processes_and_a_refusal_is_heeded_by_all(
    tmp_path: Path,
) -> None:
    now, slept = [1_800_000_000.0], list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))
        now[0] += seconds

    def answers(turns: Sequence[Turn], _: str) -> str | ModelRateLimited:
        return ModelRateLimited("Slow down.", 7.0) if turns[0].text == "too much" else "ok"

    ledger = Ledger.open(tmp_path, clock=lambda: now[0])
    pools = [ResourcePool(ScriptedModels(answers), 4) for _ in range(2)]
    for pool in pools:
        pool.rate = ProviderRate(Rates(ledger), "here", 12, sleep=sleep)
    for pool in (*pools, pools[0]):
        assert [e.text async for e in pool.stream(HELLO) if isinstance(e, TextDelta)] == ["ok"]
    assert slept == [5.0, 5.0], "one at once, then one each five seconds, whoever calls"
    now[0] += 60.0
    with pytest.raises(ModelRateLimited):
        _ = [event async for event in pools[0].stream([Turn("user", "too much")])]
    _ = [event async for event in pools[1].stream(HELLO)]
    assert slept[2] >= 7.0
    await ledger.close()


def test_whoever_replies_has_a_quarter_besides() -> None:
    """Also while many workers are there and have nothing to do."""
    models = ScriptedModels(lambda turns, _: "ok")
    replies, works = ResourcePool(models, 16), ResourcePool(models, 16, background=1.0)
    for processes, its, theirs in ((1, 16, 16), (2, 10, 6), (4, 7, 3), (12, 5, 1)):
        replies.share_among(processes)
        works.share_among(processes)
        assert (replies.slots.slots, works.slots.slots) == (its, theirs)


async def test_replies_do_not_queue_behind_tasks_for_their_turn_in_the_minute(
    tmp_path: Path,
) -> None:
    """A hundred calls of tasks wait, also in another process; a reply goes at once."""
    now = [1_800_000_000.0]
    ledger = Ledger.open(tmp_path, clock=lambda: now[0])
    asleep = asyncio.Event()
    rates = Rates(ledger)

    async def sleep(seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    slept: list[float] = []

    async def note(seconds: float) -> None:
        slept.append(seconds)

    tasks = ProviderRate(rates, "here", 40, sleep=sleep)
    replies = ProviderRate(rates, "here", 40, sleep=note)
    waiting = [asyncio.create_task(tasks.turn(background=True)) for _ in range(100)]
    await asyncio.wait_for(asleep.wait(), PATIENCE_S)
    assert sum(task.done() for task in waiting) == 2, "half of the four that may go at once"
    for _ in range(3):
        await replies.turn()
    assert slept == [pytest.approx(1.5)]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await ledger.close()


async def test_an_engine_of_another_key_keeps_no_reply_waiting(tmp_path: Path) -> None:
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    first, other = (Ledger.open(tmp_path, secret_key=key) for key in keys)
    await Rates(first).turn("here", 12)
    pool = ResourcePool(ScriptedModels(lambda turns, _: "ok"), 4)
    pool.rate = ProviderRate(Rates(other), "here", 12)
    assert [e.text async for e in pool.stream(HELLO) if isinstance(e, TextDelta)] == ["ok"]
    await first.close()
    await other.close()
