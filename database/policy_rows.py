"""The rows of what approvers decided: appended, never changed; the latest of a key counts."""

import time

from database.backend import Backend
from database.learning import Decision
from database.records import PolicyChange, Spent
from database.rows import policy_change_from


class PolicyRows:
    """The policy of one workspace in the record. Every method raises StoreError."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._file = backend.local.file
        self._workspace = backend.local.workspace

    def latest(self) -> list[PolicyChange]:
        """The newest row of each key, by key."""
        sql = """SELECT key, value, set_by, max(seq), set_at FROM policy
            WHERE workspace = ? GROUP BY key ORDER BY key"""
        return self._read(sql)

    def history(self) -> list[PolicyChange]:
        """Every row, oldest first."""
        return self._read("SELECT * FROM policy WHERE workspace = ? ORDER BY seq")

    async def add(self, key: str, value: str | None, set_by: str) -> PolicyChange:
        """Append a row; it counts from now on. Raises RecordAway where Supabase is away."""
        made = PolicyChange(key, value, set_by, time.time())
        await self._backend.learning.decide(Decision(policy=(made,), author=set_by))
        return made

    def changes(self) -> int:
        """A number that grows with every row (about 5 microseconds)."""
        found = self._file.row(
            "SELECT max(seq) AS last FROM policy WHERE workspace = ?", (self._workspace,)
        )
        return (found["last"] if found else None) or 0

    async def spent(self, since: float) -> list[Spent]:
        """What runs of any kind took since a moment, by person, channel, agent and workflow."""
        sql = """SELECT user_id, channel_id, agent,
                CASE WHEN route IS NULL THEN '' ELSE
                    coalesce(json_extract(route, '$.workflow'), '') END AS workflow,
                sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)) AS tokens,
                sum(coalesce(cost_usd, 0.0)) AS usd
            FROM runs WHERE workspace = ? AND day >= ? AND started_at >= ?
            GROUP BY user_id, channel_id, agent, workflow"""
        values = (self._workspace, int(since // 86_400), since)
        rows = await self._file.aside(lambda connection: connection.execute(sql, values).fetchall())
        return [
            Spent(
                row["user_id"] or "",
                row["channel_id"] or "",
                row["tokens"],
                row["usd"],
                row["agent"],
                str(row["workflow"]),
            )
            for row in rows
        ]

    def _read(self, sql: str) -> list[PolicyChange]:
        return [policy_change_from(row) for row in self._file.rows(sql, (self._workspace,))]
