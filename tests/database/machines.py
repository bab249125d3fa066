"""Machines whose record is at Supabase, each with a home of its own, and what is in both places."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg.rows import dict_row

from database import local_copy
from database.learning_rows import DECIDED
from database.outbox_rows import KEYS
from database.store import Store
from database.supabase_client import BOOLEANS, SupabaseClient
from tests.patience import PATIENCE_S
from tests.supabase_server.server import SupabaseServer

Machine = Callable[[str], Awaitable[Store]]


@pytest.fixture
async def machine(
    supabase: SupabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Machine]:
    """Opens the store of a machine, by name; each has its own home folder."""
    monkeypatch.setattr(local_copy, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(local_copy, "LONGEST_PAUSE_SECONDS", 0.1)
    opened: list[tuple[Store, SupabaseClient]] = []

    async def machine(name: str) -> Store:
        client = SupabaseClient(supabase.url, supabase.secret_key)
        store = Store.open(tmp_path / name, "T1", client)
        opened.append((store, client))
        await store.start()
        return store

    yield machine
    for store, client in opened:
        await store.close()
        await client.close()


async def eventually(found: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await found():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def there(server: SupabaseServer, table: str) -> list[dict[str, Any]]:
    """The rows at Supabase, as the local record has them."""
    with server.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(f"select * from public.{table}".encode()).fetchall()
    for row in found:
        row.pop("seq", None)
        if "centroid" in row:
            row["centroid"] = base64.b64decode(row["centroid"])
    return in_order(found)


def here(store: Store, table: str) -> list[dict[str, Any]]:
    found = [dict(row) for row in store._local.file.rows(f"SELECT * FROM {table}")]
    for row in found:
        row.pop("seq", None)
        for column in BOOLEANS.get(table, ()):
            row[column] = None if row[column] is None else bool(row[column])
    return in_order(found)


def in_order(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda row: repr(sorted(row.items())))


TABLES = (*KEYS, *DECIDED, "documents", "policy")
DERIVED = ("day_counts", "changed_days")


async def all_the_same(store: Store, server: SupabaseServer) -> bool:
    return all(here(store, table) == there(server, table) for table in TABLES)
