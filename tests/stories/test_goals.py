"""A request that is several pieces of work: its plan, its start, its steps and its answer."""

import json
from collections.abc import Sequence

import pytest

from database.goals import ANSWER, Goal
from database.records import Run, RunQuery
from orchestrator.goal_replies import answer_run_id
from slack_interface.slack_bot import Mode
from tests.model_server.server import answer, failure
from tests.patience import PATIENCE_S
from tests.people import ADA, ALAN, Json, eventually, find
from tests.stories.story import Story, asked, seen

pytestmark = pytest.mark.timeout(120)

ASKED = (
    "Compare Sentry, Rollbar and Bugsnag for our error tracking, check the best of them against "
    "our budget of $500 a year, and draft the announcement for the team."
)
PLAN = {
    "goal": "Choose an error tracker within the budget and tell the team",
    "steps": [
        {"stage": 1, "title": "Compare the trackers", "needs": [],
         "task": "Lay out strengths and yearly prices of the three trackers.",
         "result": "a comparison"},
        {"stage": 2, "title": "Check the budget", "needs": [1],
         "task": "Say whether the best one stays within $500 a year.",
         "result": "a yes or no"},
        {"stage": 3, "title": "Draft the announcement", "needs": [1],
         "task": "Write four friendly sentences for the team channel.",
         "result": "an announcement"},
    ],
}  # fmt: skip
COMPARED = "Sentry is the most complete, at $312 a year."
WITHIN = "Yes: $312 is within $500."
DRAFT = "Hello team, from Monday on we use Sentry."
SAID = "Take Sentry. It costs $312 of your $500. The announcement is ready."


def planning(plan: Json = PLAN) -> Json:
    """The model plans so."""
    return answer(json.dumps(plan), when={"systemMessage": "You plan work for a team"})


def working() -> Sequence[Json]:
    """What comes of the steps, each recognised by its task."""
    return (
        answer(SAID, when=asked("Answer the request from the results")),
        answer(COMPARED, when=asked("Lay out strengths")),
        answer(WITHIN, when=asked("Say whether the best one")),
        answer(DRAFT, when=asked("Write four friendly sentences")),
    )


async def our_messages(story: Story, ts: str) -> list[Json]:
    return [m for m in await story.thread(ts) if m.get("user") != ADA]


async def plan_in(story: Story, ts: str, holds: str) -> Json:
    """The message with the plan, once it shows something."""

    async def there() -> Json | None:
        found = await our_messages(story, ts)
        plans = [m for m in found if find(m.get("blocks") or [], "plan")]
        assert len(plans) <= 1, "one message for one plan"
        return next((m for m in plans if holds in seen(m)), None)

    found: Json = await eventually(there, f"a plan with {holds!r}")
    return found


async def said_in(story: Story, ts: str, text: str, timeout: float = PATIENCE_S) -> Json:
    async def there() -> Json | None:
        return next((m for m in await our_messages(story, ts) if text in seen(m)), None)

    found: Json = await eventually(there, f"a message with {text!r}", timeout)
    return found


def button(message: Json, words: str) -> Json:
    [found] = [b for b in find(message["blocks"], "button") if b["text"]["text"] == words]
    return {"type": "button", "action_id": found["action_id"], "value": found["value"]}


async def goal_in(story: Story, ts: str) -> Goal:
    [goal] = await story.house.goals.in_thread("D0ADA", ts)
    return goal


async def run_of(story: Story, run_id: str) -> Run:
    async def recorded() -> Run | None:
        return await story.house.store.run(run_id)

    found: Run = await eventually(recorded, "the run is recorded")
    return found


async def asks_before_it_starts(story: Story) -> None:
    await story.house.policy.set("goal_start", "ask", ADA)


async def test_from_the_request_to_the_answer(story: Story) -> None:
    await asks_before_it_starts(story)
    await story.told(planning(), *working())
    ts = await story.say(ASKED)
    plan = await plan_in(story, ts, "Compare the trackers")
    assert str(PLAN["goal"]) in seen(plan)
    assert [card["status"] for card in find(plan["blocks"], "task_card")] == ["pending"] * 4
    request = await run_of(story, (await goal_in(story, ts)).run_id)
    assert request.reply_ts == plan["ts"]
    await story.press(plan, button(plan, "Start"))
    final = await said_in(story, ts, SAID)
    for came in (COMPARED, WITHIN, DRAFT):
        assert came in final["text"], "which step gave what"
    assert "expected:" in final["text"]
    done = await plan_in(story, ts, "*Done*")
    assert done["ts"] == plan["ts"]
    assert [card["status"] for card in find(done["blocks"], "task_card")] == ["complete"] * 4
    goal = await goal_in(story, ts)
    run = await run_of(story, answer_run_id(goal))
    assert (run.parent_run_id, run.reply_ts) == (goal.run_id, final["ts"])
    await story.rate(final, "positive")
    await story.idle()
    assert [felt.run_id for felt in await story.feedback_on(run)] == [run.run_id]

    async def tasks() -> set[str | None] | None:
        found = await story.house.store.runs(RunQuery(kinds=("task",)))
        return {run.parent_run_id for run in found} if len(found) == 4 else None

    assert await eventually(tasks, "the runs of all steps") == {goal.run_id}


async def test_a_small_plan_starts_by_itself_and_says_so(story: Story) -> None:
    await story.told(planning(), *working())
    ts = await story.say(ASKED)
    final = await said_in(story, ts, SAID)
    assert final["text"].startswith(SAID)
    shown = await plan_in(story, ts, "*Done*")
    goal = await goal_in(story, ts)
    assert goal.notes[0] in seen(shown) or goal.notes[-1] in seen(shown)
    assert goal.notes, "why it started by itself"


async def test_words_change_what_is_done_and_what_failed_is_missed(
    story: Story,
) -> None:
    await asks_before_it_starts(story)
    added = answer("Legal has no objection.", when=asked("asks our lawyers"))
    broken = failure(400, "no such thing", when=asked("Say whether the best one"))
    nowhere = answer('{"steps": []}', when={"systemMessage": "A step of a plan has failed"})
    await story.told(planning(), added, broken, nowhere, *working())
    ts = await story.say(ASKED)
    plan = await plan_in(story, ts, "Compare the trackers")
    await story.say("skip step 3", thread=ts)
    await plan_in(story, ts, "(skipped)")
    await story.say("add a step after step 1 that asks our lawyers", thread=ts)
    await plan_in(story, ts, "lawyers")
    await story.say("How is it going?", thread=ts)
    await said_in(story, ts, "waits for its start")
    await story.press(plan, button(plan, "Start"), user=ALAN)
    await story.press(plan, button(plan, "Start"))
    final = await said_in(story, ts, SAID)
    assert "Legal has no objection." in final["text"]
    assert "**Missing** are what step 2 (Check the budget), step 3" in final["text"]
    goal = await goal_in(story, ts)
    assert [task.state for task in goal.tasks if task.number == 3] == ["skipped"]
    assert goal.task(ANSWER).state == "done"


async def test_a_restart_in_the_middle_shows_everything_once(quiet_story: Story) -> None:
    story = quiet_story
    await story.start()
    await asks_before_it_starts(story)
    slow = answer(WITHIN, when=asked("Say whether the best one"), latency=1_000)
    await story.told(planning(), slow, *working())
    ts = await story.say(ASKED)
    plan = await plan_in(story, ts, "Compare the trackers")
    await story.press(plan, button(plan, "Start"))
    await plan_in(story, ts, COMPARED)
    await story.stop()
    await story.start()
    await said_in(story, ts, SAID, 2 * PATIENCE_S)
    await plan_in(story, ts, "*Done*")
    await story.idle()
    messages = await our_messages(story, ts)
    assert len([m for m in messages if SAID in m["text"]]) == 1
    assert len(messages) == 2, "the plan and the answer"


async def test_stopping_while_it_runs(story: Story) -> None:
    await asks_before_it_starts(story)
    slow = answer(WITHIN, when=asked("Say whether the best one"), latency=30_000)
    await story.told(planning(), slow, *working())
    ts = await story.say(ASKED)
    plan = await plan_in(story, ts, "Compare the trackers")
    await story.press(plan, button(plan, "Start"))
    await plan_in(story, ts, COMPARED)
    await story.say("stop", thread=ts)
    await plan_in(story, ts, "*Stopped*")
    assert (await goal_in(story, ts)).state == "cancelled"


async def test_a_plan_that_is_none_is_refused_in_the_thread(story: Story) -> None:
    await story.told(planning({"goal": "", "steps": []}), answer("Here is all of it at once."))
    ts = await story.say(ASKED)
    refused = await said_in(story, ts, "I made no plan")
    await story.press(refused, button(refused, "Answer without a plan"))
    await said_in(story, ts, "Here is all of it at once.")


@pytest.fixture
def transport() -> Mode:
    """One of them: what is told here happens behind both."""
    return "socket"
