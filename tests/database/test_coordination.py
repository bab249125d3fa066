"""What is on its way is on disk, encrypted, once and in order."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from database.coordination import Coordination, KeptPost, OutgoingPost
from database.engine import ENGINE, KEPT_SECONDS, KEY_FILE
from database.errors import ConfigurationError, StoreError, UnknownName
from tests.clock import Clock


@pytest.fixture
async def engine(tmp_path: Path, clock: Clock) -> AsyncIterator[Coordination]:
    opened = Coordination.open(tmp_path, clock=clock)
    yield opened
    await opened.close()


async def test_an_event_is_accepted_once_and_kept_in_order(engine: Coordination) -> None:
    assert await engine.accept("e2", "T", b"second")
    assert await engine.accept("e1", "T", b"first")
    assert not await engine.accept("e2", "T", b"again")
    rows = await engine.pending()
    assert [(row.event_key, row.thread_key, row.payload) for row in rows] == [
        ("e2", "T", b"second"),
        ("e1", "T", b"first"),
    ]


async def test_what_is_done_is_deleted_but_known(
    engine: Coordination, tmp_path: Path, clock: Clock
) -> None:
    await engine.accept("e1", "T", b"hello")
    await engine.done("e1")
    await engine.done("never came")
    assert await engine.pending() == []
    with contextlib.closing(sqlite3.connect(tmp_path / ENGINE)) as connection:
        assert connection.execute("SELECT payload FROM inbox").fetchall() == [(None,)]
    assert not await engine.accept("e1", "T", b"hello")
    clock.now += KEPT_SECONDS + 1
    await engine.accept("e2", "T", b"hello")
    await engine.done("e2")
    assert await engine.accept("e1", "T", b"hello")


async def test_accepted_survives_without_closing(tmp_path: Path) -> None:
    crashed = Coordination.open(tmp_path)
    await crashed.accept("e1", "T", b"hello")
    after = Coordination.open(tmp_path)
    assert [row.payload for row in await after.pending()] == [b"hello"]
    await after.close()
    await crashed.close()


async def test_many_at_once_are_each_accepted_once(engine: Coordination) -> None:
    keys = [f"e{n % 100}" for n in range(300)]
    accepted = await asyncio.gather(*(engine.accept(key, "T", b"x") for key in keys))
    assert sum(accepted) == 100
    assert accepted[:100] == [True] * 100
    assert [row.event_key for row in await engine.pending()] == keys[:100]


async def test_a_cancelled_caller_does_not_stop_the_others(engine: Coordination) -> None:
    first = asyncio.create_task(engine.accept("e1", "T", b"x"))
    second = asyncio.create_task(engine.accept("e2", "T", b"x"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert "e2" in [row.event_key for row in await engine.pending()]


async def test_a_failed_write_reaches_its_caller_and_the_next_succeeds(
    engine: Coordination,
) -> None:
    with pytest.raises((StoreError, UnknownName)):
        await engine.note_post("nothing", "sent")
    assert await engine.accept("e1", "T", b"x")


async def test_no_text_is_readable_on_disk(engine: Coordination, tmp_path: Path) -> None:
    await engine.accept("e1", "T", b"a very private matter")
    await engine.queue_post("p1", "C1", b"another private matter")
    data = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"private matter" not in data
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


async def test_the_key_file_is_made_once(tmp_path: Path) -> None:
    for _ in range(2):
        engine = Coordination.open(tmp_path)
        await engine.accept("e1", "T", b"hello")
        assert [row.payload for row in await engine.pending()] == [b"hello"]
        await engine.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == [ENGINE, KEY_FILE]


async def test_another_key_is_explained(tmp_path: Path) -> None:
    first = Coordination.open(tmp_path, Fernet.generate_key().decode())
    await first.accept("e1", "T", b"hello")
    await first.close()
    assert not (tmp_path / KEY_FILE).exists()
    second = Coordination.open(tmp_path, Fernet.generate_key().decode())
    with pytest.raises(ConfigurationError, match="Set VIRTUOUS6_SECRET_KEY to the former one"):
        await second.pending()
    await second.close()


def test_a_key_that_is_none_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="VIRTUOUS6_SECRET_KEY is not a key"):
        Coordination.open(tmp_path, "secret")


async def test_sends_are_noted_in_order(engine: Coordination) -> None:
    await engine.note_send("r1", "intended")
    await engine.note_send("r2", "intended")
    await engine.note_send("r1", "sent", "1700000000.000100")
    assert [(send.state, send.ts) for send in await engine.sends("r1")] == [
        ("intended", None),
        ("sent", "1700000000.000100"),
    ]


async def test_a_complete_answer_is_kept_encrypted_until_it_is_settled(
    engine: Coordination, tmp_path: Path
) -> None:
    keeping = engine.note_send("r1", "answer", body=b"green tea for U1")
    await engine.note_send("r1", "intent")
    assert keeping.done(), "what is queued is on disk in order"
    assert [send.body for send in await engine.sends("r1")] == [b"green tea for U1", None]
    assert b"green tea" not in b"".join(file.read_bytes() for file in tmp_path.glob("engine*"))
    await engine.note_send("r2", "answer", body=b"coffee for U2")
    assert await engine.forget("U2") == 1
    await engine.settle_sends("r1")
    assert [send.body for send in await engine.sends("r1") + await engine.sends("r2")] == [None] * 3


async def test_posts_wait_until_they_are_sent_or_failed(engine: Coordination) -> None:
    assert await engine.queue_post("p1", "C1", b"one")
    assert await engine.queue_post("p2", "C1", b"two")
    assert not await engine.queue_post("p1", "C1", b"again")
    await engine.note_post("p1", "sending")
    assert await engine.posts() == [
        OutgoingPost("p1", "C1", b"one", "sending"),
        OutgoingPost("p2", "C1", b"two", "waiting"),
    ]
    await engine.note_post("p1", "sent", "1700000000.000100")
    await engine.note_post("p2", "failed")
    assert await engine.posts() == []
    assert not await engine.queue_post("p1", "C1", b"again")


async def test_a_kept_post_and_what_it_shows_are_known_for_ever(
    engine: Coordination, clock: Clock
) -> None:
    assert await engine.queue_post("card", "C1", b"one")
    assert await engine.knows_post("card")
    await engine.note_post("card", "sent", "1.1")
    await engine.keep_post("card", "C1", "1.1", "card")
    await engine.keep_post("card", "C1", "1.1", "card:2")
    await engine.keep_post("card@U1", "D1", "1.2", "card@U1")
    clock.now += 3 * 86_400
    await engine.accept("e1", "T", b"x")
    await engine.done("e1")
    assert await engine.kept_post("card") == KeptPost("card", "C1", "1.1", "card:2")
    assert not await engine.queue_post("card", "C1", b"again")
    assert not await engine.queue_post("card:2", "C1", b"again")
    assert await engine.queue_post("card:3", "C1", b"new")
    assert not await engine.knows_post("card:4")
    await engine.forget("U1")
    assert [kept.post_id for kept in await engine.kept_posts()] == ["card"]


async def test_a_claim_is_for_one_until_it_ends(
    engine: Coordination, tmp_path: Path, clock: Clock
) -> None:
    other = Coordination.open(tmp_path, clock=clock)
    assert await engine.claim("click 1", 10)
    assert not await other.claim("click 1", 10)
    assert await other.claim("click 2", 10)
    clock.now += 11
    claimed = await asyncio.gather(engine.claim("click 1", 10), other.claim("click 1", 10))
    assert sorted(claimed) == [False, True]
    await other.close()


async def test_what_a_wrong_clock_claimed_is_free_once_it_is_right(
    engine: Coordination, clock: Clock
) -> None:
    clock.now += 30 * 86_400
    assert await engine.claim("lease", 60)
    clock.now -= 30 * 86_400
    assert await engine.claim("lease", 60)
    clock.now -= 5  # as clocks are put right now and then
    assert not await engine.claim("lease", 60)


async def test_what_others_have_by_now_is_neither_kept_nor_let_go(
    engine: Coordination, tmp_path: Path, clock: Clock
) -> None:
    other = Coordination.open(tmp_path, clock=clock)
    assert await engine.claim("lease", 60)
    assert await engine.renew("lease", 60)
    assert not await other.renew("lease", 60)
    await other.release("lease")
    assert not await other.claim("lease", 60)
    clock.now += 61
    assert await other.claim("lease", 60)
    assert not await engine.renew("lease", 60)
    await engine.release("lease")
    assert not await engine.claim("lease", 60)
    await other.release("lease")
    assert await engine.claim("lease", 60)
    await other.close()


async def test_workspaces_do_not_see_each_other(engine: Coordination, tmp_path: Path) -> None:
    other = Coordination.open(tmp_path, workspace="T2")
    await engine.accept("e1", "T", b"x")
    assert await other.accept("e1", "T", b"y")
    assert [row.payload for row in await other.pending()] == [b"y"]
    assert await other.claim("c", 10)
    assert await engine.claim("c", 10)
    await other.close()
