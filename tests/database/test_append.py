"""Facts are keyed by what made them: repeating or reordering them changes nothing."""

import asyncio
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database.records import Fact, Feedback, Message, Run, Step, Summary
from database.store import RECORD, Store

FACTS: tuple[Fact, ...] = (
    *(Run(f"r{n}", f"request {n}", "a", started_at=1e9 + n, user_id="U1",
          steps=tuple(Step(k, "tool", f"t{k}") for k in range(n))) for n in range(3)),
    *(Message("C1", f"170000000{n}.000100", "1700000000.000100", "person", f"words {n}")
      for n in range(3)),
    *(Feedback(f"f{n}", "r0", "rating", 1.0, created_at=float(n)) for n in range(2)),
    Summary("C1", "1700000000.000100", "1700000002.000100", "short", "public"),
)  # fmt: skip


def everything(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows but their order of arrival."""
    connection = sqlite3.connect(path)
    found = {}
    for table in ("runs", "steps", "messages", "feedback", "summaries"):
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        columns = ", ".join(name for name in names if name != "seq")
        found[table] = sorted(connection.execute(f"SELECT {columns} FROM {table}"), key=repr)
    connection.close()
    return found


def recorded(batches: list[list[Fact]]) -> dict[str, list[tuple[object, ...]]]:
    with tempfile.TemporaryDirectory() as home:
        store = Store.open(Path(home), "T1")
        for batch in batches:
            store.append(*batch)
        asyncio.run(store.close())
        return everything(Path(home) / RECORD)


ONCE = recorded([list(FACTS)])


@settings(max_examples=25)
@given(
    order=st.permutations(FACTS),
    again=st.lists(st.sampled_from(FACTS), max_size=12),
    size=st.integers(1, 5),
)
def test_any_order_and_any_repetition_give_the_same_record(
    order: list[Fact], again: list[Fact], size: int
) -> None:
    facts = order + again
    batches = [facts[at : at + size] for at in range(0, len(facts), size)]
    assert recorded(batches) == ONCE


async def test_the_first_version_of_a_fact_stays(store: Store) -> None:
    first = Run("r1", "first", "a", steps=(Step(0, "tool", "clock"),))
    store.append(first)
    store.append(Run("r1", "second", "b", steps=(Step(0, "tool", "x"), Step(1, "tool", "y"))))
    assert await store.run("r1") == first


async def test_append_all_counts_what_was_new(store: Store) -> None:
    assert store.append_all(iter(FACTS)) == len(FACTS)
    assert store.append_all([*FACTS, Run("new", "q", "a")]) == 1


async def test_an_error_while_iterating_keeps_nothing(store: Store) -> None:
    def facts() -> object:
        yield Run("r1", "q", "a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.append_all(facts())  # type: ignore[arg-type]
    assert await store.run("r1") is None
    store.append(Run("r1", "q", "a"))
    assert await store.run("r1") is not None


async def test_runs_get_a_growing_sequence_as_they_arrive(store: Store, tmp_path: Path) -> None:
    for run_id in ("late", "early", "late", "third"):
        store.append(Run(run_id, "q", "a", started_at={"late": 9.0}.get(run_id, 1.0)))
    pages = [run.run_id async for page in store.pages_of_runs() for run in page]
    assert pages == ["late", "early", "third"]
    with sqlite3.connect(tmp_path / RECORD) as connection:
        found = connection.execute("SELECT run_id FROM runs ORDER BY seq").fetchall()
    assert [run_id for (run_id,) in found] == ["late", "early", "third"]
