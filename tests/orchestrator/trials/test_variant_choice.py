"""Thompson sampling: the better variant answers more often, and none is ever given up."""

import random
from collections import Counter
from collections.abc import Mapping

from agents.improvement.variant_counts import record_key
from database.learning import LearnerState
from orchestrator.trials.variant_choice import FLOOR, VariantChoice

NAMES = ("sorter", "sorter--kind-1", "sorter--kind-1--b")


class Remembered:
    """What the prompt optimizer counted."""

    def __init__(self, counts: Mapping[str, tuple[int, int]]) -> None:
        rows = {record_key("kind-1", name): ["v", *row] for name, row in counts.items()}
        self._state = LearnerState("prompt-optimizer", {"variants": rows})

    async def learner_state(self, name: str) -> LearnerState:
        return self._state if name == self._state.learner else LearnerState(name)


async def chosen(counts: Mapping[str, tuple[int, int]], times: int = 2000) -> Counter[str]:
    choice = VariantChoice(Remembered(counts), random.Random(7))
    await choice.refresh()
    return Counter(choice("sorter", "kind-1", NAMES) for _ in range(times))


async def test_what_did_better_answers_more_often() -> None:
    picked = await chosen({NAMES[0]: (30, 30), NAMES[1]: (55, 5), NAMES[2]: (20, 40)})
    assert picked[NAMES[1]] > 0.85 * 2000
    assert min(picked[name] for name in NAMES) > 0.6 * FLOOR / 3 * 2000


async def test_where_nothing_is_known_all_have_the_same_chance() -> None:
    picked = await chosen({})
    assert all(0.28 < picked[name] / 2000 < 0.39 for name in NAMES)


async def test_a_new_one_among_known_ones_is_explored() -> None:
    picked = await chosen({NAMES[0]: (60, 40), NAMES[1]: (58, 42)})
    assert picked[NAMES[2]] > 0.2 * 2000
