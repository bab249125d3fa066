"""What a trial says so far: proven, harmful, unproven, or still running.

The verdict is made of the recorded observations alone, so a restart loses nothing, and it may be
asked for after every request: all its tests are safe, anytime-valid inference (A. Ramdas, P.
Grünwald, V. Vovk and G. Shafer, "Game-theoretic statistics and safe anytime-valid inference",
Statistical Science 38, 2023). The claim that is tested is "the candidate is right no more often
than the active version", whatever came before; it is tested on the differences of pairs: both
versions' answers to one request, or, in a split, the k-th judged answer of one arm and the k-th of
the other. What is assigned together is one unit: in a split only one answer of a thread may count.

What is to be cheaper at equal quality need not be better: where the figures of a trial hold
`may_lose`, the claim that is tested is "it is right less often by more than that", and it must be
shown to be cheaper as well (a test of non-inferiority).

The effect is an estimate at the moment of stopping, and stopping when it looks good makes it
somewhat too large; its interval is valid nevertheless.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from database.learning import Aspect, Observation, Trial, TrialState
from database.records import OutcomeSource
from orchestrator.trials import betting
from orchestrator.trials.betting import Floats
from orchestrator.trials.coins import coin_test, first
from orchestrator.trials.guardrails import (
    HARM_ALPHA,
    MARGINS,
    Guard,
    Margins,
    cheaper,
    guard,
    hurt_words,
)

FEWEST_PAIRS = 20
"""No promotion rests on fewer comparisons, however clear they are: guardrails need some, too."""
FUTILE = 0.3
"""A trial ends where an effect of the size it looks for has less than this chance to be proven.
Measured on real comparisons: a tenth fewer requests than at 0.2, for four points of power."""
MOST_LOST = 0.1
"""Nothing that saves money may cost more right answers than this share, whatever is wished."""
MISMATCH_ALPHA = 0.001
"""A split whose shares are right is stopped for its shares with at most this chance."""
_MISSERVED = 0.1
"""More requests than this share that were served something else end a trial."""
_INTERVAL_ALPHA = 0.05
_MISSING = math.nan
_AMOUNTS: frozenset[Aspect] = frozenset({"latency_ms", "cost_usd"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a trial. `effect` is candidate minus active, as a share of right answers.

    `low` and `high` are valid at every look; each side misses with a chance of at most 5%, or of
    the trial's own level where that is stricter. `requests` took part, `pairs` could be compared.
    `figures` can be written as JSON.
    """

    state: TrialState
    effect: float | None
    low: float
    high: float
    requests: int
    pairs: int
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)


Values = tuple[Floats, Floats]
"""By request, in order: what the active version and what the candidate showed."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The observations of one trial, gathered; `judged` is the share that a model judged."""

    requests: int
    misserved: int
    judged: float
    values: Mapping[Aspect, Values]

    def differences(self) -> Floats:
        """Candidate minus active by pair of outcomes, in -1..1."""
        active, candidate = self.values.get("outcome", (np.empty(0), np.empty(0)))
        return candidate - active


def verdict(
    trial: Trial, observations: Sequence[Observation], margins: Margins = MARGINS
) -> Verdict:
    """What the observations of a trial, in the order they were recorded, say of its candidate."""
    compared = compare(trial, observations)
    differences = compared.differences()
    lose = may_lose_of(trial)
    proven, e_value = _proven(differences, trial, lose)
    harmful, _ = betting.proven(-differences, HARM_ALPHA, trial.most)
    guards = _guards(compared, margins)
    level = min(_INTERVAL_ALPHA, trial.alpha)
    low, high = betting.lower(differences, level), betting.upper(differences, level)
    state, reason = _state(trial, compared, differences, proven, harmful, guards)
    effect = float(differences.mean()) if differences.size else None
    return Verdict(
        state, effect, max(low, -lose) if proven else low, high, compared.requests,
        len(differences), reason, _figures(trial, compared, differences, e_value, guards, level),
    )  # fmt: skip


def may_lose_of(trial: Trial) -> float:
    """How many right answers a trial may cost, as a share, for what it saves; 0 in most trials."""
    wished = trial.figures.get("may_lose", 0.0)
    wished = float(wished) if isinstance(wished, int | float) else 0.0
    return min(MOST_LOST, wished) if wished > 0.0 else 0.0


def _proven(differences: Floats, trial: Trial, lose: float) -> tuple[bool, float]:
    """Whether a look was proof, at which there was enough and still a good effect; the e-value."""
    if lose and differences.size:
        path = betting.wealth(differences, -lose)
        at, e_value = first(path >= 1.0 / trial.alpha), float(path[-1])
    else:
        at, e_value = betting.proven(differences, trial.alpha, trial.most)
    if at is None:
        return False, e_value
    looks = np.arange(1, differences.size + 1)
    good = np.cumsum(differences + lose) > 0.0
    return bool((good & (looks >= max(at, FEWEST_PAIRS))).any()), e_value


def compare(trial: Trial, observations: Iterable[Observation]) -> Compared:
    """The observations as pairs; those where something else was served than assigned are left out,
    and those where nothing was compared.

    The first judgement of a request in an aspect counts.
    """
    gathered: dict[Aspect, tuple[list[float], list[float]]] = {}
    seen: set[tuple[str, Aspect]] = set()
    misserved: set[str] = set()
    sources: list[OutcomeSource | None] = []
    split = trial.method == "split"
    for o in observations:
        key = (o.run_id, o.aspect)
        if key in seen or is_missing(o):
            continue
        seen.add(key)
        if o.served not in (None, trial.candidate if split and o.active is None else trial.active):
            misserved.add(o.run_id)
            continue
        active, candidate = gathered.setdefault(o.aspect, ([], []))
        if split or (o.active is not None and o.candidate is not None):
            active.append(_MISSING if o.active is None else o.active)
            candidate.append(_MISSING if o.candidate is None else o.candidate)
            if o.aspect == "outcome":
                sources.append(o.source)
    return Compared(
        len({run_id for run_id, _ in seen}), len(misserved),
        sources.count("judge") / len(sources) if sources else 0.0,
        {aspect: _paired(aspect, *both, split) for aspect, both in gathered.items()},
    )  # fmt: skip


def is_missing(o: Observation) -> bool:
    """Whether a request was to be compared and was not; it counts for nothing."""
    return o.active is None and o.candidate is None and o.served is None


def _paired(aspect: Aspect, active: list[float], candidate: list[float], split: bool) -> Values:
    one, other = as_values(aspect, active), as_values(aspect, candidate)
    if not split:
        both = np.isfinite(one) & np.isfinite(other)
        return one[both], other[both]
    one, other = one[np.isfinite(one)], other[np.isfinite(other)]
    n = min(len(one), len(other))
    return one[:n], other[:n]


def as_values(aspect: Aspect, values: Sequence[float]) -> Floats:
    """What was observed as numbers: shares in 0..1, and what is no number as a missing one."""
    found = np.array(values, dtype=np.float64)
    bounded = found if aspect in _AMOUNTS else np.clip(found, 0.0, 1.0)
    return np.where(np.isfinite(found), bounded, _MISSING)


def _guards(compared: Compared, margins: Margins) -> list[Guard]:
    """How every guardrail stands that something is known of."""
    return [
        guard(aspect, *compared.values[aspect], margin)
        for aspect, margin in margins.items()
        if aspect in compared.values and compared.values[aspect][0].size
    ]


def _state(
    trial: Trial,
    compared: Compared,
    differences: Floats,
    proven: bool,
    harmful: int | None,
    guards: Sequence[Guard],
) -> tuple[TrialState, str]:
    if compared.misserved > max(FEWEST_PAIRS, compared.requests) * _MISSERVED:
        return "stopped", (
            f"{compared.misserved} of {compared.requests} requests were answered by another "
            "version than the trial is about."
        )
    if hurt := hurt_words(guards):
        return "harmful", hurt
    if harmful is not None:
        return "harmful", f"It makes answers worse: {_found(differences)}."
    if proven and may_lose_of(trial):
        return _cheaper(compared, differences)
    if proven:
        return "proven", f"It makes answers better: {_found(differences)}."
    return _unproven(trial, compared, differences)


def _cheaper(compared: Compared, differences: Floats) -> tuple[TrialState, str]:
    """It is as good; is it cheaper, too?"""
    active, candidate = compared.values.get("cost_usd", (np.empty(0), np.empty(0)))
    found = f"It is as good ({_found(differences)})"
    if not active.size or not cheaper(active, candidate):
        return "unproven", f"{found}, but not shown to cost less."
    saved = 1.0 - float(candidate.sum() / active.sum())
    return "proven", f"{found} and costs {100 * saved:.0f}% less."


def _unproven(trial: Trial, compared: Compared, differences: Floats) -> tuple[TrialState, str]:
    lose = may_lose_of(trial)
    claim = f"better ({_points(trial.smallest_effect)} were looked for)"
    if lose:
        claim = f"as good ({_points(lose)} fewer were allowed)"
    if compared.requests >= trial.most:
        return "unproven", f"Not shown to be {claim} within {trial.most} requests."
    if (
        differences.size >= FEWEST_PAIRS
        and chance_left(trial, compared, differences, lose) < FUTILE
    ):
        asked = f"After {compared.requests} requests"
        return "unproven", f"{asked} it is unlikely to be shown to be {claim}."
    return "running", f"{_found(differences)} so far." if differences.size else "No answers yet."


def chance_left(trial: Trial, compared: Compared, differences: Floats, lose: float = 0.0) -> float:
    """About how likely the trial is still to prove an effect of the size that it looks for.

    Stochastic curtailment (K. K. G. Lan, R. Simon and M. Halperin, 1982): promises nothing and
    costs no false promotions. Where the sum of differences has to be at the end is taken from the
    coin test with as many flips as these differences are worth.
    """
    differences = differences + lose
    n = differences.size
    effect = min(max(lose or trial.smallest_effect, 1e-3), 0.99)
    spread = (float(differences @ differences) + effect) / (n + 1)
    spread = min(1.0, max(spread, 1.05 * effect * effect, effect * 1.05))
    left = (trial.most - compared.requests) * n / max(compared.requests, n)
    horizon = betting.horizon_of(trial.most)
    flips = min(horizon, round((n + left) * spread))
    needed = int(coin_test(trial.alpha, horizon).needed[flips])
    if needed > flips or left < 1:
        return 0.0
    missing = 2 * needed - flips - float(differences.sum()) - left * effect
    return 0.5 * math.erfc(missing / math.sqrt(2 * left * (spread - effect * effect)))


def _found(differences: Floats) -> str:
    effect = float(differences.mean())
    more = "more" if effect >= 0 else "fewer"
    return f"{_points(abs(effect))} {more} right answers over {differences.size} comparisons"


def _points(share: float) -> str:
    return f"{100 * share:.0f} points"


def _figures(
    trial: Trial,
    compared: Compared,
    differences: Floats,
    e_value: float,
    guards: Sequence[Guard],
    level: float,
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "alpha": trial.alpha,
        "e_value": min(e_value, 1e12),
        "e_value_needed": 1.0 / trial.alpha,
        "interval": 1.0 - 2.0 * level,
        "judged": compared.judged,
        "misserved": compared.misserved,
        "guardrails": {guard.aspect: guard.as_json() for guard in guards},
    }
    if differences.size:
        active, candidate = compared.values["outcome"]
        figures |= {
            "rate_active": float(active.mean()),
            "rate_candidate": float(candidate.mean()),
            "better": int((differences > 0).sum()),
            "worse": int((differences < 0).sum()),
            "same": int((differences == 0).sum()),
        }
    return figures


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Whether arms were served in other shares than assigned. `e_value` is the evidence."""

    found: bool
    e_value: float
    reason: str


def share_mismatch(
    assigned: Mapping[str, float], served: Mapping[str, int], alpha: float = MISMATCH_ALPHA
) -> Mismatch:
    """The sample ratio mismatch test: do counts of units fit the shares they were assigned by?

    `assigned` are shares (any weights) and `served` counts by arm, of units that were assigned
    independently (threads, not requests). Valid after every unit: the e-value is the Bayes factor
    of a Dirichlet-multinomial against the assigned shares (M. Lindon and A. Malek, "Anytime-valid
    inference for multinomial count data", NeurIPS 2022). Something served that nothing was assigned
    to is a mismatch at once. Raises ValueError where no share is above 0.
    """
    total = sum(assigned.values())
    if total <= 0.0 or min(assigned.values()) < 0.0:
        raise ValueError("shares must not be negative, and one of them must be above 0")
    strange = sorted(arm for arm, n in served.items() if n and not assigned.get(arm))
    if strange:
        return Mismatch(True, math.inf, f"{', '.join(strange)} was served and not assigned.")
    logarithm = _log_bayes_factor({a: s / total for a, s in assigned.items() if s}, served)
    found = logarithm >= math.log(1.0 / alpha)
    n = sum(served.values())
    counts = ", ".join(
        f"{arm} {served.get(arm, 0)} of {n} (assigned {100 * share / total:.0f}%)"
        for arm, share in assigned.items()
    )
    said = "Served and assigned shares do not fit" if found else "Shares are as assigned"
    return Mismatch(found, math.exp(min(logarithm, 700.0)), f"{said}: {counts}.")


_CONCENTRATION = 2.0
"""Of the Dirichlet distribution, spread as the assigned shares are; for halves it is uniform."""


def _log_bayes_factor(shares: Mapping[str, float], served: Mapping[str, int]) -> float:
    n = sum(served.values())
    found = math.lgamma(_CONCENTRATION) - math.lgamma(_CONCENTRATION + n)
    for arm, share in shares.items():
        count, prior = served.get(arm, 0), _CONCENTRATION * share
        found += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return found
