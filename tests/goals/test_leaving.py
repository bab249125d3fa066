"""Forgetting somebody, a workspace that leaves, goals that grow old: nothing stays of them."""

import asyncio
import threading
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from database.errors import (
    StaleRevision,
    UnknownName,
)
from database.goals import NOTHING
from goals import tables
from goals.ledger import Goals, Ledger
from tests.goals.kept import HERS, bytes_of, every_text, fill, goal, task
from tests.patience import PATIENCE_S
from tests.postgres import Postgres


async def test_forgetting_deletes_a_persons_goals_and_their_name_in_others(
    ledger: Ledger, goals: Goals
) -> None:
    await fill(goals)
    hers, his = await goals.goal("g1"), await goals.goal("g2")
    assert hers is not None
    assert his is not None
    _, cursor = await goals.changed(None)
    assert await goals.forget("U0ADA") == 3
    left = await every_text(goals)
    assert HERS not in left
    assert "U0ADA" not in left.replace("U0ADAM", "")
    assert "U0ADAM" in left
    assert await goals.goals("U0ADA") == []
    assert (await goals.use_today("U0ADA")).held == NOTHING
    with pytest.raises(UnknownName):
        await goals.move(hers)
    with pytest.raises(StaleRevision):
        await goals.move(his)
    assert [one.goal_id for one in (await goals.changed(cursor))[0]] == ["g2"], "it is shown anew"
    assert [one.key for one in await ledger.waiting_enqueue(-1.0)] == ["t1"], "only his"
    assert await goals.forget("U0ADA") == 0


async def test_old_goals_go_and_those_under_way_stay(goals: Goals) -> None:
    made = {
        "old": replace(goal("old"), state="done", ended_at=500.0),
        "new": replace(goal("new"), state="done", ended_at=2000.0),
        "runs": goal("runs"),
        "waits": replace(goal("waits"), state="waiting"),
        "waits not long": replace(goal("waits not long"), state="waiting", created_at=1500.0),
        "asked": replace(goal("asked"), state="proposed"),
    }
    for one in made.values():
        await goals.create(one)
    assert await goals.retention(1000.0) == 3
    assert {one.goal_id for one in await goals.goals()} == {"new", "runs", "waits not long"}
    assert await goals.retention(1000.0) == 0


async def test_a_workspace_that_leaves_leaves_nothing(ledger: Ledger, goals: Goals) -> None:
    await fill(goals)
    await ledger.of("T2").create(goal())
    assert await goals.erase() == 2
    assert await goals.goals() == []
    assert (await goals.use_today("U0ADA")).held == NOTHING
    assert len(await ledger.waiting_enqueue(-1.0)) == 0
    assert await ledger.of("T2").goal("g1") is not None


class Slow(Ledger):
    """A ledger that stops in the middle of a move until it may go on."""

    in_the_middle: threading.Event
    go_on: threading.Event

    def seal(self, body: bytes) -> bytes:
        self.in_the_middle.set()
        assert self.go_on.wait(PATIENCE_S)
        return super().seal(body)


@pytest.mark.parametrize("what", ["hers is forgotten", "she is in his", "all is erased"])
async def test_what_moves_while_others_are_deleted_is_neither_lost_nor_left(
    tmp_path: Path, postgres: Postgres, what: str
) -> None:
    """On Postgres two may write at once: somebody is forgotten while a goal moves."""
    url = postgres.database()
    ledger, slow = Ledger.open(tmp_path, url), Slow.open(tmp_path, url)
    slow.in_the_middle, slow.go_on = threading.Event(), threading.Event()
    goals = ledger.of("T1")
    made = replace(goal(user="U0BOB" if "his" in what else "U0ADA"), request="ask U0ADA")
    await goals.create(made)
    moved = replace(made, title="moved", tasks=(task(1, "queued", 1),))
    moving = asyncio.create_task(slow.of("T1").move(moved))
    assert await asyncio.to_thread(slow.in_the_middle.wait, PATIENCE_S)
    ends = goals.erase() if "all" in what else goals.forget("U0ADA")
    ending = asyncio.create_task(ends)
    await asyncio.to_thread(until_somebody_waits, url)
    slow.go_on.set()
    await moving
    await ending
    left = await goals.goal("g1")
    under_way = [one.key for one in await ledger.waiting_enqueue(-1.0)]
    if "his" in what:
        assert left is not None
        assert (left.title, "U0ADA" in left.request, under_way) == ("moved", False, ["t1"])
    else:
        assert (left, under_way) == (None, [])
    await ledger.close()
    await slow.close()


def until_somebody_waits(url: str) -> None:
    """Until one transaction waits for another's lock."""
    with psycopg.connect(url, autocommit=True) as connection:
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
            if row and row[0]:
                return
            time.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_every_text_column_has_a_rule(ledger: Ledger, goals: Goals) -> None:
    await goals.create(goal())
    sql = (
        """SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = 'virtuous6' AND data_type IN ('text', 'bytea')"""
        if ledger.sql.postgres
        else """SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
            WHERE m.type = 'table' AND c.type IN ('TEXT', 'BLOB')"""
    )
    found = {(row[0], row[1]) for row in await ledger.sql.do(lambda t: t.rows(sql))}
    ruled = {(table, name) for table, rules in tables.FORGET_RULES.items() for name in rules}
    assert found == ruled


async def test_after_forgetting_no_byte_is_left(tmp_path: Path) -> None:
    """Not even of what was sealed."""
    ledger = Ledger.open(tmp_path)
    goals = ledger.of("T1")
    await fill(goals)
    rows = await ledger.sql.do(
        lambda t: t.rows("SELECT body FROM goals") + t.rows("SELECT body FROM journal")
    )
    digest = goals.owner("U0ADA").person.encode()
    assert digest in bytes_of(tmp_path)
    await goals.forget("U0ADA")
    left = bytes_of(tmp_path)
    assert digest not in left
    assert not [row for row in rows if bytes(row.body) in left]
    await ledger.close()
