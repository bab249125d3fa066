"""Pure: what a change that went live is compared with from then on, and how it is taken back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.variants import variant_of
from database.errors import StaleBase
from database.learning import Change, Method, Proposal, Trial, learning_id
from database.records import DocumentKind
from orchestrator.proposal_rules import Active

PAIRED_SHARE = 0.5
"""Of the requests after a change went live, so many are answered by the old version too, unseen."""
MOST_VERIFIED_ON = 1_000
"""Requests that a verification looks at; it ends by itself long before (trials/verification.py)."""

USED: tuple[DocumentKind, ...] = ("runbook", "lesson")
"""What answers nothing itself: its use is watched (trials/use.py)."""
ENOUGH_USES = 100
"""Uses after which what has no positive effect is retired."""

MOST_LOST = 0.1
"""No proposal may call more than this share of right answers equal, whatever it says."""


def wished(proposal: Proposal) -> dict[str, float]:
    """What a proposal's trials are to show beside "better": cheaper, at this loss at most."""
    if proposal.evidence.get("aim") != "cheaper":
        return {}
    may_lose = proposal.evidence.get("may_lose", 0.0)
    known = isinstance(may_lose, int | float) and may_lose > 0
    return {"may_lose": min(MOST_LOST, float(may_lose))} if known else {}


def verification_id(proposal_id: str) -> str:
    """The trial that a change is in from the moment that it is live."""
    return learning_id("verification", proposal_id)


def verification_of(
    proposal: Proposal, tried: Sequence[Trial], now: float, revision: int = 1
) -> Trial | None:
    """How a proposal is watched once it is live; None where it answers nothing itself.

    Turned round: the new version is the active one, and the old one the candidate. Where it was
    tried in pairs the old version answers a share of the requests unseen; else what is served is
    held against the rates of before.
    """
    compared = [trial for trial in tried if trial.trial_id != verification_id(proposal.proposal_id)]
    if not compared:
        return _by_use(proposal, now, revision)
    [change] = proposal.changes  # only single changes are tried
    last = compared[-1]
    method: Method = "split" if last.method == "split" else "shadow"
    return Trial(
        verification_id(proposal.proposal_id),
        proposal.proposal_id,
        method,
        agent=change.name,
        active=last.candidate,
        candidate=last.active,
        task_type=_path(proposal, change),
        share=0.0 if method == "split" else PAIRED_SHARE,
        smallest_effect=last.smallest_effect,
        most=MOST_VERIFIED_ON,
        figures=wished(proposal),
        started_at=now,
        revision=revision,
    )


def watched(proposal: Proposal) -> Change | None:
    """The change of a proposal that is watched once it is live: an agent's, else what is used."""
    for kind in ("agent", *USED):
        for change in proposal.changes:
            if change.kind == kind and change.version is not None:
                return change
    return None


def by_use(proposal: Proposal) -> bool:
    """Whether what is watched answers nothing itself: a workflow or a lesson."""
    change = watched(proposal)
    return change is not None and change.kind in USED


def _by_use(proposal: Proposal, now: float, revision: int) -> Trial | None:
    """What was compared with nothing is watched in use: it must be worth it."""
    change = watched(proposal)
    if change is None or change.version is None:
        return None
    return Trial(
        verification_id(proposal.proposal_id),
        proposal.proposal_id,
        "split",
        agent=change.name,
        active=change.version,
        candidate=change.base or change.version,
        task_type=_path(proposal, change),
        share=0.0,
        most=MOST_VERIFIED_ON if change.kind == "agent" else ENOUGH_USES,
        figures=_used(change),
        started_at=now,
        revision=revision,
    )


def _used(change: Change) -> dict[str, Any]:
    """What a verification by use goes by: what is used, and how many requests each use spares."""
    if change.kind not in USED:
        return {}
    steps = (change.body or {}).get("steps", ())
    saves = max(0, len(steps) - 1) if isinstance(steps, list | tuple) else 0
    return {"use": change.kind, "saves": saves}


def inverse(
    changes: Sequence[Change],
    active: Active,
    bodies: Mapping[tuple[str, str], Mapping[str, Any] | None],
) -> tuple[Change, ...]:
    """The changes that put everything back; `bodies` are those of the versions they started from.

    Raises StaleBase where something was changed later on, or an old body is forgotten.
    """
    back: list[Change] = []
    for change in changes:
        document = active.get((change.kind, change.name))
        if (document.version if document else None) != change.version:
            raise StaleBase(
                f"The {change.kind} {change.name} was changed again since: take that back first."
            )
        body = bodies.get((change.kind, change.name))
        if change.base is not None and not body:
            raise StaleBase(
                f"The version of the {change.kind} {change.name} from before is forgotten: it "
                "cannot be taken back."
            )
        back.append(
            replace(change, base=change.version, body=body if change.base is not None else None)
        )
    return tuple(back)


def _path(proposal: Proposal, change: Change) -> str | None:
    variant = variant_of(change.name) if change.kind == "agent" else None
    return proposal.task_type or (variant.task_type if variant else None)
