"""What a provider takes in a minute, shared by all processes that call it: kept in the ledger."""

from goals.ledger import Ledger
from goals.sql import Transaction

_LONGEST_S = 600.0
"""Nobody is sent away for longer; what a provider says beyond that is no rate but an outage."""


_SOONEST_S = 0.05
_ROUNDING = 1e-6


class Rates:
    """Token buckets by name, such as a provider's. Every method may raise StoreError."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def turn(self, name: str, per_minute: float, burst: int = 1) -> float:
        """Take one's turn: seconds until it comes, 0 for at once.

        Turns are given in the order in which they are asked for, over all processes, so that
        whoever waits so long and then calls keeps to `per_minute`. After a pause up to `burst` may
        go at once.
        """
        a_second = per_minute / 60.0

        def take(transaction: Transaction) -> float:
            now = transaction.now()
            level, seen_at = self._bucket(transaction, name, float(burst), now)
            level = min(float(burst), level + max(0.0, now - seen_at) * a_second) - 1.0
            # A clock that went back, or a pause, lies ahead: the level is as of then.
            transaction.change(_KEEP, name=name, level=level, now=max(now, seen_at))
            return max(0.0, seen_at - now) + max(0.0, -level / a_second)

        return min(_LONGEST_S, await self._ledger.sql.do(take))

    async def spare(self, name: str, per_minute: float, burst: int = 1, keep: int = 0) -> float:
        """A turn, where one is free and `keep` are left besides: 0; else when to ask again.

        Whoever asks so takes no place among those who wait: those of `turn` go first.
        """
        a_second = per_minute / 60.0

        def take(transaction: Transaction) -> float:
            now = transaction.now()
            level, seen_at = self._bucket(transaction, name, float(burst), now)
            level = min(float(burst), level + max(0.0, now - seen_at) * a_second) - 1.0 - keep
            if level < -_ROUNDING or seen_at > now:
                return max(_SOONEST_S, seen_at - now, -level / a_second)
            transaction.change(_KEEP, name=name, level=level + keep, now=now)
            return 0.0

        return min(_LONGEST_S, await self._ledger.sql.do(take))

    async def pause(self, name: str, seconds: float) -> None:
        """Nobody's turn comes for so long, in any process: the provider has asked for that."""

        def hold(transaction: Transaction) -> None:
            now = transaction.now()
            _, seen_at = self._bucket(transaction, name, 0.0, now)
            until = max(seen_at, now + min(seconds, _LONGEST_S))
            transaction.change(_KEEP, name=name, level=0.0, now=until)

        await self._ledger.sql.do(hold)

    def _bucket(
        self, transaction: Transaction, name: str, full: float, now: float
    ) -> tuple[float, float]:
        """How full it was when, locked; a new one is full."""
        transaction.change(_MAKE, name=name, level=full, now=now)
        row = transaction.row(_READ + (" FOR UPDATE" if transaction.postgres else ""), name=name)
        assert row is not None
        return row.level, row.seen_at


_MAKE = """INSERT INTO buckets (name, level, seen_at) VALUES (:name, :level, :now)
    ON CONFLICT DO NOTHING"""
_READ = "SELECT level, seen_at FROM buckets WHERE name = :name"
_KEEP = "UPDATE buckets SET level = :level, seen_at = :now WHERE name = :name"
