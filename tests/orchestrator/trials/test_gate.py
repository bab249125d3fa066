from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from database.learning import Change, Proposal, Trial
from orchestrator.trials.gate import Allowed, Gate, decide
from orchestrator.trials.risk import Bases, assess
from orchestrator.trials.sequential import Verdict, verdict
from tests.orchestrator.trials.observed import OLD, drawn, paired, trial

BODY: Mapping[str, Any] = {"name": "coder", "system_prompt": "Old.", "model": "strong"}
BASES: Bases = {("agent", "coder"): BODY}
BETTER = drawn(1, 150, 0.05, 0.3)
CHEAP = paired([(0.01, 0.01)] * 150, "cost_usd")


def proposal(**fields: Any) -> Proposal:
    change = Change("agent", "coder", OLD, {**BODY, "system_prompt": "New.", **fields})
    return Proposal("p1", "prompt-optimizer", "t", "w", (change,), risk="low")


def proven(extra: Any = CHEAP) -> tuple[Trial, Verdict]:
    found = verdict(trial(), [*paired(BETTER), *extra])
    assert found.state == "proven"
    return trial(), found


def test_proven_low_risk_at_the_same_cost_goes_live_where_that_is_automatic() -> None:
    gate = decide(proposal(), *proven(), "automatic", Allowed(), BASES)
    assert (gate.state, gate.risk) == ("live", "low")


@pytest.mark.parametrize("mode", ["ask", "paused"])
def test_otherwise_people_decide(mode: Any) -> None:
    gate = decide(proposal(), *proven(), mode, Allowed(), BASES)
    assert gate.state == "awaiting"
    assert "changes are" in gate.reason


def test_what_is_dearer_is_for_people_to_decide() -> None:
    dearer = paired([(0.01, 0.011)] * 150, "cost_usd")
    gate = decide(proposal(), *proven(dearer), "automatic", Allowed(), BASES)
    assert gate.state == "awaiting"
    assert "10% more" in gate.reason
    assert decide(proposal(), *proven(dearer), "automatic", Allowed(0.2), BASES).state == "live"


def test_an_unknown_cost_is_not_an_allowed_one() -> None:
    gate = decide(proposal(), *proven([]), "automatic", Allowed(9.0), BASES)
    assert gate.state == "awaiting"
    assert "not known" in gate.reason


def test_where_no_price_is_known_tokens_are_compared() -> None:
    found, told = proven([])

    def decided(ratio: float, dearer: float = 0.0) -> Gate:
        taking = replace(found, figures={**found.figures, "tokens_ratio": ratio})
        return decide(proposal(), taking, told, "automatic", Allowed(dearer), BASES)

    assert decided(1.0).state == "live"
    assert decided(1.25).state == "awaiting"
    assert "25% more tokens" in decided(1.25).reason
    assert decided(1.25, 0.3).state == "live"


def test_where_most_could_not_be_compared_people_decide() -> None:
    found, told = proven()

    def decided(missing: int) -> Gate:
        noted = replace(found, figures={"missing": missing, "requests": 150})
        return decide(proposal(), noted, told, "automatic", Allowed(), BASES)

    assert decided(150).state == "live"
    assert decided(151).state == "awaiting"
    assert "151 requests could not be compared" in decided(151).reason


def test_models_that_cost_nothing_are_not_dearer() -> None:
    free = paired([(0.0, 0.0)] * 150, "cost_usd")
    assert decide(proposal(), *proven(free), "automatic", Allowed(), BASES).state == "live"


def test_a_guardrail_that_looks_hurt_is_for_people_to_decide() -> None:
    slower = paired([(1000.0, 1000.0)] * 4 + [(1000.0, 9000.0)], "latency_ms")
    gate = decide(proposal(), *proven([*CHEAP, *slower]), "automatic", Allowed(), BASES)
    assert gate.state == "awaiting"
    assert "The time to answer may have become worse" in gate.reason


@pytest.mark.parametrize(("field", "risk"), [("temperature", "medium"), ("model", "high")])
def test_more_than_instructions_is_for_people_to_decide(field: str, risk: str) -> None:
    gate = decide(proposal(**{field: "x"}), *proven(), "automatic", Allowed(), BASES)
    assert (gate.state, gate.risk) == ("awaiting", risk)


def test_what_the_record_says_of_the_risk_can_only_raise_it() -> None:
    said = replace(proposal(), risk="medium")
    gate = decide(said, *proven(), "automatic", Allowed(), BASES)
    assert (gate.state, gate.risk) == ("awaiting", "medium")


def test_a_judging_model_counts_once_it_has_agreed_with_people() -> None:
    judged = [*paired(BETTER, source="judge"), *CHEAP]
    found = verdict(trial(), judged)

    def gate(figures: Mapping[str, Any]) -> str:
        tried = replace(trial(), figures=figures)
        return decide(proposal(), tried, found, "automatic", Allowed(), BASES).state

    assert gate({}) == "awaiting"
    assert gate({"judge_agreement": 0.95, "judge_labels": 19}) == "awaiting"
    assert gate({"judge_agreement": 0.69, "judge_labels": 100}) == "awaiting"
    assert gate({"judge_agreement": 0.7, "judge_labels": 20}) == "live"


def test_an_agent_changes_by_itself_only_so_often() -> None:
    gate = decide(proposal(), *proven(), "automatic", Allowed(promotions_left=0), BASES)
    assert gate.state == "awaiting"
    assert (
        decide(proposal(), *proven(), "automatic", Allowed(promotions_left=1), BASES).state
        == "live"
    )


@pytest.mark.parametrize("state", ["unproven", "harmful", "stopped"])
def test_what_is_not_proven_is_rejected_with_its_reason(state: Any) -> None:
    tried, found = proven()
    failed = replace(found, state=state, reason="Because.")
    gate = decide(proposal(), tried, failed, "automatic", Allowed(), BASES)
    assert (gate.state, gate.reason) == ("rejected", "Because.")


def test_a_running_trial_decides_nothing() -> None:
    tried, found = proven()
    with pytest.raises(ValueError, match="still running"):
        decide(proposal(), tried, replace(found, state="running"), "ask", Allowed(), BASES)


def test_what_had_nothing_to_compare_with_is_for_people_to_decide() -> None:
    assert decide(proposal(), None, None, "automatic", Allowed(), BASES).state == "awaiting"
    runbook = Change("runbook", "release", None, {"steps": []})
    new = Proposal("p1", "workflow-analyst", "t", "w", (runbook,), risk="low")
    assert decide(new, None, None, "automatic", Allowed(), {}).state == "awaiting"


def test_another_proposals_trial_proves_nothing() -> None:
    tried, found = proven()
    other = replace(tried, proposal_id="p2")
    assert decide(proposal(), other, found, "automatic", Allowed(), BASES).state == "awaiting"


BODIES = st.dictionaries(
    st.sampled_from(["system_prompt", "model", "tools", "temperature", "demonstrations", "x"]),
    st.text(max_size=5),
)


@given(
    fields=BODIES,
    said=st.sampled_from(["low", "medium", "high"]),
    state=st.sampled_from(["proven", "unproven", "harmful", "stopped"]),
    ratio=st.none() | st.floats(0.1, 20.0),
    dearer=st.floats(0.0, 5.0),
    mode=st.sampled_from(["automatic", "ask", "paused"]),
    tried=st.booleans(),
    left=st.none() | st.integers(-1, 3),
    judged=st.sampled_from([0.0, 0.5]),
    known=st.booleans(),
)
def test_nothing_of_risk_unproven_or_dearer_ever_goes_live_by_itself(
    fields: dict[str, Any], said: Any, state: Any, ratio: float | None, dearer: float, mode: Any,
    tried: bool, left: int | None, judged: float, known: bool,
) -> None:  # fmt: skip
    wished = replace(proposal(**fields), risk=said)
    cost = {"cost_usd": {"ratio": ratio, "suspected": False}} if ratio is not None else {}
    found = Verdict(state, 0.1, 0.0, 0.2, 100, 100, "r", {"guardrails": cost, "judged": judged})
    bases = BASES if known else {}
    gate = decide(
        wished, trial() if tried else None, found if tried else None, mode,
        Allowed(dearer, promotions_left=left), bases,
    )  # fmt: skip
    if gate.state == "live":
        assert mode == "automatic"
        assert tried
        assert state == "proven"
        assert said == gate.risk == "low" == assess(wished.changes, bases)[0]
        assert ratio is not None
        assert ratio <= 1.0 + dearer + 1e-6
        assert left is None or left > 0
        assert judged == 0.0
    if tried and state != "proven":
        assert gate.state == "rejected"
