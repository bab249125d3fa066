"""Who is forgotten, or whose texts grew old, is in nothing that was learned; the rest stays."""

from dataclasses import replace
from typing import Any

import pytest

from database.errors import StaleRevision
from database.learning import (
    Change,
    Decision,
    ExamQuestion,
    Finding,
    LearnerState,
    Proposal,
    Trial,
)
from database.records import Document, Feedback, Run, one_person
from database.store import Store

HERS = "xylophonist"


async def begin(store: Store) -> None:
    """Two people's runs, and what came of hers."""
    store.append(
        Run("hers", f"I am a {HERS}", "poet", started_at=1e9, user_id="U0ADA"),
        Run("his", "hello", "poet", started_at=1e9, user_id="U0BOB"),
        Run("shadow", f"I am a {HERS}", "poet", kind="shadow", parent_run_id="hers"),
    )


def wish(
    name: str, base: str | None, body: dict[str, Any], runs: list[str], **more: Any
) -> Proposal:
    changes = (Change("agent", "poet", base, body),)
    made = Proposal(name, "prompt-optimizer", HERS if "hers" in runs else "his", "why", changes,
                    {"runs": runs, "quote": HERS}, risk="low")  # fmt: skip
    return replace(made, **more)


async def live(store: Store, proposal: Proposal) -> Document:
    [made] = await store.decide(
        Decision((replace(proposal, state="live"),), changes=proposal.changes)
    )
    return made


async def first(store: Store) -> Document:
    return await store.create_document("agent", "poet", {"n": 1}, origin="shipped")


async def states(store: Store) -> dict[str, str]:
    return {p.proposal_id: p.state for p in await store.proposals()}


async def test_the_version_before_takes_the_place_of_one_that_rests_on_her(store: Store) -> None:
    """And of what was made from it, or was to be made; all of them lose their bodies."""
    await begin(store)
    shipped = await first(store)
    his = await live(store, wish("p0", shipped.version, {"n": 2}, ["his"]))
    hers = await live(store, wish("p1", his.version, {"n": 3, "say": HERS}, ["shadow"]))
    later = await live(store, wish("p2", hers.version, {"n": 4, "say": HERS}, ["his"]))
    waits = wish("p3", later.version, {"n": 5, "say": HERS}, ["his"], state="awaiting")
    runs = Trial("t1", "p3", "shadow", "poet", later.version, "x")
    other = wish("p4", shipped.version, {"n": 6}, ["his"])
    await store.decide(Decision((waits, other), (runs, replace(runs, trial_id="t2",
                                                               proposal_id="p4"))))  # fmt: skip
    seen = store.documents_changed()
    await store.forget("U0ADA")
    active = await store.document("agent", "poet")
    assert active is not None
    assert (active.version, active.body) == (his.version, {"n": 2})
    assert [(d.number, d.body) for d in await store.history("agent", "poet")] == [
        (1, {"n": 1}), (2, {"n": 2}), (3, {}), (4, {}),
    ]  # fmt: skip
    assert [d.version for d in await store.history("agent", "poet")][2:] == [
        hers.version, later.version,
    ]  # fmt: skip
    assert await states(store) == {
        "p0": "live", "p1": "rolled_back", "p2": "rolled_back", "p3": "superseded",
        "p4": "proposed",
    }  # fmt: skip
    gone = await store.proposal("p3")
    assert gone is not None
    assert (gone.title, gone.why, gone.evidence, gone.revision) == ("[forgotten]", "", {}, 2)
    assert (gone.changes[0].body, gone.changes[0].base) == ({}, later.version)
    assert gone.reason == "It rested on what was forgotten."
    assert [t.state for t in await store.trials_of("p3")] == ["stopped"]
    assert [t.state for t in await store.trials_of("p4")] == ["running"]
    assert store.documents_changed() != seen
    assert (await store.audit_verify()).whole


async def test_what_was_shipped_since_stays(store: Store) -> None:
    """An update of the program comes from files, whatever was active before."""
    await begin(store)
    shipped = await first(store)
    hers = await live(store, wish("p1", shipped.version, {"n": 2, "say": HERS}, ["hers"]))
    update = await store.activate("agent", "poet", {"n": 3}, base=hers.version, origin="shipped",
                                  author=None, reason=None)  # fmt: skip
    await store.forget("U0ADA")
    active = await store.document("agent", "poet")
    assert active is not None
    assert (active.version, active.body) == (update.version, {"n": 3})


async def test_what_is_new_and_rests_on_her_is_retired(store: Store) -> None:
    await begin(store)
    made = await live(store, wish("p1", None, {"say": HERS}, ["hers", "his"]))
    await store.forget("U0ADA")
    assert await store.document("agent", "poet") is None
    [kept] = await store.history("agent", "poet")
    assert (kept.version, kept.body, kept.active) == (made.version, {}, False)


async def test_going_back_because_of_her_leaves_what_was_there_before(store: Store) -> None:
    await begin(store)
    shipped = await first(store)
    second = await live(store, wish("p0", shipped.version, {"n": 2}, ["his"]))
    third = await live(store, wish("p1", second.version, {"n": 3}, ["his"]))
    back = wish("p2", third.version, {"n": 2}, ["hers"], created_at=9e9)
    again = await live(store, back)
    assert again.version == second.version
    await store.forget("U0ADA")
    active = await store.document("agent", "poet")
    assert active is not None
    assert (active.version, active.body) == (second.version, {"n": 2})


async def test_findings_and_questions_go_with_her(store: Store) -> None:
    await begin(store)
    question = ExamQuestion("q1", "hers", HERS, {"equals": HERS}, "poet", "learn",
                            user_id="U0ADA", created_at=1.0)  # fmt: skip
    store.append(question, replace(question, question_id="q2", run_id="his", user_id="U0BOB"))
    finding = Finding("f1", "workflow-analyst", "pattern", HERS, HERS, {"x": HERS}, ("hers",))
    alone = replace(finding, finding_id="f2", runs=(), audience=one_person("U0ADA"))
    his = replace(finding, finding_id="f3", title="his", runs=("his",), decided_by="U0ADA")
    await store.decide(Decision(findings=(finding, alone, his)))
    await store.forget("U0ADA")
    assert [q.question_id for q in await store.exam("learn")] == ["q2"]
    found = {f.finding_id: f for f in await store.findings()}
    for name in ("f1", "f2"):
        assert (found[name].title, found[name].text, found[name].data, found[name].state) == (
            "[forgotten]", "", {}, "dismissed",
        )  # fmt: skip
    assert (found["f3"].title, found["f3"].decided_by) == ("his", "[forgotten]")


@pytest.mark.parametrize(("runs_seen", "feedback_seen"), [(2**40, 0), (0, 2**40), (0, 0)])
async def test_who_has_seen_her_learns_anew(
    store: Store, runs_seen: int, feedback_seen: int
) -> None:
    await begin(store)
    store.append(Feedback("f", "his", "reason", -1.0, text=HERS, user_id="U0ADA"))
    state = LearnerState("l", {"x": HERS}, runs_seen, feedback_seen, revision=1)
    await store.decide(Decision(learners=(state,)))
    await store.forget("U0ADA")
    found = await store.learner_state("l")
    if runs_seen or feedback_seen:
        assert found == LearnerState("l", {}, 0, 0, revision=2)
        with pytest.raises(StaleRevision):
            await store.decide(Decision(learners=(replace(state, revision=2),)))
    else:
        assert found == state


async def test_old_texts_of_learning_go_and_what_is_open_stays(store: Store) -> None:
    old, new = 1e9, 1.9e9
    question = ExamQuestion("q1", "r", HERS, {}, "poet", "learn", created_at=old)
    store.append(question, replace(question, question_id="q2", created_at=new))
    finding = Finding("f1", "l", "note", "t", HERS, {"x": 1}, created_at=old)
    closed = wish("p1", None, {"n": 1}, ["r"], state="rejected", moved_at=old)
    await store.decide(
        Decision(
            (closed, replace(closed, proposal_id="p2", state="awaiting"),
             replace(closed, proposal_id="p3", moved_at=new)),
            findings=(finding, replace(finding, finding_id="f2", created_at=new)),
        )
    )  # fmt: skip
    done = await store.purge(1.5e9)
    assert (done["exam_questions"], done["findings"], done["proposals"]) == (1, 1, 1)
    assert [q.question_id for q in await store.exam("learn")] == ["q2"]
    assert [f.text for f in await store.findings()] == [HERS, ""]
    found = {p.proposal_id: p for p in await store.proposals()}
    assert found["p1"].evidence == {"runs": ["r"]}
    assert {name: found[name].evidence for name in ("p2", "p3")} == dict.fromkeys(
        ("p2", "p3"), closed.evidence
    )
    assert set((await store.purge(1.5e9)).values()) == {0}


async def test_what_was_made_of_her_words_is_found_when_they_are_old(store: Store) -> None:
    """Forgetting goes by what a proposal rests on, which outlives its texts."""
    await begin(store)
    made = await live(store, wish("p1", None, {"say": HERS}, ["hers"], moved_at=1e9))
    [kept] = await store.proposals()
    await store.decide(Decision((replace(kept, state="verified", revision=2),)))
    assert (await store.purge(1.5e9))["proposals"] == 1
    active = await store.document("agent", "poet")
    assert active is not None
    assert active.body == {"say": HERS}, "old texts do not end what was learned"
    await store.forget("U0ADA")
    assert await store.document("agent", "poet") is None
    [kept_version] = await store.history("agent", "poet")
    assert (kept_version.version, kept_version.body) == (made.version, {})
    assert await states(store) == {"p1": "rolled_back"}


async def test_what_a_person_proposed_still_rests_on_others(store: Store) -> None:
    """Who proposed it may be forgotten before those whose words it has."""
    await begin(store)
    await live(store, wish("p1", None, {"say": HERS}, ["hers"], learner="U0BOB"))
    await store.forget("U0BOB")
    [kept] = await store.proposals()
    assert (kept.learner, kept.why, kept.evidence) == ("[forgotten]", "", {"runs": ["hers"]})
    assert await store.document("agent", "poet") is not None
    await store.forget("U0ADA")
    assert await store.document("agent", "poet") is None


async def test_old_words_of_what_never_came_to_be_go(store: Store) -> None:
    """Its version stays, so that the same is still known to have been rejected."""
    shipped = await first(store)
    old = wish("p1", shipped.version, {"say": HERS}, ["r"], moved_at=1e9, state="rejected")
    retire = Change("agent", "other", "x", None)
    others = (
        replace(old, proposal_id="p2", state="superseded", changes=(retire, *old.changes)),
        replace(old, proposal_id="p3", state="awaiting"),
        replace(old, proposal_id="p4", state="rolled_back"),
        replace(old, proposal_id="p5", changes=(retire,), evidence={}),
        replace(old, proposal_id="p6", evidence={}),
    )
    await store.decide(Decision((old, *others)))
    assert (await store.purge(1.5e9))["proposals"] == 4
    found = {p.proposal_id: p.changes for p in await store.proposals()}
    assert [c.body for c in found["p1"]] == [c.body for c in found["p6"]] == [{}]
    assert [c.body for c in found["p2"]] == [None, {}]
    assert found["p5"] == (retire,)
    for name in ("p3", "p4"):
        assert found[name] == old.changes, "what is open, or was live, is not only here"
    assert found["p1"][0].version == old.changes[0].version
    assert set((await store.purge(1.5e9)).values()) == {0}
    moved = replace(old, changes=found["p1"], revision=2)
    await store.decide(Decision((moved,)))
    again = await store.proposal("p1")
    assert again is not None
    assert again.changes == found["p1"], "what is written again has not lost its version"
