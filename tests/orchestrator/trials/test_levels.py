import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.trials.levels import FALSE_SHARE, gamma, next_alpha

Earlier = st.lists(st.sampled_from([True, False, None]), max_size=300)


def test_the_parts_sum_to_one() -> None:
    counted = 100_000
    tail = 1.0 / math.log(counted + 2.5) / 1.0691
    total = sum(gamma(trial) for trial in range(1, counted + 1)) + tail
    assert 0.999 < total <= 1.0


@given(Earlier)
def test_levels_fall_with_trials_and_rise_with_discoveries(earlier: list[bool | None]) -> None:
    level = next_alpha(earlier)
    assert 0.0 < level <= FALSE_SHARE
    assert next_alpha([*earlier, False]) < level
    assert next_alpha([*earlier, None]) == next_alpha([*earlier, False])
    assert next_alpha([*earlier, True]) > next_alpha([*earlier, False])


def test_each_trial_is_given_its_part_once_more_for_each_discovery() -> None:
    assert next_alpha([]) == FALSE_SHARE * gamma(1)
    assert next_alpha([True, False, None, True]) == FALSE_SHARE * gamma(5) * 3


def test_the_first_trials_of_a_workspace_are_not_hopeless() -> None:
    assert next_alpha([]) > 0.01
    assert next_alpha([True]) > 0.01


def test_few_of_all_discoveries_are_false_though_hundreds_are_tried() -> None:
    """Trials that reject by luck exactly as often as their level says; a fifth are true."""
    generator = np.random.default_rng(5)
    shares = []
    for _ in range(60):
        earlier: list[bool | None] = []
        false = 0
        for _ in range(150):
            true = generator.random() < 0.2
            level = next_alpha(earlier)
            found = bool(generator.random() < (0.8 if true else level))
            false += found and not true
            earlier.append(found)
        shares.append(false / max(1, sum(map(bool, earlier))))
    assert float(np.mean(shares)) < FALSE_SHARE
