import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from database.errors import ConfigurationError, StoreError
from goals import dbos_calls, workers
from goals import execution as module
from goals.execution import Execution
from goals.ledger import FILE
from tests.goals import standins
from tests.goals.standins import Place, Record, Scripted, place
from tests.patience import PATIENCE_S


class World:
    """Where effects happen; `hold` keeps those that have begun from ending."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.begun: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def effect(self, key: str) -> None:
        self.begun.append(key)
        await self.go_on.wait()
        self.done[key] += 1


@pytest.fixture
def world() -> World:
    return World()


async def until(true: Callable[[], bool]) -> None:
    async def now() -> bool:
        return true()

    await standins.until(now)


async def test_a_goal_runs_to_its_end_and_each_task_once(
    tmp_path: Path, engine_url: str | None, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    async with place(tmp_path, engine_url, world.effect, plan=Scripted(3, 2)) as here:
        assert not here.execution.launched, "nobody has asked for anything"
        goal = await here.ask("one")
        for task in goal.tasks[:3]:
            await here.execution.of("T1").enqueue(goal.goal_id, task.key, 1, goal.user_id)
        goal = await here.ended("one")
        assert goal.state == "done"
        assert set(world.done.values()) == {1}
        assert len(world.done) == 7
        assert not await here.ledger.busy()
    said = capfd.readouterr()
    assert "dbos" not in (said.out + said.err).lower()
    assert not [h for h in logging.getLogger("dbos").handlers if type(h) is logging.StreamHandler]


async def test_without_goals_nothing_is_launched_or_made(tmp_path: Path, world: World) -> None:
    async with place(tmp_path, None, world.effect) as here:
        assert not here.execution.launched
    assert {path.name for path in tmp_path.iterdir()} == {"secret.key"}


async def test_what_a_process_leaves_the_next_one_ends(
    tmp_path: Path, engine_url: str | None, world: World
) -> None:
    """Also what was queued; the model is not asked again, what was begun is done again."""
    world.go_on.clear()
    async with place(tmp_path, engine_url, world.effect, plan=Scripted(6), per_person=4) as here:
        await here.ask("one")
        await until(lambda: len(world.begun) == 4)
    assert not world.done
    world.go_on.set()
    async with place(tmp_path, engine_url, world.effect, per_person=4) as here:
        assert here.execution.launched, "it found something to do"
        goal = await here.ended("one")
    assert goal.state == "done"
    assert set(world.done.values()) == {1}
    assert {task.attempt for task in goal.tasks} == {1}


async def test_nobody_takes_all_the_places(
    tmp_path: Path, engine_url: str | None, world: World
) -> None:
    """One person has far more to do than there are places; another is served beside them."""
    world.go_on.clear()
    async with place(
        tmp_path, engine_url, world.effect, plan=Scripted(9), slots=8, per_person=2
    ) as here:
        hers = await here.ask("hers")
        await until(lambda: len(world.begun) == 2)
        his = await here.ask("his", "U0BOB")
        await until(lambda: len(world.begun) == 4)
        whose = Counter(key.partition("/")[0] for key in world.begun)
        assert whose == {hers.goal_id: 2, his.goal_id: 2}
        world.go_on.set()
        await here.ended("his")
        await here.ended("hers")
    assert set(world.done.values()) == {1}


async def test_what_is_stopped_ends_whether_it_waits_or_runs(tmp_path: Path, world: World) -> None:
    world.go_on.clear()
    async with place(tmp_path, None, world.effect, plan=Scripted(5), per_person=2) as here:
        goal = await here.ask("one")
        await until(lambda: here.execution.running == 2 and len(world.begun) == 2)
        await here.manager.cancel(goal.goal_id, goal.user_id)
        await until(lambda: here.execution.running == 0)
        await standins.until(lambda: _idle(here))
        world.go_on.set()
        await here.ask("two")
        assert (await here.ended("two")).state == "done"
    assert not [key for key in world.done if key.startswith(goal.goal_id)]
    assert len([key for key in world.begun if key.startswith(goal.goal_id)]) == 2


async def test_what_follows_from_a_settled_attempt_is_not_broken_off(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker looks many times whether it still has it; once settled nobody has it."""
    monkeypatch.setattr(workers, "BEAT_S", 0.02)
    record = Record()
    record.hold.clear()
    async with place(tmp_path, None, world.effect, plan=Scripted(1), record=record) as here:
        goal = await here.ask("one")
        await here.ended("one")
        seen = await here.ledger.sql.do(lambda t: t.rows("SELECT seen_at FROM workers"))

        async def beaten() -> bool:
            rows = await here.ledger.sql.do(lambda t: t.rows("SELECT seen_at FROM workers"))
            return bool(rows[0].seen_at > seen[0].seen_at + 0.2)

        await standins.until(beaten)
        record.hold.set()
        await until(lambda: record.goals == [goal.goal_id])


async def test_an_attempt_that_nobody_survives_is_given_up(tmp_path: Path, world: World) -> None:
    async with place(tmp_path, None, world.effect, plan=Scripted(2)) as here:
        world.go_on.clear()
        goal = await here.ask("one")
        await until(lambda: len(world.begun) == 2)
        for _ in range(module.MOST_TAKES):
            await here.ledger.take("T1", goal.goal_id, "s0_0", 1, "w9")
    world.go_on.set()
    async with place(tmp_path, None, world.effect) as here:
        goal = await here.ended("one")
    assert goal.task("s0_0").state == "failed"
    assert "no worker got through it" in goal.task("s0_0").reason
    assert goal.task("s1_0").state == "done"


async def test_what_runs_of_a_workspace_that_closes_goes_on_where_it_is_open(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "LOST_S", 0.2)
    monkeypatch.setattr(workers, "BEAT_S", 0.1)
    world.go_on.clear()
    async with place(tmp_path, None, world.effect, plan=Scripted(1)) as here:
        await here.ask("one")
        await until(lambda: len(world.begun) == 1)
        await here.execution.leave("T2")
        assert here.execution.running == 1, "of another workspace"
        await here.execution.leave("T1")
        assert not world.done
        world.go_on.set()
        goal = await here.ended("one")
    assert (goal.state, goal.task("s0_0").attempt) == ("done", 1)


async def test_attempts_wait_for_a_workspace_that_is_closed_for_long(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than an attempt that kills its workers is tried."""
    monkeypatch.setattr(workers, "LOST_S", 0.02)
    monkeypatch.setattr(workers, "BEAT_S", 0.02)
    monkeypatch.setattr(dbos_calls, "POLL_S", 0.02)
    monkeypatch.setattr(module, "MOST_PUT_OFF_S", 0.0)
    looked: list[str] = []

    async def ready(workspace: str) -> None:
        looked.append(workspace)
        if len(looked) <= module.MOST_TAKES + 3:
            raise StoreError("It is not open here.")

    async with place(tmp_path, None, world.effect, plan=Scripted(1), ready=ready) as here:
        await here.ask("one")
        goal = await here.ended("one")
    assert (goal.state, goal.task("s0_0").state) == ("done", "done")
    assert goal.task("s0_0").attempt == 1


async def test_what_waits_for_a_workspace_is_put_off_until_that_is_open(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks at it all the time meanwhile."""
    monkeypatch.setattr(workers, "LOST_S", 0.02)
    monkeypatch.setattr(workers, "BEAT_S", 0.02)
    monkeypatch.setattr(module, "PUT_OFF_S", 1_000.0)
    monkeypatch.setattr(module, "MOST_PUT_OFF_S", 1_000.0)
    opened: list[str] = []

    async def ready(workspace: str) -> None:
        if workspace not in opened:
            raise StoreError("It is not open here.")

    async def put_off() -> bool:
        return bool(await asyncio.to_thread(dbos_calls.delayed))

    async with place(tmp_path, None, world.effect, plan=Scripted(1), ready=ready) as here:
        await here.ask("one")
        await standins.until(put_off)
        await until(lambda: here.execution.running == 0)
        opened.append("T1")
        await here.execution.wake()
        goal = await here.ended("one")
    assert (goal.state, goal.task("s0_0").attempt) == ("done", 1)


async def test_a_queued_attempt_that_no_workflow_knows_is_found(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process died between its move and telling DBOS; another's workflow ended unsettled."""
    monkeypatch.setattr(workers, "LOST_S", 0.2)
    monkeypatch.setattr(workers, "BEAT_S", 0.1)
    async with place(tmp_path, None, world.effect, plan=Scripted(2), always=True) as here:
        monkeypatch.setattr(Execution, "_enqueue", _nothing)
        goal = await here.ask("one")
        monkeypatch.undo()
        await here.execution.of("T1").enqueue("another", "s0_0", 1, "U0ADA")
        monkeypatch.setattr(workers, "LOST_S", 0.2)
        monkeypatch.setattr(workers, "BEAT_S", 0.1)
        assert (await here.ended("one")).state == "done"
    assert set(world.done.values()) == {1}
    assert len(world.done) == len(goal.tasks)


async def test_whoever_is_stopped_while_goals_begin_leaves_them_whole(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody says stop in the second that the first launch takes."""
    begun, go_on, launch = threading.Event(), threading.Event(), dbos_calls.launch

    def slowly(*values: Any) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        launch(*values)

    monkeypatch.setattr(dbos_calls, "launch", slowly)
    async with place(tmp_path, None, world.effect, plan=Scripted(1)) as here:
        first = asyncio.create_task(here.ask("one"))
        assert await asyncio.to_thread(begun.wait, PATIENCE_S)
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        await here.ask("two")
        assert (await here.ended("two")).state == "done"
        assert await here.ledger.sql.do(lambda t: t.rows("SELECT worker FROM workers"))
    assert set(world.done.values()) == {1}


async def test_a_launch_that_failed_is_tried_again(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StoreError("It is away.")

    async with place(tmp_path, None, world.effect, plan=Scripted(1)) as here:
        with monkeypatch.context() as away:
            away.setattr(dbos_calls, "launch", fails)
            with pytest.raises(StoreError, match="away"):
                await here.ask("one")
        await here.ask("one")
        assert (await here.ended("one")).state == "done"
    assert not [*(tmp_path / "workers").iterdir()]


async def _idle(here: Place) -> bool:
    return not await here.ledger.busy()


async def _nothing(*_: object) -> None:
    """A process that dies here."""


async def test_one_process_runs_the_goals_of_one_home(tmp_path: Path, world: World) -> None:
    async with place(tmp_path / "one", None, world.effect, always=True):
        with pytest.raises(ConfigurationError, match="one process"):
            async with place(tmp_path / "other", None, world.effect, always=True):
                pass
    async with place(tmp_path / "other", None, world.effect, always=True) as here:
        await here.ask("one")
        await here.ended("one")


async def test_the_queue_knows_no_texts_and_no_people(tmp_path: Path, world: World) -> None:
    async with place(tmp_path, None, world.effect, plan=Scripted(1)) as here:
        goal = await here.ask("one")
        await here.ended("one")
    kept = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.name.startswith("queue.db"))
    assert goal.goal_id.encode() in kept
    assert b"pickle" not in kept
    for secret in ("U0ADA", goal.request, goal.title, "did s0_0", "writer"):
        assert secret.encode() not in kept, secret
    assert (tmp_path / "queue.db").stat().st_mode & 0o077 == 0
    assert (tmp_path / FILE).exists()
