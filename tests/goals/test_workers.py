"""Workers that are processes of their own, killed in the middle of their work."""

import asyncio
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from database.goals import Goal, goal_id_of
from goals import workers
from goals.dbos_calls import VERSION
from goals.ledger import Goals, Ledger
from tests.goals.standins import line_in, place, until
from tests.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """A worker; `effects` is where it writes what it does."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def kill(self) -> None:
        """At once (-9)."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def worker(
    home: Path, url: str | None, effects: Path, seconds: float, goal: str = "", code: Path = ROOT
) -> AsyncIterator[Process]:
    """It takes two tasks at once; `goal` is one of four and an answer; `code` another checkout."""
    arguments = (str(home), url or "", str(effects), str(seconds), "2", *([goal] if goal else []))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.goals.standins", *arguments, stdout=asyncio.subprocess.PIPE,
        cwd=code,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    mine = Process(process)
    try:
        yield mine
    finally:
        await mine.kill()


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    path = tmp_path / "effects"
    path.touch()
    return path


def done(effects: Path) -> Counter[str]:
    return Counter(effects.read_text().split())


async def state_of(goals: Goals, name: str) -> Goal:
    goal = await goals.goal(goal_id_of(name))
    assert goal is not None
    return goal


async def until_it_runs(goals: Goals, name: str) -> None:
    async def runs() -> bool:
        goal = await state_of(goals, name)
        return [task.state for task in goal.tasks].count("running") == 2

    await until(runs)


async def until_it_is_over(goals: Goals, name: str) -> Goal:
    async def over() -> bool:
        return (await state_of(goals, name)).ended

    await until(over)
    return await state_of(goals, name)


def each_once(goal: Goal) -> dict[str, int]:
    return {f"{goal.goal_id}/{task.key}": 1 for task in goal.tasks}


async def test_what_a_killed_worker_had_begun_is_taken_over_at_once(
    tmp_path: Path, engine_url: str | None, effects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On its own machine nobody waits for it to be silent for long."""
    monkeypatch.setattr(workers, "DEAD_S", 1e9)
    monkeypatch.setattr(workers, "LOST_S", 1e9)
    home = tmp_path / "home"
    ledger = Ledger.open(home, engine_url)
    async with worker(home, engine_url, effects, 3600.0, "one") as first:
        await until_it_runs(ledger.of("T1"), "one")
        await first.kill()
    async with place(home, engine_url, line_in(effects)):
        goal = await until_it_is_over(ledger.of("T1"), "one")
    await ledger.close()
    assert goal.state == "done"
    assert done(effects) == each_once(goal)
    assert {task.attempt for task in goal.tasks} == {1}, "it went on, and did not begin again"


async def test_a_worker_on_another_machine_that_falls_silent_is_taken_over(
    tmp_path: Path, postgres: Postgres, effects: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock cannot be seen from here. One that is heard of is left alone."""
    monkeypatch.setattr(workers, "DEAD_S", 5.0)
    monkeypatch.setattr(workers, "BEAT_S", 0.5)
    url, there, home = postgres.database(), tmp_path / "there", tmp_path / "here"
    ledger = Ledger.open(home, url)
    there.mkdir()
    shutil.copy(home / "secret.key", there)
    async with worker(there, url, effects, 3600.0, "dies") as first:
        await until_it_runs(ledger.of("T1"), "dies")
        await first.kill()
    async with place(home, url, line_in(effects), slots=2):
        dead = await until_it_is_over(ledger.of("T1"), "dies")
        rows = await ledger.sql.do(lambda t: t.rows("SELECT worker FROM workers"))
        assert len(rows) == 1, "the silent one was struck off"
        async with worker(there, url, effects, 1.0, "lives"):
            lives = await until_it_is_over(ledger.of("T1"), "lives")
    await ledger.close()
    assert done(effects) == {**each_once(dead), **each_once(lives)}


async def test_goals_that_run_survive_an_upgrade(tmp_path: Path, effects: Path) -> None:
    """The old process is killed; the new code's workflow has another source, and ends them."""
    home, newer = tmp_path / "home", tmp_path / "newer"
    for name in ("goals", "database", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / name, newer / name, ignore=ignored)
    calls = newer / "goals" / "dbos_calls.py"
    old = calls.read_text()
    new = old.replace(
        "        run(workflow, (workspace, goal_id, key, number))\n",
        "        which = (workspace, goal_id, key, number)\n        run(workflow, which)\n",
    )
    assert new != old
    calls.write_text(new)
    ledger = Ledger.open(home)
    async with worker(home, None, effects, 3600.0, "one") as first:
        await until_it_runs(ledger.of("T1"), "one")
        await first.kill()
    async with worker(home, None, effects, 0.0, code=newer):
        goal = await until_it_is_over(ledger.of("T1"), "one")
    await ledger.close()
    assert goal.state == "done"
    assert done(effects) == each_once(goal)
    assert VERSION == "goals-1", "what is queued under it must still be run by the code of today"
