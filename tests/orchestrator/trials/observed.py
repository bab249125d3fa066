"""Trials and observations for tests."""

from collections.abc import Iterable, Sequence

import numpy as np

from database.learning import Aspect, Method, Observation, Trial, observation_id_of
from database.records import OutcomeSource

OLD, NEW = "0" * 16, "1" * 16

Pairs = Sequence[tuple[float, float]]
"""What the active version and the candidate showed, request by request."""


def trial(method: Method = "shadow", *, alpha: float = 0.05, most: int = 1000) -> Trial:
    return Trial("t1", "p1", method, "coder", OLD, NEW, alpha=alpha, most=most)


def paired(
    pairs: Iterable[tuple[float, float]],
    aspect: Aspect = "outcome",
    source: OutcomeSource | None = "check",
    served: str = OLD,
) -> list[Observation]:
    return [
        _observation(f"r{n}", aspect, active, candidate, served, source)
        for n, (active, candidate) in enumerate(pairs)
    ]


def split(
    active: Iterable[float], candidate: Iterable[float], aspect: Aspect = "outcome"
) -> list[Observation]:
    """The arms' requests, taking turns."""
    mine = [_observation(f"a{n}", aspect, v, None, OLD) for n, v in enumerate(active)]
    theirs = [_observation(f"c{n}", aspect, None, v, NEW) for n, v in enumerate(candidate)]
    turns = [o for both in zip(mine, theirs, strict=False) for o in both]
    rest = max(mine, theirs, key=len)[min(len(mine), len(theirs)) :]
    return [*turns, *rest]


def drawn(seed: int, n: int, worse: float, better: float, both: float = 0.4) -> Pairs:
    """Right or wrong answers: the candidate alone is right with chance `better`, and so on."""
    generator = np.random.default_rng(seed)
    kinds = [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)]
    chances = [worse, better, both, 1.0 - worse - better - both]
    return [kinds[kind] for kind in generator.choice(4, size=n, p=chances)]


def _observation(
    run_id: str,
    aspect: Aspect,
    active: float | None,
    candidate: float | None,
    served: str,
    source: OutcomeSource | None = "check",
) -> Observation:
    key = observation_id_of("t1", run_id, aspect)
    return Observation(key, "t1", run_id, aspect, active, candidate, served=served, source=source)
