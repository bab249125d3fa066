"""Old runs leave this machine when Supabase has them, and are answered for all the same (lite)."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from database import forgetting
from database.errors import RecordAway
from database.outbox_rows import OutboxRows
from database.person_files import export_person
from database.records import Feedback, Message, Run, RunQuery, Step
from database.run_files import export_runs
from database.sqlite_backend import tidy_up
from database.sqlite_file import SqliteFile
from database.store import RECORD, Store
from database.trimming import AT_A_TIME, KEPT_DAYS, Trimming
from tests.database.machines import Machine, eventually, there
from tests.supabase_server.server import SupabaseServer

DAY = 86_400.0
NOW = 20_000.5 * DAY
OLD = NOW - (KEPT_DAYS + 2) * DAY


def run(run_id: str, at: float = OLD, **changes: object) -> Run:
    made = Run(run_id, f"question {run_id}", "a", started_at=at, user_id="U0ADA", channel_id="C1",
               message_ts=f"{at:.6f}", reply=f"answer {run_id}", duration_ms=5.0,
               steps=(Step(0, "tool", "t"),))  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def ids(store: Store) -> set[str]:
    return {row["run_id"] for row in store._local.file.rows("SELECT run_id FROM runs")}


def count(store: Store, table: str) -> int:
    found = store._local.file.row(f"SELECT count(*) AS n FROM {table}")
    return int(found["n"]) if found else 0


async def sent(store: Store) -> None:
    async def nothing_waits() -> bool:
        health = await store.health()
        return not health.waiting and not OutboxRows(store._local.file, "T1").is_backfilling()

    await eventually(nothing_waits)


async def counted(store: Store) -> None:
    while await store._local.file.aside(tidy_up):
        pass


async def trim(store: Store) -> int:
    found: int = await store._backend.trim(NOW)  # type: ignore[attr-defined]
    return found


async def test_what_is_old_and_there_goes_and_what_is_referred_to_stays(
    machine: Machine, supabase: SupabaseServer
) -> None:
    store = await machine("a")
    recent = run("recent", NOW - 3 * DAY)
    store.append(
        run("alone"), run("said"), run("parent"), recent, run("untimed", started_at=None),
        run("child", parent_run_id="parent", kind="shadow"),
        Message("C1", "1.0", "1.0", "assistant", "answer", run_id="said", created_at=OLD),
        Feedback("f1", "alone", "rating", 1.0, user_id="U0BOB", created_at=OLD),
    )  # fmt: skip
    await sent(store)
    assert await trim(store) == 0, "its day is not counted yet"
    await counted(store)
    assert await trim(store) == 2
    assert ids(store) == {"said", "parent", "recent", "untimed"}
    assert (count(store, "steps"), count(store, "feedback")) == (4, 0)
    assert await trim(store) == 1, "the parent of what is gone"
    await store.delete_message("C1", "1.0")
    with store._local.file.transaction() as connection:
        connection.execute("DELETE FROM messages")
    await sent(store)
    assert await trim(store) == 1
    assert ids(store) == {"recent", "untimed"}
    await sent(store)
    assert len(there(supabase, "runs")) == 6, "nothing is deleted there"
    assert len(there(supabase, "steps")) == 6
    assert len(there(supabase, "feedback")) == 1


async def test_what_is_not_there_stays_here_and_is_sent_again(
    machine: Machine, supabase: SupabaseServer
) -> None:
    """A project that was set back, or another one: what was sent once is not there any more."""
    store = await machine("a")
    store.append(run("r1"), run("r2"))
    await sent(store)
    await counted(store)
    with supabase.connect() as connection:
        connection.execute("delete from public.runs where run_id = 'r2'")
    assert await trim(store) == 1
    assert ids(store) == {"r2"}

    async def back() -> bool:
        return len(there(supabase, "runs")) == 2

    await eventually(back)
    await sent(store)
    assert await trim(store) == 1


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store.open(tmp_path, "T1")
    yield store
    await store.close()


async def test_what_waits_to_be_sent_stays(local: Store) -> None:
    """Its steps or feedback too; and everything while what was there before is being queued."""
    file = local._local.file
    outbox = OutboxRows(file, "T1")

    async def all_known(run_ids: Sequence[str]) -> Sequence[str]:
        return run_ids

    trimming = Trimming(file, outbox, "T1", all_known)
    for run_id in ("r1", "r2", "r3", "r4"):
        local.append(run(run_id), Feedback(f"f{run_id}", run_id, "rating", 1.0, created_at=OLD))
    await counted(local)
    outbox.switch_on()
    assert await trimming.trim(NOW) == 0, "it has not even been queued"
    with file.transaction() as connection:
        connection.execute("UPDATE outbox_on SET backfill = NULL")
        connection.execute("UPDATE runs SET route = 'x' WHERE run_id = 'r1'")
        connection.execute("UPDATE steps SET error = 'x' WHERE run_id = 'r2'")
        connection.execute("UPDATE feedback SET text = 'x' WHERE run_id = 'r3'")
    assert await trimming.trim(NOW) == 1
    assert ids(local) == {"r1", "r2", "r3"}
    assert count(local, "outbox") == 3, "and nothing of it is queued"


async def test_figures_over_a_long_time_are_right_while_supabase_is_away(
    machine: Machine, supabase: SupabaseServer
) -> None:
    store = await machine("a")
    for n in range(2 * AT_A_TIME + 7):
        store.append(run(f"r{n}"), run(f"s{n}", NOW - 3 * DAY))
    await sent(store)
    await counted(store)
    before = (await store.metrics(RunQuery())).total
    assert await trim(store) == 2 * AT_A_TIME + 7
    assert (await store.metrics(RunQuery())).total == before
    store.append(Feedback("late", "r1", "rating", 1.0, user_id="U0ADA", created_at=NOW))
    supabase.stop_rest()
    figures = await store.metrics(RunQuery())
    assert figures.total == before
    assert figures.note == "Supabase is away: these are the figures of this machine's own copy."
    hers = await store.metrics(RunQuery(user_id="U0ADA"))
    assert hers.total.runs == before.runs / 2
    assert "kept at Supabase only. They are not in these figures." in hers.note
    part_of_a_day = await store.metrics(RunQuery(since=OLD - 1.0))
    assert "They are not in these figures." in part_of_a_day.note
    await counted(store)
    assert (await store.metrics(RunQuery())).total == before, "no day is counted anew"
    for asked in (store.everything_about("U0ADA"), anext(store.pages_of_runs())):
        with pytest.raises(RecordAway):
            await asked


async def test_old_runs_are_answered_by_the_record(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    store = await machine("a")
    old = run("r1", reply_ts=f"{OLD + 1:.6f}")
    store.append(old)
    await sent(store)
    await counted(store)
    assert await trim(store) == 1
    assert await store.run("r1") == old
    assert await store.run_of_message("C1", f"{OLD:.6f}") == old
    assert await store.run_of_message("C1", f"{OLD + 1:.6f}") == old
    assert await store.run_of_message("C1", f"{OLD + 2:.6f}") is None
    assert await store.run("nobody") is None
    assert await export_runs(store, tmp_path / "runs.jsonl") == 1
    assert (await export_person(store, tmp_path / "hers.jsonl", "U0ADA")).kept["run"] == 1
    supabase.stop_rest()
    assert await store.run("r1") is None


async def test_without_supabase_it_is_said_what_is_missing(
    machine: Machine, tmp_path: Path
) -> None:
    store = await machine("a")
    store.append(run("r1"), run("r2", NOW - 3 * DAY))
    await sent(store)
    await counted(store)
    assert (await store.health()).only_there == ""
    assert await trim(store) == 1
    await store.close()
    alone = Store.open(tmp_path / "a", "T1")
    health = await alone.health()
    assert health.only_there == "Runs from before 02 September 2024 are kept at Supabase only."
    assert (await alone.metrics(RunQuery())).total.runs == 2
    assert (await alone.metrics(RunQuery())).note == ""
    assert "are not in these" in (await alone.metrics(RunQuery(channel_id="C1"))).note
    await alone.close()


async def test_forgetting_leaves_nothing_of_what_was_made_by_runs_that_are_gone(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    """What repeats her words without naming her is known by her runs: so those stay as long."""
    store = await machine("a")
    store.append(
        run("hers", request="xylophonist"),
        run("shadow", NOW - DAY, parent_run_id="hers", kind="shadow", user_id=None,
            request="xylophonist"),
        run("answered", request="xylophonist"),
        Message("C1", "2.0", "2.0", "assistant", "xylophonist!", run_id="answered",
                created_at=OLD),
        run("other", request="xylophonist"),
    )  # fmt: skip
    await sent(store)
    await counted(store)
    assert await trim(store) == 1
    await store.close()
    file = SqliteFile(tmp_path / "a" / RECORD, "record")
    forgetting.forget(file, "T1", "U0ADA")
    file.close()
    with closing(sqlite3.connect(tmp_path / "a" / RECORD)) as connection:
        assert "xylophonist" not in "".join(connection.iterdump())
