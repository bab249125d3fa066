"""Proposals on their way: tried, gated, decided once, verified or taken back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.errors import ModelUnavailable
from database.errors import InputError, NotAllowed, StaleBase, UnknownName
from database.learning import Change, Decision, Proposal, proposal_id_of
from database.records import content_hash
from orchestrator.improvement_orchestrator import AlreadyDecided
from orchestrator.leases import lease
from orchestrator.moves import ITSELF, digest_of
from orchestrator.verifying import verification_id
from tests.orchestrator.pipeline import (
    ADA,
    CODER,
    GRACE,
    WRITER,
    Pipeline,
    changed,
    observe,
    observe_all,
    proposal,
    states,
)

BETTER = changed(CODER, system_prompt="You are coder. Answer with code only.")
WARMER = changed(CODER, temperature=0.7)


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    made = await Pipeline(tmp_path).open()
    yield made
    await made.close()


async def test_what_is_proven_waits_for_a_person_and_goes_live_with_the_click(
    pipeline: Pipeline,
) -> None:
    made = await pipeline.propose(BETTER)
    assert (made.state, made.risk) == ("proposed", "low")

    trial = await pipeline.tried(made, active=0.0, candidate=1.0)

    assert (trial.method, trial.state) == ("shadow", "proven")
    assert (trial.active, trial.candidate) == (CODER.version, BETTER.version)
    assert trial.figures["effect"] == 1.0
    waits = await pipeline.now(made)
    assert (waits.state, waits.decided_by) == ("awaiting", None)
    assert await pipeline.active("coder") == CODER.version

    live = await pipeline.improvement.decide(made.proposal_id, ADA, True)

    assert (live.state, live.decided_by) == ("live", ADA)
    assert await pipeline.active("coder") == BETTER.version
    document = await pipeline.store.document("agent", "coder")
    assert document is not None
    assert (document.origin, document.base, document.author) == ("proposal", CODER.version, ADA)


async def test_low_risk_goes_live_by_itself_only_where_a_person_chose_automatic(
    pipeline: Pipeline,
) -> None:
    await pipeline.improvement.set_mode("coder", "automatic", ADA)
    made = await pipeline.propose(BETTER)
    await pipeline.tried(made, 0.0, 1.0)
    live = await pipeline.now(made)
    assert (live.state, live.decided_by) == ("live", None)
    assert await pipeline.active("coder") == BETTER.version


@pytest.mark.parametrize(("ratio", "state"), [(1.0, "live"), (1.5, "awaiting"), (None, "awaiting")])
async def test_where_prices_are_unknown_tokens_decide_whether_it_is_dearer(
    pipeline: Pipeline, ratio: float | None, state: str
) -> None:
    await pipeline.improvement.set_mode("coder", "automatic", ADA)
    pipeline.exam.tokens_known = {} if ratio is None else {"tokens_ratio": ratio}
    made = await pipeline.propose(BETTER)
    await pipeline.improvement.advance()
    trial = await pipeline.trial(made)
    for number in range(60):
        observe(pipeline.store, trial, f"r{number}", 0.0, 1.0)
        observe(pipeline.store, trial, f"r{number}", 0.0, 0.0, "error")
    await pipeline.improvement.advance()
    assert (await pipeline.now(made)).state == state


async def test_medium_risk_never_goes_live_by_itself(pipeline: Pipeline) -> None:
    await pipeline.improvement.set_mode("coder", "automatic", ADA)
    made = await pipeline.propose(WARMER)
    await pipeline.tried(made, 0.0, 1.0)
    waits = await pipeline.now(made)
    assert (waits.state, waits.risk) == ("awaiting", "medium")
    assert "medium" in waits.reason


async def test_what_a_learner_says_of_risk_and_state_is_not_believed(pipeline: Pipeline) -> None:
    sly = changed(CODER, tools=["calculator"], model="gpt-99")
    told = proposal(sly, risk="low", state="awaiting", decided_by=ADA, reason="Approved.")
    sifted = await pipeline.improvement.submit([told])
    [made] = sifted.taken
    assert (made.state, made.risk, made.decided_by) == ("proposed", "high", None)


async def test_what_hurts_is_rejected_and_never_live(pipeline: Pipeline) -> None:
    made = await pipeline.propose(BETTER)
    trial = await pipeline.tried(made, active=1.0, candidate=0.0)
    assert trial.state == "harmful"
    rejected = await pipeline.now(made)
    assert rejected.state == "rejected"
    assert "worse" in rejected.reason
    assert await pipeline.active("coder") == CODER.version


async def test_the_exam_is_asked_first_and_live_requests_after_it(pipeline: Pipeline) -> None:
    pipeline.exam.left, pipeline.exam.outcomes = 60, (0.0, 1.0)
    pipeline.exam.held_out = {"before": 0.4, "after": 0.6, "n": 30}
    made = await pipeline.propose(BETTER)
    await pipeline.improvement.advance()
    assert (await pipeline.trial(made)).method == "replay"
    for _ in range(4):
        await pipeline.improvement.advance()
    first, second = await pipeline.store.trials_of(made.proposal_id)
    assert (first.method, first.state) == ("replay", "proven")
    assert (second.method, second.state) == ("shadow", "running"), "the exam alone proves nothing"
    assert second.alpha < 0.05

    observe_all(pipeline.store, second, 60, 0.0, 1.0)
    await pipeline.improvement.advance()
    waits = await pipeline.now(made)
    assert waits.state == "awaiting"
    assert waits.evidence["exam"] == {"before": 0.4, "after": 0.6, "n": 30}


async def test_what_the_exam_shows_to_be_harmful_meets_no_live_request(pipeline: Pipeline) -> None:
    pipeline.exam.left, pipeline.exam.outcomes = 60, (1.0, 0.0)
    made = await pipeline.propose(BETTER)
    for _ in range(4):
        await pipeline.improvement.advance()
    assert (await pipeline.now(made)).state == "rejected"
    assert [t.method for t in await pipeline.store.trials_of(made.proposal_id)] == ["replay"]


@pytest.mark.parametrize(
    ("figures", "state"),
    [
        ({"spoken_of": 0.2, "effect_at_worst": -0.1}, "awaiting"),
        ({"spoken_of": 0.2, "effect_at_worst": None}, "awaiting"),
        ({"spoken_of": 0.9, "effect_at_worst": 0.1}, "live"),
    ],
)
async def test_where_few_spoke_a_person_decides(
    pipeline: Pipeline, figures: dict[str, float], state: str
) -> None:
    await pipeline.improvement.set_mode("coder", "automatic", ADA)
    pipeline.exam.known = figures
    made = await pipeline.propose(BETTER)
    await pipeline.tried(made, 0.0, 1.0)
    decided = await pipeline.now(made)
    assert decided.state == state
    assert ("20%" in decided.reason) == (state == "awaiting")


async def test_only_named_approvers_decide_and_each_decision_counts_once(
    pipeline: Pipeline,
) -> None:
    waits = await pipeline.awaiting(BETTER)
    with pytest.raises(NotAllowed, match=ADA):
        await pipeline.improvement.decide(waits.proposal_id, GRACE, True)
    assert await pipeline.active("coder") == CODER.version

    await pipeline.improvement.decide(waits.proposal_id, ADA, False, "I like it as it is.")
    with pytest.raises(AlreadyDecided, match="rejected by U0ADA"):
        await pipeline.improvement.decide(waits.proposal_id, ADA, True)
    assert await pipeline.active("coder") == CODER.version
    with pytest.raises(UnknownName):
        await pipeline.improvement.decide("nothing", ADA, True)


async def test_two_clicks_in_two_processes_are_one_decision(pipeline: Pipeline) -> None:
    waits = await pipeline.awaiting(BETTER)
    other = await pipeline.again()
    await other.improvement.decide(waits.proposal_id, ADA, True)
    with pytest.raises(AlreadyDecided, match="live by U0ADA"):
        await pipeline.improvement.decide(waits.proposal_id, ADA, False)
    assert (await pipeline.now(waits)).state == "live"
    await other.close()


async def test_what_people_type_is_kept_without_secrets(pipeline: Pipeline) -> None:
    secret = "xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"
    made = await pipeline.propose(BETTER)
    await pipeline.tried(made, 0.0, 1.0)
    body = {**(BETTER.body or {}), "system_prompt": f"You are a coder. Use {secret}."}
    change = Change("agent", "coder", CODER.version, body)
    revised = await pipeline.improvement.revise(made.proposal_id, ADA, [change], f"so: {secret}")
    rejected = await pipeline.improvement.decide(
        revised.proposal_id, ADA, False, f"no, {secret} leaks"
    )
    assert rejected.reason.startswith("no, [")
    assert revised.why.startswith("so: [")
    await pipeline.close()
    kept = b"".join(path.read_bytes() for path in pipeline.home.rglob("*") if path.is_file())
    assert b"leaks" in kept
    assert secret.encode() not in kept


async def test_nobody_approves_what_is_still_being_tried_but_may_reject_it(
    pipeline: Pipeline,
) -> None:
    made = await pipeline.propose(BETTER)
    await pipeline.improvement.advance()
    with pytest.raises(AlreadyDecided, match="still being tried"):
        await pipeline.improvement.decide(made.proposal_id, ADA, True)
    await pipeline.improvement.decide(made.proposal_id, ADA, False)
    assert (await pipeline.now(made)).state == "rejected"
    assert (await pipeline.trial(made)).state == "stopped"


async def test_a_document_that_changed_meanwhile_supersedes(pipeline: Pipeline) -> None:
    waits = await pipeline.awaiting(BETTER)
    body = CODER.body() | {"max_tokens": 100}
    await pipeline.store.activate(
        "agent", "coder", body, base=CODER.version, origin="person", author=GRACE, reason=None
    )
    with pytest.raises(StaleBase):
        await pipeline.improvement.decide(waits.proposal_id, ADA, True)
    assert (await pipeline.now(waits)).state == "superseded"
    assert (await pipeline.active("coder")) not in (CODER.version, BETTER.version)


async def test_one_trial_at_a_time_and_the_loser_is_superseded(pipeline: Pipeline) -> None:
    first = await pipeline.propose(BETTER)
    second = await pipeline.propose(WARMER)
    await pipeline.improvement.advance()
    assert {(await pipeline.now(p)).state for p in (first, second)} == {"trial", "proposed"}
    assert (await pipeline.now(first)).state == "trial"
    observe_all(pipeline.store, await pipeline.trial(first), 60, 0.0, 1.0)
    await pipeline.improvement.advance()
    await pipeline.improvement.decide(first.proposal_id, ADA, True)
    late = await pipeline.now(second)
    assert (late.state, late.reason) == (
        "superseded", "Another change of the same went live first.",
    )  # fmt: skip


async def test_live_results_verify(pipeline: Pipeline) -> None:
    waits = await pipeline.awaiting(BETTER)
    await pipeline.improvement.decide(waits.proposal_id, ADA, True)
    watch = await pipeline.improvement.verification_of(waits.proposal_id)
    assert watch is not None
    assert (watch.active, watch.candidate) == (BETTER.version, CODER.version)
    observe_all(pipeline.store, watch, 60, 1.0, 0.0)
    await pipeline.improvement.advance()
    now = await pipeline.now(waits)
    assert (now.state, now.decided_by) == ("verified", ADA)  # whoever approved it
    assert await pipeline.store.trials({"running"}) == []
    [entry] = [e for e in await pipeline.store.audit() if e.action == "verified"]
    assert entry.actor == ITSELF


async def test_what_hurts_when_live_is_taken_back_by_itself(pipeline: Pipeline) -> None:
    waits = await pipeline.awaiting(BETTER)
    await pipeline.improvement.decide(waits.proposal_id, ADA, True)
    watch = await pipeline.improvement.verification_of(waits.proposal_id)
    assert watch is not None
    observe_all(pipeline.store, watch, 60, 0.0, 1.0)
    await pipeline.improvement.advance()
    back = await pipeline.now(waits)
    assert (back.state, back.decided_by) == ("rolled_back", None)
    assert "worse" in back.reason
    assert await pipeline.active("coder") == CODER.version
    with pytest.raises(AlreadyDecided, match="rolled back"):
        await pipeline.improvement.roll_back(waits.proposal_id, ADA)


@pytest.mark.parametrize("kind", ["runbook", "lesson"])
async def test_what_is_used_without_effect_is_retired(pipeline: Pipeline, kind: Any) -> None:
    made = await pipeline.propose(Change(kind, "learned", None, {"steps": ["one"]}))
    await pipeline.improvement.advance()
    await pipeline.improvement.decide(made.proposal_id, ADA, True)
    watch = await pipeline.improvement.verification_of(made.proposal_id)
    assert watch is not None
    for n in range(100):
        with_it, without = (float(n % 3 > 0), None), (None, float(n % 3 < 2))
        for which, values in enumerate((with_it, without)):
            observe(pipeline.store, watch, f"{n}-{which}", *values)
        if n == 90:
            await pipeline.improvement.advance()
            assert (await pipeline.now(made)).state == "live"
    await pipeline.improvement.advance()
    back = await pipeline.now(made)
    assert (back.state, back.decided_by) == ("rolled_back", None)
    assert back.reason.startswith("No positive effect")
    assert await pipeline.store.document(kind, "learned") is None
    kept = await pipeline.improvement.verification_of(made.proposal_id)
    assert kept is not None
    assert kept.figures["uses"] == 100


async def test_harm_does_not_wait_for_the_exam_of_another_proposal(pipeline: Pipeline) -> None:
    waits = await pipeline.awaiting(BETTER)
    await pipeline.improvement.decide(waits.proposal_id, ADA, True)
    watch = await pipeline.improvement.verification_of(waits.proposal_id)
    assert watch is not None
    observe_all(pipeline.store, watch, 60, 0.0, 1.0)
    async with lease(pipeline.rows, "improvement:advance"):  # as while questions are asked
        assert await pipeline.improvement.watch() == 1
    assert (await pipeline.now(waits)).state == "rolled_back"


async def test_a_person_takes_back_what_was_verified(pipeline: Pipeline) -> None:
    waits = await pipeline.awaiting(BETTER)
    await pipeline.improvement.decide(waits.proposal_id, ADA, True)
    with pytest.raises(NotAllowed):
        await pipeline.improvement.roll_back(waits.proposal_id, GRACE)
    back = await pipeline.improvement.roll_back(waits.proposal_id, ADA, "I liked the old one.")
    assert (back.state, back.decided_by) == ("rolled_back", ADA)
    assert await pipeline.active("coder") == CODER.version


async def test_a_later_change_is_taken_back_first(pipeline: Pipeline) -> None:
    waits = await pipeline.awaiting(BETTER)
    live = await pipeline.improvement.decide(waits.proposal_id, ADA, True)
    assert BETTER.body is not None
    await pipeline.store.activate(
        "agent", "coder", {**BETTER.body, "max_tokens": 10}, base=BETTER.version or "",
        origin="person", author=ADA, reason=None,
    )  # fmt: skip
    with pytest.raises(StaleBase, match="take that back first"):
        await pipeline.improvement.roll_back(live.proposal_id, ADA)


async def test_changes_that_are_made_together_are_taken_back_together(pipeline: Pipeline) -> None:
    helper = CODER.body() | {"name": "helper"}
    made = await pipeline.propose(
        Change("agent", "helper", None, helper), Change("agent", "writer", WRITER.version, None)
    )
    assert made.risk == "high"
    await pipeline.improvement.advance()
    waits = await pipeline.now(made)
    assert waits.state == "awaiting"
    assert "not tried: it makes 2 changes at once" in waits.reason
    await pipeline.improvement.decide(made.proposal_id, ADA, True)
    assert await pipeline.store.document("agent", "writer") is None
    await pipeline.active("helper")
    await pipeline.improvement.roll_back(made.proposal_id, ADA)
    assert await pipeline.active("writer") == WRITER.version
    assert await pipeline.store.document("agent", "helper") is None


async def test_the_same_is_not_proposed_twice_whoever_proposes_it(pipeline: Pipeline) -> None:
    await pipeline.propose(BETTER)
    again = proposal(BETTER, learner="team-review")
    sifted = await pipeline.improvement.submit([proposal(BETTER), again])
    assert not sifted.taken
    assert [h.reason for h in sifted.held] == ["The same was proposed before: proposed."] * 2


async def test_what_is_proposed_anew_is_tried_anew(pipeline: Pipeline) -> None:
    made = await pipeline.propose(BETTER)
    await pipeline.improvement.advance()
    trial = await pipeline.trial(made)
    observe_all(pipeline.store, trial, 30, 1.0, 0.0)  # it would do harm beside what answers now
    await pipeline.store.activate(
        "agent",
        "coder",
        dict(WARMER.body or {}),
        base=CODER.version,
        origin="person",
        author=GRACE,
        reason=None,
    )
    await pipeline.improvement.advance()
    assert (await pipeline.now(made)).state == "superseded"
    assert (await pipeline.trial(made)).state == "stopped"
    await pipeline.store.activate(
        "agent",
        "coder",
        CODER.body(),
        base=str(WARMER.version),
        origin="person",
        author=GRACE,
        reason=None,
    )

    again = await pipeline.propose(BETTER)
    assert again.proposal_id == made.proposal_id
    assert await pipeline.improvement.trial_of(again.proposal_id) is None
    second = await pipeline.tried(again, 0.0, 1.0)
    assert second.trial_id != trial.trial_id
    assert (second.method, second.state) == ("shadow", "proven")
    assert (await pipeline.now(again)).state == "awaiting"


async def many(pipeline: Pipeline, count: int, **more: Any) -> None:
    """So many proposals for the writer, as the record holds them."""
    now = pipeline.clock()
    for first in range(0, count, 250):
        changes = [
            changed(WRITER, system_prompt=f"You are writer {first + n}.") for n in range(250)
        ]
        made = [
            replace(
                proposal(change), proposal_id=proposal_id_of("many", (change,)),
                **{"created_at": now + first + n, "moved_at": now, "revision": 1, **more},
            )
            for n, change in enumerate(changes)
        ]  # fmt: skip
        await pipeline.store.decide(Decision(proposals=tuple(made)))


async def test_what_waits_behind_a_thousand_others_is_not_proposed_again(
    pipeline: Pipeline,
) -> None:
    past = await pipeline.propose(WARMER)
    past = await pipeline.improvement.decide(past.proposal_id, ADA, False, "Too warm.")
    waits = await pipeline.awaiting(BETTER)
    await many(pipeline, 1_250, state="rejected")
    again = [proposal(BETTER), proposal(BETTER, learner=ADA), proposal(WARMER)]
    sifted = await pipeline.improvement.submit(again)
    before = "The same was proposed before: "
    assert [held.reason for held in sifted.held] == [
        f"{before}awaiting. {waits.reason}", f"{before}awaiting. {waits.reason}",
        f"{before}rejected. Too warm.",
    ]  # fmt: skip
    assert [await pipeline.now(one) for one in (waits, past)] == [waits, past]


async def test_who_waits_longest_is_looked_at_first_and_answers_go_on_between(
    pipeline: Pipeline,
) -> None:
    made = await pipeline.propose(BETTER)
    await many(pipeline, 1_250, state="proposed", created_at=pipeline.clock())
    longest, before = 0.0, pipeline.clock.now

    async def others() -> None:
        nonlocal longest, before
        while True:
            longest = max(longest, pipeline.clock.now - before)
            before = pipeline.clock.now
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await pipeline.improvement.advance()
    beside.cancel()
    assert (await pipeline.now(made)).state == "trial"
    assert longest < 0.05, "fifty readings of the clock"


async def test_a_pass_ends_when_learning_is_paused(pipeline: Pipeline) -> None:
    first = await pipeline.propose(BETTER)
    second = await pipeline.propose(changed(WRITER, system_prompt="You are a better writer."))
    await pipeline.improvement.advance()
    assert states([await pipeline.now(p) for p in (first, second)]) == ["trial", "trial"]
    for made in (first, second):
        observe_all(pipeline.store, await pipeline.trial(made), 60, 0.0, 1.0)
    pipeline.exam.scored = lambda: pipeline.policy.set("improvement", "paused", ADA)
    await pipeline.improvement.advance()
    assert states([await pipeline.now(p) for p in (first, second)]) == ["awaiting", "trial"]


async def test_what_is_proven_waits_for_its_exam_where_the_model_is_away(
    pipeline: Pipeline,
) -> None:
    pipeline.exam.away = ModelUnavailable("It is away.")
    made = await pipeline.propose(BETTER)
    trial = await pipeline.tried(made, 0.0, 1.0)
    assert (trial.state, (await pipeline.now(made)).state) == ("proven", "trial")
    await pipeline.improvement.advance()
    assert await pipeline.trial(made) == trial, "its end is saved once"
    pipeline.exam.away = None
    pipeline.exam.held_out = {"before": 0.4, "after": 0.6, "n": 30}
    await pipeline.improvement.advance()
    assert (await pipeline.now(made)).evidence["exam"]["after"] == 0.6


async def test_an_exam_that_is_never_to_be_had_is_not_waited_for(pipeline: Pipeline) -> None:
    pipeline.exam.left, pipeline.exam.away = 60, ModelUnavailable("It is gone.")
    made = await pipeline.propose(BETTER)
    await pipeline.improvement.advance()
    await pipeline.improvement.advance()
    assert (await pipeline.trial(made)).state == "running"
    pipeline.clock.now += 31 * 86_400.0
    await pipeline.improvement.advance()
    trial = await pipeline.trial(made)
    assert trial.method == "shadow", "thirty days are enough for a replay"
    observe_all(pipeline.store, trial, 60, 0.0, 1.0)
    await pipeline.improvement.advance()
    assert (await pipeline.now(made)).state == "trial"
    pipeline.clock.now += 8 * 86_400.0
    await pipeline.improvement.advance()
    assert (await pipeline.now(made)).state == "awaiting"


async def test_no_more_proposals_a_day_than_approvers_allow(pipeline: Pipeline) -> None:
    await pipeline.policy.set("proposals_per_day", "1", ADA)
    hopeful = proposal(BETTER, expected={"effect": 0.3})
    sifted = await pipeline.improvement.submit([proposal(WARMER), hopeful])
    assert [p.changes for p in sifted.taken] == [(BETTER,)]
    [held] = sifted.held
    assert "it waits until 2027-01-16. `policy set proposals_per_day NUMBER`" in held.reason


async def test_an_agent_changes_by_itself_so_often_a_week(pipeline: Pipeline) -> None:
    await pipeline.policy.set("mode.coder", "automatic", ADA)
    await pipeline.policy.set("promotions_per_week.coder", "1", ADA)
    first = await pipeline.propose(BETTER)
    await pipeline.tried(first, 0.0, 1.0)
    watch = await pipeline.improvement.verification_of(first.proposal_id)
    assert watch is not None
    observe_all(pipeline.store, watch, 60, 1.0, 0.0)
    await pipeline.improvement.advance()
    assert BETTER.body is not None
    more = {**BETTER.body, "system_prompt": "You are coder. Code only, tested."}
    second = await pipeline.propose(Change("agent", "coder", BETTER.version, more))
    await pipeline.tried(second, 0.0, 1.0)
    waits = await pipeline.now(second)
    assert waits.state == "awaiting"
    assert "as often as it may in a week" in waits.reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (Change("agent", "coder", CODER.version, CODER.body()), "leaves the agent coder as it is"),
        (changed(CODER, tools=["launch"]), "no tool 'launch'"),
        (changed(CODER, name="other"), "calls itself other"),
        (changed(CODER, power=1), "unknown key 'power'"),
        (Change("agent", "generalist", "x", None), "the generalist stays"),
        (Change("agent", "coder", "0" * 16, BETTER.body), "has changed since"),
        (Change("runbook", "big", None, {"text": "x" * 300_000}), "larger than"),
    ],
)
async def test_changes_that_cannot_be_made_are_held(
    pipeline: Pipeline, change: Change, says: str
) -> None:
    sifted = await pipeline.improvement.submit([proposal(change)])
    assert not sifted.taken
    assert says in sifted.held[0].reason
    assert await pipeline.improvement.proposals() == []


async def test_pause_stops_what_is_new_and_off_stops_everything(pipeline: Pipeline) -> None:
    made = await pipeline.propose(BETTER)
    await pipeline.improvement.switch("paused", ADA)
    assert await pipeline.improvement.advance() == 0
    assert "paused" in (await pipeline.improvement.cycle("prompt-optimizer")).skipped
    status = await pipeline.improvement.switch("on", ADA)
    assert (status.switch, status.set_by) == ("on", ADA)
    await pipeline.improvement.advance()
    assert (await pipeline.now(made)).state == "trial"
    with pytest.raises(NotAllowed):
        await pipeline.improvement.switch("off", GRACE)
    with pytest.raises(InputError, match="on, paused, off"):
        await pipeline.improvement.switch("sideways", ADA)


async def test_an_agent_that_is_paused_does_not_change(pipeline: Pipeline) -> None:
    await pipeline.improvement.set_mode("coder", "paused", ADA)
    made = await pipeline.propose(BETTER)
    assert await pipeline.improvement.advance() == 0
    assert (await pipeline.now(made)).state == "proposed"
    with pytest.raises(UnknownName, match="nobody"):
        await pipeline.improvement.set_mode("nobody", "ask", ADA)


async def test_a_discussion_puts_another_proposal_in_its_place(pipeline: Pipeline) -> None:
    pipeline.exam.held_out = {"before": 0.4, "after": 0.6, "n": 30}
    shown = {"runs": ["r1"], "figures": {"gain": 0.2}}
    waits = await pipeline.propose(BETTER, evidence=shown)
    await pipeline.tried(waits, 0.0, 1.0)
    wished = changed(CODER, system_prompt="You are coder. Code, then one sentence.")
    made = await pipeline.improvement.revise(waits.proposal_id, ADA, [wished], "They want words.")
    assert (made.state, made.learner, made.changes) == ("proposed", ADA, (wished,))
    assert made.evidence == {"runs": ["r1"]}, "the figures were another change's"
    old = await pipeline.now(waits)
    assert (old.state, old.decided_by) == ("superseded", ADA)
    with pytest.raises(AlreadyDecided):
        await pipeline.improvement.revise(waits.proposal_id, ADA, [WARMER], "Again.")
    bad = changed(CODER, tools=["launch"])
    with pytest.raises(InputError, match="no tool"):
        await pipeline.improvement.revise(made.proposal_id, ADA, [bad], "Power.")
    assert (await pipeline.now(made)).state == "proposed"


async def test_every_move_is_told_and_after_a_restart_once_more(pipeline: Pipeline) -> None:
    waits = await pipeline.awaiting(BETTER)
    await pipeline.bus.drain()
    heard = [p.state for p in pipeline.told if isinstance(p, Proposal)]
    assert heard == ["proposed", "trial", "awaiting"]
    other = await pipeline.again()
    await other.improvement.announce()
    await other.bus.drain()
    assert [p.state for p in other.told] == ["awaiting"]
    await other.improvement.decide(waits.proposal_id, ADA, True)
    await pipeline.improvement.announce()
    await pipeline.improvement.announce()
    await pipeline.bus.drain()
    assert [p.state for p in pipeline.told][3:] == ["live"]
    await other.close()


async def test_every_move_is_in_the_audit_and_its_chain_is_whole(pipeline: Pipeline) -> None:
    waits = await pipeline.awaiting(BETTER)
    await pipeline.improvement.decide(waits.proposal_id, ADA, True, "Because I say so.")
    await pipeline.improvement.roll_back(waits.proposal_id, ADA)
    entries = [e for e in await pipeline.store.audit() if e.subject == waits.proposal_id]
    actions = ["proposed", "trial started", "asked", "promoted", "rolled back"]
    assert [e.action for e in entries] == actions
    assert "Because" not in str(entries), "the audit holds no texts"
    assert str(BETTER.version) in str(entries[3].details)
    trial, *_ = await pipeline.store.trials_of(waits.proposal_id)
    observations = await pipeline.store.observations(trial.trial_id)
    for entry in entries[2:4]:
        assert entry.details["seen"] == digest_of(observations) != digest_of(observations[1:])
        assert entry.details["evidence"] == content_hash(waits.evidence)
    assert (await pipeline.store.audit_verify()).whole
    assert verification_id(waits.proposal_id) in str(entries[3].details)


async def test_how_agents_stand_and_what_learning_did_can_be_told(pipeline: Pipeline) -> None:
    waits = await pipeline.awaiting(BETTER)
    await pipeline.improvement.decide(waits.proposal_id, ADA, True)
    watch = await pipeline.improvement.verification_of(waits.proposal_id)
    assert watch is not None
    observe_all(pipeline.store, watch, 60, 1.0, 0.0)
    await pipeline.improvement.advance()
    status = await pipeline.improvement.status()
    standing = {agent.agent: agent for agent in status.agents}
    assert (standing["coder"].verified, standing["coder"].earned) == (1, False)
    assert (standing["writer"].mode, standing["writer"].audience) == ("ask", "public")
    assert [learner.threshold for learner in status.learners] == [5]
    now = pipeline.clock.now
    figures = await pipeline.improvement.figures(now - 3_600, now + 3_600)
    assert (figures.proposals, figures.promoted_alone, figures.promoted_by_people) == (1, 0, 1)
    assert (figures.verified, figures.rolled_back, figures.rejected) == (1, 0, 0)
