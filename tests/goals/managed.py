"""A manager of goals over a real ledger, with everything beside it scripted."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from database.goals import NOTHING, Budget, Goal, Spent, Task, goal_id_of
from goals.budgets import DayLimit
from goals.decomposition import Alternative
from goals.goal_manager import GoalManager
from goals.ledger import Ledger
from goals.ports import BrokenOff, HoldMore, TaskOutcome
from tests.goals.standins import WORKSPACE, Anything, Scripted

GOAL = goal_id_of("r1")
ADA, GRACE, BOSS = "U0ADA", "U0GRACE", "U0BOSS"


@dataclass
class Queue:
    """What is to be worked on, and what was stopped."""

    queued: list[tuple[str, int]] = field(default_factory=list)
    stopped: list[tuple[str, int]] = field(default_factory=list)

    async def enqueue(self, goal_id: str, key: str, attempt: int, person: str) -> None:
        if (key, attempt) not in self.queued:
            self.queued.append((key, attempt))

    async def cancel(self, goal_id: str, key: str, attempt: int) -> None:
        self.stopped.append((key, attempt))


@dataclass
class Hands:
    """Ends as it is told, by key; else with a result. `noted` is in the journal of what stops."""

    ends: dict[str, TaskOutcome] = field(default_factory=dict)
    worked: list[str] = field(default_factory=list)
    read: list[frozenset[str]] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    noted: Spent = NOTHING
    hold: asyncio.Event | None = None

    async def work(self, goal: Goal, task: Task, more: HoldMore | None = None) -> TaskOutcome:
        self.worked.append(f"{task.key} by {task.agent}")
        self.read.append(goal.reader.audiences())
        if self.hold:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                raise BrokenOff(Spent(1.0, 50, 0.25)) from None
        made = TaskOutcome(run_id=f"{task.key}#{task.attempt}", spent=Spent(2.0, 100, 0.5))
        end = self.ends.pop(task.key, TaskOutcome(result=f"{task.key} is done"))
        return replace(end, run_id=made.run_id, spent=made.spent)

    async def stopped(
        self, goal: Goal, task: Task, spent: Spent = NOTHING, why: str = ""
    ) -> TaskOutcome:
        self.stops.append(f"{task.key}: {why or 'stopped'}")
        return TaskOutcome(failure=why or "stopped", spent=spent + self.noted)


@dataclass
class Rules(Anything):
    """What a test allows."""

    start: str = "Started by itself."
    switched_on: bool = True
    limit: DayLimit = field(default_factory=DayLimit)
    most: Budget = field(default_factory=lambda: Budget(usd=99.0, tokens=10**9, seconds=1e9))

    def on(self) -> bool:
        return self.switched_on

    def budget(self) -> Budget:
        return self.most

    def day(self, user_id: str) -> DayLimit:
        return self.limit

    async def starts_alone(self, goal: Goal) -> str:
        return self.start

    def approvers(self) -> Sequence[str]:
        return (BOSS,)


@dataclass
class Chronicle:
    """The goals that ended, each time it was told."""

    told: list[Goal] = field(default_factory=list)

    async def ended(self, goal: Goal) -> None:
        self.told.append(goal)


class Plan(Scripted):
    """One step after the other; a failed one has another in its place, once."""

    planned = 0
    around: tuple[Task, ...] = ()

    async def plan(self, goal: Goal) -> Goal:
        self.planned += 1
        return await super().plan(goal)

    async def change(self, goal: Goal, words: str) -> Goal:
        return replace(goal, title=words)

    async def alternative(self, goal: Goal, key: str) -> Alternative:
        found, self.around = self.around, ()
        return Alternative(found, Spent(1.0, 10, 0.0))


class Here:
    """A manager over a real ledger, with everything beside it scripted."""

    def __init__(self, ledger: Ledger, wide: int = 2) -> None:
        self.queue, self.hands, self.rules = Queue(), Hands(), Rules()
        self.plan, self.chronicle = Plan(wide), Chronicle()
        self.manager = GoalManager(
            ledger.of(WORKSPACE), self.queue, self.hands, self.plan, self.rules, self.chronicle,
            wants=lambda text: "plan" in text,
        )  # fmt: skip

    async def work(self) -> Goal:
        """Until nothing is queued."""
        while self.queue.queued:
            await self.manager.work(GOAL, *self.queue.queued.pop(0))
        return await self.goal()

    async def runs(self, key: str) -> bool:
        return (await self.goal()).task(key).state == "running"

    async def goal(self) -> Goal:
        found = await self.manager.goal(GOAL)
        assert found is not None
        return found
