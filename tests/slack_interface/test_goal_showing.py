"""Plans are shown once and as they are, whatever crashes, waits or is not understood."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from goals import task_graph
from goals.ports import TaskOutcome
from slack_interface.outgoing import Post
from tests.people import ADA, GRACE, eventually, find
from tests.slack_interface.goal_samples import ScriptedGoals, result_of
from tests.slack_interface.plans import (
    ASKED,
    asked_for,
    buttons,
    is_planned,
    last_with,
    ours,
    plan_of,
    planned,
    words,
)
from tests.slack_interface.refusals import Refusals
from tests.slack_interface.world import World


@pytest.fixture
async def world(quiet_world: World, goals: ScriptedGoals) -> World:
    await quiet_world.start()
    return quiet_world


async def test_what_moved_while_nobody_was_there_is_shown_once(
    quiet_world: World, goals: ScriptedGoals
) -> None:
    world = quiet_world
    bot = await world.start()
    ts, plan = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await bot.stop()
    goals._handlers.clear()
    await goals.works("vendors", TaskOutcome(question="Which region?"))
    bot = await world.start()
    question = await eventually(lambda: last_with(world, ts, "Which region?"), "the question")
    assert buttons(question) == ["Answer", "Skip this step"]
    await bot.stop()
    goals._handlers.clear()
    await goals.answer(goals.only.goal_id, "Europe", ADA)
    await goals.all_works()
    bot = await world.start()
    await eventually(lambda: last_with(world, ts, "Take Sentry"), "the answer")
    messages = await ours(world, ts)
    assert [m["ts"] for m in messages if find(m.get("blocks") or [], "plan")] == [plan["ts"]]
    assert "*Done*" in words(messages[0]["blocks"])
    assert len([m for m in messages if m["text"].startswith("Take Sentry")]) == 1
    assert buttons(next(m for m in messages if m["ts"] == question["ts"])) == []
    await bot.stop()
    await world.start()
    await world.idle()
    assert len(await ours(world, ts)) == len(messages), "a third process says nothing again"


async def test_a_crash_between_the_plan_and_its_message_is_taken_up(
    quiet_world: World, goals: ScriptedGoals, refusals: Refusals
) -> None:
    """Slack took the plan, but its answer was lost, and then the process ended."""
    refusals.lose("chat.postMessage", times=1)
    ts, plan = await planned(quiet_world)
    assert goals.planned == 1
    assert [m["ts"] for m in await ours(quiet_world, ts)] == [plan["ts"]]


async def test_planning_that_a_stop_of_the_process_cut_off_is_taken_up(
    quiet_world: World, goals: ScriptedGoals
) -> None:
    world, goals.gate = quiet_world, asyncio.Event()
    bot = await world.start()
    ts = await world.say(ASKED)
    await eventually(lambda: last_with(world, ts, "making a plan"), "the card")
    await bot.stop(grace_s=0.1)
    goals.gate.set()
    await world.start()
    plan = await plan_of(world, ts)
    assert [plan["ts"]] == [m["ts"] for m in await ours(world, ts)]
    assert goals.planned == 1


async def test_a_click_that_was_done_before_the_process_ended_is_not_done_again(
    quiet_world: World, goals: ScriptedGoals
) -> None:
    world = quiet_world
    bot = await world.start()
    ts, plan = await planned(world)
    goals.stuck = True
    await world.say("add a step that calls the vendor", thread=ts)
    await eventually(lambda: asked_for(goals), "the change")
    await bot.stop(grace_s=0.1)
    goals.stuck = False
    await world.start()
    await eventually(lambda: last_with(world, ts, "was added"), "what came of it")
    await world.idle()
    assert [act[0] for act in goals.acts] == ["change"]
    assert len(goals.only.tasks) == 5
    assert plan["ts"] == (await plan_of(world, ts))["ts"]


@pytest.mark.parametrize("word", ["stop", "skip steps 2 and 3"])
async def test_an_act_that_was_cut_off_before_it_was_done_is_done(
    quiet_world: World, goals: ScriptedGoals, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """The plan moves by itself meanwhile, so that it looks as if something had been done."""
    world = quiet_world
    bot = await world.start()
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    tried: list[object] = []

    async def hangs(*args: object, **named: object) -> None:
        tried.append(args)
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(ScriptedGoals, "cancel", hangs)
        patch.setattr(ScriptedGoals, "skip", hangs)
        await world.say(word, thread=ts)
        await eventually(lambda: _any(tried), "it is begun")
        await bot.stop(grace_s=0.1)
    goals._handlers.clear()
    await goals.works("vendors", TaskOutcome(question="Which region?"))
    await goals.answer(goals.only.goal_id, "Europe", ADA)
    await world.start()
    told = "Stopped." if word == "stop" else "Skipped: step 2 and 3"
    await eventually(lambda: last_with(world, ts, told), "the word of it")
    states = [goals.only.task(key).state for key in ("budget", "draft")]
    assert states == (["cancelled"] * 2 if word == "stop" else ["skipped"] * 2)


async def test_the_same_question_asked_again_is_seen_again(
    quiet_world: World, goals: ScriptedGoals
) -> None:
    world = quiet_world
    await world.start()
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    why = "The day is full. Shall I try again now? Yes, or no to end it."
    for _ in range(2):
        goal_id = goals.only.goal_id
        await goals.moves(goal_id, lambda g: task_graph.hold(g, "vendors", why))
        await world.idle()
        asked = [m for m in await ours(world, ts) if buttons(m) == ["Yes, go on", "No, stop here"]]
        assert len(asked) == 1
        await world.say("yes", thread=ts)
        await world.idle()
        assert goals.only.asks is None
    assert len([m for m in await ours(world, ts) if "I asked whether" in m["text"]]) == 2


async def test_who_has_many_plans_holds_up_only_their_own(
    quiet_world: World, goals: ScriptedGoals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ada's plans all move at once, then one of Grace's does: hers is shown after one of them."""
    world = quiet_world
    await world.start()
    for _ in range(6):
        await planned(world)
    await planned(world, GRACE)
    [mine] = [goal for goal in goals.goals.values() if goal.user_id == GRACE]
    shown: list[str] = []
    assert world.bot
    desk = next(iter(world.bot.desks))
    post = desk.outgoing.post

    async def noted(one: Post) -> bool:
        shown.append(one.card.partition(":")[2])
        return await post(one)

    monkeypatch.setattr(desk.outgoing, "post", noted)
    for goal in [*goals.goals.values()]:
        await goals.moves(goal.goal_id, lambda g: replace(g, title=f"{g.title}!"))
    await world.idle()
    assert shown.index(mine.goal_id) <= 2
    assert len(shown) == 7


async def test_a_server_that_knows_no_plans_gets_sections(
    quiet_world: World, goals: ScriptedGoals
) -> None:
    world = quiet_world
    asked: list[bool] = []

    async def start() -> None:
        async with PlanlessSlack(world.workspace.api_url) as slack:
            await world.start(slack.url)
            ts = await world.say(ASKED)
            await eventually(lambda: is_planned(goals), "a plan")
            await world.idle()
            await world.say("start", thread=ts)
            await world.idle()
            await goals.works("vendors", result_of("vendors"))
            messages = await ours(world, ts)
            asked.extend(slack.with_plans)
            assert world.bot
            await world.bot.stop()
        plan = messages[0]
        assert find(plan["blocks"], "plan") == []
        assert "*1. Compare three error trackers*" in words(plan["blocks"])
        assert "Rollbar the cheapest" in words(plan["blocks"])
        assert buttons(plan) == ["Results", "Change", "Stop"]

    await start()
    assert asked.count(True) == 1, "one try, remembered"


class PlanlessSlack(Refusals):
    """Refuses blocks of the types `plan` and `task_card`."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.with_plans: list[bool] = []

    async def _answer(self, request: Any) -> Any:
        body = await request.read()
        if b'"type": "plan"' in body or b'"type":"plan"' in body:
            self.with_plans.append(True)
            self.refuse(request.match_info["method"], "invalid_blocks", times=1)
        return await super()._answer(request)


async def test_where_messages_cannot_be_changed_progress_is_no_flood(
    quiet_world: World, goals: ScriptedGoals, refusals: Refusals
) -> None:
    refusals.refuse("chat.update", "unknown_method")
    world = quiet_world
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    for _ in range(2):
        await goals.moves(goals.only.goal_id, lambda g: g)
        await world.idle()
    await goals.all_works()
    messages = await ours(world, ts)
    plans = [m for m in messages if find(m.get("blocks") or [], "plan")]
    assert len(plans) == 3, "the plan, its start, its end"
    assert messages[-1]["text"].startswith("Take Sentry") or messages[-2]["text"].startswith("Take")


async def _any(found: list[object]) -> bool:
    return bool(found)
