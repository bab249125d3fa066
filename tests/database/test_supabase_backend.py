"""With Supabase: what happens gets there, what is decided there shows everywhere (on lite)."""

import asyncio
import itertools
import random
from pathlib import Path

import pytest

from database.errors import InputError, RecordAway, StaleBase, UnknownName
from database.records import Document, Feedback, Outcome, Person, Run, RunQuery, Step, TaskType
from database.store import Store
from database.supabase_client import SupabaseClient
from tests.database.machines import TABLES, Machine, all_the_same, eventually, there
from tests.database.test_forgetting import fill, message
from tests.patience import PATIENCE_S
from tests.supabase_server.server import SupabaseServer


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
