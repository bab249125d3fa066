"""Whatever is written, fails and is killed in whatever order: in the end both records are equal."""

import asyncio
import contextlib
import inspect
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from database.errors import StoreError
from database.outbox import Outbox, Pace
from database.records import Feedback, Message, Person, Run, Step, Summary, TaskType
from database.store import Store
from tests.database.far_record import POISON, FarRecord, local_tables

UNSURE_S = 60.0
NUMBERS = st.integers(0, 2)
TEXTS = st.sampled_from(["one", "two", POISON])
TROUBLES = st.sampled_from([None, None, "away", "unheard", "late"])
WRITES = st.one_of(
    st.tuples(st.just("append"), NUMBERS, TEXTS),
    st.tuples(st.just("edit"), NUMBERS, TEXTS),
    st.tuples(st.just("delete"), NUMBERS),
    st.tuples(st.just("forget"), st.integers(0, 1)),
    st.tuples(st.just("purge")),
    st.tuples(st.just("person"), NUMBERS, TEXTS),
    st.tuples(st.just("task_type"), NUMBERS, TEXTS),
)
ACTS = st.one_of(
    WRITES,
    st.tuples(st.just("flush"), TROUBLES),
    st.tuples(st.just("flush_while"), TROUBLES, NUMBERS, TEXTS),
    st.tuples(st.just("kill_in"), st.integers(0, 4), st.sampled_from(["late", "unheard"])),
    st.tuples(st.just("arrive")),
    st.tuples(st.just("backfill")),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 30.0, 61.0])),
)


def ts(number: int) -> str:
    return f"170000000{number}.000100"


@dataclass
class World:
    """One home, the record far away, and a clock."""

    home: Path
    far: FarRecord = field(default_factory=FarRecord)
    now: float = 1.8e9
    late_since: float | None = None
    ratings: int = 0

    def __post_init__(self) -> None:
        self.begin(with_outbox=False)

    def begin(self, *, with_outbox: bool = True) -> None:
        """A process starts."""
        self.store = Store.open(self.home, "T1")
        if with_outbox:
            pace = Pace(first_pause_s=0.0, unsure_s=UNSURE_S)
            file = self.store._local.file
            self.outbox = Outbox(file, "T1", self.far, pace=pace, clock=lambda: self.now)

    async def end(self) -> None:
        await self.outbox.stop()
        await self.store.close()

    def append(self, n: int, text: str) -> None:
        self.ratings += 1
        steps = tuple(Step(k, "tool", "t", {"words": text}) for k in range(n % 3))
        self.store.append(
            Run(f"r{n}", text, "a", user_id=f"U{n % 2}", started_at=1e9 * (n % 2 + 1), steps=steps,
                channel_id="C1", message_ts=ts(n)),
            Message("C1", ts(n), ts(0), "person", text, f"U{n % 2}", created_at=1.7e9),
            Feedback(f"f:U{n % 2}:{self.ratings}", f"r{n}", "rating", 1.0, text=text,
                     user_id=f"U{n % 2}", created_at=1e9),
            Summary("C1", ts(0), ts(n), text, "public", 1e9),
        )  # fmt: skip

    def change(self, n: int, text: str) -> None:
        self.append(n, text)
        self.store._local.edit_message("C1", ts(n), text)

    async def edit(self, n: int, text: str) -> None:
        await self.store.edit_message("C1", ts(n), text)

    async def delete(self, n: int) -> None:
        await self.store.delete_message("C1", ts(n))

    async def forget(self, n: int) -> None:
        await self.store.forget(f"U{n}")

    async def purge(self) -> None:
        await self.store.purge(1.5e9)

    async def person(self, n: int, text: str) -> None:
        await self.store.save_person(Person(f"U{n}", text))

    async def task_type(self, n: int, text: str) -> None:
        await self.store.save_task_type(TaskType(f"t{n}", text.encode(), n))

    async def flush(self, trouble: str | None) -> None:
        self.far.trouble = trouble
        try:
            await self.outbox.flush(5)
        finally:
            self.far.trouble = None
        if self.far.on_the_way and self.late_since is None:
            self.late_since = self.now

    async def flush_while(self, trouble: str | None, n: int, text: str) -> None:
        """Something changes, once, between what was read and what is heard of it."""

        def change() -> None:
            self.far.when_asked = lambda: None
            self.change(n, text)

        self.far.when_asked = change
        await self.flush(trouble)
        self.far.when_asked = lambda: None

    async def kill_in(self, request: int, trouble: str) -> None:
        """Killed while a request is under way, which is carried out all the same."""
        left = request

        def kill() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                self.far.trouble = trouble
                self.store._local.file.close()

        self.far.when_asked = kill
        with contextlib.suppress(StoreError, sqlite3.ProgrammingError):
            await self.flush(None)
        self.far.when_asked = lambda: None
        if self.far.on_the_way and self.late_since is None:
            self.late_since = self.now
        self.outbox._lock.release(force=True)
        self.store._local.file.close()
        self.begin()

    async def arrive(self) -> None:
        self.far.arrive()
        self.late_since = None

    async def wait(self, seconds: float) -> None:
        """Nothing is later than a minute."""
        self.now += seconds
        if self.late_since is not None and self.now - self.late_since >= UNSURE_S:
            await self.arrive()

    async def do(self, act: tuple[Any, ...]) -> None:
        name, *values = act
        done = getattr(self, name)(*values)
        if inspect.isawaitable(done):
            await done

    def backfill(self) -> int:
        """A little of what was there before the outbox."""
        return self.outbox.rows.backfill(2)

    async def settle(self) -> None:
        """The network and the rows are well again, and everybody has time."""
        while self.backfill():
            pass
        await self.wait(UNSURE_S + 1)
        assert await self.outbox.flush(5)
        await self.wait(UNSURE_S + 1)
        assert await self.outbox.flush(5)


async def told(home: Path, before: list[Any], acts: list[Any]) -> None:
    world = World(home)
    for act in before:
        await world.do(act)
    await world.store.close()
    world.begin()
    while not before and world.backfill():
        pass
    for act in acts:
        await world.do(act)
    await world.settle()
    state = await world.store._local.file.aside(world.outbox.rows.state)
    assert state.waiting == 0
    here = local_tables(home)
    refused = {(no.table, ("T1", *no.key)) for no in world.outbox.rows.refused()}
    for table, rows in here.items():
        for key, row in rows.items():
            poisonous = POISON in str(row.values())
            assert ((table, key) in refused) == poisonous
            assert poisonous or world.far.tables[table][key] == row
        gone = set(world.far.tables[table]) - set(rows)
        assert not gone, "what is deleted here is deleted there"
    world.far.poisonous = False
    assert world.outbox.rows.retry() == len(refused)
    assert await world.outbox.flush(5)
    assert world.far.tables == here
    await world.end()


ONE, GONE = ("append", 0, "one"), ("delete", 0)
SENT, ARRIVE = ("flush", None), ("arrive",)


@settings(max_examples=40, deadline=None)
@given(before=st.lists(WRITES, max_size=4), acts=st.lists(ACTS, max_size=14))
@example(before=[], acts=[ONE, ("flush", "late"), GONE, SENT, ARRIVE])
@example(before=[], acts=[ONE, ("flush", "late"), ("wait", 30.0), SENT, GONE, SENT, ARRIVE])
@example(before=[], acts=[ONE, ("kill_in", 0, "late"), GONE, SENT, ARRIVE])
@example(before=[], acts=[ONE, ("kill_in", 1, "late"), ("forget", 0), SENT, ARRIVE])
@example(before=[], acts=[ONE, SENT, ("forget", 0)])
@example(before=[], acts=[ONE, ("flush_while", None, 0, "two")])
@example(before=[], acts=[("append", 0, POISON), SENT, GONE, SENT])
def test_both_records_are_equal_in_the_end(before: list[Any], acts: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(told(Path(home), before, acts))
