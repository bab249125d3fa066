import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database.errors import BudgetExceeded
from database.goals import NOTHING, Goal, Spent
from goals.budgets import DAY_SECONDS, DayLimit
from goals.ledger import Goals, Ledger
from tests.clock import Clock
from tests.goals.reserving import EACH, LIMIT, PERSON, asked, reserve

ROOT = Path(__file__).resolve().parents[2]


async def settle(goals: Goals, name: str, spent: Spent) -> Goal:
    goal = await goals.goal(name)
    assert goal is not None
    done = replace(goal.tasks[0], state="done", reserved=NOTHING, spent=spent)
    return await goals.move(replace(goal, tasks=(done,), state="done", ended_at=1.0))


async def test_a_hundred_tasks_that_reserve_at_once_never_overspend(goals: Goals) -> None:
    done = await asyncio.gather(*(reserve(goals, f"g{n}") for n in range(100)))
    assert sum(done) == 20, "two dollars, a tenth each"
    use = await goals.use_today(PERSON)
    assert (use.held, use.spent) == (Spent(0.0, 2000, 2.0), NOTHING)
    names = [f"g{n}" for n, fits in enumerate(done) if fits]
    await asyncio.gather(*(settle(goals, name, Spent(5.0, 40, 0.05)) for name in names))
    use = await goals.use_today(PERSON)
    assert (use.held, use.spent) == (NOTHING, Spent(0.0, 800, 1.0))
    more = await asyncio.gather(*(reserve(goals, f"h{n}") for n in range(30)))
    assert sum(more) == 10, "what was not used is there again"


async def test_nor_do_those_of_several_processes(
    tmp_path: Path, engine_url: str | None, goals: Goals
) -> None:
    async def process(first: int) -> int:
        command = ("-m", "tests.goals.reserving", str(tmp_path), engine_url or "", str(first), "50")
        started = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        said, _ = await started.communicate()
        assert started.returncode == 0
        return int(said)

    fitted = await asyncio.gather(*(process(first) for first in (0, 50)))
    assert sum(fitted) == 20
    assert (await goals.use_today(PERSON)).held == Spent(0.0, 2000, 2.0)
    assert len(await goals.goals(limit=200)) == 100


async def test_a_refusal_says_which_limit_and_changes_nothing(goals: Goals) -> None:
    await goals.create(asked("g1"))
    running = replace(asked("g1").tasks[0], state="running", reserved=EACH)
    moved = replace(asked("g1"), tasks=(running,))
    with pytest.raises(BudgetExceeded, match=r"0.05 US dollars.*goal_usd_per_day"):
        await goals.move(moved, limit=DayLimit(usd=0.05))
    with pytest.raises(BudgetExceeded, match=r"99 tokens.*goal_tokens_per_day"):
        await goals.move(moved, limit=DayLimit(tokens=99))
    assert await goals.goal("g1") == asked("g1")
    assert await goals.use_today(PERSON) == await goals.use_today("U0BOB")
    await goals.move(moved, limit=DayLimit(usd=0.1, tokens=100))


async def test_people_do_not_share_a_day_and_days_are_not_added(tmp_path: Path) -> None:
    clock = Clock()
    ledger = Ledger.open(tmp_path, clock=clock)
    goals = ledger.of("T1")
    limit = DayLimit(usd=0.15)
    assert await reserve(goals, "g1", limit=limit)
    assert not await reserve(goals, "g2", limit=limit)
    assert (await goals.use_today("U0BOB")).held == NOTHING
    assert (await ledger.of("T2").use_today(PERSON)).held == NOTHING
    clock.now += DAY_SECONDS
    assert await reserve(goals, "g3", limit=limit)
    # What was reserved yesterday counts there, whenever it ends.
    await settle(goals, "g1", Spent(1.0, 10, 0.12))
    use = await goals.use_today(PERSON)
    assert (use.held.usd, use.spent.usd) == (0.1, 0.0)
    clock.now -= DAY_SECONDS
    use = await goals.use_today(PERSON)
    assert (use.held.usd, use.spent.usd) == (0.0, 0.12)
    await ledger.close()


async def test_planning_counts_and_a_settled_goal_can_not_count_twice(goals: Goals) -> None:
    goal = replace(asked("g1"), planning=Spent(3.0, 700, 0.25))
    await goals.create(goal)
    assert (await goals.use_today(PERSON)).spent == Spent(0.0, 700, 0.25)
    moved = await goals.move(replace(goal, title="again"))
    assert (await goals.use_today(PERSON)).spent == Spent(0.0, 700, 0.25)
    await goals.move(replace(moved, planning=Spent(3.0, 800, 0.35)))
    assert (await goals.use_today(PERSON)).spent == Spent(0.0, 800, 0.35)


async def test_an_attempt_that_is_made_again_holds_once(goals: Goals) -> None:
    await reserve(goals, "g1")
    goal = await goals.goal("g1")
    assert goal is not None
    again = replace(goal.tasks[0], state="queued", attempt=2, reserved=NOTHING)
    moved = await goals.move(replace(goal, tasks=(again,)))
    assert (await goals.use_today(PERSON)).held == NOTHING
    running = replace(again, state="running", reserved=EACH)
    await goals.move(replace(moved, tasks=(running,)), limit=LIMIT)
    assert (await goals.use_today(PERSON)).held == Spent(0.0, 100, 0.1)


steps = st.lists(
    st.tuples(st.integers(0, 7), st.floats(0.001, 0.6), st.floats(0.0, 1.0)), max_size=24
)


@settings(max_examples=12)
@given(st.floats(0.1, 2.0), steps)
def test_whatever_is_reserved_and_settled_the_day_is_kept(
    cents: float, todo: list[tuple[int, float, float]]
) -> None:
    """One person's tasks: each is started or, if it runs, settled with a part of what it holds."""
    limit = DayLimit(usd=cents)

    async def run(home: Path) -> None:
        ledger = Ledger.open(home)
        goals = ledger.of("T1")
        for at in range(0, len(todo), 6):
            batch = {which: (amount, part) for which, amount, part in todo[at : at + 6]}
            await asyncio.gather(*(step(goals, which, *how) for which, how in batch.items()))
            use = await goals.use_today(PERSON)
            assert use.held.usd + use.spent.usd <= cents + 1e-6
            known = await goals.goals(limit=100)
            held = sum(task.reserved.usd for one in known for task in one.tasks)
            spent = sum(one.spent.usd for one in known)
            assert use.held.usd == pytest.approx(held, abs=1e-4)
            assert use.spent.usd == pytest.approx(spent, abs=1e-4)
        await ledger.close()

    async def step(goals: Goals, which: int, amount: float, part: float) -> None:
        name = f"g{which}"
        goal = await goals.goal(name)
        if goal is None:
            await goals.create(asked(name))
            return
        task = goal.tasks[0]
        if task.state == "running":
            spent = Spent(0.0, 0, task.spent.usd + task.reserved.usd * part)
            changed = replace(task, state="queued", attempt=task.attempt + 1, spent=spent,
                              reserved=NOTHING)  # fmt: skip
        else:
            changed = replace(task, state="running", reserved=Spent(0.0, 0, amount))
        try:
            await goals.move(replace(goal, tasks=(changed,)), limit=limit)
        except BudgetExceeded:
            assert await goals.goal(name) == goal

    with TemporaryDirectory() as home:
        asyncio.run(run(Path(home)))
