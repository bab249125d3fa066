"""Goals with a scripted plan and scripted hands, over the real ledger, engine and manager.

`python -m tests.goals.standins HOME URL FILE SECONDS SLOTS [GOAL]` is a worker of its own that
takes SECONDS for each task and writes every effect as a line into FILE; with GOAL it begins one.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from database.goals import ANSWER, NOTHING, Budget, Goal, Spent, Task, goal_id_of
from database.records import Reader, run_id_of
from goals.budgets import DayLimit
from goals.decomposition import Alternative, Decomposition
from goals.execution import Execution, Ready
from goals.goal_manager import GoalManager
from goals.ledger import Goals, Ledger
from goals.ports import HoldMore, JournalEntry, TaskOutcome
from tests.patience import PATIENCE_S

WORKSPACE = "T1"
Effect = Callable[[str], Awaitable[None]]
"""Changes something in the world, once for each key."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request (goals.ports.Wish)."""

    run_id: str
    user_id: str = "U0ADA"
    channel_id: str = "C1"
    thread_ts: str = "1.0"
    message_ts: str = "1.0"
    text: str = "do all of it"
    reader: Reader = field(default_factory=lambda: Reader("U0ADA"))
    received_at: float = 1.0
    audience: str = "public"


class Scripted(Decomposition):
    """Every plan has so many steps beside each other, each of which goes on so many times."""

    def __init__(self, wide: int = 3, deep: int = 1) -> None:
        self._wide, self._deep = wide, deep

    async def plan(self, goal: Goal) -> Goal:
        """The plan."""
        made = [
            _step(f"s{column}_{row}", (f"s{column}_{row - 1}",) if row else ())
            for row in range(self._deep)
            for column in range(self._wide)
        ]
        last = _step(ANSWER, tuple(task.key for task in made))
        numbered = (replace(task, number=at) for at, task in enumerate((*made, last), start=1))
        return replace(goal, title="all of it", tasks=tuple(numbered))

    async def alternative(self, goal: Goal, key: str) -> Alternative:
        """None."""
        return Alternative(())


class Anything:
    """What approvers allow: everything, at once."""

    def on(self) -> bool:
        """Yes."""
        return True

    def budget(self) -> Budget:
        """Enough."""
        return Budget(usd=100.0, tokens=10**9, seconds=1e9, tasks=50)

    def day(self, user_id: str) -> DayLimit:
        """No limit."""
        return DayLimit()

    async def starts_alone(self, goal: Goal) -> str:
        """Always."""
        return "Started by itself."

    def approvers(self) -> Sequence[str]:
        """Nobody."""
        return ()


class Nowhere:
    """A record of nothing."""

    async def ended(self, goal: Goal) -> None:
        """Forgets it."""


class Record:
    """Keeps which goals have ended; `hold` keeps it from doing so."""

    def __init__(self) -> None:
        self.goals: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def ended(self, goal: Goal) -> None:
        """Notes it."""
        await self.hold.wait()
        self.goals.append(goal.goal_id)


class Hands:
    """Asks a model that takes so many seconds, then changes something; from the journal."""

    def __init__(self, goals: Goals, seconds: float, effect: Effect) -> None:
        self._goals, self._seconds, self._effect = goals, seconds, effect

    async def work(self, goal: Goal, task: Task, more: HoldMore | None = None) -> TaskOutcome:
        """Do a task."""
        known = {e.position: e for e in await self._goals.journal(goal.goal_id, task.key)}
        if "m0" not in known:
            await asyncio.sleep(self._seconds)
            await self._note(goal, task, JournalEntry(task.attempt, "m0", "model", {"said": "go"}))
        effect = f"{goal.goal_id}/{task.key}"
        if "t1" not in known or known["t1"].kind != "result":
            await self._note(goal, task, JournalEntry(task.attempt, "t1", "intent", {}))
            await self._effect(effect)
            await self._note(goal, task, JournalEntry(task.attempt, "t1", "result", {"ok": True}))
        run_id = run_id_of(goal.goal_id, task.key, str(task.attempt))
        return TaskOutcome(result=f"did {task.key}", run_id=run_id, spent=Spent(1.0, 10, 0.001))

    async def stopped(
        self, goal: Goal, task: Task, spent: Spent = NOTHING, why: str = ""
    ) -> TaskOutcome:
        """Nothing more than what the worker knows."""
        return TaskOutcome(failure=why or "stopped", spent=spent)

    async def _note(self, goal: Goal, task: Task, entry: JournalEntry) -> None:
        await self._goals.note(goal.goal_id, task.key, entry)


@dataclass(frozen=True, slots=True)
class Place:
    """A process's goals."""

    ledger: Ledger
    execution: Execution
    manager: GoalManager

    @property
    def goals(self) -> Goals:
        """The rows."""
        return self.ledger.of(WORKSPACE)

    async def ask(self, name: str, user: str = "U0ADA") -> Goal:
        """Begin a goal."""
        return await self.manager.begin(Asked(name, user, thread_ts=name))

    async def goal(self, name: str) -> Goal:
        """As it is now."""
        found = await self.manager.goal(goal_id_of(name))
        assert found is not None
        return found

    async def ended(self, name: str) -> Goal:
        """Once it is over."""

        async def over() -> bool:
            return (await self.goal(name)).ended

        await until(over)
        return await self.goal(name)


async def until(true: Callable[[], Awaitable[bool]], seconds: float = PATIENCE_S) -> None:
    """Wait for something that happens elsewhere."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 (in a thread of DBOS, or another process)
            await asyncio.sleep(0.02)


async def _open(workspace: str) -> None:
    """Every workspace is."""


@contextlib.asynccontextmanager
async def place(
    home: Path,
    url: str | None,
    effect: Effect,
    *,
    seconds: float = 0.0,
    plan: Scripted | None = None,
    slots: int = 16,
    per_person: int = 4,
    always: bool = False,
    record: Record | None = None,
    ready: Ready = _open,
) -> AsyncIterator[Place]:
    """Goals that are worked on while it is open."""
    ledger = Ledger.open(home, url)
    rows = ledger.of(WORKSPACE)
    managers: list[GoalManager] = []

    async def work(workspace: str, goal_id: str, key: str, attempt: int) -> None:
        await managers[0].work(goal_id, key, attempt)

    async def give_up(workspace: str, goal_id: str, key: str, attempt: int, why: str) -> None:
        await managers[0].give_up(goal_id, key, attempt, why)

    execution = Execution(
        ledger, home, url, work=work, give_up=give_up, ready=ready, slots=slots,
        per_person=per_person,
    )  # fmt: skip
    engine, hands = execution.of(WORKSPACE), Hands(rows, seconds, effect)
    record = record or Record()
    manager = GoalManager(rows, engine, hands, plan or Scripted(), Anything(), record)
    managers.append(manager)
    try:
        await execution.start(always=always)
        yield Place(ledger, execution, manager)
    finally:
        await execution.stop()
        await ledger.close()


def line_in(path: Path) -> Effect:
    """An effect that is a line in a file: once for each time it was asked for."""

    async def write(key: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{key}\n")

    return write


def _step(key: str, needs: tuple[str, ...]) -> Task:
    return Task(key, 0, f"step {key}", "do it", "writer", needs=needs)


async def _main(home: str, url: str, path: str, seconds: str, slots: str, goal: str = "") -> None:
    effect, plan = line_in(Path(path)), Scripted(2, 2)
    async with place(
        Path(home), url or None, effect, seconds=float(seconds), plan=plan, slots=int(slots),
        always=True,
    ) as here:  # fmt: skip
        if goal:
            await here.ask(goal)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
