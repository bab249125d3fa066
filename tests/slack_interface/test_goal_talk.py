"""Words about plans: what they do, and to which plan."""

import pytest

from database.errors import StoreError
from tests.people import eventually
from tests.slack_interface.goal_samples import ScriptedGoals
from tests.slack_interface.plans import (
    has_ended,
    ours,
    planned,
)
from tests.slack_interface.world import World


@pytest.fixture
async def world(quiet_world: World, goals: ScriptedGoals) -> World:
    await quiet_world.start()
    return quiet_world


async def test_words_in_the_thread(world: World, goals: ScriptedGoals) -> None:
    wanted: dict[str, tuple[object, ...]] = {
        "start": ("start",),
        "cancel": ("cancel", ""),
        "No.": ("cancel", ""),
        "Stop the plan please": ("cancel", ""),
        "skip step 2": ("skip", 2),
        "use the cheaper model": ("model", "fast"),
        "add a step that asks our lawyer": ("change", "add a step that asks our lawyer"),
    }
    for text, act in wanted.items():
        goals.acts.clear()
        ts, _ = await planned(world)
        await world.say(text, thread=ts)
        said = (await ours(world, ts))[-1]
        assert goals.acts == [act]
        assert said["text"]
    assert world.orchestrator.requests == []


async def test_how_it_is_going_and_everything_else(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await goals.works("vendors")
    await world.say("How is it going?", thread=ts)
    status = (await ours(world, ts))[-1]["text"]
    assert "0 of 4 steps done" in status
    assert "Step 1, Compare three error trackers: researcher" in status
    await world.say("What is an error tracker?", thread=ts)
    assert (await ours(world, ts))[-1]["text"] == "You said: What is an error tracker?"
    await world.say("how is it going?")
    assert [request.text for request in world.orchestrator.requests] == [
        "What is an error tracker?"
    ]


async def test_while_plans_cannot_be_read_questions_are_answered(
    world: World, goals: ScriptedGoals, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StoreError("The goals' database is away. See that it runs.")

    ts, _ = await planned(world)
    monkeypatch.setattr(ScriptedGoals, "in_thread", away)
    await world.say("What is an error tracker?", thread=ts)
    assert (await ours(world, ts))[-1]["text"] == "You said: What is an error tracker?"
    await world.say("skip step 2", thread=ts)
    assert "The goals' database is away" in (await ours(world, ts))[-1]["text"]


async def test_in_a_direct_message_words_count_outside_the_thread_too(
    world: World, goals: ScriptedGoals
) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    other = await world.say("how is it going?")
    assert "0 of 4 steps done" in (await world.replies(other))[0]["text"]
    await world.say("stop")
    await eventually(lambda: has_ended(goals), "it was stopped")
