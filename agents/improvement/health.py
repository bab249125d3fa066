"""One number for how an agent does, made of what its people notice."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.improvement.tallies import Tally

WEIGHTS: Mapping[str, float] = {
    "success": 0.45,
    "satisfaction": 0.2,
    "reliability": 0.2,
    "speed": 0.1,
    "thrift": 0.05,
}
_AS_IF = 5.0
"""So many judgements as of all agents together are added to an agent's own, so that few words make
neither a perfect nor a hopeless one."""
_LEAST_RUNS = 10


@dataclass(frozen=True, slots=True)
class Health:
    """`score` 0..100 and the parts (0..1) that it is made of."""

    score: float
    parts: Mapping[str, float]


def health(own: Tally, everybody: Tally) -> Health | None:
    """100 x the weighted mean of the parts that are known; None below ten runs.

    - success (0.45): (good + 5 s) / (judged + 5), s the success of all agents;
    - satisfaction (0.2): the same of ratings, up of up and down;
    - reliability (0.2): the share of runs that did not end in an error;
    - speed (0.1): the typical time of all agents to one's own, at most 1;
    - thrift (0.05): the mean cost of all agents to one's own, at most 1.

    Typical is the geometric mean. Without a single judgement the score would speak of speed, so
    success or satisfaction must be known of somebody.
    """
    if own.runs < _LEAST_RUNS:
        return None
    parts = {"reliability": 1 - own.failed / own.runs}
    if everybody.judged and everybody.success is not None:
        parts["success"] = (own.good + _AS_IF * everybody.success) / (own.judged + _AS_IF)
    rated = everybody.up + everybody.down
    if rated:
        parts["satisfaction"] = (own.up + _AS_IF * everybody.up / rated) / (
            own.up + own.down + _AS_IF
        )
    if own.typical_ms and everybody.typical_ms:
        parts["speed"] = min(1.0, everybody.typical_ms / own.typical_ms)
    if own.mean_usd and everybody.mean_usd:
        parts["thrift"] = min(1.0, everybody.mean_usd / own.mean_usd)
    if not {"success", "satisfaction"} & parts.keys():
        return None
    weight = sum(WEIGHTS[name] for name in parts)
    score = 100 * sum(WEIGHTS[name] * value for name, value in parts.items()) / weight
    return Health(round(score, 1), {name: round(value, 3) for name, value in parts.items()})
