"""Upgrades from every earlier version keep the data, in the local record and at Supabase."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from database import migrations, supabase_schema
from database.store import RECORD, Store
from tests.supabase_server.server import SupabaseServer

ROWS: dict[str, dict[str, Any]] = {
    "runs": {
        "run_id": "r", "kind": "reply", "audience": "public", "agent": "a", "request": "hello",
        "started_at": 1.5, "cost_usd": 0.25, "day": 0,
    },
    "steps": {"run_id": "r", "position": 0, "kind": "tool", "name": "clock"},
    "feedback": {
        "feedback_id": "f", "run_id": "r", "kind": "rating", "value": 1.0, "weight": 1.0,
        "created_at": 1.5,
    },
    "messages": {
        "channel_id": "C1", "ts": "1.0", "thread_ts": "1.0", "role": "person",
        "audience": "public", "text": "hello", "created_at": 1.5,
    },
    "summaries": {
        "channel_id": "C1", "thread_ts": "1.0", "until_ts": "1.0", "audience": "public",
        "text": "hello", "created_at": 1.5,
    },
    "documents": {
        "kind": "agent", "name": "poet", "number": 1, "version": "v", "audience": "public",
        "body": "{}", "origin": "person", "created_at": 1.5, "active": True,
    },
    "document_changes": {"changes": 1},
    "people": {"user_id": "U1", "name": "Ada", "settings": "{}"},
    "task_types": {"name": "t", "centroid": b"AAAA", "count": 1},
    "policy": {"key": "speak", "value": "mentions", "set_by": "U1", "set_at": 1.5},
    "learning_changes": {"changes": 1},
    "proposals": {
        "proposal_id": "p", "learner": "l", "title": "t", "why": "w", "changes": "[]",
        "evidence": "{}", "audience": "public", "state": "live", "risk": "low",
        "risk_reasons": "[]", "reason": "", "created_at": 1.5, "moved_at": 1.5, "revision": 1,
        "change": 1,
    },
    "trials": {
        "trial_id": "t", "proposal_id": "p", "method": "shadow", "agent": "a", "active": "v",
        "candidate": "w", "share": 1.0, "alpha": 0.05, "smallest_effect": 0.1, "most": 100,
        "state": "running", "figures": "{}", "reason": "", "started_at": 1.5, "revision": 1,
        "change": 1,
    },
    "findings": {
        "finding_id": "f", "learner": "l", "kind": "note", "title": "t", "text": "x",
        "data": "{}", "runs": "[]", "audience": "public", "state": "open", "created_at": 1.5,
        "revision": 1, "change": 1,
    },
    "learner_states": {
        "learner": "l", "state": "{}", "runs_seen": 1, "feedback_seen": 1, "updated_at": 1.5,
        "revision": 1, "change": 1,
    },
    "observations": {
        "observation_id": "o", "trial_id": "t", "run_id": "r", "aspect": "outcome",
        "active": 1.0, "candidate": 0.0, "created_at": 1.5,
    },
    "exam_questions": {
        "question_id": "q", "run_id": "r", "request": "ask", "answer_check": "{}", "agent": "a",
        "part": "learn", "audience": "public", "created_at": 1.5,
    },
    "audit": {
        "seq": 1, "at": 1.5, "actor": "@x", "action": "a", "subject": "s", "details": "{}",
        "previous": "", "digest": "d",
    },
    "audit_heads": {"seq": 1, "digest": "d"},
    "audit_people": {"user_id": "U1", "salt": "s", "digest": "@x"},
}  # fmt: skip


def insert(table: str, place: str) -> tuple[str, list[Any]]:
    """The row of a table, for a workspace of its own."""
    row = {"workspace": "T1", **ROWS[table]}
    sql = f"insert into {table} ({', '.join(row)}) values ({', '.join(place for _ in row)})"
    return sql, list(row.values())


def local_rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What is there of ROWS, in their columns."""
    with closing(sqlite3.connect(path)) as connection:
        there = {name for (name,) in connection.execute("select name from sqlite_master")}
        return {
            table: connection.execute(f"select {', '.join(row)} from {table}").fetchall()
            for table, row in ROWS.items()
            if table in there
        }


LOCAL = list(migrations.steps("record"))


@pytest.mark.parametrize("version", range(1, len(LOCAL) + 1), ids=LOCAL)
async def test_a_local_record_of_each_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    path = tmp_path / RECORD
    steps = dict(list(migrations.steps("record").items())[:version])
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with monkeypatch.context() as patched:
            patched.setattr(migrations, "steps", lambda _: steps)
            assert migrations.migrate(connection, "record", path) == list(steps)
        there = {name for (name,) in connection.execute("select name from sqlite_master")}
        for table in ROWS:
            if table in there:
                connection.execute(*insert(table, "?"))
    before = local_rows(path)
    assert before["runs"]
    store = Store.open(tmp_path, "T1")
    assert await store.document("agent", "poet") is not None or "documents" not in before
    assert (await store.run("r")) is not None
    await store.close()
    after = local_rows(path)
    assert {table: after[table] for table in before} == before


async def test_supabase_from_each_version(
    supabase: SupabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is applied where rows have been since the step that made their tables."""
    url = supabase.database_url.replace("/lite?", "/upgraded?")
    if url == supabase.database_url:
        pytest.skip("No other database is made in a stack of Supabase's own.")
    with supabase.connect() as connection:
        connection.execute("drop database if exists upgraded")
        connection.execute("create database upgraded")
    every, filled = supabase_schema.steps(), set[str]()
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        for version in range(1, len(every) + 1):
            steps = dict(list(every.items())[:version])
            monkeypatch.setattr(supabase_schema, "steps", lambda steps=steps: steps)
            assert await supabase_schema.migrate(url) == list(steps)[-1:]
            for table in [name for name in ROWS if name not in filled]:
                if there(connection, table):
                    sql, values = insert(table, "%s")
                    text = [v.decode() if isinstance(v, bytes) else v for v in values]
                    connection.execute(sql.encode(), text)
                    filled.add(table)
        assert filled == set(ROWS)
        for table, row in ROWS.items():
            [kept] = connection.execute(f"select * from public.{table}".encode()).fetchall()
            sent = {k: v.decode() if isinstance(v, bytes) else v for k, v in row.items()}
            assert {column: kept[column] for column in row} == sent
        assert connection.execute(_UNGRANTED).fetchall() == []


_UNGRANTED = b"""
select c.relname::text as place from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') and (
    not has_table_privilege('service_role', c.oid, 'select')
    or (c.relkind = 'r' and not (
        has_table_privilege('service_role', c.oid, 'insert')
        and has_table_privilege('service_role', c.oid, 'update')
        and has_table_privilege('service_role', c.oid, 'delete')
    ))
    or has_table_privilege('anon', c.oid, 'select')
    or has_table_privilege('authenticated', c.oid, 'select')
)
union all
select p.oid::regprocedure::text from pg_proc p
where p.pronamespace = 'public'::regnamespace
    and not has_function_privilege('service_role', p.oid, 'execute')"""
"""Newer projects at Supabase grant nothing by themselves, to nobody; older ones all, to anybody."""


def there(connection: psycopg.Connection[Any], table: str) -> bool:
    sql = "select to_regclass(%s) is not null as there"
    found = connection.execute(sql, (f"public.{table}",)).fetchone()
    return bool(found and found["there"])
