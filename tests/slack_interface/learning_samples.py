"""Findings, proposals and trials as learners make them, and what keeps them in memory."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from database.errors import InputError, UnknownName
from database.learning import (
    Change,
    Finding,
    FindingState,
    Proposal,
    ProposalOrder,
    ProposalState,
    Trial,
    proposal_id_of,
)
from database.records import content_hash
from orchestrator.learning_status import (
    AgentStanding,
    LearnerStatus,
    LearningFigures,
    LearningStatus,
)
from orchestrator.policy import Improving, Mode

NOW = 1_795_250_000.0

BEFORE: Mapping[str, Any] = {
    "name": "coder",
    "specialty": "Writes and explains code",
    "system_prompt": (
        "You write code. Answer with a short explanation. Name the language. Keep to the standard "
        "library where you can."
    ),
    "temperature": 0.7,
    "tools": [],
}
AFTER: Mapping[str, Any] = {
    **BEFORE,
    "system_prompt": (
        "You write code. Answer with the code first, then at most two sentences. Name the "
        "language. Keep to the standard library where you can. Handle empty input."
    ),
}
CHANGE = Change("agent", "coder", content_hash(BEFORE), AFTER)


def proposal(**more: Any) -> Proposal:
    """A prompt edit with all that a good learner says of it."""
    made = Proposal(
        proposal_id=proposal_id_of("prompt-optimizer", (CHANGE,)),
        learner="prompt-optimizer",
        title="Let coder answer with the code first",
        why=(
            "In 24 of 61 answers of the last week people asked again for the code itself, or "
            "marked the answer as too long."
        ),
        changes=(CHANGE,),
        evidence={
            "runs": ["r1", "r2", "r3"],
            "figures": {"Answers looked at": 61, "Marked as too long": 24},
            "examples": [
                {
                    "request": "How do I remove duplicates from a list?",
                    "before": "Removing duplicates is a common task. There are several ways ...",
                    "wish": "It is too long",
                    "after": "list(dict.fromkeys(items)) keeps the order.",
                }
            ],
            "cost": {"before": 0.0021, "after": 0.0017},
            "exam": {"before": 0.71, "after": 0.83, "n": 52},
        },
        expected={"effect": 0.12, "low": 0.04, "high": 0.2},
        state="awaiting",
        risk="low",
        risk_reasons=("low: changes the instructions (agent coder)",),
        reason="Proven; the mode of coder is to ask.",
        created_at=NOW - 7_200,
        moved_at=NOW - 600,
        revision=3,
    )
    return replace(made, **more)


def trial(**more: Any) -> Trial:
    """A shadow trial that has proven the proposal."""
    made = Trial(
        trial_id="t1",
        proposal_id=proposal().proposal_id,
        method="shadow",
        agent="coder",
        active=str(CHANGE.base),
        candidate=str(CHANGE.version),
        share=1.0,
        smallest_effect=0.08,
        most=400,
        state="proven",
        figures={
            "effect": 0.11, "low": 0.03, "high": 0.19, "requests": 90, "pairs": 84,
            "rate_active": 0.68, "rate_candidate": 0.79, "judge_agreement": 0.86,
            "guardrails": {
                "latency_ms": {"active": 2400.0, "candidate": 1900.0, "hurt": False},
                "cost_usd": {"active": 0.0021, "candidate": 0.0017, "hurt": False},
                "error": {"active": 0.02, "candidate": 0.02, "hurt": False},
            },
        },
        started_at=NOW - 7_000,
        ended_at=NOW - 600,
    )  # fmt: skip
    return replace(made, **more)


def verification(**more: Any) -> Trial:
    """How the proposal does since it is live."""
    made = trial(
        trial_id="v1",
        figures={
            "rate_before": 0.68, "rate_now": 0.8, "effect": 0.12, "low": 0.03, "high": 0.2,
            "comparisons": 96,
        },
    )  # fmt: skip
    return replace(made, **more)


def finding(**more: Any) -> Finding:
    """A strong pattern with its figures and a chart."""
    made = Finding(
        finding_id="f0a1b2c3-0000-5000-8000-000000000001",
        learner="workflow-analyst",
        kind="pattern",
        title="People ask for the weekly numbers, then for a chart, then for a summary",
        text=(
            "On Mondays the same three requests follow each other in one thread. A runbook could "
            "do all three at once."
        ),
        data={
            "support": 24, "people": 5, "success": 0.83, "low": 0.71, "high": 0.91,
            "figures": {"Usual time from first to last": "6 minutes", "Steps": 3},
            "chart": {
                "title": "How often, by week",
                "labels": ["Oct 26", "Nov 2", "Nov 9", "Nov 16"],
                "series": [{"name": "Threads", "values": [3, 5, 7, 9]}],
            },
        },
        runs=("r1", "r2", "r3"),
        strength="strong",
        created_at=NOW - 3_600,
    )  # fmt: skip
    return replace(made, **more)


def status(**more: Any) -> LearningStatus:
    """Learning that is on, with two learners and two agents."""
    made = LearningStatus(
        learners=(
            LearnerStatus(
                "workflow-analyst", "Sequences that repeat", 27, 40, NOW + 5_400, NOW - 16_000
            ),
            LearnerStatus("prompt-optimizer", "Better instructions", 9, 30, NOW + 9_000),
            LearnerStatus("error-recovery", "What failed and what fixed it", 4, 10, running=True),
        ),
        agents=(
            AgentStanding("coder", "ask", 3, 0, earned=True),
            AgentStanding("writer", "automatic", 2, 1),
            AgentStanding("generalist"),
        ),
        tokens_today=120_400,
        tokens_allowed=1_000_000,
        usd_week=0.31,
        usd_allowed=1.2,
    )
    return replace(made, **more)


def figures(**more: Any) -> LearningFigures:
    """Thirty days of learning."""
    made = LearningFigures(
        patterns=4, proposals=9, promoted_alone=1, promoted_by_people=3, rejected=2, verified=3,
        rolled_back=1, prevented_errors=12, minutes_saved=38.0,
        minutes_how="12 calls that are known to fail were not made; 92% of 13 that were made all "
        "the same failed.",
        usd_saved=0.84, usd_how="Of 3 changes in force: what their answers cost since, beside the "
        "cost that the version before them had in the trial.",
        answers=812, cost_usd=4.37, learning_usd=0.31, learning_tokens=120_400,
    )  # fmt: skip
    return replace(made, **more)


@dataclass(slots=True)
class LearningInMemory:
    """The port's contract without a pipeline: what waits can be decided, once."""

    all_proposals: dict[str, Proposal] = field(default_factory=dict)
    all_findings: dict[str, Finding] = field(default_factory=dict)
    all_trials: list[Trial] = field(default_factory=list)
    watched: dict[str, Trial] = field(default_factory=dict)
    standing: LearningStatus = field(default_factory=status)
    counted: LearningFigures = field(default_factory=figures)
    handlers: list[Callable[[Proposal | Finding], Awaitable[None]]] = field(default_factory=list)
    clock: Callable[[], float] = lambda: NOW

    async def put(self, record: Proposal | Finding, told: bool = True) -> None:
        """Keep it as it is now, and announce it unless it was another process that moved it."""
        if isinstance(record, Proposal):
            self.all_proposals[record.proposal_id] = record
        else:
            self.all_findings[record.finding_id] = record
        for handler in self.handlers if told else ():
            await handler(record)

    async def move(self, record: Proposal, state: ProposalState, **more: Any) -> Proposal:
        """The proposal in another state."""
        moved = replace(
            record, state=state, revision=record.revision + 1, moved_at=self.clock(), **more
        )
        await self.put(moved)
        return moved

    async def proposal(self, proposal_id: str) -> Proposal | None:
        return self.all_proposals.get(proposal_id)

    async def proposals(
        self,
        states: Collection[ProposalState] | None = None,
        limit: int = 200,
        order: ProposalOrder = "newest",
        moved_since: float = 0.0,
    ) -> Sequence[Proposal]:
        found = [
            p for p in self.all_proposals.values()
            if (states is None or p.state in states) and p.moved_at >= moved_since
        ]  # fmt: skip
        by = {
            "newest": lambda p: -p.created_at, "moved_last": lambda p: -p.moved_at,
            "waits_longest": lambda p: p.moved_at,
        }  # fmt: skip
        return sorted(found, key=by[order])[:limit]

    async def trial_of(self, proposal_id: str) -> Trial | None:
        return next((t for t in self.all_trials if t.proposal_id == proposal_id), None)

    async def verification_of(self, proposal_id: str) -> Trial | None:
        return self.watched.get(proposal_id)

    async def trials(self) -> Sequence[Trial]:
        return [t for t in self.all_trials if t.state == "running"]

    async def finding(self, finding_id: str) -> Finding | None:
        return self.all_findings.get(finding_id)

    async def findings(
        self, since: float | None = None, state: FindingState | None = None, limit: int = 200
    ) -> Sequence[Finding]:
        found = [
            f for f in self.all_findings.values()
            if f.created_at >= (since or 0.0) and state in (None, f.state)
        ]  # fmt: skip
        return sorted(found, key=lambda f: f.created_at, reverse=True)[:limit]

    async def before(self, change: Change) -> Mapping[str, Any] | None:
        return BEFORE if change.base == content_hash(BEFORE) else None

    async def status(self) -> LearningStatus:
        return self.standing

    async def figures(self, since: float, until: float) -> LearningFigures:
        return self.counted

    async def decide(
        self, proposal_id: str, person: str, approve: bool, reason: str = ""
    ) -> Proposal:
        waiting = self._in(proposal_id, "awaiting")
        state: ProposalState = "live" if approve else "rejected"
        return await self.move(waiting, state, decided_by=person, reason=reason)

    async def revise(
        self, proposal_id: str, person: str, changes: Sequence[Change], why: str
    ) -> Proposal:
        waiting = self._in(proposal_id, "awaiting")
        made = replace(
            waiting, proposal_id=proposal_id_of(person, tuple(changes)), learner=person,
            changes=tuple(changes), why=why, state="proposed", revision=1, reason="",
        )  # fmt: skip
        await self.move(
            waiting, "superseded", decided_by=person, reason="A discussion came to another one."
        )
        await self.put(made)
        return made

    async def roll_back(self, proposal_id: str, person: str, reason: str) -> Proposal:
        live = self._in(proposal_id, "live", "verified")
        return await self.move(live, "rolled_back", decided_by=person, reason=reason)

    async def judge_finding(self, finding_id: str, person: str, verified: bool) -> Finding:
        found = self.all_findings[finding_id]
        judged = replace(
            found, state="verified" if verified else "dismissed", decided_by=person,
            revision=found.revision + 1,
        )  # fmt: skip
        await self.put(judged)
        return judged

    async def switch(self, to: str, person: str) -> LearningStatus:
        switches: Mapping[str, Improving] = {"on": "on", "paused": "paused", "off": "off"}
        self.standing = replace(self.standing, switch=switches[to], set_by=person)
        return self.standing

    async def set_mode(self, agent: str, mode: Mode, person: str) -> LearningStatus:
        agents = [
            replace(one, mode=mode) if one.agent == agent else one for one in self.standing.agents
        ]
        self.standing = replace(self.standing, agents=tuple(agents))
        return self.standing

    def on_changed(self, handler: Callable[[Proposal | Finding], Awaitable[None]]) -> None:
        self.handlers.append(handler)

    def _in(self, proposal_id: str, *states: ProposalState) -> Proposal:
        if proposal_id not in self.all_proposals:
            raise UnknownName("There is no such proposal.")
        found = self.all_proposals[proposal_id]
        if found.state not in states:
            raise InputError(f"It is {found.state} by {found.decided_by} already.")
        return found
