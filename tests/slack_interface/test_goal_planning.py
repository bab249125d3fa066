"""While a plan is made: what fails, and what is stopped when there may be a plan already."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agents.ports import FilesPort
from database.errors import ModelError, StoreError
from orchestrator.limits import LimitReached
from orchestrator.requests import ReplyEvent, Request
from tests.people import ADA, GRACE, Json, eventually
from tests.slack_interface.goal_samples import ScriptedGoals
from tests.slack_interface.plans import (
    ASKED,
    GENERAL,
    away,
    button,
    buttons,
    is_planned,
    last_with,
    ours,
    plan_of,
    words,
)
from tests.slack_interface.world import World, echo

UNASKED = "compare three error trackers, check our budget, draft the announcement"
NO_MODEL = ModelError("The model gave no usable plan.")


@pytest.fixture
async def world(quiet_world: World, goals: ScriptedGoals) -> World:
    await quiet_world.start()
    return quiet_world


async def test_whoever_asked_for_a_plan_hears_why_there_is_none_and_may_try_again(
    world: World, goals: ScriptedGoals
) -> None:
    goals.problem = NO_MODEL
    ts = await world.say(ASKED)
    [told] = await world.replies(ts)
    assert "The model gave no usable plan" in told["text"]
    await world.idle()
    assert world.orchestrator.requests == []
    goals.problem = None
    await world.press(told, button(told, "Try again"))
    plan = await plan_of(world, ts)
    assert goals.planned == 1
    assert (goals.only.request, goals.only.message_ts) == (ASKED, ts)
    assert buttons((await ours(world, ts))[0]) == []
    assert buttons(plan) == ["Start", "Change", "Cancel"]


async def test_nobody_else_tries_it_again(world: World, goals: ScriptedGoals) -> None:
    goals.problem = NO_MODEL
    ts = await world.say(f"@Virtuous6 {ASKED}", ADA, "general")
    told = await eventually(lambda: no_plan(world, ts), "that there is none")
    goals.problem = None
    await world.press(told, button(told, "Try again"), GENERAL, GRACE)
    [heard] = await world.whispers(GRACE)
    assert "Only <@U0ADA>" in heard["text"]
    assert goals.goals == {}


@pytest.mark.parametrize("problem", [NO_MODEL, StoreError("The goals' database is away.")])
async def test_what_cannot_be_planned_is_answered_plainly(
    world: World, goals: ScriptedGoals, problem: ModelError | StoreError
) -> None:
    goals.needs, goals.problem = "compare", problem
    ts = await world.say(UNASKED)
    await eventually(lambda: last_with(world, ts, "You said"), "the answer")
    told, answer = await ours(world, ts)
    assert "I answer without a plan" in told["text"]
    assert str(problem)[:12] in told["text"]
    assert answer["text"] == f"You said: {UNASKED}"


async def test_who_is_at_their_limit_is_not_answered_plainly(
    world: World, goals: ScriptedGoals
) -> None:
    goals.needs, goals.problem = "compare", LimitReached("You have asked enough for today.")
    ts = await world.say(UNASKED)
    [told] = await world.replies(ts)
    await world.idle()
    assert "enough for today" in told["text"]
    assert world.orchestrator.requests == []


async def test_an_answer_instead_of_a_plan_is_taken_up_after_a_crash(
    quiet_world: World, goals: ScriptedGoals
) -> None:
    """It failed and the process ended: planning could go well now, but an answer was begun."""
    world = quiet_world
    bot = await world.start()
    goals.needs, goals.problem = "compare", NO_MODEL
    gate = asyncio.Event()

    async def waits(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        await gate.wait()
        async for event in echo(request, files):
            yield event

    world.orchestrator.script = waits
    ts = await world.say(UNASKED)
    await eventually(lambda: last_with(world, ts, "without a plan"), "the word of it")
    await bot.stop(grace_s=0.1)
    gate.set()
    goals.problem = None
    await world.start()
    await eventually(lambda: last_with(world, ts, "You said"), "the answer")
    assert goals.goals == {}


async def test_planning_can_be_stopped(world: World, goals: ScriptedGoals) -> None:
    goals.gate = asyncio.Event()
    ts = await world.say(ASKED)
    await eventually(lambda: last_with(world, ts, "making a plan"), "the card")
    await world.say("stop, please", thread=ts)
    await eventually(lambda: last_with(world, ts, "Stopped before"), "the word of it")
    assert len(await ours(world, ts)) == 1
    assert goals.goals == {}


async def test_what_is_stopped_when_the_plan_was_there_is_cancelled(
    world: World, goals: ScriptedGoals
) -> None:
    goals.stuck = True
    ts = await world.say(ASKED)
    await eventually(lambda: is_planned(goals), "the plan")
    await world.say("stop", thread=ts)
    shown = await plan_of(world, ts)
    assert goals.only.state == "cancelled"
    assert "Stopped before" not in words(shown["blocks"])
    assert "topped" in words(shown["blocks"])


async def test_where_nobody_knows_whether_there_was_a_plan_that_is_said(
    world: World, goals: ScriptedGoals, monkeypatch: pytest.MonkeyPatch
) -> None:
    goals.stuck = True
    ts = await world.say(ASKED)
    await eventually(lambda: is_planned(goals), "the plan")
    monkeypatch.setattr(ScriptedGoals, "goal", away)
    await world.say("stop", thread=ts)
    told = await eventually(lambda: last_with(world, ts, "once more"), "the word of it")
    assert "The goals' database is away" in told["text"]


@pytest.mark.parametrize("broken", [StoreError("The queue is away."), RuntimeError("oh")])
async def test_a_plan_that_is_there_after_an_error_is_shown(
    world: World, goals: ScriptedGoals, broken: Exception
) -> None:
    goals.broken = broken
    ts = await world.say(ASKED)
    plan = await plan_of(world, ts)
    assert [plan["ts"]] == [m["ts"] for m in await ours(world, ts)]
    assert buttons(plan) == ["Start", "Change", "Cancel"]


async def no_plan(world: World, ts: str) -> Json | None:
    found = [m for m in await world.thread(ts, GENERAL) if "could not make a plan" in m["text"]]
    return found[-1] if found else None
