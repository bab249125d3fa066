"""A record in memory where Supabase would be, with all the ways in which a network can fail."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from database.errors import RecordAway, RecordRefused
from database.outbox_rows import KEYS, Key
from database.store import RECORD

POISON = "poison"
"""What the record refuses, wherever a row has it."""

Tables = dict[str, dict[Key, dict[str, Any]]]


class FarRecord:
    """Answers as `trouble` says: None does as asked.

    "away": nothing arrives. "unheard": it is done and nobody hears so. "late": it is done when
    `arrive` is called, though the sender was told that nobody answered. "hangs": it never ends.
    """

    def __init__(self) -> None:
        self.tables: Tables = {table: {} for table in KEYS}
        self.trouble: str | None = None
        self.poisonous = True
        self.requests: list[tuple[str, int]] = []
        self.on_the_way: list[Callable[[], None]] = []
        self.when_asked: Callable[[], None] = lambda: None
        self.asked = asyncio.Event()

    async def upsert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Refuses all for one poisonous row, and two rows of one key as Postgres does."""
        keys = [tuple(row[name] for name in KEYS[table]) for row in rows]
        assert len(set(keys)) == len(keys)
        if self.poisonous and any(POISON in str(row.values()) for row in rows):
            self.requests.append((table, len(rows)))
            raise RecordRefused("It violates a check (23514).", "23514")
        await self._do(table, len(rows), lambda: self._put(table, keys, rows))

    async def delete(self, table: str, keys: Sequence[Key]) -> None:
        """Deletes what is there."""
        await self._do(table, len(keys), lambda: self._drop(table, keys))

    def arrive(self) -> None:
        """What was late is done, over whatever came since."""
        for do in self.on_the_way:
            do()
        self.on_the_way.clear()

    async def _do(self, table: str, count: int, do: Callable[[], None]) -> None:
        self.when_asked()
        self.requests.append((table, count))
        self.asked.set()
        await asyncio.sleep(0)
        match self.trouble:
            case None:
                do()
            case "hangs":
                await asyncio.Event().wait()
            case "late":
                self.on_the_way.append(do)
            case "unheard":
                do()
        if self.trouble is not None:
            raise RecordAway("Supabase did not answer. It is tried again.")

    def _put(self, table: str, keys: Sequence[Key], rows: Sequence[Mapping[str, Any]]) -> None:
        for key, row in zip(keys, rows, strict=True):
            self.tables[table][key] = dict(row)

    def _drop(self, table: str, keys: Sequence[Key]) -> None:
        for key in keys:
            self.tables[table].pop(key, None)


def local_tables(home: Path) -> Tables:
    """What the local record holds, as the far one should."""
    found: Tables = {}
    with contextlib.closing(sqlite3.connect(home / RECORD)) as connection:
        connection.row_factory = sqlite3.Row
        for table, names in KEYS.items():
            rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
            for row in rows:
                row.pop("seq", None)
            found[table] = {tuple(row[name] for name in names): row for row in rows}
    return found
