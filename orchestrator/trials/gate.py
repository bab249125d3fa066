"""What becomes of a proposal after its trial: rejected, live by itself, or for a person to decide.

Going live without a person is the exception, and each condition of it stands here alone: nothing
of medium or high risk, nothing unproven, nothing dearer than allowed, whatever else is set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from database.learning import Proposal, Risk, Trial
from orchestrator.policy import Mode
from orchestrator.trials import risk
from orchestrator.trials.guardrails import WORDS
from orchestrator.trials.sequential import Verdict

GateState = Literal["rejected", "live", "awaiting"]

JUDGE_FLOOR = 0.7
FEWEST_JUDGED = 20
"""A judging model must have agreed with people so often, over so many answers, to count."""

TOLD_BY_OTHERS = 10
"""Comparisons on others' word, before what one person tells most of goes live by itself."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may happen without a person. `dearer` is a share: 0.1 allows a tenth more an answer.

    `promotions_left` are those of the agent in this week (None: any number).
    """

    dearer: float = 0.0
    judge_floor: float = JUDGE_FLOOR
    promotions_left: int | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """The decision, why in words for people, and the risk that it rests on."""

    state: GateState
    reason: str
    risk: Risk
    risk_reasons: tuple[str, ...] = ()


def decide(
    proposal: Proposal,
    trial: Trial | None,
    verdict: Verdict | None,
    mode: Mode,
    allowed: Allowed,
    bases: risk.Bases,
) -> Gate:
    """The fate of a proposal. Without a trial (there is nothing to compare it with) people decide.

    The risk is computed anew from the changes; what the record says can only raise it. Raises
    ValueError while the trial is still running.
    """
    found, reasons = risk.assess(proposal.changes, bases)
    found = risk.worst([found, proposal.risk])
    if verdict is not None and verdict.state == "running":
        raise ValueError(f"the trial of proposal {proposal.proposal_id} is still running")
    if verdict is not None and verdict.state != "proven":
        return Gate("rejected", verdict.reason, found, reasons)
    asks = _asks(proposal, trial, verdict, mode, allowed, found)
    if asks:
        return Gate("awaiting", " ".join(asks), found, reasons)
    return Gate("live", "Proven, of low risk and within the allowed cost.", found, reasons)


def _asks(
    proposal: Proposal,
    trial: Trial | None,
    verdict: Verdict | None,
    mode: Mode,
    allowed: Allowed,
    found: Risk,
) -> list[str]:
    """Every reason why a person has to decide; none is needed twice."""
    reasons = []
    if verdict is None or trial is None:
        reasons.append(_untried(proposal))
    elif trial.proposal_id != proposal.proposal_id:
        reasons.append("Its trial is of another proposal.")
    if found != "low":
        reasons.append(f"Its risk is {found}.")
    if mode != "automatic":
        reasons.append(_MODES[mode])
    if allowed.promotions_left is not None and allowed.promotions_left <= 0:
        reasons.append("This agent has changed by itself as often as it may in a week.")
    if verdict is not None:
        reasons += _doubts(verdict.figures, trial.figures if trial else {}, allowed)
    return reasons


def _untried(proposal: Proposal) -> str:
    """Why nothing was compared, in words for who decides on it all the same."""
    changes = proposal.changes
    if len(changes) > 1:
        return (
            f"It was not tried: it makes {len(changes)} changes at once, and only a single one can "
            "be compared beforehand."
        )
    if changes[0].body is None:
        return "It was not tried: what it takes away can be compared with nothing beforehand."
    return "It was not tried: there is nothing to compare it with."


_MODES: Mapping[Mode, str] = {
    "ask": "This agent's changes are decided by people.",
    "paused": "This agent's changes are paused.",
}


def _doubts(figures: Mapping[str, Any], noted: Mapping[str, Any], allowed: Allowed) -> list[str]:
    """What the figures say against going live without a person."""
    reasons = []
    guards: Mapping[str, Any] = figures.get("guardrails", {})
    reasons += _dearer(guards.get("cost_usd", {}).get("ratio"), noted.get("tokens_ratio"), allowed)
    for aspect, guard in guards.items():
        if guard.get("suspected"):
            reasons.append(f"{WORDS[aspect]} may have become worse; it is not certain.")
    missing, compared = noted.get("missing", 0), noted.get("requests", 0)
    if missing > compared:
        reasons.append(
            f"{missing:.0f} requests could not be compared, more than the {compared:.0f} that were."
        )
    if figures.get("judged", 0.0) > 0.0 and not _judge_counts(noted, allowed.judge_floor):
        reasons.append("A model judged the answers, and has not agreed with people often enough.")
    return reasons


def _dearer(ratio: float | None, tokens: float | None, allowed: Allowed) -> list[str]:
    """Whether it costs too much: by its price or, where no model has one, by its `tokens`."""
    known = tokens if ratio is None else ratio
    if known is None:
        return ["What it costs is not known."]
    if known <= 1.0 + allowed.dearer + 1e-6:
        return []
    takes = "takes {} more tokens" if ratio is None else "costs {} more"
    return [f"An answer {takes.format(_percent(known - 1.0))}, which is not allowed unasked."]


def priced(verdict: Verdict) -> bool:
    """Whether it is known what the answers that were compared cost."""
    return "cost_usd" in verdict.figures.get("guardrails", {})


def _judge_counts(noted: Mapping[str, Any], floor: float) -> bool:
    agreement, labels = noted.get("judge_agreement"), noted.get("judge_labels", 0)
    return agreement is not None and labels >= FEWEST_JUDGED and agreement >= floor


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def chosen_by_feedback(figures: Mapping[str, Any]) -> str:
    """Why a person should look at a proven effect: only what people spoke of could be compared."""
    if "spoken_of" not in figures:
        return ""
    worst = figures.get("effect_at_worst")
    if worst is not None and worst > 0.0:
        return ""
    return (
        f"People spoke of {figures['spoken_of']:.0%} of the answers: if they were content with all "
        "others, it would not be better."
    )


def on_one_word(told: Mapping[str, Any]) -> str:
    """Why a person should look: what one member says alone makes nothing live in a team."""
    if not told.get("tellers") or told.get("askers", 0) < 2:
        return ""
    effect = told.get("effect_of_others")
    if told["others"] >= TOLD_BY_OTHERS and effect is not None and effect > 0.0:
        return ""
    return (
        f"One person's word decides {told['most_told']:.0%} of what was compared: without it, it "
        "would not be shown to be better."
    )
