"""Whether what went live did help: kept, still watched, or taken back by itself.

A promotion is watched with live results. Where it was tried in pairs, the version before it keeps
answering a share of the requests, unseen; otherwise what is served is compared with what was
observed before. It is taken back when answers are right at least a fifth less often and it is
shown that the fall is more than a tenth, or when a guardrail is hurt; every look counts, so this is
tested by betting (betting.py), on the difference between the new outcome and nine tenths of the
old one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from database.learning import Observation, Trial
from orchestrator.trials import betting
from orchestrator.trials.betting import Floats
from orchestrator.trials.guardrails import MARGINS, Margins, hurt_words
from orchestrator.trials.sequential import Compared, compare, guards_of

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

    A verification by shadow has pairs whose candidate is the version before; one by split has only
    outcomes of what is live, which are compared with those of the active version in `before`, the
    observations of the trial that led to the promotion, in their order.
    """
    compared = _against_before(trial, observations, before)
    if compared is None:
        compared = compare(trial, observations)
    new, old = compared.values.get("outcome", (np.empty(0), np.empty(0)))
    reversed_ = Compared(
        compared.requests, compared.misserved, compared.judged,
        {aspect: (b, a) for aspect, (a, b) in compared.values.items()},
    )  # fmt: skip
    guards = guards_of(reversed_, margins)
    figures = _figures(compared, new, old) | {
        "guardrails": {guard.aspect: guard.as_json() for guard in guards}
    }
    if hurt := hurt_words(guards):
        return Verified("roll_back", hurt, figures)
    return _decided(new, old, figures)


def _decided(new: Floats, old: Floats, figures: dict[str, Any]) -> Verified:
    n = len(new)
    if n < FEWEST:
        return Verified("wait", f"{n} of at least {FEWEST} comparisons so far.", figures)
    kept = new - (1.0 - EXCLUDED) * old
    fell = float(old.mean()) > 0.0 and float(new.mean()) <= (1.0 - FALL) * float(old.mean())
    words = (
        f"{100 * old.mean():.0f}% right before, {100 * new.mean():.0f}% now, over {n} comparisons"
    )
    if fell and float(betting.wealth(-kept).max()) >= 1.0 / BACK_ALPHA:
        return Verified("roll_back", f"Answers became worse: {words}.", figures)
    effect = float(new.mean() - old.mean())
    if effect >= 0.0 and float(betting.wealth(kept).max()) >= 1.0 / KEEP_ALPHA:
        return Verified("verified", f"It holds: {words}.", figures)
    if n >= ENOUGH:
        if effect > 0.0:
            return Verified("verified", f"It holds: {words}.", figures)
        return Verified("roll_back", f"No positive effect: {words}.", figures | {"retired": True})
    return Verified("wait", f"So far: {words}.", figures)


def _against_before(
    trial: Trial, observations: Sequence[Observation], before: Sequence[Observation]
) -> Compared | None:
    """Live results beside those from before, in their order; None where there are pairs."""
    if trial.method != "split":
        return None
    live = _values(observations, trial.active)
    then = _values(before, None)
    requests = len({o.run_id for o in observations})
    values = {}
    for aspect in live.keys() & then.keys():
        n = min(len(live[aspect]), len(then[aspect]))
        values[aspect] = (np.array(live[aspect][:n]), np.array(then[aspect][:n]))
    return Compared(requests, 0, 0.0, values)


def _values(observations: Sequence[Observation], served: str | None) -> dict[Any, list[float]]:
    found: dict[Any, list[float]] = {}
    seen: set[tuple[str, str]] = set()
    for o in observations:
        if o.active is None or (o.run_id, o.aspect) in seen:
            continue
        if served is None or o.served in (None, served):
            seen.add((o.run_id, o.aspect))
            found.setdefault(o.aspect, []).append(o.active)
    return found


def _figures(compared: Compared, new: Floats, old: Floats) -> dict[str, Any]:
    figures: dict[str, Any] = {"requests": compared.requests, "comparisons": len(new)}
    if len(new):
        figures |= {
            "rate_before": float(old.mean()),
            "rate_now": float(new.mean()),
            "effect": float(new.mean() - old.mean()),
            "low": betting.lower(new - old, BACK_ALPHA),
            "high": betting.upper(new - old, BACK_ALPHA),
        }
    return figures
