"""What a model is told when it plans. Short: the embedded model reads 80 tokens a second."""

from collections.abc import Sequence

from database.goals import ANSWER, Goal, Task
from goals.ports import Specialist
from goals.repairs import clipped

PLANNING = (
    "You plan work for a team of assistants. They read, think, calculate and write; they know the "
    "request and the results of the steps that theirs needs.\n"
    "Write the goal in one line, one to three stages towards it, and two to {most} steps. A step "
    "is one piece of work for one assistant. Its title is short; its task says all that is to be "
    "done, with the names, numbers and limits of the request; its result says what is there "
    "afterwards; its stage is the number of its stage; its needs are the numbers of earlier steps "
    "whose results it uses, [] for none. Steps without needs run at once. Plan everything that is "
    "asked for and nothing more: nobody approves, reviews or sends anything unless it is asked "
    "for. The final answer is written by itself, from all results.\n"
    "Assistants there are: {team}."
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

_TEAM = 8
_REQUEST = 6_000
_RESULT = 200


def planning(specialists: Sequence[Specialist], most: int) -> str:
    """What the planner is told before a request."""
    team = "; ".join(f"{one.name} ({one.specialty})" for one in specialists[:_TEAM])
    return PLANNING.format(most=most, team=team)


def request_of(goal: Goal) -> str:
    """The request, as much of it as a planner reads."""
    return goal.request[:_REQUEST]


def plan_of(goal: Goal) -> str:
    """The plan in lines, a step each, as a model reads it."""
    return "\n".join(_line(goal, task) for task in goal.tasks if task.key != ANSWER)


def failure_of(goal: Goal, task: Task) -> str:
    """What a planner is told of a step that failed."""
    return f"Step {task.number} failed: {clipped(task.reason, _RESULT)}\nIts task: " + clipped(
        task.instruction, 2 * _RESULT
    )


def _line(goal: Goal, task: Task) -> str:
    needs = [goal.task(need).number for need in task.needs]
    after = f" (needs {', '.join(map(str, needs))})" if needs else ""
    result = f" Result: {clipped(task.result, _RESULT)}" if task.result else ""
    return f"{task.number}. [{task.state}] {task.title}: {task.instruction}{after}{result}"
