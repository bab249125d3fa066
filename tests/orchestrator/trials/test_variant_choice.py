"""Thompson sampling: the better variant answers more often, and none is ever given up."""

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from agents.improvement.variant_counts import record_key
from database.learning import Change, LearnerState, Proposal, ProposalState, Trial
from orchestrator.trials.variant_choice import FLOOR, VariantChoice

NAMES = ("sorter", "sorter--kind-1", "sorter--kind-1--b")


class Remembered:
    """What the prompt optimizer counted."""

    def __init__(self, counts: Mapping[str, tuple[int, int]], promoted: bool) -> None:
        self._promoted = promoted
        rows = {record_key("kind-1", name): ["v", *row] for name, row in counts.items()}
        self._state = LearnerState("prompt-optimizer", {"variants": rows})

    async def learner_state(self, name: str) -> LearnerState:
        return self._state if name == self._state.learner else LearnerState(name)

    async def proposals(self, states: Collection[ProposalState] | None = None) -> list[Proposal]:
        return [PROMOTED] if self._promoted else []

    async def trials_of(self, proposal_id: str) -> list[Trial]:
        return [PROVEN]


PROMOTED = Proposal(
    "p1",
    "prompt-optimizer",
    "Show examples",
    "It helps.",
    (Change("agent", NAMES[1], None, {"name": "sorter"}),),
    state="live",
)
PROVEN = Trial(
    "t1",
    "p1",
    "shadow",
    "sorter",
    "v0",
    "v1",
    state="proven",
    figures={"rate_active": 0.5, "rate_candidate": 0.8, "better": 40, "worse": 4, "same": 76},
)


async def chosen(
    counts: Mapping[str, tuple[int, int]], *, promoted: bool = False, names: Sequence[str] = NAMES
) -> Counter[str]:
    choice = VariantChoice(Remembered(counts, promoted), random.Random(7))
    await choice.refresh()
    return Counter(choice("sorter", "kind-1", names) for _ in range(2000))


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


async def test_what_a_trial_proved_counts_from_the_first_thread_on() -> None:
    picked = await chosen({}, promoted=True, names=NAMES[:2])
    assert picked[NAMES[1]] > 0.93 * 2000


async def test_and_peoples_word_outweighs_the_trial_in_time() -> None:
    said = {NAMES[0]: (90, 10), NAMES[1]: (40, 60)}
    picked = await chosen(said, promoted=True, names=NAMES[:2])
    assert picked[NAMES[0]] > 0.9 * 2000
