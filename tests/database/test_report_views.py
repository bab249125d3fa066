"""The views that people chart in Supabase's dashboard, and what others may do to the tables (lite).

Figures of the views are those that the store gives.
"""

from decimal import Decimal
from typing import Any

import httpx
from psycopg.rows import dict_row

from database.records import Feedback, Outcome, Run, RunQuery
from database.store import Store
from tests.database.machines import Machine, eventually
from tests.supabase_server.server import SupabaseServer

DAY = 86_400.0
FIRST = 20_000 * DAY


def view(server: SupabaseServer, sql: str) -> list[dict[str, Any]]:
    with server.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql.encode()).fetchall()


def run(n: int, agent: str, channel: str, day: int, **changes: Any) -> Run:
    return Run(f"r{n}", "q", agent, user_id=f"U{n % 2}", channel_id=channel, model="small",
               started_at=FIRST + day * DAY + n, duration_ms=100.0 * (n + 1), input_tokens=10,
               output_tokens=1, **changes)  # fmt: skip


async def fill(store: Store) -> None:
    good = Outcome(True, source="check")
    store.append(
        run(0, "one", "C1", 0, cost_usd=0.5, outcome=good), run(1, "one", "C1", 0, cost_usd=0.25),
        run(2, "two", "C2", 0), run(3, "one", "C1", 1, cost_usd=1.0),
        run(4, "one", "C1", 0, kind="shadow", cost_usd=2.0),
        Feedback("f1", "r1", "rating", -1.0, user_id="U1", created_at=FIRST + 5),
        Feedback("f2", "r3", "rating", 1.0, user_id="U1", created_at=FIRST + DAY + 5),
    )  # fmt: skip


async def test_the_views_count_as_the_metrics_do(
    machine: Machine, supabase: SupabaseServer
) -> None:
    store = await machine("a")
    await fill(store)

    async def sent() -> bool:
        return not (await store.health()).waiting

    await eventually(sent)
    days = view(supabase, "select * from report_days order by day")
    figures = await store.metrics(RunQuery())
    assert [str(row["day"]) for row in days] == ["2024-10-04", "2024-10-05"]
    assert sum(row["runs"] for row in days) == figures.total.runs == 4
    assert sum(row["judged"] for row in days) == figures.total.judged == 3
    assert sum(row["succeeded"] for row in days) == figures.total.succeeded == 2
    assert [row["success_percent"] for row in days] == [Decimal("50.0"), Decimal("100.0")]
    assert [(row["people"], row["p50_ms"]) for row in days] == [(2, 200.0), (1, 400.0)]
    assert (days[0]["feedback_up"], days[0]["feedback_down"]) == (0, 1)
    agents = view(supabase, "select * from report_agents order by day, agent")
    assert [(row["agent"], row["runs"], row["cost_usd"]) for row in agents] == [
        ("one", 2, 0.75), ("two", 1, 0.0), ("one", 1, 1.0)
    ]  # fmt: skip
    channels = view(supabase, "select * from report_channels order by day, channel_id")
    assert [(row["channel_id"], row["runs"], row["people"]) for row in channels] == [
        ("C1", 2, 2), ("C2", 1, 1), ("C1", 1, 1)
    ]  # fmt: skip
    costs = view(supabase, "select * from report_costs order by day, kind")
    assert [(row["kind"], row["runs"], row["cost_usd"], row["unpriced_runs"]) for row in costs] == [
        ("reply", 3, 0.75, 1), ("shadow", 1, 2.0, 0), ("reply", 1, 1.0, 0)
    ]  # fmt: skip
    given = view(supabase, "select * from report_feedback order by given_at")
    assert [(row["run_id"], row["agent"], row["value"]) for row in given] == [
        ("r1", "one", -1.0), ("r3", "one", 1.0)
    ]  # fmt: skip


async def test_with_the_publishable_key_no_row_of_any_table_is_changed(
    machine: Machine, supabase: SupabaseServer
) -> None:
    store = await machine("a")
    await fill(store)
    await store.policy.add("speak", "mentions", "U1")
    await store.create_document("agent", "poet", {"n": 1}, origin="person")
    await store.forget("U9")
    names = "select tablename from pg_tables where schemaname = 'public'"
    tables = [str(row["tablename"]) for row in view(supabase, names)]

    def rows() -> dict[str, list[dict[str, Any]]]:
        return {name: view(supabase, f"select t::text from public.{name} t") for name in tables}

    async def sent() -> bool:
        return not (await store.health()).waiting

    await eventually(sent)
    await store.close()
    before = rows()
    assert sum(map(bool, before.values())) >= 6
    key = supabase.publishable_key
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    rest = f"{supabase.url}/rest/v1"
    async with httpx.AsyncClient(base_url=rest, headers=headers, trust_env=False) as client:
        for name in tables:
            await client.delete(f"/{name}?workspace=neq.none")
            await client.patch(f"/{name}?workspace=neq.none", json={"workspace": "T9"})
            assert not (await client.post(f"/{name}", json={"workspace": "T1"})).is_success
    assert rows() == before
