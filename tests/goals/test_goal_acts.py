"""What people do with goals, when it is cut off in the middle: done once, all of it, or not."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from database.errors import InputError, UnknownName
from database.goals import Goal
from goals import task_graph
from goals.ledger import Ledger
from tests.goals.managed import ADA, GOAL, Here
from tests.goals.standins import Asked

Act = Callable[[Here, str], Awaitable[Goal]]


@pytest.fixture
def here(ledger: Ledger) -> Here:
    return Here(ledger)


def skips(here: Here, act: str) -> Awaitable[Goal]:
    return here.manager.skip(GOAL, (1, 2), ADA, act=act)


def stops(here: Here, act: str) -> Awaitable[Goal]:
    return here.manager.cancel(GOAL, ADA, act=act)


def changes(here: Here, act: str) -> Awaitable[Goal]:
    return here.manager.change(GOAL, "add a step that calls Bob", ADA, act=act)


def changes_the_model(here: Here, act: str) -> Awaitable[Goal]:
    return here.manager.use_model(GOAL, "fast", ADA, act=act)


@pytest.mark.parametrize("do", [skips, stops, changes, changes_the_model])
async def test_an_act_with_a_name_is_done_once(here: Here, do: Act) -> None:
    await here.manager.begin(Asked("r1"))
    first = await do(here, "click 1")
    assert first.acts == ("click 1",)
    assert await do(here, "click 1") == first == await here.goal()


async def test_another_act_of_the_same_kind_is_another_one(here: Here) -> None:
    await here.manager.begin(Asked("r1"))
    await here.manager.use_model(GOAL, "fast", ADA, act="click 1")
    await here.manager.use_model(GOAL, "strong", ADA, act="click 2")
    again = await here.manager.use_model(GOAL, "fast", ADA, act="click 1")
    assert {task.model for task in again.tasks} == {"strong"}
    assert again.acts == ("click 1", "click 2")


async def test_what_changes_nothing_is_no_move(here: Here) -> None:
    begun = await here.manager.begin(Asked("r1"))
    assert await here.manager.start(GOAL, ADA, act="click 1") == begun
    with pytest.raises(InputError):
        await here.manager.answer(GOAL, "yes", ADA, act="click 2")
    assert await here.goal() == begun


async def test_names_of_acts_do_not_grow_without_end(here: Here) -> None:
    await here.manager.begin(Asked("r1"))
    for number in range(task_graph.MAX_ACTS + 2):
        await here.manager.use_model(GOAL, "fast" if number % 2 else "strong", ADA, act=str(number))
    acts = (await here.goal()).acts
    assert len(acts) == task_graph.MAX_ACTS
    assert acts[-1] == str(task_graph.MAX_ACTS + 1)


async def test_what_follows_an_act_is_done_by_whoever_does_it_again(here: Here) -> None:
    here.rules.start = ""
    await here.manager.begin(Asked("r1"))
    await here.manager.start(GOAL, ADA, act="click 1")
    queued, here.queue.queued = here.queue.queued, []
    await here.manager.start(GOAL, ADA, act="click 1")
    assert here.queue.queued == queued != []


async def test_steps_are_skipped_all_or_none(here: Here) -> None:
    begun = await here.manager.begin(Asked("r1"))
    with pytest.raises(UnknownName):
        await here.manager.skip(GOAL, (1, 99), ADA)
    assert await here.goal() == begun
    skipped = await here.manager.skip(GOAL, (1, 2, 1), ADA)
    assert skipped.revision == begun.revision + 1
    assert [task.state for task in skipped.tasks[:2]] == ["skipped", "skipped"]


async def test_a_model_for_some_steps(here: Here) -> None:
    await here.manager.begin(Asked("r1"))
    given = await here.manager.use_model(GOAL, "strong", ADA, (2,))
    assert [task.model for task in given.tasks][:2] == [None, "strong"]
    with pytest.raises(UnknownName):
        await here.manager.use_model(GOAL, "strong", ADA, (99,))
    await here.manager.skip(GOAL, (2,), ADA)
    with pytest.raises(InputError, match="Step 2 is skipped already"):
        await here.manager.use_model(GOAL, "strong", ADA, (2,))


async def test_a_plan_that_is_being_kept_when_it_is_stopped_is_kept_whole(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, may_go = asyncio.Event(), asyncio.Event()
    create = here.manager.rows.create

    async def slowly(goal: Goal) -> bool:
        going.set()
        await may_go.wait()
        return await create(goal)

    monkeypatch.setattr(here.manager.rows, "create", slowly)
    beginning = asyncio.create_task(here.manager.begin(Asked("r1")))
    await going.wait()
    beginning.cancel()
    asyncio.get_running_loop().call_later(0.05, may_go.set)
    with pytest.raises(asyncio.CancelledError):
        await beginning
    assert (await here.goal()).state == "running"
    assert here.queue.queued, "what follows is done too"


async def test_each_asking_is_one_of_its_own(here: Here) -> None:
    goal = await here.manager.begin(Asked("r1"))
    key = goal.tasks[0].key
    for count in (1, 2):
        goal = task_graph.hold(goal, key, "The day is full. Try again?")
        assert goal.askings == count
        goal = task_graph.advance(task_graph.answer(goal, None, "yes", 1.0), 1.0)
    held = task_graph.hold(goal, key, "The day is full. Try again?")
    both = task_graph.hold(held, goal.tasks[1].key, "The day is full. Try again?")
    assert (held.askings, both.askings) == (3, 3), "the second step is held for the same question"
