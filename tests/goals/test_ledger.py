"""Goals in the engine database: moved once, found again, with attempts and their journal."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from database.errors import MigrationError, StaleRevision, UnknownName
from database.goals import NOTHING, GoalState, Spent
from goals import goal_rows
from goals.ledger import HOLD, Goals, Hold, Ledger
from tests.goals.kept import HER_THREAD, entry, goal, task


async def test_what_is_kept_comes_back(goals: Goals) -> None:
    made = goal(tasks=[task(1, "done"), task(2)])
    assert await goals.create(made)
    assert await goals.goal("g1") == made
    assert not await goals.create(replace(made, title="another")), "its id is known"
    assert await goals.goal("g1") == made
    assert await goals.goal("g2") is None


async def test_of_two_who_move_a_goal_one_is_told_to_read_again(goals: Goals) -> None:
    await goals.create(goal())
    moved = await goals.move(replace(goal(), title="first"))
    assert moved.revision == 1
    with pytest.raises(StaleRevision, match="Read it again"):
        await goals.move(replace(goal(), title="second"))
    again = await goals.goal("g1")
    assert again == moved
    with pytest.raises(UnknownName):
        await goals.move(goal("g9"))


async def test_of_many_at_once_each_counts_once(goals: Goals) -> None:
    await goals.create(goal())

    async def add_note(text: str) -> None:
        while True:
            found = await goals.goal("g1")
            assert found is not None
            try:
                await goals.move(replace(found, notes=(*found.notes, text)))
            except StaleRevision:
                continue
            return

    await asyncio.gather(*(add_note(str(n)) for n in range(20)))
    found = await goals.goal("g1")
    assert found is not None
    assert sorted(found.notes, key=int) == [str(n) for n in range(20)]
    assert found.revision == 20


async def test_goals_are_found_by_person_state_thread_and_beginning(goals: Goals) -> None:
    other = replace(goal("g2", "U0BOB"), created_at=200.0, thread_ts="2", state="done")
    newer = replace(goal("g3"), created_at=300.0, state="proposed")
    for made in (goal(), other, newer):
        await goals.create(made)

    async def found(user: str | None = None, *states: GoalState) -> list[str]:
        return [one.goal_id for one in await goals.goals(user, states or None)]

    assert await found() == ["g3", "g2", "g1"]
    assert await found("U0ADA") == ["g3", "g1"]
    assert await found(None, "done", "proposed") == ["g3", "g2"]
    assert await found("U0BOB", "running") == []
    assert [one.goal_id for one in await goals.goals(limit=1)] == ["g3"]
    in_thread = await goals.in_thread(*HER_THREAD)
    assert [one.goal_id for one in in_thread] == ["g1", "g3"], "oldest first"
    assert await goals.in_thread("C9", "1") == []
    assert await goals.ids("g", limit=9) == ["g1", "g2", "g3"]
    assert await goals.ids("%") == []


async def test_another_workspace_sees_nothing(ledger: Ledger, goals: Goals) -> None:
    await goals.create(goal())
    other = ledger.of("T2")
    assert await other.goals() == []
    assert await other.in_thread(*HER_THREAD) == []
    assert await other.changed(0) == ([], (await goals.changed(None))[1])
    assert await other.forget("U0ADA") == await other.erase() == 0
    assert await goals.goal("g1") is not None


async def test_whoever_asks_what_changed_misses_nothing(
    ledger: Ledger, goals: Goals, tmp_path: Path, engine_url: str | None
) -> None:
    """Another process looks on while many goals move at once."""
    beside = Ledger.open(tmp_path, engine_url)
    there = beside.of("T1")
    names = [f"g{n}" for n in range(12)]
    for name in names:
        await goals.create(goal(name))
    _, cursor = await there.changed(None)
    seen: dict[str, int] = {}

    async def move(name: str) -> None:
        found = await goals.goal(name)
        for _ in range(4):
            assert found is not None
            found = await goals.move(replace(found, title=f"{found.title}!"))

    moving = asyncio.gather(*(move(name) for name in names))
    while not (moving.done() and set(seen.values()) == {4} and len(seen) == len(names)):
        ended = moving.done()
        changed, cursor = await there.changed(cursor)
        for one in changed:
            assert one.revision >= seen.get(one.goal_id, 0)
            seen[one.goal_id] = one.revision
        assert not ended or len(seen) == len(names), "nothing comes after the last"
    assert (await there.changed(cursor))[0] == [] or ledger.sql.postgres
    await beside.close()


async def test_this_process_hears_of_its_moves_at_once(ledger: Ledger, goals: Goals) -> None:
    heard: list[tuple[str, int]] = []
    ledger.on_move(lambda workspace, moved: heard.append((workspace, moved.revision)))
    await goals.create(goal())
    await goals.move(goal())
    assert heard == [("T1", 0), ("T1", 1)]


async def test_the_journal_keeps_its_order_and_its_ends_are_put_in_place(goals: Goals) -> None:
    await goals.create(goal(tasks=[task(1, "running", 1)]))
    for written in (entry("m0"), entry("t1", tool="send"), entry("m0", attempt=2)):
        await goals.note("g1", "t1", written)
    await goals.note("g1", "t1", entry("t1", tool="send", text="sent"))
    await goals.note("g1", "t2", entry("m0"))
    assert await goals.journal("g1", "t1") == [
        entry("m0"), entry("t1", tool="send", text="sent"), entry("m0", attempt=2)
    ]  # fmt: skip
    stopped = [replace(task(1, "cancelled", 2), reserved=Spent(1.0, 10))]
    await goals.move(replace(goal(tasks=stopped), state="cancelled", ended_at=200.0))
    assert await goals.journal("g1", "t1") != [], "it is not settled what that took"
    await goals.move(replace(goal(), state="cancelled", ended_at=200.0, revision=1))
    assert await goals.journal("g1", "t1") == [], "nobody goes on with it"


async def test_who_was_taken_over_can_note_and_move_nothing_more(
    ledger: Ledger, goals: Goals
) -> None:
    running = goal(tasks=[task(1, "running", 1)])
    await goals.create(running)
    assert await ledger.take("T1", "g1", "t1", 2, "w1") is None, "there is no such attempt"

    async def worker(name: str, hold: asyncio.Event, held: asyncio.Event) -> str:
        HOLD.set(await ledger.take("T1", "g1", "t1", 1, name))
        held.set()
        await hold.wait()
        try:
            await goals.note("g1", "t1", entry(name))
            await goals.move(replace(running, title=name))
        except StaleRevision as error:
            return str(error)
        return "moved"

    first, second, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    one = asyncio.create_task(worker("w1", go, first))
    await first.wait()
    two = asyncio.create_task(worker("w2", go, second))
    await second.wait()
    go.set()
    assert "taken over" in await one
    assert await two == "moved"
    assert [noted.position for noted in await goals.journal("g1", "t1")] == ["w2"]


async def test_who_settled_its_attempt_may_move_on_but_not_go_on_with_it(
    ledger: Ledger, goals: Goals
) -> None:
    running = goal(tasks=[task(1, "running", 1), task(2)])
    await goals.create(running)
    HOLD.set(await ledger.take("T1", "g1", "t1", 1, "w1"))
    done = await goals.move(replace(running, tasks=(task(1, "done", 1), task(2))))
    await goals.move(replace(done, tasks=(task(1, "done", 1), task(2, "queued", 1))))
    with pytest.raises(StaleRevision):
        await goals.note("g1", "t1", entry("t9"))
    HOLD.set(None)


async def test_attempts_follow_the_goal(ledger: Ledger, goals: Goals) -> None:
    assert not await ledger.busy()
    first = goal(tasks=[task(1, "queued", 1), task(2)])
    await goals.create(first)
    assert await ledger.busy()
    assert [(a.key, a.attempt, a.state) for a in await ledger.waiting_enqueue(-1.0)] == [
        ("t1", 1, "queued")
    ]
    assert await ledger.waiting_enqueue(3600.0) == []
    hold = await ledger.take("T1", "g1", "t1", 1, "w1")
    assert hold is not None
    other = Hold("T1", "g9", "t1", 1, 1)
    assert await ledger.lost([hold, other]) == [other], "there is no such goal"
    stopped = replace(task(1, "cancelled", 1), reserved=Spent(1.0, 5, 0.1))
    moved = await goals.move(replace(first, tasks=(stopped, task(2))))
    assert await ledger.lost([hold]) == [hold], "it is to be stopped"
    assert [a.state for a in await ledger.waiting_enqueue(-1.0)] == ["ending"]
    moved = await goals.move(replace(moved, tasks=(replace(stopped, reserved=NOTHING), task(2))))
    assert not await ledger.busy()
    assert await ledger.lost([hold]) == [], "it is settled, and what follows is under way"
    again = await goals.move(replace(moved, tasks=(stopped, task(2, "running", 1))))
    second = await ledger.take("T1", "g1", "t2", 1, "w1")
    assert second is not None
    assert await ledger.lost([second]) == []
    await ledger.take("T1", "g1", "t2", 1, "w2")
    assert await ledger.lost([second]) == [second], "another has it"
    assert again.revision == 3


async def test_what_newer_code_wrote_is_left_to_it_and_no_take_of_it_counts(
    ledger: Ledger, goals: Goals, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = goal(tasks=[task(1, "queued", 1)])
    await goals.create(first)
    with monkeypatch.context() as newer:
        newer.setattr(goal_rows, "written", lambda _: b'{"goal_id": "g1", "mood": "good"}')
        moved = await goals.move(first)
    for _ in range(12):
        with pytest.raises(MigrationError, match="mood"):
            await ledger.take("T1", "g1", "t1", 1, "w1")
    await goals.move(moved)
    hold = await ledger.take("T1", "g1", "t1", 1, "w2")
    assert hold is not None
    assert hold.fence == 1
