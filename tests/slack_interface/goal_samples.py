"""Goals behind the port, in memory: the moves are the real ones, planning and work are told."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from database.errors import InputError, NotAllowed, UnknownName, VirtuousError
from database.goals import ANSWER, ENDED_GOAL, Estimate, Goal, Objective, Spent, Task, goal_id_of
from database.records import Reader
from goals import task_graph
from goals.ports import TaskOutcome
from orchestrator.requests import Request

STEPS = (
    Task("vendors", 1, "Compare three error trackers", "Compare Sentry, Rollbar and Bugsnag.",
         "researcher", objective="choose", estimate=Estimate(30.0, 2_000, 0.004, 0.9, 12)),
    Task("budget", 2, "Check them against our budget", "What do they cost us?", "analyst",
         objective="choose", needs=("vendors",), estimate=Estimate(20.0, 1_500, 0.003, 0.85, 4)),
    Task("draft", 3, "Draft the announcement", "Write it.", None, "internal announcements",
         objective="tell", needs=("vendors",), estimate=Estimate(25.0, 1_500, 0.003, 0.8)),
    Task(ANSWER, 4, "Put the answer together", "Answer.", "writer",
         needs=("vendors", "budget", "draft"), estimate=Estimate(15.0, 2_500, 0.005, 0.95, 40)),
)  # fmt: skip
OBJECTIVES = (
    Objective("all", "strategic", "Choose an error tracker and tell everybody"),
    Objective("choose", "tactical", "Know which one fits us", "all"),
    Objective("tell", "tactical", "Tell the team", "all"),
)
NOTE = "Step 2 needed a step that does not exist; I left that out."


def sample_goal(request: Request, **changes: object) -> Goal:
    """The plan for a request, as it is proposed."""
    goal = Goal(
        goal_id=goal_id_of(request.run_id),
        user_id=request.user_id,
        request=request.text,
        run_id=request.run_id,
        title="Choose an error tracker and tell everybody",
        channel_id=request.channel_id,
        thread_ts=request.thread_ts,
        message_ts=request.message_ts,
        audience=request.audience,
        objectives=OBJECTIVES,
        tasks=STEPS,
        estimate=Estimate(75.0, 7_500, 0.015, 0.72, 4),
        notes=(NOTE,),
        created_at=request.received_at,
    )
    return replace(goal, **changes)  # type: ignore[arg-type]


def asking_goal(goal_id: str, channel_id: str, revision: int = 1) -> Goal:
    """Ada's plan that runs, whose first step asks her something."""
    asking = replace(STEPS[0], state="waiting", question="Which region?")
    return Goal(
        goal_id, "U0ADA", "Compare error trackers", f"run of {goal_id}", "Choose an error tracker",
        channel_id, "1699999999.000100", "1699999999.000100", state="waiting",
        objectives=OBJECTIVES, tasks=(asking, *STEPS[1:]), started_at=1.0, revision=revision,
    )  # fmt: skip


@dataclass(slots=True)
class ScriptedGoals:
    """The port. `plan` makes the goal of a request; `problem` is raised instead; while `gate` is
    not set, planning does not end, nor does a change where it is `stuck`, which is made before, or
    before `thinks` is set, before which none is made. `broken` is raised when the plan was made.
    `acts` are what was asked of it, in order; `reader_of` tells what somebody may read.
    """

    plan: Callable[[Request], Goal] = sample_goal
    problem: VirtuousError | None = None
    gate: asyncio.Event | None = None
    stuck: bool = False
    thinks: asyncio.Event | None = None
    broken: Exception | None = None
    needs: str = "plan:"
    goals: dict[str, Goal] = field(default_factory=dict)
    acts: list[tuple[object, ...]] = field(default_factory=list)
    planned: int = 0
    reader_of: Callable[[str, str], Awaitable[Reader]] | None = None
    _handlers: list[Callable[[Goal], Awaitable[None]]] = field(default_factory=list)

    def wanted(self, text: str) -> bool:
        return text.startswith(self.needs)

    async def begin(self, request: Request) -> Goal:
        if known := self.goals.get(goal_id_of(request.run_id)):
            return known
        if self.gate:
            await self.gate.wait()
        if self.problem:
            raise self.problem
        self.planned += 1
        goal = self.plan(request)
        self.goals[goal.goal_id] = goal
        if self.broken:
            raise self.broken
        if self.stuck:
            await asyncio.Event().wait()
        return goal

    async def goal(self, goal_id: str) -> Goal | None:
        return self.goals.get(goal_id)

    async def in_thread(self, channel_id: str, thread_ts: str) -> Sequence[Goal]:
        place = channel_id, thread_ts
        return [g for g in self.goals.values() if (g.channel_id, g.thread_ts) == place]

    async def of_person(self, user_id: str, limit: int = 5) -> Sequence[Goal]:
        found = [
            g for g in self.goals.values() if g.user_id == user_id and g.state not in ENDED_GOAL
        ]
        return found[::-1][:limit]

    async def start(
        self, goal_id: str, person: str, *, approver: bool = False, act: str = ""
    ) -> Goal:
        def move(goal: Goal) -> Goal:
            return task_graph.begin(goal, self.now()) if goal.state == "proposed" else goal

        return await self._act(goal_id, person, approver, act, move, "start")

    async def cancel(
        self, goal_id: str, person: str, why: str = "", *, approver: bool = False, act: str = ""
    ) -> Goal:
        def move(goal: Goal) -> Goal:
            return task_graph.cancel(goal, why, self.now())

        return await self._act(goal_id, person, approver, act, move, "cancel", why)

    async def skip(
        self,
        goal_id: str,
        numbers: Sequence[int],
        person: str,
        why: str = "",
        *,
        approver: bool = False,
        act: str = "",
    ) -> Goal:
        def move(goal: Goal) -> Goal:
            for number in numbers:
                goal = task_graph.skip(goal, number, why or "you said so", self.now())
            return goal

        return await self._act(goal_id, person, approver, act, move, "skip", *numbers)

    async def change(
        self, goal_id: str, words: str, person: str, *, approver: bool = False, act: str = ""
    ) -> Goal:
        key = f"more{len(self.goals[goal_id].tasks)}"
        more = Task(key, 0, words[:60], words, "generalist", needs=("vendors",))
        if self.thinks:
            await self.thinks.wait()
        goal = await self._act(
            goal_id, person, approver, act, lambda g: task_graph.add(g, more), "change", words
        )
        if self.stuck:
            await asyncio.Event().wait()
        return goal

    async def use_model(
        self,
        goal_id: str,
        model: Literal["fast", "strong"],
        person: str,
        numbers: Sequence[int] = (),
        *,
        approver: bool = False,
        act: str = "",
    ) -> Goal:
        def move(goal: Goal) -> Goal:
            return task_graph.use_model(goal, model, numbers)

        return await self._act(goal_id, person, approver, act, move, "model", model, *numbers)

    async def answer(
        self,
        goal_id: str,
        text: str,
        person: str,
        number: int | None = None,
        *,
        approver: bool = False,
        act: str = "",
    ) -> Goal:
        def move(goal: Goal) -> Goal:
            key = task_graph.step(goal, number).key if number else None
            return task_graph.answer(goal, key, text, self.now())

        return await self._act(goal_id, person, approver, act, move, "answer", text, number)

    def on_changed(self, handler: Callable[[Goal], Awaitable[None]]) -> None:
        self._handlers.append(handler)

    def ask_readers_of(self, ask: Callable[[str, str], Awaitable[Reader]]) -> None:
        self.reader_of = ask

    # What a test makes happen

    def now(self) -> float:
        return time.time()

    @property
    def only(self) -> Goal:
        [goal] = self.goals.values()
        return goal

    async def moves(self, goal_id: str, move: Callable[[Goal], Goal]) -> Goal:
        """Put another goal in the place of one, and tell."""
        before = self.goals[goal_id]
        goal = replace(move(before), revision=before.revision + 1)
        self.goals[goal_id] = goal
        for handler in self._handlers:
            await handler(goal)
        return goal

    async def works(self, key: str, outcome: TaskOutcome | None = None) -> Goal:
        """A worker does a step that is queued: begins it and, with an outcome, ends it."""
        goal_id = self.only.goal_id
        if self.only.task(key).state == "queued":
            await self.moves(goal_id, lambda g: task_graph.start(g, key, Spent(), self.now()))
        if outcome is None:
            return self.only
        return await self.moves(
            goal_id,
            lambda g: task_graph.advance(
                task_graph.settle(g, key, outcome, self.now()), self.now()
            ),
        )

    async def all_works(self, *left: str) -> Goal:
        """Every step but `left` comes to a result."""
        while queued := [t for t in self.only.tasks if t.state == "queued" and t.key not in left]:
            for task in queued:
                await self.works(task.key, result_of(task.key))
        return self.only

    async def _act(
        self,
        goal_id: str,
        person: str,
        approver: bool,
        name: str,
        move: Callable[[Goal], Goal],
        *act: object,
    ) -> Goal:
        if name and goal_id in self.goals and name in self.goals[goal_id].acts:
            return self.goals[goal_id]
        goal = self._may(goal_id, person, approver, *act)
        moved = task_graph.advance(move(goal), self.now())
        if moved == goal:
            return goal
        return await self.moves(goal_id, lambda _: task_graph.noted(moved, name))

    def _may(self, goal_id: str, person: str, approver: bool, *act: object) -> Goal:
        if goal_id not in self.goals:
            raise UnknownName("There is no such goal.")
        goal = self.goals[goal_id]
        if person != goal.user_id and not approver:
            raise NotAllowed("Not yours.")
        if goal.ended:
            raise InputError("This is over already.")
        self.acts.append(act)
        return goal


RESULTS = {
    "vendors": "**Sentry** is the most complete, Rollbar the cheapest, Bugsnag the simplest.",
    "budget": "Sentry costs $312 a year for us, within the budget of $500.",
    "draft": "*Hello team*, from Monday on we use Sentry.",
    ANSWER: "Take Sentry: it fits, and costs $312 of the $500. The announcement is drafted.",
}


def result_of(key: str, seconds: float = 22.0) -> TaskOutcome:
    """A step that went well."""
    spent = Spent(seconds, 1_800, 0.0035)
    return TaskOutcome(result=RESULTS.get(key, f"Done: {key}."), spent=spent, run_id=f"run-{key}")
