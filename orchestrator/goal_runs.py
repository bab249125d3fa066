"""The Run that an attempt at a goal's task is in the record."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from database.goals import Goal, Task
from database.records import Run, Step, run_id_of
from orchestrator.goal_replies import estimate_as_json


def task_run(goal: Goal, task: Task, agent: str, steps: Sequence[Step], **known: Any) -> Run:
    """What `agent` did for a task, with these steps; `known` is what else is known of the Run."""
    models = [step for step in steps if step.kind == "model" and step.ok]
    priced = all(step.cost_usd is not None for step in models)
    return Run(
        run_id=run_id_of(goal.goal_id, task.key, str(task.attempt)),
        request=f"{task.title}\n{task.instruction}",
        agent=agent,
        kind="task",
        parent_run_id=goal.run_id,
        user_id=goal.user_id,
        channel_id=goal.channel_id or None,
        thread_ts=goal.thread_ts or None,
        audience=goal.audience,
        route={
            "goal": goal.goal_id, "task": task.key, "objective": task.objective,
            "number": task.number, "attempt": task.attempt, "needs": list(task.needs),
            "expected": estimate_as_json(task.estimate), "waits": known.pop("waits", False),
        },
        input_tokens=sum(step.input_tokens or 0 for step in models),
        output_tokens=sum(step.output_tokens or 0 for step in models),
        cost_usd=sum(s.cost_usd or 0.0 for s in models) if models and priced else None,
        steps=tuple(steps),
        **known,
    )  # fmt: skip


def new_steps(
    steps: tuple[Step, ...], inherited: int, *, all_done: bool = False
) -> tuple[Step, ...]:
    """Without the model calls that an earlier attempt has made, and what came between them.

    With `all_done` it has also done what the last of them asked for.
    """
    calls = 0
    for at, step in enumerate(steps):
        if calls >= inherited and (step.kind == "model" or not (all_done and inherited)):
            return tuple(replace(s, position=n) for n, s in enumerate(steps[at:]))
        calls += step.kind == "model"
    return () if inherited else steps
