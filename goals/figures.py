"""How much there is to do in an engine database, and how many work on it."""

from dataclasses import dataclass

from goals.ledger import Ledger
from goals.sql import Transaction
from goals.workers import DEAD_S


@dataclass(frozen=True, slots=True)
class Load:
    """Goals that have not ended, in all workspaces, and processes that run tasks."""

    under_way: int = 0
    waiting: int = 0
    workers: int = 0


async def load(ledger: Ledger) -> Load:
    """As it is now; nothing where there is no database yet. Raises StoreError."""
    if not ledger.sql.there:
        return Load()

    def read(transaction: Transaction) -> Load:
        states = {row[0]: row[1] for row in transaction.rows(_STATES)}
        row = transaction.row(_WORKERS, since=transaction.now() - DEAD_S)
        return Load(states.get("running", 0), states.get("waiting", 0), row[0] if row else 0)

    return await ledger.sql.do(read)


_STATES = "SELECT state, count(*) FROM goals GROUP BY state"
_WORKERS = "SELECT count(*) FROM workers WHERE seen_at > :since"
