import json
from dataclasses import replace

import numpy as np
import pytest

from database.learning import Observation, Trial
from orchestrator.trials.verification import ENOUGH, Verified, look
from tests.orchestrator.trials.observed import OLD, drawn, paired, split, trial

LIVE: Trial = trial("split")


def served(outcomes: list[float]) -> list[Observation]:
    """What is live now, in a verification without pairs."""
    return split(outcomes, [])


def rights(seed: int, n: int, rate: float) -> list[float]:
    return [float(x) for x in np.random.default_rng(seed).binomial(1, rate, n)]


def first_end(tried: Trial, now: list[Observation], before: list[Observation]) -> Verified:
    found = look(tried, [], before)
    for n in range(1, len(now) + 1):
        found = look(tried, now[:n], before)
        if found.state != "wait":
            return found
    return found


def test_a_fall_is_taken_back_by_itself() -> None:
    """The version before is right where what is live is wrong, much more often than not."""
    fallen = [(new, old) for new, old in drawn(1, 400, 0.05, 0.3, 0.3)]
    found = first_end(trial(), paired(fallen), [])
    assert found.state == "roll_back"
    assert "became worse" in found.reason
    assert found.figures["comparisons"] < 200
    json.dumps(found.figures, allow_nan=False)


def test_what_holds_is_verified() -> None:
    found = first_end(trial(), paired(drawn(1, 400, 0.2, 0.05)), [])
    assert found.state == "verified"
    assert found.figures["rate_now"] > found.figures["rate_before"]
    assert found.figures["low"] <= found.figures["effect"] <= found.figures["high"]


def test_it_waits_until_it_can_tell() -> None:
    assert look(trial(), []).state == "wait"
    assert look(trial(), paired(drawn(1, 19, 0.5, 0.0))).state == "wait"
    assert look(trial(), paired(drawn(1, 60, 0.1, 0.1))).state == "wait"


def test_a_small_fall_alone_takes_nothing_back_but_no_effect_retires() -> None:
    slightly = [(1.0, 1.0)] * 9 + [(0.0, 1.0)]
    assert look(trial(), paired(slightly * 30)).state == "wait"
    found = look(trial(), paired(slightly * (ENOUGH // 10)))
    assert found.state == "roll_back"
    assert found.figures["retired"]
    assert "No positive effect" in found.reason


def test_a_fall_of_a_tenth_is_rarely_taken_back_before_it_is_retired() -> None:
    """The interval of the fall must exclude a tenth: of 100 such changes, few are taken back."""
    back = 0
    for seed in range(100):
        found = look(trial(), paired(drawn(seed, 200, 0.14, 0.2, 0.4)))
        back += found.state == "roll_back"
    assert back <= 5


def test_a_fall_of_less_than_a_fifth_is_not_taken_back_however_certain() -> None:
    fallen = [*[(1.0, 1.0)] * 83, *[(0.0, 1.0)] * 17]
    assert look(trial(), paired(fallen * 3)).state == "wait"
    deeper = [*[(1.0, 1.0)] * 76, *[(0.0, 1.0)] * 24]
    assert look(trial(), paired(deeper * 3)).state == "roll_back"


@pytest.mark.parametrize("aspect", ["error", "complaint"])
def test_a_hurt_guardrail_takes_it_back(aspect: str) -> None:
    good = paired(drawn(1, 100, 0.2, 0.05))
    worse = paired([(1.0, 0.0), (0.0, 0.0)] * 50, aspect)  # type: ignore[arg-type]
    assert look(trial(), [*good, *worse]).state == "roll_back"
    mended = paired([(0.0, 1.0), (0.0, 0.0)] * 50, aspect)  # type: ignore[arg-type]
    assert look(trial(), [*good, *mended]).state == "verified"


def test_without_pairs_it_is_compared_with_what_was_before() -> None:
    before = split(rights(1, 400, 0.7), rights(2, 400, 0.8))
    fallen = first_end(LIVE, served(rights(3, 400, 0.4)), before)
    assert fallen.state == "roll_back"
    assert "became worse" in fallen.reason
    better = first_end(LIVE, served(rights(3, 400, 0.85)), before)
    assert better.state == "verified"


def test_when_what_was_before_is_used_up_it_is_decided() -> None:
    before = split(rights(1, 40, 0.5), [])
    assert look(LIVE, served(rights(4, 39, 0.5)), before).state == "wait"
    assert look(LIVE, served([*rights(4, 39, 0.5), 1.0]), before).state != "wait"


def test_guardrails_are_compared_with_before_as_well() -> None:
    before = [*split(rights(1, 100, 0.7), []), *split([0.0] * 100, [], "error")]
    now = [*served(rights(3, 100, 0.7)), *split([0.0, 1.0] * 50, [], "error")]
    found = look(LIVE, now, before)
    assert found.state == "roll_back"
    assert "Errors rose from 0% to 50%" in found.reason


def test_what_had_nothing_to_compare_with_is_judged_by_its_use() -> None:
    assert look(LIVE, served(rights(1, 15, 0.9))).state == "wait"
    assert look(LIVE, served(rights(1, 60, 0.9))).state == "verified"
    useless = look(LIVE, served(rights(1, 60, 0.2)))
    assert useless.state == "roll_back"
    assert useless.figures["retired"]
    assert "nothing to compare" in useless.reason
    assert look(LIVE, served([1.0, 0.0] * (ENOUGH // 2))).state == "roll_back"


def test_requests_that_something_else_answered_do_not_count() -> None:
    now = [replace(o, served="2" * 16) for o in paired(drawn(1, 400, 0.0, 0.6))]
    assert look(trial(), now).state == "wait"
    elsewhere = [replace(o, served="2" * 16) for o in served([0.0] * 400)]
    assert look(LIVE, elsewhere, split(rights(1, 400, 0.7), [])).state == "wait"
    assert trial().active == OLD


def requests(n: int) -> list[Observation]:
    """Everything that was asked, whether anybody spoke of the answer or not."""
    return paired([(0.0, 0.0)] * n, "error")


def only_corrected(seed: int, n: int, wrong: float) -> list[Observation]:
    """People speak only of what is wrong; the other version would have been right half the time."""
    generator = np.random.default_rng(seed)
    everything = paired([(0.0, float(x)) for x in generator.binomial(1, 0.5, n)])
    return [o for o in everything if generator.random() < wrong]


def test_what_people_only_speak_of_when_it_is_wrong_is_not_taken_back_for_that() -> None:
    """In such pairs the other version can only win, whichever is live."""
    before = [*requests(400), *only_corrected(1, 400, 0.1)]
    for n in range(20, 400, 20):
        now = [*requests(n), *only_corrected(2, n, 0.1)]
        assert look(trial(), now, before).state != "roll_back"


def test_more_corrections_than_before_take_it_back() -> None:
    before = [*requests(400), *only_corrected(1, 400, 0.1)]
    found = look(trial(), [*requests(300), *only_corrected(2, 300, 0.4)], before)
    assert found.state == "roll_back"
    assert "Complaints rose" in found.reason
    fewer = look(trial(), [*requests(399), *only_corrected(2, 399, 0.02)], before)
    assert fewer.state in ("wait", "verified")
    assert (
        look(trial(), [*requests(400), *only_corrected(2, 400, 0.02)], before).state == "verified"
    )


def test_silence_without_anything_before_is_no_failure() -> None:
    found = look(trial(), [*requests(100), *only_corrected(2, 100, 0.1)])
    assert found.state == "verified"


def test_a_plain_complaint_is_an_answer_found_wrong() -> None:
    before = requests(400)
    complaints = [
        replace(o, candidate=None) for o in paired([(1.0, 0.0)] * 60, "complaint")
    ]  # of 150 requests
    found = look(trial(), [*requests(150), *complaints], before)
    assert found.state == "roll_back"
    assert "Complaints rose from 0% to 40%" in found.reason


def test_what_is_cheaper_is_kept_when_it_is_as_good() -> None:
    cheaper = replace(trial(), figures={"may_lose": 0.05})
    slightly_worse = [(0.0, 1.0), (0.0, 1.0), (1.0, 0.0), *[(1.0, 1.0)] * 97]
    assert look(cheaper, paired(slightly_worse * (ENOUGH // 100))).state == "verified"
    assert look(trial(), paired(slightly_worse * (ENOUGH // 100))).state == "roll_back"
    worse = [(0.0, 1.0), *[(1.0, 1.0)] * 9]
    assert look(cheaper, paired(worse * (ENOUGH // 10))).state == "roll_back"


def test_nothing_is_verified_while_a_guardrail_is_in_doubt() -> None:
    """A lucky row of right answers ends no watch over complaints that may have risen."""
    lucky = [*split([1.0] * 400, []), *split([0.0] * 400, [], "error")]
    before = [*split([0.0] * 400, []), *split([0.0] * 400, [], "error")]

    def complaints(of: list[Observation], every: int) -> list[Observation]:
        said = [float(n % every == 0) for n in range(400)]
        return [*of, *split(said, [], "complaint")]

    calm = look(LIVE, complaints(lucky, 50)[: 400 * 3], complaints(before, 50))
    assert calm.state == "verified"
    few = [o for o in complaints(lucky, 8) if int(o.run_id[1:]) < 30]
    doubtful = look(LIVE, few, complaints(before, 50))
    assert doubtful.state == "wait"
    assert "Complaints may have become worse" in doubtful.reason
    assert look(LIVE, complaints(lucky, 8), complaints(before, 50)).state == "roll_back"
