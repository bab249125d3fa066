"""A file that cannot be used says what to do; a killed process leaves whole transactions."""

import asyncio
import contextlib
import os
import sqlite3
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from database import migrations, sqlite_file
from database.errors import MigrationError, StoreError
from database.records import Reader, Run, RunQuery, Step
from database.sqlite_file import SqliteFile, explain
from database.store import RECORD, Store

ROOT = Path(__file__).parents[2]


def test_new_files_are_their_owners_alone(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "home", "T1")
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in (tmp_path / "home").iterdir())
    asyncio.run(store.close())


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(
        StoreError, match=r"record.db is damaged or is not a database. Move it away"
    ):
        Store.open(tmp_path, "T1")
    assert (tmp_path / RECORD).read_bytes().startswith(b"this is a letter")


async def test_a_file_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    store = Store.open(tmp_path, "T1")
    store.append(*(Run(str(n), "q" * 500, "a", started_at=1e9) for n in range(500)))
    await store.close()
    with (tmp_path / RECORD).open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(StoreError, match="damaged"):
        Store.open(tmp_path, "T1")


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / RECORD)) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    with pytest.raises(StoreError, match="is a database of something else"):
        Store.open(tmp_path, "T1")
    with contextlib.closing(sqlite3.connect(tmp_path / RECORD)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("recipes",)]


def test_the_engine_database_is_not_a_record(tmp_path: Path) -> None:
    SqliteFile(tmp_path / RECORD, "engine").close()
    with pytest.raises(StoreError, match="something else"):
        Store.open(tmp_path, "T1")


def test_a_newer_database_is_refused_untouched(tmp_path: Path) -> None:
    asyncio.run(Store.open(tmp_path, "T1").close())
    with contextlib.closing(sqlite3.connect(tmp_path / RECORD)) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES ('9999_from_tomorrow', 0)")
        connection.commit()
    with pytest.raises(MigrationError, match=r"step 9999_from_tomorrow\). Update the program"):
        Store.open(tmp_path, "T1")


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(StoreError, match="set VIRTUOUS6_HOME to another folder"):
        Store.open(tmp_path / "home", "T1")


def test_a_folder_without_write_access() -> None:
    """A place where even the administrator may not write."""
    with pytest.raises(StoreError, match=r"cannot be written. Give this user write access"):
        Store.open(Path("/proc/self/virtuous6"), "T1")


@pytest.mark.parametrize(
    "cause",
    [
        sqlite3.DatabaseError("database disk image is malformed"),
        sqlite3.OperationalError("database or disk is full"),
        sqlite3.OperationalError("database is locked"),
        PermissionError(13, "Permission denied", "/home/person/record.db"),
        OSError(5, "something else", "/home/person/record.db"),
    ],
)
def test_words_for_everybody_do_not_say_where_the_file_is(cause: Exception) -> None:
    error = explain(Path("/home/person/record.db"), cause)
    assert str(error).startswith("record.db ")
    assert "/" not in str(error)
    assert error.__notes__ == ["The file is /home/person/record.db."]


async def python(code: str, home: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(home), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


FULL = """
import resource, signal, sys
from pathlib import Path
from database.errors import StoreError
from database.records import Run
from database.store import Store
store = Store.open(Path(sys.argv[1]), "T1")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
for number in range(100_000):
    try:
        store.append(Run(f"r{number}", "q" * 5000, "a", started_at=1e9))
    except StoreError as error:
        print(number, error)
        break
"""


async def test_a_full_disk_says_so_and_loses_nothing(tmp_path: Path) -> None:
    writer = await python(FULL, tmp_path)
    output, _ = await writer.communicate()
    kept, message = output.decode().split(" ", 1)
    assert "disk is full or failing. Free some space" in message
    store = Store.open(tmp_path, "T1")
    found = await store.runs(RunQuery(limit=10**6))
    assert len(found) == int(kept) > 10
    await store.close()


WRITER = """
import sys
from itertools import pairwise
from pathlib import Path
from database.records import Message, Run, Step
from database.store import Store
store = Store.open(Path(sys.argv[1]), "T1")
number = 0
while True:
    ts = f"{1_700_000_000 + number}.000100"
    store.append(
        Run(f"r{number}", "words " * 50, "a", started_at=1e9,
            steps=tuple(Step(k, "tool", "t") for k in range(3))),
        Message("C1", ts, ts, "person", f"budget {number}"),
        Message("C1", ts + "1", ts, "assistant", f"answer {number}"),
    )
    number += 1
    if number == 100:
        print("going", flush=True)
"""


async def test_kill_9_leaves_whole_transactions(tmp_path: Path) -> None:
    writer = await python(WRITER, tmp_path)
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"going\n"
    writer.kill()
    await writer.communicate()
    store = Store.open(tmp_path, "T1")
    runs = await store.runs(RunQuery(limit=10**6), with_steps=True)
    numbers = sorted(int(run.run_id[1:]) for run in runs)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 100
    assert all(len(run.steps) == 3 for run in runs)
    assert len(await store.messages("C1", since=0, limit=10**6)) == 2 * len(runs)
    found = await store.search_messages("budget", Reader("U1"), limit=10**6)
    assert len(found) == len(runs)
    store.append(Run("after", "q", "a", steps=(Step(0, "tool", "t"),)))
    await store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / RECORD)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_the_log_is_emptied_though_writing_never_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "LOG_BYTES", 2_000_000)
    store = Store.open(tmp_path, "T1")
    log = tmp_path / f"{RECORD}-wal"
    sizes = []
    for number in range(3000):
        store.append(Run(str(number), "q" * 1000, "a", started_at=1e9))
        sizes.append(log.stat().st_size)
    assert any(later < earlier for earlier, later in pairwise(sizes))
    await store.close()
    assert not log.exists()


async def test_slow_reads_do_not_stop_the_loop(store: Store) -> None:
    store.append_all(
        Run(str(n), "q", f"a{n % 7}", started_at=1e9 + n, duration_ms=1.0) for n in range(20_000)
    )
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await store.metrics(RunQuery())
    ticking.cancel()
    assert ticks > 3


def test_steps_are_applied_once_and_in_order(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        names = list(migrations.steps("record"))
        assert names == sorted(names)
        assert migrations.migrate(connection, "record", tmp_path) == names
        assert migrations.migrate(connection, "record", tmp_path) == []
        assert migrations.applied(connection) == names


def test_a_step_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = migrations.steps("record")
    broken = "CREATE TABLE half (a);\nCREATE TABLE half (b);\n"
    monkeypatch.setattr(migrations, "steps", lambda _: {**real, "0999_broken": broken})
    with pytest.raises(MigrationError, match="0999_broken of the database failed"):
        Store.open(tmp_path, "T1")
    monkeypatch.undo()
    asyncio.run(Store.open(tmp_path, "T1").close())
    with contextlib.closing(sqlite3.connect(tmp_path / RECORD)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "half" not in tables
    assert "runs" in tables
