"""The schema at Supabase: safe, as the local one, and applied step by step (shown on lite)."""

import asyncio
import itertools
import re
import sqlite3
import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from database import migrations, supabase_schema
from database.errors import ConfigurationError, MigrationError, RecordMisconfigured
from database.store import RECORD, Store
from database.supabase_client import SupabaseClient
from database.supabase_schema import Finding
from tests.supabase_server.server import SupabaseServer

LOCAL_ONLY = re.compile(
    r"sqlite_\w+|message_words\w*|search_progress|schema_migrations|outbox\w*|waiting_decisions"
    r"|trimmed_days"
)
"""The search index, the way to Supabase, the history of steps."""
TYPES = {
    ("TEXT", "text"), ("REAL", "double precision"), ("INTEGER", "bigint"), ("INTEGER", "boolean"),
    ("BLOB", "text"),
    ("BLOB", "bytea"),
}  # fmt: skip


async def test_a_database_with_every_step_is_good(supabase_client: SupabaseClient) -> None:
    report = await supabase_schema.check(supabase_client)
    assert report.good, report
    assert report.version == list(supabase_schema.steps())[-1]


async def test_applying_the_steps_again_does_nothing(supabase: SupabaseServer) -> None:
    assert await supabase_schema.migrate(supabase.database_url) == []


async def test_check_says_which_steps_are_missing(
    supabase: SupabaseServer, supabase_client: SupabaseClient
) -> None:
    *_, before, last = supabase_schema.steps()
    with altered(
        supabase,
        as_version(before),
        as_version(last),
    ):
        report = await supabase_schema.check(supabase_client)
        assert (report.missing, report.newer, report.good) == ((last,), False, False)
    with altered(supabase, as_version("29990101000000_later"), as_version(last)):
        report = await supabase_schema.check(supabase_client)
        assert (report.missing, report.newer, report.good) == ((), True, False)


def as_version(name: str) -> str:
    return f"""create or replace function public.schema_version() returns text
        language sql immutable security invoker set search_path = '' as $$ select '{name}' $$"""


def test_every_step_says_its_own_name() -> None:
    for name, sql in supabase_schema.steps().items():
        assert re.fullmatch(r"\d{14}_[a-z_]+", name)
        assert f"select '{name}'" in sql


async def test_a_failing_step_leaves_nothing_behind(
    supabase: SupabaseServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "29990101000000_bad.sql").write_text("create table public.half (a int); oops;")
    monkeypatch.setattr(supabase_schema, "FOLDER", tmp_path)
    with pytest.raises(MigrationError, match="29990101000000_bad failed at Supabase"):
        await supabase_schema.migrate(supabase.database_url)
    with supabase.connect() as connection:
        found = connection.execute("select to_regclass('public.half')").fetchone()
    assert found == (None,)


async def test_what_is_no_supabase_database_is_left_alone(supabase: SupabaseServer) -> None:
    with pytest.raises(ConfigurationError, match="supabase db push"):
        await supabase_schema.migrate(None)
    with pytest.raises(ConfigurationError, match="must begin with postgresql"):
        await supabase_schema.migrate("https://example.com")
    with pytest.raises(ConfigurationError, match="cannot be opened") as caught:
        await supabase_schema.migrate("postgresql://me:secret-word@127.0.0.1:1/postgres")
    assert "secret-word" not in str(caught.value)


PLANTED = {
    "rls_disabled": (
        "create table public.planted (a int primary key)",
        "drop table public.planted",
    ),
    "policy_for_everybody": (
        "create policy planted on public.runs for select using (true)",
        "drop policy planted on public.runs",
    ),
    "definer_view": ("create view public.planted as select 1", "drop view public.planted"),
    "view_keeps_rows": (
        "create materialized view public.planted as select 1",
        "drop materialized view public.planted",
    ),
    "mutable_search_path": (
        "create function public.planted() returns int language sql as 'select 1'; "
        "revoke execute on function public.planted() from public, anon, authenticated",
        "drop function public.planted()",
    ),
    "definer_function": (
        "alter function public.changes(text) security definer",
        "alter function public.changes(text) security invoker",
    ),
    "callable_by_everybody": (
        "grant execute on function public.changes(text) to anon",
        "revoke execute on function public.changes(text) from anon",
    ),
    "no_primary_key": (
        "create table public.planted (a int); alter table public.planted enable row level security",
        "drop table public.planted",
    ),
    "unindexed_foreign_key": (
        "create table public.planted (a int primary key, b int references public.planted); "
        "alter table public.planted enable row level security",
        "drop table public.planted",
    ),
}


@pytest.mark.parametrize("rule", PLANTED)
async def test_what_is_unsafe_is_found(
    supabase: SupabaseServer, supabase_client: SupabaseClient, rule: str
) -> None:
    with altered(supabase, *PLANTED[rule]):
        report = await supabase_schema.check(supabase_client)
    assert [finding.rule for finding in report.findings] == [rule]
    assert not report.good
    assert isinstance(report.findings[0], Finding)


@contextmanager
def altered(server: SupabaseServer, change: str, back: str) -> Iterator[None]:
    with server.connect() as connection:
        connection.execute(change.encode())
        try:
            yield
        finally:
            connection.execute(back.encode())


def everything(server: SupabaseServer) -> Iterator[str]:
    """Every table and view that the REST server shows."""
    with server.connect() as connection:
        found = connection.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace "
            "and relkind in ('r', 'v') order by relname"
        )
        yield from (str(name) for (name,) in found)


def leaks(server: SupabaseServer) -> list[str]:
    """What somebody with the publishable key, or with none, can read or write."""
    found = []
    for key in (server.publishable_key, ""):
        headers = {"apikey": key, "Authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(base_url=f"{server.url}/rest/v1", headers=headers) as client:
            for name in everything(server):
                answer = client.get(f"/{name}")
                if answer.is_success and answer.json():
                    found.append(f"read {name}")
            attempts = {
                "insert": client.post("/people", json=PERSON),
                "update": client.patch("/people?workspace=eq.T1", json={"name": "Eve"}),
                "delete": client.delete("/people?workspace=eq.T1"),
                "call": client.post("/rpc/changes", json={"p_workspace": "T1"}),
                "forget": client.post("/rpc/forget_person",
                                      json={"p_workspace": "T1", "p_user": "U1"}),
            }  # fmt: skip
            found += [what for what in ("insert", "call", "forget") if attempts[what].is_success]
    with server.connect() as connection:
        kept = connection.execute("select user_id, name from public.people").fetchall()
    return found + ([] if kept == [("U1", "Ada")] else [f"people are {kept}"])


PERSON = {"workspace": "T1", "user_id": "U2", "name": "Eve", "settings": "{}"}


def fill(server: SupabaseServer) -> None:
    with server.connect() as connection:
        for sql in (
            "insert into public.people values ('T1', 'U1', 'Ada', '{}')",
            "insert into public.runs (workspace, run_id, kind, audience, agent, request, day) "
            "values ('T1', 'r1', 'reply', 'public', 'a', 'secret', 1)",
            "insert into public.messages (workspace, channel_id, ts, thread_ts, role, audience, "
            "text, created_at) values ('T1', 'C1', '1.0', '1.0', 'person', 'public', 'x', 1)",
        ):
            connection.execute(sql.encode())


def test_with_the_publishable_key_nothing_can_be_read_or_written(supabase: SupabaseServer) -> None:
    fill(supabase)
    assert leaks(supabase) == []


def test_a_wrong_policy_would_be_seen(supabase: SupabaseServer) -> None:
    fill(supabase)
    change = "create policy planted on public.messages for select to anon using (true)"
    with altered(supabase, change, "drop policy planted on public.messages"):
        assert leaks(supabase) == ["read messages"]


async def test_the_wrong_key_is_explained(supabase: SupabaseServer) -> None:
    with pytest.raises(ConfigurationError, match="not the publishable one"):
        SupabaseClient(supabase.url, supabase.publishable_key)
    client = SupabaseClient(supabase.url, "sb_secret_of_another_project")
    with pytest.raises(RecordMisconfigured, match="Check SUPABASE_SERVICE_ROLE_KEY"):
        await supabase_schema.check(client)
    await client.close()
    with pytest.raises(ConfigurationError, match="SUPABASE_URL is 'abc'"):
        SupabaseClient("abc", "key")


def test_squawk_has_nothing_to_say() -> None:
    files = sorted(supabase_schema.FOLDER.glob("*.sql"))
    squawk = Path(sysconfig.get_path("scripts")) / "squawk"
    # Supabase's command line and `db migrate` apply a file in one transaction.
    command = [
        str(squawk),
        "--assume-in-transaction",
        "--pg-version=15.0",
        "--reporter=gcc",
        *map(str, files),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("", 0)


# One schema, two dialects


@dataclass
class Table:
    columns: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Type, and whether it may be null."""
    keys: set[tuple[str, ...]] = field(default_factory=set)
    indexes: dict[str, tuple[tuple[str, ...], bool]] = field(default_factory=dict)
    """Columns, and whether unique, by name."""
    checks: set[frozenset[str]] = field(default_factory=set)
    """The column and the values of each."""


_VALUE = re.compile(r"'([a-z_]+)'|(?<![\w.])(-?\d+)(?![\w.])")


def check_of(column: str, text: str) -> frozenset[str]:
    return frozenset({f"{column}:", *(a or b for a, b in _VALUE.findall(text))})


def local_schema(home: Path) -> dict[str, Table]:
    asyncio.run(Store.open(home, "T1").close())
    tables: dict[str, Table] = {}
    with closing(sqlite3.connect(home / RECORD)) as c:
        for name, sql in c.execute("select name, sql from sqlite_master where type = 'table'"):
            if not LOCAL_ONLY.fullmatch(name):
                tables[name] = table_of(c, name, sql)
    return tables


def table_of(c: sqlite3.Connection, name: str, sql: str) -> Table:
    table = Table()
    primary = {}
    for _, column, kind, required, _, place in c.execute(f"pragma table_info({name})"):
        table.columns[column] = (kind, not (required or place))
        primary[place] = column
    table.keys.add(tuple(primary[place] for place in sorted(primary) if place))
    for _, index, unique, origin, _ in c.execute(f"pragma index_list({name})").fetchall():
        columns = tuple(row[2] for row in c.execute(f"pragma index_info({index})"))
        if origin == "c":
            table.indexes[index] = (columns, bool(unique))
        else:
            table.keys.add(columns)
    for check in re.findall(r"CHECK \(\s*(\w+)([^;]*?)\)(?=,|\n)", sql):
        table.checks.add(check_of(*check))
    return table


def schema_at_supabase(server: SupabaseServer) -> dict[str, Table]:
    tables: dict[str, Table] = defaultdict(Table)
    with server.connect() as c:
        for name, column, kind, nullable in rows(c, _COLUMNS):
            tables[name].columns[column] = (kind, nullable)
        for name, index, unique, constraint, columns in rows(c, _INDEXES):
            if constraint:
                tables[name].keys.add(tuple(columns))
            else:
                tables[name].indexes[index] = (tuple(columns), unique)
        for name, column, text in rows(c, _CHECKS):
            tables[name].checks.add(check_of(column, text))
    return tables


def rows(c: psycopg.Connection[tuple[Any, ...]], sql: str) -> Iterator[tuple[Any, ...]]:
    yield from c.execute(sql.encode())


_COLUMNS = """
select c.table_name, c.column_name, c.data_type, c.is_nullable = 'YES'
from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
where c.table_schema = 'public' and t.table_type = 'BASE TABLE'"""
_INDEXES = """
select i.indrelid::regclass::text, i.indexrelid::regclass::text, i.indisunique,
    exists (select 1 from pg_constraint k where k.conindid = i.indexrelid),
    array(select attname::text from unnest(i.indkey::int[]) with ordinality as k (n, place)
        join pg_attribute on attrelid = i.indrelid and attnum = n order by place)
from pg_index i join pg_class c on c.oid = i.indrelid
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'"""
_CHECKS = """
select k.conrelid::regclass::text, attname, pg_get_constraintdef(k.oid)
from pg_constraint k join pg_attribute on attrelid = conrelid and attnum = any (conkey)
where contype = 'c' and k.connamespace = 'public'::regnamespace"""


def test_both_dialects_have_the_same_schema(supabase: SupabaseServer, tmp_path: Path) -> None:
    local, there = local_schema(tmp_path), schema_at_supabase(supabase)
    assert sorted(local) == sorted(there)
    for name, table in local.items():
        other = there[name]
        assert list(table.columns) == list(other.columns), name
        for column, (kind, nullable) in table.columns.items():
            assert (kind, other.columns[column][0]) in TYPES, (name, column)
            assert nullable == other.columns[column][1], (name, column)
        assert table.keys == other.keys, name
        assert table.indexes == other.indexes, name
        assert table.checks == other.checks, name


def test_each_local_step_has_its_counterpart() -> None:
    """The same name behind the number, but for what is local only."""
    local = {name.partition("_")[2] for name in migrations.steps("record")}
    there = {name.partition("_")[2] for name in supabase_schema.steps()}
    assert local - there == {"outbox", "private_names", "kept_elsewhere"}


async def test_two_that_apply_the_steps_at_once_apply_each_once(supabase: SupabaseServer) -> None:
    url = supabase.database_url.replace("/lite?", "/twice?")
    if url == supabase.database_url:
        pytest.skip("No other database is made in a stack of Supabase's own.")
    with supabase.connect() as connection:
        connection.execute("drop database if exists twice")
        connection.execute("create database twice")
    done = await asyncio.gather(*(supabase_schema.migrate(url) for _ in range(3)))
    assert sorted(itertools.chain(*done)) == list(supabase_schema.steps())


def test_supabases_library_is_loaded_only_where_it_is_used() -> None:
    code = "import sys, bootstrap; print({'supabase', 'psycopg'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    root = supabase_schema.FOLDER.parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
