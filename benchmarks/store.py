"""What keeping a message costs, what the outbox brings, and what figures of a million runs take.

`python -m benchmarks.store [--quick] [--json]`

The record at Supabase is the lite server over PostgreSQL, on this machine: what is said of it is
said of "lite". A message is kept as a run with two steps and two messages, five rows.

- append: `Store.append` at 100 messages a second, as fast as any workspace talks; without Supabase,
  with it and the outbox sending all the time, and while it is away. Beside it the same five rows in
  one transaction of bare sqlite3 (WAL, NORMAL), at the same rate in the same minute.
- away: lite is killed before the first message, there for a moment in the middle and killed again;
  the writer is killed (-9) twice. Every row must be there exactly once, but for one that a check
  at the record refuses.
- flush: rows a second from the queue to the record; beside it supabase-py's own upserts of 500.
- replies: from a person's question to the finished answer, through the whole program, while the
  record answers and while it is away (see store_replies).
- figures: `Store.metrics` of the last 30 days and of all time over a million runs in both records.
"""

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import command, store_replies
from benchmarks.store_writer import FACTS_ROWS, REFUSED, WORKSPACE, facts_of, sent
from database import rows, supabase_schema
from database.outbox_rows import KEYS, OutboxRows
from database.records import Message, Run, RunQuery
from database.sqlite_backend import tidy_up
from database.sqlite_file import SqliteFile
from database.store import RECORD, Store
from database.supabase_client import SupabaseClient
from tests.supabase_server.server import SupabaseServer

ROOT = Path(__file__).resolve().parent.parent
PER_SECOND = 100
DAY = 86_400
_CHECK = f"alter table runs add constraint not_this check (request <> '{REFUSED}')"


@dataclass(frozen=True, slots=True)
class Report:
    """Milliseconds but for rows and rates; "lite" is the record at Supabase's lite server."""

    append_p50_ms: float
    append_p99_ms: float
    append_p999_ms: float
    append_sqlite_only_p99_ms: float
    append_away_p99_ms: float
    append_bare_sqlite_p50_ms: float
    append_bare_sqlite_p99_ms: float
    messages: int
    rows_expected: int
    rows_there: int
    rows_twice: int
    rows_refused: int
    replies: int
    reply_p50_ms_with: float
    reply_p99_ms_with: float
    reply_p50_ms_without: float
    reply_p99_ms_without: float
    reply_rows_expected: int
    reply_rows_there: int
    reply_rows_twice: int
    flush_rows_per_second: float
    bare_supabase_rows_per_second: float
    metrics_p95_ms: float
    metrics_30_days_p95_ms: float
    metrics_lite_p95_ms: float
    metrics_lite_30_days_p95_ms: float
    runs: int


class Writer:
    """The process that keeps messages, with the times it says."""

    def __init__(self, home: Path, server: SupabaseServer | None) -> None:
        self._where = ["-", "-"] if server is None else [server.url, server.secret_key]
        self._home = home
        self.took_ms: list[float] = []
        self.at = -1

    async def start(self, count: int) -> None:
        """Go on, with five that are kept already: a killed assistant does."""
        first = max(0, self.at - 5)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.store_writer", str(self._home), *self._where,
            str(first), str(count - first), str(PER_SECOND), cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def until(self, number: int | None = None) -> None:
        """Read until this message is kept, or until all is sent."""
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode().split():
            if line[0] == "sent":
                return
            self.at = int(line[0])
            self.took_ms.append(float(line[1]))
            if self.at == number:
                return
        raise RuntimeError("The writer ended early.")

    async def kill(self) -> None:
        """-9."""
        self._process.kill()
        await self._process.wait()

    async def end(self) -> None:
        """It closes its store."""
        await self._process.wait()


async def appended(home: Path, server: SupabaseServer | None, count: int) -> list[float]:
    """Times of a writer that is left in peace."""
    writer = Writer(home, server)
    await writer.start(count)
    await writer.until()
    await writer.end()
    return writer.took_ms


def bare_sqlite(folder: Path, count: int) -> list[float]:
    """The same rows in one transaction of sqlite3 each, at the same rate."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    for table, columns in (("runs", rows.RUN), ("steps", rows.STEP), ("messages", rows.MESSAGE)):
        connection.execute(f"CREATE TABLE {table} ({columns})")
    took, begin = [], time.monotonic()
    for number in range(count):
        values = [(table, row) for table, row in rows_of(number)]
        started = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        for table, row in values:
            places = ", ".join("?" for _ in row)
            connection.execute(f"INSERT INTO {table} VALUES ({places})", row)
        connection.execute("COMMIT")
        took.append((time.perf_counter() - started) * 1000)
        time.sleep(max(0.0, begin + (number + 1) / PER_SECOND - time.monotonic()))
    connection.close()
    return took


def rows_of(number: int) -> list[tuple[str, rows.Values]]:
    """The rows of one message."""
    found: list[tuple[str, rows.Values]] = []
    for fact in facts_of(number):
        if isinstance(fact, Run):
            found.append(("runs", rows.run_values(WORKSPACE, fact)))
            for step in fact.steps:
                found.append(("steps", rows.step_values(WORKSPACE, fact.run_id, step)))
        elif isinstance(fact, Message):
            found.append(("messages", rows.message_values(WORKSPACE, fact)))
    return found


async def away(home: Path, server: SupabaseServer, count: int) -> tuple[list[float], int]:
    """The story of the module's docstring: times of keeping, and how many rows were refused."""
    writer = Writer(home, server)
    server.stop_rest()
    await writer.start(count)
    await writer.until(count // 3)
    await writer.kill()
    await writer.start(count)
    await writer.until(count // 2)
    await asyncio.to_thread(server.start_rest)
    await writer.until(count // 2 + 2 * PER_SECOND)
    server.stop_rest()
    await writer.until(count * 3 // 4)
    await writer.kill()
    await writer.start(count)
    await writer.until(count - 1)
    await asyncio.to_thread(server.start_rest)
    await writer.until()
    await writer.end()
    file = SqliteFile(home / RECORD, "record")
    refused = len(OutboxRows(file, WORKSPACE).refused())
    file.close()
    return writer.took_ms, refused


def there(server: SupabaseServer) -> tuple[int, int]:
    """Rows at the record, and how many of them are there twice."""
    total = different = 0
    with server.connect() as connection:
        for table, key in KEYS.items():
            sql = f"select count(*), count(distinct ({', '.join(key)})) from {table}"
            [(count, distinct)] = connection.execute(sql.encode()).fetchall()
            total, different = total + count, different + distinct
    return total, total - different


def empty(server: SupabaseServer) -> None:
    """No rows at the record."""
    with server.connect() as connection:
        connection.execute(f"truncate {', '.join(KEYS)}".encode())


async def flushed(home: Path, server: SupabaseServer, messages: int) -> float:
    """Rows a second from a queue of this many messages' rows to the record."""
    store = Store.open(home, WORKSPACE)
    OutboxRows(store._local.file, WORKSPACE).switch_on()
    with store._local.file.transaction() as connection:
        connection.execute("UPDATE outbox_on SET backfill = NULL")
    for first in range(0, messages, 100):
        store.append_all(fact for n in range(first, first + 100) for fact in facts_of(n))
    await store.close()
    async with supabase_store(home, server) as store:
        began = time.perf_counter()
        await store.start()
        await sent(store)
        return messages * FACTS_ROWS / (time.perf_counter() - began)


async def bare_supabase(server: SupabaseServer, messages: int) -> float:
    """The same rows by supabase-py's own upsert, 500 at a time, table by table."""
    client = SupabaseClient(server.url, server.secret_key)._client
    columns = {"runs": rows.RUN, "steps": rows.STEP, "messages": rows.MESSAGE}
    made: dict[str, list[dict[str, object]]] = {table: [] for table in columns}
    for number in range(messages):
        for table, values in rows_of(number):
            row = dict(zip(columns[table].split(", "), values, strict=True))
            for name in ("outcome_success", "ok"):
                if row.get(name) is not None:
                    row[name] = bool(row[name])
            made[table].append(row)
    began = time.perf_counter()
    for table, found in made.items():
        for first in range(0, len(found), 500):
            batch = found[first : first + 500]
            await client.table(table).upsert(batch, on_conflict=",".join(KEYS[table])).execute()
    return messages * FACTS_ROWS / (time.perf_counter() - began)


@contextlib.asynccontextmanager
async def supabase_store(home: Path, server: SupabaseServer) -> AsyncIterator[Store]:
    """A store with its record at the server."""
    client = SupabaseClient(server.url, server.secret_key)
    store = Store.open(home, WORKSPACE, client)
    try:
        yield store
    finally:
        await store.close()
        await client.close()


_MADE = """
    SELECT {prefix} '{workspace}', 'r' || n, 'reply', 'public', 'agent' || (n % 8), 'fast',
        'U' || (n % 40), 'C' || (n % 12), 'what about ' || n, 'that ' || n,
        {now} - n * 7.776, 300.0 + n % 4000, 500 + n % 900, 50 + n % 300, 0.0001 * (n % 70),
        {day}
    FROM {series}"""
_COLUMNS = """workspace, run_id, kind, audience, agent, model, user_id, channel_id, request, reply,
    started_at, duration_ms, input_tokens, output_tokens, cost_usd, day"""


def fill(home: Path, server: SupabaseServer, count: int) -> None:
    """A million runs over 90 days in both records, made by the databases themselves."""
    now = int(time.time())
    SqliteFile(home / RECORD, "record").close()
    numbers = f"""(WITH RECURSIVE all_n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM all_n
        WHERE n < {count - 1}) SELECT n FROM all_n)"""
    here = {"prefix": "", "now": now, "workspace": WORKSPACE, "series": numbers,
            "day": f"CAST(({now} - n * 7.776) / {DAY} AS INTEGER)"}  # fmt: skip
    with contextlib.closing(sqlite3.connect(home / RECORD, isolation_level=None)) as connection:
        connection.execute(f"INSERT INTO runs ({_COLUMNS}) {_MADE.format(**here)}")
        connection.row_factory = sqlite3.Row
        while tidy_up(connection):
            pass
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    far = {**here, "series": f"generate_series(0, {count - 1}) AS n",
           "day": f"floor(({now} - n * 7.776) / {DAY})::bigint"}  # fmt: skip
    with server.connect() as connection_there:
        sql = f"INSERT INTO runs ({_COLUMNS}) {_MADE.format(**far)}"
        connection_there.execute(sql.encode())
        connection_there.execute(b"vacuum analyze runs")
        one_day = f"select public.count_day('{WORKSPACE}')".encode()
        while connection_there.execute(one_day).fetchone() == (True,):
            pass


async def metrics_ms(store: Store, query: RunQuery, times: int) -> float:
    """p95 of asking for these figures."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        found = await store.metrics(query)
        took.append((time.perf_counter() - started) * 1000)
        if not found.total.runs or found.note:
            raise RuntimeError(f"These are not the figures: {found.note or 'no runs'}")
    return percentile(took, 95)


async def figures(
    home: Path, server: SupabaseServer, times: int
) -> tuple[float, float, float, float]:
    """All time and 30 days, in the local record and in the one at lite."""
    month = RunQuery(since=time.time() - 30 * DAY)
    store = Store.open(home, WORKSPACE)
    local = [await metrics_ms(store, query, times) for query in (RunQuery(), month)]
    await store.close()
    with tempfile.TemporaryDirectory() as empty_home:
        async with supabase_store(Path(empty_home), server) as store:
            lite = [await metrics_ms(store, query, times) for query in (RunQuery(), month)]
    return local[0], local[1], lite[0], lite[1]


def percentile(values: Sequence[float], q: float) -> float:
    """Of all values but the first hundred appends' worth of warming up, where there are many."""
    warm = values[100:] if len(values) > 1000 else values
    return round(float(np.percentile(warm, q)), 3)


Figures = dict[str, float]


async def appending(server: SupabaseServer, place: Path, count: int) -> Figures:
    """Keeping messages: bare, without Supabase, with it."""
    bare = await asyncio.to_thread(bare_sqlite, place, count)
    alone = await appended(place / "alone", None, count)
    beside = await appended(place / "beside", server, count)
    empty(server)
    return {
        "append_p50_ms": percentile(beside, 50),
        "append_p99_ms": percentile(beside, 99),
        "append_p999_ms": percentile(beside, 99.9),
        "append_sqlite_only_p99_ms": percentile(alone, 99),
        "append_bare_sqlite_p50_ms": percentile(bare, 50),
        "append_bare_sqlite_p99_ms": percentile(bare, 99),
    }


async def appending_away(server: SupabaseServer, place: Path, messages: int) -> Figures:
    """Keeping messages while it is away and back and away, with a row that is refused."""
    with server.connect() as connection:
        connection.execute(_CHECK.encode())
    absent, refused = await away(place / "away", server, messages)
    total, twice = there(server)
    with server.connect() as connection:
        connection.execute(b"alter table runs drop constraint not_this")
    empty(server)
    return {
        "append_away_p99_ms": percentile(absent, 99),
        "messages": messages,
        "rows_expected": messages * FACTS_ROWS - refused,
        "rows_there": total,
        "rows_twice": twice,
        "rows_refused": refused,
    }


async def replying(server: SupabaseServer, replies: int) -> Figures:
    """Whole answers, with it and while it is away."""
    beside = await store_replies.beside(server, replies)
    empty(server)
    absent = await store_replies.away(server, replies)
    empty(server)
    return {
        "replies": replies,
        "reply_p50_ms_with": percentile(beside.took_ms, 50),
        "reply_p99_ms_with": percentile(beside.took_ms, 99),
        "reply_p50_ms_without": percentile(absent.took_ms, 50),
        "reply_p99_ms_without": percentile(absent.took_ms, 99),
        "reply_rows_expected": beside.rows_here + absent.rows_here,
        "reply_rows_there": beside.rows_there + absent.rows_there,
        "reply_rows_twice": beside.rows_twice + absent.rows_twice,
    }


async def sending(server: SupabaseServer, place: Path, messages: int) -> Figures:
    """What waits, and the same rows by supabase-py alone."""
    rate = await flushed(place / "flush", server, messages)
    empty(server)
    bare = await bare_supabase(server, messages)
    empty(server)
    return {"flush_rows_per_second": round(rate), "bare_supabase_rows_per_second": round(bare)}


async def counting(server: SupabaseServer, place: Path, runs: int, times: int) -> Figures:
    """Figures of many runs in both records."""
    await asyncio.to_thread(fill, place / "many", server, runs)
    all_time, month, lite_all, lite_month = await figures(place / "many", server, times)
    return {
        "metrics_p95_ms": all_time,
        "metrics_30_days_p95_ms": month,
        "metrics_lite_p95_ms": lite_all,
        "metrics_lite_30_days_p95_ms": lite_month,
        "runs": runs,
    }


async def run(quick: bool) -> Report:
    """Everything, one after the other."""
    count, messages, replies = (1200, 1500, 160) if quick else (5000, 5000, 5000)
    runs, times = (100_000, 10) if quick else (1_000_000, 20)
    found: Figures = {}
    with SupabaseServer() as server, tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        await supabase_schema.migrate(server.database_url)
        server.start_rest()
        tell("keeping messages")
        found |= await appending(server, place, count)
        tell("keeping messages while it is away")
        found |= await appending_away(server, place, messages)
        tell("answering, with it and while it is away")
        found |= await replying(server, replies)
        tell("sending what waits")
        found |= await sending(server, place, messages)
        tell(f"figures of {runs:,} runs")
        found |= await counting(server, place, runs, times)
    return Report(**found)  # type: ignore[arg-type]


def tell(words: str) -> None:
    """What is being measured now."""
    Console(stderr=True).print(f"{words} ...")


def show(report: Report) -> None:
    """A table for people."""
    table = Table("what", "measured")
    for name, value in asdict(report).items():
        table.add_row(name, f"{value:,}")
    Console().print(table)


def main() -> None:
    """The command line."""
    command.measure(__doc__, "fewer messages and runs", run, show)


if __name__ == "__main__":
    main()
