"""The outbox at work: it sends without being told, and trouble far away is no trouble here."""

import asyncio
import contextlib
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from database import sqlite_file
from database.errors import RecordMisconfigured
from database.outbox import MAX_ROWS, Outbox, OutboxHealth, Pace
from database.outbox_rows import KEYS
from database.records import Feedback, Message, Person, Run, Step
from database.sqlite_file import SqliteFile
from database.store import RECORD, Store
from tests.database.far_record import POISON, FarRecord, local_tables
from tests.patience import PATIENCE_S

QUICK = Pace(gather_s=0.01, look_s=0.05, first_pause_s=0.02, longest_pause_s=0.1, unsure_s=0.2)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - what is waited for is in a file
            await asyncio.sleep(0.005)


def runs(count: int, request: str = "q", start: int = 0) -> list[Run]:
    return [Run(f"r{n}", request, "a", started_at=1e9) for n in range(start, start + count)]


@pytest.fixture
def far() -> FarRecord:
    return FarRecord()


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return Store.open(tmp_path, "T1")


@pytest.fixture
async def outbox(local: Store, far: FarRecord) -> AsyncIterator[Outbox]:
    made = Outbox(local._local.file, "T1", far, pace=QUICK)
    while made.rows.backfill(1000):
        pass
    await made.start()
    yield made
    await made.stop(1)
    await local.close()


async def test_what_happens_is_sent_soon_and_leaves_the_queue(
    outbox: Outbox, local: Store, far: FarRecord, tmp_path: Path
) -> None:
    local.append(
        Run("r1", "q", "a", steps=(Step(0, "tool", "t"),)), Message("C1", "1", "1", "person", "hi")
    )
    await local.save_person(Person("U1", "Ada"))
    await until(lambda: far.tables == local_tables(tmp_path))
    await until(lambda: outbox.rows.last() == 0)
    assert "seq" not in far.tables["runs"][("T1", "r1")]


async def test_a_kick_is_quicker_than_the_next_look(local: Store, far: FarRecord) -> None:
    outbox = Outbox(local._local.file, "T1", far, pace=Pace(gather_s=0.0, look_s=30.0))
    await outbox.start()
    await asyncio.sleep(0.05)
    local.append(*runs(1))
    await asyncio.to_thread(outbox.kick)
    await until(lambda: bool(far.tables["runs"]))
    local.append(*runs(1, start=1))
    outbox.kick()
    await until(lambda: len(far.tables["runs"]) == 2)
    await outbox.stop()
    await local.close()


async def test_another_workspaces_rows_stay_where_they_are(
    outbox: Outbox, local: Store, far: FarRecord, tmp_path: Path
) -> None:
    other = Store.open(tmp_path, "T2")
    other.append(*runs(3))
    await other.close()
    local.append(*runs(1, start=9))
    assert await outbox.flush(PATIENCE_S)
    assert list(far.tables["runs"]) == [("T1", "r9")]


async def test_a_row_that_is_refused_blocks_nothing_and_says_why(
    outbox: Outbox, local: Store, far: FarRecord
) -> None:
    local.append(*runs(300), Run("bad", POISON, "a"), *runs(300, start=300))
    assert await outbox.flush(PATIENCE_S)
    assert len(far.tables["runs"]) == 600
    assert len(far.requests) < 30, "halving finds it"
    [refused] = outbox.rows.refused()
    assert (refused.table, refused.key, refused.tries) == ("runs", ("bad",), 1)
    assert refused.problem == "It violates a check (23514)."
    health = await outbox.health()
    assert (health.waiting, health.refused) == (0, 1)
    [warning] = health.warnings()
    assert "`outbox list` says why" in warning

    assert outbox.rows.retry() == 1
    assert await outbox.flush(PATIENCE_S)
    assert outbox.rows.refused()[0].tries == 2
    far.poisonous = False
    outbox.rows.retry()
    assert await outbox.flush(PATIENCE_S)
    assert not outbox.rows.refused()
    assert ("T1", "bad") in far.tables["runs"]


async def test_a_refused_row_that_changes_is_offered_again(
    outbox: Outbox, local: Store, far: FarRecord
) -> None:
    local.append(Message("C1", "1.0", "1.0", "person", POISON))
    assert await outbox.flush(PATIENCE_S)
    assert not far.tables["messages"]
    await local.edit_message("C1", "1.0", "better")
    assert await outbox.flush(PATIENCE_S)
    assert far.tables["messages"][("T1", "C1", "1.0")]["text"] == "better"
    assert not outbox.rows.refused()


async def test_while_the_record_is_away_everything_waits_here(
    outbox: Outbox, local: Store, far: FarRecord, tmp_path: Path
) -> None:
    far.trouble = "away"
    local.append(*runs(1))
    outbox.kick()
    await far.asked.wait()
    noted = "SELECT 1 FROM outbox_on WHERE problem IS NOT NULL"
    await until(lambda: bool(outbox.rows.file.rows(noted)))
    local.append(*runs(50, start=1))
    began = time.monotonic()
    assert not await outbox.flush(PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S / 2, "nobody waits for somebody who is away"
    health = await outbox.health()
    assert (health.waiting, health.problem) == (51, "Supabase did not answer. It is tried again.")
    asked = len(far.requests)
    await asyncio.sleep(0.3)
    assert len(far.requests) - asked < 8, "it asks less and less often"
    far.trouble = None
    await until(lambda: far.tables == local_tables(tmp_path))
    await until(lambda: outbox.rows.last() == 0)
    health = await outbox.health()
    assert health.problem is None
    assert health.sent_at == pytest.approx(time.time(), abs=PATIENCE_S)


async def test_what_changes_while_it_is_being_sent_is_sent_again(
    outbox: Outbox, local: Store, far: FarRecord
) -> None:
    """What arrived is the row as it was read: its key leaves the queue only if it is that still."""
    message = Message("C1", "1.0", "1.0", "person", "one")
    local.append(message)

    def edit() -> None:
        far.when_asked = lambda: None
        local._local.edit_message("C1", "1.0", "two")

    far.when_asked = edit
    assert await outbox.flush(PATIENCE_S)
    assert await outbox.flush(PATIENCE_S)
    assert far.tables["messages"][("T1", "C1", "1.0")]["text"] == "two"
    assert outbox.rows.last() == 0


async def test_a_wrong_key_costs_nothing_but_time(outbox: Outbox, local: Store) -> None:
    asked = 0

    async def refuse(table: str, rows: object) -> None:
        nonlocal asked
        asked += 1
        raise RecordMisconfigured("Supabase does not let us in. Check the key.")

    outbox._record.upsert = refuse  # type: ignore[method-assign]
    local.append(*runs(100))
    assert not await outbox.flush(PATIENCE_S)
    assert asked < 3, "nothing is halved"
    health = await outbox.health()
    assert (health.waiting, health.refused) == (100, 0)
    assert health.problem == "Supabase does not let us in. Check the key."


async def test_a_fault_of_ours_does_not_end_the_sending(
    outbox: Outbox, local: Store, far: FarRecord
) -> None:
    real, faults = far.upsert, iter([ZeroDivisionError(), KeyError("x")])

    async def faulty(table: str, rows: object) -> None:
        for fault in faults:
            raise fault
        await real(table, rows)  # type: ignore[arg-type]

    far.upsert = faulty  # type: ignore[method-assign]
    local.append(*runs(1))
    await until(lambda: bool(far.tables["runs"]))


async def test_a_change_while_its_row_is_unsure_is_sent_at_once(
    local: Store, far: FarRecord
) -> None:
    outbox = Outbox(local._local.file, "T1", far, pace=Pace(first_pause_s=0.0, unsure_s=3600))
    message = Message("C1", "1.0", "1.0", "person", "one")
    local.append(message)
    far.trouble = "unheard"
    assert not await outbox.flush(PATIENCE_S)
    far.trouble = None
    assert await outbox.flush(PATIENCE_S)
    await local.edit_message("C1", "1.0", "two")
    assert await outbox.flush(PATIENCE_S)
    assert far.tables["messages"][("T1", "C1", "1.0")]["text"] == "two"
    assert outbox.rows.last(), "it is sent once more in an hour"
    assert (await outbox.health()).waiting == 0, "but nothing waits"
    await outbox.stop()
    await local.close()


async def test_of_two_processes_one_sends_and_the_other_takes_over(
    outbox: Outbox, local: Store, far: FarRecord, tmp_path: Path
) -> None:
    elsewhere = Store.open(tmp_path, "T1")
    second = FarRecord()
    other = Outbox(elsewhere._local.file, "T1", second, pace=QUICK)
    await other.start()
    elsewhere.append(*runs(3))
    assert await other.flush(PATIENCE_S), "the first one brings what the second one wrote"
    assert len(far.tables["runs"]) == 3
    assert not second.requests
    far.trouble = "hangs"
    elsewhere.append(*runs(1, start=2000))
    began = time.monotonic()
    assert not await other.flush(0.2), "it waits for the one who sends, but not for ever"
    far.trouble = None
    await outbox.stop(0.1)
    assert time.monotonic() - began < PATIENCE_S / 2
    await until(lambda: ("T1", "r2000") in second.tables["runs"])
    elsewhere.append(*runs(1, start=3))
    await until(lambda: ("T1", "r3") in second.tables["runs"])
    assert len(far.tables["runs"]) == 3
    await other.stop()
    await elsewhere.close()


async def test_a_request_that_hangs_does_not_hold_up_the_end(
    outbox: Outbox, local: Store, far: FarRecord, tmp_path: Path
) -> None:
    far.trouble = "hangs"
    local.append(*runs(2))
    await far.asked.wait()
    began = time.monotonic()
    await outbox.stop(0.1)
    assert time.monotonic() - began < PATIENCE_S / 2
    far.trouble = None
    again = Outbox(local._local.file, "T1", far, pace=QUICK)
    assert await again.flush(PATIENCE_S)
    assert far.tables == local_tables(tmp_path)
    await again.stop()


async def test_what_was_there_before_is_sent_too_a_little_at_a_time(
    local: Store, far: FarRecord, tmp_path: Path
) -> None:
    local.append_all(
        fact
        for n in range(1300)
        for fact in (
            Run(f"r{n}", "q", "a", steps=(Step(0, "tool", 't"ü'), Step(1, "tool", "t"))),
            Message("C1", f"{n}.0", "1.0", "person", "hi"),
            Feedback(f'f"ü{n}', f"r{n}", "rating", 1.0),
        )
    )
    for interrupted in (True, True, False):
        outbox = Outbox(local._local.file, "T1", far, pace=QUICK)
        sent = sum(map(len, far.tables.values()))
        await outbox.start()
        await until(lambda sent=sent: sum(map(len, far.tables.values())) > sent)  # type: ignore[misc]
        queued = local._local.file.row("SELECT count(*) AS n FROM outbox")
        assert queued is not None
        assert queued["n"] <= 2000, "not all of it at once"
        if not interrupted:
            await until(lambda: far.tables == local_tables(tmp_path))
            await until(lambda: not outbox.rows.last())  # noqa: B023
            assert not (await outbox.health()).backfilling
        await outbox.stop()
    assert sum(count for table, count in far.requests if table == "runs") < 2000, "once, not thrice"
    await local.close()


async def test_long_texts_are_sent_in_smaller_requests(
    outbox: Outbox, local: Store, far: FarRecord
) -> None:
    local.append(*runs(10, "q" * 400_000), *runs(1, "q" * 3_000_000, start=10))
    assert await outbox.flush(PATIENCE_S)
    assert sorted(count for _, count in far.requests) == [1, 2, 2, 2, 2, 2]
    far.requests.clear()
    local.append(*runs(700, start=20))
    assert await outbox.flush(PATIENCE_S)
    assert sorted(count for _, count in far.requests) == [200, 500]


async def test_switched_off_nothing_is_queued_or_kept(
    outbox: Outbox, local: Store, far: FarRecord
) -> None:
    far.trouble = "away"
    local.append(*runs(2))
    outbox.rows.switch_off()
    local.append(*runs(2, start=2))
    assert outbox.rows.last() == 0


async def test_what_came_from_the_record_is_not_sent_back(
    outbox: Outbox, local: Store, far: FarRecord
) -> None:
    with local._local.file.transaction() as connection, outbox.rows.uncaptured(connection):
        connection.execute("INSERT INTO people VALUES ('T1', 'U1', 'Ada', '{}')")
    assert outbox.rows.last() == 0
    await local.save_person(Person("U2", "Bob"))
    assert outbox.rows.last() > 0


def test_nothing_is_queued_without_supabase(local: Store) -> None:
    local.append(*runs(3))
    assert local._local.file.rows("SELECT * FROM outbox") == []
    asyncio.run(local.close())


def test_every_row_of_every_table_is_known_by_its_key(tmp_path: Path) -> None:
    """KEYS are the tables' own keys, and each has triggers for all that may happen to a row."""
    SqliteFile(tmp_path / RECORD, "record").close()
    with contextlib.closing(sqlite3.connect(tmp_path / RECORD)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        triggers = {name for (name,) in found if name.startswith("outbox_")}
        for table, names in KEYS.items():
            uniques = [
                tuple(column for _, _, column in connection.execute(f"PRAGMA index_info({index})"))
                for _, index, unique, *_ in connection.execute(f"PRAGMA index_list({table})")
                if unique
            ]
            assert names in uniques
    happens = ("added", "changed", "gone")
    assert triggers == {f"outbox_{table}_{what}" for table in KEYS for what in happens}


async def test_the_beginning_of_a_long_queue_is_found_at_once(local: Store, far: FarRecord) -> None:
    """A million changes may wait: neither sorted nor searched for, and neither are their rows."""
    rows = Outbox(local._local.file, "T1", far).rows
    local.append(Run("r1", "q", "a", steps=(Step(0, "tool", "t"),)), *runs(3, start=2))
    plans: list[str] = []

    def read(connection: sqlite3.Connection) -> None:
        explained: list[str] = []
        connection.set_trace_callback(explained.append)
        rows.head(connection, 0, 10**9, time.time(), 10)
        connection.set_trace_callback(None)
        for sql in explained:
            if "SELECT" in sql:
                plans.extend(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}"))

    local._local.file.on_own_connection(read)
    assert len(plans) > 5
    assert not [plan for plan in plans if "TEMP B-TREE" in plan or plan.startswith("SCAN outbox")]
    assert not [plan for plan in plans if "SCAN runs" in plan or "SCAN steps" in plan]
    await local.close()


async def test_a_key_that_changes_is_two_rows(outbox: Outbox, local: Store, far: FarRecord) -> None:
    local.append(Feedback("f1", "r1", "rating", 1.0))
    assert await outbox.flush(PATIENCE_S)
    with local._local.file.transaction() as connection:
        connection.execute("UPDATE feedback SET feedback_id = 'f2'")
    assert await outbox.flush(PATIENCE_S)
    assert list(far.tables["feedback"]) == [("T1", "f2")]


WELL = OutboxHealth(
    waiting=0, refused=0, oldest_s=None, backfilling=False, problem=None, sent_at=None,
    max_rows=MAX_ROWS, free_bytes=2**40,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"oldest_s": 7300.0, "waiting": 1}, "waited for Supabase for 2.0 hours."),
        ({"oldest_s": 7300.0, "problem": "No key."}, r"2.0 hours \(No key.\)"),
        ({"waiting": 500_001}, "500,001 changes wait for Supabase, of at most 1,000,000"),
        ({"free_bytes": 2**29}, "The disk has 512 MB left: free some space"),
        ({"refused": 1200}, "Supabase refused 1,200 changes"),
    ],
)
def test_warnings_come_long_before_it_is_too_late(changes: dict[str, object], words: str) -> None:
    assert WELL.warnings() == []
    [warning] = replace(WELL, **changes).warnings()  # type: ignore[arg-type]
    assert re.search(words, warning)


async def test_the_log_is_emptied_after_one_large_transaction(
    local: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "LOG_BYTES", 1_000_000)
    log = tmp_path / f"{RECORD}-wal"
    local.append_all(Run(f"r{n}", "q" * 1000, "a") for n in range(6000))
    await until(lambda: not log.stat().st_size)
    await local._local.file.aside(lambda c: c.execute("UPDATE runs SET reply = request").rowcount)
    await until(lambda: not log.stat().st_size)
    await local.close()
