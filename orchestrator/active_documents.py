"""What answers now, read again only where something has changed."""

from database.store import Store
from orchestrator.learning_cycle import KINDS
from orchestrator.proposal_rules import Active, by_name


class ActiveDocuments:
    """The active version of every document that can improve, by kind and name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: Active = {}
        self._at = -1

    async def __call__(self) -> Active:
        """As they are now, whichever process changed them."""
        changes = self._store.documents_changed()
        if changes != self._at:
            documents = [d for kind in KINDS for d in await self._store.documents(kind)]
            self._known, self._at = by_name(documents), changes
        return self._known
