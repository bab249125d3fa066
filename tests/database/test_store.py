"""What was appended can be read back, as it was, by those who ask for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from database.errors import InputError
from database.records import (
    Feedback,
    Message,
    Outcome,
    Person,
    Run,
    RunQuery,
    Step,
    Summary,
    TaskType,
    one_person,
)
from database.store import Store

WHOLE = Run(
    run_id="r1",
    request="How warm is it in Oslo?",
    agent="weather",
    kind="reply",
    parent_run_id="r0",
    started_at=1_700_000_000.25,
    duration_ms=812.5,
    first_token_ms=90.0,
    user_id="U1",
    channel_id="C1",
    thread_ts="1700000000.000100",
    message_ts="1700000000.000100",
    reply_ts="1700000001.000200",
    audience=one_person("U1"),
    task_type="weather",
    agent_version="0123456789abcdef",
    model="strong-1",
    reply="21 °C ☀️",
    error="none",
    route={"why": "by meaning", "scores": [0.5, 0.25]},
    outcome=Outcome(success=True, score=0.75, source="check"),
    input_tokens=120,
    output_tokens=30,
    cost_usd=0.0012,
    steps=(
        Step(0, "model", "strong-1", None, True, None, 700.0, 100, 20, 0.001),
        Step(1, "tool", "weather", {"place": "Oslo"}, False, "no answer", 100.0, None, None, None),
    ),
)


def message(ts: str, text: str = "hello", **changes: object) -> Message:
    values: dict[str, object] = {
        "channel_id": "C1", "thread_ts": "1700000000.000100", "role": "person", "user_id": "U1",
        "created_at": float(ts), **changes,
    }  # fmt: skip
    return Message(ts=ts, text=text, **values)  # type: ignore[arg-type]


def moment(second: int) -> str:
    return f"{1_700_000_000 + second}.000100"


async def test_a_run_comes_back_as_it_went_in(store: Store) -> None:
    store.append(WHOLE)
    assert await store.run("r1") == WHOLE
    assert await store.run("r2") is None


async def test_a_bare_run_comes_back_as_it_went_in(store: Store) -> None:
    store.append(Run("r1", "hello", "generalist"))
    assert await store.run("r1") == Run("r1", "hello", "generalist")


async def test_what_is_appended_survives_closing(tmp_path: Path) -> None:
    first = Store.open(tmp_path, "T1")
    first.append(WHOLE)
    await first.close()
    second = Store.open(tmp_path, "T1")
    assert await second.run("r1") == WHOLE
    await second.close()


async def test_workspaces_do_not_see_each_other(store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path, "T2")
    other.append(WHOLE, message(moment(0), "secret plans"))
    await other.create_document("agent", "a", {"x": 1}, origin="shipped")
    await other.save_person(Person("U1", "Ada"))
    assert await store.run("r1") is None
    assert await store.runs(RunQuery()) == []
    assert await store.thread("C1", moment(0)) == []
    assert await store.documents("agent") == []
    assert await store.people() == []
    assert (await store.metrics(RunQuery())).total.runs == 0
    assert store.documents_changed() == 0
    assert Store.workspaces(tmp_path) == ["T2"]
    await other.close()


def test_no_record_has_no_workspaces(tmp_path: Path) -> None:
    assert Store.workspaces(tmp_path / "nothing") == []
    assert not (tmp_path / "nothing").exists()


def test_a_store_needs_a_workspace(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a workspace"):
        Store.open(tmp_path, "")


async def test_runs_are_newest_first_and_limited(store: Store) -> None:
    runs = [Run(f"n{n}", "q", "a", started_at=1e9 + n * 50_000) for n in range(5)]
    store.append(*reversed(runs), Run("never", "q", "a"), WHOLE)
    found = await store.runs(RunQuery(limit=3))
    assert [run.run_id for run in found] == ["r1", "n4", "n3"]
    assert [run.run_id for run in await store.runs(RunQuery())][-1] == "never"


async def test_runs_come_with_steps_when_asked(store: Store) -> None:
    store.append(WHOLE, Run("r9", "q", "a", steps=(Step(0, "tool", "clock"),)))
    assert all(run.steps == () for run in await store.runs(RunQuery()))
    found = {run.run_id: run for run in await store.runs(RunQuery(), with_steps=True)}
    assert found["r1"] == WHOLE
    assert found["r9"].steps == (Step(0, "tool", "clock"),)


@pytest.mark.parametrize(
    "query",
    [
        RunQuery(user_id="U1"),
        RunQuery(channel_id="C1"),
        RunQuery(channel_id="C1", thread_ts="1700000000.000100"),
        RunQuery(agent="weather"),
        RunQuery(since=1_700_000_000.25),
        RunQuery(until=1_700_000_000.5, since=1_600_000_000),
        RunQuery(audiences=frozenset({one_person("U1")})),
    ],
)
async def test_each_filter_finds_its_runs_only(store: Store, query: RunQuery) -> None:
    other = Run("other", "q", "else", started_at=1_500_000_000, user_id="U2", channel_id="C2")
    task = replace(WHOLE, run_id="task", kind="task")
    store.append(WHOLE, other, task)
    assert [run.run_id for run in await store.runs(query)] == ["r1"]
    assert (await store.metrics(query)).total.runs == 1


async def test_a_run_is_found_by_its_answer_and_by_its_request(store: Store) -> None:
    asked_by_answer = Run("r2", "and then?", "a", channel_id="C1", message_ts="1700000001.000200")
    store.append(asked_by_answer, WHOLE)
    assert await store.run_of_message("C1", "1700000001.000200") == WHOLE
    assert await store.run_of_message("C1", "1700000000.000100") == WHOLE
    assert await store.run_of_message("C2", "1700000001.000200") is None


async def test_the_last_reply_is_the_persons_own_newest(store: Store) -> None:
    def run(run_id: str, second: int, **changes: str) -> Run:
        values = {"user_id": "U1", "channel_id": "C1", "thread_ts": moment(0), **changes}
        return Run(run_id, "q", "a", started_at=1e9 + second, **values)  # type: ignore[arg-type]

    store.append(run("new", 3), run("old", 1), run("theirs", 9, user_id="U2"))
    store.append(run("shadow", 9, kind="shadow"), run("elsewhere", 5, thread_ts=moment(7)))
    found = await store.last_reply("C1", "U1", moment(0))
    assert found is not None
    assert found.run_id == "new"
    found = await store.last_reply("C1", "U1")
    assert found is not None
    assert found.run_id == "elsewhere"
    assert await store.last_reply("C9", "U1") is None


async def test_a_thread_gives_its_newest_messages_oldest_first(store: Store) -> None:
    said = [message(moment(n), f"m{n}") for n in range(5)]
    store.append(*reversed(said), message(moment(9), "elsewhere", thread_ts=moment(9)))
    assert await store.thread("C1", moment(0), limit=3) == said[2:]
    assert await store.messages("C1", since=1_700_000_003.0) == [
        *said[3:], message(moment(9), "elsewhere", thread_ts=moment(9)),
    ]  # fmt: skip


async def test_an_edited_message_says_the_new_text(store: Store) -> None:
    store.append(message(moment(1), "old words"))
    store.append(Summary("C1", moment(0), moment(2), "old words, shortened", "public"))
    assert await store.edit_message("C1", moment(1), "new words")
    store.append(message(moment(1), "old words"))
    assert [m.text for m in await store.thread("C1", moment(0))] == ["new words"]
    assert await store.latest_summary("C1", moment(0)) is None
    assert not await store.edit_message("C1", moment(8), "never heard")


async def test_a_deleted_message_stays_deleted_when_it_comes_late(store: Store) -> None:
    store.append(message(moment(1)))
    store.append(Summary("C1", moment(0), moment(1), "hello was said", "public"))
    await store.delete_message("C1", moment(1))
    await store.delete_message("C1", moment(2))
    store.append(message(moment(1)), message(moment(2)))
    assert await store.thread("C1", moment(0)) == []
    assert await store.messages("C1", since=0) == []
    assert await store.latest_summary("C1", moment(0)) is None
    assert not await store.edit_message("C1", moment(1), "back again")


async def test_the_summary_that_reaches_furthest(store: Store) -> None:
    near = Summary("C1", moment(0), moment(5), "near", "public", 2.0)
    far = Summary("C1", moment(0), moment(9), "far", one_person("U1"), 1.0)
    store.append(far, near)
    assert await store.latest_summary("C1", moment(0)) == far
    assert await store.latest_summary("C1", moment(1)) is None


async def test_feedback_is_oldest_first(store: Store) -> None:
    early = Feedback("f1", "r1", "rating", -1.0, 1.0, None, "U1", 1.0)
    late = Feedback("f2", "r1", "better", -1.0, 1.0, "in Fahrenheit please", "U1", 2.0)
    store.append(late, early, Feedback("f3", "r2", "rating", 1.0))
    assert await store.feedback_on("r1") == [early, late]


async def test_feedback_out_of_range_is_refused_whole(store: Store) -> None:
    with pytest.raises(InputError, match="value"):
        store.append(WHOLE, Feedback("f1", "r1", "rating", 5.0))
    assert await store.run("r1") is None


async def test_people_are_kept_and_replaced(store: Store) -> None:
    await store.save_person(Person("U2", "Bo"))
    await store.save_person(Person("U1", "Ada"))
    await store.save_person(Person("U1", "Ada L.", {"time_zone": "Europe/London"}))
    ada = Person("U1", "Ada L.", {"time_zone": "Europe/London"})
    assert await store.person("U1") == ada
    assert await store.person("U9") is None
    assert await store.people() == [ada, Person("U2", "Bo")]


async def test_task_types_are_kept_and_replaced(store: Store) -> None:
    await store.save_task_type(TaskType("weather", b"\x00\x01", 1))
    await store.save_task_type(TaskType("weather", b"\x00\x02", 2))
    assert await store.task_types() == [TaskType("weather", b"\x00\x02", 2)]


async def test_half_a_surrogate_pair_does_not_lose_the_run(store: Store) -> None:
    store.append(Run("r1", "hi \ud83d there\x00", "a"), message(moment(1), "\udcff"))
    found = await store.run("r1")
    assert found is not None
    assert found.request == "hi ? there\x00"
    assert [m.text for m in await store.thread("C1", moment(0))] == ["?"]
