"""Pure: what a proposal must be before it is taken up, whoever made it.

Nothing that a learner, a model or a text says of a proposal is believed: its changes are checked,
its risk is computed from them, and its audience is that of what it rests on.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from agents.definition import DefinitionError, parse_definition
from agents.variants import variant_of
from database.learning import Change, Finding, Proposal, learning_id
from database.records import PUBLIC, Document, Run
from orchestrator.routing import GENERALIST

Active = Mapping[tuple[str, str], Document]
"""The active version of every document, by kind and name."""

MOST_CHANGES = 20
MOST_BYTES = 200_000
"""Of one body: more is no agent, runbook, lesson or team."""
MOST_OPEN = 3
"""Proposals for one document that are open at the same time."""
_TITLE, _WHY = 200, 4000
_SHORTEST_QUOTE = 12
"""Shorter texts are the same by chance ("yes", "thanks")."""
_COUNTS = frozenset({"figures", "chart", "cost", "exam", "n", "runs"})
"""What evidence keeps where its examples come from several private places."""


def by_name(documents: Iterable[Document]) -> Active:
    """The active versions as the rules read them."""
    return {(d.kind, d.name): d for d in documents if d.active}


def changes_key(changes: Sequence[Change]) -> str:
    """The same for the same changes, whoever proposes them."""
    parts = [f"{c.kind}/{c.name}@{c.base}={c.version}" for c in changes]
    return learning_id("changes", *sorted(parts))


def bases(
    changes: Sequence[Change], active: Active
) -> dict[tuple[str, str], Mapping[str, Any] | None]:
    """The bodies that the changes start from, for the risk of the difference.

    A variant starts from its agent: that is who answers its requests now.
    """
    found: dict[tuple[str, str], Mapping[str, Any] | None] = {}
    for change in changes:
        base = active.get((change.kind, change.name))
        variant = variant_of(change.name) if change.kind == "agent" else None
        if base is None and variant is not None:
            base = active.get((change.kind, variant.agent))
        found[change.kind, change.name] = base.body if base else None
    return found


def stale(changes: Sequence[Change], active: Active) -> str:
    """Which document has changed since the proposal was made, in a sentence; '' where none has."""
    for change in changes:
        document = active.get((change.kind, change.name))
        if (document.version if document else None) != change.base:
            return f"The {change.kind} {change.name} has changed since this was proposed."
    return ""


def problem(changes: Sequence[Change], active: Active, tools: Collection[str]) -> str:
    """Why these changes can never be made, in a sentence; '' where they can."""
    if not changes:
        return "It changes nothing."
    if len(changes) > MOST_CHANGES:
        return f"It changes {len(changes)} documents at once; at most {MOST_CHANGES} are allowed."
    names = [(c.kind, c.name) for c in changes]
    if len(set(names)) < len(names):
        return "It changes the same document twice."
    return next((wrong for c in changes if (wrong := _problem(c, active, tools))), "")


def _problem(change: Change, active: Active, tools: Collection[str]) -> str:
    if change.version == change.base:
        return f"It leaves the {change.kind} {change.name} as it is."
    if change.body is None:
        if change.kind == "agent" and change.name == GENERALIST:
            return "Somebody has to answer what no specialist is for: the generalist stays."
        return ""
    if not isinstance(change.body, Mapping) or len(orjson.dumps(dict(change.body))) > MOST_BYTES:
        return f"The {change.kind} {change.name} is larger than {MOST_BYTES:,} bytes."
    return _agent_problem(change, tools) if change.kind == "agent" else ""


def _agent_problem(change: Change, tools: Collection[str]) -> str:
    assert change.body is not None
    variant = variant_of(change.name)
    try:
        definition = parse_definition(change.body, f"agent {change.name}", tools=tools)
    except DefinitionError as error:
        return error.problems[0]
    wanted = variant.agent if variant else change.name
    if definition.name != wanted:
        return f"The agent {change.name} calls itself {definition.name}; it must be {wanted}."
    return ""


def kept_narrow(proposal: Proposal, runs: Mapping[str, Run], active: Active) -> Proposal | str:
    """The proposal for those who may see all that it rests on, or why there can be none.

    `runs` are those that the learner saw, by id. What rests on several private places is shown as
    counts only; a document that others may read never quotes what they may not.
    """
    changes = tuple(_in_its_audience(change, active) for change in proposal.changes)
    for change in changes:
        if quoted := _quotes(change, runs.values(), active):
            return (
                f"It would put words from {quoted} into the {change.kind} {change.name}, which "
                "others can read."
            )
    rests_on = [runs[run] for run in _named(proposal.evidence) if run in runs]
    private = {run.audience for run in rests_on} - {PUBLIC}
    if len(private) > 1:
        evidence = {k: v for k, v in proposal.evidence.items() if k in _COUNTS}
        return replace(proposal, changes=changes, evidence=evidence, audience=PUBLIC)
    narrow = private.pop() if private else proposal.audience
    return replace(proposal, changes=changes, audience=narrow)


def finding_kept_narrow(finding: Finding, runs: Mapping[str, Run]) -> Finding:
    """The finding for those who may see all that it rests on; several private places: counts."""
    private = {runs[run].audience for run in finding.runs if run in runs} - {PUBLIC}
    if not private:
        return finding
    if len(private) == 1:
        return replace(finding, audience=private.pop())
    figures = {k: v for k, v in finding.data.items() if isinstance(v, int | float)}
    text = f"It rests on {len(finding.runs)} runs in {len(private)} private places."
    title = f"A {finding.kind} in several private places"
    return replace(finding, title=title, text=text, data=figures, runs=(), audience=PUBLIC)


def shortened(proposal: Proposal) -> Proposal:
    """Its words at a length that a card can hold."""
    return replace(
        proposal, title=" ".join(proposal.title.split())[:_TITLE], why=proposal.why.strip()[:_WHY]
    )


def _named(evidence: Mapping[str, Any]) -> Sequence[str]:
    runs = evidence.get("runs", ())
    return [str(run) for run in runs] if isinstance(runs, list | tuple) else []


def _in_its_audience(change: Change, active: Active) -> Change:
    """A change never widens or narrows who may read a document that is there."""
    document = active.get((change.kind, change.name))
    return replace(change, audience=document.audience) if document else change


def _quotes(change: Change, runs: Iterable[Run], active: Active) -> str:
    """The private place whose words a change would show to others, or ''."""
    before = active.get((change.kind, change.name))
    new = _texts(change.body) - _texts(before.body if before else None)
    if not new:
        return ""
    whole = "\n".join(new)
    for run in runs:
        if run.audience in (PUBLIC, change.audience):
            continue
        for said in (run.request, run.reply):
            if said and len(said.strip()) >= _SHORTEST_QUOTE and said.strip() in whole:
                return "a private conversation"
    return ""


def _texts(value: object) -> set[str]:
    match value:
        case str():
            return {value}
        case Mapping():
            return set().union(*map(_texts, value.values())) if value else set()
        case list() | tuple():
            return set().union(*map(_texts, value)) if value else set()
        case _:
            return set()
