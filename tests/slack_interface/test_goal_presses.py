"""Buttons of plans that are old, pressed twice or by two, or that say what they should not."""

import pytest

from database.errors import ModelError
from database.goals import Spent
from goals.ports import TaskOutcome
from slack_interface.slack_bot import Mode
from tests.people import ADA, ALAN, GRACE, Json, eventually
from tests.slack_interface.goal_samples import ScriptedGoals
from tests.slack_interface.plans import (
    ASKED,
    GENERAL,
    acts_are,
    away,
    button,
    ours,
    planned,
    the_goals,
)
from tests.slack_interface.samples import click
from tests.slack_interface.sender import Sender
from tests.slack_interface.world import World


@pytest.fixture
def transport() -> Mode:
    return "http"


@pytest.fixture
async def world(quiet_world: World, goals: ScriptedGoals) -> World:
    await quiet_world.start()
    return quiet_world


async def press(world: World, sender: Sender, action: Json, user: str = ADA) -> None:
    """Press what the message may not show any more."""
    await sender.send(click(user, GENERAL, **action))
    await world.idle()


async def asked(world: World, goals: ScriptedGoals) -> tuple[str, Json]:
    """A plan in a channel whose first step asks: its thread, and the question."""
    ts, _ = await planned(world, channel="general")
    await world.say("start", ADA, "general", thread=ts)
    await world.idle()
    await goals.works("vendors", TaskOutcome(question="Which region?"))
    question = (await ours(world, ts, GENERAL))[-1]
    goals.acts.clear()
    return ts, question


async def test_a_button_of_what_is_over_says_so_and_does_nothing(
    world: World, goals: ScriptedGoals, sender: Sender
) -> None:
    _, plan = await planned(world, channel="general")
    start, cancel = button(plan, "Start"), button(plan, "Cancel")
    await press(world, sender, cancel)
    await press(world, sender, start)
    [told] = await world.whispers(ADA)
    assert told["text"] == "That is over, so there is nothing to start."
    assert [act[0] for act in goals.acts] == ["cancel"]
    assert goals.only.state == "cancelled"


async def test_the_second_answer_to_a_question_is_told_that_there_was_one(
    world: World, goals: ScriptedGoals, sender: Sender
) -> None:
    """Ada has the form open while an approver answers in its place."""
    _, question = await asked(world, goals)
    answer, skip = button(question, "Answer"), button(question, "Skip this step")
    await world.press(question, answer, GENERAL, ADA)
    form = await world.modal()
    await world.press(question, answer, GENERAL, ALAN)
    other = await world.modal(ALAN)
    for user, view, words in ((ALAN, other, "Europe"), (ADA, form, "America")):
        values = {"words": {"text": {"type": "plain_text_input", "value": words}}}
        await world.post("submit", view_id=view["id"], user=user, values=values)
        await world.idle()
    [told] = await world.whispers(ADA)
    assert "Nothing was asked here that still waits" in told["text"]
    assert goals.only.task("vendors").answers == ("Europe",)
    await goals.works("vendors", TaskOutcome(result="All fit.", spent=Spent(1.0)))
    await press(world, sender, skip)
    assert "done already" in (await world.whispers(ADA, 2))[-1]["text"]
    assert goals.only.task("vendors").state == "done"


async def test_two_who_start_at_once_start_it_once(
    world: World, goals: ScriptedGoals, sender: Sender
) -> None:
    _, plan = await planned(world, channel="general")
    start = button(plan, "Start")
    for user in (ADA, ALAN, ADA, GRACE):
        await sender.send(click(user, GENERAL, **start))
    await eventually(lambda: acts_are(goals, 3), "all were heard")
    await world.idle()
    assert goals.only.state == "running"
    assert goals.only.revision == 1
    [told] = await world.whispers(GRACE)
    assert "<@U0ADA>'s plan" in told["text"], "a stranger to it hears whose it is"


@pytest.mark.parametrize("number", ["", "0", "-1", "99", "9" * 500, "²", "1:1", "1;drop"])
async def test_a_button_that_names_no_step_of_the_plan_does_nothing(
    world: World, goals: ScriptedGoals, sender: Sender, number: str
) -> None:
    _, question = await asked(world, goals)
    before = goals.only
    skip = button(question, "Skip this step")
    await press(world, sender, skip | {"value": f"{before.goal_id}:{number}"})
    assert (await world.whispers(ADA))[0]["text"]
    assert goals.only == before


async def test_long_words_in_a_form_are_kept_whole_and_shown_in_part(
    world: World, goals: ScriptedGoals, sender: Sender
) -> None:
    ts, question = await asked(world, goals)
    await world.press(question, button(question, "Answer"), GENERAL, ADA)
    form = await world.modal()
    words = "Europe <!channel> " * 110
    values = {"words": {"text": {"type": "plain_text_input", "value": words.strip()}}}
    await world.post("submit", view_id=form["id"], user=ADA, values=values)
    await eventually(lambda: acts_are(goals, 1), "the answer")
    assert goals.only.task("vendors").answers == (words.strip(),)
    shown = next(m for m in await ours(world, ts, GENERAL) if m["ts"] == question["ts"])
    assert len(shown["text"]) < 1_500
    assert "<!channel>" not in str(shown)


async def test_an_answer_in_a_form_outlasts_a_time_without_plans(
    world: World, goals: ScriptedGoals, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, question = await asked(world, goals)
    await world.press(question, button(question, "Answer"), GENERAL, ADA)
    form = await world.modal()
    the_goals(world).again_s = 0.05
    monkeypatch.setattr(ScriptedGoals, "goal", away)
    values = {"words": {"text": {"type": "plain_text_input", "value": "Europe"}}}
    await world.post("submit", view_id=form["id"], user=ADA, values=values)
    [told] = await world.whispers(ADA)
    assert "I keep what you said" in told["text"]
    assert goals.acts == []
    monkeypatch.undo()
    await world.idle()
    assert goals.acts == [("answer", "Europe", 1)]


async def test_what_could_not_be_planned_is_tried_again_once(
    world: World, goals: ScriptedGoals, sender: Sender
) -> None:
    goals.problem = ModelError("The model gave no usable plan.")
    ts = await world.say(f"@Virtuous6 {ASKED}", ADA, "general")
    [told] = await ours(world, ts, GENERAL)
    goals.problem = None
    for _ in range(2):
        pressed = click(ADA, GENERAL, **button(told, "Try again"))
        pressed["message"]["thread_ts"] = pressed["container"]["thread_ts"] = ts
        await sender.send(pressed)
        await world.idle()
    assert goals.planned == 1
    assert "tried that again already" in (await world.whispers(ADA))[-1]["text"]


async def test_a_plan_that_is_gone_is_said_to_be(
    world: World, goals: ScriptedGoals, sender: Sender
) -> None:
    _, plan = await planned(world, channel="general")
    goals.goals.clear()
    for words in ("Start", "Change", "Cancel"):
        await press(world, sender, button(plan, words))
    told = await world.whispers(ADA, 3)
    assert {m["text"] for m in told} == {"I do not have that plan any more: ask me anew."}
    assert goals.acts == []
