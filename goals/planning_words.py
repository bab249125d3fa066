"""What a model is told when it plans. Short: the embedded model reads 80 tokens a second."""

from collections.abc import Sequence

from database.goals import ANSWER, Goal, Task
from goals.repairs import clipped

PLANNING = (
    "You plan work for a team of assistants. They read, think, calculate and write; each knows the "
    "request and the results of the steps that its own step needs.\n"
    "Write the goal in one line and then the steps, in their order. A step is one piece of work "
    "that one assistant does in one go. Its stage is the number of the {stage} it belongs to; its "
    "title is short; its task says all that is to be done, with the names, numbers and limits of "
    "the request; its needs are the numbers of the earlier steps whose results it uses, [] for "
    "none; its result says what is there afterwards. Plan all that is asked for and nothing more: "
    "nobody approves, checks or sends anything unless it is asked for. The final answer is written "
    "by itself, from all results."
)
WITH_PARTS = PLANNING.format(stage="part of the request")
WITH_STAGES = PLANNING.format(stage="stage").replace(
    "one line and then", "one line, then one to three stages on the way to it, then"
)

ORDERING = (
    "You plan work for a team of assistants. The parts of the request are the steps. Write the "
    "goal in one line and then for each part, in their order: its needs are the numbers of the "
    "earlier parts whose results it uses, [] for none; its result says what is there afterwards."
)

ADDING = (
    "A team of assistants works on a request by the plan below. Somebody wishes a change of it. "
    "Write the one or two further steps that the wish needs, and nothing that a step does already. "
    "The task of a step says all that is to be done; its needs are the numbers of the steps whose "
    "results it uses."
)

CHANGING = (
    "Somebody wishes a change of the plan that was made for the request. Write the whole plan "
    "again with this change, and leave everything else as it is."
)

REPLANNING = (
    "A step of a plan has failed. Write one to three other steps that bring about what it should "
    "have, in another way or in smaller pieces, from what is there. Do not repeat it. The task of "
    "a step says all that is to be done; its needs are the numbers of the steps whose results it "
    "uses."
)

FILLING = (
    "A saved workflow is used for a new request. For each blank write what belongs there according "
    "to the request, in its own words; write nothing for what the request does not say."
)

ANSWERING = (
    "Answer the request from the results of the steps before this one. Say of each part from which "
    "step it comes. Say plainly what is missing and why. Add nothing that no step has found."
)

HANDED_OVER = "Hand over what the steps have found, word for word."
"""The last step where the model is too small to retell without loss (goals.handing_over)."""

_REQUEST = 6_000
_RESULT = 200


def asked(goal: Goal, parts: Sequence[str] = ()) -> str:
    """A request as the planner reads it, with its parts where they are known."""
    request = f"Request: {request_of(goal)}"
    if not parts:
        return request
    numbered = "\n".join(f"{number}. {part}" for number, part in enumerate(parts, 1))
    return f"{request}\n\nParts:\n{numbered}"


def request_of(goal: Goal) -> str:
    """The request, as much of it as a planner reads."""
    return goal.request[:_REQUEST]


def plan_of(goal: Goal) -> str:
    """The plan in lines, a step each, as a model reads it."""
    lines = [_line(goal, task) for task in goal.tasks if task.key != ANSWER]
    return "Plan:\n" + "\n".join(lines)


def failure_of(task: Task) -> str:
    """What a planner is told of a step that failed."""
    return f"Step {task.number} failed: {clipped(task.reason, _RESULT)}"


def _line(goal: Goal, task: Task) -> str:
    """Such as "2. Cost (pending, after 1): Work out the cost."; examples are written like it."""
    needs = ", ".join(str(goal.task(need).number) for need in task.needs)
    state = f"{task.state}, after {needs}" if needs else task.state
    result = f" Result: {clipped(task.result, _RESULT)}" if task.result else ""
    return f"{task.number}. {task.title} ({state}): {task.instruction}{result}"
