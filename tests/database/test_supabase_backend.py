"""With Supabase: what happens gets there, what is decided there shows everywhere (on lite)."""

import asyncio
import base64
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg.rows import dict_row

from database import local_copy
from database.errors import (
    InputError,
    RecordAway,
    StaleBase,
    UnknownName,
)
from database.learning_rows import DECIDED
from database.outbox_rows import KEYS
from database.records import (
    Document,
    Feedback,
    Outcome,
    Person,
    Run,
    RunQuery,
    Step,
    TaskType,
)
from database.store import Store
from database.supabase_client import BOOLEANS, SupabaseClient
from tests.database.test_forgetting import HERS, fill, message
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


async def test_every_row_gets_there_as_it_is_here(
    machine: Machine, supabase: SupabaseServer
) -> None:
    store = await machine("a")
    await fill(store)
    await store.save_task_type(TaskType("weather", bytes(range(256)), 3))
    odd = 'a "quoted" \\ \n text, 21 °C ☀️'
    store.append(Run("odd", odd, "a", started_at=1.5e9 + 1 / 3, input_tokens=2**53 - 1,
                     cost_usd=1e-9, route={"a": [1, 2.5, None, "ü"]}))  # fmt: skip
    await eventually(lambda: all_the_same(store, supabase))
    for table in TABLES:
        assert there(supabase, table), table


async def test_what_postgres_cannot_hold_is_replaced(
    machine: Machine, supabase: SupabaseServer
) -> None:
    store = await machine("a")
    store.append(Run("r1", "a\x00b", "a", route={"why": "\x00"}))
    [found] = await store.runs(RunQuery())
    assert (found.request, found.route) == ("a\ufffdb", {"why": "\x00"})
    mine = await store.run("r1")
    assert mine is not None
    assert mine.request == "a\x00b"


async def test_figures_know_what_was_just_appended_and_no_limit_cuts_them(
    machine: Machine,
) -> None:
    store = await machine("a")
    steps = tuple(Step(n, "tool", "clock") for n in range(3))
    store.append(*(Run(f"r{n}", "q", "a", started_at=1e9 + n, steps=steps) for n in range(1200)))
    while (figures := await store.metrics(RunQuery())).note:
        assert "still on its way" in figures.note
    assert figures.total.runs == 1200
    found = await store.runs(RunQuery(limit=1100), with_steps=True)
    assert len(found) == 1100
    assert sum(len(run.steps) for run in found) == 3300
    pages = [len(page) async for page in store.pages_of_runs()]
    assert sum(pages) == 1200


async def test_two_machines_see_each_others_work(machine: Machine) -> None:
    one, other = await machine("a"), await machine("b")
    one.append(Run("r1", "hello", "a", started_at=1e9))
    other.append(Run("r2", "hello", "a", started_at=2e9))
    await one.runs(RunQuery())
    assert [run.run_id for run in await other.runs(RunQuery())] == ["r2", "r1"]
    assert [r.runs for r in await other.agent_record(0.0)] == [2]


async def test_a_decision_shows_at_once_here_and_soon_elsewhere(machine: Machine) -> None:
    one, other = await machine("a"), await machine("b")
    seen, policy_seen = other.documents_changed(), other.policy.changes()
    made = await one.create_document("agent", "poet", {"n": 1}, origin="person", author="U1")
    await one.policy.add("speak", "mentions", "U1")
    await one.save_person(Person("U1", "Ada", {"learn": False}))
    assert await one.document("agent", "poet") == made

    async def arrived() -> bool:
        return bool(
            await other.document("agent", "poet") == made
            and [c.value for c in other.policy.latest()] == ["mentions"]
            and await other.person("U1") == Person("U1", "Ada", {"learn": False})
        )

    await eventually(arrived)
    assert other.documents_changed() != seen
    assert other.policy.changes() > policy_seen
    seen, policy_seen = other.documents_changed(), other.policy.changes()
    await asyncio.sleep(0.2)
    assert (other.documents_changed(), other.policy.changes()) == (seen, policy_seen)


async def test_of_two_machines_with_the_same_base_one_wins(machine: Machine) -> None:
    one, other = await machine("a"), await machine("b")
    first = await one.create_document("agent", "poet", {"n": 1}, origin="person")
    with pytest.raises(InputError, match="is taken"):
        await other.create_document("agent", "poet", {"n": 9}, origin="person")
    assert await other.document("agent", "poet") == first, "who was refused sees why"

    async def change(store: Store, number: int) -> Document | StaleBase:
        try:
            return await store.activate("agent", "poet", {"n": number}, base=first.version,
                                        origin="person", author=None, reason=None)  # fmt: skip
        except StaleBase as stale:
            return stale

    results = await asyncio.gather(change(one, 2), change(other, 3))
    [won] = [result for result in results if isinstance(result, Document)]
    for store in (one, other):
        assert await store.document("agent", "poet") == won
    with pytest.raises(UnknownName):
        await other.activate("agent", "nobody", {}, base="x", origin="person", author=None,
                             reason=None)  # fmt: skip


async def test_while_supabase_is_away(machine: Machine, supabase: SupabaseServer) -> None:
    store = await machine("a")
    first = await store.create_document("agent", "poet", {"n": 1}, origin="person")
    supabase.stop_rest()
    store.append(Run("r1", "hello", "a", started_at=1e9), message(1, "hi"))
    await store.save_person(Person("U1", "Ada"))
    assert (await store.run("r1")) is not None
    assert await store.document("agent", "poet") == first
    for decision in (
        store.create_document("agent", "other", {}, origin="person"),
        store.activate("agent", "poet", {"n": 2}, base=first.version, origin="person",
                       author=None, reason=None),
        store.policy.add("speak", "mentions", "U1"),
        store.forget("U1"),
        store.erase(),
    ):  # fmt: skip
        with pytest.raises(
            RecordAway, match=r"decided until [\d:]+ UTC counts meanwhile.*Nothing was changed"
        ):
            await decision
    assert (await store.documents("agent"), store.policy.latest()) == ([first], [])
    assert await store.person("U1") == Person("U1", "Ada")
    figures = await store.metrics(RunQuery())
    assert (figures.total.runs, figures.note[:16]) == (1, "Supabase is away")
    assert len(await store.runs(RunQuery())) == 1

    async def noticed() -> bool:
        return (await store.health()).away_since is not None

    await eventually(noticed)
    health = await store.health()
    assert health.waiting >= 3
    assert "cannot be reached" in (health.problem or "")
    assert health.warnings == (), "not yet"
    store._backend._copy.away_since -= 2 * 3600  # type: ignore[attr-defined]
    [warning] = (await store.health()).warnings
    assert "away for 2.0 hours" in warning

    supabase.start_rest()

    async def back() -> bool:
        health = await store.health()
        return health.away_since is None and health.waiting == 0

    await eventually(back)
    assert await all_the_same(store, supabase)
    assert (await store.metrics(RunQuery())).note == ""
    assert (await store.health()).warnings == ()


async def test_a_home_with_a_record_of_its_own_brings_it_along(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    before = Store.open(tmp_path / "a", "T1")
    await fill(before)
    await before.create_document("agent", "both", {"by": "a"}, origin="person")
    await before.close()
    first = await machine("b")
    both = await first.create_document("agent", "both", {"by": "b"}, origin="person")

    store = await machine("a")
    await eventually(lambda: all_the_same(store, supabase))
    assert await store.document("agent", "both") == both, "what is decided there counts"
    assert [d.name for d in await store.documents("runbook")] == ["hers"]
    assert [c.key for c in store.policy.latest()] == ["approvers"]
    again = await machine("a")
    assert await all_the_same(again, supabase)


async def test_forgetting_leaves_the_same_rows_in_both(
    machine: Machine, supabase: SupabaseServer
) -> None:
    store = await machine("a")
    await fill(store)
    await eventually(lambda: all_the_same(store, supabase))
    report = await store.forget("U0ADA")
    assert (report.rows["runs"], report.rows["messages"]) == (4, 3)
    await eventually(lambda: all_the_same(store, supabase))
    everywhere = whole_database(supabase)
    assert "U0ADAM" in everywhere
    assert HERS not in everywhere
    assert "U0ADA" not in everywhere.replace("U0ADAM", "")


def whole_database(server: SupabaseServer) -> str:
    """Every row of every table there is, as text."""
    tables = "select tablename from pg_tables where schemaname = 'public' order by tablename"
    with server.connect() as connection:
        names = [str(name) for (name,) in connection.execute(tables.encode())]
        return "\n".join(
            str(row)
            for name in names
            for row in connection.execute(f"select t::text from public.{name} t".encode())
        )


async def test_who_is_forgotten_on_one_machine_is_forgotten_on_all(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    one, other = await machine("a"), await machine("b")
    await fill(other)
    await eventually(lambda: all_the_same(other, supabase))
    await one.forget("U0ADA")

    async def gone() -> bool:
        words = await other.feedback_on("r5")
        return [f.user_id for f in words] == [None]

    await eventually(gone)
    await eventually(lambda: all_the_same(other, supabase))
    left = b"".join(file.read_bytes() for file in (tmp_path / "b").iterdir())
    assert HERS.encode() not in left
    other.append(Run("new", "back again", "a", started_at=4e9, user_id="U0ADA"))
    await one.forget("U0BOB")
    await eventually(lambda: all_the_same(other, supabase))
    found = await other.run("new")
    assert found is not None
    assert found.request == "back again", "who comes back is not forgotten twice"


async def test_what_was_under_way_elsewhere_names_nobody_there(
    machine: Machine, supabase: SupabaseServer
) -> None:
    one, other = await machine("a"), await machine("b")
    client = SupabaseClient(supabase.url, supabase.secret_key)
    await one.forget("U0ADA")
    run = {"workspace": "T1", "run_id": "r1", "kind": "reply", "audience": "person:U0ADA",
           "agent": "a", "request": HERS, "user_id": "U0ADA", "channel_id": "C1",
           "started_at": 1.7e9}  # fmt: skip
    step = {"workspace": "T1", "run_id": "r1", "position": 0, "kind": "tool", "name": "t",
            "arguments": HERS}  # fmt: skip
    said = {"workspace": "T1", "channel_id": "C1", "ts": "1.0", "thread_ts": "1.0",
            "role": "person", "audience": "public", "text": HERS, "created_at": 1.7e9}  # fmt: skip
    await client.upsert("runs", [run])
    await client.upsert("steps", [step])
    await client.upsert("messages", [{**said, "user_id": "U0ADA", "run_id": None},
                                     {**said, "ts": "2.0", "user_id": None, "run_id": "r1"},
                                     {**said, "ts": "3.0", "user_id": "U0BOB", "run_id": None,
                                      "text": "mine"}])  # fmt: skip
    await client.upsert("feedback", [{"workspace": "T1", "feedback_id": "f:U0ADA", "run_id": "r2",
                                      "kind": "better", "value": -1.0, "weight": 1.0, "text": HERS,
                                      "user_id": "U0ADA", "created_at": 1.7e9}])  # fmt: skip
    everything = repr([there(supabase, table) for table in TABLES])
    assert HERS not in everything
    assert "U0ADA" not in everything
    [kept] = there(supabase, "runs")
    assert (kept["run_id"], kept["agent"], kept["audience"]) == ("r1", "a", "person:[forgotten]")
    assert [row["text"] for row in there(supabase, "messages")] == ["mine"]
    assert other.policy.latest() == []
    await client.close()


async def test_deleting_a_message_reaches_what_another_machine_recorded(
    machine: Machine, supabase: SupabaseServer
) -> None:
    one, other = await machine("a"), await machine("b")
    place = {"channel_id": "C1", "message_ts": "5.000000"}
    step = (Step(0, "tool", "t", {"words": HERS}),)
    one.append(Run("r1", HERS, "a", reply=HERS, started_at=1e9, steps=step, **place))  # type: ignore[arg-type]
    one.append(Run("r2", HERS, "a", kind="shadow", parent_run_id="r1", started_at=1e9))
    await one.runs(RunQuery())
    await other.delete_message("C1", "5.000000")
    await other.runs(RunQuery())
    assert HERS not in repr([there(supabase, table) for table in TABLES])
    late = Run("r3", HERS, "a", reply=HERS, started_at=1e9, steps=step, **place)  # type: ignore[arg-type]
    one.append(late)
    await one.runs(RunQuery())
    assert HERS not in repr([there(supabase, table) for table in TABLES])


async def test_old_texts_go_there_too(machine: Machine, supabase: SupabaseServer) -> None:
    one, other = await machine("a"), await machine("b")
    await fill(one)
    one.append(Run("new", "still here", "a", started_at=1.8e9))
    await eventually(lambda: all_the_same(one, supabase))
    done = await other.purge(1_750_000_000.0)
    assert (done["messages"], done["runs"], done["feedback"]) == (4, 3, 2)
    timed = [row for row in there(supabase, "runs") if row["started_at"]]
    words = repr([timed, *(there(supabase, t) for t in ("steps", "messages", "feedback"))])
    assert HERS not in words
    assert "still here" in words
    await one.purge(1_750_000_000.0)
    await eventually(lambda: all_the_same(one, supabase))


async def test_a_workspace_is_erased_there_too(machine: Machine, supabase: SupabaseServer) -> None:
    store = await machine("a")
    await fill(store)
    await eventually(lambda: all_the_same(store, supabase))
    with supabase.connect() as connection:
        connection.execute("insert into public.people values ('T2', 'U1', 'Ada', '{}')")
    assert (await store.erase())["runs"] == 5
    every = (*TABLES, *DERIVED)
    assert {table: there(supabase, table) for table in every if there(supabase, table)} == {
        "people": [{"workspace": "T2", "user_id": "U1", "name": "Ada", "settings": "{}"}]
    }


async def test_the_record_numbers_runs_in_the_order_in_which_they_become_visible(
    supabase: SupabaseServer,
) -> None:
    """A reader that has seen up to a number never finds a smaller one later."""
    client = SupabaseClient(supabase.url, supabase.secret_key)
    seen: list[int] = []
    run = {"workspace": "T1", "kind": "reply", "audience": "public", "agent": "a", "request": "q"}

    async def write(writer: int) -> None:
        for n in range(10):
            batch = [{**run, "run_id": f"{writer}/{n}/{m}"} for m in range(40)]
            await client.upsert("runs", batch)

    async def read() -> None:
        for _ in itertools.count():
            after = seen[-1] if seen else 0
            page = await client.call("page_of_runs", read=True, p_workspace="T1", after=after,
                                     of_user=None, page=1000)  # fmt: skip
            seen.extend(row["seq"] for row in page)
            if len(seen) >= 1600:
                return

    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(write(n) for n in range(4)), read())
    assert len(set(seen)) == 1600
    await client.close()


QUERIES = (
    RunQuery(),
    RunQuery(kinds=("task", "shadow")),
    RunQuery(agent="a1"),
    RunQuery(audiences=frozenset({"public", "channel:C1"})),
    RunQuery(user_id="U1"),
    RunQuery(since=3 * 86_400.0),
    RunQuery(since=2.5 * 86_400, until=6.25 * 86_400),
    RunQuery(until=5 * 86_400.0, audiences=frozenset()),
)


async def test_figures_from_counted_days_are_those_of_the_runs(
    supabase: SupabaseServer, tmp_path: Path
) -> None:
    chance = random.Random(7)
    client = SupabaseClient(supabase.url, supabase.secret_key)
    store = Store.open(tmp_path, "T1", client)

    def run(n: int) -> Run:
        good = Outcome(True, source="check")
        judged = chance.choice((Outcome(), good, Outcome(False, source="user")))
        at = chance.choice((None, chance.uniform(0, 9) * 86_400))
        return Run(f"r{n}", "q", f"a{n % 3}", kind=chance.choice(("reply", "reply", "task")),
                   started_at=at, duration_ms=float(chance.randrange(5000)), outcome=judged,
                   user_id=f"U{n % 4}", cost_usd=chance.choice((None, 0.25)), input_tokens=n,
                   audience=chance.choice(("public", "channel:C1", "person:U1")))  # fmt: skip

    def said(n: int, of: int) -> Feedback:
        return Feedback(f"f{of}/{n}", f"r{n}", chance.choice(("rating", "better", "reaction")),
                        chance.choice((-1.0, 1.0)), text="x", user_id=f"U{n % 3}",
                        created_at=chance.uniform(0, 9) * 86_400)  # fmt: skip

    async def same() -> None:
        for query in QUERIES:
            assert await store.metrics(query) == await store._local.metrics(query), query

    async def count() -> int:
        counted = 0
        while await client.call("count_day", p_workspace="T1"):
            counted += 1
        return counted

    ratings = [said(chance.randrange(220), n) for n in range(150)]
    store.append(*(run(n) for n in range(200)), *ratings)
    await same()
    assert await count() == 10
    await same()
    store.append(run(500), *(said(chance.randrange(200), n) for n in range(150, 160)))
    await same()
    assert 0 < await count() <= 10
    await same()
    await store.forget("U1")
    await same()
    await count()
    await same()
    assert "U1" not in repr(there(supabase, "day_counts"))
    await store.close()
    await client.close()


async def test_many_documents_and_their_versions_are_brought_along(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    before = Store.open(tmp_path / "a", "T1")
    for n in range(250):
        first = await before.create_document("agent", f"agent-{n}", {"n": n}, origin="person")
        if n % 2:
            await before.activate("agent", f"agent-{n}", {"n": -n}, base=first.version,
                                  origin="person", author=None, reason=None)  # fmt: skip
    await before.close()
    store = await machine("a")
    await eventually(lambda: all_the_same(store, supabase))
    other = await machine("b")
    assert await other.documents("agent") == await store.documents("agent")
    assert len(await other.documents("agent")) == 250


async def test_who_answered_last_in_a_thread_is_known_without_asking(
    machine: Machine, supabase: SupabaseServer
) -> None:
    """A reply waits for it: also while Supabase takes requests and answers none."""
    store = await machine("a")
    place = {"channel_id": "C1", "thread_ts": "1.0"}
    for n, agent in enumerate(("one", "two", "other")):
        kind = "task" if agent == "other" else "reply"
        store.append(Run(f"r{n}", "q", agent, kind=kind, started_at=1e9 + n, **place))  # type: ignore[arg-type]
    asked = store._backend._client.call  # type: ignore[attr-defined]
    store._backend._client.call = None  # type: ignore[attr-defined]
    assert await store.last_agent("C1", "1.0") == "two"
    assert await store.last_agent("C1", "2.0") is None
    store._backend._client.call = asked  # type: ignore[attr-defined]
