"""How learning stands and what it did, from the records, for Slack and the command line."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agents.improvement.error_recovery import NAME as ERROR_RECOVERY
from agents.improvement.error_recovery import prevented
from agents.improvement.learner import Learner
from agents.variants import agent_of, variant_of
from database.learning import ImprovementCounts, Proposal
from database.records import RunQuery
from database.store import Store
from orchestrator.budgets import LearningBudget
from orchestrator.learning_cycle import Cycles
from orchestrator.learning_status import (
    AgentStanding,
    LearnerStatus,
    LearningFigures,
    LearningStatus,
)
from orchestrator.policy import Improving, Policy
from orchestrator.signals import Signals
from orchestrator.verifying import verification_id

EARNED = 3
"""So many changes of an agent verified one after the other, and people are offered automatic."""
_MOST = 1_000

NextRun = Callable[[str], float | None]


class LearningReport:
    """Reads; changes nothing."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        cycles: Cycles,
        signals: Signals,
        budget: LearningBudget,
        *,
        allowed: bool = True,
        next_run: NextRun = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._policy = policy
        self._cycles = cycles
        self._signals = signals
        self._budget = budget
        self._allowed = allowed
        self._next_run = next_run
        self._clock = clock

    def switch(self) -> Improving:
        """Whether there is learning now: what approvers decided, and the environment before it."""
        return self._policy.improvement() if self._allowed else "off"

    async def status(self) -> LearningStatus:
        """How learning stands."""
        setting = self._policy.setting("improvement")
        spending = self._budget.spending()
        because = "" if self._allowed else "VIRTUOUS6_LEARNING is off where I was started."
        return LearningStatus(
            switch=self.switch(),
            set_by=setting.set_by,
            because=because or spending.problem,
            learners=tuple([await self._learner(one) for one in self._cycles.learners.values()]),
            agents=await self._standings(),
            tokens_today=spending.tokens_today,
            tokens_allowed=spending.tokens_allowed,
            usd_week=spending.usd_week,
            usd_allowed=spending.usd_allowed,
        )

    async def figures(self, since: float, until: float) -> LearningFigures:
        """What learning did between two times (in whole days, UTC), and what it cost."""
        counts = await self._store.improvement_counts(since, until)
        patterns = await self._store.findings(since, limit=_MOST)
        answers = (await self._store.metrics(RunQuery(since=since, until=until))).total
        rejected = await self._store.proposals({"rejected"}, _MOST)
        errors = prevented((await self._store.learner_state(ERROR_RECOVERY)).state)
        saved, how = await self._saved(since)
        learning_usd = sum(row.learning_cost_usd for row in counts)
        return LearningFigures(
            patterns=sum(f.kind == "pattern" and f.created_at < until for f in patterns),
            proposals=_sum(counts, "proposed"),
            promoted_alone=_sum(counts, "by_itself"),
            promoted_by_people=_sum(counts, "by_people"),
            rejected=sum(since <= p.moved_at < until for p in rejected),
            verified=_sum(counts, "verified"),
            rolled_back=_sum(counts, "rolled_back"),
            prevented_errors=round(errors.repeats),
            minutes_saved=errors.minutes if errors.failing is not None else None,
            minutes_how=(
                f"{errors.calls:,} calls that are known to fail were not made; "
                f"{errors.failing:.0%} of {errors.controls:,} that were made all the same failed."
                if errors.failing is not None
                else ""
            ),
            usd_saved=saved,
            usd_how=how,
            answers=answers.runs,
            cost_usd=answers.cost_usd + learning_usd,
            unpriced=answers.unpriced_runs,
            learning_usd=learning_usd,
            learning_tokens=_sum(counts, "learning_tokens"),
        )

    async def _learner(self, learner: Learner) -> LearnerStatus:
        state = await self._store.learner_state(learner.name)
        return LearnerStatus(
            learner.name,
            learner.about,
            signals=self._signals.gathered(learner.name),
            threshold=learner.threshold,
            next_run=self._next_run(learner.name),
            last_run=state.updated_at or None,
            running=learner.name in self._cycles.running,
        )

    async def _standings(self) -> tuple[AgentStanding, ...]:
        ended = await self._store.proposals({"verified", "rolled_back"}, _MOST)
        agents = [d for d in await self._store.documents("agent") if not variant_of(d.name)]
        return tuple(
            replace(_standing(d.name, self._policy, ended), audience=d.audience) for d in agents
        )

    async def _saved(self, since: float) -> tuple[float | None, str]:
        """What verified changes saved in money, held against what the old version cost."""
        total, found = 0.0, 0
        for proposal in await self._store.proposals({"live", "verified"}, _MOST):
            ratio = await self._cost_ratio(proposal)
            if ratio is None or ratio <= 0.0 or len(proposal.changes) != 1:
                continue
            agent = proposal.changes[0].name
            spent = await self._store.metrics(
                RunQuery(agent=agent, since=max(since, proposal.moved_at))
            )
            total += spent.total.cost_usd * (1.0 / ratio - 1.0)
            found += 1
        if not found:
            return None, ""
        return total, (
            f"Of {found} changes in force: what their answers cost since, beside the cost that the "
            "version before them had in the trial."
        )

    async def _cost_ratio(self, proposal: Proposal) -> float | None:
        for trial in reversed(await self._store.trials_of(proposal.proposal_id)):
            guards: Mapping[str, Mapping[str, float | None]] = trial.figures.get("guardrails", {})
            ratio = guards.get("cost_usd", {}).get("ratio")
            if trial.trial_id != verification_id(proposal.proposal_id) and ratio is not None:
                return ratio
        return None


def _standing(agent: str, policy: Policy, ended: Sequence[Proposal]) -> AgentStanding:
    """An agent's record; `earned` when its last changes all held."""
    mine = [p.state for p in ended if any(agent_of(c.name) == agent for c in p.changes)]
    in_a_row = next((n for n, state in enumerate(mine) if state != "verified"), len(mine))
    mode = policy.mode(agent)
    return AgentStanding(
        agent, mode, mine.count("verified"), mine.count("rolled_back"),
        mode == "ask" and in_a_row >= EARNED,
    )  # fmt: skip


def _sum(counts: Sequence[ImprovementCounts], field: str) -> int:
    return sum(int(getattr(row, field)) for row in counts)
