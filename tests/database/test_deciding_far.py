"""With Supabase: what learning decides shows on every machine, also what waited (on lite)."""

from dataclasses import replace
from pathlib import Path

import pytest

from database import local_copy
from database.errors import RecordAway, StaleBase, StaleRevision
from database.learning import (
    AuditEntry,
    Change,
    Decision,
    ExamQuestion,
    Finding,
    LearnerState,
    Observation,
    Proposal,
)
from database.records import Document, PolicyChange, Run
from database.store import Store
from database.supabase_learning import payload
from tests.database.machines import Machine, eventually
from tests.supabase_server.server import SupabaseServer

PROPOSAL = Proposal("p1", "l", "title", "why", (), {"runs": ["r1"]}, created_at=1.0)


def version(store: Store, body: dict[str, int] | None, base: Document | None) -> Decision:
    change = Change("agent", "poet", base.version if base else None, body)
    return Decision(changes=(change,), author="U1ADA")


async def test_a_decision_shows_at_once_here_and_soon_elsewhere(machine: Machine) -> None:
    one, other = await machine("a"), await machine("b")
    seen = other.learning_changes()
    finding = Finding("f1", "l", "note", "t", "x")
    state = LearnerState("l", {"n": 1}, 3, 4, revision=1)
    [made] = await one.decide(
        Decision((PROPOSAL,), findings=(finding,), learners=(state,),
                 changes=(Change("agent", "poet", None, {"n": 1}),),
                 policy=(PolicyChange("speak", "mentions", "U1ADA", 5.0),))
    )  # fmt: skip
    assert await one.proposals() == [PROPOSAL]
    assert [c.value for c in one.policy.latest()] == ["mentions"]

    async def arrived() -> bool:
        return bool(
            await other.proposals() == [PROPOSAL]
            and await other.finding("f1") == finding
            and await other.learner_state("l") == state
            and await other.document("agent", "poet") == made
            and [c.value for c in other.policy.latest()] == ["mentions"]
        )

    await eventually(arrived)
    assert other.learning_changes() != seen
    assert (await other.audit_verify()).entries == 3
    seen = other.learning_changes()
    moved = replace(PROPOSAL, state="rejected", revision=2)
    await other.decide(Decision((moved,)))

    async def there() -> bool:
        return await one.proposals() == [moved]

    await eventually(there)
    assert other.learning_changes() != seen


async def test_nothing_new_is_not_told_as_new(machine: Machine) -> None:
    one = await machine("a")
    await one.decide(Decision((PROPOSAL,)))
    copy = one._backend._copy  # type: ignore[attr-defined]
    await copy.look()
    seen = one.learning_changes()
    copy.learning.look_at_all()
    await copy.look()
    assert one.learning_changes() == seen


async def test_who_is_refused_sees_why(machine: Machine, supabase: SupabaseServer) -> None:
    """Before the copy would have told it."""
    one, other = await machine("a"), await machine("b")
    for store in (one, other):
        await local_copy.ended(store._backend._keeping)  # type: ignore[attr-defined]
    await one.decide(Decision((PROPOSAL,)))
    [first] = await one.decide(version(one, {"n": 1}, None))
    with pytest.raises(StaleRevision):
        await other.decide(Decision((PROPOSAL,)))
    assert await other.proposals() == [PROPOSAL]
    with pytest.raises(StaleBase):
        await other.decide(version(other, {"n": 2}, None))
    assert await other.document("agent", "poet") == first


async def test_facts_of_every_machine_are_read_together(
    machine: Machine, supabase: SupabaseServer
) -> None:
    one, other = await machine("a"), await machine("b")
    seen = Observation("o1", "t1", "r1", "outcome", 1.0, 0.0, created_at=1.0)
    one.append(seen)
    assert await one.observations("t1") == [seen]
    other.append(replace(seen, active=0.0), replace(seen, observation_id="o2"))
    question = ExamQuestion("q1", "r1", "ask", {"a": 1}, "poet", "trial", created_at=1.0)
    other.append(question, Run("r1", "ask", "poet", started_at=1e9))
    assert await other.exam("trial") == [question]
    assert await one.observations("t1") == [seen, replace(seen, observation_id="o2")]
    assert await one.exam("trial") == [question]
    assert [c.in_trial for c in await one.improvement_counts(1e9, 1e9 + 1)] == [0]
    found = await one.window(0, 0)
    assert "r1" in [run.run_id for run in found.runs]
    supabase.stop_rest()
    assert await one.observations("t1") == [seen], "what this machine knows"
    with pytest.raises(RecordAway):
        await one.window(found.runs_seen, found.feedback_seen)
    with pytest.raises(RecordAway):
        await one.audit_verify()


async def test_a_rollback_counts_at_once_while_supabase_is_away(
    machine: Machine, supabase: SupabaseServer
) -> None:
    one, other = await machine("a"), await machine("b")
    [first] = await one.decide(version(one, {"n": 1}, None))
    [second] = await one.decide(version(one, {"n": 2}, first))
    await one.decide(Decision((replace(PROPOSAL, state="live"),)))
    supabase.stop_rest()
    with pytest.raises(RecordAway):
        await one.decide(version(one, {"n": 1}, second))
    back = Decision(
        (replace(PROPOSAL, state="rolled_back", revision=2),),
        changes=(Change("agent", "poet", second.version, {"n": 1}),),
        policy=(PolicyChange("improvement", "off", "U1ADA"),),
        author="U1ADA",
    )
    [active] = await one.decide_here(back)
    assert active.version == first.version
    assert await one.document("agent", "poet") == active
    assert [p.state for p in await one.proposals()] == ["rolled_back"]
    assert [c.value for c in one.policy.latest()] == ["off"]
    with pytest.raises(StaleRevision):
        await one.decide_here(back)
    supabase.start_rest()

    async def there() -> bool:
        found = await other.document("agent", "poet")
        return bool(
            found
            and found.version == first.version
            and [p.state for p in await other.proposals()] == ["rolled_back"]
            and [c.value for c in other.policy.latest()] == ["off"]
        )

    await eventually(there)
    entries = [(e.actor, e.action) for e in await other.audit()]
    assert entries[-3:] == [
        ("U1ADA", "proposal rolled_back"),
        ("U1ADA", "document activated"),
        ("U1ADA", "policy set"),
    ]
    assert (await other.audit_verify()).whole
    assert one._local.learned.waiting() == []


async def test_of_a_late_rollback_and_what_others_decided_that_stays(
    machine: Machine, supabase: SupabaseServer
) -> None:
    one = await machine("a")
    [first] = await one.decide(version(one, {"n": 1}, None))
    [second] = await one.decide(version(one, {"n": 2}, first))
    supabase.stop_rest()
    await one.decide_here(version(one, {"n": 1}, second))
    await local_copy.ended(one._backend._keeping)  # type: ignore[attr-defined]
    supabase.start_rest()
    other = await machine("b")
    [third] = await other.decide(version(other, {"n": 3}, second))
    with pytest.raises(StaleBase):
        await one.decide(version(one, {"n": 4}, first))
    assert await one.document("agent", "poet") == third
    entries = [(e.actor, e.action) for e in await other.audit()]
    assert entries[-1] == ("U1ADA", "refused when it arrived (stale): document activated")
    assert (await other.audit_verify()).whole


async def test_a_damaged_decision_that_waits_holds_up_no_other(machine: Machine) -> None:
    one = await machine("a")
    await local_copy.ended(one._backend._keeping)  # type: ignore[attr-defined]
    learned, copy = one._local.learned, one._backend._copy.learning  # type: ignore[attr-defined]
    for name in ("damaged", "good"):
        noted = Decision(audit=(AuditEntry("l", name, "p1", at=1e9),))
        learned.decide_waiting(noted, payload("T1", noted, late=name))
    with one._local.file.transaction() as connection:
        connection.execute("UPDATE waiting_decisions SET decision = '{' WHERE seq = 1")
    async with copy.one_at_a_time:
        assert await copy.send_waiting()
        assert not await copy.send_waiting()
    assert [e.action for e in await one.audit()] == ["good"]
    assert [text for _, text in learned.waiting()] == ["{"], "nobody has lost it"


async def test_what_was_sent_and_not_heard_is_not_decided_twice(machine: Machine) -> None:
    """The late decision arrived, and the process ended before it knew."""
    one = await machine("a")
    await local_copy.ended(one._backend._keeping)  # type: ignore[attr-defined]
    noted = Decision(audit=(AuditEntry("l", "rolled back", "p1", at=1e9),))
    learned, copy = one._local.learned, one._backend._copy.learning  # type: ignore[attr-defined]
    text = payload("T1", noted, late="one")
    for _ in range(2):
        learned.decide_waiting(noted, text)
        async with copy.one_at_a_time:
            assert await copy.send_waiting()
    assert [e.action for e in await one.audit()] == ["rolled back"]


async def test_a_home_brings_along_what_it_learned(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    before = Store.open(tmp_path / "a", "T1")
    await before.decide(
        Decision((PROPOSAL,), findings=(Finding("f1", "l", "note", "t", "x"),),
                 learners=(LearnerState("l", {"n": 1}, 3, 4, revision=1),))
    )  # fmt: skip
    entries = await before.audit()
    await before.close()
    store = await machine("a")
    other = await machine("b")
    for each in (store, other):
        assert await each.proposals() == [PROPOSAL]
        assert [f.finding_id for f in await each.findings()] == ["f1"]
        assert await each.learner_state("l") == LearnerState("l"), "its numbers were this file's"
        assert await each.audit() == entries
    await store.policy.add("speak", "mentions", "U1ADA")
    assert (await other.audit_verify()).entries == len(entries) + 1
    assert (await other.audit_verify()).whole


async def test_what_was_decided_without_supabase_for_a_time_is_brought_along(
    machine: Machine, supabase: SupabaseServer, tmp_path: Path
) -> None:
    """The proposal that was moved more often counts; both logs stay whole."""
    first = await machine("a")
    await first.decide(Decision((PROPOSAL, replace(PROPOSAL, proposal_id="p2"))))
    await first.close()
    without = Store.open(tmp_path / "a", "T1")
    moved = replace(PROPOSAL, state="awaiting", revision=2)
    await without.decide(Decision((moved,)))
    alone = await without.audit_verify()
    await without.close()
    other = await machine("b")
    rejected = replace(PROPOSAL, proposal_id="p2", state="rejected", revision=2)
    await other.decide(Decision((rejected,)))
    again = await machine("a")

    async def there() -> bool:
        found = {p.proposal_id: p.state for p in await other.proposals()}
        return found == {"p1": "awaiting", "p2": "rejected"}

    await eventually(there)
    assert {p.proposal_id: p.state for p in await again.proposals()} == {
        "p1": "awaiting",
        "p2": "rejected",
    }
    assert (await again.audit_verify()).whole
    assert alone.head in repr(await again.audit()), "the other log's end is noted"
