import csv
import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks import harm, mint, verdicts
from benchmarks.mint import Comparison
from database.errors import InputError
from database.learning import Observation
from orchestrator.trials.sequential import verdict


def made(effect: float, differ: float, n: int = 400) -> Comparison:
    """Two arms at n tasks that differ in `differ` of them, the candidate better by `effect`."""
    better, worse = round(n * (differ + effect) / 2), round(n * (differ - effect) / 2)
    both = (n - better - worse) // 2
    active = np.repeat([0.0, 1.0, 1.0, 0.0], [better, worse, both, n - better - worse - both])
    candidate = np.repeat([1.0, 0.0, 1.0, 0.0], [better, worse, both, n - better - worse - both])
    return Comparison(active, candidate, None, None, True)


WORLD: Sequence[Comparison] = [made(0.15, 0.25), made(0.2, 0.3), made(0.05, 0.2)]


def test_arms_are_read_and_compared_where_both_did_the_task(tmp_path: Path) -> None:
    rows = [("gpt-4-0613", "t1", 1), ("gpt-4-0613", "t2", 1), ("unknown", "t1", 0)]
    (tmp_path / "mint").mkdir()
    with gzip.open(tmp_path / "mint" / "arms.csv.gz", "wt", newline="") as file:
        out = csv.writer(file)
        out.writerow(["model", "feedback", "task_id", "success", "est_prompt_tokens",
                      "est_completion_tokens"])  # fmt: skip
        out.writerows([model, "F=None", task, success, 1000, 100] for model, task, success in rows)
    known, unknown = mint.arms(tmp_path)
    assert known.usd is not None
    assert known.usd["t1"] > 0.0
    assert unknown.usd is None
    [compared] = mint.comparisons([known, unknown])
    assert (compared.effect, compared.same_model, len(compared.active)) == (1.0, False, 1)


def test_data_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name one of the data set's files"):
        mint.arms(tmp_path)


def test_sizes_of_fixed_tests_are_those_of_the_textbooks() -> None:
    assert verdicts.split_size(0.5, 0.6) == pytest.approx(2 * 303, abs=2)
    assert verdicts.paired_size(0.3, 0.1) == pytest.approx(183, abs=3)


def test_a_trial_ends_with_the_first_verdict() -> None:
    trial = verdicts.a_trial()
    found = verdicts.ended(trial, [(0.0, 1.0)] * 100)
    assert (found.state, found.requests) == ("proven", 20)
    assert found == verdict(trial, [
        Observation(f"o{n}", "t", f"r{n}", "outcome", 0.0, 1.0) for n in range(20)
    ])  # fmt: skip


def test_real_differences_are_kept_and_nulls_have_none() -> None:
    generator = np.random.default_rng(1)
    found = verdicts.with_effect(WORLD[1], verdicts.a_trial(), generator, verdicts.Looks(1))
    assert found.verdict.state == "proven"
    assert found.split > found.paired > 0
    null = verdicts.without_effect(WORLD, 5, generator, verdicts.Looks(1))
    verdicts.scores_without_effect(3, generator, verdicts.Looks(1))
    assert {v.state for v in null} <= {"proven", "unproven", "harmful"}


@pytest.mark.parametrize(
    ("at", "hurts"),
    [(0, "error"), (4, "complaint"), (8, "latency_ms"), (12, "cost_usd"), (1, None)],
)
def test_every_kind_of_harm_is_taken_back(at: int, hurts: str | None) -> None:
    world = harm.World(WORLD, seed=at)
    changed = world.change("harmful", at)
    assert changed.hurts == hurts
    assert harm.watched(world, changed, "shadow").state == "roll_back"


def test_what_helps_goes_live_and_what_harms_does_not() -> None:
    world = harm.World(WORLD, seed=3)
    helped = harm.tried(world, world.change("helpful", 1), [])
    assert helped.live
    assert not harm.tried(world, world.change("harmful", 1), []).live
    assert harm.watched(world, helped.changed, "shadow", helped.seen).state == "verified"
