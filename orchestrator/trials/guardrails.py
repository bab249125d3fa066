"""What must not become worse while something else becomes better, tested at every look.

Errors and complaints are compared as shares, times and costs as ratios. A guardrail is hurt when it
is shown (by betting, see betting.py) that a change makes it worse by more than its margin; what is
only suspected makes a person decide (see gate.py).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from database.learning import Aspect, Risk
from orchestrator.trials.betting import Floats, wealth

HARM_ALPHA = 0.05
"""A change that does no harm is stopped as harmful with at most this chance by its outcomes, and
with at most this chance by all its guardrails together."""


@dataclass(frozen=True, slots=True)
class Margin:
    """How much worse is too much: points of a share, or a share more of a time or a cost.

    `widest` bounds a ratio: beyond it one request counts no more, so that no single one decides.
    """

    margin: float
    widest: float | None = None


Margins = Mapping[Aspect, Margin]

_WIDEST_SAVING = 10.0
WORDS: Mapping[str, str] = {
    "error": "Errors",
    "complaint": "Complaints",
    "latency_ms": "The time to answer",
    "cost_usd": "The cost",
}
MARGINS: Margins = {
    "error": Margin(0.02),
    "complaint": Margin(0.02),
    "latency_ms": Margin(0.5, 4.0),
    "cost_usd": Margin(1.0, 10.0),
}
PATIENT: Margins = {
    **MARGINS,
    "latency_ms": Margin(2.0, 10.0),
    "cost_usd": Margin(9.0, 100.0),
}


def margins(risk: Risk) -> Margins:
    """Instructions should cost no more; of a better model, people decide whether it is worth it."""
    return MARGINS if risk == "low" else PATIENT


@dataclass(frozen=True, slots=True)
class Guard:
    """How one aspect stands: means of both versions over the `n` requests that were compared.

    `ratio` is candidate to active (None for shares, and where nothing costs anything it is 1),
    `worse_by` what the margin is compared with. `suspected`: it is beyond
    the margin, be it by chance.
    """

    aspect: Aspect
    n: int
    active: float
    candidate: float
    ratio: float | None
    worse_by: float
    e_value: float
    hurt: bool
    suspected: bool

    def as_json(self) -> dict[str, Any]:
        """The figures that a trial keeps."""
        return {
            "n": self.n, "active": self.active, "candidate": self.candidate, "ratio": self.ratio,
            "worse_by": self.worse_by, "e_value": min(self.e_value, 1e12), "hurt": self.hurt,
            "suspected": self.suspected,
        }  # fmt: skip


def guard(aspect: Aspect, active: Floats, candidate: Floats, margin: Margin) -> Guard:
    """How an aspect stands after these requests (at least one), in the order they were made."""
    ratio = None
    if margin.widest is None:
        compared, claim = np.clip(candidate - active, -1.0, 1.0), margin.margin
        worse_by = float(compared.mean())
    else:
        ratio = _ratio(float(active.sum()), float(candidate.sum()))
        compared = _logs(active, candidate, margin.widest)
        claim = math.log1p(margin.margin) / math.log(margin.widest)
        worse_by = ratio - 1.0
    highest = float(wealth(compared, claim).max())
    hurt = highest >= len(MARGINS) / HARM_ALPHA
    means = float(active.mean()), float(candidate.mean())
    return Guard(
        aspect, len(compared), *means, ratio, worse_by, highest, hurt, worse_by > margin.margin
    )


def cheaper(active: Floats, candidate: Floats) -> bool:
    """Whether the candidate is shown to cost less, at some look."""
    logs = _logs(active, candidate, _WIDEST_SAVING)
    less = float(candidate.sum()) < float(active.sum())
    return less and float(wealth(-logs).max()) >= 1.0 / HARM_ALPHA


def hurt_words(guards: Sequence[Guard]) -> str:
    """What became worse, in a sentence; '' where nothing did."""
    said = [_worse(guard) for guard in guards if guard.hurt]
    return " ".join(said)


def suspected_words(guards: Sequence[Guard]) -> str:
    """What may have become worse, in a sentence; '' where nothing did by more than its margin."""
    return " ".join(f"{WORDS[g.aspect]} may have become worse." for g in guards if g.suspected)


def _worse(guard: Guard) -> str:
    if guard.ratio is None:
        shares = f"from {100 * guard.active:.0f}% to {100 * guard.candidate:.0f}%"
        return f"{WORDS[guard.aspect]} rose {shares} of {guard.n} requests."
    return f"{WORDS[guard.aspect]} rose to {guard.ratio:.1f} times as much over {guard.n} requests."


def _ratio(active: float, candidate: float) -> float:
    if active > 0.0:
        return min(candidate / active, 1e6)
    return 1.0 if candidate <= 0.0 else 1e6


def _logs(active: Floats, candidate: Floats, widest: float) -> Floats:
    """Logarithms of the ratios, from -1 (`widest` times less) to 1 (`widest` times more)."""
    least = 1e-12
    logs = np.log(np.maximum(candidate, least) / np.maximum(active, least))
    bounded: Floats = np.clip(logs / math.log(widest), -1.0, 1.0)
    return bounded
