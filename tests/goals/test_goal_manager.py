"""Goals as people use them: begun once, by whom, within budgets, around failures."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from database.errors import BudgetExceeded, InputError, NotAllowed, UnknownName
from database.goals import ANSWER, Budget, Goal, Spent, Task, goal_id_of
from goals import watching
from goals.beginning import PLANNING
from goals.budgets import DayLimit
from goals.ledger import Ledger
from goals.ports import TaskOutcome
from tests.goals.managed import ADA, BOSS, GOAL, GRACE, Here
from tests.goals.standins import WORKSPACE, Asked, until
from tests.patience import PATIENCE_S


@pytest.fixture
def here(ledger: Ledger) -> Here:
    return Here(ledger)


async def test_the_same_request_is_the_same_goal(here: Here) -> None:
    first = await here.manager.begin(Asked("r1"))
    again = await here.manager.begin(Asked("r1"))
    assert (first.goal_id, again.goal_id, here.plan.planned) == (GOAL, GOAL, 1)
    assert first.state == "running"
    assert first.notes[-1] == "Started by itself."
    assert sorted(here.queue.queued) == [("s0_0", 1), ("s1_0", 1)]


async def test_what_is_large_waits_for_start(here: Here) -> None:
    here.rules.start = ""
    assert (await here.manager.begin(Asked("r1"))).state == "proposed"
    assert here.queue.queued == []
    assert (await here.manager.start(GOAL, ADA)).state == "running"
    assert (await here.manager.start(GOAL, ADA)).state == "running", "pressed twice"
    done = await here.work()
    assert (done.state, done.task(ANSWER).result) == ("done", "answer is done")
    assert here.hands.worked[-1] == "answer by writer", "it comes last"
    assert [goal.state for goal in here.chronicle.told] == ["done"]
    assert (done.spent.tokens, done.spent.usd) == (300, 1.5)


async def test_only_who_asked_and_approvers_decide(here: Here) -> None:
    here.rules.start = ""
    await here.manager.begin(Asked("r1"))
    acts = (
        here.manager.start(GOAL, GRACE),
        here.manager.cancel(GOAL, GRACE),
        here.manager.skip(GOAL, (1,), GRACE),
        here.manager.change(GOAL, "skip step 1", GRACE),
        here.manager.use_model(GOAL, "fast", GRACE),
        here.manager.answer(GOAL, "yes", GRACE),
    )
    for act in acts:
        with pytest.raises(NotAllowed, match=f"Only <@{ADA}>"):
            await act
    assert (await here.goal()).revision == 0
    assert (await here.manager.start(GOAL, GRACE, approver=True)).state == "running"
    assert (await here.manager.cancel(GOAL, BOSS, "enough")).state == "cancelled"
    with pytest.raises(UnknownName):
        await here.manager.start("no such goal", ADA)


async def test_goals_can_be_switched_off(here: Here) -> None:
    assert here.manager.wanted("plan this")
    assert not here.manager.wanted("hello")
    here.rules.switched_on = False
    assert not here.manager.wanted("plan this")


async def test_a_failure_is_planned_around(here: Here) -> None:
    here.hands.ends["s0_0"] = TaskOutcome(failure="The site is down.")
    here.plan.around = (Task("other", 0, "Ask around", "Ask around.", "asker"),)
    await here.manager.begin(Asked("r1"))
    done = await here.work()
    assert done.state == "done"
    assert (done.task("s0_0").state, done.task("other").result) == ("failed", "other is done")
    assert "takes the place of step 1" in " ".join(done.notes)
    assert (done.replans, done.planning.tokens) == (1, 10)


async def test_what_cannot_be_planned_around_is_missing_in_the_answer(here: Here) -> None:
    here.hands.ends["s0_0"] = TaskOutcome(failure="The site is down.")
    await here.manager.begin(Asked("r1"))
    done = await here.work()
    assert (done.state, done.task("s0_0").reason) == ("done", "The site is down.")


async def test_an_attempt_that_may_go_better_goes_to_who_stands_in(here: Here) -> None:
    here.hands.ends["s0_0"] = TaskOutcome(failure="No idea.", retry=True, agent="generalist")
    await here.manager.begin(Asked("r1"))
    assert (await here.work()).state == "done"
    assert "s0_0 by generalist" in here.hands.worked


async def test_a_question_waits_for_its_answer(here: Here) -> None:
    here.hands.ends["s0_0"] = TaskOutcome(question="Formal?")
    await here.manager.begin(Asked("r1"))
    waits = await here.work()
    assert (waits.state, waits.task("s0_0").question) == ("waiting", "Formal?")
    with pytest.raises(InputError, match="still waits"):
        await here.manager.answer(GOAL, "yes", ADA, 2)
    told = await here.manager.answer(GOAL, "quite", ADA)
    assert (told.task("s0_0").state, told.task("s0_0").answers) == ("queued", ("quite",))
    assert (await here.work()).state == "done"


async def test_past_its_budget_a_goal_asks_and_a_yes_makes_room(ledger: Ledger) -> None:
    here = Here(ledger, wide=1)
    here.rules.most = Budget(usd=99.0, tokens=4_550, seconds=1e9)
    await here.manager.begin(Asked("r1"))
    asks = await here.work()
    assert (asks.state, asks.task("s0_0").state) == ("waiting", "done")
    assert asks.asks is not None
    assert "50 tokens more than the budget has" in asks.asks
    with pytest.raises(InputError, match="yes or no"):
        await here.manager.answer(GOAL, "perhaps", ADA)
    assert (await here.manager.answer(GOAL, "yes", ADA)).state == "running"
    assert (await here.work()).state == "done"


async def test_a_persons_day_is_asked_about_and_stops_new_plans(here: Here) -> None:
    here.rules.limit = DayLimit(tokens=4_550)
    here.rules.most = Budget(usd=99.0, tokens=5_000, seconds=1e9)
    await here.manager.begin(Asked("r1"))
    asks = await here.work()
    assert asks.asks is not None
    assert "goal_tokens_per_day" in asks.asks
    assert "try again now" in asks.asks
    here.rules.limit = DayLimit(tokens=10**6)
    answered = await here.manager.answer(GOAL, "yes", ADA)
    assert answered.budget == asks.budget, "nobody was asked about that"
    assert (await here.work()).state == "done"
    here.rules.limit = DayLimit(tokens=100)
    with pytest.raises(BudgetExceeded, match="have used up what they may use today"):
        await here.manager.begin(Asked("r2"))
    assert await here.manager.goal(goal_id_of("r2")) is None


async def test_changes_that_come_too_late_are_paid_all_the_same(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.rules.start = ""
    await here.manager.begin(Asked("r1"))
    used = await here.manager.rows.use_today(ADA)

    async def change(goal: Goal, words: str) -> Goal:
        await here.manager.rows.move(goal)  # somebody else is faster
        return replace(goal, planning=goal.planning + Spent(1.0, 10, 0.25))

    monkeypatch.setattr(here.plan, "change", change)
    with pytest.raises(InputError, match="moves too fast"):
        await here.manager.change(GOAL, "all of it twice", ADA)
    assert (await here.goal()).planning == Spent(3.0, 30, 0.75)
    assert (await here.manager.rows.use_today(ADA)).spent.tokens == used.spent.tokens + 30


async def test_past_a_persons_day_no_model_changes_a_plan(here: Here) -> None:
    here.rules.start = ""
    await here.manager.begin(Asked("r1"))
    here.rules.limit = DayLimit(tokens=0)
    with pytest.raises(BudgetExceeded, match="have used up what they may use today"):
        await here.manager.change(GOAL, "make it shorter", ADA)
    assert (await here.manager.change(GOAL, "skip step 1", ADA)).title == "skip step 1"


async def test_plans_that_are_being_made_count_against_the_day(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.rules.limit = DayLimit(tokens=PLANNING.tokens + 1)
    go_on, made = asyncio.Event(), here.plan.plan

    async def slowly(goal: Goal) -> Goal:
        await go_on.wait()
        return await made(goal)

    monkeypatch.setattr(here.plan, "plan", slowly)
    begun = [asyncio.create_task(here.manager.begin(Asked(f"r{n}"))) for n in range(3)]
    done, waiting = await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
    assert len(waiting) == 2, "the third finds no room beside two"
    with pytest.raises(BudgetExceeded, match="have used up what they may use today"):
        await done.pop()
    go_on.set()
    await asyncio.gather(*waiting)
    assert (await here.manager.begin(Asked("r4"))).state == "running"


async def test_a_plan_without_budget_left_plans_around_nothing(here: Here) -> None:
    here.rules.most = Budget(usd=0.4, tokens=10**6, seconds=1e9)
    here.plan.around = (Task("x", 0, "instead", "Do otherwise.", "writer"),)
    here.hands.ends["s0_0"] = TaskOutcome(failure="It broke.")
    await here.manager.begin(Asked("r1"))
    goal = await here.work()
    assert (goal.task("s0_0").state, goal.replans) == ("failed", 0)
    assert here.plan.around, "no model was asked"


async def test_what_is_stopped_while_it_runs_holds_nothing(here: Here) -> None:
    await here.manager.begin(Asked("r1"))
    here.hands.hold = asyncio.Event()
    key, attempt = here.queue.queued[0]
    running = asyncio.create_task(here.manager.work(GOAL, key, attempt))
    await until(lambda: here.runs(key))
    ended = await here.manager.cancel(GOAL, ADA, "not needed")
    assert ended.task(key).reserved.tokens > 0
    assert (key, attempt) in here.queue.stopped
    running.cancel()  # as the engine does
    with pytest.raises(asyncio.CancelledError):
        await running
    stopped = (await here.goal()).task(key)
    assert (stopped.reserved, stopped.spent) == (Spent(), Spent(1.0, 50, 0.25))
    assert here.hands.stops == [f"{key}: stopped"]
    assert [goal.state for goal in here.chronicle.told] == ["cancelled"]


async def test_what_was_stopped_holds_nothing_where_its_worker_died(here: Here) -> None:
    await here.manager.begin(Asked("r1"))
    here.hands.hold = asyncio.Event()
    key, attempt = here.queue.queued[0]
    running = asyncio.create_task(here.manager.work(GOAL, key, attempt))
    await until(lambda: here.runs(key))
    running.cancel()  # it dies, and only then somebody stops the goal
    with pytest.raises(asyncio.CancelledError):
        await running
    await here.manager.cancel(GOAL, ADA)
    assert (await here.goal()).task(key).reserved.tokens > 0
    here.hands.noted = Spent(2.0, 70, 0.5)
    for _ in range(2):
        await here.manager.work(GOAL, key, attempt)  # by who takes it over
    stopped = (await here.goal()).task(key)
    assert (stopped.reserved, stopped.spent) == (Spent(), here.hands.noted), "what it has noted"
    assert here.hands.stops == [f"{key}: stopped"]
    assert await here.manager.rows.ledger.waiting_enqueue(-1.0) == []


async def test_what_kills_its_workers_has_cost_what_it_took(here: Here) -> None:
    await here.manager.begin(Asked("r1"))
    here.hands.hold = asyncio.Event()
    key, attempt = here.queue.queued[0]
    running = asyncio.create_task(here.manager.work(GOAL, key, attempt))
    await until(lambda: here.runs(key))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    here.hands.noted = Spent(2.0, 70, 0.5)
    await here.manager.give_up(GOAL, key, attempt, "Nobody survives it.")
    given_up = (await here.goal()).task(key)
    assert (given_up.state, given_up.spent) == ("failed", here.hands.noted)


async def test_at_shutdown_what_runs_is_left_as_it_is(here: Here) -> None:
    await here.manager.begin(Asked("r1"))
    here.hands.hold = asyncio.Event()
    key, attempt = here.queue.queued[0]
    running = asyncio.create_task(here.manager.work(GOAL, key, attempt))
    await until(lambda: here.runs(key))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await here.goal()).task(key).state == "running"
    here.hands.hold = None
    await here.manager.work(GOAL, key, attempt)
    assert (await here.goal()).task(key).state == "done"


async def test_moves_are_told_of_whoever_makes_them(here: Here, ledger: Ledger) -> None:
    heard: dict[str, str] = {}
    other: dict[str, str] = {}

    async def hear(goal: Goal) -> None:
        heard[goal.goal_id] = goal.state

    async def hear_elsewhere(goal: Goal) -> None:
        other[goal.goal_id] = goal.state
        raise RuntimeError("a handler that breaks")

    async def all_know() -> bool:
        return (heard.get(GOAL), other.get(GOAL)) == ("cancelled", "cancelled")

    here.manager.on_changed(hear)
    elsewhere = Ledger.open(ledger.sql.path.parent)
    there = Here(elsewhere).manager
    there.on_changed(hear_elsewhere)
    watching = asyncio.create_task(there.watch())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await there.changed(None)
            await here.manager.begin(Asked("r1"))
            while not (heard and other):
                await asyncio.sleep(0.1)
                await here.manager.use_model(GOAL, "fast", ADA)
            await here.manager.cancel(GOAL, ADA)
            await until(all_know)
    finally:
        watching.cancel()
        await elsewhere.close()


async def test_watching_goes_on_whatever_breaks_in_it(
    here: Here, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Ledger.open(ledger.sql.path.parent)
    there = Here(elsewhere).manager
    looked, heard = list[int | None](), list[str]()
    changed = there.rows.changed

    async def breaks_once(since: int | None) -> tuple[Sequence[Goal], int]:
        looked.append(since)
        if len(looked) == 2:
            raise ValueError("a row that nobody can read")
        return await changed(since)

    async def hear(goal: Goal) -> None:
        heard.append(goal.goal_id)

    async def told() -> bool:
        return heard != []

    async def looks() -> bool:
        return len(looked) >= 2  # the first has told where to begin

    monkeypatch.setattr(watching, "_POLL_SECONDS", 0.02)
    monkeypatch.setattr(there.rows, "changed", breaks_once)
    there.on_changed(hear)
    await ledger.of(WORKSPACE).changed(None)
    watch = asyncio.create_task(there.watch())
    try:
        await until(looks)
        await here.manager.begin(Asked("r1"))
        await until(told)
    finally:
        watch.cancel()
        await elsewhere.close()


async def test_a_manager_that_is_closed_tells_nobody(here: Here, ledger: Ledger) -> None:
    heard: dict[str, list[str]] = {"closed": [], "open": []}
    closed, still_open = here.manager, Here(ledger).manager
    for name, manager in (("closed", closed), ("open", still_open)):

        async def hear(goal: Goal, name: str = name) -> None:
            heard[name].append(goal.goal_id)

        manager.on_changed(hear)
    await closed.close()
    await still_open.begin(Asked("r1"))

    async def told() -> bool:
        return heard["open"] != []

    await until(told)
    assert heard["closed"] == []


async def test_ids_may_be_shortened_by_who_types_them(here: Here) -> None:
    await here.manager.begin(Asked("r1"))
    assert (await here.manager.of_person(ADA))[0].goal_id == GOAL
    assert await here.manager.of_person(GRACE) == []
    [found] = await here.manager.in_thread("C1", "1.0")
    assert found.goal_id == GOAL
