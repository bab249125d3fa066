"""What one person's goals do to other people's replies.

`python -m benchmarks.noisy_goals [--quick] [--json]`

As `benchmarks.flood`, but Ada starts 200 goals of three steps each, and Grace asks her questions
while the assistant's own process plans and carries them out. What counts is the time from her
message to her finished answer: p95 alone, p95 beside the goals, and their ratio. `calls_meanwhile`
are model calls, Grace's own among them, so that it shows whether the goals really ran.
"""

import json
from dataclasses import dataclass

import httpx
import numpy as np

from benchmarks import command
from benchmarks.flood import ADA, GRACE, TOKENS_PER_SECOND, TTFT_MS, one_by_one
from benchmarks.message_overhead import ANSWER, Reader, running, unpaced_workspace, watching
from tests.model_server.server import ScriptedModel, answer

GOALS = 200
_WISH = "plan: compare three databases, work out what each costs a year, and draft a note"
_STEPS = ("Compare the databases", "Work out what each costs", "Draft a note")
_PLAN = {
    "goal": "Choose a database",
    "stages": ["Choose"],
    "steps": [
        {"stage": 1, "title": title, "task": f"{title}.", "needs": [n] if n else [], "result": ""}
        for n, title in enumerate(_STEPS)
    ],
}


@dataclass(frozen=True, slots=True)
class Report:
    """Milliseconds of Grace's replies."""

    p95_alone_ms: float
    p95_beside_goals_ms: float
    ratio: float
    p50_alone_ms: float
    p50_beside_goals_ms: float
    replies: int
    goals: int
    calls_meanwhile: int


async def start(client: httpx.AsyncClient, number: int) -> None:
    """One more goal of Ada's."""
    body = {"channel": "@assistant", "user": ADA, "text": f"{_WISH} (number {number})"}
    (await client.post("/_control/message", json=body)).raise_for_status()


async def run(quick: bool) -> Report:
    """Grace alone, then Grace beside Ada's goals."""
    count, goals = (20, 40) if quick else (100, GOALS)
    pace = {"streamingProfile": {"ttft": TTFT_MS, "tps": TOKENS_PER_SECOND}}
    step = {"systemMessage": "You do one step of a plan"}
    scripted = [
        answer(ANSWER, when=step, **pace),
        answer(json.dumps(_PLAN), when={"userMessage": "compare three databases"}),
        answer(ANSWER, **pace),
    ]
    limits = httpx.Limits(max_connections=20)
    async with (
        unpaced_workspace() as workspace,
        ScriptedModel(scripted, chunk_size=4) as model,
        running("ours", workspace, model.base_url),
        httpx.AsyncClient(base_url=workspace.url, limits=limits, timeout=60) as client,
        watching(Reader(workspace, GRACE)) as hers,
    ):
        await one_by_one(client, hers, 10)
        alone = await one_by_one(client, hers, count)
        for number in range(goals):
            await start(client, number)
        before = len(await model.calls())
        beside = await one_by_one(client, hers, count)
        calls = len(await model.calls()) - before
    return report_of(alone, beside, goals, calls)


def report_of(alone: list[float], beside: list[float], goals: int, calls: int) -> Report:
    """The figures of both series."""
    first, second = (float(np.percentile(times, 95)) for times in (alone, beside))
    return Report(
        p95_alone_ms=round(first, 1),
        p95_beside_goals_ms=round(second, 1),
        ratio=round(second / first, 3),
        p50_alone_ms=round(float(np.percentile(alone, 50)), 1),
        p50_beside_goals_ms=round(float(np.percentile(beside, 50)), 1),
        replies=len(alone),
        goals=goals,
        calls_meanwhile=calls,
    )


def show(report: Report) -> None:
    """A line for people."""
    print(
        f"p95 of {report.replies} replies: {report.p95_alone_ms:.0f} ms alone, "
        f"{report.p95_beside_goals_ms:.0f} ms beside {report.goals} goals of another person "
        f"({report.calls_meanwhile} model calls meanwhile): ratio {report.ratio:.2f}"
    )


def main() -> None:
    """The command line."""
    command.measure(__doc__, "fewer replies and goals", run, show)


if __name__ == "__main__":
    main()
