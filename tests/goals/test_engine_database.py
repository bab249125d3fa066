"""The engine database itself: its key, its tables, its file, and what is wrong with it."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet

from database.errors import (
    ConfigurationError,
    InputError,
    MigrationError,
    StoreError,
)
from goals.ledger import FILE, Goals, Ledger
from tests.goals.kept import HER_THREAD, HERS, bytes_of, fill, goal, task
from tests.postgres import Postgres


async def test_another_key_is_refused_and_changes_nothing(
    ledger: Ledger, goals: Goals, tmp_path: Path, engine_url: str | None
) -> None:
    await goals.create(goal())
    other = Ledger.open(tmp_path, engine_url, Fernet.generate_key().decode())
    with pytest.raises(ConfigurationError, match="VIRTUOUS6_SECRET_KEY"):
        await other.of("T1").create(goal("g2"))
    assert await goals.goals() == [goal()]
    await other.close()


async def test_newer_tables_are_left_alone(
    ledger: Ledger, goals: Goals, tmp_path: Path, engine_url: str | None
) -> None:
    await goals.create(goal())
    await ledger.sql.do(lambda t: t.change("INSERT INTO steps (number) VALUES (99)"))
    older = Ledger.open(tmp_path, engine_url)
    with pytest.raises(MigrationError, match="newer version"):
        await older.of("T1").goals()
    await older.close()


async def test_many_processes_may_make_the_tables_at_once(
    tmp_path: Path, engine_url: str | None
) -> None:
    opened = [Ledger.open(tmp_path, engine_url) for _ in range(4)]
    made = await asyncio.gather(
        *(one.of("T1").create(goal(f"g{n}")) for n, one in enumerate(opened))
    )
    assert all(made)
    assert len(await opened[0].of("T1").goals()) == 4
    for one in opened:
        await one.close()


async def test_a_postgres_that_was_restarted_is_found_again(
    tmp_path: Path, postgres: Postgres
) -> None:
    """Its connections are gone; nobody hears of it, and nothing is done twice."""
    url = postgres.database()
    ledger = Ledger.open(tmp_path, url)
    goals = ledger.of("T1")
    await goals.create(goal())
    await asyncio.gather(*(goals.goals() for _ in range(4)))
    with psycopg.connect(url, autocommit=True) as connection:
        sql = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        assert len(connection.execute(sql).fetchall()) > 1
    moved = await goals.move(replace(goal(), title="again"))
    assert moved.revision == 1
    assert await goals.goal("g1") == moved
    await ledger.close()


# About the file alone


async def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    goals = ledger.of("T1")
    assert not await ledger.busy()
    assert await goals.goals() == []
    assert await goals.changed(None) == ([], 0)
    assert await goals.forget("U0ADA") == await goals.retention(1e12) == await goals.erase() == 0
    assert await ledger.waiting_enqueue(0.0) == []
    assert not (tmp_path / FILE).exists()
    await ledger.close()


async def test_the_file_is_its_owners_alone_and_sealed(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    await fill(ledger.of("T1"))
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    kept = bytes_of(tmp_path)
    for secret in (HERS, "U0ADA", "U0BOB", HER_THREAD[1], "do it"):
        assert secret.encode() not in kept, secret
    await ledger.close()


async def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    ledger = Ledger.open(tmp_path)
    with pytest.raises(StoreError, match=r"goals\.db is damaged"):
        await ledger.of("T1").goals()
    await ledger.close()


async def test_a_value_that_cannot_be_kept_changes_nothing(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    goals = ledger.of("T1")
    await goals.create(goal())
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        file.execute(
            "CREATE TRIGGER no BEFORE UPDATE ON goals BEGIN SELECT raise(ABORT, 'no'); END"
        )
    with pytest.raises((StoreError, InputError)):
        await goals.move(replace(goal(), tasks=(task(1, "queued", 1),)))
    assert not await ledger.busy()
    assert await goals.goal("g1") == goal()
    await ledger.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "localhost:5432", "sqlite:///x"])
async def test_an_address_that_is_no_postgres_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="VIRTUOUS6_ENGINE_URL"):
        Ledger.open(tmp_path, url)


async def test_a_postgres_that_is_away_says_so(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, f"postgresql://postgres@/none?host={tmp_path}")
    with pytest.raises(StoreError, match="VIRTUOUS6_ENGINE_URL cannot be used"):
        await ledger.of("T1").goals()
    await ledger.close()
