"""Real processes killed (-9) on both sides of the outbox, on lite: every row exactly once."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.store_writer import FACTS_ROWS, REFUSED, WORKSPACE
from database.outbox_rows import KEYS, OutboxRows
from database.sqlite_file import SqliteFile
from database.store import RECORD
from tests.database.far_record import local_tables
from tests.patience import PATIENCE_S
from tests.supabase_server.server import SupabaseServer

ROOT = Path(__file__).parents[2]
COUNT = 240
CHECK = "alter table runs add constraint not_this check (request <> '" + REFUSED + "')"


class Writer:
    """A process that keeps messages; `until` reads what it says."""

    def __init__(self, home: Path, server: SupabaseServer) -> None:
        self._arguments = [str(home), server.url, server.secret_key]
        self.at = -1

    async def start(self, per_second: int = 200) -> None:
        # It begins with some that are kept already, as an assistant that was killed does.
        first = max(0, self.at - 5)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.store_writer", *self._arguments, str(first),
            str(COUNT - first), str(per_second), cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def until(self, number: int | str) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(2 * PATIENCE_S):
            while line := (await self.process.stdout.readline()).decode().split():
                if line[0].isdigit():
                    self.at = int(line[0])
                if number in (line[0], self.at):
                    return
        raise AssertionError(f"it ended before {number}")

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


def far_keys(server: SupabaseServer, table: str) -> list[tuple[Any, ...]]:
    with server.connect() as connection:
        sql = f"select {', '.join(KEYS[table])} from {table} where workspace = '{WORKSPACE}'"
        return connection.execute(sql.encode()).fetchall()


async def some_arrived(server: SupabaseServer) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(far_keys, server, "runs"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.timeout(300)
async def test_killed_on_both_sides_every_row_arrives_exactly_once(
    supabase: SupabaseServer, tmp_path: Path
) -> None:
    with supabase.connect() as connection:
        connection.execute(CHECK.encode())
    try:
        await tell(supabase, tmp_path)
    finally:
        with supabase.connect() as connection:
            connection.execute(b"alter table runs drop constraint not_this")


async def tell(server: SupabaseServer, home: Path) -> None:
    writer = Writer(home, server)
    server.stop_rest()
    await writer.start()
    await writer.until(80)
    await writer.kill()
    await writer.start(50)
    await writer.until(120)
    await asyncio.to_thread(server.start_rest)
    await some_arrived(server)
    server.stop_rest()
    await writer.until(160)
    await writer.kill()
    await asyncio.to_thread(server.start_rest)
    await writer.start()
    await writer.until("sent")
    assert await writer.process.wait() == 0

    file = SqliteFile(home / RECORD, "record")
    [refused] = OutboxRows(file, WORKSPACE).refused()
    file.close()
    assert refused.table == "runs"
    assert "not_this" in refused.problem
    assert REFUSED not in refused.problem
    here = local_tables(home)
    assert sum(map(len, here.values())) == COUNT * FACTS_ROWS
    for table, rows in here.items():
        there = far_keys(server, table)
        wanted = set(rows) - ({(WORKSPACE, *refused.key)} if table == "runs" else set())
        assert len(there) == len(set(there))
        assert set(there) == wanted
