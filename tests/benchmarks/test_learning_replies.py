"""What learning adds to replies: what its figures say of replies that are known."""

import numpy as np
import pytest

from benchmarks.learning_replies import (
    ABOUT,
    ORDER,
    QUICK,
    TOP,
    Arm,
    Reply,
    figures,
    mixed_p99,
    share_of_day,
    show,
)

CYCLES = {"cycle_s": 8.0, "idle_cycle_s": 0.1}


def replies(more_ms: dict[Arm, float]) -> list[Reply]:
    """A hundred of each arm and model in twenty pieces of time, slower by so much."""
    return [
        Reply(arm, 1_000 * block + n // 5, model_ms, model_ms + 20 + n % 5 + more_ms[arm])
        for block, arm in enumerate(ORDER[:3])
        for n in range(100)
        for model_ms in ABOUT
    ]


def test_what_learning_adds_is_found_with_its_interval() -> None:
    made = replies({"off": 0.0, "on": 3.0, "cycles": 40.0})
    found = figures(made, CYCLES, [{"runs": 5}, {"runs": 7}], QUICK)
    assert found["replies_each"] == 100
    assert (found["reply_p99_ms_off"], found["reply_p99_ms_during_cycle"]) == (224.0, 264.0)
    assert found["added_p99_low"] <= found["added_p99_ms"] == 3.0 <= found["added_p99_high"]
    assert found["added_during_cycle_p99_ms"] == 40.0
    assert found["instant_model"]["reply_p99_ms_on"] == 27.0
    assert found["runs_looked_at_beside_replies"] == 12
    assert set(TOP) <= found.keys()


def test_nothing_added_is_an_interval_around_nothing() -> None:
    same = replies({"off": 0.0, "on": 0.0, "cycles": 0.0})
    found = figures(same, CYCLES, [], QUICK)
    for name in ("added", "added_during_cycle", "added_normal_day"):
        assert found[f"{name}_p99_low"] <= 0.0 <= found[f"{name}_p99_high"]


def test_a_day_is_as_slow_as_its_parts() -> None:
    usual, rare = np.arange(100.0), np.full(100, 1_000.0)
    assert mixed_p99(usual, rare, 0.0) == pytest.approx(98.0, abs=1.0)
    assert mixed_p99(usual, rare, 0.005) == pytest.approx(99.0, abs=1.0)
    assert mixed_p99(usual, rare, 0.02) == 1_000.0


def test_looks_that_find_nothing_count_as_well() -> None:
    assert share_of_day({"cycle_s": 86_400.0, "idle_cycle_s": 0.0}) == 1.0
    assert 0.0 < share_of_day({"cycle_s": 0.0, "idle_cycle_s": 1.0}) < 0.05


def test_the_table_names_all_arms(capsys: pytest.CaptureFixture[str]) -> None:
    show(figures(replies({"off": 0.0, "on": 3.0, "cycles": 40.0}), CYCLES, [], QUICK))
    said = capsys.readouterr().out
    assert all(words in said for words in ("off", "up to date", "in a cycle", "100 replies each"))
