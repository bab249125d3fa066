"""One row that is damaged is left out, and said in the log; it stops nothing and stays as it is."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from database import rows
from database.errors import StaleRevision
from database.learning import (
    AuditEntry,
    Change,
    Decision,
    ExamQuestion,
    Finding,
    LearnerState,
    Proposal,
    Trial,
)
from database.records import LEARNING, Feedback, Person, Run, RunQuery, Step
from database.store import RECORD, Store
from tests.supabase_server.server import SupabaseServer

WORDS = "xylophonist"
NOT_JSON = "{" + WORDS


@pytest.fixture(autouse=True)
def said_anew() -> Iterator[None]:
    """The log says each of them once in a process."""
    rows.say_unreadable.cache_clear()
    yield
    rows.say_unreadable.cache_clear()


class Damage:
    """Spoils rows where they are: in the file, and at Supabase."""

    def __init__(self, home: Path, record: SupabaseServer | None) -> None:
        self._home = home
        self._record = record

    def __call__(self, sql: str) -> None:
        with closing(sqlite3.connect(self._home / RECORD)) as connection:
            connection.execute(sql)
            connection.commit()
        if self._record is not None:
            with self._record.connect() as connection:
                connection.execute(sql.encode())


@pytest.fixture
def damage(tmp_path: Path, record: SupabaseServer | None) -> Damage:
    return Damage(tmp_path, record)


CHANGE = Change("agent", "poet", None, {"n": 1})
PROPOSAL = Proposal("p1", "l", "title", "why", (CHANGE,), {"runs": ["r1"]})
OTHER = replace(PROPOSAL, proposal_id="p2", changes=(replace(CHANGE, body={"n": 2}),))


async def two_of_each(store: Store) -> None:
    for n in (1, 2):
        step = Step(0, "tool", "search", {"n": n})
        store.append(Run(f"r{n}", "hello", "poet", started_at=1e9 + n, user_id=f"U{n}ADA",
                         channel_id="C1", route={"n": n}, steps=(step,)))  # fmt: skip
        store.append(ExamQuestion(f"q{n}", f"r{n}", "hello", {"equals": "x"}, "poet", "learn",
                                  created_at=1e9))  # fmt: skip
        await store.create_document("agent", f"a{n}", {"n": n}, origin="shipped")
    proposals = (PROPOSAL, OTHER)
    trials = tuple(Trial(f"t{n}", f"p{n}", "shadow", "poet", "x", "y") for n in (1, 2))
    findings = tuple(Finding(f"f{n}", "l", "note", "t", "x", {"n": n}, ("r1",)) for n in (1, 2))
    learners = tuple(LearnerState(f"l{n}", {"n": n}, 7, 7, revision=1) for n in (1, 2))
    await store.decide(Decision(proposals, trials, findings, learners))


DAMAGED = {
    "proposals.changes": "proposal_id = 'p1'",
    "proposals.evidence": "proposal_id = 'p1'",
    "trials.figures": "trial_id = 't1'",
    "findings.data": "finding_id = 'f1'",
    "findings.runs": "finding_id = 'f1'",
    "exam_questions.answer_check": "question_id = 'q1'",
    "runs.route": "run_id = 'r1'",
}


async def names(store: Store, table: str) -> list[str]:
    match table:
        case "proposals":
            return [p.proposal_id for p in await store.proposals()]
        case "trials":
            return [t.trial_id for t in await store.trials()]
        case "findings":
            return [f.finding_id for f in await store.findings()]
        case "exam_questions":
            return [q.question_id for q in await store.exam("learn")]
        case _:
            found = [r.run_id for r in (await store.window(0, 0)).runs]
            assert sorted(found) == sorted(r.run_id for r in await store.runs(RunQuery()))
            return found


SPOILED = [
    *((column, spoiled) for column in DAMAGED for spoiled in (NOT_JSON, '"a text"', "7")),
    ("proposals.changes", "[1]"),
    ("proposals.changes", "[{}]"),
]


@pytest.mark.parametrize(("column", "spoiled"), SPOILED)
async def test_the_others_are_read(store: Store, damage: Damage, column: str, spoiled: str) -> None:
    await two_of_each(store)
    table, _, name = column.partition(".")
    assert len(await names(store, table)) == 2
    damage(f"UPDATE {table} SET {name} = '{spoiled}' WHERE {DAMAGED[column]}")
    with capture_logs() as said:
        for _ in range(2):
            assert [found[1:] for found in await names(store, table)] == ["2"]
    [line] = [line for line in said if line["event"] == "row_unreadable"]
    assert line["row"] == DAMAGED[column].partition("'")[2][:2]
    assert name in line["problem"]
    assert WORDS not in repr(line)


async def test_one_of_them_alone_is_none(store: Store, damage: Damage) -> None:
    await two_of_each(store)
    damage(f"UPDATE proposals SET changes = '{NOT_JSON}' WHERE proposal_id = 'p1'")
    damage(f"UPDATE runs SET route = '{NOT_JSON}' WHERE run_id = 'r1'")
    assert await store.proposal("p1") is None
    assert await store.run("r1") is None
    assert [await store.proposal_revision(name) for name in ("p1", "p2", "p3")] == [1, 1, 0]
    with pytest.raises(StaleRevision):
        await store.decide(Decision((PROPOSAL,)))


async def test_a_step_is_left_out_of_its_run(store: Store, damage: Damage) -> None:
    await two_of_each(store)
    assert len(await store.runs(RunQuery())) == 2
    damage(f"UPDATE steps SET arguments = '{NOT_JSON}' WHERE run_id = 'r1'")
    for found in (await store.runs(RunQuery(), with_steps=True), (await store.window(0, 0)).runs):
        assert {run.run_id: len(run.steps) for run in found} == {"r1": 0, "r2": 1}


async def test_a_learner_that_cannot_remember_begins_anew(store: Store, damage: Damage) -> None:
    await two_of_each(store)
    damage("UPDATE learner_states SET state = '[1' WHERE learner = 'l1'")
    with capture_logs() as said:
        begun = await store.learner_state("l1")
    assert begun == LearnerState("l1", revision=1)
    assert [line["row"] for line in said] == ["l1"]
    assert (await store.learner_state("l2")).state == {"n": 2}
    await store.decide(Decision(learners=(replace(begun, state={"n": 3}, revision=2),)))
    assert (await store.learner_state("l1")).state == {"n": 3}


async def test_a_document_keeps_its_place(store: Store, damage: Damage) -> None:
    await two_of_each(store)
    before = await store.document("agent", "a1")
    assert before is not None
    damage(f"UPDATE documents SET body = '{NOT_JSON}' WHERE name = 'a1'")
    assert [(d.name, d.body) for d in await store.documents("agent")] == [
        ("a1", {}), ("a2", {"n": 2}),
    ]  # fmt: skip
    assert await store.document("agent", "a1") == replace(before, body={})
    await store.activate("agent", "a1", {"n": 1}, base=before.version, origin="shipped",
                         author=None, reason=None)  # fmt: skip
    assert await store.document("agent", "a1") == before, "the same again mends it"


async def test_who_may_have_declined_has(store: Store, damage: Damage) -> None:
    await two_of_each(store)
    for n in (1, 2):
        await store.save_person(Person(f"U{n}ADA", "Ada", {}))
    assert len((await store.window(0, 0)).runs) == 2
    damage(f"UPDATE people SET settings = '{NOT_JSON}' WHERE user_id = 'U1ADA'")
    damage("UPDATE people SET settings = '[]' WHERE user_id = 'U2ADA'")
    assert (await store.window(0, 0)).runs == ()
    await store.agent_record(0.0)
    assert [p.settings for p in await store.people()] == [{LEARNING: "no"}] * 2


async def test_an_entry_of_the_audit_log_is_left_out_and_found(
    store: Store, damage: Damage
) -> None:
    await store.note(AuditEntry("l", "a", "s", {"n": 1}), AuditEntry("l", "b", "s", {"n": 2}))
    damage("UPDATE audit SET details = '{' WHERE seq = 1")
    assert [e.action for e in await store.audit()] == ["b"]
    assert (await store.audit_verify()).broken == ((1, "it was changed"),)


async def test_everything_about_somebody_is_what_can_be_read(store: Store, damage: Damage) -> None:
    await two_of_each(store)
    store.append(Feedback("f", "r1", "reason", -1.0, text="no", user_id="U1ADA"))
    alone = replace(PROPOSAL, proposal_id="p3", learner="U1ADA")
    await store.decide(Decision((alone,)))
    assert len(await store.everything_about("U1ADA")) == 4
    damage(f"UPDATE proposals SET changes = '{NOT_JSON}' WHERE proposal_id = 'p3'")
    assert [type(kept) for kept in await store.everything_about("U1ADA")] == [
        Run, Feedback, ExamQuestion,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "left"),
    [
        ("proposals.changes", {"p2": "rolled_back", "p3": "proposed"}),
        ("proposals.evidence", {"p1": "superseded", "p2": "rolled_back", "p3": "proposed"}),
    ],
)
@pytest.mark.parametrize("spoiled", [NOT_JSON, '["x"]'])
async def test_nobody_is_kept_from_being_forgotten(
    store: Store, damage: Damage, column: str, left: dict[str, str], spoiled: str
) -> None:
    """What cannot be read may rest on anybody."""
    await two_of_each(store)
    live = replace(OTHER, state="live", revision=2)
    his = replace(OTHER, proposal_id="p3", evidence={"runs": ["r2"]},
                  changes=(replace(CHANGE, name="other"),))  # fmt: skip
    await store.decide(Decision((live, his), changes=OTHER.changes))
    damage(f"UPDATE {column.replace('.', ' SET ')} = '{spoiled}' WHERE proposal_id = 'p1'")
    damage(f"UPDATE findings SET runs = '{NOT_JSON}' WHERE finding_id = 'f2'")
    await store.purge(1e9)
    await store.forget("U1ADA")
    assert {p.proposal_id: p.state for p in await store.proposals()} == left
    assert {f.text for f in await store.findings()} == {""}
    assert len(await store.findings()) == 2
    assert await store.document("agent", "poet") is None
