"""How estimates of goals' steps compare with what the steps took, for whoever reads figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Protocol

from database.records import Run, RunQuery
from orchestrator.goal_replies import AGENT

_MOST = 2_000
_LEAST = 3
"""Of fewer steps nothing is said: it would be chance."""


class Runs(Protocol):
    """The record of runs (database.store)."""

    async def runs(self, query: RunQuery) -> Sequence[Run]:
        """Newest first."""


@dataclass(frozen=True, slots=True)
class GoalScores:
    """Goals that ended, and attempts at their steps against what was expected of each.

    `well` and `chance` are shares: how many came to a result, how many were expected to. The
    ratios are what was taken to what was expected: of seconds the median step, of tokens and
    dollars the sums (None where nothing was expected).
    """

    goals: int = 0
    answered: int = 0
    steps: int = 0
    well: float = 0.0
    chance: float = 0.0
    seconds: float | None = None
    tokens: float | None = None
    usd: float | None = None

    def sentence(self) -> str:
        """For people; '' where there is too little to say."""
        if not self.goals and self.steps < _LEAST:
            return ""
        said = f"Goals: {self.goals} ended, {self.answered} with an answer."
        if self.steps < _LEAST:
            return said
        ratios = ((self.seconds, "time"), (self.tokens, "tokens"), (self.usd, "cost"))
        took = ", ".join(f"{ratio:.1f} times the {what}" for ratio, what in ratios if ratio)
        return (
            f"{said} Their {self.steps} steps took {took or 'what was'} expected; "
            f"{self.well:.0%} came to a result, {self.chance:.0%} were expected to."
        )


async def goal_scores(record: Runs, query: RunQuery) -> GoalScores:
    """Of the goals and steps among the runs that a query means. Raises StoreError."""
    wide = replace(query, limit=_MOST)
    ended = await record.runs(replace(wide, kinds=("reply",), agent=AGENT))
    steps = await record.runs(replace(wide, kinds=("task",)))
    return scores(ended, steps)


def scores(replies: Iterable[Run], steps: Iterable[Run]) -> GoalScores:
    """Of these answers and steps; other runs among them count nothing."""
    ends = [run.route for run in replies if run.route and "took" in run.route]
    done = [run for run in steps if run.route and "expected" in run.route and not _waits(run)]
    if not done:
        return GoalScores(len(ends), sum(end["state"] == "done" for end in ends))
    expected = [run.route["expected"] for run in done if run.route]
    times = [
        (run.duration_ms or 0.0) / 1000 / wanted["seconds"]
        for run, wanted in zip(done, expected, strict=True)
        if wanted["seconds"]
    ]
    priced = [
        (run.cost_usd, wanted["usd"])
        for run, wanted in zip(done, expected, strict=True)
        if run.cost_usd is not None and wanted["usd"]
    ]
    taken = sum((run.input_tokens or 0) + (run.output_tokens or 0) for run in done)
    return GoalScores(
        goals=len(ends),
        answered=sum(end["state"] == "done" for end in ends),
        steps=len(done),
        well=sum(run.error is None for run in done) / len(done),
        chance=sum(wanted["chance"] for wanted in expected) / len(done),
        seconds=median(times) if times else None,
        tokens=_ratio(taken, sum(wanted["tokens"] for wanted in expected)),
        usd=_ratio(sum(p[0] for p in priced), sum(p[1] for p in priced)),
    )


def _waits(run: Run) -> bool:
    """Whether it ended with a question: then it is not over."""
    return bool(run.route and run.route.get("waits"))


def _ratio(taken: float, expected: float) -> float | None:
    return taken / expected if expected else None
