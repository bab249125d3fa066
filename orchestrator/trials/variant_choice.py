"""Which variant answers a thread: Thompson sampling over how they did, with a floor of exploration.

Each draws a rate from what is known of it (a Beta distribution) and the highest answers, so that a
variant is asked as often as it is likely to be the best. Thompson, "On the likelihood that one
unknown probability exceeds another in view of the evidence of two samples", Biometrika 25 (1933).
What is known is what people said of answers, and at first what the trial showed that a variant was
promoted by.
"""

import random
from collections.abc import Collection, Sequence
from typing import Protocol

from agents.improvement.prompt_optimizer import NAME
from agents.improvement.variant_counts import Record, record_key, records_of
from agents.variants import variant_of
from database.learning import LearnerState, Proposal, ProposalState, Trial
from orchestrator.verifying import verification_id

FLOOR = 0.06
"""Share of threads that any of them answers, the same for each: none is ever quite given up, and
what changed is noticed."""

TRIAL_WEIGHT = 40.0
"""A trial's requests count at most so many answers: then people's word outweighs it in time."""

_PRIOR = (1.0, 1.0)


class Rows(Protocol):
    """What the record knows (database.store)."""

    async def learner_state(self, name: str) -> LearnerState:
        """An empty one where there is none."""

    async def proposals(self, states: Collection[ProposalState] | None = None) -> list[Proposal]:
        """Newest first."""

    async def trials_of(self, proposal_id: str) -> list[Trial]:
        """All trials of a proposal."""


class VariantChoice:
    """Chooses from memory; `refresh` takes over what was counted since."""

    def __init__(self, rows: Rows, rng: random.Random | None = None) -> None:
        self._rows = rows
        self._rng = rng or random.Random()
        self._records: dict[str, Record] = {}

    async def refresh(self) -> None:
        """Read what the prompt optimizer counted, and what trials showed."""
        records = records_of((await self._rows.learner_state(NAME)).state)
        seen: set[str] = set()
        for proposal in await self._rows.proposals({"live", "verified"}):
            for change in proposal.changes:
                variant = variant_of(change.name) if change.kind == "agent" else None
                if variant is None or change.body is None or change.name in seen:
                    continue
                seen.add(change.name)
                trial = _shown(proposal, await self._rows.trials_of(proposal.proposal_id))
                if trial is not None:
                    _add(records, variant.task_type, change.name, trial, "rate_candidate")
                    _add(records, variant.task_type, trial.agent, trial, "rate_active")
        self._records = records

    def __call__(self, agent: str, task_type: str, names: Sequence[str]) -> str:
        """One of `names` (documents) for the next thread; for each thread once."""
        if self._rng.random() < FLOOR:
            return self._rng.choice(names)
        return max(names, key=lambda name: self._drawn(task_type, name))

    def _drawn(self, task_type: str, name: str) -> float:
        record = self._records.get(record_key(task_type, name), Record())
        return self._rng.betavariate(_PRIOR[0] + record.up, _PRIOR[1] + record.down)


def _shown(proposal: Proposal, trials: Sequence[Trial]) -> Trial | None:
    """The trial that proved a proposal, if one did."""
    watch = verification_id(proposal.proposal_id)
    proven = [t for t in trials if t.state == "proven" and t.trial_id != watch]
    return max(proven, key=lambda trial: trial.started_at, default=None)


def _add(
    records: dict[str, Record], task_type: str, document: str, trial: Trial, rate: str
) -> None:
    share = trial.figures.get(rate)
    requests = sum(trial.figures.get(key, 0) for key in ("better", "worse", "same"))
    if share is None:
        return
    weight = min(TRIAL_WEIGHT, float(requests))
    record = records.setdefault(record_key(task_type, document), Record())
    record.up += weight * float(share)
    record.down += weight * (1.0 - float(share))
