import asyncio
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from database.errors import (
    ConfigurationError,
    InputError,
    MigrationError,
    StaleRevision,
    StoreError,
    UnknownName,
)
from database.goals import (
    NOTHING,
    Budget,
    Estimate,
    Goal,
    GoalState,
    Level,
    Objective,
    Spent,
    Task,
    TaskState,
)
from goals import goal_rows, tables
from goals.ledger import FILE, HOLD, Goals, Hold, Ledger
from goals.ports import JournalEntry
from tests.patience import PATIENCE_S
from tests.postgres import Postgres

HERS = "xylophone teacher"
HER_THREAD = ("C1", "1700000000.000100")


def task(number: int, state: TaskState = "pending", attempt: int = 0) -> Task:
    return Task(f"t{number}", number, f"step {number}", "do it", "writer", state=state,
                attempt=attempt)  # fmt: skip


def goal(name: str = "g1", user: str = "U0ADA", tasks: Sequence[Task] = ()) -> Goal:
    channel, thread = HER_THREAD
    return Goal(
        name, user, f"ask a {HERS}", f"run of {name}", title=HERS, channel_id=channel,
        thread_ts=thread, tasks=tuple(tasks), state="running", created_at=100.0,
    )  # fmt: skip


def entry(position: str, attempt: int = 1, **body: object) -> JournalEntry:
    return JournalEntry(attempt, position, "tool", body)


@pytest.fixture
def goals(ledger: Ledger) -> Goals:
    return ledger.of("T1")


texts = st.text(max_size=8)
amounts = st.builds(Spent, st.floats(0, 1e6), st.integers(0, 10**9), st.floats(0, 1e3))
estimates = st.builds(
    Estimate, st.floats(0, 1e6), st.integers(0, 10**9), st.none() | st.floats(0, 1e3),
    st.floats(0, 1), st.integers(0, 100),
)  # fmt: skip
states: st.SearchStrategy[TaskState] = st.sampled_from(["pending", "running", "done", "failed"])
tasks = st.builds(
    Task, key=texts, number=st.integers(1, 12), title=texts, instruction=texts,
    agent=st.none() | texts, needs=st.lists(texts, max_size=2).map(tuple), estimate=estimates,
    state=states, result=st.none() | texts, answers=st.lists(texts, max_size=2).map(tuple),
    reserved=amounts, spent=amounts, started_at=st.none() | st.floats(0, 1e10),
)  # fmt: skip
levels: st.SearchStrategy[Level] = st.sampled_from(["strategic", "tactical", "operational"])
goal_states: st.SearchStrategy[GoalState] = st.sampled_from(["proposed", "running", "done"])
any_goal = st.builds(
    Goal, goal_id=texts, user_id=texts, request=texts, run_id=texts,
    reader_channels=st.frozensets(texts, max_size=3), state=goal_states,
    objectives=st.lists(st.builds(Objective, texts, levels, texts), max_size=2).map(tuple),
    tasks=st.lists(tasks, max_size=3).map(tuple), budget=st.builds(Budget, usd=st.floats(0, 9)),
    notes=st.lists(texts, max_size=2).map(tuple), asks=st.none() | texts, revision=st.just(7),
)  # fmt: skip


@given(any_goal)
def test_a_goal_is_the_same_when_it_is_read_again(one: Goal) -> None:
    assert goal_rows.read(goal_rows.written(one), 7) == one


def test_a_goal_of_newer_code_is_not_read_in_part() -> None:
    body = goal_rows.written(goal()).replace(b'"title"', b'"headline"', 1)
    with pytest.raises(MigrationError, match="headline"):
        goal_rows.read(body, 0)


async def test_what_is_kept_comes_back(goals: Goals) -> None:
    made = goal(tasks=[task(1, "done"), task(2)])
    assert await goals.create(made)
    assert await goals.goal("g1") == made
    assert not await goals.create(replace(made, title="another")), "its id is known"
    assert await goals.goal("g1") == made
    assert await goals.goal("g2") is None


async def test_of_two_who_move_a_goal_one_is_told_to_read_again(goals: Goals) -> None:
    await goals.create(goal())
    moved = await goals.move(replace(goal(), title="first"))
    assert moved.revision == 1
    with pytest.raises(StaleRevision, match="Read it again"):
        await goals.move(replace(goal(), title="second"))
    again = await goals.goal("g1")
    assert again == moved
    with pytest.raises(UnknownName):
        await goals.move(goal("g9"))


async def test_of_many_at_once_each_counts_once(goals: Goals) -> None:
    await goals.create(goal())

    async def add_note(text: str) -> None:
        while True:
            found = await goals.goal("g1")
            assert found is not None
            try:
                await goals.move(replace(found, notes=(*found.notes, text)))
            except StaleRevision:
                continue
            return

    await asyncio.gather(*(add_note(str(n)) for n in range(20)))
    found = await goals.goal("g1")
    assert found is not None
    assert sorted(found.notes, key=int) == [str(n) for n in range(20)]
    assert found.revision == 20


async def test_goals_are_found_by_person_state_thread_and_beginning(goals: Goals) -> None:
    other = replace(goal("g2", "U0BOB"), created_at=200.0, thread_ts="2", state="done")
    newer = replace(goal("g3"), created_at=300.0, state="proposed")
    for made in (goal(), other, newer):
        await goals.create(made)

    async def found(user: str | None = None, *states: GoalState) -> list[str]:
        return [one.goal_id for one in await goals.goals(user, states or None)]

    assert await found() == ["g3", "g2", "g1"]
    assert await found("U0ADA") == ["g3", "g1"]
    assert await found(None, "done", "proposed") == ["g3", "g2"]
    assert await found("U0BOB", "running") == []
    assert [one.goal_id for one in await goals.goals(limit=1)] == ["g3"]
    in_thread = await goals.in_thread(*HER_THREAD)
    assert [one.goal_id for one in in_thread] == ["g1", "g3"], "oldest first"
    assert await goals.in_thread("C9", "1") == []
    assert await goals.ids("g", limit=9) == ["g1", "g2", "g3"]
    assert await goals.ids("%") == []


async def test_another_workspace_sees_nothing(ledger: Ledger, goals: Goals) -> None:
    await goals.create(goal())
    other = ledger.of("T2")
    assert await other.goals() == []
    assert await other.in_thread(*HER_THREAD) == []
    assert await other.changed(0) == ([], (await goals.changed(None))[1])
    assert await other.forget("U0ADA") == await other.erase() == 0
    assert await goals.goal("g1") is not None


async def test_whoever_asks_what_changed_misses_nothing(
    ledger: Ledger, goals: Goals, tmp_path: Path, engine_url: str | None
) -> None:
    """Another process looks on while many goals move at once."""
    beside = Ledger.open(tmp_path, engine_url)
    there = beside.of("T1")
    names = [f"g{n}" for n in range(12)]
    for name in names:
        await goals.create(goal(name))
    _, cursor = await there.changed(None)
    seen: dict[str, int] = {}

    async def move(name: str) -> None:
        found = await goals.goal(name)
        for _ in range(4):
            assert found is not None
            found = await goals.move(replace(found, title=f"{found.title}!"))

    moving = asyncio.gather(*(move(name) for name in names))
    while not (moving.done() and set(seen.values()) == {4} and len(seen) == len(names)):
        ended = moving.done()
        changed, cursor = await there.changed(cursor)
        for one in changed:
            assert one.revision >= seen.get(one.goal_id, 0)
            seen[one.goal_id] = one.revision
        assert not ended or len(seen) == len(names), "nothing comes after the last"
    assert (await there.changed(cursor))[0] == [] or ledger.sql.postgres
    await beside.close()


async def test_this_process_hears_of_its_moves_at_once(ledger: Ledger, goals: Goals) -> None:
    heard: list[tuple[str, int]] = []
    ledger.on_move(lambda workspace, moved: heard.append((workspace, moved.revision)))
    await goals.create(goal())
    await goals.move(goal())
    assert heard == [("T1", 0), ("T1", 1)]


async def test_the_journal_keeps_its_order_and_its_ends_are_put_in_place(goals: Goals) -> None:
    await goals.create(goal(tasks=[task(1, "running", 1)]))
    for written in (entry("m0"), entry("t1", tool="send"), entry("m0", attempt=2)):
        await goals.note("g1", "t1", written)
    await goals.note("g1", "t1", entry("t1", tool="send", text="sent"))
    await goals.note("g1", "t2", entry("m0"))
    assert await goals.journal("g1", "t1") == [
        entry("m0"), entry("t1", tool="send", text="sent"), entry("m0", attempt=2)
    ]  # fmt: skip
    stopped = [replace(task(1, "cancelled", 2), reserved=Spent(1.0, 10))]
    await goals.move(replace(goal(tasks=stopped), state="cancelled", ended_at=200.0))
    assert await goals.journal("g1", "t1") != [], "it is not settled what that took"
    await goals.move(replace(goal(), state="cancelled", ended_at=200.0, revision=1))
    assert await goals.journal("g1", "t1") == [], "nobody goes on with it"


async def test_who_was_taken_over_can_note_and_move_nothing_more(
    ledger: Ledger, goals: Goals
) -> None:
    running = goal(tasks=[task(1, "running", 1)])
    await goals.create(running)
    assert await ledger.take("T1", "g1", "t1", 2, "w1") is None, "there is no such attempt"

    async def worker(name: str, hold: asyncio.Event, held: asyncio.Event) -> str:
        HOLD.set(await ledger.take("T1", "g1", "t1", 1, name))
        held.set()
        await hold.wait()
        try:
            await goals.note("g1", "t1", entry(name))
            await goals.move(replace(running, title=name))
        except StaleRevision as error:
            return str(error)
        return "moved"

    first, second, go = asyncio.Event(), asyncio.Event(), asyncio.Event()
    one = asyncio.create_task(worker("w1", go, first))
    await first.wait()
    two = asyncio.create_task(worker("w2", go, second))
    await second.wait()
    go.set()
    assert "taken over" in await one
    assert await two == "moved"
    assert [noted.position for noted in await goals.journal("g1", "t1")] == ["w2"]


async def test_who_settled_its_attempt_may_move_on_but_not_go_on_with_it(
    ledger: Ledger, goals: Goals
) -> None:
    running = goal(tasks=[task(1, "running", 1), task(2)])
    await goals.create(running)
    HOLD.set(await ledger.take("T1", "g1", "t1", 1, "w1"))
    done = await goals.move(replace(running, tasks=(task(1, "done", 1), task(2))))
    await goals.move(replace(done, tasks=(task(1, "done", 1), task(2, "queued", 1))))
    with pytest.raises(StaleRevision):
        await goals.note("g1", "t1", entry("t9"))
    HOLD.set(None)


async def test_attempts_follow_the_goal(ledger: Ledger, goals: Goals) -> None:
    assert not await ledger.busy()
    first = goal(tasks=[task(1, "queued", 1), task(2)])
    await goals.create(first)
    assert await ledger.busy()
    assert [(a.key, a.attempt, a.state) for a in await ledger.waiting_enqueue(-1.0)] == [
        ("t1", 1, "queued")
    ]
    assert await ledger.waiting_enqueue(3600.0) == []
    hold = await ledger.take("T1", "g1", "t1", 1, "w1")
    assert hold is not None
    other = Hold("T1", "g9", "t1", 1, 1)
    assert await ledger.lost([hold, other]) == [other], "there is no such goal"
    stopped = replace(task(1, "cancelled", 1), reserved=Spent(1.0, 5, 0.1))
    moved = await goals.move(replace(first, tasks=(stopped, task(2))))
    assert await ledger.lost([hold]) == [hold], "it is to be stopped"
    assert [a.state for a in await ledger.waiting_enqueue(-1.0)] == ["ending"]
    moved = await goals.move(replace(moved, tasks=(replace(stopped, reserved=NOTHING), task(2))))
    assert not await ledger.busy()
    assert await ledger.lost([hold]) == [], "it is settled, and what follows is under way"
    again = await goals.move(replace(moved, tasks=(stopped, task(2, "running", 1))))
    second = await ledger.take("T1", "g1", "t2", 1, "w1")
    assert second is not None
    assert await ledger.lost([second]) == []
    await ledger.take("T1", "g1", "t2", 1, "w2")
    assert await ledger.lost([second]) == [second], "another has it"
    assert again.revision == 3


async def fill(goals: Goals) -> None:
    await goals.create(goal(tasks=[replace(task(1, "running", 1), reserved=Spent(1.0, 5, 0.1))]))
    await goals.note("g1", "t1", entry("m0", text=HERS))
    his = goal("g2", "U0BOB", [task(1, "running", 1)])
    await goals.create(replace(his, request="ask <@U0ADA>, not U0ADAM", title="", notes=("U0ADA",)))
    await goals.note("g2", "t1", entry("m0", text="said U0ADA"))


async def every_text(goals: Goals) -> str:
    rows = await goals.ledger.sql.do(
        lambda t: t.rows("SELECT body FROM goals") + t.rows("SELECT body FROM journal")
    )
    return " ".join(goals.ledger.unseal(row.body).decode() for row in rows)


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


async def test_another_key_is_refused_and_changes_nothing(
    ledger: Ledger, goals: Goals, tmp_path: Path, engine_url: str | None
) -> None:
    await goals.create(goal())
    other = Ledger.open(tmp_path, engine_url, Fernet.generate_key().decode())
    with pytest.raises(ConfigurationError, match="VIRTUOUS6_SECRET_KEY"):
        await other.of("T1").create(goal("g2"))
    assert await goals.goals() == [goal()]
    await other.close()


async def test_newer_tables_are_left_alone(
    ledger: Ledger, goals: Goals, tmp_path: Path, engine_url: str | None
) -> None:
    await goals.create(goal())
    await ledger.sql.do(lambda t: t.change("INSERT INTO steps (number) VALUES (99)"))
    older = Ledger.open(tmp_path, engine_url)
    with pytest.raises(MigrationError, match="newer version"):
        await older.of("T1").goals()
    await older.close()


async def test_many_processes_may_make_the_tables_at_once(
    tmp_path: Path, engine_url: str | None
) -> None:
    opened = [Ledger.open(tmp_path, engine_url) for _ in range(4)]
    made = await asyncio.gather(
        *(one.of("T1").create(goal(f"g{n}")) for n, one in enumerate(opened))
    )
    assert all(made)
    assert len(await opened[0].of("T1").goals()) == 4
    for one in opened:
        await one.close()


async def test_a_postgres_that_was_restarted_is_found_again(
    tmp_path: Path, postgres: Postgres
) -> None:
    """Its connections are gone; nobody hears of it, and nothing is done twice."""
    url = postgres.database()
    ledger = Ledger.open(tmp_path, url)
    goals = ledger.of("T1")
    await goals.create(goal())
    await asyncio.gather(*(goals.goals() for _ in range(4)))
    with psycopg.connect(url, autocommit=True) as connection:
        sql = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()"""
        assert len(connection.execute(sql).fetchall()) > 1
    moved = await goals.move(replace(goal(), title="again"))
    assert moved.revision == 1
    assert await goals.goal("g1") == moved
    await ledger.close()


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


# About the file alone


def bytes_of(home: Path) -> bytes:
    return b"".join(path.read_bytes() for path in home.iterdir() if path.is_file())


async def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    goals = ledger.of("T1")
    assert not await ledger.busy()
    assert await goals.goals() == []
    assert await goals.changed(None) == ([], 0)
    assert await goals.forget("U0ADA") == await goals.retention(1e12) == await goals.erase() == 0
    assert await ledger.waiting_enqueue(0.0) == []
    assert not (tmp_path / FILE).exists()
    await ledger.close()


async def test_the_file_is_its_owners_alone_and_sealed(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    await fill(ledger.of("T1"))
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    kept = bytes_of(tmp_path)
    for secret in (HERS, "U0ADA", "U0BOB", HER_THREAD[1], "do it"):
        assert secret.encode() not in kept, secret
    await ledger.close()


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


async def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    ledger = Ledger.open(tmp_path)
    with pytest.raises(StoreError, match=r"goals\.db is damaged"):
        await ledger.of("T1").goals()
    await ledger.close()


async def test_a_value_that_cannot_be_kept_changes_nothing(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path)
    goals = ledger.of("T1")
    await goals.create(goal())
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        file.execute(
            "CREATE TRIGGER no BEFORE UPDATE ON goals BEGIN SELECT raise(ABORT, 'no'); END"
        )
    with pytest.raises((StoreError, InputError)):
        await goals.move(replace(goal(), tasks=(task(1, "queued", 1),)))
    assert not await ledger.busy()
    assert await goals.goal("g1") == goal()
    await ledger.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "localhost:5432", "sqlite:///x"])
async def test_an_address_that_is_no_postgres_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="VIRTUOUS6_ENGINE_URL"):
        Ledger.open(tmp_path, url)


async def test_a_postgres_that_is_away_says_so(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, f"postgresql://postgres@/none?host={tmp_path}")
    with pytest.raises(StoreError, match="VIRTUOUS6_ENGINE_URL cannot be used"):
        await ledger.of("T1").goals()
    await ledger.close()
