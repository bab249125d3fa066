"""With Supabase: who is forgotten, and what is deleted, is gone there and on every machine."""

from dataclasses import replace
from pathlib import Path

from database.learning import Change, Decision, Proposal
from database.records import Run, RunQuery, Step
from database.supabase_client import SupabaseClient
from tests.database.machines import DERIVED, TABLES, Machine, all_the_same, eventually, there
from tests.database.test_forgetting import HERS, fill
from tests.supabase_server.server import SupabaseServer


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


async def test_old_texts_of_learning_go_on_all_machines(
    machine: Machine, supabase: SupabaseServer
) -> None:
    one, other = await machine("a"), await machine("b")
    changes = (Change("agent", "poet", None, {"say": HERS, "ü": "☀"}),)
    made = Proposal("p1", "l", "title", "why", changes, {"runs": ["r1"], "quote": HERS},
                    state="rejected", moved_at=1e9)  # fmt: skip
    await one.decide(Decision((made, replace(made, proposal_id="p2", state="verified"))))
    assert (await one.purge(1.5e9))["proposals"] == 2
    await eventually(lambda: all_the_same(one, supabase))
    await eventually(lambda: all_the_same(other, supabase))
    for store in (one, other):
        found = {p.proposal_id: p for p in await store.proposals()}
        assert [p.evidence for p in found.values()] == [{"runs": ["r1"]}] * 2
        assert found["p1"].changes == (replace(changes[0], body={}, forgotten=changes[0].version),)
        assert found["p2"].changes == changes


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
