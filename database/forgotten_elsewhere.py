"""Forgetting with several homes: who was forgotten through one of them is forgotten in all.

The record keeps a salted digest of whoever was forgotten, and no name. A home compares it with the
ids that it finds in its own rows, and forgets whom it knows, before it brings anything along.
"""

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from database import forgetting
from database.forgetting import FORGET_RULES, LEARNED, THEIRS, ForgetRule, Forgotten
from database.outbox_rows import OutboxRows
from database.records import ForgetReport
from database.sqlite_backend import SqliteBackend
from database.sqlite_file import wipe

Ask = Callable[..., Awaitable[Any]]
"""Calls an SQL function of the record for this workspace."""

_SLACK_ID = re.compile(r"[UW][A-Z0-9]+(?![A-Za-z0-9])")
"""May find more than ids, which does no harm: looking before them takes four times as long."""
_NAMING = (
    ForgetRule.PERSON, ForgetRule.WORDS, ForgetRule.LABEL, ForgetRule.WORK, ForgetRule.LEARNED,
    ForgetRule.NAME, ForgetRule.ROW,
)  # fmt: skip
_IDS = ("user_id", "author", "set_by", "decided_by")
"""Columns that hold an id and nothing else, also one that is not Slack's."""


class ForgottenElsewhere:
    """One workspace's home; every method may raise StoreError."""

    def __init__(self, local: SqliteBackend, ask: Ask, outbox: OutboxRows) -> None:
        self._local = local
        self._ask = ask
        self._outbox = outbox
        self._followers: list[Callable[[str], Awaitable[object]]] = []
        self._taken: list[str] = []
        self._named: set[str] = set()

    async def follow(self, follower: Callable[[str], Awaitable[object]]) -> None:
        """Let a follower know of everybody whom `take` forgets, and has forgotten already."""
        self._followers.append(follower)
        for user_id in self._taken:
            await follower(user_id)

    async def take(self) -> bool:
        """Forget here whom somebody has forgotten through another home; whether there was one."""
        notes = await self.unknown()
        if not notes:
            return False
        workspace = self._local.workspace
        here = await self._local.file.aside(lambda c: people_named(c, workspace))
        for user_id in sorted(here):
            if theirs := [note for note in notes if note.is_of(user_id)]:
                await self.forget_here(user_id, theirs)
                self._taken.append(user_id)
                for follower in self._followers:
                    await follower(user_id)
        self._note(notes)
        return True

    async def unknown(self) -> list[Forgotten]:
        """What the record has noted and this home has not."""
        known = {note.salt for note in self._notes()}
        rows = await self._ask("forgotten_rows")
        return [note for note in map(_read, rows) if note.salt not in known]

    async def forget_here(self, user_id: str, notes: Sequence[Forgotten]) -> ForgetReport:
        """Forget somebody in this home, as the record has noted."""
        file, workspace = self._local.file, self._local.workspace
        report = await asyncio.to_thread(forgetting.forget, file, workspace, user_id, notes)
        self._named.add(user_id)
        return report

    async def bring(self, since: float) -> None:
        """Have the record forget whom this home has forgotten since it was last connected."""
        there = {row["salt"] for row in await self._ask("forgotten_rows")}
        mine = [n for n in self._notes() if n.at > since and n.salt.hex() not in there]
        if not mine:
            return
        sent = [_written(note) for note in mine]
        self._note([_read(row) for row in await self._ask("adopt_forgotten", forgotten=sent)])

    async def wipe_when_sent(self) -> None:
        """Leave no byte of their ids, once no key on its way to the record has them any more."""
        sql = "SELECT 1 FROM outbox WHERE workspace = ? AND instr(key, ?) LIMIT 1"
        place = self._local.workspace
        if self._named and not any(
            self._local.file.row(sql, (place, user_id)) for user_id in self._named
        ):
            self._named.clear()
            await asyncio.to_thread(self._local.file.on_own_connection, wipe)

    def _notes(self) -> list[Forgotten]:
        sql = "SELECT salt, digest, forgotten_at FROM forgotten WHERE workspace = ?"
        found = self._local.file.rows(sql, (self._local.workspace,))
        return [Forgotten(*row) for row in found]

    def _note(self, notes: Sequence[Forgotten]) -> None:
        with self._local.file.transaction() as connection:
            forgetting.note_forgotten(connection, self._local.workspace, notes)


def people_named(connection: sqlite3.Connection, workspace: str) -> set[str]:
    """The ids of all who are named in any row that forgetting would change. Takes seconds."""
    found: set[str] = set()
    for table in (*THEIRS, *LEARNED):
        for column, rule in FORGET_RULES[table].items():
            if rule in _NAMING:
                found |= _named_in(connection, workspace, table, column)
    return found


def _named_in(connection: sqlite3.Connection, workspace: str, table: str, column: str) -> set[str]:
    # Texts are not sorted out by SQLite: it would hold all of them in memory.
    which = f"DISTINCT {column}" if column in _IDS else column
    sql = f"SELECT {which} FROM {table} WHERE workspace = ? AND {column} <> ''"
    found: set[str] = set()
    for (text,) in connection.execute(sql, (workspace,)):
        if column in _IDS:
            found.add(text)
        elif isinstance(text, str):
            found.update(_SLACK_ID.findall(text))
    return found


def _read(row: Mapping[str, Any]) -> Forgotten:
    return Forgotten(
        bytes.fromhex(row["salt"]), bytes.fromhex(row["digest"]), float(row["forgotten_at"])
    )


def _written(note: Forgotten) -> dict[str, Any]:
    return {"salt": note.salt.hex(), "digest": note.digest.hex(), "forgotten_at": note.at}
