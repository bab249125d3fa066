"""Whether what went live did help: kept, still watched, or taken back by itself.

A promotion is watched with live results. Where it was tried in pairs, the version before it keeps
answering a share of the requests, unseen; otherwise what is served is compared with what was
observed before. It is taken back when answers are right at least a fifth less often and it is
shown that the fall is more than a tenth, or when a guardrail is hurt; every look counts, so this is
tested by betting (betting.py), on the difference between the new outcome and nine tenths of the
old one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from database.learning import Aspect, Observation, Trial
from orchestrator.trials import betting
from orchestrator.trials.betting import Floats
from orchestrator.trials.guardrails import MARGINS, Margins, guard, hurt_words, suspected_words
from orchestrator.trials.sequential import Values, as_values, compare, may_lose_of

State = Literal["wait", "verified", "roll_back"]

FALL, EXCLUDED = 0.2, 0.1
"""Taken back from a fall of this share on, when one of at most the second is excluded."""
BACK_ALPHA = 0.05
KEEP_ALPHA = 0.01
"""The chance to take back what fell by no more than a tenth, and to verify what fell by more."""
ENOUGH = 400
"""Comparisons after which what has no positive effect is retired."""
FEWEST = 20
_JUDGED = 0.8
"""Where fewer requests than this share were judged, which of them is not left to chance."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What becomes of a promotion. `figures` can be written as JSON."""

    state: State
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def look(
    trial: Trial,
    observations: Sequence[Observation],
    before: Sequence[Observation] = (),
    margins: Margins = MARGINS,
) -> Verified:
    """How a promotion does. `trial` is its verification: `active` is what is live now.

    A verification by shadow has pairs whose candidate is the version before. One by split has only
    outcomes of what is live; they are compared with those of the active version in `before`, the
    observations of the trial that led to the promotion, in their order, as long as there are any.
    Where there are hardly any, there is nothing to compare with, and its use alone decides.

    Where only some answers were spoken of, pairs are chosen by what is live having failed in them,
    and any version before would look better. Then it is compared how often people found an answer
    wrong before and now, among all requests. What was to be cheaper (`may_lose` in the figures of
    the trial, see sequential.py) is verified when it is as good, and need not be better.
    """
    live, then = _alone(observations, trial.active), _alone(before, None)
    chosen = _chosen(live)
    if chosen:
        live, then = _not_found_wrong(live), _not_found_wrong(then)
    pairs = _pairs(trial, observations)
    beside = {a: _beside(a, live[a], then[a]) for a in live.keys() & then.keys()}
    requests = len({o.run_id for o in observations})
    if "outcome" in pairs and not chosen:
        return _compared({**beside, **pairs}, ENOUGH, margins, requests, may_lose_of(trial))
    if len(then.get("outcome", ())) < FEWEST:
        return _by_use(as_values("outcome", list(live.get("outcome", {}).values())))
    better = {aspect: pairs[aspect] for aspect in pairs.keys() - {"outcome", "complaint"}}
    enough = min(ENOUGH, len(then["outcome"]))
    return _compared({**beside, **better}, enough, margins, requests, may_lose_of(trial))


def _pairs(trial: Trial, observations: Sequence[Observation]) -> Mapping[Aspect, Values]:
    """What both versions showed at the same requests, by aspect; nothing where only one answers."""
    if trial.method == "split":
        return {}
    values = compare(trial, observations).values
    return {aspect: both for aspect, both in values.items() if both[0].size}


def _compared(
    values: Mapping[Aspect, Values],
    enough: int,
    margins: Margins,
    requests: int,
    may_lose: float,
) -> Verified:
    guards = [
        guard(aspect, values[aspect][1], values[aspect][0], margin)
        for aspect, margin in margins.items()
        if aspect in values and values[aspect][0].size
    ]
    new, old = values.get("outcome", (np.empty(0), np.empty(0)))
    figures = {"requests": requests, **_figures(new, old)}
    figures["guardrails"] = {g.aspect: g.as_json() for g in guards}
    if hurt := hurt_words(guards):
        return Verified("roll_back", hurt, figures)
    doubt = suspected_words(guards)
    return _decided(new, old, enough, may_lose, figures, doubt)


def _decided(
    new: Floats, old: Floats, enough: int, may_lose: float, figures: dict[str, Any], doubt: str
) -> Verified:
    """What the outcomes say. With a `doubt` about a guardrail it is watched on, as long as may be:
    an early lucky row of right answers is no reason to look away from that.
    """
    n = len(new)
    if n < FEWEST:
        return Verified("wait", f"{n} of at least {FEWEST} comparisons so far.", figures)
    before, now = float(old.mean()), float(new.mean())
    words = f"{100 * before:.0f}% right before, {100 * now:.0f}% now, over {n} comparisons"
    kept = new - (1.0 - EXCLUDED) * old
    if now <= (1.0 - FALL) * before and shown(-kept, BACK_ALPHA):
        return Verified("roll_back", f"Answers became worse: {words}.", figures)
    holds = now >= before - may_lose if may_lose else now > before
    sure = shown(new - old + may_lose if may_lose else kept, KEEP_ALPHA)
    if holds and (n >= enough or (sure and not doubt)):
        return Verified("verified", f"It holds: {words}.", figures)
    if n >= enough:
        return Verified("roll_back", f"No positive effect: {words}.", figures | {"retired": True})
    return Verified("wait", f"So far: {words}. {doubt}".strip(), figures)


def _by_use(outcomes: Floats) -> Verified:
    """Kept when it is right more often than not, retired when it is not."""
    n = len(outcomes)
    figures: dict[str, Any] = {"comparisons": 0, "uses": n}
    if n < FEWEST:
        return Verified("wait", f"Used {n} of at least {FEWEST} times so far.", figures)
    rate = float(outcomes.mean())
    figures["rate_now"] = rate
    words = f"right in {100 * rate:.0f}% of {n} uses; there is nothing to compare it with"
    if rate > 0.5 and (n >= ENOUGH or shown(2.0 * outcomes - 1.0, KEEP_ALPHA)):
        return Verified("verified", f"It holds: {words}.", figures)
    if n >= ENOUGH or shown(1.0 - 2.0 * outcomes, BACK_ALPHA):
        return Verified("roll_back", f"It does not help: {words}.", figures | {"retired": True})
    return Verified("wait", f"So far: {words}.", figures)


def shown(numbers: Floats, alpha: float) -> bool:
    """Whether a mean above 0 was shown at any look."""
    return float(betting.wealth(numbers).max()) >= 1.0 / alpha


ByRequest = Mapping[str, float]


def _alone(observations: Sequence[Observation], served: str | None) -> Mapping[Aspect, ByRequest]:
    """What the active version showed, by aspect; only where it was what was served, if given."""
    found: dict[Aspect, dict[str, float]] = {}
    for o in observations:
        if o.active is None or not math.isfinite(o.active):
            continue
        if served is None or o.served in (None, served):
            found.setdefault(o.aspect, {}).setdefault(o.run_id, o.active)
    if found:
        # who says nothing does not complain
        requests = dict.fromkeys((run for values in found.values() for run in values), 0.0)
        found["complaint"] = requests | found.get("complaint", {})
    return found


def _chosen(live: Mapping[Aspect, ByRequest]) -> bool:
    """Whether so few answers were judged that failing may be why."""
    requests = set().union(*live.values())
    return len(live.get("outcome", ())) < _JUDGED * len(requests)


def _not_found_wrong(alone: Mapping[Aspect, ByRequest]) -> Mapping[Aspect, ByRequest]:
    """Every request counts as right unless somebody found it wrong; finding so is a complaint."""
    judged, complained = alone.get("outcome", {}), alone.get("complaint", {})
    right = {run: judged.get(run, 1.0 - said) for run, said in complained.items()}
    wrong = {run: 1.0 - value for run, value in right.items()}
    return {**alone, "outcome": right, "complaint": wrong} if right else alone


def _beside(aspect: Aspect, live: ByRequest, then: ByRequest) -> Values:
    n = min(len(live), len(then))
    return (
        as_values(aspect, list(live.values())[:n]),
        as_values(aspect, list(then.values())[:n]),
    )


def _figures(new: Floats, old: Floats) -> dict[str, Any]:
    figures: dict[str, Any] = {"comparisons": len(new)}
    if len(new):
        figures |= {
            "rate_before": float(old.mean()),
            "rate_now": float(new.mean()),
            "effect": float(new.mean() - old.mean()),
            "low": betting.lower(new - old, BACK_ALPHA),
            "high": betting.upper(new - old, BACK_ALPHA),
        }
    return figures
