"""Whether harm stays and good gets through: a stream of changes of every kind, by our own rules.

`python -m benchmarks.harm [--quick] [--json] [--data DIR] [--seed N]`

30% of the changes are harmful (15 points or worse, some of them only by errors, complaints, time or
cost), 40% make no difference and 30% help (13 to 17 points). Outcomes are real ones (MINT): two
arms of that effect at requests drawn at random; where nothing differs, their answers change places
at random. Changes are of low, medium and high risk and tried in pairs or by a split.

- the pipeline: levels by e-LOND, planned as the product does, looked at after every fifth request
  and later after each tenth more, the gate with every agent set to automatic, and a person who
  approves every card. What goes live is verified: a share of the requests in pairs, as the product
  does it, or against what was before.
- forced: every change goes live untried and is watched; each way of watching takes its turn.
  `median_requests_to_rollback` is of the harmful ones here, with its comparisons beside it.

`harmful_live` counts harmful changes of both parts that were verified, or not taken back within
10,000 requests. `false_rollbacks_per_10k` counts changes that are not harmful and were taken back
as worse, by requests served while something was watched; what was retired for having no effect is
counted apart, except for helpful changes, for which that is false as well.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console

from benchmarks import mint
from benchmarks.mint import Comparison, Floats
from database.learning import Aspect, Change, Method, Observation, Proposal, Risk, Trial
from database.records import content_hash
from orchestrator.next_trial import MOST_REQUESTS
from orchestrator.trials import gate, risk, verification
from orchestrator.trials.guardrails import margins
from orchestrator.trials.levels import next_alpha
from orchestrator.trials.planning import smallest_effect
from orchestrator.trials.sequential import Verdict, verdict
from orchestrator.verifying import PAIRED_SHARE

Kind = Literal["harmful", "neutral", "helpful"]
SHARES: Mapping[Kind, float] = {"harmful": 0.3, "neutral": 0.4, "helpful": 0.3}
LOOK_EVERY, LOOK_MORE = 5, 0.1
"""Requests from one look to the next: so many, or this share of those that were seen."""
LIVE_REQUESTS = 10_000
BEFORE = 400
"""Requests that a verification without pairs can look back on, where there was no trial."""

_OLD = {"name": "agent", "system_prompt": "Old.", "temperature": 0.0, "model": "strong"}
_TOUCHED: Mapping[Risk, Mapping[str, Any]] = {
    "low": {"system_prompt": "New."},
    "medium": {"temperature": 0.7},
    "high": {"model": "fast"},
}
_HURTS: Mapping[Aspect, tuple[float, float]] = {
    "error": (0.03, 0.2),
    "complaint": (0.05, 0.22),
    "latency_ms": (1000.0, 4000.0),
    "cost_usd": (0.001, 0.02),
}
"""By aspect: what is usual, and what a change makes of it that hurts only there."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One change of the stream: what it is, and what it does."""

    kind: Kind
    risk: Risk
    method: Method
    comparison: Comparison
    worse: bool
    hurts: Aspect | None = None


@dataclass(frozen=True, slots=True)
class Watched:
    """How the verification of one change ended, after how many requests and comparisons."""

    state: str
    retired: bool
    requests: int
    comparisons: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a change that was tried, and what its trial saw."""

    changed: Changed
    verdict: Verdict
    seen: list[Observation]
    live: bool
    by_itself: bool
    watched: Watched | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The aims first; then what they are made of."""

    harmful_live: int
    helpful_promoted_share: float
    median_requests_to_rollback: float
    false_rollbacks_per_10k: float
    changes: int
    harmful: int
    helpful: int
    neutral: int
    harmful_promoted: int
    neutral_promoted: int
    promoted_by_itself: int
    median_requests_to_promotion: float
    forced: int
    forced_harmful: int
    forced_harmful_rolled_back: int
    median_comparisons_to_rollback: float
    requests_to_rollback_90: float
    median_requests_to_rollback_paired: float
    median_requests_to_rollback_before: float
    neutral_retired: int
    neutral_verified: int
    helpful_verified: int
    helpful_rolled_back: int
    watched_requests: int


class World:
    """Makes changes and what is observed of them."""

    def __init__(self, comparisons: Sequence[Comparison], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self._worse = [c for c in comparisons if 0.15 <= c.effect <= 0.3]
        self._better = [c for c in comparisons if 0.13 <= c.effect <= 0.17]
        self._any = list(comparisons)

    def change(self, kind: Kind, at: int) -> Changed:
        """A change of this kind; risks and methods take turns, a quarter hurts a guardrail only."""
        pool = {"harmful": self._worse, "neutral": self._any, "helpful": self._better}[kind]
        hurts = list(_HURTS)[at // 4 % len(_HURTS)] if kind == "harmful" and at % 4 == 0 else None
        if hurts:
            pool = self._any
        return Changed(
            kind,
            risk.ORDER[at % 3],
            "split" if at % 5 == 0 and risk.ORDER[at % 3] == "low" else "shadow",
            pool[int(self.random.integers(len(pool)))],
            worse=kind == "harmful" and hurts is None,
            hurts=hurts,
        )

    def outcomes(self, changed: Changed, n: int) -> tuple[Floats, Floats]:
        """Of the version before and of the new one, at the same requests."""
        c = changed.comparison
        at = c.drawn(self.random, n)
        old, new = c.active[at], c.candidate[at]
        if changed.kind == "neutral" or changed.hurts:
            swap = self.random.random(n) < 0.5
            return np.where(swap, new, old), np.where(swap, old, new)
        return (new, old) if changed.worse else (old, new)

    def guarded(self, changed: Changed, aspect: Aspect, n: int) -> tuple[Floats, Floats]:
        """A guardrail's aspect of both versions."""
        usual, hurt = _HURTS[aspect]
        levels = usual, hurt if changed.hurts == aspect else usual
        if aspect in ("error", "complaint"):
            return tuple(self.random.binomial(1, p, n).astype(float) for p in levels)  # type: ignore[return-value]
        return tuple(v * self.random.lognormal(0.0, 0.4, n) for v in levels)  # type: ignore[return-value]

    def observed(
        self, trial: Trial, changed: Changed, n: int, *, turned: bool = False
    ) -> list[Observation]:
        """A trial's observations of n requests, in order; `turned`: what is new is live."""
        values: dict[Aspect, tuple[Floats, Floats]] = {"outcome": self.outcomes(changed, n)}
        for aspect in _HURTS:
            values[aspect] = self.guarded(changed, aspect, n)
        arms = self.random.random(n) < 0.5
        found = []
        for at in range(n):
            for aspect, (old, new) in values.items():
                active, candidate = (new[at], old[at]) if turned else (old[at], new[at])
                if trial.method == "split":
                    alone = turned or not arms[at]
                    active, candidate = (active, None) if alone else (None, candidate)
                elif aspect == "complaint":
                    candidate = None  # nobody complains about what they do not see
                found.append(
                    Observation(
                        f"{at}{aspect}", trial.trial_id, f"r{at}", aspect, active, candidate
                    )
                )
        return found


def looks(observations: Sequence[Observation], each: int) -> Iterator[list[Observation]]:
    """What there is to see at each look; `each` is how many observations a request makes."""
    end = 0
    while end < len(observations):
        end += each * max(LOOK_EVERY, round(LOOK_MORE * end / each))
        yield list(observations[:end])


def tried(world: World, changed: Changed, earlier: Sequence[bool | None]) -> Fate:
    """The trial of a change, its gate, and whether it went live."""
    alpha = next_alpha(earlier)
    most = MOST_REQUESTS[changed.method]
    trial = Trial(
        "t", "p", changed.method, "agent", "old", "new", alpha=alpha, most=most,
        smallest_effect=smallest_effect(changed.method, alpha, most),
    )  # fmt: skip
    observations = world.observed(trial, changed, most)
    found, seen = verdict(trial, []), list[Observation]()
    for seen in looks(observations, len(observations) // most):
        found = verdict(trial, seen, margins(changed.risk))
        if found.state != "running":
            break
    body = {**_OLD, **_TOUCHED[changed.risk]}
    change = Change("agent", "agent", content_hash(_OLD), body)
    proposal = Proposal("p", "learner", "t", "w", (change,), risk=changed.risk)
    decided = gate.decide(
        proposal, trial, found, "automatic", gate.Allowed(), {("agent", "agent"): _OLD}
    )
    return Fate(changed, found, seen, decided.state != "rejected", decided.state == "live")


def watched(
    world: World, changed: Changed, method: Method, before: Sequence[Observation] | None = None
) -> Watched:
    """The verification of a change that is live; without a trial before, answers from then."""
    split = method == "split"
    share = 1.0 if split else PAIRED_SHARE
    trial = Trial("v", "p", method, "agent", "new", "old", share=0.0 if split else share)
    if before is None:
        before = world.observed(replace(trial, method="shadow"), changed, BEFORE)
    most = round(LIVE_REQUESTS * share) if not split else verification.ENOUGH
    observations = world.observed(trial, changed, most, turned=True)
    found, requests = verification.look(trial, []), 0
    for seen in looks(observations, len(observations) // most):
        found = verification.look(trial, seen, before, margins(changed.risk))
        requests = len({o.run_id for o in seen})
        if found.state != "wait":
            break
    return Watched(
        found.state, bool(found.figures.get("retired")), round(requests / share), requests
    )


def report(
    data: Path, quick: bool, seed: int, say: Callable[[str], None] = lambda _: None
) -> Report:
    """Everything that is measured."""
    world = World(mint.comparisons(mint.arms(data)), seed)
    fates = _pipeline(world, 20 if quick else 300, say)
    forced: list[tuple[Changed, Method, Watched]] = []
    for at, changed in enumerate(_stream(world, 20 if quick else 300)):
        say(f"forced {at + 1}")
        method: Method = "split" if at % 2 else "shadow"
        forced.append((changed, method, watched(world, changed, method)))
    return _report(fates, forced)


def _stream(world: World, n: int) -> list[Changed]:
    kinds: list[Kind] = list(SHARES)
    drawn = world.random.choice(len(kinds), size=n, p=list(SHARES.values()))
    counts = dict.fromkeys(kinds, 0)
    found = []
    for kind in (kinds[i] for i in drawn):
        found.append(world.change(kind, counts[kind]))
        counts[kind] += 1
    return found


def _pipeline(world: World, n: int, say: Callable[[str], None]) -> list[Fate]:
    earlier: list[bool | None] = []
    fates = []
    for at, changed in enumerate(_stream(world, n)):
        say(f"tried {at + 1} of {n}")
        fate = tried(world, changed, earlier)
        earlier.append(fate.verdict.state == "proven")
        if fate.live:
            fate = replace(fate, watched=watched(world, changed, changed.method, fate.seen))
        fates.append(fate)
    return fates


def _report(fates: Sequence[Fate], forced: Sequence[tuple[Changed, Method, Watched]]) -> Report:
    seen = [(f.changed, f.watched) for f in fates if f.watched] + [(c, w) for c, _, w in forced]
    bad = [w for c, _, w in forced if c.kind == "harmful"]
    back = [w for w in bad if w.state == "roll_back"]
    by_method = {
        m: [w.requests for c, how, w in forced
            if c.kind == "harmful" and how == m and w.state == "roll_back"]
        for m in ("shadow", "split")
    }  # fmt: skip
    helpful = [f for f in fates if f.changed.kind == "helpful"]
    total = sum(w.requests for _, w in seen)
    false = [
        w for c, w in seen
        if c.kind != "harmful" and w.state == "roll_back" and (c.kind == "helpful" or not w.retired)
    ]  # fmt: skip

    def ended(kind: Kind, state: str) -> list[Watched]:
        return [w for c, w in seen if c.kind == kind and w.state == state]

    def live(kind: Kind) -> list[Fate]:
        return [f for f in fates if f.changed.kind == kind and f.live]

    return Report(
        harmful_live=len(ended("harmful", "verified")) + len(ended("harmful", "wait")),
        helpful_promoted_share=len(live("helpful")) / max(1, len(helpful)),
        median_requests_to_rollback=_median([w.requests for w in back]),
        false_rollbacks_per_10k=10_000 * len(false) / max(1, total),
        changes=len(fates),
        harmful=sum(f.changed.kind == "harmful" for f in fates),
        helpful=len(helpful),
        neutral=sum(f.changed.kind == "neutral" for f in fates),
        harmful_promoted=len(live("harmful")),
        neutral_promoted=len(live("neutral")),
        promoted_by_itself=sum(f.by_itself for f in fates),
        median_requests_to_promotion=_median([f.verdict.requests for f in live("helpful")]),
        forced=len(forced),
        forced_harmful=len(bad),
        forced_harmful_rolled_back=len(back),
        median_comparisons_to_rollback=_median([w.comparisons for w in back]),
        requests_to_rollback_90=float(np.quantile([float(w.requests) for w in back] or [0.0], 0.9)),
        median_requests_to_rollback_paired=_median(by_method["shadow"]),
        median_requests_to_rollback_before=_median(by_method["split"]),
        neutral_retired=sum(w.retired for w in ended("neutral", "roll_back")),
        neutral_verified=len(ended("neutral", "verified")),
        helpful_verified=len(ended("helpful", "verified")),
        helpful_rolled_back=len(ended("helpful", "roll_back")),
        watched_requests=total,
    )


def _median(numbers: Sequence[float]) -> float:
    return float(statistics.median(numbers)) if numbers else 0.0


def show(found: Report, console: Console) -> None:
    """The report for people."""
    console.print(
        f"Tried: {found.changes} changes. Promoted: {found.helpful_promoted_share:.0%} of "
        f"{found.helpful} helpful ones (after {found.median_requests_to_promotion:.0f} requests), "
        f"{found.neutral_promoted} of {found.neutral} without effect, {found.harmful_promoted} of "
        f"{found.harmful} harmful ones; {found.promoted_by_itself} of all by themselves."
    )
    console.print(
        f"Live untried: {found.forced_harmful_rolled_back} of {found.forced_harmful} harmful ones "
        f"taken back, after {found.median_requests_to_rollback:.0f} requests (median; nine of ten "
        f"within {found.requests_to_rollback_90:.0f}; in pairs "
        f"{found.median_requests_to_rollback_paired:.0f}, against before "
        f"{found.median_requests_to_rollback_before:.0f})."
    )
    console.print(
        f"Harmful and still live after verification: {found.harmful_live}. False rollbacks: "
        f"{found.false_rollbacks_per_10k:.2f} per 10,000 requests. Without effect: "
        f"{found.neutral_verified} kept, {found.neutral_retired} retired."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harm", description=__doc__)
    parser.add_argument("--data", type=Path, default=mint.DATA, help="the folder that holds mint/")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    console = Console(stderr=True, quiet=options.json)
    found = report(options.data, options.quick, options.seed, console.print)
    if options.json:
        print(json.dumps(asdict(found)))
    else:
        show(found, Console())


if __name__ == "__main__":
    main()
