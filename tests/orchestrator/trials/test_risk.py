from collections.abc import Mapping
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.definition import AgentDefinition
from database.learning import Change, Risk
from database.records import DocumentKind, content_hash
from orchestrator.trials.risk import MUCH, ORDER, assess

BODY: Mapping[str, Any] = AgentDefinition(
    name="coder", specialty="code", description="Writes code.", system_prompt="Write code."
).body()

TOUCHED: Mapping[str, Any] = {
    "name": "other", "specialty": "x", "description": "x", "examples": ["x"],
    "system_prompt": "x", "demonstrations": [{"request": "x", "answer": "x"}], "model": "x",
    "temperature": 0.5, "max_tokens": 10, "tools": ["calculator"], "budget": {"max_steps": 1},
    "fallbacks": ["x"], "memory": {}, "guardrails": [], "something new": 1,
}  # fmt: skip
EXPECTED: Mapping[str, Risk] = {
    "system_prompt": "low", "examples": "medium", "demonstrations": "medium",
    "temperature": "medium", "max_tokens": "medium",
}  # fmt: skip

Fields = st.sets(st.sampled_from(sorted(TOUCHED)))


def changed(*fields: str, base: str | None = "b", name: str = "coder") -> Change:
    return Change("agent", name, base, {**BODY, **{field: TOUCHED[field] for field in fields}})


def risk_of(*changes: Change) -> Risk:
    return assess(changes, {("agent", "coder"): BODY})[0]


def test_every_field_of_an_agent_is_judged_here() -> None:
    assert set(BODY) <= set(TOUCHED)


@pytest.mark.parametrize("field", sorted(TOUCHED))
def test_each_field_has_its_risk_and_unlisted_is_high(field: str) -> None:
    risk, reasons = assess([changed(field)], {("agent", "coder"): BODY})
    assert risk == EXPECTED.get(field, "high")
    assert len(reasons) == 1
    assert reasons[0].startswith(f"{risk}: ")
    assert "coder" in reasons[0]


@given(Fields, Fields)
def test_touching_more_never_lowers_it(some: set[str], more: set[str]) -> None:
    assert ORDER.index(risk_of(changed(*some | more))) >= ORDER.index(risk_of(changed(*some)))


@given(st.lists(Fields, max_size=4), Fields)
def test_changing_more_documents_never_lowers_it(some: list[set[str]], more: set[str]) -> None:
    changes = [changed(*fields) for fields in some]
    assert ORDER.index(risk_of(*changes, changed(*more))) >= ORDER.index(risk_of(*changes))


@given(st.dictionaries(st.sampled_from(sorted(TOUCHED)), st.none() | st.text() | st.integers()))
def test_whatever_a_body_holds_only_the_instructions_alone_are_low(body: dict[str, Any]) -> None:
    change = Change("agent", "coder", "b", body)
    low = {field for field in BODY if body.get(field) != BODY[field]} <= {"system_prompt"}
    low = low and not set(body) - set(BODY)
    assert (risk_of(change) == "low") == low


@pytest.mark.parametrize(("more", "risk"), [(MUCH, "low"), (MUCH + 1, "medium")])
def test_instructions_that_grow_much_may_hold_examples(more: int, risk: Risk) -> None:
    body = {**BODY, "system_prompt": BODY["system_prompt"] + "x" * more}
    assert risk_of(Change("agent", "coder", "b", body)) == risk


def test_a_field_that_is_left_out_is_touched() -> None:
    body = {key: value for key, value in BODY.items() if key != "tools"}
    assert risk_of(Change("agent", "coder", "b", body)) == "high"


@pytest.mark.parametrize("kind", get_args(DocumentKind))
def test_other_kinds(kind: DocumentKind) -> None:
    new = Change(kind, "thing", None, {"text": "x"})
    assert assess([new], {})[0] == ("medium" if kind == "runbook" else "high")
    assert assess([Change(kind, "thing", "b", None)], {(kind, "thing"): {}})[0] == "high"


def test_what_cannot_be_compared_is_high() -> None:
    assert assess([changed("system_prompt")], {})[0] == "high"
    assert assess([changed("system_prompt")], {("agent", "coder"): None})[0] == "high"
    assert "adds a specialist" in assess([changed("system_prompt", base=None)], {})[1][0]


def test_a_variant_is_compared_with_its_agent() -> None:
    variant = changed("system_prompt", base=None, name="coder--sql")
    bases = {("agent", "coder--sql"): BODY}
    assert assess([variant], bases)[0] == "low"
    assert assess([changed("model", base=None, name="coder--sql")], bases)[0] == "high"


def test_the_gravest_reason_comes_first_and_the_body_says_nothing_of_the_risk() -> None:
    body = {**BODY, "system_prompt": "x", "model": "x", "risk": "low"}
    risk, reasons = assess(
        [Change("agent", "coder", content_hash(BODY), body)], {("agent", "coder"): BODY}
    )
    assert risk == "high"
    assert [reason.split(":")[0] for reason in reasons] == ["high", "high", "low"]
