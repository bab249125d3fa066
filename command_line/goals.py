"""Goals: looking at them and ending them; the front door starts them, as that needs models."""
# ruff: noqa: PLC0415 (imports inside commands are measured: see virtuous6.py)

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from command_line.output import Json, configured, print_json, reported, say, table

if TYPE_CHECKING:
    from database.goals import Goal

goals_app = typer.Typer(no_args_is_help=True, help="Requests that need a plan.")

Id = Annotated[str, typer.Argument(metavar="ID", help="Its first characters are enough.")]


@goals_app.command("status")
def goals_status(
    context: typer.Context,
    goal: Annotated[
        str | None, typer.Argument(metavar="ID", help="Its first characters; none lists all.")
    ] = None,
    json: Json = False,
) -> None:
    """How a goal is doing: its steps, what they came to, time and cost; or a list of goals."""
    with reported(json):
        from orchestrator.goal_admin import goal_json, goals_there, known_goal

        if goal is None:
            found = asyncio.run(goals_there(configured(), context.obj.workspace))
            if json:
                print_json({"goals": [goal_json(one) for one in found]})
            else:
                _list(found)
            return
        one = asyncio.run(known_goal(configured(), context.obj.workspace, goal))
        if json:
            print_json(goal_json(one))
        else:
            show_goal(one)


@goals_app.command("cancel")
def goals_cancel(context: typer.Context, goal: Id, json: Json = False) -> None:
    """End a goal; what is done stays. Where approvers are named, say who with --as USER."""
    with reported(json):
        from orchestrator.goal_admin import cancel_goal, goal_json

        ended = asyncio.run(
            cancel_goal(configured(), context.obj.workspace, goal, context.obj.acting)
        )
        if json:
            print_json(goal_json(ended))
        else:
            say(f"{ended.title or ended.request}: {ended.state}.")


def show_goal(goal: "Goal") -> None:
    """A goal for whoever looks at it in a terminal."""
    from orchestrator.goal_admin import account

    say(f"{goal.title or goal.request}  ({goal.state})")
    say(f"id {goal.goal_id}")
    table(
        ("step", "state", "by", "what", "needs", "takes"),
        [
            (str(task.number), task.state, task.agent or "a new specialist", task.title,
             ", ".join(str(goal.task(need).number) for need in task.needs),
             f"{task.spent.seconds or task.estimate.seconds:.0f} s")
            for task in goal.tasks
        ],
    )  # fmt: skip
    for line in (*goal.notes, goal.reason, goal.asks or ""):
        if line:
            say(line)
    for task in goal.tasks:
        if task.state == "waiting":
            say(f"Step {task.number} asks: {task.question}")
    answer = goal.tasks[-1].result if goal.tasks else None
    if answer:
        say(f"\n{answer}\n")
    say(account(goal))


def _list(goals: "list[Goal]") -> None:
    rows: list[tuple[Any, ...]] = [
        (goal.goal_id[:8], goal.state, _progress(goal), goal.title or goal.request[:60])
        for goal in goals
    ]
    table(("id", "state", "steps done", "what"), rows)


def _progress(goal: "Goal") -> str:
    done = sum(task.state == "done" for task in goal.tasks)
    return f"{done} of {len(goal.tasks)}"
