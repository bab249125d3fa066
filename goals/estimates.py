"""What a task will take and how likely it goes well: from the records, with a prior."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from database.errors import BudgetExceeded
from database.goals import (
    ANSWER,
    ENDED_TASK,
    NOTHING,
    UNKNOWN,
    Budget,
    Estimate,
    Goal,
    Spent,
    Task,
)
from goals.ports import Specialist

PRIOR_RUNS = 4.0
"""An agent's own record weighs as much as what is known of everybody after so many runs."""

PRIOR_CHANCE = 0.7
"""Of a task that nothing is known of: what small models do of well-described single steps."""

HEADROOM = 3.0
"""A task reserves so many times what is expected of it: what runs take is skewed to the right."""

LEAST_TOKENS = 4_000
LEAST_SECONDS = 30.0
"""Nothing reserves less, however small it was so far."""

NO_WORK = Estimate(0.0, 0, 0.0, 1.0, 0)
"""Of a step that nobody works at."""

PARALLEL = 4
"""So many tasks of one goal are expected to run at once."""

_ROUNDING = 1e-9
"""Sums of dollars and seconds are floats."""


def reservation(task: Task) -> Spent:
    """What a task holds of the budgets from its start: an upper estimate, or what it asked for.

    Dollars are 0 where no price is known; tokens bound it then.
    """
    expected = task.estimate
    if expected == NO_WORK:
        return task.least
    usual = Spent(
        max(LEAST_SECONDS, HEADROOM * expected.seconds),
        max(LEAST_TOKENS, round(HEADROOM * expected.tokens)),
        HEADROOM * (expected.usd or 0.0),
    )
    return most(usual, task.least)


def most(one: Spent, other: Spent) -> Spent:
    """The more of each."""
    return Spent(
        max(one.seconds, other.seconds), max(one.tokens, other.tokens), max(one.usd, other.usd)
    )


def estimated(task: Task, roster: Sequence[Specialist]) -> Task:
    """The task with what is expected of it, by its agent's record and everybody's as a prior."""
    everybody = pooled(roster)
    own = next((one for one in roster if one.name == task.agent), None)
    return replace(task, estimate=_of(own, everybody) if own else everybody)


def pooled(roster: Iterable[Specialist]) -> Estimate:
    """What is expected of somebody nothing is known of: the mean of all, weighed by their runs."""
    known = [one for one in roster if one.runs > 0]
    runs = sum(one.runs for one in known)
    succeeded = sum(one.succeeded for one in known)
    chance = (succeeded + PRIOR_CHANCE * PRIOR_RUNS) / (runs + PRIOR_RUNS)
    seconds = _mean([(one.seconds, one.runs) for one in known])
    tokens = _mean([(one.tokens, one.runs) for one in known])
    return Estimate(
        UNKNOWN.seconds if seconds is None else seconds,
        UNKNOWN.tokens if tokens is None else round(tokens),
        _mean([(one.usd, one.runs) for one in known]),
        min(1.0, chance),
        round(runs),
    )


def expected(goal: Goal, parallel: int = PARALLEL) -> Estimate:
    """What the whole plan is expected to take, of the steps that count.

    Seconds are until the last step ends with `parallel` at once; tokens and dollars are sums
    (dollars None where a step has no known price); the chance is that all go well, as if
    independent; `known` is the least that is known of any step.
    """
    tasks = [task for task in goal.tasks if counts(goal, task)]
    prices = [task.estimate.usd for task in tasks]
    chance = 1.0
    for task in tasks:
        chance *= task.estimate.chance
    return Estimate(
        _makespan(tasks, max(1, parallel)),
        sum(task.estimate.tokens for task in tasks),
        None if None in prices else sum(price or 0.0 for price in prices),
        chance,
        min((task.estimate.known for task in tasks), default=0),
    )


def counts(goal: Goal, task: Task) -> bool:
    """Whether a step is still part of the plan: not skipped, stopped, or replaced by another."""
    if task.state in ("skipped", "cancelled"):
        return False
    if task.state != "failed" or task.key == ANSWER:
        return True
    return any(task.key in other.needs for other in goal.tasks)


def check_room(goal: Goal, task: Task, reserve: Spent) -> None:
    """Raise BudgetExceeded where the goal's budget has no room for `reserve` and this agent.

    What the task holds already is part of `reserve`.
    """
    budget, would = goal.budget, _bound(goal) - task.reserved + reserve
    running = [one for one in goal.tasks if one.state == "running" and one.key != task.key]
    agents = {other.agent for other in goal.tasks if other.attempt and other.agent} | {task.agent}
    new = goal.spawns + sum(other.agent is None for other in (*running, task))
    limits = (
        (would.tokens, budget.tokens, "tokens"),
        (would.usd, budget.usd + _ROUNDING, "dollars"),
        (would.seconds, budget.seconds + _ROUNDING, "seconds of work"),
        (len(agents - {None}), budget.agents, "agents"),
        (new if task.agent is None else 0, budget.spawns, "new specialists"),
    )
    for needed, most, what in limits:
        if needed > most:
            raise BudgetExceeded(
                f"Step {task.number} would bring this to {_figure(needed)} {what} of the "
                f"{_figure(most)} it may have; answer its question in the thread to go on."
            )


def others_hold(goal: Goal, task: Task) -> bool:
    """Whether steps beside this one hold some of the budget."""
    return any(one.reserved != NOTHING for one in goal.tasks if one.key != task.key)


def fits(goal: Goal, task: Task) -> bool:
    """Whether the goal's budget has room for what this step would hold from its start."""
    try:
        check_room(goal, task, reservation(task))
    except BudgetExceeded:
        return False
    return True


def check_planning(goal: Goal) -> None:
    """Raise BudgetExceeded where nothing is left of the goal's budget to plan with."""
    bound, budget = _bound(goal), goal.budget
    if bound.tokens >= budget.tokens or bound.usd >= budget.usd:
        raise BudgetExceeded("Nothing is left of the goal's budget to plan anew with.")


def enough(goal: Goal) -> Budget:
    """The goal's budget, grown to what all that is left to do would reserve."""
    left = [task for task in goal.tasks if task.state not in ENDED_TASK | {"running"}]
    total = _bound(goal)
    for task in left:
        total += reservation(task)
    agents = {task.agent for task in goal.tasks if task.agent}
    new = goal.spawns + sum(
        task.agent is None for task in goal.tasks if task.state not in ENDED_TASK
    )  # fmt: skip
    budget = goal.budget
    return replace(
        budget,
        usd=max(budget.usd, total.usd),
        tokens=max(budget.tokens, total.tokens),
        seconds=max(budget.seconds, total.seconds),
        agents=max(budget.agents, len(agents)),
        spawns=max(budget.spawns, new),
    )


def shortfall(goal: Goal) -> str:
    """A sentence that says how much more than its budget the rest of a goal may take."""
    has, needs = goal.budget, enough(goal)
    more = [
        f"{_figure(needed - most)} {what}"
        for needed, most, what in (
            (needs.usd, has.usd, "dollars"),
            (needs.tokens, has.tokens, "tokens"),
            (needs.seconds, has.seconds, "seconds of work"),
            (needs.agents, has.agents, "agents"),
            (needs.spawns, has.spawns, "new specialists"),
        )
        if needed > most
    ]
    if not more:
        return "What is left to do may take more than is free now."
    return f"What is left to do may take {', '.join(more)} more than the budget has."


def _bound(goal: Goal) -> Spent:
    """All that is spent or held."""
    total = goal.spent
    for task in goal.tasks:
        total += task.reserved
    return total


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) or number >= 100 else f"{number:,.2f}"


def _of(own: Specialist, everybody: Estimate) -> Estimate:
    weight = own.runs / (own.runs + PRIOR_RUNS) if own.runs > 0 else 0.0
    chance = (own.succeeded + everybody.chance * PRIOR_RUNS) / (own.runs + PRIOR_RUNS)
    return Estimate(
        _between(own.seconds, everybody.seconds, weight),
        round(_between(own.tokens, everybody.tokens, weight)),
        everybody.usd if own.usd is None else _between(own.usd, everybody.usd, weight),
        min(1.0, max(0.0, chance)),
        round(own.runs),
    )


def _between(own: float | None, others: float | None, weight: float) -> float:
    if own is None:
        return others or 0.0
    return own if others is None else weight * own + (1 - weight) * others


def _mean(values: Iterable[tuple[float | None, float]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if known else None


def _makespan(tasks: Sequence[Task], parallel: int) -> float:
    """Seconds until the last of them ends: each starts when its needs have ended and one is free.

    `tasks` may stand in any order; a need that is not among them counts as over.
    """
    ends: dict[str, float] = {}
    free = [0.0] * parallel
    left = {task.key: task for task in tasks}
    while left:
        open_needs = {key: [n for n in left[key].needs if n in left] for key in left}
        may = [key for key, needs in open_needs.items() if not needs] or list(left)
        starts = {key: _needs_end(left[key], ends) for key in may}
        key = min(may, key=lambda k: (starts[k], left[k].number))
        free.sort()
        ends[key] = max(starts[key], free[0]) + left.pop(key).estimate.seconds
        free[0] = ends[key]
    return max(ends.values(), default=0.0)


def _needs_end(task: Task, ends: dict[str, float]) -> float:
    return max((ends.get(need, 0.0) for need in task.needs), default=0.0)
