"""Goals as people and the clock use them: create, start, watch, change, cancel.

Every act reads a goal, makes another one of it (goals.task_graph, pure) and puts that in its place
in the ledger unless somebody was faster; then it reads again and decides again. What must happen
after a move (attempts to enqueue, an end to record) is done by whoever made it or, if that process
died, by whoever does the same again: nothing is done twice for it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import Literal

import structlog

from database.errors import (
    BudgetExceeded,
    InputError,
    NotAllowed,
    StaleRevision,
    UnknownName,
    VirtuousError,
)
from database.goals import NOTHING, Goal, Spent, goal_id_of
from database.records import Reader
from goals import finding, task_graph
from goals.beginning import PlanningRoom, asked
from goals.changing import asks_a_model
from goals.decomposition import Alternative, Decomposition
from goals.estimates import check_planning, reservation
from goals.ledger import Goals
from goals.ports import BrokenOff, Chronicle, Engine, Rules, TaskOutcome, Wish, Workforce
from goals.watching import Changed, Watch

_RACES = 30
"""So often somebody else may be faster before an act is given up."""
_CHANGE_TRIES = 3
_LOOKED_AT = 1_000

Rights = Callable[[Goal], Awaitable[Reader]]
"""What a goal's person may read now, in its place, where the house can ask for it."""

log = structlog.get_logger()


class GoalManager:
    """The goals of one workspace.

    Who may act on a goal: whoever asked for it, and approvers. `approver` says that the caller has
    made sure that this person is one (Slack's admins are known to Slack's side only); approvers
    that policy names are known here. `act` is a name of what is done: the same one again, as after
    a crash, changes nothing.
    """

    def __init__(
        self,
        rows: Goals,
        engine: Engine,
        workforce: Workforce,
        planning: Decomposition,
        rules: Rules,
        chronicle: Chronicle,
        *,
        wants: Callable[[str], bool] = lambda text: False,
        read_by: Callable[[Wish], Reader] = lambda request: request.reader,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rows = rows
        self._engine = engine
        self._workforce = workforce
        self._planning = planning
        self._rules = rules
        self._chronicle = chronicle
        self._wants = wants
        self._read_by = read_by
        self._rights: Rights | None = None
        self._clock = clock
        self._watch = Watch(rows)
        self._room = PlanningRoom(rows)

    def wanted(self, text: str) -> bool:
        """Whether a request needs a plan; never while policy has switched goals off."""
        return self._rules.on() and self._wants(text)

    async def begin(self, request: Wish) -> Goal:
        """Plan it. The same request again, as after a restart, is the same goal.

        The goal returned is `proposed` and waits for Start; or `running`, where it is small and
        cheap enough to start by itself (policy `goal_start`), which a note of it says; or
        `refused`, with the `reason` why there is no plan. Nothing is kept before the plan is made.
        Raises ModelError when no plan could be made just now, BudgetExceeded past a day's limit.
        """
        known = await self.rows.goal(goal_id_of(request.run_id))
        if known is not None:
            return await self._follow(known)
        async with self._planned_for(request.user_id):
            return await self._planned(request)

    async def _planned(self, request: Wish) -> Goal:
        wish = asked(request, self._read_by(request), self._rules.budget(), self._clock())
        goal = replace(await self._planning.plan(wish), revision=0)
        why = await self._rules.starts_alone(goal) if goal.state == "proposed" else ""
        if why:
            now = self._clock()
            goal = replace(goal, notes=(*goal.notes, why))
            goal = task_graph.advance(task_graph.begin(goal, now), now)
        keeping = asyncio.ensure_future(self._kept(goal))
        try:
            return await asyncio.shield(keeping)
        except asyncio.CancelledError:
            await asyncio.gather(keeping, return_exceptions=True)
            raise

    async def _kept(self, goal: Goal) -> Goal:
        """A plan that is kept runs: whoever stops it sees it whole, or not at all."""
        if not await self.rows.create(goal):
            goal = await self._known(goal.goal_id)
        return await self._follow(goal)

    async def goal(self, goal_id: str) -> Goal | None:
        """A goal as it is now."""
        return await self.rows.goal(goal_id)

    async def like(self, beginning: str) -> Goal:
        """The one goal whose id begins so, for people who type. Raises UnknownName."""
        return await finding.like(self.rows, beginning)

    async def in_thread(self, channel_id: str, thread_ts: str) -> Sequence[Goal]:
        """The goals of a thread, ended or not, oldest first."""
        return await self.rows.in_thread(channel_id, thread_ts)

    async def of_person(self, user_id: str, limit: int = 5) -> Sequence[Goal]:
        """The goals of somebody that have not ended, newest first."""
        return await self.rows.goals(user_id, ("proposed", "running", "waiting"), limit)

    async def start(
        self, goal_id: str, person: str, *, approver: bool = False, act: str = ""
    ) -> Goal:
        """Run a proposed plan; one that runs already is left as it is.

        Raises UnknownName, NotAllowed, and InputError for one that has ended.
        """

        def begun(goal: Goal) -> Goal:
            return (
                goal
                if goal.state in ("running", "waiting")
                else task_graph.begin(goal, self._clock())
            )

        return await self._act(goal_id, person, approver, begun, act)

    async def cancel(
        self, goal_id: str, person: str, why: str = "", *, approver: bool = False, act: str = ""
    ) -> Goal:
        """Stop everything of it; what is done stays. Raises UnknownName, NotAllowed, InputError."""

        def stopped(goal: Goal) -> Goal:
            return task_graph.cancel(goal, why, self._clock())

        return await self._act(goal_id, person, approver, stopped, act)

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
        """Leave out these steps, all or none. Raises UnknownName, NotAllowed, InputError."""

        def skipped(goal: Goal) -> Goal:
            for number in dict.fromkeys(numbers):
                goal = task_graph.skip(goal, number, why, self._clock())
            return goal

        return await self._act(goal_id, person, approver, skipped, act)

    async def change(
        self, goal_id: str, words: str, person: str, *, approver: bool = False, act: str = ""
    ) -> Goal:
        """Change the plan as the words say, also while it runs: "add a step that ...".

        What was changed, or why nothing was, is the last of its `notes`.
        Raises UnknownName, NotAllowed, ModelError, InputError for one that has ended, and past a
        day's limit BudgetExceeded where a model would have to be asked.
        """
        lost = NOTHING
        for _ in range(_CHANGE_TRIES):
            goal = await self._as_now(await self._allowed(goal_id, person, approver))
            if act and act in goal.acts:
                return await self._follow(goal)
            room = self._planned_for(goal.user_id) if asks_a_model(words) else nullcontext()
            async with room:
                changed = await self._planning.change(goal, words)
            changed = replace(changed, planning=changed.planning + lost)
            changed = task_graph.noted(changed, act)
            with suppress(StaleRevision):
                return await self._follow(await self.rows.move(self._advanced(changed)), goal)
            lost = changed.planning - goal.planning
        await self._moved(goal_id, lambda goal: replace(goal, planning=goal.planning + lost))
        raise InputError("The plan moves too fast to be changed just now: say it again.")

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
        """All that has not begun, or these steps of it, are done with this model.

        Raises UnknownName, NotAllowed, and InputError where nothing is left.
        """

        def given(goal: Goal) -> Goal:
            return task_graph.use_model(goal, model, numbers)

        return await self._act(goal_id, person, approver, given, act)

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
        """What a person says to a question: of step `number`, of the goal itself, or the only one.

        A goal's own question (may it go on beyond its budget) wants a yes or a no.
        Raises UnknownName, NotAllowed, and InputError where nothing was asked, where several
        questions wait and none is named, or where neither yes nor no was said.
        """

        def answered(goal: Goal) -> Goal:
            key = None if number is None else task_graph.step(goal, number).key
            return task_graph.answer(goal, key, text, self._clock())

        return await self._act(goal_id, person, approver, answered, act)

    async def changed(self, since: int | None) -> tuple[Sequence[Goal], int]:
        """Goals that moved after `since`, as they are now, and where to go on next time.

        None: no goals, only where to begin.
        """
        return await self.rows.changed(since)

    def on_changed(self, handler: Changed) -> None:
        """Have it called after each move, of this process at once, of others within a second.

        It may be called twice for one move, and for a burst of moves once. What it raises is
        logged.
        """
        self._watch.handlers.append(handler)

    def ask_for_rights(self, rights: Rights) -> None:
        """Have it asked what a goal's person may read, before each attempt and each act."""
        self._rights = rights

    async def look_at_rights(self) -> None:
        """Ask it of all that runs, for workers elsewhere, who cannot ask. May raise StoreError."""
        if self._rights is None:
            return
        for goal in await self.rows.goals(states=("running",), limit=_LOOKED_AT):
            if await self._as_now(goal) != goal:
                with suppress(StaleRevision, UnknownName):
                    await self._moved(goal.goal_id, lambda found: found, anew=True)

    async def watch(self) -> None:
        """Tell what other processes move, for as long as this runs; the caller keeps the task."""
        await self._watch.poll()

    async def close(self) -> None:
        """Tell of nothing more: the workspace has closed here."""
        await self._watch.stop()

    # What workers call.

    async def work(self, goal_id: str, key: str, attempt: int) -> None:
        """Do one attempt at a task, from where it was if it was begun before.

        Raises StaleRevision when another worker has taken it over, and CancelledError.
        """
        goal = await self._started(goal_id, key, attempt)
        if goal is None:
            return
        try:
            more = partial(self._hold_more, goal_id, key, attempt)
            outcome = await self._workforce.work(goal, goal.task(key), more)
        except asyncio.CancelledError as broken_off:
            spent = broken_off.spent if isinstance(broken_off, BrokenOff) else NOTHING
            await asyncio.shield(self._let_go(goal_id, key, attempt, spent))
            raise
        await self._settle(goal_id, key, attempt, outcome)

    async def _hold_more(self, goal_id: str, key: str, attempt: int, least: Spent) -> Spent:
        def grown(goal: Goal) -> Goal:
            return task_graph.hold_more(goal, key, least, attempt=attempt)

        return (await self._moved(goal_id, grown, day=True)).task(key).reserved

    async def _let_go(self, goal_id: str, key: str, attempt: int, spent: Spent = NOTHING) -> None:
        """An attempt was broken off: it holds nothing any more, where it is not wanted.

        One that is still wanted stays as it is: another worker goes on with it.
        """
        goal = await self.rows.goal(goal_id)
        if goal is None or not task_graph.is_ending(goal.task(key), attempt):
            return
        stopped = await self._workforce.stopped(goal, goal.task(key), spent)
        await self._settle(goal_id, key, attempt, stopped)

    async def give_up(self, goal_id: str, key: str, attempt: int, why: str) -> None:
        """An attempt cannot be made, as its worker dies of it."""
        goal = await self.rows.goal(goal_id)
        if goal is not None and goal.task(key).attempt == attempt:
            died = await self._workforce.stopped(goal, goal.task(key), why=why)
            await self._settle(goal_id, key, attempt, died)

    async def _started(self, goal_id: str, key: str, attempt: int) -> Goal | None:
        """The goal with this attempt running; None when it is not wanted now."""

        def started(goal: Goal) -> Goal:
            task = goal.task(key)
            try:
                now = self._clock()
                return task_graph.start(goal, key, reservation(task), now, attempt=attempt)
            except BudgetExceeded:
                return self._advanced(task_graph.hold(goal, key))

        try:
            goal = await self._moved(goal_id, started, day=True, anew=True)
        except BudgetExceeded as error:
            question = task_graph.ASK_AGAIN.format(why=error)
            goal = await self._moved(
                goal_id, lambda g: self._advanced(task_graph.hold(g, key, question))
            )
        except task_graph.StaleTask:
            await self._not_wanted(goal_id, key, attempt)
            return None
        except UnknownName:  # it was forgotten
            return None
        return goal if goal.task(key).state == "running" else None

    async def _not_wanted(self, goal_id: str, key: str, attempt: int) -> None:
        """Whoever had this attempt may have died before they did what follows from its end."""
        with suppress(UnknownName):
            await self._let_go(goal_id, key, attempt)
            await self._follow(await self._known(goal_id))

    async def _settle(self, goal_id: str, key: str, attempt: int, outcome: TaskOutcome) -> None:
        """Put an attempt's outcome into the goal, with other steps around a failure."""
        others = await self._around(goal_id, key, attempt, outcome)

        def settled(goal: Goal) -> Goal:
            now = self._clock()
            moved = task_graph.settle(goal, key, outcome, now, attempt=attempt)
            if moved == goal:
                return self._advanced(goal)
            moved = replace(moved, planning=moved.planning + others.spent)
            if others.tasks and moved.task(key).state == "failed":
                with suppress(InputError):
                    moved = task_graph.replace_failed(moved, key, others.tasks)
            return self._advanced(moved)

        try:
            await self._moved_on(goal_id, settled)
        except (task_graph.StaleTask, UnknownName) as error:
            log.info("attempt_over", goal=goal_id, task=key, attempt=attempt, reason=str(error))

    async def _around(
        self, goal_id: str, key: str, attempt: int, outcome: TaskOutcome
    ) -> Alternative:
        """Steps to take instead, where this outcome is a failure for good."""
        nothing = Alternative(())
        if outcome.failure is None:
            return nothing
        try:
            goal = await self._known(goal_id)
            settled = task_graph.settle(goal, key, outcome, self._clock(), attempt=attempt)
            if settled.task(key).state != "failed" or not task_graph.may_replan(settled, key):
                return nothing
            check_planning(settled)
            async with self._planned_for(goal.user_id):
                return await self._planning.alternative(settled, key)
        except VirtuousError as error:
            log.info("no_way_around", goal=goal_id, task=key, reason=str(error))
            return nothing

    # How everything moves.

    async def _act(
        self, goal_id: str, person: str, approver: bool, move: Callable[[Goal], Goal], act: str
    ) -> Goal:
        def done(goal: Goal) -> Goal:
            if act and act in goal.acts:
                return goal
            moved = self._advanced(move(goal))
            return goal if moved == goal else task_graph.noted(moved, act)

        goal = await self._allowed(goal_id, person, approver)
        if act and act in goal.acts:
            return await self._follow(goal)
        return await self._moved_on(goal_id, done, anew=True)

    async def _moved_on(
        self, goal_id: str, move: Callable[[Goal], Goal], *, anew: bool = False
    ) -> Goal:
        """Move a goal, and do what follows from it."""
        before: list[Goal] = []

        def noted(goal: Goal) -> Goal:
            before[:] = [goal]
            return move(goal)

        goal = await self._moved(goal_id, noted, anew=anew)
        return await self._follow(goal, before[0])

    async def _moved(
        self,
        goal_id: str,
        move: Callable[[Goal], Goal],
        *,
        day: bool = False,
        anew: bool = False,
    ) -> Goal:
        """The goal moved, decided anew as often as somebody else is faster.

        With `day` what it reserves must fit into the person's day; with `anew` it is asked what
        they may read.
        """
        for _ in range(_RACES):
            goal = await self._known(goal_id)
            moved = move(await self._as_now(goal) if anew else goal)
            if moved == goal:
                return goal
            limit = self._rules.day(goal.user_id) if day else None
            try:
                return await self.rows.move(moved, limit=limit)
            except StaleRevision:
                now = await self.rows.goal(goal_id)
                if now is not None and now.revision == goal.revision:
                    raise  # it is not the goal that moved: another worker has this attempt
        raise StaleRevision("Too many others are moving this goal: try again in a moment.")

    async def _follow(self, goal: Goal, before: Goal | None = None) -> Goal:
        """Do what follows from where a goal stands; again, if need be.

        With `before` only what is new since then.
        """
        known = {(t.key, t.attempt, t.state) for t in before.tasks} if before else set()
        new = [t for t in goal.tasks if (t.key, t.attempt, t.state) not in known]
        for task in new:
            if task.state == "queued" and not goal.ended:
                await self._engine.enqueue(goal.goal_id, task.key, task.attempt, goal.user_id)
            elif before and task.state in ("cancelled", "skipped") and task.attempt:
                await self._engine.cancel(goal.goal_id, task.key, task.attempt)
        if goal.ended and not (before and before.ended):
            await self._chronicle.ended(goal)
        return goal

    async def _as_now(self, goal: Goal) -> Goal:
        """The goal with what its person may read now; as it is where that cannot be asked here."""
        if self._rights is None or goal.ended:
            return goal
        return task_graph.read_as(goal, await self._rights(goal))

    def _advanced(self, goal: Goal) -> Goal:
        return task_graph.advance(goal, self._clock())

    async def _known(self, goal_id: str) -> Goal:
        return await finding.known(self.rows, goal_id)

    async def _allowed(self, goal_id: str, person: str, approver: bool) -> Goal:
        goal = await self._known(goal_id)
        if approver or person == goal.user_id or person in self._rules.approvers():
            return goal
        raise NotAllowed(
            f"Only <@{goal.user_id}>, who asked for it, and approvers can decide about this goal."
        )

    def _planned_for(self, user_id: str) -> AbstractAsyncContextManager[None]:
        """A plan is made inside. Raises BudgetExceeded past the day's limit."""
        return self._room.one(user_id, self._rules.day(user_id))
