"""Every text column has a rule, and after forgetting the bytes are gone."""

import contextlib
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from database.coordination import Coordination
from database.engine import ENGINE
from database.forgetting import FORGET_RULES, ForgetRule
from database.learning import (
    Change,
    Decision,
    ExamQuestion,
    Finding,
    LearnerState,
    Observation,
    Proposal,
    Trial,
)
from database.records import (
    PUBLIC,
    Feedback,
    Message,
    MessageRole,
    Person,
    Reader,
    Run,
    RunQuery,
    Step,
    Summary,
    one_person,
)
from database.store import RECORD, Store

HERS = "xylophonist"
"""A word only she used."""
THREAD = "1700000000.000100"


def message(second: int, text: str, user: str | None = "U0ADA", **changes: str) -> Message:
    ts = f"{1_700_000_000 + second}.000100"
    role: MessageRole = "assistant" if user is None else "person"
    made = Message("C1", ts, THREAD, role, text, user, created_at=1_700_000_000.0 + second)
    return replace(made, **changes)  # type: ignore[arg-type]


async def fill(store: Store) -> None:
    """Her words in every place that can hold them, and his beside them."""
    hers = Run("r1", f"I am a {HERS}", "a", started_at=1.7e9, duration_ms=5.0, user_id="U0ADA",
               channel_id="C1", thread_ts=THREAD, message_ts=THREAD, reply=f"a {HERS}!",
               error=f"no {HERS} found", route={"why": HERS}, input_tokens=7,
               steps=(Step(0, "tool", "search", {"words": HERS}, False, HERS),))  # fmt: skip
    shadow = Run("r2", f"I am a {HERS}", "b", kind="shadow", parent_run_id="r1")
    deeper = Run("r3", f"I am a {HERS}", "b", kind="review", parent_run_id="r2")
    direct = Run("r4", f"{HERS} again", "a", audience=one_person("U0ADA"), started_at=1.7e9)
    his = Run("r5", "what did <@U0ADA> say? U0ADAM knows", "a", started_at=1.7e9, user_id="U0BOB",
              steps=(Step(0, "tool", "t", {"user": "U0ADA"}),))  # fmt: skip
    store.append(hers, shadow, deeper, direct, his)
    store.append(
        message(0, f"I am a {HERS}"),
        message(1, f"so you are a {HERS}", None, run_id="r1"),
        message(2, f"{HERS} alone", None, audience=one_person("U0ADA")),
        message(3, "hello <@U0ADA>, said U0ADAM", "U0BOB"),
        Summary("C1", THREAD, THREAD, f"she is a {HERS}", PUBLIC, 1.0),
        Feedback("rate:U0ADA:1", "r5", "better", -1.0, text=HERS, user_id="U0ADA", created_at=1.0),
        Feedback("f2", "r1", "reason", -1.0, text="too long", user_id="U0BOB", created_at=1.0),
    )
    await store.save_person(Person("U0ADA", "Ada", {"about": HERS}))
    await store.save_person(Person("U0BOB", "Bob"))
    await store.policy.add("approvers", "U0ADA,U0BOB", "U0ADA")
    book = await store.create_document(
        "runbook", "hers", {"say": HERS}, origin="person", author="U0ADA", reason=HERS
    )
    await store.activate("runbook", "hers", {"say": f"{HERS}s"}, base=book.version,
                         origin="person", author="U0ADA", reason=None)  # fmt: skip
    await store.create_document("agent", "poet", {"prompt": "rhyme, says U0ADA"}, origin="person",
                                author="U0ADA", reason=HERS)  # fmt: skip
    await learn(store)


async def learn(store: Store) -> None:
    """What was learned from her, and what she decided about something else."""
    store.append(
        ExamQuestion("q1", "r1", HERS, {"equals": HERS}, "a", "learn", user_id="U0ADA"),
        Observation("o1", "t1", "r1", "outcome", 1.0, 0.0, "r2", "v1", "check", 5.0),
    )
    changes = (Change("lesson", "hers", None, {"words": HERS}),)
    rests = Proposal("p1", "error-recovery", HERS, HERS, changes, {"runs": ["r3"], "words": HERS},
                     reason=HERS)  # fmt: skip
    other = Proposal("p2", "U0ADA", "her wish", HERS, (), {"runs": ["r5"]})
    decided = Proposal("p3", "workflow-analyst", "his, seen by U0ADA", "why", (),
                       {"runs": ["r5"]}, state="rejected", decided_by="U0ADA")  # fmt: skip
    found = Finding("f1", "workflow-analyst", "pattern", HERS, HERS, {"words": HERS}, ("r1",))
    seen = LearnerState("workflow-analyst", {"words": HERS}, 10**6, 0, revision=1)
    await store.decide(
        Decision(
            proposals=(rests, other, decided), findings=(found,), learners=(seen,),
            trials=(Trial("t1", "p1", "shadow", "a", "v1", "v2"),), changes=changes,
            author="U0ADA", reason=HERS,
        )
    )  # fmt: skip


def bytes_of(home: Path) -> bytes:
    return b"".join(file.read_bytes() for file in home.iterdir())


async def test_after_forgetting_no_byte_is_left(store: Store, tmp_path: Path) -> None:
    await fill(store)
    await store.delete_message("C1", message(0, "").ts)
    assert HERS.encode() in bytes_of(tmp_path)
    await store.forget("U0ADA")
    left = bytes_of(tmp_path)
    assert HERS.encode() not in left
    assert b"xylophon" not in left, "not in the search index either"
    assert b"U0ADA" not in left.replace(b"U0ADAM", b"")
    assert b"U0ADAM" in left
    assert b"rhyme" in left


async def test_what_others_have_and_the_numbers_stay(store: Store) -> None:
    await fill(store)
    before = await store.metrics(RunQuery())
    changes = store.documents_changed()
    report = await store.forget("U0ADA")
    after = await store.metrics(RunQuery())
    assert after.total == before.total
    assert (report.user_id, report.rows["runs"], report.rows["messages"]) == ("U0ADA", 4, 3)
    his = await store.run("r5")
    assert his is not None
    assert his.request == "what did <@[forgotten]> say? U0ADAM knows"
    assert his.steps[0].arguments == {"user": "[forgotten]"}
    assert [m.text for m in await store.thread("C1", THREAD)] == [
        "hello <@[forgotten]>, said U0ADAM"
    ]
    assert len(await store.search_messages("hello", Reader("U0BOB"))) == 1
    assert [f.text for f in await store.feedback_on("r1")] == ["too long"]
    assert [f.user_id for f in await store.feedback_on("r5")] == [None]
    assert await store.people() == [Person("U0BOB", "Bob")]
    assert store.documents_changed() != changes


async def test_documents_keep_their_hash_and_what_is_the_teams(store: Store) -> None:
    await fill(store)
    versions = [d.version for d in await store.history("runbook", "hers")]
    await store.forget("U0ADA")
    history = await store.history("runbook", "hers")
    assert [d.version for d in history] == versions
    assert [(d.body, d.author, d.reason, d.active) for d in history] == [
        ({}, None, None, False)
    ] * 2
    poet = await store.document("agent", "poet")
    assert poet is not None
    assert (poet.author, poet.reason, poet.active) == (None, None, True)
    again = await store.create_document("runbook", "hers", {"say": "hello"}, origin="person")
    assert again.number == 3
    same = await store.activate("runbook", "hers", {"say": HERS}, base=again.version,
                                origin="person", author="U0BOB", reason=None)  # fmt: skip
    assert same.body == {"say": HERS}


async def test_only_this_workspace_forgets(store: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path, "T2")
    await fill(other)
    await fill(store)
    await store.forget("U0ADA")
    run = await other.run("r1")
    assert run is not None
    assert run.user_id == "U0ADA"
    assert len(await other.search_messages(HERS, Reader("U0ADA"))) == 3
    await other.close()


@pytest.mark.parametrize("second", [0, 1])
async def test_deleting_a_question_or_its_answer_empties_its_run(
    store: Store, tmp_path: Path, second: int
) -> None:
    """Also the run that repeats the question, and the feedback that quotes it; others stay."""
    question, answer = message(0, f"a {HERS}?"), message(1, f"a {HERS}!", None)
    run = Run("r1", f"a {HERS}?", "a", user_id="U0ADA", channel_id="C1", thread_ts=THREAD,
              message_ts=question.ts, reply_ts=answer.ts, reply=f"a {HERS}!", input_tokens=7,
              route={"why": HERS},
              steps=(Step(0, "tool", "t", {"words": HERS}, False, HERS),))  # fmt: skip
    again = Run("r2", f"a {HERS}?", "a", channel_id="C1", parent_run_id="r1", reply="better")
    other = Run("r3", "hello", "a", channel_id="C1", message_ts=message(5, "").ts)
    quote = Feedback("f1", "r0", "rephrase", -0.5, text=question.text, user_id="U0ADA")
    store.append(question, answer, run, again, other, quote)
    deleted = (question, answer)[second]
    await store.delete_message("C1", deleted.ts)
    emptied = await store.run("r1")
    assert emptied is not None
    assert (emptied.request, emptied.reply, emptied.route) == ("", None, None)
    assert (emptied.steps[0].arguments, emptied.steps[0].error) == (None, None)
    assert (emptied.input_tokens, emptied.user_id) == (7, "U0ADA")
    child, untouched = await store.run("r2"), await store.run("r3")
    assert child is not None
    assert untouched is not None
    assert (child.request, untouched.request) == ("", "hello")
    quoted = [f.text for f in await store.feedback_on("r0")]
    assert quoted == ([None] if deleted is question else [question.text])


async def test_what_is_deleted_while_it_is_answered_is_not_kept_in_the_run(store: Store) -> None:
    await store.delete_message("C1", THREAD)
    store.append(Run("r1", HERS, "a", channel_id="C1", thread_ts=THREAD, message_ts=THREAD,
                     reply=HERS, input_tokens=7,
                     steps=(Step(0, "tool", "t", {"w": HERS}),)))  # fmt: skip
    run = await store.run("r1")
    assert run is not None
    assert (run.request, run.reply, run.steps[0].arguments) == ("", None, None)
    assert run.input_tokens == 7


async def test_what_is_under_way_while_its_person_is_forgotten_names_nobody(
    store: Store, tmp_path: Path
) -> None:
    """The answer ends after `runs forget` of another process; a later question is kept whole."""
    asked_at = time.time()
    store.append(Run("r0", "x", "a", started_at=asked_at, user_id="U0ADA"))
    beside = Store.open(tmp_path, store.workspace)
    await beside.forget("U0ADA")
    await beside.close()
    run = Run("r1", HERS, "a", started_at=asked_at, user_id="U0ADA", channel_id="C1",
              thread_ts=THREAD, message_ts=THREAD, reply=HERS, audience=one_person("U0ADA"),
              input_tokens=7, cost_usd=0.5,
              steps=(Step(0, "tool", "t", {"words": HERS}, False, HERS),))  # fmt: skip
    his = Run("r2", "hello", "a", started_at=asked_at, user_id="U0BOB")
    question = replace(message(0, HERS), created_at=asked_at, run_id="r1")
    answer = replace(message(1, HERS, None), created_at=time.time(), run_id="r1")
    store.append(run, his, question, answer)
    store.append(replace(message(2, HERS), created_at=asked_at))
    store.append(Feedback("f1", "r0", "rephrase", -0.5, text=HERS, user_id="U0ADA",
                          created_at=time.time()))  # fmt: skip
    await store.close()
    left = bytes_of(tmp_path)
    assert HERS.encode() not in left
    assert b"U0ADA" not in left
    again = Store.open(tmp_path, store.workspace)
    kept, bobs = await again.run("r1"), await again.run("r2")
    assert kept is not None
    assert bobs is not None
    assert (kept.input_tokens, kept.cost_usd, kept.agent) == (7, 0.5, "a")
    assert (kept.user_id, kept.channel_id, kept.audience) == (None, None, "person:[forgotten]")
    assert (bobs.user_id, bobs.request) == ("U0BOB", "hello")
    assert [f.value for f in await again.feedback_on("r0")] == [-0.5]
    again.append(Run("r3", "I am back", "a", started_at=time.time(), user_id="U0ADA"))
    back = await again.run("r3")
    assert back is not None
    assert (back.user_id, back.request) == ("U0ADA", "I am back")
    await again.close()


async def test_names_of_events_stay_unique_when_everybody_is_forgotten(
    store: Store, tmp_path: Path
) -> None:
    """Two people's feedback whose names differ in nothing but who gave it; one of it comes late."""
    store.append(Run("r1", "q", "a", started_at=time.time()))
    people = ("U0ADA", "U0BOB", "U0EVE")
    for user in people[:2]:
        store.append(Feedback(f"r1:{user}", "r1", "rating", 1.0, user_id=user, created_at=1.0))
    for user in people:
        await store.forget(user)
    store.append(Feedback("r1:U0EVE", "r1", "rating", 1.0, user_id="U0EVE", created_at=1.0))
    names = {found.feedback_id for found in await store.feedback_on("r1")}
    assert len(names) == 3
    assert not [user for user in people if user in repr(names)]
    assert (await store.metrics(RunQuery())).total.runs == 1


async def test_forgetting_a_stranger_changes_nothing(store: Store) -> None:
    await fill(store)
    report = await store.forget("U0ZED")
    assert set(report.rows.values()) == {0}
    run = await store.run("r1")
    assert run is not None
    assert run.request == f"I am a {HERS}"


def text_columns(path: Path) -> set[tuple[str, str]]:
    """Every TEXT or BLOB column of a real database, the search index's own tables aside."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith(("message_words", "sqlite_"))
        ]
        return {
            (table, row[1])
            for table in tables
            for row in connection.execute(f"PRAGMA table_info({table})")
            if row[2] in ("TEXT", "BLOB")
        }


async def test_every_text_column_has_a_rule_and_every_rule_a_column(
    store: Store, tmp_path: Path
) -> None:
    engine = Coordination.open(tmp_path)
    await engine.close()
    columns = text_columns(tmp_path / RECORD) | text_columns(tmp_path / ENGINE)
    ruled = {(table, column) for table, rules in FORGET_RULES.items() for column in rules}
    assert ruled == columns


PERSONAL = [
    (table, column)
    for table, rules in FORGET_RULES.items()
    for column, rule in rules.items()
    if rule in (ForgetRule.PERSON, ForgetRule.PLACE, ForgetRule.WORDS, ForgetRule.ROW)
    and table != "day_counts"  # made of runs: see test_run_counts.py
]


@pytest.mark.parametrize(("table", "column"), PERSONAL)
async def test_each_personal_column_is_emptied(tmp_path: Path, table: str, column: str) -> None:
    """Her row, with a mark of its own in this column."""
    store = Store.open(tmp_path, "T1")
    await fill(store)
    await store.close()
    theirs = {"documents": "author", "policy": "set_by"}.get(table, "user_id")
    where = {"steps": "run_id = 'r1'", "summaries": "1"}.get(table, f"{theirs} = 'U0ADA'")
    mark = "U0ADA" if column == theirs else "planted-mark"
    with contextlib.closing(sqlite3.connect(tmp_path / RECORD)) as connection:
        sql = f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {where}"
        assert connection.execute(sql, (mark,)).rowcount
        connection.commit()
    store = Store.open(tmp_path, "T1")
    await store.forget("U0ADA")
    assert mark.encode() not in bytes_of(tmp_path).replace(b"U0ADAM", b"")
    await store.close()


async def test_retention_empties_old_texts_and_keeps_the_numbers(
    store: Store, tmp_path: Path
) -> None:
    await fill(store)
    new = Run("new", "still here", "a", started_at=1.8e9)
    recent = message(100_000_000, "recent words")
    store.append(new, recent)
    before = await store.metrics(RunQuery())
    report = await store.purge(1_750_000_000.0)
    assert report["messages"] == 4
    assert (await store.metrics(RunQuery())).total == before.total
    assert await store.run("new") == new
    assert await store.thread("C1", THREAD) == [recent]
    run = await store.run("r1")
    assert run is not None
    assert (run.request, run.reply, run.error, run.route) == ("", None, None, None)
    assert (run.user_id, run.input_tokens) == ("U0ADA", 7)
    assert run.steps == (Step(0, "tool", "search", None, False),)
    assert await store.search_messages(HERS, Reader("U0ADA")) == []
    assert set((await store.purge(1_750_000_000.0)).values()) == {0}


async def test_the_engine_database_forgets_too(tmp_path: Path) -> None:
    """What is done leaves its names behind for a while: so that nobody is told twice."""
    engine = Coordination.open(tmp_path)
    await engine.accept("e1", "C1", b'{"user": "U0ADA"}')
    await engine.accept("e2", "C1", b'{"user": "U0BOB"}')
    await engine.queue_post("p1", "C1", b"thanks <@U0ADA>")
    for user in ("U0ADA", "U0ADAM"):
        await engine.claim(f"secret:{user}", 3600.0)
        await engine.claim(f"refused:C1:1.0:{user}", 3600.0)
        await engine.queue_post(f"record:{user}:2026-11-21", "D1", b"look after it")
        await engine.note_post(f"record:{user}:2026-11-21", "sent", "1.0")
    assert await engine.forget("U0ADA") == 2
    assert [row.event_key for row in await engine.pending()] == ["e2"]
    assert await engine.posts() == []
    assert await engine.knows_post("record:U0ADAM:2026-11-21")
    assert not await engine.claim("secret:U0ADAM", 3600.0), "others' stay"
    await engine.close()
    left = bytes_of(tmp_path)
    assert b"U0ADAM" in left
    assert b"U0ADA" not in left.replace(b"U0ADAM", b"")
