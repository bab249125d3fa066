"""Plans in Slack: shown, changed, followed and answered in their thread; what happens is told."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from database.errors import ModelError, StoreError
from database.goals import ANSWER, Goal
from goals.ports import TaskOutcome
from orchestrator.goal_replies import answer_run_id
from orchestrator.policy import Policy
from slack_interface.local_workspace.block_rules import check_blocks
from slack_interface.outgoing import Post
from tests.people import ADA, ALAN, BOT, GRACE, Json, eventually, find
from tests.slack_interface.goal_samples import NOTE, ScriptedGoals, result_of, sample_goal
from tests.slack_interface.refusals import Refusals
from tests.slack_interface.world import World

GENERAL = "C0GENERAL"
ASKED = "plan: compare three error trackers, check our budget, draft the announcement"


@pytest.fixture
async def goals(quiet_world: World) -> ScriptedGoals:
    """What stands behind the port; Ada decides."""
    quiet_world.pace.update_s = 0.02
    quiet_world.goals = made = ScriptedGoals()
    await Policy(quiet_world.store.policy).set("approvers", ALAN, ALAN)
    return made


@pytest.fixture
async def world(quiet_world: World, goals: ScriptedGoals) -> World:
    await quiet_world.start()
    return quiet_world


def button(message: Json, words: str) -> Json:
    [found] = [b for b in find(message["blocks"], "button") if b["text"]["text"] == words]
    return {"type": "button", "action_id": found["action_id"], "value": found["value"]}


def buttons(message: Json) -> list[str]:
    return [b["text"]["text"] for b in find(message.get("blocks") or [], "button")]


def cards(message: Json) -> list[tuple[str, str]]:
    """The steps of a plan: title and state."""
    return [(card["title"], card["status"]) for card in find(message["blocks"], "task_card")]


def words(value: Any) -> str:
    """All texts in a block or message."""
    if isinstance(value, dict):
        return " ".join(words(child) for key, child in value.items() if key != "type")
    if isinstance(value, list):
        return " ".join(map(words, value))
    return value if isinstance(value, str) else ""


async def planned(world: World, user: str = ADA, channel: str = "@assistant") -> tuple[str, Json]:
    """A request that becomes a plan: its ts, and the message with the plan."""
    mention = "" if channel == "@assistant" else "@Virtuous6 "
    ts = await world.say(f"{mention}{ASKED}", user, channel)
    where = f"D{user[1:]}" if channel == "@assistant" else f"C0{channel.upper()}"
    return ts, await plan_of(world, ts, where)


async def plan_of(world: World, ts: str, channel: str = "D0ADA") -> Json:
    async def there() -> Json | None:
        found = await world.thread(ts, channel)
        return next((m for m in found if find(m.get("blocks") or [], "plan")), None)

    found: Json = await eventually(there, "a plan")
    await world.idle()
    return await there() or found


async def ours(world: World, ts: str, channel: str = "D0ADA") -> list[Json]:
    await world.idle()
    return [m for m in await world.thread(ts, channel) if m.get("user") == BOT]


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


async def has_ended(goals: ScriptedGoals) -> bool:
    return goals.only.ended


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


async def asked_for(goals: ScriptedGoals) -> bool:
    return bool(goals.acts)


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


async def acts_are(goals: ScriptedGoals, count: int) -> bool:
    return len(goals.acts) >= count


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


async def last_with(world: World, ts: str, text: str) -> Json | None:
    found = [m for m in await world.thread(ts) if text in m["text"] and m.get("user") == BOT]
    return found[-1] if found else None


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


async def is_planned(goals: ScriptedGoals) -> bool:
    return bool(goals.goals)


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


async def test_no_plan_is_said_in_its_place(world: World, goals: ScriptedGoals) -> None:
    goals.problem = ModelError("The model gave no usable plan: ask in fewer words.")
    ts = await world.say(ASKED)
    [said] = await world.replies(ts)
    assert "The model gave no usable plan" in said["text"]
    assert buttons(said) == []


async def test_planning_can_be_stopped(world: World, goals: ScriptedGoals) -> None:
    goals.gate = asyncio.Event()
    ts = await world.say(ASKED)
    await eventually(lambda: last_with(world, ts, "making a plan"), "the card")
    await world.say("stop", thread=ts)
    await eventually(lambda: last_with(world, ts, "Stopped before"), "the word of it")
    assert len(await ours(world, ts)) == 1
    assert goals.goals == {}


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
