"""Learned workflows and lessons are worth their keep, or retired."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.improvement.error_recovery import in_control
from agents.improvement.error_templates import ErrorTemplates
from agents.improvement.lessons import Fix, Lesson
from agents.tools.calling import NOT_CALLED
from database.learning import Change, Decision, Observation, Proposal, Trial, proposal_id_of
from database.records import Feedback, Person, Run, Step, private_channel
from database.store import Store
from orchestrator.consent import Consent
from orchestrator.policy import Policy
from orchestrator.trials.use import UNUSED_SECONDS, look, met
from orchestrator.trials.uses import Uses
from orchestrator.verifying import ENOUGH_USES, verification_of
from tests.orchestrator.trials.observed import NEW, OLD, split

STARTED = 1_000_000.0
BAD = "date must look like YYYY-MM-DD, not '31/12/2026'"
LESSON = Lesson(
    tool="calendar",
    error=ErrorTemplates().learn(BAD)[0],
    when="date~99/99/99",
    fix=Fix(kind="change", names=("date",)),
)
RUNBOOK = {
    "description": "",
    "steps": [{"request": "Numbers of {day}", "agent": "general"}, {"request": "As a chart?"}],
    "inputs": [],
}


def trial(**figures: Any) -> Trial:
    kind = {"use": "runbook", "saves": 0, **figures}
    return Trial(
        "t1", "p1", "split", "weekly", OLD, NEW, share=0.0, figures=kind, started_at=STARTED
    )


def rights(seed: int, n: int, rate: float) -> list[float]:
    return [float(x) for x in np.random.default_rng(seed).binomial(1, rate, n)]


def ends(tried: Trial, seen: Sequence[Observation]) -> tuple[str, str, int]:
    """How it ends, and after how many uses, when looked at after each observation."""
    for n in range(1, len(seen) + 1):
        found = look(tried, seen[:n], STARTED)
        if found.state != "wait":
            return found.state, found.reason, int(found.figures["uses"])
    return "wait", "", 0


def test_what_helps_is_verified_with_what_it_was_compared_with() -> None:
    state, reason, uses = ends(trial(), split(rights(1, 100, 0.95), rights(2, 100, 0.4)))
    assert state == "verified"
    assert "without it" in reason
    assert uses < 60


def test_what_has_no_effect_after_enough_use_is_retired() -> None:
    seen = split([0.0, 1.0, 1.0] * 60, [1.0, 1.0, 0.0] * 60)
    state, reason, uses = ends(trial(), seen)
    assert (state, uses) == ("roll_back", ENOUGH_USES)
    assert reason.startswith("No positive effect")


def test_what_does_harm_does_not_wait_for_enough_use() -> None:
    state, reason, uses = ends(trial(), split(rights(1, 200, 0.3), rights(2, 200, 0.9)))
    assert state == "roll_back"
    assert reason.startswith("It does harm")
    assert uses < ENOUGH_USES


def test_what_saves_requests_need_not_be_better() -> None:
    seen = split([1.0] * 200, [1.0] * 200)
    assert ends(trial(saves=2), seen)[0] == "verified"
    assert ends(trial(saves=0), seen)[0] == "roll_back"


def test_few_uses_decide_nothing_and_none_at_all_retires_in_the_end() -> None:
    assert look(trial(), split([1.0] * 19, [0.0] * 19), STARTED).state == "wait"
    assert look(trial(), split([], [0.0] * 50), STARTED + UNUSED_SECONDS - 1).state == "wait"
    unused = look(trial(), split([], [0.0] * 50), STARTED + UNUSED_SECONDS + 1)
    assert unused.state == "roll_back"
    assert "not used once" in unused.reason
    used = split([1.0], [0.0] * 50)
    assert look(trial(), used, STARTED + UNUSED_SECONDS + 1).state == "wait"


def test_without_anything_to_compare_with_a_workflow_is_judged_by_its_use() -> None:
    assert ends(trial(), split([1.0] * 150, []))[0::2] == ("verified", ENOUGH_USES)
    assert ends(trial(), split([0.0] * 150, []))[0::2] == ("roll_back", ENOUGH_USES)


def test_a_lesson_waits_for_its_control_however_well_it_does() -> None:
    lesson = trial(use="lesson")
    assert ends(lesson, split([1.0] * 300, [0.0] * 7))[0] == "wait"
    assert ends(lesson, split([1.0] * 300, [0.5] * 40))[0] == "verified"


def test_a_lesson_against_what_works_again_is_taken_back() -> None:
    """Whoever is not told of it gets through at once; whoever is told gives up."""
    rare = [o for n in range(40) for o in _block(n)]
    assert ends(trial(use="lesson"), rare)[0] == "roll_back"


def _block(n: int) -> list[Observation]:
    told = [replace(o, run_id=f"t{n}-{o.run_id}") for o in split([0.0] * 9, [])]
    return [*told, *[replace(o, run_id=f"c{n}") for o in split([], [1.0])]]


def test_few_useless_items_are_kept() -> None:
    kept = 0
    for seed in range(60):
        seen = split(rights(seed, 99, 0.6), rights(1000 + seed, 99, 0.6))
        kept += ends(trial(), seen)[0] == "verified"
    assert kept <= 3


# What one run says of a lesson


def call(date: str, ok: bool = True, error: str = BAD) -> Step:
    return Step(0, "tool", "calendar", {"date": date}, ok, None if ok else error)


SPARED = Step(0, "tool", "calendar", {"date": "31/12/26"}, False, f"{NOT_CALLED}: known to fail")


def run(*steps: Step, **more: Any) -> Run:
    return Run("r1", "When?", "general", started_at=STARTED, steps=steps, **more)


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        ((SPARED, call("2026-12-31")), 1.0),
        ((SPARED,), 0.0),
        ((call("31/12/26", ok=False), call("2026-12-31")), 0.5),
        ((call("31/12/26", ok=False),), 0.0),
        ((call("31/12/26"),), 1.0),
        ((call("2026-12-31"),), None),
        ((), None),
    ],
)
def test_how_a_run_fared_where_a_lesson_speaks(steps: tuple[Step, ...], value: float) -> None:
    assert met(run(*steps), LESSON, ErrorTemplates([LESSON.error])) == value


def test_a_lesson_for_after_the_failure_counts_from_there() -> None:
    after = LESSON.model_copy(update={"when": None})
    templates = ErrorTemplates([after.error])
    failed, well = call("31/12/26", ok=False), call("2026-12-31")
    other = call("31/12/26", ok=False, error="no such person here at all")
    assert met(run(failed, well), after, templates) == 1.0
    assert met(run(failed, failed, well), after, templates) == 0.5
    assert met(run(failed), after, templates) == 0.0
    assert met(run(other, well), after, templates) is None


# Counting


class Counting:
    """Something learned that went live, and what is counted of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = STARTED
        self.off = False
        consent = Consent(store, Policy(store.policy))
        self.uses = Uses(store, consent, off=lambda: self.off, clock=lambda: self.now)

    async def live(self, change: Change, **evidence: Any) -> Trial:
        made = Proposal(
            proposal_id_of("x", (change,)), "x", "Keep it.", "", (change,), evidence, state="live"
        )
        watch = verification_of(made, (), STARTED)
        assert watch is not None
        await self.store.decide(Decision(proposals=(made,), trials=(watch,), changes=(change,)))
        await self.uses.refresh()
        return watch

    async def ran(self, run_id: str, *steps: Step, **more: Any) -> None:
        made = Run(
            run_id, "Numbers", more.pop("agent", "general"), started_at=self.now, steps=steps,
            user_id="U1", channel_id="C1", **more,
        )  # fmt: skip
        self.store.append(made)
        await self.uses.recorded(made)

    async def settled(self, watch: Trial) -> list[tuple[float | None, float | None]]:
        self.now += 3600
        await self.uses.settle()
        seen = await self.store.observations(watch.trial_id)
        return [(o.active, o.candidate) for o in seen if o.aspect == "outcome"]


@pytest.fixture
def counting(store: Store) -> Counting:
    return Counting(store)


def used(version: str | None) -> Mapping[str, Any]:
    return {"workflow": "weekly", "workflow_version": version}


WITH, WITHOUT = (1.0, None), (None, 1.0)


async def test_a_workflow_is_counted_by_the_version_that_was_used(counting: Counting) -> None:
    counting.store.append(Run("seen", "Numbers", "general", task_type="kind-1"))
    change = Change("runbook", "weekly", None, RUNBOOK)
    watch = await counting.live(change, runs=["seen"])
    assert (watch.figures["use"], watch.figures["saves"]) == ("runbook", 1)
    await counting.ran("a", route=used(change.version))
    await counting.ran("b", route=used("0" * 16))  # somebody's own of the same name
    await counting.ran("c", task_type="kind-1")
    await counting.ran("d", task_type="kind-2")
    await counting.ran("e", task_type="kind-1", agent="coder")
    await counting.ran("f", route=used(change.version), error="It broke off.")
    await counting.ran("g", route=used(change.version))
    counting.store.append(Feedback("no", "g", "rating", -1.0, user_id="U2", created_at=2.0))
    assert sorted(await counting.settled(watch), key=str) == sorted(
        [WITH, WITHOUT, (0.0, None), (0.0, None)], key=str
    )


async def test_a_lesson_is_counted_beside_those_who_are_not_told(counting: Counting) -> None:
    change = Change("lesson", LESSON.name, None, LESSON.body(), private_channel("C1"))
    watch = await counting.live(change)
    ids = [f"r{n}" for n in range(60)]
    for run_id in ids:
        tried = call("31/12/26", ok=False) if in_control(run_id) else SPARED
        await counting.ran(run_id, tried, call("2026-12-31"), audience=private_channel("C1"))
    await counting.ran("public", SPARED, call("2026-12-31"))
    told = [(None, 0.5) if in_control(run_id) else WITH for run_id in ids]
    assert await counting.settled(watch) == told
    assert (None, 0.5) in told


async def test_who_is_not_learned_from_is_not_counted_and_nothing_is_while_learning_is_off(
    counting: Counting,
) -> None:
    change = Change("runbook", "weekly", None, RUNBOOK)
    watch = await counting.live(change)
    counting.off = True
    await counting.ran("a", route=used(change.version))
    counting.off = False
    await counting.store.save_person(Person("U1", "Ann", {"learning": "no"}))
    await counting.ran("b", route=used(change.version))
    assert await counting.settled(watch) == []
