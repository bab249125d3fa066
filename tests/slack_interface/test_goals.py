"""Plans in Slack: shown, changed, followed and answered in their thread; what happens is told."""

from dataclasses import replace
from typing import Any

import pytest

from database.goals import ANSWER, Goal
from goals.ports import TaskOutcome
from orchestrator.goal_replies import answer_run_id
from slack_interface.local_workspace.block_rules import check_blocks
from tests.people import ADA, ALAN, GRACE, eventually, find
from tests.slack_interface.goal_samples import NOTE, ScriptedGoals, result_of, sample_goal
from tests.slack_interface.plans import (
    ASKED,
    GENERAL,
    acts_are,
    asked_for,
    button,
    buttons,
    cards,
    has_ended,
    last_with,
    ours,
    plan_of,
    planned,
    words,
)
from tests.slack_interface.world import World


@pytest.fixture
async def world(quiet_world: World, goals: ScriptedGoals) -> World:
    await quiet_world.start()
    return quiet_world


async def test_a_request_that_needs_it_becomes_one_plan_message(
    world: World, goals: ScriptedGoals
) -> None:
    ts, plan = await planned(world)
    assert [plan] == await ours(world, ts)
    assert buttons(plan) == ["Start", "Change", "Cancel"]
    assert check_blocks(plan["blocks"], "message") == []
    assert cards(plan)[0] == ("1. Compare three error trackers", "pending")
    told = words(plan["blocks"])
    for said in ("Choose an error tracker", "Tell the team", "researcher", "after 1", "$0.0150",
                 "a new specialist for internal announcements", "72%", NOTE):  # fmt: skip
        assert said in told
    assert "1. Compare three error trackers" in plan["text"], "it reads well without blocks"
    run = await world.store.run_of_message("D0ADA", plan["ts"])
    assert run is not None
    assert (run.run_id, run.reply_ts) == (goals.only.run_id, plan["ts"])
    assert world.orchestrator.requests == []


async def test_it_is_followed_in_the_same_message_and_answered_in_the_thread(
    world: World, goals: ScriptedGoals
) -> None:
    ts, plan = await planned(world)
    await world.press(plan, button(plan, "Start"))
    await world.idle()
    await goals.works("vendors")
    shown = await plan_of(world, ts)
    assert shown["ts"] == plan["ts"]
    assert [state for _, state in cards(shown)] == ["in_progress", *["pending"] * 3]
    assert buttons(shown) == ["Change", "Stop"]
    await goals.works("vendors", result_of("vendors"))
    shown = await plan_of(world, ts)
    assert cards(shown)[0][1] == "complete"
    assert "Rollbar the cheapest" in words(find(shown["blocks"], "task_card")[0]["output"])
    assert buttons(shown)[0] == "Results"
    await goals.all_works()
    [done, answer] = await ours(world, ts)
    assert (done["ts"], buttons(done)) == (plan["ts"], ["Results"])
    said = answer["text"]
    assert said.startswith("Take Sentry")
    for part in ("1. Compare three error trackers (researcher, 22 s): Sentry is the most complete",
                 "expected: about", "expected: $0.0150"):  # fmt: skip
        assert part in said
    assert "Missing" not in said
    [thumbs] = find(answer["blocks"], "feedback_buttons")
    up = thumbs["positive_button"]["value"]
    assert up == f"up:{answer_run_id(goals.only)}"
    press = {"type": "feedback_buttons", "action_id": thumbs["action_id"], "value": up}
    await world.press(answer, press)
    await world.idle()
    run = await world.store.run_of_message("D0ADA", answer["ts"])
    assert run is not None
    [felt] = world.orchestrator.feedback
    assert felt.run_id == run.run_id == answer_run_id(goals.only)
    assert run.parent_run_id == goals.only.run_id


async def test_what_is_missing_is_said_and_why(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await goals.works("vendors", result_of("vendors"))
    await goals.works("budget", TaskOutcome(failure="The price list is gone."))
    await world.say("skip step 3", thread=ts)
    await world.idle()
    shown = await plan_of(world, ts)
    assert cards(shown)[1:3] == [
        ("2. Check them against our budget", "error"),
        ("3. Draft the announcement (skipped)", "pending"),
    ]
    await goals.all_works()
    answer = (await ours(world, ts))[-1]
    assert "**Missing** are what step 2 (Check them against our budget)" in answer["text"]
    assert "The price list is gone." in answer["text"]


async def test_where_nothing_came_out_that_is_said(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await goals.works("vendors", TaskOutcome(failure="The model is away."))
    await eventually(lambda: has_ended(goals), "it has ended")
    said = (await ours(world, ts))[-1]
    assert said["text"].startswith("I could not finish")
    assert "The model is away." in said["text"]
    assert find(said["blocks"], "feedback_buttons")


async def test_changing_by_the_button_asks_for_words(world: World, goals: ScriptedGoals) -> None:
    ts, plan = await planned(world)
    await world.press(plan, button(plan, "Change"))
    form = await world.modal()
    assert [b["type"] for b in form["blocks"]] == ["input", "context"]
    values = {"words": {"text": {"type": "plain_text_input", "value": "call the vendor"}}}
    await world.post("submit", view_id=form["id"], user=ADA, values=values)
    await eventually(lambda: asked_for(goals), "the change")
    shown = await plan_of(world, ts)
    assert goals.acts == [("change", "call the vendor")]
    assert "4. call the vendor" in [title for title, _ in cards(shown)]


async def test_only_who_asked_or_an_approver_may(world: World, goals: ScriptedGoals) -> None:
    ts, plan = await planned(world, channel="general")
    await world.press(plan, button(plan, "Start"), GENERAL, GRACE)
    await world.press(plan, button(plan, "Change"), GENERAL, GRACE)
    await world.say("skip step 1", GRACE, "general", thread=ts)
    told = await world.whispers(GRACE, 3)
    assert all("<@U0ADA>'s plan" in message["text"] for message in told)
    await world.idle()
    assert goals.acts == []
    assert goals.only.state == "proposed"
    assert [plan["ts"]] == [m["ts"] for m in await ours(world, ts, GENERAL)]
    await world.say("how is it going?", GRACE, "general", thread=ts)
    assert "say `start`" in (await ours(world, ts, GENERAL))[-1]["text"], "looking is free"
    await world.press(plan, button(plan, "Start"), GENERAL, ALAN)
    await eventually(lambda: asked_for(goals), "an approver starts it")


async def test_a_question_waits_for_whoever_asked(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world, channel="general")
    await world.say("start", ADA, "general", thread=ts)
    await world.idle()
    await goals.works("vendors", TaskOutcome(question="Is self-hosting an option?"))
    question = (await ours(world, ts, GENERAL))[-1]
    assert "<@U0ADA>" in question["text"]
    assert "Is self-hosting an option?" in question["text"]
    assert buttons(question) == ["Answer", "Skip this step"]
    shown = await plan_of(world, ts, GENERAL)
    assert cards(shown)[0] == ("1. Compare three error trackers (waits for you)", "pending")
    await world.say("I would say yes", GRACE, "general", thread=ts)
    await world.say("What does that mean?", ADA, "general", thread=ts)
    await world.idle()
    assert goals.acts[1:] == [], "a colleague's word and a question back are no answer"
    await world.say("No, only hosted ones.", ADA, "general", thread=ts)
    await world.idle()
    assert goals.acts[-1] == ("answer", "No, only hosted ones.", None)
    question = next(m for m in await ours(world, ts, GENERAL) if m["ts"] == question["ts"])
    assert buttons(question) == []
    assert "No, only hosted ones." in question["text"]


async def test_a_question_is_answered_by_its_button(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await goals.works("vendors", TaskOutcome(question="Which region?"))
    question = (await ours(world, ts))[-1]
    await world.press(question, button(question, "Answer"))
    form = await world.modal()
    assert "Which region?" in words(form["blocks"])
    values = {"words": {"text": {"type": "plain_text_input", "value": "Europe"}}}
    await world.post("submit", view_id=form["id"], user=ADA, values=values)
    await eventually(lambda: acts_are(goals, 2), "the answer")
    assert goals.acts[-1] == ("answer", "Europe", 1)


async def test_a_goal_that_asks_whether_to_go_on(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await goals.moves(
        goals.only.goal_id,
        lambda g: replace(g, asks="I used $1.00 of $1.00. May I go on?", state="waiting"),
    )
    question = (await ours(world, ts))[-1]
    assert buttons(question) == ["Yes, go on", "No, stop here"]
    await world.say("what would it cost me in all", thread=ts)
    await world.idle()
    assert goals.acts == [("start",)], "only yes or no is an answer"
    await world.say("yes", thread=ts)
    await world.idle()
    assert goals.acts[-1] == ("answer", "yes", None)


async def test_twins_and_double_clicks_count_once(world: World, goals: ScriptedGoals) -> None:
    await world.post("faults", duplicate=1.0)
    ts, plan = await planned(world, channel="general")
    await world.press(plan, button(plan, "Start"), GENERAL)
    await world.say("@Virtuous6 add a step that calls Bugsnag", ADA, "general", thread=ts)
    await eventually(lambda: acts_are(goals, 2), "both were done")
    await world.idle()
    assert goals.planned == 1
    assert sorted(goals.acts) == [("change", "add a step that calls Bugsnag"), ("start",)]
    await goals.all_works()
    messages = await ours(world, ts, GENERAL)
    assert len([m for m in messages if find(m.get("blocks") or [], "plan")]) == 1
    assert len([m for m in messages if m["text"].startswith("Take Sentry")]) == 1


async def test_a_refused_plan_says_why_and_can_be_answered_anyway(
    world: World, goals: ScriptedGoals
) -> None:
    goals.plan = lambda request: sample_goal(
        request, tasks=(), objectives=(), state="refused", reason="Its steps need each other."
    )
    ts = await world.say(ASKED)
    [said] = await world.replies(ts)
    assert "Its steps need each other." in said["text"]
    await world.press(said, button(said, "Answer without a plan"))
    await eventually(lambda: last_with(world, ts, "You said"), "the answer")
    assert (await ours(world, ts))[-1]["text"] == f"You said: {ASKED}"


async def test_what_a_model_plans_calls_nobody_and_links_nowhere(
    world: World, goals: ScriptedGoals
) -> None:
    bad = "<!channel> <@U0GRACE> [click](https://evil.example/?q=secret) *x*"

    def hostile(request: Any) -> Goal:
        goal = sample_goal(request, title=bad, notes=(bad,))
        return replace(goal, tasks=tuple(replace(t, title=bad, agent=bad) for t in goal.tasks))

    goals.plan = hostile
    ts, _ = await planned(world, channel="general")
    await world.say("start", ADA, "general", thread=ts)
    await world.idle()
    await goals.works("vendors", TaskOutcome(result=bad))
    await goals.works("budget", TaskOutcome(question=bad))
    for message in await ours(world, ts, GENERAL):
        texts = [message["text"], *(b["text"] for b in find(message.get("blocks") or [], "mrkdwn"))]
        for text in texts:
            assert "<!channel>" not in text
            assert "<@U0GRACE>" not in text
            assert "](https://evil" not in text
        assert check_blocks(message.get("blocks") or [], "message") == []
    assert goals.only.task(ANSWER).state == "pending"


async def test_results_in_full(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    long = "First line.\n\n" + "word " * 3_000 + "last word."
    await goals.works("vendors", TaskOutcome(result=long))
    shown = await plan_of(world, ts)
    assert len(words(find(shown["blocks"], "task_card")[0]["output"])) < 400
    await world.press(shown, button(shown, "Results"))
    view = await world.modal()
    assert "last word." in words(view["blocks"])
    assert check_blocks(view["blocks"], "modal") == []
    await world.say("show step 1", thread=ts)
    assert "First line." in words((await ours(world, ts))[-1]["blocks"])


async def test_a_goal_is_saved_as_the_steps_that_went_well(
    world: World, goals: ScriptedGoals
) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    await goals.works("vendors", result_of("vendors"))
    await goals.works("budget", TaskOutcome(failure="No price list."))
    await goals.all_works()
    await world.idle()
    await world.say("save-workflow vendor-choice", thread=ts)
    await world.idle()
    saved, _, _ = world.workflows.saved["vendor-choice"]
    assert [run.request for run in saved] == ["Compare Sentry, Rollbar and Bugsnag.", "Write it."]
    assert saved[0].agent == "researcher"


async def test_what_runs_is_in_the_home_tab(world: World, goals: ScriptedGoals) -> None:
    ts, _ = await planned(world)
    await world.say("start", thread=ts)
    await world.idle()
    home = words((await world.home())["blocks"])
    assert "Your plans" in home
    assert "0 of 4 steps done" in home
    assert "Your plans" not in words((await world.home(GRACE))["blocks"])
