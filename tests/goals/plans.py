"""Plans for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from database.goals import ANSWER, Budget, Estimate, Goal, Spent, Task
from goals.ports import TaskOutcome
from goals.task_graph import advance, begin, settle, start

NOW = 1_700_000_000.0
RESERVE = Spent(10.0, 1_000, 0.01)
TOOK = Spent(4.0, 400, 0.005)


def plan(needs: Mapping[str, Sequence[str]], budget: Budget | None = None) -> Goal:
    """A proposed goal with these steps, in their order, and an answer of them all."""
    tasks = [task(key, number, *needs[key]) for number, key in enumerate(needs, 1)]
    tasks.append(task(ANSWER, len(needs) + 1, *needs))
    wide = budget or Budget(100.0, 10_000_000, 1e9, 50, 5, 120)
    return Goal("g1", "U1", "do it", "r1", tasks=tuple(tasks), budget=wide)


def task(key: str, number: int, *needs: str) -> Task:
    return Task(
        key, number, f"Title {key}", f"Do {key}.", "helper", needs=needs,
        estimate=Estimate(10.0, 1_000, 0.01, 0.9),
    )  # fmt: skip


def running(needs: Mapping[str, Sequence[str]]) -> Goal:
    """The same, begun, with what is ready queued."""
    return advance(begin(plan(needs), NOW), NOW)


def done(goal: Goal, *keys: str) -> Goal:
    """These queued steps carried out one after the other."""
    for key in keys:
        goal = ended(goal, key, TaskOutcome(result=f"what {key} found", spent=TOOK))
    return goal


def failed(goal: Goal, key: str, why: str = "it broke") -> Goal:
    return ended(goal, key, TaskOutcome(failure=why, spent=TOOK))


def ended(goal: Goal, key: str, outcome: TaskOutcome) -> Goal:
    """A queued step begun and settled, and what follows from that."""
    attempt = goal.task(key).attempt
    outcome = replace(outcome, run_id=f"run-{key}-{attempt}")
    goal = start(goal, key, RESERVE, NOW, attempt=attempt)
    return advance(settle(goal, key, outcome, NOW, attempt=attempt), NOW)


def states(goal: Goal) -> dict[str, str]:
    return {one.key: one.state for one in goal.tasks}
