import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.trials import betting
from orchestrator.trials.betting import Floats

Numbers = st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=60).map(np.array)


@given(Numbers, st.floats(-0.5, 0.5))
def test_a_bet_on_the_next_number_is_fair_where_the_claim_is_true(
    past: Floats, claim: float
) -> None:
    """Whatever came before: of two numbers whose mean is the claim, the wealth stays the same."""
    spread = 1.0 - abs(claim)
    both = [betting.wealth(np.append(past, claim + side * spread), claim) for side in (-1, 1)]
    before = betting.wealth(past, claim)[-1]
    assert (both[0][-1] + both[1][-1]) / 2 == pytest.approx(before, rel=1e-9)
    assert (both[0] > 0).all()


@given(Numbers)
def test_bounds_hold_the_mean_between_them_and_mirror_each_other(numbers: Floats) -> None:
    low, high = betting.lower(numbers, 0.05), betting.upper(numbers, 0.05)
    assert -1.0 <= low <= numbers.mean() + 1e-9
    assert numbers.mean() - 1e-9 <= high <= 1.0
    assert betting.upper(-numbers, 0.05) == -low
    assert betting.lower(numbers, 0.2) >= low


def test_no_numbers_say_nothing() -> None:
    nothing = np.empty(0)
    assert (betting.lower(nothing, 0.05), betting.upper(nothing, 0.05)) == (-1.0, 1.0)
    proven, e_value = betting.proven(nothing, 0.05, 100)
    assert proven is None
    assert e_value == pytest.approx(1.0, abs=0.1)


def test_intervals_hold_at_every_look() -> None:
    """A mean of 0.1 is outside at some look in at most 10% of 100 streams."""
    generator = np.random.default_rng(7)
    missed = 0
    for _ in range(100):
        numbers = generator.choice([-1.0, 0.0, 1.0], size=150, p=[0.2, 0.5, 0.3])
        looks = [numbers[:n] for n in range(10, 151, 10)]
        missed += any(
            not betting.lower(seen, 0.05) <= 0.1 <= betting.upper(seen, 0.05) for seen in looks
        )
    assert missed <= 10


def test_scores_between_right_and_wrong_prove_nothing_by_luck() -> None:
    """Some whole differences, some not: by betting from the first that is not whole."""
    generator = np.random.default_rng(8)
    kinds = [-1.0, -0.4, 0.0, 0.4, 1.0]
    chances = [0.15, 0.15, 0.4, 0.15, 0.15]
    streams = [generator.choice(kinds, size=300, p=chances) for _ in range(1000)]
    by_luck = sum(betting.proven(numbers, 0.05, 600)[0] is not None for numbers in streams)
    assert by_luck <= 50


def test_scores_that_are_better_are_proven() -> None:
    generator = np.random.default_rng(9)
    numbers = np.clip(generator.normal(0.1, 0.3, size=400), -1.0, 1.0)
    proven, e_value = betting.proven(numbers, 0.01, 400)
    assert proven is not None
    assert e_value > 100.0
    assert betting.proven(-numbers, 0.01, 400)[0] is None


def test_what_was_proof_stays_proof() -> None:
    better, worse = np.ones(30), -np.ones(200)
    assert betting.proven(np.concatenate([better, worse]), 0.05, 500)[0] == 6
    after = betting.proven(np.concatenate([0.9 * better, worse]), 0.05, 500)[0]
    assert after is not None
    assert 6 < after < 12
    assert betting.proven(np.concatenate([worse, better]), 0.05, 500)[0] is None
