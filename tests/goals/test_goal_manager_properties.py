"""Any order of acts, and a crash before any write: a goal ends or waits, nothing is lost or double.

The process dies by a fuse: so many writes from now (to the ledger, or to the engine's queue) and it
raises instead of writing. What is left then is what the next one finds: the ledger, and attempts
that the engine knows; and a sweep tells the engine of attempts that it does not.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from database.errors import InputError
from database.goals import ANSWER, NOTHING, Budget, Goal, Spent, Task, goal_id_of
from goals import task_graph
from goals.budgets import DayLimit
from goals.decomposition import Alternative
from goals.goal_manager import GoalManager
from goals.ledger import Goals, Ledger
from goals.ports import HoldMore, TaskOutcome
from tests.goals.standins import WORKSPACE, Anything, Asked, Nowhere, Scripted

End = Literal["result", "question", "failure", "away", "uncertain", "lacks"]
Act = tuple[Any, ...]
GOAL = goal_id_of("r1")
LIVES = 30

ENDS: Sequence[End] = (
    "result", "result", "result", "question", "failure", "failure", "away", "uncertain",
    "lacks",
)  # fmt: skip
KEYS = ("s0_0", "s1_0", "s0_1", "s1_1", "s0_0r", "s1_1r", "a5", ANSWER)
ACTS: Mapping[str, tuple[float, Sequence[Any]]] = {
    "work": (12, range(6)),
    "twice": (4, range(6)),
    "answer": (6, ("yes", "yes", "the long one", "the long one", "the long one", "no")),
    "crash": (6, range(1, 5)),
    "sweep": (3, ()),
    "begin": (1, ()),
    "skip": (2, [(number,) for number in range(1, 7)]),
    "change": (1, ("add a step",)),
    "use_model": (1, ("fast",)),
    "cancel": (0.3, ()),
}
"""How often each is tried, and with what."""


class Died(BaseException):
    """The process, in place of a write."""


@dataclass
class Fuse:
    """Burns down with each write; 0 does not burn."""

    left: int = 0

    def burn(self) -> None:
        if self.left:
            self.left -= 1
            if not self.left:
                raise Died


@dataclass
class Queue:
    """What the engine knows of, until it is done."""

    fuse: Fuse
    known: dict[tuple[str, str, int], None]

    async def enqueue(self, goal_id: str, key: str, attempt: int, person: str) -> None:
        self.fuse.burn()
        self.known.setdefault((goal_id, key, attempt))

    async def cancel(self, goal_id: str, key: str, attempt: int) -> None:
        self.fuse.burn()
        self.known.pop((goal_id, key, attempt), None)


class Mortal(Goals):
    """The rows of a process that may die before it writes."""

    def __init__(self, ledger: Ledger, fuse: Fuse) -> None:
        super().__init__(ledger, WORKSPACE)
        self._burning = fuse

    async def create(self, goal: Goal, *, limit: DayLimit | None = None) -> bool:
        self._burning.burn()
        return await super().create(goal, limit=limit)

    async def move(self, goal: Goal, *, limit: DayLimit | None = None) -> Goal:
        self._burning.burn()
        return await super().move(goal, limit=limit)


class Plan(Scripted):
    """Two ways through, which join; a step that fails may have another in its place."""

    async def change(self, goal: Goal, words: str) -> Goal:
        return task_graph.add(goal, Task(f"a{len(goal.tasks)}", 0, "more", "Do more.", "writer"))

    async def alternative(self, goal: Goal, key: str) -> Alternative:
        fresh = Task(f"{key}r", 0, "instead", "Do otherwise.", "writer")
        if fresh.key in {task.key for task in goal.tasks}:
            return Alternative(())
        return Alternative((fresh,), Spent(1.0, 10, 0.001))


@dataclass
class Tight(Anything):
    """So small a budget that it is asked about."""

    tokens: int

    def budget(self) -> Budget:
        return Budget(usd=9.0, tokens=self.tokens, seconds=1e9, tasks=50, agents=50)


@dataclass
class Hands:
    """Each attempt ends as drawn, however often it is made; remembers what it returned."""

    ends: Mapping[tuple[str, int], End]
    returned: set[str]

    async def work(self, goal: Goal, task: Task, more: HoldMore | None = None) -> TaskOutcome:
        end = self.ends.get((task.key, task.attempt % 4), "result")
        run = f"{task.key}#{task.attempt}"
        made = TaskOutcome(run_id=run, spent=Spent(1.0, 900, 0.001), agent=task.agent)
        if end in ("question", "uncertain") and task.attempt < 9:  # it has to end some day
            return replace(made, question="Which?", uncertain=end == "uncertain")
        if end == "lacks" and task.attempt < 9:
            return replace(made, lacks=Spent(0.0, 5_000, 0.0))
        if end in ("failure", "away"):
            return replace(made, failure="It did not go.", retry=end == "away", away=end == "away")
        self.returned.add(run)
        return replace(made, result=run)

    async def stopped(
        self, goal: Goal, task: Task, spent: Spent = NOTHING, why: str = ""
    ) -> TaskOutcome:
        return TaskOutcome(failure=why or "stopped", spent=spent)


class World:
    """A goal, whoever is alive, and what must hold whatever happens."""

    def __init__(self, home: Path, ends: Mapping[tuple[str, int], End], tokens: int) -> None:
        self.ledger = Ledger.open(home)
        self.fuse = Fuse()
        self.queue = Queue(self.fuse, {})
        self.hands = Hands(ends, set())
        self.rules = Tight(tokens)
        self.results: dict[str, str] = {}
        self.revision = -1

    @property
    def manager(self) -> GoalManager:
        """A process begins: it remembers nothing."""
        rows = Mortal(self.ledger, self.fuse)
        plan = Plan(wide=2, deep=2)
        return GoalManager(rows, self.queue, self.hands, plan, self.rules, Nowhere())

    async def act(self, act: Act) -> None:
        try:
            await self._act(*act)
        except InputError:
            pass  # it makes no sense now, and was refused
        except Died:
            self.fuse.left = 0
        await self.check()

    async def _act(self, name: str, *values: Any) -> None:
        manager, person = self.manager, "U0ADA"
        if name == "crash":
            self.fuse.left = values[0]
        elif name in ("begin", "sweep", "work", "twice", "answer"):
            await getattr(self, name)(*values)
        else:
            await getattr(manager, name)(GOAL, *values, person)

    async def begin(self) -> None:
        """The message is delivered, perhaps again."""
        await self.manager.begin(Asked("r1"))

    async def twice(self, at: int) -> None:
        """A worker is taken for dead, and lives."""
        await asyncio.gather(self.work(at), self.work(at))

    async def work(self, at: int) -> None:
        known = list(self.queue.known)
        if known:
            goal_id, key, attempt = known[at % len(known)]
            await self.manager.work(goal_id, key, attempt)
            self.queue.known.pop((goal_id, key, attempt), None)

    async def answer(self, text: str) -> None:
        goal = await self.manager.goal(GOAL)
        assert goal is not None
        waiting = [task.number for task in goal.tasks if task.state == "waiting"]
        if goal.asks or waiting:
            number = None if goal.asks else waiting[0]
            await self.manager.answer(GOAL, text, "U0ADA", number)

    async def sweep(self) -> None:
        """What goals.workers does every few seconds."""
        for one in await self.ledger.waiting_enqueue(-1.0):
            await self.queue.enqueue(one.goal_id, one.key, one.attempt, "U0ADA")

    async def check(self) -> None:
        goal = await self.ledger.of(WORKSPACE).goal(GOAL)
        if goal is None:
            return
        assert goal.revision >= self.revision
        self.revision = goal.revision
        for key, result in self.results.items():
            assert (goal.task(key).state, goal.task(key).result) == ("done", result)
        for task in goal.tasks:
            if task.state == "done":
                assert task.result in self.hands.returned
                self.results[task.key] = task.result or ""
            needs = [goal.task(need).state for need in task.needs]
            if task.state in ("queued", "running", "done") and task.key != ANSWER:
                assert set(needs) <= {"done", "skipped"}, "nothing begins before what it needs"

    async def settle_down(self) -> Goal:
        """No more crashes; people answer, workers work: until nothing moves any more."""
        self.fuse.left = 0
        await self.manager.begin(Asked("r1"))
        for _ in range(200):
            await self.act(("sweep",))
            goal = await self.manager.goal(GOAL)
            assert goal is not None
            if goal.ended:
                await self.work_off()
                return await self.manager.goal(GOAL) or goal
            if self.queue.known:
                await self.act(("work", 0))
            else:
                assert goal.state == "waiting", "whoever does not go on waits for somebody"
                await self.act(("answer", "yes"))
        raise AssertionError("The goal neither ended nor waited for anybody.")

    async def work_off(self) -> None:
        """Attempts that were under way when it ended: they let go of what they hold."""
        while self.queue.known:
            await self.act(("work", 0))


def some_acts(chance: Random) -> list[Act]:
    names = chance.choices(list(ACTS), [often for often, _ in ACTS.values()], k=40)
    return [
        (name, chance.choice(list(ACTS[name][1]))) if ACTS[name][1] else (name,) for name in names
    ]


async def lived(seed: int) -> Goal:
    """The life of one goal."""
    chance = Random(seed)
    ends = {(key, attempt): chance.choice(ENDS) for key in KEYS for attempt in range(4)}
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), ends, chance.choice((8_000, 30_000, 10**9)))
        try:
            for act in (("crash", chance.randint(1, 6)), ("begin",), ("begin",)):
                await world.act(act)
            for act in some_acts(chance):
                await world.act(act)
            goal = await world.settle_down()
        finally:
            await world.ledger.close()
    assert all(task.reserved == NOTHING for task in goal.tasks), "nothing is held for ever"
    return goal


def test_every_goal_ends_or_waits_and_no_result_is_lost_or_doubled() -> None:
    seen: Counter[str] = Counter()
    for seed in range(LIVES):
        try:
            goal = asyncio.run(lived(seed))
        except BaseException as error:
            error.add_note(f"in the life of seed {seed}")
            raise
        seen[goal.state] += 1
        seen["replanned"] += goal.replans > 0
        seen.update({task.state for task in goal.tasks})
        seen["answered"] += any(task.answers for task in goal.tasks)
        seen["grown"] += goal.budget.tokens not in (8_000, 30_000, 10**9)
    met = {"done", "failed", "cancelled", "replanned", "skipped", "answered", "grown"}
    assert {name for name in met if not seen[name]} == set(), "these lives are too quiet"
