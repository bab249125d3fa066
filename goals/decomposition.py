"""A request made into a plan by the strong model; plans changed by words and after a failure.

What a model says is a draft: checked, repaired, which is said, or refused with a reason. It names
steps and their order; it can name no tool, audience or budget, and nobody who is not there.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from typing import Self

from database.errors import InputError, ModelError
from database.goals import ANSWER, NOTHING, Goal, Objective, Spent, Task
from goals.assigning import assign, fallback
from goals.changing import Wish, wish_of
from goals.checking import PlanInvalid, checked_plan
from goals.drafts import (
    AIM,
    TITLE,
    Draft,
    blanks_schema,
    order_schema,
    plan_schema,
    steps_schema,
)
from goals.estimates import NO_WORK, estimated
from goals.metering import Metered
from goals.pieces import pieces, spread
from goals.planning_examples import (
    FAILURE_EXAMPLE,
    ORDER_EXAMPLE,
    PARTS_EXAMPLE,
    STAGES_EXAMPLE,
    WISH_EXAMPLE,
)
from goals.planning_words import (
    ADDING,
    ANSWERING,
    CHANGING,
    FILLING,
    HANDED_OVER,
    ORDERING,
    REPLANNING,
    WITH_PARTS,
    WITH_STAGES,
    asked,
    failure_of,
    plan_of,
    request_of,
)
from goals.ports import Planner, Roster, Runbook, Specialist
from goals.repairs import (
    STRATEGIC,
    UNASSIGNED,
    Planned,
    clipped,
    in_own_words,
    more_steps,
    planned,
    repeats,
)
from goals.task_graph import MAX_NOTES, add, may_replan, replace_failed, skip

MOST_STEPS = 6
"""A plan has so many steps at first, the answer not counted: more, and small models repeat."""

_MORE = 3
_LEAST = 2
_RUNBOOK_STEP = 4_000
_BLANK = re.compile(r"\{([a-z][a-z0-9_-]{0,40})\}")
_UNCHANGED = "Nothing was changed: {why}"
_NOBODY = "There is no agent that may work for you here: ask whoever runs the assistant."


@dataclass(frozen=True, slots=True)
class Alternative:
    """Steps that may take the place of a failed one, none where there is no way; what it took."""

    tasks: tuple[Task, ...]
    spent: Spent = NOTHING


class Decomposition:
    """Plans goals; `clock` gives seconds since the epoch.

    A `small` model invents steps that nobody asked for and forgets others: where a request names
    its parts, these are the steps, and the model only orders them. Nor does it retell the results.
    """

    def __init__(
        self,
        planner: Planner,
        roster: Roster,
        clock: Callable[[], float],
        *,
        most_steps: int = MOST_STEPS,
        small: bool = False,
    ) -> None:
        self._small = small
        self._planner = planner
        self._roster = roster
        self._clock = clock
        self._most = most_steps

    async def plan(self, goal: Goal) -> Goal:
        """The goal with a plan that waits for Start, or refused with the reason.

        A saved workflow that fits is used before anything new is invented. Raises ModelError.
        """
        specialists = await self._roster.specialists(goal.reader)
        if not specialists:
            return self._refused(goal, _NOBODY)
        runbook = await self._roster.runbook_for(goal.request, goal.reader)
        if runbook is not None and 0 < len(runbook.steps) <= goal.budget.tasks:
            goal, steps = await self._followed(goal, runbook)
            return await self._completed(goal, steps, specialists)
        return await self._drafted(goal, pieces(goal.request), "", specialists)

    async def change(self, goal: Goal, words: str) -> Goal:
        """The plan as the words wish it, before it starts or while it runs.

        The last note says what was changed, or why nothing was; what asking took is counted in
        both cases. Raises InputError where the goal has ended, ModelError.
        """
        if goal.ended:
            raise InputError("This is over: ask anew.")
        paying, meter = self._metered()
        try:
            changed = await paying._wished(goal, wish_of(words))
        except InputError as error:
            changed = _noted(goal, _UNCHANGED.format(why=error))
        return replace(changed, planning=goal.planning + meter.spent)

    async def alternative(self, goal: Goal, key: str) -> Alternative:
        """Other steps for one that has failed; none where it may not or cannot be planned around.

        Raises ModelError.
        """
        if not may_replan(goal, key):
            return Alternative(())
        failed, there, last = goal.task(key), _there(goal, key), len(goal.tasks) - 1
        schema = steps_schema(_MORE, last + _MORE)
        told = f"{asked(goal)}\n\n{plan_of(goal)}\n\n{failure_of(failed)}"
        paying, meter = self._metered()
        draft, _ = await meter.ask(REPLANNING, told, schema, examples=[FAILURE_EXAMPLE])
        try:
            tasks = more_steps(draft, _MORE, there, last, lambda number: f"{key}r{number}")
            fresh = [task for task in tasks if not repeats(task, goal.tasks)]
            tasks, _ = await paying._staffed(goal, fresh)
            replace_failed(goal, key, tasks)
        except InputError:
            return Alternative((), meter.spent)
        return Alternative(tasks, meter.spent)

    async def replan(self, goal: Goal, key: str) -> Goal:
        """The goal with other steps in the place of a failed one; unchanged where there are none.

        Raises ModelError.
        """
        found = await self.alternative(goal, key)
        goal = replace(goal, planning=goal.planning + found.spent)
        return replace_failed(goal, key, found.tasks) if found.tasks else goal

    def _metered(self) -> tuple[Self, Metered]:
        """The same, with what its planner takes counted."""
        paying = copy(self)
        paying._planner = meter = Metered(self._planner)
        return paying, meter

    async def _wished(self, goal: Goal, wish: Wish) -> Goal:
        if wish.skipped:
            for number in wish.skipped:
                goal = skip(goal, number, "", self._clock())
            return goal
        if wish.added:
            return await self._added(goal, wish)
        if wish.agent:
            return await self._handed(goal, wish)
        if goal.state == "proposed":
            return await self._changed(goal, wish.words)
        return await self._extended(goal, wish.words)

    async def _added(self, goal: Goal, wish: Wish) -> Goal:
        """One step as somebody worded it: after those they name, else after all there are."""
        after = [task for task in goal.tasks if task.number in wish.after]
        late = [need for task in goal.tasks if task.number in wish.before for need in task.needs]
        needs = tuple(task.key for task in after) or tuple(dict.fromkeys(late))
        if not wish.before and not needs:
            needs = _leaves(goal)
        title = clipped(wish.added[:1].upper() + wish.added[1:], TITLE)
        task = Task(_free_key(goal), 0, title, wish.added, UNASSIGNED, needs=needs)
        (task,), took = await self._staffed(goal, (task,))
        goal = add(replace(goal, planning=goal.planning + took), task)
        return checked_plan(_before(goal, task.key, wish.before))

    async def _handed(self, goal: Goal, wish: Wish) -> Goal:
        """Steps given to an agent that somebody names."""
        known = await self._roster.specialists(goal.reader)
        names = [one.name for one in known]
        if wish.agent not in names:
            raise InputError(f"There is no agent {wish.agent}; there are: {', '.join(names)}.")
        return _given(goal, wish, known)

    async def _changed(self, goal: Goal, words: str) -> Goal:
        """The whole plan anew, where nothing of it has begun; the old one where that fails."""
        specialists = await self._roster.specialists(goal.reader)
        change = f"{plan_of(goal)}\n\n{CHANGING}\nChange: {words}"
        made = await self._drafted(goal, (), change, specialists)
        if made.state == "refused":
            paid = replace(goal, planning=made.planning)
            return _noted(paid, _UNCHANGED.format(why=made.reason))
        if any(task.others_words for task in goal.tasks):  # the model has seen them
            made = replace(made, tasks=tuple(replace(t, others_words=True) for t in made.tasks))
        return _noted(made, f"The plan was changed: {clipped(words, AIM)}")

    async def _extended(self, goal: Goal, words: str) -> Goal:
        """Further steps for what somebody wishes of a plan that runs."""
        last = len(goal.tasks) - 1
        schema = steps_schema(_LEAST, last + _LEAST)
        told = f"{asked(goal)}\n\n{plan_of(goal)}\n\nWish: {words}"
        draft, spent = await self._planner.ask(ADDING, told, schema, examples=[WISH_EXAMPLE])
        goal = replace(goal, planning=goal.planning + spent)
        try:
            return await self._grown(goal, draft)
        except InputError as error:
            return _noted(goal, _UNCHANGED.format(why=error))

    async def _grown(self, goal: Goal, draft: Draft) -> Goal:
        """The goal with the further steps of a draft. Raises InputError where it has none."""
        taken, last = _free_key(goal), len(goal.tasks) - 1
        tasks = more_steps(draft, _LEAST, _coming(goal), last, lambda number: f"{taken}n{number}")
        tasks, took = await self._staffed(goal, tasks)
        goal = replace(goal, planning=goal.planning + took)
        fresh = [task for task in tasks if not repeats(task, goal.tasks)]
        if not fresh:
            raise PlanInvalid("The plan does that already, as far as the model sees.")
        for task in fresh:
            goal = add(goal, task)
        return goal

    async def _drafted(
        self, goal: Goal, parts: Sequence[str], change: str, specialists: Sequence[Specialist]
    ) -> Goal:
        if self._small:
            parts = [thing for part in parts for thing in spread(part)]
        most = self._room(goal, parts)
        parts = parts if 1 < len(parts) <= most else ()
        if parts and self._small:
            return await self._ordered(goal, parts, specialists)
        draft, spent = await self._planner.ask(
            WITH_PARTS if parts else WITH_STAGES,
            "\n\n".join(filter(None, (asked(goal, parts), change))),
            plan_schema(min(_LEAST, most), most, len(parts)),
            examples=[PARTS_EXAMPLE if parts else STAGES_EXAMPLE],
        )
        goal = replace(goal, planning=goal.planning + spent)
        try:
            steps = planned(draft, most, goal.request, parts)
        except PlanInvalid as error:
            return self._refused(goal, str(error))
        return await self._completed(goal, steps, specialists)

    async def _ordered(
        self, goal: Goal, parts: Sequence[str], specialists: Sequence[Specialist]
    ) -> Goal:
        """The parts of the request as steps; the model says what each needs and brings.

        A model that gives no order is not needed for it: the words tell most of it.
        """
        draft, spent = Draft(), NOTHING
        with suppress(ModelError):
            draft, spent = await self._planner.ask(
                ORDERING, asked(goal, parts), order_schema(len(parts)), examples=[ORDER_EXAMPLE]
            )
        goal = replace(goal, planning=goal.planning + spent)
        steps = planned(in_own_words(draft, parts), len(parts), goal.request, parts)
        return await self._completed(goal, steps, specialists)

    async def _completed(
        self, goal: Goal, steps: Planned, specialists: Sequence[Specialist]
    ) -> Goal:  # fmt: skip
        """The goal with these steps given to agents, the answer after them, and its estimate."""
        bare = replace(goal, tasks=())
        given = await assign(steps.tasks, bare, specialists, self._roster, self._planner)
        tasks = [
            *(estimated(task, specialists) for task in given.tasks),
            self._answer(given.tasks, specialists),
        ]
        made = replace(
            goal,
            tasks=tuple(tasks),
            title=steps.objectives[0].title,
            objectives=steps.objectives,
            planning=goal.planning + given.spent,
            notes=(*goal.notes, *steps.notes, *given.notes),
        )
        try:
            return replace(checked_plan(made), state="proposed")
        except PlanInvalid as error:
            return self._refused(made, str(error))

    async def _staffed(
        self, goal: Goal, tasks: Sequence[Task]
    ) -> tuple[tuple[Task, ...], Spent]:  # fmt: skip
        """Further steps with agents and estimates, and what choosing them took."""
        specialists = await self._roster.specialists(goal.reader)
        if not specialists:
            raise PlanInvalid(_NOBODY)
        given = await assign(tasks, goal, specialists, self._roster, self._planner)
        return tuple(estimated(task, specialists) for task in given.tasks), given.spent

    async def _followed(self, goal: Goal, runbook: Runbook) -> tuple[Goal, Planned]:
        """A saved workflow as a plan: its requests one after the other, its blanks filled."""
        blanks = sorted({name for text, _ in runbook.steps for name in _BLANK.findall(text)})
        values: dict[str, str] = {}
        if blanks:
            told = f"Request: {request_of(goal)}\n\nWorkflow:\n" + "\n".join(
                text for text, _ in runbook.steps
            )
            filled, spent = await self._planner.ask(FILLING, told, blanks_schema(blanks))
            values = {name: filled.text(name) for name in blanks}
            goal = replace(goal, planning=goal.planning + spent)
        tasks = tuple(
            Task(
                f"s{number}",
                number,
                clipped(_filled(text, values), TITLE),
                _filled(text, values)[:_RUNBOOK_STEP],
                agent,
                objective=STRATEGIC,
                needs=(f"s{number - 1}",) if number > 1 else (),
                others_words=True,
            )
            for number, (text, agent) in enumerate(runbook.steps, 1)
        )
        objectives = (Objective(STRATEGIC, "strategic", clipped(goal.request, AIM)),)
        note = f"This follows the saved workflow {runbook.name}."
        return replace(goal, runbook=runbook.name), Planned(tasks, objectives, (note,))

    def _answer(self, tasks: Sequence[Task], specialists: Sequence[Specialist]) -> Task:
        """The last step, which makes the answer of what the others found."""
        last = Task(
            ANSWER,
            len(tasks) + 1,
            "Answer",
            HANDED_OVER if self._small else ANSWERING,
            fallback(specialists),
            objective=STRATEGIC,
            needs=tuple(task.key for task in tasks),
        )
        return replace(last, estimate=NO_WORK) if self._small else estimated(last, specialists)

    def _room(self, goal: Goal, parts: Sequence[str]) -> int:
        """How many steps a plan may have."""
        return max(1, min(max(self._most, len(parts)), goal.budget.tasks))

    def _refused(self, goal: Goal, reason: str) -> Goal:
        return replace(goal, state="refused", reason=reason, ended_at=self._clock())


def _there(goal: Goal, key: str) -> list[Task]:
    """What steps in the place of a failed one may build on."""
    needs = goal.task(key).needs
    return [t for t in goal.tasks if t.key != ANSWER and (t.state == "done" or t.key in needs)]


def _coming(goal: Goal) -> list[Task]:
    """The steps whose results are there or still to be expected, without the answer."""
    lost = ("failed", "blocked", "skipped", "cancelled")
    return [task for task in goal.tasks if task.key != ANSWER and task.state not in lost]


def _leaves(goal: Goal) -> tuple[str, ...]:
    """The steps that no other needs, but for those that will bring nothing."""
    steps = _coming(goal)
    needed = {need for task in steps for need in task.needs}
    return tuple(task.key for task in steps if task.key not in needed)


def _before(goal: Goal, key: str, numbers: frozenset[int]) -> Goal:
    """The plan with these steps, which must not have begun, waiting for the one of this key."""
    late = [task for task in goal.tasks if task.number in numbers and task.key != ANSWER]
    for task in late:
        if task.state not in ("pending", "blocked"):
            raise InputError(f"Step {task.number} has begun: it can wait for nothing more.")
    keys = {task.key for task in late}
    tasks = tuple(
        replace(t, needs=(*t.needs, key)) if t.key in keys else t for t in goal.tasks
    )  # fmt: skip
    return replace(goal, tasks=tasks)


def _given(goal: Goal, wish: Wish, specialists: Sequence[Specialist]) -> Goal:
    for number in wish.handed:
        task = next((t for t in goal.tasks if t.number == number), None)
        if task is None or task.state not in ("pending", "blocked", "waiting"):
            raise InputError(f"Step {number} is not there any more to be given to somebody.")
        handed = estimated(replace(task, agent=wish.agent), specialists)
        goal = replace(goal, tasks=tuple(handed if t.key == task.key else t for t in goal.tasks))
    numbers = " and ".join(map(str, wish.handed))
    return _noted(checked_plan(goal), f"{wish.agent} does step {numbers}.")


def _free_key(goal: Goal) -> str:
    taken, number = {task.key for task in goal.tasks}, len(goal.tasks)
    while f"s{number}" in taken:
        number += 1
    return f"s{number}"


def _filled(text: str, values: dict[str, str]) -> str:
    return _BLANK.sub(lambda blank: values.get(blank[1]) or f"({blank[1]}: not said)", text)


def _noted(goal: Goal, note: str) -> Goal:
    return replace(goal, notes=(*goal.notes, note)[-MAX_NOTES:])
