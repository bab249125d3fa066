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
from orchestrator.trials.guardrails import MARGINS, Margins, guard, hurt_words
from orchestrator.trials.sequential import Values, as_values, compare

State = Literal["wait", "verified", "roll_back"]

FALL, EXCLUDED = 0.2, 0.1
"""Taken back from a fall of this share on, when one of at most the second is excluded."""
BACK_ALPHA = 0.05
KEEP_ALPHA = 0.01
"""The chance to take back what fell by no more than a tenth, and to verify what fell by more."""
ENOUGH = 400
"""Comparisons after which what has no positive effect is retired."""
FEWEST = 20


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
    """
    enough = ENOUGH
    if trial.method == "split":
        live, then = _alone(observations, trial.active), _alone(before, None)
        if len(then.get("outcome", ())) < FEWEST:
            return _by_use(live.get("outcome", np.empty(0)))
        enough = min(enough, len(then["outcome"]))
        values = {a: _beside(live[a], then[a]) for a in live.keys() & then.keys()}
    else:
        values = dict(compare(trial, observations).values)
    guards = [
        guard(aspect, values[aspect][1], values[aspect][0], margin)
        for aspect, margin in margins.items()
        if aspect in values and values[aspect][0].size
    ]
    new, old = values.get("outcome", (np.empty(0), np.empty(0)))
    figures = _figures(new, old) | {"guardrails": {g.aspect: g.as_json() for g in guards}}
    if hurt := hurt_words(guards):
        return Verified("roll_back", hurt, figures)
    return _decided(new, old, enough, figures)


def _decided(new: Floats, old: Floats, enough: int, figures: dict[str, Any]) -> Verified:
    n = len(new)
    if n < FEWEST:
        return Verified("wait", f"{n} of at least {FEWEST} comparisons so far.", figures)
    before, now = float(old.mean()), float(new.mean())
    words = f"{100 * before:.0f}% right before, {100 * now:.0f}% now, over {n} comparisons"
    kept = new - (1.0 - EXCLUDED) * old
    if now <= (1.0 - FALL) * before and _shown(-kept, BACK_ALPHA):
        return Verified("roll_back", f"Answers became worse: {words}.", figures)
    if now > before and (n >= enough or _shown(kept, KEEP_ALPHA)):
        return Verified("verified", f"It holds: {words}.", figures)
    if n >= enough:
        return Verified("roll_back", f"No positive effect: {words}.", figures | {"retired": True})
    return Verified("wait", f"So far: {words}.", figures)


def _by_use(outcomes: Floats) -> Verified:
    """Kept when it is right more often than not, retired when it is not."""
    n = len(outcomes)
    figures: dict[str, Any] = {"comparisons": 0, "uses": n}
    if n < FEWEST:
        return Verified("wait", f"Used {n} of at least {FEWEST} times so far.", figures)
    rate = float(outcomes.mean())
    figures["rate_now"] = rate
    words = f"right in {100 * rate:.0f}% of {n} uses; there is nothing to compare it with"
    if rate > 0.5 and (n >= ENOUGH or _shown(2.0 * outcomes - 1.0, KEEP_ALPHA)):
        return Verified("verified", f"It holds: {words}.", figures)
    if n >= ENOUGH or _shown(1.0 - 2.0 * outcomes, BACK_ALPHA):
        return Verified("roll_back", f"It does not help: {words}.", figures | {"retired": True})
    return Verified("wait", f"So far: {words}.", figures)


def _shown(numbers: Floats, alpha: float) -> bool:
    """Whether a mean above 0 was shown at any look."""
    return float(betting.wealth(numbers).max()) >= 1.0 / alpha


def _alone(observations: Sequence[Observation], served: str | None) -> dict[Aspect, Floats]:
    """What the active version showed, by aspect; only where it was what was served, if given."""
    found: dict[Aspect, list[float]] = {}
    seen: set[tuple[str, str]] = set()
    for o in observations:
        if (o.run_id, o.aspect) in seen or o.active is None or not math.isfinite(o.active):
            continue
        seen.add((o.run_id, o.aspect))
        if served is None or o.served in (None, served):
            found.setdefault(o.aspect, []).append(o.active)
    return {aspect: as_values(aspect, values) for aspect, values in found.items()}


def _beside(live: Floats, then: Floats) -> Values:
    n = min(len(live), len(then))
    return live[:n], then[:n]


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
