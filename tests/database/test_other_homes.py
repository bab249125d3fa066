"""Several homes with one record, and a home that leaves it and comes back (on lite)."""

import json
from pathlib import Path

from database.records import Document, Feedback, Person, Run, RunQuery, Step
from database.store import Store
from database.supabase_client import SupabaseClient
from tests.database.machines import (
    TABLES,
    Machine,
    all_the_same,
    eventually,
    here,
    there,
)
from tests.database.test_forgetting import HERS, bytes_of, message
from tests.supabase_server.server import SupabaseServer

DECIDED = ("documents", "policy", "people")


async def alone(home: Path) -> Store:
    """The store of a home where Supabase is not configured."""
    store = Store.open(home, "T1")
    await store.start()
    return store


def everything(server: SupabaseServer) -> str:
    return repr([there(server, table) for table in TABLES])


async def fill(store: Store) -> None:
    """What she said and made, and what others said of her."""
    store.append(
        Run("r1", HERS, "a", started_at=1e9, user_id="U0ADA", channel_id="C1", reply=HERS,
            steps=(Step(0, "tool", "t", {"words": HERS}),)),
        Run("r2", HERS, "b", kind="shadow", parent_run_id="r1", started_at=1e9),
        Run("r5", "what did <@U0ADA> say?", "a", started_at=1e9, user_id="U0BOB"),
        message(0, HERS),
        message(1, f"so {HERS}", None, run_id="r1"),
        message(3, "hello <@U0ADA>, said U0ADAM", "U0BOB"),
        Feedback("f1", "r5", "better", -1.0, text=HERS, user_id="U0ADA", created_at=1.0),
    )  # fmt: skip
    await store.save_person(Person("U0ADA", "Ada", {"about": HERS}))
    await store.save_person(Person("U0BOB", "Bob"))
    await store.policy.add("approvers", "U0ADA,U0BOB", "U0ADA")
    await store.create_document("agent", "poet", {"p": "rhyme"}, origin="person", author="U0ADA")


async def her_documents(store: Store) -> None:
    """All that names her is what she made, and what others said of her."""
    await store.create_document(
        "runbook", "hers", {"say": HERS}, origin="person", author="U0ADA", reason=HERS
    )
    await store.create_document(
        "runbook", "private", {"say": HERS}, origin="person", author="U0BOB",
        audience="person:U0ADA",
    )  # fmt: skip
    await store.create_document("agent", "poet", {"p": "rhyme"}, origin="person", author="U0ADA")
    await store.policy.add("approvers", "U0ADA,U0BOB", "U0ADA")
    store.append(message(7, "ask <@U0ADA>", "U0BOB"))


async def test_a_home_that_comes_late_brings_nobody_back_who_was_forgotten(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    """Its own documents are new there; she is in none of its runs."""
    before = await alone(tmp_path / "b")
    await her_documents(before)
    await before.close()
    one = await machine("a")
    await one.forget("U0ADA")
    other = await machine("b")
    await eventually(lambda: all_the_same(other, supabase))
    assert HERS not in everything(supabase)
    assert "U0ADA" not in everything(supabase)
    [poet] = await other.documents("agent")
    assert (poet.author, poet.body) == (None, {"p": "rhyme"})

    async def wiped() -> bool:
        left = bytes_of(tmp_path / "b")
        return HERS.encode() not in left and b"U0ADA" not in left

    await eventually(wiped)


async def test_what_a_home_brings_of_somebody_forgotten_is_emptied_as_it_arrives(
    machine: Machine, supabase: SupabaseServer
) -> None:
    """It did not know when it sent: the record sees to it."""
    one = await machine("a")
    await one.forget("U0ADA")
    client = SupabaseClient(supabase.url, supabase.secret_key)
    base = {"workspace": "T1", "number": 1, "version": "v", "audience": "public", "base": None,
            "body": json.dumps({"say": HERS}), "origin": "person", "author": "U0ADA",
            "reason": HERS, "created_at": 1.0, "active": True}  # fmt: skip
    documents = [
        {**base, "kind": "runbook", "name": "hers"},
        {**base, "kind": "agent", "name": "poet", "body": '{"p": "rhyme"}'},
        {**base, "kind": "runbook", "name": "own", "author": "U0B", "audience": "person:U0ADA"},
    ]
    policy = [{"seq": 1, "key": "speak", "value": "all", "set_by": "U0ADA", "set_at": 1.0}]
    await client.call("adopt_decisions", p_workspace="T1", documents=documents, policy=policy)
    await client.close()
    assert HERS not in everything(supabase)
    assert "U0ADA" not in everything(supabase)
    kept = {row["name"]: (row["body"], row["active"]) for row in there(supabase, "documents")}
    assert kept == {
        "hers": (None, False), "poet": ('{"p": "rhyme"}', True), "own": (None, False)
    }  # fmt: skip


async def test_what_is_under_way_in_other_homes_is_forgotten_too(
    machine: Machine, supabase: SupabaseServer
) -> None:
    one, other = await machine("a"), await machine("b")
    heard: list[str] = []

    async def follow(user_id: str) -> None:
        heard.append(user_id)

    await other.follow_forgetting(follow)
    await fill(other)
    await eventually(lambda: all_the_same(other, supabase))
    await one.forget("U0ADA")

    async def followed() -> bool:
        return heard == ["U0ADA"]

    await eventually(followed)
    later: list[str] = []

    async def too_late(user_id: str) -> None:
        later.append(user_id)

    await other.follow_forgetting(too_late)
    assert later == ["U0ADA"]


async def test_feedback_of_the_forgotten_has_one_name_everywhere(
    machine: Machine, supabase: SupabaseServer
) -> None:
    one, other = await machine("a"), await machine("b")
    for user in ("U0ADA", "U0BOB"):
        one.append(Feedback(f"r1:{user}", "r1", "rating", 1.0, user_id=user, created_at=1.0))
    await eventually(lambda: all_the_same(one, supabase))
    await one.forget("U0ADA")
    await one.forget("U0BOB")
    late = Feedback("r2:U0ADA", "r2", "rating", 1.0, user_id="U0ADA", created_at=1.0)
    other._local.append([late])
    other._backend.appended()
    await eventually(lambda: one_less(one, supabase))
    names = [row["feedback_id"] for row in there(supabase, "feedback")]
    assert len(names) == 3
    assert "U0" not in repr(names)


async def one_less(store: Store, server: SupabaseServer) -> bool:
    return len(there(server, "feedback")) == len(here(store, "feedback")) + 1


# A home where Supabase is configured no more


async def test_a_home_that_is_left_says_so_and_goes_on_queueing(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    store = await machine("a")
    await store.close()
    left = await alone(tmp_path / "a")
    assert (await left.health()).warnings == ()
    left.append(Run("r1", "q", "a", started_at=1e9), message(1, "hi"))
    health = await left.health()
    assert (health.supabase, health.waiting) == (False, 2)
    [warning] = health.warnings
    assert "2 changes wait for Supabase, which is not configured here any more" in warning
    assert "`virtuous6 outbox off`" in warning
    await left.close()
    back = await machine("a")
    await eventually(lambda: all_the_same(back, supabase))


async def test_switched_off_and_on_again_what_changed_meanwhile_is_sent(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    store = await machine("a")
    await fill(store)
    store.append(Run("old", "q", "a", started_at=1e9))
    poet = await store.document("agent", "poet")
    both = await store.create_document("agent", "both", {"n": 1}, origin="person")
    assert poet is not None
    await eventually(lambda: all_the_same(store, supabase))
    await store.close()

    off = await alone(tmp_path / "a")
    off.append(Run("gone", "q", "a", started_at=1e9))
    assert off.stop_sending() == 1
    assert (await off.health()).warnings == ()
    off.append(Run("meanwhile", "q", "a", started_at=1e9), message(9, "said meanwhile", "U0BOB"))
    await off.delete_message("C1", message(3, "").ts)
    await off.save_person(Person("U0EVE", "Eve"))
    for n in (2, 3):
        base = (await off.document("agent", "poet")) or poet
        await off.activate("agent", "poet", {"n": n}, base=base.version, origin="person",
                           author="U0BOB", reason=None)  # fmt: skip
    await off.activate("agent", "both", {"n": "here"}, base=both.version, origin="person",
                       author="U0BOB", reason=None)  # fmt: skip
    await off.policy.add("speak", "mentions", "U0BOB")
    await off.forget("U0ADA")
    assert off.outbox.last() == 0, "nothing is queued"
    await off.close()

    elsewhere = await machine("b")
    theirs = await elsewhere.activate("agent", "both", {"n": "there"}, base=both.version,
                                      origin="person", author="U0EVE", reason=None)  # fmt: skip
    assert HERS in everything(supabase)
    on = await machine("a")
    await eventually(lambda: all_the_same(on, supabase))
    assert HERS not in everything(supabase), "who was forgotten meanwhile is forgotten there"
    assert "U0ADA" not in everything(supabase).replace("U0ADAM", "")
    assert {"gone", "meanwhile"} <= {run.run_id for run in await on.runs(RunQuery())}
    history = await elsewhere_has(elsewhere, 3)
    assert [document.body for document in history][1:] == [{"n": 2}, {"n": 3}]
    assert history[-1].active
    assert await on.document("agent", "both") == theirs, "what was decided there comes first"
    assert {c.key: c.value for c in on.policy.latest()}["speak"] == "mentions"
    assert [p.name for p in await on.people()] == ["Bob", "Eve"]


async def elsewhere_has(store: Store, versions: int) -> list[Document]:
    async def arrived() -> bool:
        return len(await store.history("agent", "poet")) == versions

    await eventually(arrived)
    return await store.history("agent", "poet")


async def test_a_home_that_never_was_connected_changes_nothing_that_is_decided_there(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    one = await machine("a")
    await fill(one)
    first = await one.document("agent", "poet")
    assert first is not None
    await eventually(lambda: all_the_same(one, supabase))
    own = await alone(tmp_path / "b")
    await own.create_document("agent", "poet", dict(first.body), origin="person")
    await own.activate("agent", "poet", {"n": "mine"}, base=first.version, origin="person",
                       author="U0EVE", reason=None)  # fmt: skip
    await own.policy.add("approvers", "U0EVE", "U0EVE")
    await own.forget("U0BOB")
    await own.close()
    other = await machine("b")

    async def alike() -> bool:
        return all(here(other, table) == there(supabase, table) for table in DECIDED)

    await eventually(alike)
    assert await other.document("agent", "poet") == first
    assert [c.value for c in other.policy.latest()] == ["U0ADA,U0BOB"]
    assert "U0BOB" in everything(supabase)
    await other.close()
    other = await machine("b")
    await eventually(alike)
    whose = {row["user_id"] for row in there(supabase, "runs")}
    assert "U0BOB" in whose, "nor when it is connected again"
