"""What was counted by the day says the same as counting run by run, whatever happened since."""

import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from database.records import (
    PUBLIC,
    Feedback,
    Metrics,
    MetricsRow,
    Outcome,
    Run,
    RunQuery,
    one_person,
)
from database.run_counts import count_a_day
from database.store import RECORD, Store

DAY = 86_400.0
START = 20_000 * DAY

times = st.one_of(
    st.none(), st.integers(0, 4 * 24).map(lambda hours: START + hours * 3600.0), st.just(START)
)
runs = st.builds(
    Run,
    run_id=st.integers(0, 30).map(str),
    request=st.just("q"),
    agent=st.sampled_from(["a", "b"]),
    kind=st.sampled_from(["reply", "reply", "task"]),
    started_at=times,
    duration_ms=st.one_of(st.none(), st.floats(0, 1e6)),
    audience=st.sampled_from([PUBLIC, one_person("U1"), "channel:C1"]),
    user_id=st.sampled_from(["U1", "U2"]),
    outcome=st.builds(
        Outcome, st.sampled_from([None, True, False]), source=st.sampled_from(["check", None])
    ),
    input_tokens=st.one_of(st.none(), st.integers(0, 9)),
    cost_usd=st.one_of(st.none(), st.floats(0, 1)),
)
ratings = st.builds(
    Feedback,
    feedback_id=st.uuids().map(str),
    run_id=st.integers(0, 30).map(str),
    kind=st.sampled_from(["rating", "reason", "reaction"]),
    value=st.sampled_from([-1.0, 1.0]),
    user_id=st.sampled_from(["U1", "U2"]),
    created_at=st.floats(1, 9),
)
queries = st.builds(
    RunQuery,
    user_id=st.sampled_from([None, None, "U1"]),
    agent=st.sampled_from([None, "a"]),
    since=times,
    until=times,
    audiences=st.sampled_from([None, frozenset({PUBLIC}), frozenset({PUBLIC, one_person("U1")})]),
)
acts = st.lists(
    st.one_of(runs, ratings, st.sampled_from(["count", "count", "forget", "delete"])), max_size=40
)


@contextlib.contextmanager
def record(home: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(home / RECORD, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def count_all(home: Path, now: float | None = None) -> int:
    with record(home) as connection:
        counted = 0
        while count_a_day(connection, now):
            counted += 1
        return counted


def plain(metrics: Metrics) -> tuple[object, ...]:
    """Sums of fractions depend on their order in the last digits."""
    rows: Callable[[MetricsRow], MetricsRow] = lambda row: replace(  # noqa: E731
        row, cost_usd=round(row.cost_usd, 9)
    )
    behind = replace(metrics.behind, cost_usd=round(metrics.behind.cost_usd, 9))
    return (
        rows(metrics.total),
        tuple(map(rows, metrics.by_agent)),
        tuple(map(rows, metrics.by_day)),
        behind,
    )


async def do(act: object, store: Store, home: Path) -> None:
    match act:
        case "count":
            count_all(home)
        case "forget":
            await store.forget("U1")
        case "delete":
            await store.purge(START + 2 * DAY)
        case Run() | Feedback():
            store.append(act)


@settings(max_examples=60)
@given(acts, st.lists(queries, min_size=1, max_size=4))
async def test_counts_by_the_day_are_those_of_the_runs(
    done: list[object], asked: list[RunQuery]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = Store.open(home, "T1")
        for act in done:
            await do(act, store, home)
        found = [plain(await store.metrics(query)) for query in asked]
        for query in asked:
            listed = await store.runs(replace(query, limit=1_000))
            assert (await store.metrics(query)).total.runs == len(listed)
        with record(home) as connection:
            connection.execute("DELETE FROM day_counts")
            connection.execute(
                "INSERT OR IGNORE INTO changed_days SELECT workspace, coalesce(day, -1) FROM runs"
            )
        assert found == [plain(await store.metrics(query)) for query in asked]
        await store.close()


async def test_a_day_that_is_not_over_is_not_counted(store: Store, tmp_path: Path) -> None:
    now = time.time()
    store.append(Run("now", "q", "a", started_at=now), Run("then", "q", "a", started_at=START))
    assert count_all(tmp_path) == 1
    assert count_all(tmp_path, now + 2 * DAY) == 1
    assert count_all(tmp_path, now + 2 * DAY) == 0


@pytest.mark.parametrize("late", [Run("r2", "q", "a", started_at=START + 1, duration_ms=3.0),
                                  Feedback("f", "r1", "rating", 1.0, created_at=2.0)])  # fmt: skip
async def test_what_comes_late_has_its_day_counted_again(
    store: Store, tmp_path: Path, late: Run | Feedback
) -> None:
    store.append(Run("r1", "q", "a", started_at=START, duration_ms=1.0))
    assert count_all(tmp_path) == 1
    store.append(late)
    before = await store.metrics(RunQuery())
    assert count_all(tmp_path) == 1
    after = await store.metrics(RunQuery())
    assert after == before
    assert (after.total.runs, after.total.feedback_up) in {(2, 0), (1, 1)}


async def test_counts_of_a_forgotten_person_do_not_name_them(store: Store, tmp_path: Path) -> None:
    theirs = Run("r", "q", "a", started_at=START, user_id="U0ADA", audience=one_person("U0ADA"))
    store.append(theirs)
    assert count_all(tmp_path) == 1
    await store.forget("U0ADA")
    assert count_all(tmp_path) == 1
    assert (await store.metrics(RunQuery())).total.runs == 1
    await store.close()
    assert b"U0ADA" not in (tmp_path / RECORD).read_bytes()


async def test_a_time_that_begins_and_ends_within_days_counts_their_parts(
    store: Store, tmp_path: Path
) -> None:
    for hour in range(0, 96, 6):
        store.append(Run(str(hour), "q", "a", started_at=START + hour * 3600.0))
    assert count_all(tmp_path) == 4
    begun, ended = START + 5 * 3600.0, START + 79 * 3600.0
    for since, until, runs in ((begun, None, 15), (None, ended, 14), (begun, ended, 13)):
        found = await store.metrics(RunQuery(since=since, until=until))
        assert found.total.runs == runs
