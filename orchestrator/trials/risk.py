"""How risky a proposal is: from what its changes touch, and from nothing that anybody says of it.

Only what is listed here can be less than high. Each field that is touched can raise the risk and
none can lower it, so a change cannot be hidden behind a harmless one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from database.learning import Change, Risk

Bases = Mapping[tuple[str, str], Mapping[str, Any] | None]
"""The bodies that changes start from, by kind and name. A variant of an agent starts from the
agent's own, since that is what answers its requests now."""

ORDER: tuple[Risk, ...] = ("low", "medium", "high")

_AGENT: Mapping[str, tuple[Risk, str]] = {
    "system_prompt": ("low", "changes the instructions"),
    "demonstrations": ("medium", "changes the examples that are shown to the model"),
    "examples": ("medium", "changes the examples of requests that the agent is for"),
    "temperature": ("medium", "changes the temperature"),
    "max_tokens": ("medium", "changes how long answers may be"),
    "model": ("high", "changes the model"),
    "tools": ("high", "changes the tools"),
    "budget": ("high", "changes the budget"),
    "fallbacks": ("high", "changes who answers when it fails"),
    "memory": ("high", "changes what is remembered"),
    "guardrails": ("high", "changes the guardrails"),
}
MUCH = 500
"""Characters that are more than a few sentences: examples, or what people wrote, may be in them."""

_MISSING = object()

Found = tuple[Risk, str]


def worst(risks: Sequence[Risk]) -> Risk:
    """The highest of them; nothing at all is low."""
    return max(risks, key=ORDER.index, default="low")


def assess(changes: Sequence[Change], bases: Bases) -> tuple[Risk, tuple[str, ...]]:
    """The risk of making all these changes, and why, the gravest reason first.

    A change whose base is not in `bases` is high: what it touches cannot be known.
    """
    found = [reason for change in changes for reason in _assess(change, bases)]
    found.sort(key=lambda reason: -ORDER.index(reason[0]))
    reasons = dict.fromkeys(f"{risk}: {why}" for risk, why in found)
    return worst([risk for risk, _ in found]), tuple(reasons)


def _assess(change: Change, bases: Bases) -> Sequence[Found]:
    whose = f"({change.kind} {change.name})"
    if change.body is None:
        return [("high", f"takes it away {whose}")]
    if change.kind == "runbook":
        return [("medium", f"changes a runbook {whose}")]
    if change.kind != "agent":
        return [("high", f"changes a {change.kind} {whose}")]
    base = bases.get((change.kind, change.name))
    if base is None:
        new = change.base is None
        return [("high", f"{'adds a specialist' if new else 'its base is not known'} {whose}")]
    return [(risk, f"{why} {whose}") for risk, why in _touched(change.body, base)]


def _touched(body: Mapping[str, Any], base: Mapping[str, Any]) -> list[Found]:
    """Fields that differ; one that is named on one side only counts, whatever its default is."""
    fields = sorted(
        field for field in {*body, *base} if body.get(field, _MISSING) != base.get(field, _MISSING)
    )
    found = [_AGENT.get(field, ("high", f"changes '{field}'")) for field in fields]
    if _grown(body, base) > MUCH:
        found.append(("medium", "adds so much to the instructions that it may hold examples"))
    return found


def _grown(body: Mapping[str, Any], base: Mapping[str, Any]) -> int:
    return len(str(body.get("system_prompt", ""))) - len(str(base.get("system_prompt", "")))
