"""How learning stands and what it did, from the records, for Slack and the command line."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.improvement import cost_optimizer
from agents.improvement.agent_performance_analyst import NAME as PERFORMANCE
from agents.improvement.agent_performance_analyst import standings as healths_in
from agents.improvement.cost_optimizer import NAME as COST_OPTIMIZER
from agents.improvement.cost_optimizer import spent_in, variants_cost
from agents.improvement.error_recovery import NAME as ERROR_RECOVERY
from agents.improvement.error_recovery import prevented
from agents.improvement.health import Health
from agents.improvement.learner import Learner
from agents.improvement.spending import Spent, week_of
from agents.variants import agent_of, variant_of
from database.learning import ImprovementCounts, Proposal
from database.records import MetricsRow, RunQuery, one_person
from database.store import Store
from orchestrator.budgets import LearningBudget
from orchestrator.learning_cycle import Cycles
from orchestrator.learning_status import (
    AgentStanding,
    Contested,
    LearnerStatus,
    LearningFigures,
    LearningStatus,
    SpentOn,
)
from orchestrator.learning_windows import trouble_in
from orchestrator.policy import Improving, Policy
from orchestrator.signals import Signals
from orchestrator.trials.exam import PARTS
from orchestrator.trials.exam_rules import READ_AT_ONCE, contested
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
        self.trouble = ""
        """Why learning has not begun in this process, in a sentence or two."""

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
            because=because or self.trouble or spending.problem,
            learners=tuple([await self._learner(one) for one in self._cycles.learners.values()]),
            agents=await self._standings(),
            contested=await self._contested(),
            tokens_today=spending.tokens_today,
            tokens_allowed=spending.tokens_allowed,
            usd_week=spending.usd_week,
            usd_allowed=spending.usd_allowed,
        )

    async def figures(self, since: float, until: float) -> LearningFigures:
        """What learning did between two times (in whole days, UTC), and what it cost."""
        counts = await self._store.improvement_counts(since, until)
        patterns = await self._store.findings(since, limit=_MOST)
        metrics = await self._store.metrics(RunQuery(since=since, until=until))
        answers = metrics.total
        rejected = await self._store.proposals({"rejected"}, _MOST)
        errors = prevented((await self._store.learner_state(ERROR_RECOVERY)).state, since, until)
        cost = (await self._store.learner_state(COST_OPTIMIZER)).state
        saved, how = await self._saved(since, until, cost)
        could_save = cost_optimizer.could_save(cost)
        week = week_of(min(until, self._clock()))
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
                f"{errors.failing:.0%} of all {errors.controls:,} that were made all the same "
                "so far failed."
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
            by_agent=await self._by_agent(metrics.by_agent),
            week=week,
            by_workflow=await self._by_workflow(spent_in(cost).of(week, "workflow")),
            by_person=tuple(
                _spent(user, spent, one_person(user))
                for user, spent in spent_in(cost).of(week, "person").items()
            ),
            could_save_usd=could_save[0],
            could_save_minutes=could_save[1],
            could_save_how=could_save[2],
        )

    async def _by_agent(self, rows: Sequence[MetricsRow]) -> tuple[SpentOn, ...]:
        audiences = {d.name: d.audience for d in await self._store.documents("agent")}
        found = [
            SpentOn(
                row.label, row.cost_usd, row.input_tokens + row.output_tokens, row.runs,
                row.unpriced_runs, audiences.get(row.label, ""),
            )
            for row in rows
        ]  # fmt: skip
        return tuple(sorted(found, key=lambda one: (-one.usd, -one.tokens, one.name)))

    async def _by_workflow(self, spent: Mapping[str, Spent]) -> tuple[SpentOn, ...]:
        """By the name that its readers use; what several places call the same is nobody's."""
        audiences: dict[str, set[str]] = {}
        for document in await self._store.documents("runbook"):
            slug = document.name.partition("@")[0]
            audiences.setdefault(slug, set()).add(document.audience)
        whose = {slug: found.pop() for slug, found in audiences.items() if len(found) == 1}
        return tuple(_spent(name, one, whose.get(name, "")) for name, one in spent.items())

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
            problem=trouble_in(state.state).says,
        )

    async def _standings(self) -> tuple[AgentStanding, ...]:
        ended = await self._store.proposals({"verified", "rolled_back"}, _MOST)
        agents = [d for d in await self._store.documents("agent") if not variant_of(d.name)]
        healths = healths_in((await self._store.learner_state(PERFORMANCE)).state)
        return tuple(
            replace(
                _standing(d.name, self._policy, ended), audience=d.audience,
                **_health(healths.get(d.name)),
            )
            for d in agents
        )  # fmt: skip

    async def _contested(self) -> tuple[Contested, ...]:
        parts = [self._store.exam(part, limit=READ_AT_ONCE) for part in PARTS]
        told = [question for found in await asyncio.gather(*parts) for question in found]
        return tuple(Contested(one.request, one.audience) for one in contested(told))

    async def _saved(
        self, since: float, until: float, cost: Mapping[str, Any]
    ) -> tuple[float | None, str]:
        """What changes of agents in force saved in money, beside what the old version cost."""
        total, found = 0.0, 0
        for proposal in await self._store.proposals({"live", "verified"}, _MOST):
            agents = [change.name for change in proposal.changes if change.kind == "agent"]
            began = max(since, proposal.moved_at)
            ratio = await self._cost_ratio(proposal)
            if len(agents) != 1 or began >= until or ratio is None or ratio <= 0.0:
                continue
            spent = await self._spent_by(agents[0], began, until, cost)
            total += spent * (1.0 / ratio - 1.0)
            found += 1
        if not found:
            return None, ""
        return total, (
            f"Of {found} changes in force: what their answers cost in that time, beside the cost "
            "that the version before them had in the trial."
        )

    async def _spent_by(
        self, name: str, since: float, until: float, cost: Mapping[str, Any]
    ) -> float:
        """What the answers of an agent itself, or of one variant of it, cost."""
        of_variants = variants_cost(cost, since, until)
        if variant_of(name):
            return of_variants[name].usd if name in of_variants else 0.0
        query = RunQuery(agent=name, since=since, until=until)
        beside = sum(one.usd for of, one in of_variants.items() if agent_of(of) == name)
        return max(0.0, (await self._store.metrics(query)).total.cost_usd - beside)

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


def _health(found: Health | None) -> dict[str, Any]:
    return {"health": found.score, "parts": found.parts} if found else {}


def _spent(name: str, spent: Spent, audience: str) -> SpentOn:
    return SpentOn(name, spent.usd, spent.tokens, spent.runs, spent.unpriced, audience)


def _sum(counts: Sequence[ImprovementCounts], field: str) -> int:
    return sum(int(getattr(row, field)) for row in counts)
