"""What was decided in a home while Supabase was not configured, when it is configured again.

Where nobody has decided otherwise there meanwhile it is brought along, version by version; else
what is there counts, and the log says what was given up.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import structlog

from database.sqlite_backend import SqliteBackend

_log = structlog.get_logger(__name__)
_POLICY = ("key", "value", "set_by", "set_at")


class Reunion:
    """`call` calls an SQL function of the record; `since` is when this home and the record last
    were alike. Every method may raise StoreError.
    """

    def __init__(
        self, local: SqliteBackend, call: Callable[..., Awaitable[Any]], since: float
    ) -> None:
        self._local = local
        self._call = call
        self._since = since

    async def bring(self) -> None:
        """Documents that both know, and policy."""
        there: dict[tuple[str, str], dict[str, bool]] = {}
        for kind, name, _, version, active, _ in await self._ask("document_index"):
            there.setdefault((kind, name), {})[version] = active
        sql = "SELECT * FROM documents WHERE workspace = ? ORDER BY kind, name, number"
        mine = self._local.file.rows(sql, (self._local.workspace,))
        for key, found in groupby(mine, key=lambda row: (row["kind"], row["name"])):
            if key in there:
                await self._document([dict(row) for row in found], there[key])
        await self._policy()

    async def _document(self, mine: Sequence[Mapping[str, Any]], there: Mapping[str, bool]) -> None:
        new = [row for row in mine if row["version"] not in there and row["body"] is not None]
        active = next((row for row in mine if row["active"]), None)
        base = next((version for version, is_active in there.items() if is_active), None)
        numbers = {row["version"]: row["number"] for row in mine}
        if not new or active is None:
            return
        if base not in numbers or numbers[base] > new[0]["number"]:
            self._given_up(mine[0])
            return
        last = [] if active["version"] == new[-1]["version"] else [active]
        for row in (*new, *last):
            made = {**row, "base": base, "active": True}
            answer = await self._call("activate_document", document=made)
            if "refused" in answer:
                self._given_up(row)
                return
            base = row["version"]

    async def _policy(self) -> None:
        there = await self._ask("policy_rows")
        known = {tuple(row[name] for name in _POLICY) for row in there}
        decided = {row["key"] for row in there if row["set_at"] > self._since}
        sql = "SELECT * FROM policy WHERE workspace = ? AND set_at > ? ORDER BY seq"
        for row in self._local.file.rows(sql, (self._local.workspace, self._since)):
            values = {name: row[name] for name in _POLICY}
            if tuple(values.values()) in known:
                continue
            if row["key"] in decided:
                _log.warning("decided_otherwise_at_supabase", policy=row["key"])
                continue
            sent = {f"p_{name}": value for name, value in values.items()}
            await self._call("add_policy", p_workspace=self._local.workspace, **sent)

    async def _ask(self, function: str) -> Any:
        return await self._call(function, read=True, p_workspace=self._local.workspace)

    def _given_up(self, row: Mapping[str, Any]) -> None:
        _log.warning("decided_otherwise_at_supabase", kind=row["kind"], name=row["name"])
