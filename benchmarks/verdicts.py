"""Whether verdicts are honest, and what they take: on real outcomes of models and prompts (MINT).

`python -m benchmarks.verdicts [--quick] [--json] [--data DIR] [--seed N]`

Each trial compares two arms of the data set at requests drawn at random from their common tasks, so
that the true effect is known exactly, and ends with the first look after a request that ends it. It
is the product's own function (`sequential.verdict`) with its own planning: 10 points are looked
for. To be quick the look that ends a trial is found by going over its pairs once, and every
twentieth trial is really asked about after each request, which must give the same verdict.

- without an effect: by request the two answers change places at random, so that arms differ as
  often as they really do and neither is better; also by scores between right and wrong.
- with effects: arms by the size of their difference; beside each the requests of two tests of fixed
  size with 80% power at the same one-sided 5%, planned with the true rates, which nobody knows
  beforehand: a split (unpaired, normal approximation) and a paired one (McNemar). A request of a
  split is answered once, one of a pair twice: `calls` counts answers. Trials that end unproven
  count with all their requests.
- many proposals: streams in which three of ten have an effect of 10 points or more, each at 5%, and
  each at the level that e-LOND gives (levels.py): of what was proven, which share was false.

Every second comparison of the data set is used; when to give up (`sequential.FUTILE`) was chosen by
looking at the others. Dollars are of arms whose models have a published price, by the data set's
token estimates.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import mint
from benchmarks.mint import Comparison
from database.learning import Observation, Trial
from database.records import content_hash
from orchestrator.trials import betting
from orchestrator.trials.coins import first
from orchestrator.trials.guardrails import HARM_ALPHA
from orchestrator.trials.levels import next_alpha
from orchestrator.trials.planning import requests_needed
from orchestrator.trials.sequential import (
    FEWEST_PAIRS,
    FUTILE,
    Compared,
    Verdict,
    chance_left,
    verdict,
)

ALPHA = 0.05
LOOKED_FOR = 0.1
BUCKETS = ((0.05, 0.1), (0.1, 0.15), (0.15, 0.2), (0.2, 0.3), (0.3, 0.4))
"""Effects that are measured; those of the first are smaller than what trials look for."""
_Z = {ALPHA: 1.644854, 0.8: 0.841621}
_OLD, _NEW = content_hash({"version": "old"}), content_hash({"version": "new"})

Pairs = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Trials with effects in one range; requests are means unless they say otherwise."""

    effect_from: float
    effect_to: float
    trials: int
    power: float
    harmful: float
    requests: float
    requests_median: float
    requests_same_model: float | None
    split_requests: float
    paired_requests: float
    ratio_split: float
    ratio_split_median: float
    ratio_paired: float
    calls: float
    split_calls: float
    usd: float | None
    split_usd: float | None


@dataclass(frozen=True, slots=True)
class Stream:
    """Many proposals, one after the other."""

    corrected: bool
    proposals: int
    proven: int
    false_share: float
    power: float
    requests: float


@dataclass(frozen=True, slots=True)
class Report:
    """The three aims of the benchmark first; shares and ratios, before correction."""

    false_promotion_rate: float
    requests_ratio: float
    power: float
    requests_ratio_median: float
    requests_ratio_same_model: float
    null_trials: int
    trials: int
    trials_asked_after_each_request: int
    null_requests: float
    false_promotion_rate_scores: float
    most: int
    sizes: list[Sizes]
    streams: list[Stream]


@dataclass(frozen=True, slots=True)
class Ended:
    """How one trial ended, and what the fixed tests would have taken."""

    verdict: Verdict
    split: float
    paired: float
    same_model: bool
    usd: float | None = None
    split_usd: float | None = None


def ended(trial: Trial, pairs: Pairs) -> Verdict:
    """The first verdict that is not to go on, asked for after each request."""
    observations = observed(trial, pairs)
    for n in range(1, len(observations)):
        found = verdict(trial, observations[:n])
        if found.state != "running":
            return found
    return verdict(trial, observations)


def ended_quickly(trial: Trial, pairs: Pairs) -> Verdict:
    """The same verdict, found by going over the pairs once."""
    differences = np.array([candidate - active for active, candidate in pairs])
    looks = np.arange(1, len(differences) + 1)
    proven, _ = betting.proven(differences, trial.alpha, trial.most)
    harmful, _ = betting.proven(-differences, HARM_ALPHA, trial.most)
    at = min(harmful or trial.most, trial.most)
    if proven:
        good = (np.cumsum(differences) > 0.0) & (looks >= max(proven, FEWEST_PAIRS))
        at = min(first(good) or trial.most, at)
    for n in range(FEWEST_PAIRS, at):
        if chance_left(trial, Compared(n, 0, 0.0, {}), differences[:n]) < FUTILE:
            at = n
            break
    return verdict(trial, observed(trial, pairs[:at]))


def observed(trial: Trial, pairs: Pairs) -> list[Observation]:
    """What a trial records of its pairs."""
    return [
        Observation(f"o{n}", trial.trial_id, f"r{n}", "outcome", active, candidate)
        for n, (active, candidate) in enumerate(pairs)
    ]


class Looks:
    """Ends trials; one of every so many is asked about after each request, as a check."""

    def __init__(self, each: int) -> None:
        self._each = each
        self.trials = 0
        self.asked = 0

    def __call__(self, trial: Trial, pairs: Pairs) -> Verdict:
        """The verdict of a trial. Raises RuntimeError where the two ways do not agree."""
        found = ended_quickly(trial, pairs)
        if self.trials % self._each == 0:
            self.asked += 1
            if ended(trial, pairs) != found:
                raise RuntimeError("A look after each request ends a trial otherwise.")
        self.trials += 1
        return found


def a_trial(alpha: float = ALPHA) -> Trial:
    """A paired trial that looks for 10 points, planned as the product plans."""
    most = requests_needed("replay", alpha, LOOKED_FOR)
    assert most is not None
    return Trial(
        "t", "p", "replay", "agent", _OLD, _NEW,
        alpha=alpha, smallest_effect=LOOKED_FOR, most=most,
    )  # fmt: skip


def split_size(p: float, q: float, alpha: float = ALPHA) -> float:
    """Requests of an unpaired test of fixed size, both arms together."""
    z = _Z[alpha] + _Z[0.8]
    return 2.0 * z * z * (p * (1.0 - p) + q * (1.0 - q)) / (q - p) ** 2


def paired_size(differ: float, effect: float, alpha: float = ALPHA) -> float:
    """Requests of McNemar's test of fixed size (R. J. Connor, Biometrics 43, 1987)."""
    spread = _Z[alpha] * math.sqrt(differ) + _Z[0.8] * math.sqrt(differ - effect**2)
    return (spread / effect) ** 2


def without_effect(
    comparisons: Sequence[Comparison], n: int, generator: np.random.Generator, end: Looks
) -> list[Verdict]:
    """Trials of real arms whose answers change places at random."""
    trial = a_trial()
    found = []
    for _ in range(n):
        c = comparisons[int(generator.integers(len(comparisons)))]
        at = c.drawn(generator, trial.most)
        swap = generator.random(trial.most) < 0.5
        one, other = c.active[at], c.candidate[at]
        pairs = list(zip(np.where(swap, other, one), np.where(swap, one, other), strict=True))
        found.append(end(trial, pairs))
    return found


def scores_without_effect(n: int, generator: np.random.Generator, end: Looks) -> list[Verdict]:
    """Simulated scores in quarters, the same distribution for both versions."""
    trial = a_trial()
    return [
        end(trial, [(a, b) for a, b in generator.integers(0, 5, (trial.most, 2)) / 4.0])
        for _ in range(n)
    ]


def with_effect(
    comparison: Comparison, trial: Trial, generator: np.random.Generator, end: Looks
) -> Ended:
    """One trial of a real difference."""
    at = comparison.drawn(generator, trial.most)
    active, candidate = comparison.active, comparison.candidate
    found = end(trial, list(zip(active[at], candidate[at], strict=True)))
    p, q = float(active.mean()), float(candidate.mean())
    split = split_size(p, q)
    differ = float((active != candidate).mean())
    paired = paired_size(differ, comparison.effect)
    usd = split_usd = None
    if comparison.active_usd is not None and comparison.candidate_usd is not None:
        both = comparison.active_usd + comparison.candidate_usd
        usd = float(both[at[: found.requests]].sum())
        split_usd = split / 2 * float(both.mean())
    return Ended(found, split, paired, comparison.same_model, usd, split_usd)


def sizes(low: float, high: float, found: Sequence[Ended]) -> Sizes:
    """The trials of one range of effects, together."""
    requests = [e.verdict.requests for e in found]
    split, paired = _mean([e.split for e in found]), _mean([e.paired for e in found])
    same = [e.verdict.requests for e in found if e.same_model]
    priced = [e for e in found if e.usd is not None]
    return Sizes(
        low, high, len(found),
        power=_mean([e.verdict.state == "proven" for e in found]),
        harmful=_mean([e.verdict.state == "harmful" for e in found]),
        requests=_mean(requests),
        requests_median=statistics.median(requests),
        requests_same_model=_mean(same) if same else None,
        split_requests=split,
        paired_requests=paired,
        ratio_split=split / _mean(requests),
        ratio_split_median=statistics.median([e.split / e.verdict.requests for e in found]),
        ratio_paired=paired / _mean(requests),
        calls=2 * _mean(requests),
        split_calls=split,
        usd=_mean([e.usd for e in priced if e.usd is not None]) if priced else None,
        split_usd=_mean([e.split_usd for e in priced if e.split_usd is not None])
        if priced else None,
    )  # fmt: skip


def stream(
    comparisons: Sequence[Comparison],
    n: int,
    generator: np.random.Generator,
    end: Looks,
    corrected: bool,
) -> tuple[list[bool | None], list[bool], list[int]]:
    """One workspace's proposals: what was proven, what is true, the requests of each."""
    proven: list[bool | None] = []
    true, requests = [], []
    for _ in range(n):
        trial = a_trial(next_alpha(proven)) if corrected else a_trial()
        c = comparisons[int(generator.integers(len(comparisons)))]
        real = bool(generator.random() < 0.3)
        at = c.drawn(generator, trial.most)
        swap = (generator.random(trial.most) < 0.5) & (not real)
        one, other = c.active[at], c.candidate[at]
        pairs = list(zip(np.where(swap, other, one), np.where(swap, one, other), strict=True))
        found = end(trial, pairs)
        proven.append(found.state == "proven")
        true.append(real)
        requests.append(found.requests)
    return proven, true, requests


def streams(
    comparisons: Sequence[Comparison], count: int, n: int, seed: int, end: Looks, corrected: bool
) -> Stream:
    """Several workspaces together; the share of false discoveries is the mean of theirs."""
    shares, found, real, requests = [], 0, 0, []
    caught = 0
    for at in range(count):
        generator = np.random.default_rng((seed, at))
        proven, true, took = stream(comparisons, n, generator, end, corrected)
        false = sum(bool(p) and not t for p, t in zip(proven, true, strict=True))
        shares.append(false / max(1, sum(map(bool, proven))))
        found += sum(map(bool, proven))
        caught += sum(bool(p) and t for p, t in zip(proven, true, strict=True))
        real += sum(true)
        requests += took
    return Stream(
        corrected, count * n, found, _mean(shares), caught / max(1, real), _mean(requests)
    )


def report(
    data: Path, quick: bool, seed: int, say: Callable[[str], None] = lambda _: None
) -> Report:
    """Everything that is measured."""
    generator, end = np.random.default_rng(seed), Looks(20)
    known = mint.comparisons(mint.arms(data))[1::2]
    strong = [c for c in known if LOOKED_FOR <= c.effect <= BUCKETS[-1][1]]
    say("without an effect")
    null = without_effect(known, 200 if quick else 5000, generator, end)
    scores = scores_without_effect(100 if quick else 2000, generator, end)
    ranges, all_found = [], []
    for low, high in BUCKETS:
        say(f"effects of {100 * low:.0f} to {100 * high:.0f} points")
        found = _in_range(known, low, high, 40 if quick else 1000, generator, end)
        ranges.append(sizes(low, high, found))
        all_found += found if low >= LOOKED_FOR else []
    say("many proposals")
    count, n = (4, 25) if quick else (40, 50)
    many = [streams(strong, count, n, seed, end, corrected) for corrected in (False, True)]
    same = [e for e in all_found if e.same_model]
    return Report(
        false_promotion_rate=_mean([v.state == "proven" for v in null]),
        requests_ratio=_ratio(all_found),
        power=_mean([e.verdict.state == "proven" for e in all_found]),
        requests_ratio_median=statistics.median(
            [e.split / e.verdict.requests for e in all_found]
        ),
        requests_ratio_same_model=_ratio(same),
        null_trials=len(null), trials=end.trials, trials_asked_after_each_request=end.asked,
        null_requests=_mean([v.requests for v in null]),
        false_promotion_rate_scores=_mean([v.state == "proven" for v in scores]),
        most=a_trial().most, sizes=ranges, streams=many,
    )  # fmt: skip


def _in_range(
    known: Sequence[Comparison],
    low: float,
    high: float,
    n: int,
    generator: np.random.Generator,
    end: Looks,
) -> list[Ended]:
    """Trials in equal numbers of what changes a model's work and of what changes the model."""
    fitting = [c for c in known if low <= c.effect < high]
    groups = [[c for c in fitting if c.same_model is same] for same in (True, False)]
    groups = [group for group in groups if group]
    trial = a_trial()
    found = []
    for at in range(n):
        group = groups[at % len(groups)]
        found.append(with_effect(group[int(generator.integers(len(group)))], trial, generator, end))
    return found


def _ratio(found: Sequence[Ended]) -> float:
    if not found:
        return math.nan
    return _mean([e.split for e in found]) / _mean([e.verdict.requests for e in found])


def _mean(numbers: Sequence[float]) -> float:
    return float(np.mean(numbers)) if len(numbers) else math.nan


def show(found: Report, console: Console) -> None:
    """The report for people."""
    console.print(
        f"Without an effect: {100 * found.false_promotion_rate:.1f}% of {found.null_trials} trials "
        f"proven (scores: {100 * found.false_promotion_rate_scores:.1f}%), looked at after every "
        f"request, {found.null_requests:.0f} requests each."
    )
    table = Table("effect", "trials", "power", "requests", "median", "split test", "paired test",
                  "split/ours", "by median", "$ ours/split")  # fmt: skip
    for s in found.sizes:
        dollars = f"{s.usd:.2f}/{s.split_usd:.2f}" if s.usd and s.split_usd else ""
        table.add_row(
            f"{100 * s.effect_from:.0f}-{100 * s.effect_to:.0f}", str(s.trials), f"{s.power:.2f}",
            f"{s.requests:.0f}", f"{s.requests_median:.0f}", f"{s.split_requests:.0f}",
            f"{s.paired_requests:.0f}", f"{s.ratio_split:.2f}", f"{s.ratio_split_median:.2f}",
            dollars,
        )  # fmt: skip
    console.print(table)
    console.print(
        f"10 points and more: {found.requests_ratio:.2f} times fewer requests than the split test "
        f"(median {found.requests_ratio_median:.2f}; the same model "
        f"{found.requests_ratio_same_model:.2f}), power {found.power:.2f}."
    )
    for many in found.streams:
        console.print(
            f"{'e-LOND' if many.corrected else 'each at 5%'}: {many.proven} of {many.proposals} "
            f"proven, {100 * many.false_share:.1f}% of them false, power {many.power:.2f}, "
            f"{many.requests:.0f} requests each."
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
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
