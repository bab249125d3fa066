"""Whether a plan can be carried out: what any plan must be, whoever made it."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from database.errors import InputError
from database.goals import ANSWER, Goal
from goals.estimates import counts, expected

Key = TypeVar("Key", bound=Hashable)

_LEVELS = ("strategic", "tactical", "operational")


class PlanInvalid(InputError):
    """The plan cannot be carried out; the message says what is wrong with it."""


def checked_plan(goal: Goal) -> Goal:
    """The goal with its estimate, if its plan can be carried out within its budget.

    Raises PlanInvalid with the first thing that is wrong.
    """
    for check in (_whole, _connected, _acyclic, _answered, _objectives_hold, _few_enough):
        check(goal)
    goal = replace(goal, estimate=expected(goal))
    _affordable(goal)
    return goal


def cycle(needs: Mapping[Key, Iterable[Key]]) -> tuple[Key, ...]:
    """Steps that wait for each other, each for the one before it; () if none do."""
    # takes 0.2 s to import, and only whoever checks a plan needs it
    import networkx  # noqa: PLC0415

    before = networkx.DiGraph((need, step) for step, some in needs.items() for need in some)
    try:
        return tuple(step for _, step in networkx.find_cycle(before))
    except networkx.NetworkXNoCycle:
        return ()


def _whole(goal: Goal) -> None:
    keys = [task.key for task in goal.tasks]
    if len(keys) < 2:
        raise PlanInvalid("The plan has no steps: say what should be done first.")
    if len(set(keys)) < len(keys):
        raise PlanInvalid("Two steps of the plan have the same key: each needs its own.")
    if sorted(task.number for task in goal.tasks) != list(range(1, len(keys) + 1)):
        raise PlanInvalid(f"The steps of the plan must be numbered 1 to {len(keys)}.")
    for task in goal.tasks:
        if not task.instruction.strip() or not task.title.strip():
            raise PlanInvalid(f"Step {task.number} does not say what to do.")


def _connected(goal: Goal) -> None:
    keys = {task.key for task in goal.tasks}
    for task in goal.tasks:
        for need in task.needs:
            if need not in keys:
                raise PlanInvalid(f"Step {task.number} needs {need}, which is not in the plan.")
            if need == ANSWER:
                raise PlanInvalid(f"Step {task.number} needs the answer, which comes last.")


def _acyclic(goal: Goal) -> None:
    circle = cycle({task.key: task.needs for task in goal.tasks})
    if circle:
        numbers = ", ".join(str(goal.task(key).number) for key in circle)
        raise PlanInvalid(f"These steps wait for each other: {numbers}.")


def _answered(goal: Goal) -> None:
    last = goal.tasks[-1]
    if last.key != ANSWER or last.number != len(goal.tasks):
        raise PlanInvalid("The last step of a plan makes the answer.")
    unused = [
        task
        for task in goal.tasks[:-1]
        if task.key not in last.needs and task.state != "failed"
    ]  # fmt: skip
    if unused:
        raise PlanInvalid(f"The answer makes no use of step {unused[0].number}.")


def _objectives_hold(goal: Goal) -> None:
    levels = {objective.key: _LEVELS.index(objective.level) for objective in goal.objectives}
    if len(levels) < len(goal.objectives):
        raise PlanInvalid("Two goals of the plan have the same key: each needs its own.")
    for objective in goal.objectives:
        if objective.parent is None:
            continue
        if levels.get(objective.parent, len(_LEVELS)) >= levels[objective.key]:
            raise PlanInvalid(f'The goal "{objective.title}" serves none that is above it.')
    for task in goal.tasks:
        if task.objective and task.objective not in levels:
            raise PlanInvalid(f"Step {task.number} serves a goal that is not in the plan.")


def _few_enough(goal: Goal) -> None:
    tasks = [task for task in goal.tasks if counts(goal, task) and task.key != ANSWER]
    budget = goal.budget
    agents = {task.agent for task in tasks if task.agent}
    new = goal.spawns + sum(task.agent is None for task in tasks)
    _at_most(len(tasks), budget.tasks, "steps")
    _at_most(len(agents), budget.agents, "agents")
    _at_most(new, budget.spawns, "new specialists")


def _affordable(goal: Goal) -> None:
    budget, takes = goal.budget, goal.estimate
    work = sum(task.estimate.seconds for task in goal.tasks if counts(goal, task))
    _at_most(takes.tokens, budget.tokens, "tokens")
    _at_most(work, budget.seconds, "seconds of work")
    _at_most(takes.usd or 0.0, budget.usd, "dollars", lambda usd: f"{usd:.2f}")


def _at_most(
    needed: float, most: float, what: str, shown: Callable[[float], str] = "{:,.0f}".format
) -> None:
    if needed > most:
        raise PlanInvalid(
            f"The plan needs {shown(needed)} {what} and may have {shown(most)}: ask for less at "
            "once, or have an approver raise the limit."
        )
