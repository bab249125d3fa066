"""Versions are immutable, one is active, and a change made from an old one is refused."""

import asyncio
import multiprocessing
import sqlite3
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from database.errors import InputError, StaleBase, UnknownName
from database.records import Document, content_hash
from database.store import RECORD, Store
from tests.patience import PATIENCE_S


async def create(store: Store, body: dict[str, object]) -> Document:
    return await store.create_document("agent", "poet", body, origin="shipped", reason="first")


async def change(store: Store, body: dict[str, object], base: str) -> Document:
    return await store.activate(
        "agent", "poet", body, base=base, origin="person", author="U1", reason="better"
    )


async def test_the_first_version(store: Store) -> None:
    made = await create(store, {"prompt": "rhyme"})
    assert (made.number, made.active, made.base, made.reason) == (1, True, None, "first")
    assert made.version == content_hash({"prompt": "rhyme"})
    assert made.created_at > 1e9
    assert await store.document("agent", "poet") == made
    assert await store.documents("agent") == [made]
    assert await store.documents("runbook") == []


async def test_a_taken_name_is_refused(store: Store) -> None:
    await create(store, {"prompt": "rhyme"})
    with pytest.raises(InputError, match="name poet is taken or reserved; choose another"):
        await create(store, {"prompt": "else"})
    assert len(await store.history("agent", "poet")) == 1


async def test_a_change_makes_a_new_active_version(store: Store) -> None:
    first = await create(store, {"prompt": "rhyme"})
    second = await change(store, {"prompt": "rhyme well"}, first.version)
    assert (second.number, second.base, second.author) == (2, first.version, "U1")
    assert await store.document("agent", "poet") == second
    old = await store.document("agent", "poet", first.version)
    assert old is not None
    assert (old.body, old.active) == ({"prompt": "rhyme"}, False)
    assert [d.number for d in await store.history("agent", "poet")] == [1, 2]


async def test_a_stale_base_is_refused(store: Store) -> None:
    first = await create(store, {"n": 1})
    second = await change(store, {"n": 2}, first.version)
    with pytest.raises(StaleBase, match="changed in the meantime"):
        await change(store, {"n": 3}, first.version)
    assert await store.document("agent", "poet") == second
    with pytest.raises(UnknownName, match="no agent called nobody"):
        await store.activate(
            "agent", "nobody", {}, base="x", origin="person", author=None, reason=None
        )


async def test_going_back_takes_up_the_earlier_version(store: Store) -> None:
    first = await create(store, {"n": 1})
    second = await change(store, {"n": 2}, first.version)
    back = await change(store, {"n": 1}, second.version)
    assert back == first
    assert len(await store.history("agent", "poet")) == 2
    assert [d.version for d in await store.documents("agent")] == [first.version]


async def test_the_audience_of_a_document_goes_on(store: Store) -> None:
    first = await store.create_document(
        "runbook", "r", {"n": 1}, origin="person", audience="person:U1"
    )
    second = await store.activate(
        "runbook", "r", {"n": 2}, base=first.version, origin="person", author="U1", reason=None
    )
    assert second.audience == "person:U1"


async def test_changes_are_noticed_across_stores(store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path, "T1")
    seen = other.documents_changed()
    first = await create(store, {"n": 1})
    assert other.documents_changed() != seen
    seen = other.documents_changed()
    assert other.documents_changed() == seen
    await change(store, {"n": 2}, first.version)
    assert other.documents_changed() != seen
    await other.close()


async def test_the_database_itself_allows_one_active_version(store: Store, tmp_path: Path) -> None:
    first = await create(store, {"n": 1})
    await change(store, {"n": 2}, first.version)
    connection = sqlite3.connect(tmp_path / RECORD)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE documents SET active = 1")
    connection.close()


def activate_in_another_process(home: Path, base: str, number: int, pipe: Connection) -> None:
    async def attempt() -> str:
        store = Store.open(home, "T1")
        pipe.send("ready")
        pipe.recv()
        try:
            await change(store, {"n": number}, base)
        except StaleBase:
            return "stale"
        finally:
            await store.close()
        return "won"

    pipe.send(asyncio.run(attempt()))


async def test_of_two_processes_with_the_same_base_one_wins(store: Store, tmp_path: Path) -> None:
    first = await create(store, {"n": 1})
    context = multiprocessing.get_context("spawn")
    pipes = []
    for number in (2, 3):
        ours, theirs = context.Pipe()
        process = context.Process(
            target=activate_in_another_process, args=(tmp_path, first.version, number, theirs)
        )
        process.start()
        pipes.append((ours, process))
    for ours, _ in pipes:
        assert ours.recv() == "ready"
    for ours, _ in pipes:
        ours.send("go")
    assert sorted(ours.recv() for ours, _ in pipes) == ["stale", "won"]
    for _, process in pipes:
        process.join(timeout=PATIENCE_S)
    assert len(await store.history("agent", "poet")) == 2
