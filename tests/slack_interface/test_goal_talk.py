"""Words about plans: what they do, and to which plan."""

import asyncio
import time
from dataclasses import replace

import pytest

from database.goals import Spent
from goals import task_graph
from goals.ports import TaskOutcome
from slack_interface.goal_meant import meant, wish
from slack_interface.goal_words import GoalWord, goal_word
from tests.people import ADA, eventually
from tests.slack_interface.goal_samples import ScriptedGoals, asking_goal
from tests.slack_interface.plans import (
    ASKED,
    away,
    has_ended,
    last_with,
    ours,
    planned,
    the_goals,
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


async def test_while_plans_cannot_be_read_only_what_is_about_them_waits(
    world: World, goals: ScriptedGoals, monkeypatch: pytest.MonkeyPatch
) -> None:
    ts, _ = await planned(world)
    other = await world.say("What is tea?")
    await world.replies(other)
    the_goals(world).again_s = 0.05
    monkeypatch.setattr(ScriptedGoals, "in_thread", away)
    await world.say("What is an error tracker?", thread=ts)
    assert (await ours(world, ts))[-1]["text"] == "You said: What is an error tracker?"
    await world.say("yes", thread=other)
    assert (await ours(world, other))[-1]["text"] == "You said: yes", "there is no plan"
    await world.say("skip step 2", thread=ts)
    await eventually(lambda: last_with(world, ts, "I keep what you said"), "the word of it")
    assert goals.acts == []
    monkeypatch.undo()
    await world.idle()
    assert goals.acts == [("skip", 2)]


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


@pytest.mark.parametrize("text", ["let's go", "sure, go on"])
async def test_whatever_says_yes_lets_a_goal_go_on_that_asks(
    world: World, goals: ScriptedGoals, text: str
) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    why = "I used $1.00 of $1.00. May I go on?"
    await goals.moves(goals.only.goal_id, lambda g: replace(g, asks=why, state="waiting"))
    goals.acts.clear()
    await world.say(text, thread=ts)
    await world.idle()
    assert goals.acts == [("answer", "yes", None)]
    assert goals.only.state == "running"
    assert world.orchestrator.requests == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("ok go ahead", "yes"), ("go for it", "yes"), ("yes, do it", "yes"), ("please go on", "yes"),
     ("approved", "yes"), ("of course", "yes"), ("Yes, try again", "yes"), ("start", "yes"),
     ("no thanks", "no"), ("stop, please", "no"), ("never mind", "no")],
)  # fmt: skip
def test_yes_and_no_to_a_goal_that_asks(text: str, said: str) -> None:
    goal = replace(asking_goal("G1", "D0ADA"), asks="May I go on?")
    assert wish(goal, goal_word(text), text, ADA) == GoalWord("answer", words=said)


@pytest.mark.parametrize("odd", [" ", "\n", " the ", "plan 1 ", "the party ", "?", " of the plan"])
def test_a_long_text_that_may_name_a_plan_takes_no_time(odd: str) -> None:
    plans = [asking_goal("G1", "D0ADA"), replace(asking_goal("G2", "D0ADA"), title="The party")]
    began = time.process_time()
    for size in (1_900, 40_000):
        meant(plans, "stop" + (odd * size)[:size] + "x", ADA)
    assert time.process_time() - began < 1.0


async def test_what_may_be_an_answer_or_about_the_plan_is_asked_about(
    world: World, goals: ScriptedGoals
) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await asks(goals, goals.only.goal_id, "vendors", "Which ones?")
    goals.acts.clear()
    for text, how in {
        "Stop using Sentry, take Rollbar": "say `stop`",
        "skip the European ones": "`skip step 2`",
        "go with the cheaper one": "`use the cheaper model`",
    }.items():
        await world.say(text, thread=ts)
        await eventually(lambda how=how: last_with(world, ts, how), "what it asks")  # type: ignore[misc]
        told = await last_with(world, ts, f"`answer: {text}`")
        assert told
        assert "Which ones?" in told["text"]
    assert goals.acts == []
    await world.say("answer: skip the European ones", thread=ts)
    await world.idle()
    assert goals.acts == [("answer", "skip the European ones", None)]
    assert world.orchestrator.requests == []


async def test_skip_it_is_about_the_step_that_asks(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await asks(goals, goals.only.goal_id, "vendors", "Which ones?")
    goals.acts.clear()
    await world.say("just skip it", thread=ts)
    await world.idle()
    assert goals.acts == [("skip", 1)]


async def test_steps_are_skipped_all_or_none(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("skip step 2 and step 99", thread=ts)
    await eventually(lambda: last_with(world, ts, "There is no step 99"), "why not")
    assert goals.only.task("budget").state == "pending"
    await world.say("skip step 2 and step 3", thread=ts)
    await eventually(lambda: last_with(world, ts, "Skipped: step 2 and 3"), "that it was done")
    assert [goals.only.task(key).state for key in ("budget", "draft")] == ["skipped", "skipped"]
    assert goals.only.revision == 1


async def test_another_model_for_one_step(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("use the cheaper model for step 2", thread=ts)
    await world.idle()
    assert [task.model for task in goals.only.tasks] == [None, "fast", None, None]


async def test_a_step_that_says_nothing_is_not_added(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("add a step", thread=ts)
    await eventually(lambda: last_with(world, ts, "what the step should do"), "what is missing")
    assert goals.acts == []


async def test_stop_does_not_wait_behind_a_change(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    goals.thinks = asyncio.Event()
    await world.say("add a step that calls Bugsnag", thread=ts)
    await eventually(lambda: is_changing(world), "the change is under way")
    await world.say("stop", thread=ts)
    await eventually(lambda: has_ended(goals), "it was stopped")
    await world.idle()
    assert goals.acts == [("cancel", "")]
    assert await last_with(world, ts, "left the plan as it was")


OTHER = "plan: find a venue, invite the team, order the food"


async def two_plans(world: World, goals: ScriptedGoals) -> tuple[str, str, str]:
    """Two of Ada's plans in one thread, both begun: the thread, and their ids, older first."""
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.say(OTHER, thread=ts)
    await world.idle()
    await world.say("start", thread=ts)
    await world.idle()
    first, second = goals.goals
    await goals.moves(second, lambda g: replace(g, title="Organise the summer party"))
    goals.acts.clear()
    return ts, first, second


async def asks(goals: ScriptedGoals, goal_id: str, key: str, question: str) -> None:
    """A step asks a person."""
    await goals.moves(goal_id, lambda g: task_graph.start(g, key, Spent(), goals.now()))
    outcome = TaskOutcome(question=question)
    await goals.moves(
        goal_id,
        lambda g: task_graph.advance(task_graph.settle(g, key, outcome, goals.now()), goals.now()),
    )


async def test_asking_for_a_plan_is_no_answer_to_what_a_step_asks(
    world: World, goals: ScriptedGoals
) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await asks(goals, goals.only.goal_id, "vendors", "Which region?")
    goals.acts.clear()
    await world.say(OTHER, thread=ts)
    await world.idle()
    assert goals.acts == []
    assert [goal.request for goal in goals.goals.values()] == [ASKED, OTHER]
    await world.say("Europe", thread=ts)
    await world.idle()
    assert goals.acts == [("answer", "Europe", None)], "the older one waits for it"


async def test_words_go_to_the_plan_that_waits_for_them(world: World, goals: ScriptedGoals) -> None:
    ts, first, _ = await two_plans(world, goals)
    await asks(goals, first, "vendors", "Which region?")
    await world.idle()
    await world.say("Only Europe.", thread=ts)
    await world.idle()
    assert goals.acts == [("answer", "Only Europe.", None)]
    assert goals.goals[first].task("vendors").answers == ("Only Europe.",)
    await eventually(lambda: last_with(world, ts, "*Plan 1*"), "it says which")


@pytest.mark.parametrize(
    ("text", "number", "act"),
    [
        ("plan 1: skip step 2", 0, ("skip", 2)),
        ("plan 2, skip step 2", 1, ("skip", 2)),
        ("Skip step 3 of plan 1.", 0, ("skip", 3)),
        ("stop plan 2", 1, ("cancel", "")),
        ("please stop the summer party", 1, ("cancel", "")),
        ("use the cheaper model for the summer party plan", 1, ("model", "fast")),
    ],
)
async def test_words_go_to_the_plan_that_they_name(
    world: World, goals: ScriptedGoals, text: str, number: int, act: tuple[object, ...]
) -> None:
    ts, *plans = await two_plans(world, goals)
    before = goals.goals[plans[1 - number]]
    await world.say(text, thread=ts)
    await world.idle()
    assert goals.acts == [act]
    assert goals.goals[plans[1 - number]] == before
    assert f"*Plan {number + 1}*" in (await ours(world, ts))[-1]["text"]


async def test_where_it_is_not_clear_which_plan_is_meant_the_person_is_asked(
    world: World, goals: ScriptedGoals
) -> None:
    ts, first, second = await two_plans(world, goals)
    for text in ("stop", "add a step that calls Bugsnag", "skip step 2"):
        await world.say(text, thread=ts)
        asked = (await ours(world, ts))[-1]["text"]
        assert asked.startswith("Which plan do you mean? I have changed nothing yet.")
        assert "*Plan 1*" in asked
        assert f"`plan 2: {text}`" in asked
    await asks(goals, first, "vendors", "Which region?")
    await asks(goals, second, "vendors", "How many guests?")
    await world.idle()
    await world.say("as many as last year", thread=ts)
    asked = (await ours(world, ts))[-1]["text"]
    assert "step 1 waits for an answer: How many guests?" in asked
    assert goals.acts == []
    await world.say("plan 2: as many as last year", thread=ts)
    await world.idle()
    assert goals.acts == [("answer", "as many as last year", None)]
    assert goals.goals[second].task("vendors").answers
    assert world.orchestrator.requests == []


async def test_how_it_is_going_is_told_of_all_plans(world: World, goals: ScriptedGoals) -> None:
    ts, first, _ = await two_plans(world, goals)
    await world.say("how is it going?", thread=ts)
    told = (await ours(world, ts))[-1]["text"]
    assert told.count("0 of 4 steps done") == 2
    assert "*Plan 2*, Organise the summer party" in told
    await world.say("how is plan 2 going?", thread=ts)
    assert (await ours(world, ts))[-1]["text"].count("0 of 4 steps done") == 1
    await goals.cancel(first, ADA)
    goals.acts.clear()
    await world.say("stop", thread=ts)
    await world.idle()
    assert goals.acts == [("cancel", "")], "only one is left that may be meant"


async def test_outside_threads_words_name_the_thread_where_they_are_clear(
    world: World, goals: ScriptedGoals
) -> None:
    await two_plans(world, goals)
    ts = await world.say("stop")
    [asked] = await world.replies(ts)
    assert "in the thread of the one you mean" in asked["text"]
    assert goals.acts == []


@pytest.mark.parametrize("comes_back", [True, False])
async def test_an_answer_given_while_plans_cannot_be_read_is_kept(
    world: World, goals: ScriptedGoals, monkeypatch: pytest.MonkeyPatch, comes_back: bool
) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await asks(goals, goals.only.goal_id, "vendors", "Which region?")
    await world.idle()
    goals.acts.clear()
    talk = the_goals(world)
    talk.again_s, talk.patience_s = 0.05, 600.0 if comes_back else 0.2
    monkeypatch.setattr(ScriptedGoals, "in_thread", away)
    await world.say("Europe", thread=ts)
    await eventually(lambda: last_with(world, ts, "I keep what you said"), "the word of it")
    if comes_back:
        monkeypatch.undo()
        await world.idle()
        assert goals.acts == [("answer", "Europe", None)]
    else:
        await eventually(lambda: last_with(world, ts, "please say it again"), "that it was in vain")
        assert goals.acts == []
    assert world.orchestrator.requests == [], "it was no question"


async def is_changing(world: World) -> bool:
    return bool(the_goals(world).answering.running._replies)
