"""From whom and where is learned: each person decides in App Home, approvers for each channel.

Every learner asks here, or leaves out what the record leaves out of `agent_record`.
"""

from typing import Protocol

from database.records import LEARNING, Person
from database.store import Store


class LearningPolicy(Protocol):
    """What approvers decided (orchestrator.policy)."""

    def learns(self, channel_id: str) -> bool:
        """Whether anything is learned from what is said there."""

    def unlearned(self) -> frozenset[str]:
        """The decisions against it, by key."""


class Consent:
    """Costs the read of one row."""

    def __init__(self, store: Store, policy: LearningPolicy) -> None:
        self._store = store
        self._policy = policy
        self._seen = policy.unlearned()

    async def given(self, user_id: str | None, channel_id: str | None) -> bool:
        """Whether what this person says or does there may be learned from."""
        return self.allows(await self._store.person(user_id) if user_id else None, channel_id)

    def allows(self, person: Person | None, channel_id: str | None) -> bool:
        """The same, of a person who was read already."""
        declined = person is not None and person.settings.get(LEARNING) == "no"
        return not declined and self._policy.learns(channel_id or "")

    def changed(self) -> bool:
        """Whether approvers decided anew since the last time this was asked."""
        before, self._seen = self._seen, self._policy.unlearned()
        return before != self._seen
