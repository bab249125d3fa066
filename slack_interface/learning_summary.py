"""The morning summary: what happened with learning in a day, in a few lines. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from database.learning import Finding, Proposal
from slack_interface.blocks import context, header, section, shortened
from slack_interface.incoming import Card
from slack_interface.learning_answers import (
    Records,
    finding_lines,
    moved_lines,
    proposal_lines,
)
from slack_interface.learning_words import count, said, usd, waiting

MOST_LINES = 14
MOST_CHARS = 1_800
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Day:
    """What a summary is about: what moved since `since`."""

    records: Records
    since: float
    now: float

    def findings(self) -> list[Finding]:
        """New, not set aside."""
        return [
            f for f in self.records.findings
            if f.created_at >= self.since and f.state != "dismissed"
        ]  # fmt: skip

    def moved(self, *states: str) -> list[Proposal]:
        """What came into one of these states meanwhile."""
        return [p for p in self.records.proposals if p.state in states and p.moved_at >= self.since]


def summary(day: Day, audiences: Collection[str]) -> Card | None:
    """The summary in words and blocks; None where there is nothing to say."""
    lines = [
        *_waiting(day, audiences),
        *_listed("Live now", day.moved("live", "verified"), audiences),
        *_listed("Taken back", day.moved("rolled_back"), audiences),
        *_found(day, audiences),
        *_offers(day, audiences),
    ]
    if not lines:
        return None
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "… the rest is on the learning page of my Home."]
    text = shortened("\n".join(lines), MOST_CHARS)
    heading = "Good morning: what I learned since yesterday"
    small = context(_small_print(day))
    return f"{heading}\n{text}", [header(heading), section(text), small]


def _waiting(day: Day, audiences: Collection[str]) -> list[str]:
    asked = [p for p in day.records.proposals if p.state == "awaiting"]
    if not asked:
        return []
    oldest = min(proposal.moved_at for proposal in asked)
    since = waiting(oldest, day.now)
    verb = "waits" if len(asked) == 1 else "wait"
    lead = f"*{count(len(asked), 'suggestion')} {verb}* for a decision, the oldest for {since}:"
    return [lead, *proposal_lines(asked, audiences, 3)]


def _listed(name: str, proposals: list[Proposal], audiences: Collection[str]) -> list[str]:
    return [f"*{name}:*", *moved_lines(proposals, audiences, 3)] if proposals else []


def _found(day: Day, audiences: Collection[str]) -> list[str]:
    found = day.findings()
    if not found:
        return []
    return [f"*New findings: {len(found)}*", *finding_lines(found, audiences, 3)]


def _offers(day: Day, audiences: Collection[str]) -> list[str]:
    """Whose record is good enough to let proven changes go live, said when it became so."""
    helped = {change.name for p in day.moved("verified") for change in p.changes}
    earned = [
        one.agent for one in day.records.status.agents
        if one.earned and one.agent in helped and one.audience in audiences
    ]  # fmt: skip
    return [
        f"✨ The last changes of *{said(agent, 60)}* all helped: on the learning page approvers "
        "may let proven changes of low risk go live by themselves."
        for agent in earned[:2]
    ]


def _small_print(day: Day) -> str:
    figures = day.records.figures
    cost = usd(figures.cost_usd)
    answered = f"{count(figures.answers, 'answer')} in that time, for {cost}"
    return f"{answered}. `policy set summary_hour off` ends these summaries."
