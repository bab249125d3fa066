import pytest

from orchestrator.trials.planning import requests_needed, smallest_effect
from orchestrator.trials.sequential import verdict
from tests.orchestrator.trials.observed import drawn, paired, trial


@pytest.mark.parametrize("most", [60, 200, 600])
@pytest.mark.parametrize(("alpha", "discordance"), [(0.05, 0.3), (0.05, 0.1), (0.005, 0.5)])
def test_more_requests_show_smaller_effects(most: int, alpha: float, discordance: float) -> None:
    found = smallest_effect("shadow", alpha, most, discordance)
    assert 0.0 < found <= 1.0
    assert smallest_effect("shadow", alpha, most * 2, discordance) < found
    assert smallest_effect("shadow", alpha / 10, most, discordance) >= found
    assert smallest_effect("split", alpha, most, discordance) >= found


def test_a_trial_so_short_that_nothing_can_be_shown_says_so() -> None:
    assert smallest_effect("shadow", 0.05, 3) == 1.0
    assert smallest_effect("shadow", 0.05, 0) == 1.0
    assert requests_needed("shadow", 0.05, 0.001) is None
    assert requests_needed("shadow", 0.05, 0.0) is None


def test_planning_one_way_and_back_is_the_same() -> None:
    needed = requests_needed("shadow", 0.05, 0.1)
    assert needed is not None
    assert smallest_effect("shadow", 0.05, needed) == pytest.approx(0.1, abs=0.005)
    split = requests_needed("split", 0.05, 0.1)
    assert split is not None
    assert split > 3 * needed


def test_four_of_five_trials_prove_the_effect_they_were_planned_for() -> None:
    """By real verdicts, which also end what looks hopeless: a little power is lost to that."""
    needed = requests_needed("shadow", 0.05, 0.15)
    assert needed is not None
    tried = trial(most=needed)
    proven = 0
    for seed in range(100):
        observations = paired(drawn(seed, needed, 0.075, 0.225))
        proven += verdict(tried, observations).state == "proven"
    assert 72 <= proven <= 95
