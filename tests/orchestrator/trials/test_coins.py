import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.trials.coins import coin_test


@pytest.mark.parametrize("alpha", [0.3, 0.1, 0.05])
def test_luck_proves_as_often_as_the_level_says_and_no_more(alpha: float) -> None:
    flips = 14
    test = coin_test(alpha, flips)
    proven = 0
    for path in itertools.product((0, 1), repeat=flips):
        wins = np.cumsum(path)
        proven += test.crossed(np.arange(1, flips + 1), wins) is not None
    assert proven / 2**flips == pytest.approx(test.crossing(0.5)[-1])
    assert alpha / 2 < proven / 2**flips <= alpha


@pytest.mark.parametrize("alpha", [0.05, 0.0129, 0.001])
@pytest.mark.parametrize("horizon", [25, 150, 500])
def test_no_level_is_exceeded_and_little_of_it_is_wasted(alpha: float, horizon: int) -> None:
    test = coin_test(alpha, horizon)
    assert 0.75 * alpha < test.crossing(0.5)[-1] <= alpha
    assert test.crossing(0.45)[-1] < alpha / 2
    assert list(test.crossing(0.8)) == sorted(test.crossing(0.8))


def test_the_boundary_asks_for_less_than_an_e_value_of_one_over_alpha() -> None:
    needed = coin_test(0.05, 150).needed
    assert [int(needed[flips]) for flips in (4, 8, 20, 100)] == [152, 8, 16, 65]


@given(st.lists(st.booleans(), max_size=40))
def test_wealth_is_a_fair_bet_until_it_is_proof(won: list[bool]) -> None:
    test = coin_test(0.05, 40)
    wins = 0
    for flips, win in enumerate(won):
        now = test.wealth(flips, wins)
        if test.crossed(np.array([flips]), np.array([wins])):
            assert now == pytest.approx(20.0)
            return
        after = (test.wealth(flips + 1, wins), test.wealth(flips + 1, wins + 1))
        assert sum(after) / 2 == pytest.approx(now, rel=1e-4, abs=1e-6)
        assert after[0] <= now <= after[1] * (1 + 1e-6)
        assert 0.0 <= test.stake(flips, wins) <= 1.0
        wins += win
    assert test.wealth(41, 41) == 0.0


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_a_level_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        coin_test(alpha, 100)
