"""The answer made of what the steps found, word for word: for models that retell with loss.

A small model that is to make one answer of several results leaves some out and changes others; who
asked is better served by the results themselves, each below its step.
"""

from collections.abc import Callable

from database.goals import ANSWER, NOTHING, Goal, Spent, Task
from goals.drafts import AIM
from goals.ports import HoldMore, TaskOutcome, Workforce
from goals.repairs import clipped

Record = Callable[[Goal, Task, str], TaskOutcome]
"""Records the Run of an answer that nobody worked at; returns its outcome."""


class HandingOver:
    """Carries out tasks as `others` do, but for the answer, which it hands over (goals.ports)."""

    def __init__(self, others: Workforce, record: Record) -> None:
        self._others = others
        self._record = record

    async def work(self, goal: Goal, task: Task, more: HoldMore | None = None) -> TaskOutcome:
        """One attempt; an answer is made by a model only where no step has found anything."""
        answer = handed_over(goal) if task.key == ANSWER else ""
        if answer:
            return self._record(goal, task, answer)
        return await self._others.work(goal, task, more)

    async def stopped(
        self, goal: Goal, task: Task, spent: Spent = NOTHING, why: str = ""
    ) -> TaskOutcome:
        """As the others record it."""
        return await self._others.stopped(goal, task, spent, why)


def handed_over(goal: Goal) -> str:
    """What the request asks for, in Markdown, in the order of the steps; '' if nothing was found.

    Left out is what only served a later step and was not itself asked for; it stands in the plan.
    """
    found = [task for task in goal.tasks if task.key != ANSWER and task.state == "done"]
    used = {need for task in found for need in task.needs}
    given = [task for task in found if task.key not in used or _asked_for(goal, task)]
    if len(given) == 1:
        return (given[0].result or "").strip()
    return "\n\n".join(f"**{one.number}. {_heading(goal, one)}**\n\n{one.result}" for one in given)


def _heading(goal: Goal, task: Task) -> str:
    """The person's own words, which a title may have cut; else the title."""
    words = task.instruction if _asked_for(goal, task) else task.title
    return words[:1].upper() + words[1:]


def _asked_for(goal: Goal, task: Task) -> bool:
    """Whether a step is a part of the request in the request's own words."""
    parts = {one.title for one in goal.objectives if one.level == "tactical"}
    return clipped(task.instruction, AIM) in parts
