"""Ten different goals through the local workspace, on the embedded model or the configured one.

`python -m benchmarks.ten_goals [--only 1 4] [--json] [--out FILE.md] [--model small]`

A person asks in a direct message, presses Start where the plan waits for it, answers no question
and waits for the end. `valid` says that a plan came about, `ended` that all its steps came to an
end, `delivered` that an answer can be seen in the thread. Whether the answers are good is for
people to say: `--out` has them, with the plans.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import structlog
from rich.console import Console
from rich.table import Table

from benchmarks.local_house import local_house
from bootstrap import Assistant
from database.errors import VirtuousError
from database.goals import ANSWER, ENDED_TASK, Goal
from orchestrator.ports import ModelsPort
from orchestrator.providers import models_of
from orchestrator.settings import load_settings

ADA, DIRECT = "U0ADA", "D0ADA"
PATIENCE_S = 1_500.0

GOALS = (
    "Compare three ways to track errors in a small web app, pick one for a team of four, "
    "and draft the announcement to the team.",
    "Plan: our office has 12 desks at $240 a month each. Work out the cost of a year, what we "
    "would save by giving up 5 of them, and write a short recommendation to the managers.",
    "Plan: write a welcome message for a new colleague, a checklist for their first day, and "
    "three questions they should ask their manager.",
    "Plan: explain what a database index is to a beginner, give an SQL example that creates one, "
    "and list two cases in which it does not help.",
    "Find a date for a two-hour workshop in the week of 7 December 2026, propose an agenda, "
    "and write the invitation.",
    "Plan: turn these notes into action items, sort them by urgency, and write a summary for "
    "the boss. Notes: Lea fixes the login bug today; Tom orders chairs some time; Ines must send "
    "the contract by Friday; somebody should water the plants.",
    "Plan: name five risks of moving our website to another host over a weekend, say how to "
    "reduce the two worst, and draft the notice for our customers.",
    "Plan: translate 'Our shop is closed on Monday' into French, German and Spanish, and put the "
    "three into a table.",
    "Write a Python function that finds duplicates in a list, write a test for it, and "
    "explain both in three sentences.",
    "Suggest three team lunches for 8 people within $160, calculate the price for each "
    "person, and write a poll for the channel.",
)


@dataclass(slots=True)
class Outcome:
    """What became of one goal; times in seconds."""

    number: int
    request: str
    valid: bool = False
    state: str = ""
    reason: str = ""
    steps: int = 0
    done: int = 0
    ended: bool = False
    delivered: bool = False
    planning_s: float = 0.0
    seconds: float = 0.0
    expected_s: float = 0.0
    plan: str = ""
    answer: str = ""


async def one_goal(house: Assistant, http: httpx.AsyncClient, number: int) -> Outcome:
    """Ask for it and see it through."""
    request = GOALS[number]
    outcome = Outcome(number + 1, request)
    began = time.monotonic()
    fields = {"channel": "@assistant", "user": ADA, "text": request}
    sent = (await http.post("/_control/message", json=fields)).raise_for_status().json()
    ts = str(sent["message"]["ts"])
    goal = await _planned(house, ts)
    outcome.planning_s = round(time.monotonic() - began, 1)
    if goal is None or goal.state == "refused":
        outcome.state = goal.state if goal else "no plan"
        outcome.reason = goal.reason if goal else ""
        return outcome
    if goal.state == "proposed":
        goal = await house.goals.start(goal.goal_id, ADA)
    goal = await _ended(house, goal.goal_id)
    await house.slack.idle()
    shown = (await http.get(f"/_control/messages/{DIRECT}?thread_ts={ts}")).json()["messages"]
    _note(outcome, goal, [str(m.get("text", "")) for m in shown])
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


def _note(outcome: Outcome, goal: Goal, shown: Sequence[str]) -> None:
    answer = goal.task(ANSWER).result or ""
    begins = " ".join(answer.split())[:40]
    outcome.valid = True
    outcome.state, outcome.reason = goal.state, goal.reason
    outcome.steps = len(goal.tasks)
    outcome.done = sum(task.state == "done" for task in goal.tasks)
    outcome.ended = all(task.state in ENDED_TASK for task in goal.tasks)
    outcome.delivered = bool(begins) and any(begins in " ".join(text.split()) for text in shown)
    outcome.expected_s = round(goal.estimate.seconds, 1)
    outcome.answer = answer
    outcome.plan = "\n".join(
        f"{task.number}. [{task.state}] {task.title} ({task.agent or 'new'}; needs "
        f"{', '.join(str(goal.task(n).number) for n in task.needs) or 'nothing'})\n"
        f"   asked: {task.instruction}\n   gave: {task.result or task.reason or task.question}"
        for task in goal.tasks
    ) + "".join(f"\nNote: {note}" for note in goal.notes)


async def _planned(house: Assistant, ts: str) -> Goal | None:
    """The goal of a thread, once there is one; None where it was answered without any."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if goals := await house.goals.in_thread(DIRECT, ts):
                return goals[-1]
            if await house.store.run_of_message(DIRECT, ts) is not None:
                return None
            await asyncio.sleep(0.2)


async def _ended(house: Assistant, goal_id: str) -> Goal:
    """As it is once nothing goes on by itself."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            goal = await house.goals.goal(goal_id)
            assert goal is not None
            if goal.ended or goal.state == "waiting":
                return goal
            await asyncio.sleep(0.2)


async def run(numbers: Sequence[int], models: ModelsPort) -> list[Outcome]:
    """One after the other in one workspace, as one person would."""
    found: list[Outcome] = []
    settings = {"virtuous6_approvers": ADA, "virtuous6_learning": "off"}
    async with local_house(models, **settings) as (house, http):
        for number in numbers:
            outcome = await one_goal(house, http, number)
            found.append(outcome)
            print(
                f"{outcome.number}: {outcome.state}, {outcome.done} of {outcome.steps} "
                f"steps done, {outcome.seconds:.0f} s", file=sys.stderr,
            )  # fmt: skip
    return found


def report(found: Sequence[Outcome]) -> dict[str, Any]:
    """How many of them had a plan, ended and were answered."""
    return {
        "goals": len(found),
        "valid": sum(one.valid for one in found),
        "ended": sum(one.ended for one in found),
        "delivered": sum(one.delivered for one in found),
        "each": [asdict(one) for one in found],
    }


def table(found: Sequence[Outcome]) -> Table:
    """The same for a terminal."""
    shown = Table(title="Ten goals")
    for column in ("", "plan", "steps done", "ended", "answer seen", "s", "expected s"):
        shown.add_column(column, justify="right")
    for one in found:
        shown.add_row(
            str(one.number), "valid" if one.valid else one.state, f"{one.done} of {one.steps}",
            "yes" if one.ended else one.state, "yes" if one.delivered else "no",
            f"{one.seconds:.0f}", f"{one.expected_s:.0f}",
        )  # fmt: skip
    return shown


def written(found: Sequence[Outcome]) -> str:
    """Requests, plans and answers, to be read by people."""
    return "\n\n".join(
        f"## {one.number}. {one.request}\n\n{one.state} {one.reason}; planned in "
        f"{one.planning_s:.0f} s, {one.seconds:.0f} s in all (expected {one.expected_s:.0f})\n\n"
        f"{one.plan}\n\n### Answer\n\n{one.answer}"
        for one in found
    )


async def _measured(options: argparse.Namespace) -> list[Outcome]:
    async with AsyncExitStack() as stack:
        models = await models_of(load_settings(), options.model, stack)
        return await run([number - 1 for number in options.only], models)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 where every goal had a plan, ended and was answered."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ten_goals")
    every = range(1, len(GOALS) + 1)
    parser.add_argument("--only", type=int, nargs="+", choices=every, default=list(every))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        found = asyncio.run(_measured(options))
    except VirtuousError as error:
        print(error, file=sys.stderr)
        return 2
    if options.out:
        options.out.write_text(written(found), encoding="utf-8")
    if options.json:
        print(json.dumps(report(found), ensure_ascii=False))
    else:
        Console().print(table(found))
    return 0 if all(one.valid and one.ended and one.delivered for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
