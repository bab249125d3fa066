"""Whatever happens in whatever order, a goal stays whole, keeps to its budget, and ends."""

import contextlib
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from database.errors import BudgetExceeded, InputError
from database.goals import ANSWER, ENDED_TASK, NOTHING, Budget, Goal, Spent, Task
from goals.checking import cycle
from goals.ports import TaskOutcome
from goals.task_graph import (
    add,
    advance,
    answer,
    begin,
    blocked_by,
    cancel,
    hold,
    hold_more,
    may_replan,
    ready,
    replace_failed,
    retry,
    settle,
    skip,
    start,
)
from tests.goals.plans import NOW, plan, task

HELD = Spent(5.0, 500, 0.0)
TOOK = Spent(5.0, 400, 0.0)

graphs = st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=7).map(
    lambda rows: {
        f"s{at}": tuple(f"s{need}" for need in sorted(row) if need < at)
        for at, row in enumerate(rows)
    }
)
outcomes = st.sampled_from(
    [
        TaskOutcome(result="found", spent=TOOK),
        TaskOutcome(question="Which?", spent=TOOK),
        TaskOutcome(failure="broke", spent=TOOK),
        TaskOutcome(failure="away", retry=True, spent=TOOK),
        TaskOutcome(failure="away", retry=True, away=True, spent=TOOK),
        TaskOutcome(lacks=Spent(0.0, 700, 0.0), spent=TOOK),
        TaskOutcome(uncertain=True, spent=TOOK),
    ]
)


class AnyOrder(RuleBasedStateMachine):
    """A goal to which everything happens that can."""

    goal: Goal

    @initialize(graph=graphs, tokens=st.sampled_from([900, 2_000, 1_000_000]))
    def begins(self, graph: dict[str, tuple[str, ...]], tokens: int) -> None:
        begun = begin(plan(graph), NOW)
        tight = Budget(100.0, tokens, 1e9, 50, 5, 120)
        self.goal = advance(replace(begun, budget=tight), NOW)
        self.fresh = 0

    def _some(self, data: Any, *states: str) -> Task | None:
        found = [one for one in self.goal.tasks if one.state in states]
        return data.draw(st.sampled_from(found)) if found else None

    def _new(self, *needs: str) -> Task:
        self.fresh += 1
        return task(f"n{self.fresh}", 0, *needs)

    @rule(data=st.data())
    def a_worker_begins(self, data: Any) -> None:
        if (chosen := self._some(data, "queued")) is None:
            return
        try:
            self.goal = start(self.goal, chosen.key, HELD, NOW, attempt=chosen.attempt)
        except BudgetExceeded:
            self.goal = hold(self.goal, chosen.key)

    @rule(data=st.data(), tokens=st.sampled_from([100, 600, 5_000]))
    def an_attempt_needs_more(self, data: Any, tokens: int) -> None:
        if (chosen := self._some(data, "running")) is not None:
            with contextlib.suppress(BudgetExceeded, InputError):
                more = Spent(0.0, tokens, 0.0)
                self.goal = hold_more(self.goal, chosen.key, more, attempt=chosen.attempt)
                assert self.goal.task(chosen.key).reserved.tokens >= tokens

    @rule(data=st.data(), outcome=outcomes, again=st.booleans(), way=st.sampled_from("airx"))
    def an_attempt_ends(self, data: Any, outcome: TaskOutcome, again: bool, way: str) -> None:
        chosen = self._some(data, "running", "skipped", "cancelled")
        if chosen is None or not chosen.attempt:
            return
        outcome = replace(outcome, run_id=f"{chosen.key}-{chosen.attempt}")
        with contextlib.suppress(InputError):  # one that was skipped before it began
            self.goal = settle(self.goal, chosen.key, outcome, NOW, attempt=chosen.attempt)
        if again:
            twice = settle(self.goal, chosen.key, outcome, NOW, attempt=chosen.attempt)
            assert twice == self.goal
        if self.goal.task(chosen.key).state == "failed":
            self._around(chosen.key, way)
        self.goal = advance(self.goal, NOW)

    def _around(self, key: str, way: str) -> None:
        if way == "a":
            self.goal = retry(self.goal, key)
        elif way == "r" and may_replan(self.goal, key):
            first = self._new()
            with contextlib.suppress(InputError):  # it may have become too dear
                self.goal = replace_failed(self.goal, key, [first, self._new(first.key)])

    @rule(data=st.data(), words=st.sampled_from(["yes", "no", "yes", "2026"]))
    def a_person_answers(self, data: Any, words: str) -> None:
        chosen = self._some(data, "waiting")
        with contextlib.suppress(InputError):
            self.goal = answer(self.goal, chosen.key if chosen else None, words, NOW)
        self.goal = advance(self.goal, NOW)

    @rule(data=st.data())
    def a_person_skips(self, data: Any) -> None:
        chosen = data.draw(st.sampled_from(self.goal.tasks))
        with contextlib.suppress(InputError):
            self.goal = skip(self.goal, chosen.key, "no", NOW)
        self.goal = advance(self.goal, NOW)

    @rule(data=st.data())
    def a_person_adds(self, data: Any) -> None:
        needs = data.draw(st.lists(st.sampled_from([t.key for t in self.goal.tasks]), max_size=2))
        with contextlib.suppress(InputError):
            self.goal = add(self.goal, self._new(*dict.fromkeys(needs)))
        self.goal = advance(self.goal, NOW)

    @precondition(lambda self: len(self.goal.tasks) > 5)
    @rule(really=st.integers(0, 9))
    def a_person_stops_it(self, really: int) -> None:
        if really == 0 and not self.goal.ended:
            self.goal = cancel(self.goal, "enough", NOW)

    @invariant()
    def the_plan_is_whole(self) -> None:
        tasks = self.goal.tasks
        assert not cycle({one.key: one.needs for one in tasks})
        assert [one.number for one in tasks] == list(range(1, len(tasks) + 1))
        assert (tasks[-1].key, len({one.key for one in tasks})) == (ANSWER, len(tasks))

    @invariant()
    def ready_are_exactly_those_whose_needs_are_done_or_skipped(self) -> None:
        open_ = self.goal.state in ("running", "waiting") and not self.goal.asks
        for one in self.goal.tasks[:-1]:
            met = all(self.goal.task(need).state in ("done", "skipped") for need in one.needs)
            assert (one in ready(self.goal)) == (open_ and met and one.state == "pending")
            assert met or one.state not in ("running", "queued", "waiting", "done", "failed")

    @invariant()
    def a_blocked_step_names_what_blocks_it(self) -> None:
        for one in self.goal.tasks[:-1]:
            roots = blocked_by(self.goal, one.key)
            if one.state == "blocked":
                assert roots
                assert all(f"{root.number}" in one.reason for root in roots)
            if one.state in ("pending", "queued", "running"):
                assert not roots

    @invariant()
    def the_budget_is_kept(self) -> None:
        held = sum(one.reserved.tokens for one in self.goal.tasks)
        assert self.goal.spent.tokens + held <= self.goal.budget.tokens
        for one in self.goal.tasks:
            assert one.reserved == NOTHING or one.state in ("running", "skipped", "cancelled")

    @invariant()
    def it_has_ended_exactly_when_all_its_steps_have(self) -> None:
        after = advance(self.goal, NOW)
        assert after.ended == all(one.state in ENDED_TASK for one in after.tasks)

    @invariant()
    def somebody_can_always_go_on(self) -> None:
        after = advance(self.goal, NOW)
        at_work = [one for one in after.tasks if one.state in ("queued", "running")]
        asked = [one for one in after.tasks if one.state == "waiting"]
        letting_go = [one for one in after.tasks if one.reserved != NOTHING]
        assert after.ended or at_work or letting_go or asked or after.asks
        if after.state == "waiting":
            assert not at_work

    def teardown(self) -> None:
        """With everybody doing what they are asked, it ends."""
        if not hasattr(self, "goal"):
            return
        for _ in range(400):
            if self.goal.ended:
                break
            self.goal = _carried_on(advance(self.goal, NOW))
        assert self.goal.ended


def _carried_on(goal: Goal) -> Goal:
    if goal.asks:
        return answer(goal, None, "yes", NOW)
    for one in goal.tasks:
        if one.state == "waiting":
            return answer(goal, one.key, "so", NOW)
        if one.state == "running" or one.reserved != NOTHING:
            outcome = TaskOutcome(result="found", run_id=f"{one.key}-{one.attempt}", spent=TOOK)
            return settle(goal, one.key, outcome, NOW)
        if one.state == "queued":
            try:
                return start(goal, one.key, HELD, NOW)
            except BudgetExceeded:
                return hold(goal, one.key)
    return goal


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase


@given(
    amounts=st.lists(st.integers(1, 5_000), min_size=100, max_size=100),
    order=st.permutations(range(100)),
    most=st.integers(1, 200_000),
)
@settings(max_examples=10)
def test_a_hundred_steps_that_reserve_at_once_never_have_more_than_the_budget(
    amounts: list[int], order: list[int], most: int
) -> None:
    goal = advance(begin(plan({f"s{n}": () for n in range(100)}), NOW), NOW)
    goal = replace(goal, budget=replace(goal.budget, tokens=most))
    for at in order:
        reserve = Spent(1.0, amounts[at], 0.0)
        before = sum(one.reserved.tokens for one in goal.tasks)
        try:
            goal = start(goal, f"s{at}", reserve, NOW)
        except BudgetExceeded:
            assert before + amounts[at] > most
    assert sum(one.reserved.tokens for one in goal.tasks) <= most
