"""Which variant answers a thread: Thompson sampling over how they did, with a floor of exploration.

Each draws a rate from what is known of it (a Beta distribution) and the highest answers, so that a
variant is asked as often as it is likely to be the best. Thompson, "On the likelihood that one
unknown probability exceeds another in view of the evidence of two samples", Biometrika 25 (1933).
"""

import random
from collections.abc import Mapping, Sequence
from typing import Protocol

from agents.improvement.prompt_optimizer import NAME
from agents.improvement.variant_counts import Record, record_key, records_of
from database.learning import LearnerState

FLOOR = 0.1
"""Share of threads that any of them answers, the same for each: none is ever quite given up, and
what changed is noticed."""

_PRIOR = (1.0, 1.0)


class States(Protocol):
    """What learners remember (database.store)."""

    async def learner_state(self, name: str) -> LearnerState:
        """An empty one where there is none."""


class VariantChoice:
    """Chooses from memory; `refresh` takes over what was counted since."""

    def __init__(self, states: States, rng: random.Random | None = None) -> None:
        self._states = states
        self._rng = rng or random.Random()
        self._records: Mapping[str, Record] = {}

    async def refresh(self) -> None:
        """Read what the prompt optimizer counted."""
        self._records = records_of((await self._states.learner_state(NAME)).state)

    def __call__(self, agent: str, task_type: str, names: Sequence[str]) -> str:
        """One of `names` (documents) for the next thread; for each thread once."""
        if self._rng.random() < FLOOR:
            return self._rng.choice(names)
        return max(names, key=lambda name: self._drawn(task_type, name))

    def _drawn(self, task_type: str, name: str) -> float:
        record = self._records.get(record_key(task_type, name), Record())
        return self._rng.betavariate(_PRIOR[0] + record.up, _PRIOR[1] + record.down)
