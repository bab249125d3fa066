import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from database.learning import Aspect, Observation, Trial
from orchestrator.trials.guardrails import margins
from orchestrator.trials.sequential import (
    FEWEST_PAIRS,
    Verdict,
    may_lose_of,
    share_mismatch,
    verdict,
)
from tests.orchestrator.trials.observed import NEW, OLD, Pairs, drawn, paired, split, trial

SAME: Pairs = [(1.0, 1.0), (0.0, 0.0)] * 50


def first_end(tried: Trial, observations: Sequence[Observation]) -> Verdict:
    """What a look after every request would have ended with."""
    found = verdict(tried, observations)
    for n in range(1, len(observations) + 1):
        found = verdict(tried, observations[:n])
        if found.state != "running":
            return found
    return found


def test_what_is_better_is_proven_with_its_effect_between_its_bounds() -> None:
    found = verdict(trial(), paired(drawn(1, 200, 0.05, 0.2)))
    assert found.state == "proven"
    assert found.effect is not None
    assert 0.0 < found.low < found.effect < found.high < 0.3
    assert (found.requests, found.pairs) == (200, 200)
    assert "more right answers over 200 comparisons" in found.reason
    figures = found.figures
    assert figures["rate_candidate"] - figures["rate_active"] == pytest.approx(found.effect)
    assert figures["better"] + figures["worse"] + figures["same"] == 200
    json.dumps(asdict(found), allow_nan=False)


def test_what_is_worse_is_harmful_and_what_is_the_same_stays_unproven() -> None:
    worse = verdict(trial(), paired(drawn(1, 200, 0.2, 0.05)))
    assert worse.state == "harmful"
    assert "fewer right answers" in worse.reason
    assert first_end(trial(most=300), paired(drawn(2, 300, 0.1, 0.1))).state == "unproven"


def test_no_verdict_rests_on_a_handful_of_answers() -> None:
    always = [(0.0, 1.0)] * FEWEST_PAIRS
    assert verdict(trial(), paired(always[:-1])).state == "running"
    assert verdict(trial(), paired(always)).state == "proven"
    assert verdict(trial(), []).state == "running"
    assert verdict(trial(), []).effect is None


def test_what_is_no_longer_good_when_there_is_enough_is_not_proven() -> None:
    """Proof by the first ten, and none of the next answers bears it out."""
    lucky = [(0.0, 1.0)] * 10
    assert verdict(trial(), paired([*lucky, *[(1.0, 0.0)] * 10])).state == "running"
    assert verdict(trial(), paired([*lucky, *[(1.0, 1.0)] * 10])).state == "proven"


def test_a_verdict_is_made_of_its_observations_alone_and_stays() -> None:
    observations = paired([*drawn(1, 200, 0.05, 0.2), *drawn(2, 200, 0.3, 0.1)])
    assert verdict(trial(), observations[:200]).state == "proven"
    assert verdict(trial(), observations).state == "proven"
    assert verdict(trial(), observations) == verdict(trial(), observations)


def test_luck_proves_nothing_though_every_request_is_looked_at() -> None:
    """300 trials without an effect: at most 5% of them, and a few for luck in the test itself."""
    proven = 0
    for seed in range(300):
        pairs = drawn(seed, 250, 0.15, 0.15)
        proven += verdict(trial(most=250), paired(pairs)).state == "proven"
    assert 3 <= proven <= 25


def test_a_stricter_level_takes_more() -> None:
    observations = paired(drawn(1, 300, 0.05, 0.17))
    looks = [
        next(n for n in range(20, 301) if verdict(tried, observations[:n]).state == "proven")
        for tried in (trial(), trial(alpha=0.005))
    ]
    assert looks[0] < looks[1]


def test_hopeless_trials_end_early_and_say_what_they_looked_for() -> None:
    found = first_end(trial(most=1000), paired(drawn(4, 1000, 0.1, 0.08)))
    assert found.state == "unproven"
    assert found.requests < 900
    assert "unlikely to be shown to be better (10 points were looked for)" in found.reason


def test_a_trial_ends_at_its_most_requests_whatever_could_be_compared() -> None:
    half = paired([(1.0, 0.0), (0.0, 1.0)] * 3)
    unjudged = [
        replace(o, run_id=f"u{n}", candidate=None) for n, o in enumerate(paired(SAME, "outcome"))
    ]
    found = verdict(trial(most=100), [*half, *unjudged])
    assert (found.state, found.requests, found.pairs) == ("unproven", 106, 6)


@pytest.mark.parametrize(
    ("aspect", "pairs", "words"),
    [
        ("error", [(0.0, 1.0), (0.0, 0.0), (0.0, 0.0)] * 40, "Errors rose from 0% to 33%"),
        ("complaint", [(0.0, 1.0), (0.0, 0.0), (0.0, 0.0)] * 40, "Complaints rose"),
        ("latency_ms", [(900.0, 2500.0), (1100.0, 2300.0)] * 40, "to answer rose to 2.4 times"),
        ("cost_usd", [(0.001, 0.004), (0.002, 0.007)] * 40, "The cost rose to 3.7 times"),
        ("cost_usd", [(0.0, 0.004)] * 40, "The cost rose"),
    ],
)
def test_better_answers_do_not_pay_for_a_hurt_guardrail(
    aspect: Aspect, pairs: Pairs, words: str
) -> None:
    better = paired(drawn(1, 200, 0.05, 0.2))
    found = verdict(trial(), [*better, *paired(pairs, aspect)])
    assert found.state == "harmful"
    assert words in found.reason
    assert found.figures["guardrails"][aspect]["hurt"]


@pytest.mark.parametrize(
    ("aspect", "pairs"),
    [
        ("error", [(0.0, 1.0)] + [(0.0, 0.0)] * 119),
        ("complaint", [(1.0, 0.0), (0.0, 1.0)] * 60),
        ("latency_ms", [(1000.0, 1200.0)] * 119 + [(1000.0, 90_000.0)]),
        ("cost_usd", [(0.001, 0.0015)] * 120),
        ("cost_usd", [(0.0, 0.0)] * 120),
    ],
)
def test_a_guardrail_holds_within_its_margin(aspect: Aspect, pairs: Pairs) -> None:
    better = paired(drawn(1, 200, 0.05, 0.2))
    found = verdict(trial(), [*better, *paired(pairs, aspect)])
    assert found.state == "proven"
    json.dumps(found.figures, allow_nan=False)


def test_guardrails_are_not_hurt_by_luck() -> None:
    """Errors exactly at their margin, looked at after every request: all four together 5%."""
    hurt = 0
    generator = np.random.default_rng(11)
    for _ in range(150):
        errors = generator.choice(3, size=120, p=[0.18, 0.2, 0.62])
        pairs = [(float(kind == 0), float(kind == 1)) for kind in errors]
        found = verdict(trial(), paired(pairs, "error"))
        hurt += found.state == "harmful"
    assert hurt <= 6


def test_an_interval_agrees_with_its_verdict() -> None:
    """Wherever something is proven its bounds say so too, though they are found otherwise."""
    for seed in range(60):
        pairs = drawn(seed, 300, 0.1, 0.2)
        for n in range(20, 301, 20):
            found = verdict(trial(), paired(pairs[:n]))
            if found.state == "proven":
                assert found.low >= 0.0
                break


def test_what_people_decide_anyway_may_cost_more() -> None:
    dearer = [*paired(drawn(1, 200, 0.05, 0.2)), *paired([(0.001, 0.005)] * 200, "cost_usd")]
    assert verdict(trial(), dearer, margins("low")).state == "harmful"
    assert verdict(trial(), dearer, margins("high")).state == "proven"


CHEAPER = {"may_lose": 0.05}


def test_what_is_cheaper_need_only_be_as_good() -> None:
    cheaper = replace(trial(), figures=CHEAPER)
    same = paired(drawn(1, 500, 0.03, 0.03, 0.7))
    costs = paired([(0.002, 0.001)] * 500, "cost_usd")
    found = verdict(cheaper, [*same, *costs])
    assert found.state == "proven"
    assert "as good" in found.reason
    assert "costs 50% less" in found.reason
    assert found.low >= -0.05
    assert verdict(trial(), [*same, *costs]).state != "proven"


def test_what_is_as_good_and_not_cheaper_is_not_proven() -> None:
    cheaper = replace(trial(), figures=CHEAPER)
    same = paired(drawn(1, 500, 0.03, 0.03, 0.7))
    for costs in ([], paired([(0.002, 0.002)] * 500, "cost_usd")):
        found = verdict(cheaper, [*same, *costs])
        assert found.state == "unproven"
        assert "not shown to cost less" in found.reason


def test_what_loses_more_than_it_may_is_not_as_good_by_luck() -> None:
    """Exactly as many right answers fewer as are allowed: proven at most as often as the level."""
    cheaper = replace(trial(), figures=CHEAPER)
    costs = paired([(0.002, 0.001)] * 200, "cost_usd")
    proven = 0
    for seed in range(120):
        answers = paired(drawn(seed, 200, 0.1, 0.05, 0.6))
        proven += verdict(cheaper, [*answers, *costs]).state == "proven"
    assert proven <= 10


@pytest.mark.parametrize(("wished", "given"), [(0.5, 0.1), (-1.0, 0.0), ("x", 0.0), (0.03, 0.03)])
def test_nobody_may_wish_to_lose_much(wished: object, given: float) -> None:
    assert may_lose_of(replace(trial(), figures={"may_lose": wished})) == given


def test_a_request_counts_once_in_an_aspect() -> None:
    once = paired([(0.0, 1.0)] * 30)
    contradicted = paired([(1.0, 0.0)] * 30)
    found = verdict(trial(), [*once, *contradicted])
    assert (found.pairs, found.effect) == (30, 1.0)


def test_half_a_pair_and_what_is_no_number_are_left_out() -> None:
    good = paired(drawn(1, 100, 0.05, 0.2))
    bad = [
        replace(good[0], run_id="x1", candidate=None),
        replace(good[0], run_id="x2", candidate=float("nan")),
        replace(good[0], run_id="x3", active=float("inf")),
    ]
    assert verdict(trial(), [*good, *bad]).pairs == 100


def test_answers_of_another_version_are_left_out_and_too_many_of_them_end_the_trial() -> None:
    right = paired(drawn(1, 60, 0.1, 0.12))
    wrong = [replace(o, run_id=f"w{o.run_id}", served="2" * 16) for o in right[:5]]
    found = verdict(trial(), [*right, *wrong])
    assert (found.state, found.pairs, found.figures["misserved"]) == ("running", 60, 5)
    wrong = [replace(o, run_id=f"w{o.run_id}", served="2" * 16) for o in right[:20]]
    found = verdict(trial(), [*right, *wrong])
    assert found.state == "stopped"
    assert "20 of 80 requests" in found.reason


def test_a_split_compares_the_arms_in_their_order() -> None:
    generator = np.random.default_rng(3)
    active = generator.binomial(1, 0.4, 300).astype(float)
    candidate = generator.binomial(1, 0.65, 260).astype(float)
    found = verdict(trial("split"), split(active, candidate))
    assert found.state == "proven"
    assert (found.requests, found.pairs) == (560, 260)
    assert found.effect == pytest.approx(candidate.mean() - active[:260].mean())


def test_a_split_proves_nothing_by_luck() -> None:
    generator = np.random.default_rng(6)
    proven = 0
    for _ in range(120):
        arms = generator.binomial(1, 0.6, (2, 150)).astype(float)
        proven += verdict(trial("split", most=300), split(*arms)).state == "proven"
    assert proven <= 12


def test_a_split_arm_that_served_the_wrong_version_is_left_out() -> None:
    arms = split([1.0, 0.0] * 20, [1.0, 0.0] * 20)
    swapped = [replace(o, served=NEW if o.served == OLD else OLD) for o in arms]
    assert verdict(trial("split"), swapped).state == "stopped"


def test_what_a_model_judged_is_told() -> None:
    judged = paired(drawn(1, 50, 0.1, 0.2), source="judge")
    assert verdict(trial(), judged).figures["judged"] == 1.0
    assert verdict(trial(), paired(drawn(1, 50, 0.1, 0.2))).figures["judged"] == 0.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["outcome", "error", "latency_ms", "cost_usd", "complaint"]),
            st.none() | st.floats(allow_nan=True, allow_infinity=True),
            st.none() | st.floats(allow_nan=True, allow_infinity=True),
            st.sampled_from([None, OLD, NEW, "?"]),
        ),
        max_size=40,
    ),
    st.sampled_from(["shadow", "replay", "split"]),
    st.integers(0, 100),
)
def test_whatever_was_observed_gives_a_verdict(
    rows: list[tuple[Any, Any, Any, Any]], method: Any, most: int
) -> None:
    observations = [
        Observation(f"o{n}", "t1", f"r{n}", aspect, active, candidate, served=served)
        for n, (aspect, active, candidate, served) in enumerate(rows)
    ]
    found = verdict(trial(method, most=most), observations)
    assert found.state in ("running", "proven", "unproven", "harmful", "stopped")
    assert -1.0 <= found.low <= found.high <= 1.0
    json.dumps(found.figures, allow_nan=False)


def test_five_thousand_observations_are_read_quickly() -> None:
    pairs = drawn(1, 1000, 0.15, 0.16)
    numbers = [(1000.0 + n % 7, 1000.0 + n % 5) for n in range(1000)]
    aspects: list[Aspect] = ["latency_ms", "cost_usd"]
    observations = [o for aspect in aspects for o in paired(numbers, aspect)]
    for shares in ("outcome", "error", "complaint"):
        observations += paired(pairs, shares)
    tried = trial(most=5000)
    verdict(tried, observations)
    began = time.process_time()
    for _ in range(5):
        verdict(tried, observations)
    assert (time.process_time() - began) / 5 < 0.1  # 0.01 s on a quiet machine


HALVES = {"active": 0.5, "candidate": 0.5}


def test_shares_as_assigned_are_no_mismatch_and_others_are() -> None:
    assert not share_mismatch(HALVES, {}).found
    assert not share_mismatch(HALVES, {"active": 100, "candidate": 110}).found
    found = share_mismatch(HALVES, {"active": 150, "candidate": 60})
    assert found.found
    assert "active 150 of 210 (assigned 50%)" in found.reason
    assert share_mismatch({"a": 1, "b": 4}, {"a": 50, "b": 50}).found
    assert not share_mismatch({"a": 1, "b": 4}, {"a": 20, "b": 80}).found


def test_what_nobody_assigned_is_a_mismatch_at_once() -> None:
    found = share_mismatch(HALVES, {"active": 10, "candidate": 10, "another": 1})
    assert found.found
    assert "another" in found.reason


def test_looking_at_shares_after_every_thread_stops_hardly_anything() -> None:
    generator = np.random.default_rng(4)
    stopped = 0
    for _ in range(100):
        arms = np.cumsum(generator.random(150) < 0.5)
        stopped += any(
            share_mismatch(HALVES, {"active": n - int(c), "candidate": int(c)}, 0.05).found
            for n, c in enumerate(arms, start=1)
        )
    assert stopped <= 5


@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.05, 0.95))
def test_the_evidence_of_shares_is_fair(active: int, candidate: int, share: float) -> None:
    shares = {"active": 1.0 - share, "candidate": share}
    now = share_mismatch(shares, {"active": active, "candidate": candidate}).e_value
    one = share_mismatch(shares, {"active": active + 1, "candidate": candidate}).e_value
    other = share_mismatch(shares, {"active": active, "candidate": candidate + 1}).e_value
    assert (1.0 - share) * one + share * other == pytest.approx(now, rel=1e-6)


def test_shares_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="shares"):
        share_mismatch({"a": 0.0}, {"a": 1})
    with pytest.raises(ValueError, match="shares"):
        share_mismatch({"a": -1.0, "b": 2.0}, {"a": 1})
