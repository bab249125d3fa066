"""The two replies that a goal is in the record: its plan, and its final answer."""

from typing import Any, Literal

from database.goals import ANSWER, Estimate, Goal, Spent
from database.records import Message, Outcome, Run, run_id_of
from orchestrator.requests import ReplyFinished

AGENT = "team"
"""Who has answered where several agents did."""


def reply_of(goal: Goal, part: Literal["plan", "answer"], text: str) -> ReplyFinished:
    """The Run and the messages of a goal's plan, or of its answer, as people see them; pure.

    The plan answers the person's message. The answer is a run made by the one of the request, so
    that feedback lands on it; what was expected of the goal and what it took stand in its `route`.
    What planning took is the plan's; how it divides into tokens read and written is not known.
    """
    plan = part == "plan"
    run = Run(
        run_id=goal.run_id if plan else answer_run_id(goal),
        request=goal.request,
        agent=AGENT,
        parent_run_id=None if plan else goal.run_id,
        started_at=goal.created_at if plan else goal.started_at,
        duration_ms=(goal.planning if plan else goal.spent).seconds * 1000,
        user_id=goal.user_id,
        channel_id=goal.channel_id or None,
        thread_ts=goal.thread_ts or None,
        message_ts=goal.message_ts or None if plan else None,
        audience=goal.audience,
        reply=text or None,
        error=None if plan or goal.state == "done" else f"{goal.state}: {goal.reason}",
        route={"reason": "goal", "goal": goal.goal_id} | ({} if plan else figures_of(goal)),
        outcome=Outcome(False, source="check") if goal.state == "failed" else Outcome(),
        input_tokens=goal.planning.tokens if plan else None,
        cost_usd=goal.planning.usd or None if plan else None,
    )
    return ReplyFinished(run, _messages(goal, run, plan))


def replies_at_the_end(goal: Goal) -> tuple[ReplyFinished, ...]:
    """What is to be recorded of a goal that has ended; nothing where Slack's side does that.

    It records what it has shown; a goal of the command line is shown to nobody.
    """
    if goal.channel_id:
        return ()
    return reply_of(goal, "plan", goal.title), reply_of(goal, "answer", answer_text(goal))


def answer_run_id(goal: Goal) -> str:
    """The Run of a goal's answer."""
    return run_id_of(goal.goal_id, ANSWER)


def figures_of(goal: Goal) -> dict[str, Any]:
    """What was expected of a goal and what it took, as its answer's `route` keeps them."""
    done = sum(task.state == "done" for task in goal.tasks)
    return {
        "expected": estimate_as_json(goal.estimate),
        "took": _spent_as_json(goal.spent) | {"wall_seconds": round(_worked(goal), 1)},
        "tasks": {"all": len(goal.tasks), "done": done},
        "state": goal.state,
        "runbook": goal.runbook,
    }


def estimate_as_json(expected: Estimate) -> dict[str, Any]:
    """An estimate as runs keep it."""
    return {
        "seconds": round(expected.seconds, 1), "tokens": expected.tokens, "usd": expected.usd,
        "chance": round(expected.chance, 3),
    }  # fmt: skip


def answer_text(goal: Goal) -> str:
    """What a goal came to, in words: its answer, or why there is none."""
    try:
        answer = goal.task(ANSWER).result
    except KeyError:
        answer = None
    return answer or goal.reason or "It came to nothing."


def _spent_as_json(spent: Spent) -> dict[str, Any]:
    return {"seconds": round(spent.seconds, 1), "tokens": spent.tokens, "usd": spent.usd}


def _worked(goal: Goal) -> float:
    if goal.started_at is None or goal.ended_at is None:
        return 0.0
    return goal.ended_at - goal.started_at


def _messages(goal: Goal, run: Run, plan: bool) -> tuple[Message, ...]:
    asked = Message(
        goal.channel_id, goal.message_ts, goal.thread_ts, "person", goal.request, goal.user_id,
        goal.run_id, goal.audience, goal.created_at,
    )  # fmt: skip
    said = Message(
        goal.channel_id, "", goal.thread_ts, "assistant", run.reply or "", None, run.run_id,
        goal.audience, goal.created_at if plan else goal.ended_at or goal.created_at,
    )  # fmt: skip
    known = (said,) if run.reply else ()
    return (asked, *known) if plan else known
