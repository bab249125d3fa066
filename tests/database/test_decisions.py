"""A decision is made whole or not at all, wherever the record is."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from database.errors import InputError, NotAllowed, StaleBase, StaleRevision, UnknownName
from database.learning import (
    Change,
    Decision,
    ExamQuestion,
    Finding,
    LearnerState,
    Observation,
    Proposal,
    ProposalState,
    Trial,
    observation_id_of,
    proposal_id_of,
)
from database.records import (
    Document,
    Feedback,
    Outcome,
    Person,
    PolicyChange,
    Run,
    content_hash,
    one_person,
)
from database.store import Store

ODD = 'a "quoted" \\ \\u0000 \n 21 °C ☀️ \x00 end'


def proposal(n: int = 1, state: ProposalState = "proposed", revision: int = 1) -> Proposal:
    changes = (Change("agent", "poet", None, {"n": n}),)
    return Proposal(
        proposal_id_of("cost-optimizer", changes), "cost-optimizer", f"cheaper {n}", "as good",
        changes, {"runs": [f"r{n}"], "quote": ODD, "share": 0.25}, {"effect": 0.1, "low": 0.0},
        task_type="verse", risk="low", risk_reasons=("instructions only",), state=state,
        created_at=1e9 + n, moved_at=1e9 + n, revision=revision,
    )  # fmt: skip


async def make(store: Store, body: dict[str, object], name: str = "poet") -> Document:
    [made] = await store.decide(Decision(changes=(Change("agent", name, None, body),)))
    return made


async def test_every_record_is_read_as_it_was_decided(store: Store) -> None:
    trial = Trial("t1", proposal().proposal_id, "shadow", "poet", "v1", "v2", "verse", 0.5, 0.01,
                  0.05, 400, figures={"pairs": [1, 2], "low": -0.5}, started_at=5.0)  # fmt: skip
    found = Finding("f1", "workflow-analyst", "pattern", "pairs", "text", {"bars": [1.5]},
                    ("r1", "r2"), "very strong", created_at=7.0)  # fmt: skip
    state = LearnerState("cost-optimizer", {"seen": {"a": 1}}, 12, 3, 8.0, 1)
    decision = Decision((proposal(),), (trial,), (found,), (state,))
    assert await store.decide(decision) == []
    kept = await store.proposal(proposal().proposal_id)
    assert kept is not None
    assert kept.evidence["quote"] == ODD.replace("\x00", "\ufffd")
    assert replace(kept, evidence=proposal().evidence) == proposal()
    assert await store.trial("t1") == trial
    assert await store.trials_of(proposal().proposal_id) == [trial]
    assert await store.finding("f1") == found
    assert await store.learner_state("cost-optimizer") == state
    assert await store.learner_state("nobody") == LearnerState("nobody")
    assert await store.proposal("none") is None
    assert (await store.trial("none"), await store.finding("none")) == (None, None)


async def test_what_no_database_takes_is_replaced(store: Store) -> None:
    odd = "a\x00b \ud800 c"
    await store.decide(Decision((replace(proposal(), title=odd, evidence={odd: [odd]}),)))
    [kept] = await store.proposals()
    assert kept.title == "a\ufffdb ? c"
    assert kept.evidence == {kept.title: [kept.title]}


async def test_lists_are_newest_first_and_chosen_by_state(store: Store) -> None:
    states: tuple[ProposalState, ...] = ("proposed", "awaiting", "rejected")
    await store.decide(Decision(tuple(proposal(n, states[n]) for n in range(3))))
    names = [p.title for p in await store.proposals()]
    assert names == ["cheaper 2", "cheaper 1", "cheaper 0"]
    assert [p.title for p in await store.proposals({"proposed", "awaiting"}, limit=1)] == [
        "cheaper 1"
    ]
    assert await store.proposals(()) == []
    again = replace(proposal(0), state="trial", moved_at=2e9, revision=2)
    await store.decide(Decision((again,)))
    moved = [p.title for p in await store.proposals(order="moved_last")]
    assert moved == ["cheaper 0", "cheaper 2", "cheaper 1"]
    waits = await store.proposals({"awaiting", "trial"}, order="waits_longest")
    assert [p.title for p in waits] == ["cheaper 1", "cheaper 0"]
    lately = await store.proposals(order="waits_longest", moved_since=1e9 + 2)
    assert [p.title for p in lately] == ["cheaper 2", "cheaper 0"]
    notes = tuple(Finding(f"f{n}", "l", "note", "t", "x", created_at=float(n)) for n in range(3))
    await store.decide(Decision(findings=(*notes[:2], replace(notes[2], state="verified"))))
    assert [f.finding_id for f in await store.findings(since=1.0)] == ["f2", "f1"]
    assert [f.finding_id for f in await store.findings(state="open")] == ["f1", "f0"]
    trials = tuple(Trial(f"t{n}", "p", "split", "a", "x", "y", started_at=n) for n in range(2))
    await store.decide(Decision(trials=(trials[0], replace(trials[1], state="stopped"))))
    assert [t.trial_id for t in await store.trials()] == ["t1", "t0"]
    assert [t.trial_id for t in await store.trials({"running"})] == ["t0"]


async def test_documents_and_records_change_together(store: Store) -> None:
    first = await make(store, {"n": 1})
    seen = store.documents_changed(), store.learning_changes()
    wished = Change("agent", "poet", first.version, {"n": 2})
    live = replace(proposal(state="live"), changes=(wished,), decided_by="U1")
    [second] = await store.decide(
        Decision((live,), changes=(wished,), author="U1", reason="it is better")
    )
    assert (second.number, second.base, second.origin) == (2, first.version, "proposal")
    assert (second.author, second.reason, second.body) == ("U1", "it is better", {"n": 2})
    assert second.created_at > 1e9
    assert await store.document("agent", "poet") == second
    assert store.documents_changed() != seen[0]
    assert store.learning_changes() != seen[1]
    back = Change("agent", "poet", second.version, {"n": 1})
    [again] = await store.decide(Decision(changes=(back,)))
    assert again == first


async def test_retiring_leaves_nothing_active_and_keeps_the_history(store: Store) -> None:
    first = await make(store, {"n": 1})
    gone = Change("agent", "poet", first.version, None)
    assert gone.version is None
    assert await store.decide(Decision(changes=(gone,))) == []
    assert await store.document("agent", "poet") is None
    assert [d.version for d in await store.history("agent", "poet")] == [first.version]
    for base in (first.version, "other"):
        with pytest.raises(StaleBase, match="retired in the meantime"):
            await store.decide(Decision(changes=(replace(gone, base=base),)))
    again = await make(store, {"n": 2})
    assert again.number == 2


REFUSED = {
    "stale": (Change("agent", "poet", "older", {"n": 2}), StaleBase),
    "taken": (Change("agent", "poet", None, {"n": 2}), StaleBase),
    "unknown": (Change("agent", "nobody", "older", {"n": 2}), UnknownName),
    "nothing": (Change("agent", "nobody", None, None), UnknownName),
    "private": (
        Change("agent", "poet", content_hash({"n": 1}), {"n": 2}, one_person("U1")),
        NotAllowed,
    ),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_what_is_refused_leaves_nothing_behind(store: Store, why: str) -> None:
    """Also of the part that could have been done."""
    first = await make(store, {"n": 1})
    before = await store.audit()
    change, error = REFUSED[why]
    decision = Decision(
        (proposal(),),
        learners=(LearnerState("l", revision=1),),
        changes=(Change("agent", "fresh", None, {"n": 1}), change),
        policy=(PolicyChange("speak", "mentions", "U1"),),
    )
    with pytest.raises(error):
        await store.decide(decision)
    assert await store.documents("agent") == [first]
    assert await store.proposals() == []
    assert (await store.learner_state("l")).revision == 0
    assert store.policy.latest() == []
    assert await store.audit() == before


@pytest.mark.parametrize("revision", [1, 3])
async def test_who_did_not_see_the_last_move_is_refused(store: Store, revision: int) -> None:
    await store.decide(Decision((proposal(),)))
    late = proposal(state="rejected", revision=revision)
    with pytest.raises(StaleRevision, match="moved in the meantime"):
        await store.decide(Decision((late,), changes=(Change("agent", "x", None, {}),)))
    assert [p.state for p in await store.proposals()] == ["proposed"]
    assert await store.documents("agent") == []
    await store.decide(Decision((replace(late, revision=2),)))
    assert [p.state for p in await store.proposals()] == ["rejected"]


async def test_a_new_record_begins_at_one(store: Store) -> None:
    for record in (
        Decision(trials=(Trial("t", "p", "split", "a", "x", "y", revision=2),)),
        Decision(findings=(Finding("f", "l", "note", "t", "x", revision=2),)),
        Decision(learners=(LearnerState("l", revision=2),)),
        Decision(learners=(LearnerState("l", revision=0),)),
    ):
        with pytest.raises(StaleRevision):
            await store.decide(record)


async def test_the_same_thing_twice_in_a_decision_is_refused(store: Store) -> None:
    for twice in (
        Decision((proposal(), proposal())),
        Decision(changes=(Change("agent", "x", None, {}), Change("agent", "x", None, {"n": 1}))),
    ):
        with pytest.raises(InputError, match="twice"):
            await store.decide(twice)


async def test_what_cannot_be_written_is_refused(store: Store) -> None:
    for evidence in ({"n": float("nan")}, {"n": object()}):
        with pytest.raises(InputError, match="cannot be kept"):
            await store.decide(Decision((replace(proposal(), evidence=evidence),)))


async def test_of_many_deciders_at_once_one_wins(store: Store) -> None:
    await store.decide(Decision((proposal(),)))

    async def decide(who: int) -> bool:
        made = proposal(state="rejected" if who % 2 else "awaiting", revision=2)
        try:
            await store.decide(Decision((replace(made, decided_by=f"U{who}"),)))
        except StaleRevision:
            return False
        return True

    assert sum(await asyncio.gather(*(decide(who) for who in range(6)))) == 1
    assert (await store.audit_verify()).whole


async def test_the_first_judgement_of_a_request_counts(store: Store) -> None:
    first = Observation(observation_id_of("t1", "r1", "outcome"), "t1", "r1", "outcome", 1.0, 0.0,
                        "r2", "v1", "check", 5.0)  # fmt: skip
    later = Observation("o0", "t1", "r2", "error", None, 1.0, created_at=1.0)
    store.append(first, replace(first, active=0.0), later)
    store.append(replace(later, observation_id="o2", trial_id="t2"))
    assert await store.observations("t1") == [first, later]
    assert await store.observations("t1", "error") == [later]
    assert await store.observations("t3") == []


def question(n: int, **changes: object) -> ExamQuestion:
    made = ExamQuestion(f"q{n}", f"r{n}", f"ask {n}", {"equals": str(n)}, "poet", "learn", "verse",
                        f"U{n}", created_at=float(n))  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


async def test_the_exam_is_asked_by_part_agent_and_task_type(store: Store) -> None:
    store.append(question(1), question(2, part="held_out"), question(3, agent="coder"),
                 question(4, task_type=None))  # fmt: skip
    assert await store.exam("learn") == [
        question(4, task_type=None),
        question(3, agent="coder"),
        question(1),
    ]
    assert [q.question_id for q in await store.exam("learn", agent="coder")] == ["q3"]
    assert [q.question_id for q in await store.exam("learn", task_type="verse")] == ["q3", "q1"]
    assert [q.question_id for q in await store.exam("learn", limit=1)] == ["q4"]
    assert [q.question_id for q in await store.exam("held_out")] == ["q2"]


async def test_who_declines_is_in_no_exam(store: Store) -> None:
    store.append(*(Run(f"r{n}", "q", "a", user_id=f"U{n}", channel_id=f"C{n}") for n in range(4)))
    store.append(*(question(n) for n in range(4)), question(5, user_id=None, run_id="r1"),
                 question(6, user_id="U1", run_id="r0"))  # fmt: skip
    await store.save_person(Person("U1", "Ada", {"learning": "no"}))
    await store.policy.add("learning.C2", "no", "U9")
    assert [q.question_id for q in await store.exam("learn")] == ["q3", "q0"]
    await store.policy.add("learning", "no", "U9")
    await store.policy.add("learning.C3", "yes", "U9")
    assert [q.question_id for q in await store.exam("learn")] == ["q3"]
    await store.policy.add("learning", None, "U9")
    await store.policy.add("learning.C2", None, "U9")
    assert [q.question_id for q in await store.exam("learn")] == ["q3", "q2", "q0"]


async def test_decisions_outlive_the_program(store: Store, tmp_path: Path) -> None:
    await store.decide_here(Decision((proposal(),), policy=(PolicyChange("speak", "all", "U1"),)))
    other = Store.open(tmp_path, store.workspace)
    assert [p.title for p in await other.proposals()] == ["cheaper 1"]
    assert [c.value for c in other.policy.latest()] == ["all"]
    assert other.learning_changes() == store.learning_changes()
    await other.close()


DAY = 20_000
NOON = DAY * 86_400.0 + 43_200


async def test_what_learning_did_is_counted_by_day_and_agent(store: Store) -> None:
    good = Outcome(True, source="check")
    store.append(
        Run("r1", "q", "poet", started_at=NOON, outcome=good, cost_usd=0.5, channel_id="C1"),
        Run("r2", "q", "poet", started_at=NOON, channel_id="C1"),
        Run("r3", "q", "coder", started_at=NOON + 86_400),
        Run("s1", "q", "poet", kind="shadow", parent_run_id="r1", started_at=NOON,
            input_tokens=5, output_tokens=2, cost_usd=0.25),
        Run("old", "q", "poet", started_at=NOON - 86_400),
        Observation("o1", "t1", "r1", "outcome", 1.0, 0.0, created_at=NOON),
        Observation("o2", "t1", "r1", "error", 0.0, 0.0, created_at=NOON),
        Observation("o3", "t1", "s1", "error", 0.0, 0.0, created_at=NOON),
        Feedback("f1", "r2", "rating", -1.0, user_id="U1", created_at=NOON),
    )  # fmt: skip
    await store.run("r1")
    made = replace(proposal(), moved_at=NOON)
    await store.decide(Decision((made, replace(proposal(2), moved_at=NOON))))
    trial = Trial("t1", "p", "shadow", "poet", "x", "y", state="harmful", ended_at=NOON)
    await store.decide(
        Decision(
            (replace(made, state="live", revision=2), replace(proposal(2), state="live",
             moved_at=NOON, decided_by="U1", revision=2)),
            (trial,),
        )
    )  # fmt: skip
    await store.decide(Decision((replace(made, state="rolled_back", revision=3),)))
    [poet, coder] = await store.improvement_counts(NOON, NOON + 86_400)
    assert (poet.day, poet.agent, poet.replies, poet.judged, poet.succeeded) == (
        DAY, "poet", 2, 2, 1,
    )  # fmt: skip
    assert (poet.in_trial, poet.rated, poet.cost_usd, poet.coverage) == (1, 1, 0.5, 0.5)
    assert (poet.proposed, poet.trials, poet.by_itself, poet.by_people) == (2, 1, 1, 1)
    assert (poet.caught, poet.rolled_back, poet.verified) == (1, 1, 0)
    assert (poet.learning_runs, poet.learning_tokens, poet.learning_cost_usd) == (1, 7, 0.25)
    assert (poet.success_rate, poet.feedback_rate) == (0.5, 0.5)
    assert (coder.day, coder.replies, coder.success_rate) == (DAY + 1, 1, None)
    assert await store.improvement_counts(0.0, 86_400.0) == []
