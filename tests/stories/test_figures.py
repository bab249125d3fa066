"""What people see of themselves and of all: /metrics and the Home tab."""

import json
from collections.abc import Sequence

from database.records import Metrics, RunQuery
from tests.model_server.server import answer, failure
from tests.people import ADA, ALAN, GRACE, Json, find
from tests.stories.story import Story, asked, seen

ANSWERS = (answer("Tea.", when=asked("drink")), answer("```\n1\n```", when=asked("Python")))
CODE = "Write a Python function that counts words"


async def busy_day(story: Story) -> None:
    """Ada asks twice and likes one answer; Grace asks in public and does not; all on one day."""
    await story.told(*ANSWERS)
    liked = await story.ask("What should I drink?")
    await story.ask(CODE)
    disliked = await story.mention("What to drink at noon?", GRACE)
    await story.rate(liked, "positive")
    await story.rate(disliked, "negative", GRACE, "C0GENERAL")
    await story.mention("What do leaders drink?", GRACE, "leadership")
    await story.whispers()
    await story.modal(GRACE)
    await story.idle()


async def figures(story: Story, words: str, user: str = ADA, channel: str = "general") -> Json:
    """What `/metrics words` shows this person."""
    before = len((await story.get(f"ephemeral/{user}"))["messages"])
    await story.command("/metrics", words, user, channel)
    return (await story.whispers(user, before + 1))[-1]


def cells(message: Json) -> list[list[str]]:
    """The table below the charts, head first."""
    [table] = find(message["blocks"], "data_table")
    return [[cell["text"] for cell in row] for row in table["rows"]]


async def test_metrics_say_what_was_recorded_in_charts_table_and_words(story: Story) -> None:
    await busy_day(story)

    shown = await figures(story, "me 7d")

    truth: Metrics = await story.house.store.metrics(RunQuery(user_id=ADA))
    total = truth.total
    text = shown["text"]
    assert "You, last 7 days" in text
    assert f"Answers: {total.runs}\n" in text
    assert total.runs == 2
    assert "Success: 100% (1 judged)" in text
    assert f"{total.input_tokens:,} read, {total.output_tokens:,} written" in text
    assert total.input_tokens > 0
    assert f"{(total.p50_ms or 0) / 1000:.1f} s median" in text
    assert "Cost: unknown" in text, "an unknown price is not 0"
    assert "Feedback: 1 good, 0 bad (satisfaction 100%)" in text
    head, *rows = cells(shown)
    assert head[:3] == ["Agent", "Answers", "Success"]
    by_agent = {row[0]: row[1:] for row in rows}
    assert by_agent["coder"][0] == "1"
    assert by_agent["total"][0] == "2"
    assert find(shown["blocks"], "data_visualization")
    for row in truth.by_agent:
        assert f"{row.label}: 1 answer, " in text, "the chart in words"


FORMS: Sequence[tuple[str, str, Sequence[str]]] = (
    ("", ADA, ["Everyone, last 30 days", "Answers: 4\n", "Feedback: 1 good, 1 bad"]),
    ("", ALAN, ["Everyone, last 30 days", "Answers: 1\n", "0 good, 1 bad"]),
    ("me today", GRACE, ["You, today", "Answers: 2\n", "Success: 0% (1 judged)"]),
    ("@grace 7d", ADA, ["grace, last 7 days: 1 answer in public channels."]),
    ("<@U0GRACE> 24h", GRACE, ["grace, last 1 day", "Answers: 2\n"]),
    ("#general 2 weeks", ALAN, ["#general, last 14 days", "Answers: 1\n"]),
    ("<#C0LEADERSHIP> 7d", ALAN, ["Only members of a private channel"]),
    ("agent coder 30d", ADA, ["Agent coder, last 30 days", "Answers: 1\n"]),
    ("agent coder 30d", GRACE, ["Agent coder", "nothing was asked", "such as `30d`"]),
    ("since yesterday", ADA, ["I do not understand “yesterday”", "/metrics me 7d"]),
)


async def test_metrics_of_a_person_channel_agent_and_period(story: Story) -> None:
    await busy_day(story)
    for words, user, says in FORMS:
        text = (await figures(story, words, user))["text"]
        assert [line for line in says if line not in text] == [], f"{words} of {user}: {text}"


async def test_metrics_in_a_thread_are_words_only_the_asker_sees(story: Story) -> None:
    await story.told(*ANSWERS)
    reply = await story.mention("What should I drink?")

    await story.say("metrics", GRACE, "general", thread=reply["thread_ts"])

    [shown] = await story.whispers(GRACE)
    assert "Everyone, last 30 days" in shown["text"]
    assert shown["thread_ts"] == reply["thread_ts"]
    assert len(await story.thread(reply["thread_ts"], "C0GENERAL")) == 2


async def test_a_failed_answer_counts_as_one_that_did_not_succeed(story: Story) -> None:
    await story.told(failure(400, "no", when=asked("drink")))
    await story.ask("What should I drink?")

    text = (await figures(story, "me"))["text"]

    assert "Answers: 1\n" in text
    assert "Success: 0% (1 judged)" in text


async def test_home_shows_recent_answers_and_keeps_settings(story: Story) -> None:
    await busy_day(story)

    home = await story.home()
    shown = seen(home)
    assert "Hello Ada" in shown
    assert CODE in shown
    assert "coder · " in shown
    assert "Answers: 2" in shown
    assert "leaders" not in shown, "what others asked is not shown"

    selects = {entry["action_id"]: entry for entry in find(home["blocks"], "static_select")}
    for action_id, value in (
        ("settings:answer_length", "short"),
        ("settings:time_zone", "Asia/Tokyo"),
    ):
        chosen = next(o for o in selects[action_id]["options"] if o["value"] == value)
        action = {"type": "static_select", "action_id": action_id, "selected_option": chosen}
        await story.post("interact", view_id=home["id"], user=ADA, action=action)
    await story.idle()
    again = find((await story.home())["blocks"], "static_select")
    mine = [s for s in again if s["action_id"].startswith("settings:")]
    assert [s["initial_option"]["value"] for s in mine] == ["short", "Asia/Tokyo", "yes"]


async def test_the_length_chosen_on_home_is_what_the_model_is_told(story: Story) -> None:
    await story.told(*ANSWERS)
    home = await story.home()
    [lengths] = [
        e for e in find(home["blocks"], "static_select") if "length" in str(e["action_id"])
    ]
    chosen = next(o for o in lengths["options"] if o["value"] == "short")
    action = {"type": "static_select", "action_id": lengths["action_id"], "selected_option": chosen}

    await story.ask("What should I drink?")
    await story.post("interact", view_id=home["id"], user=ADA, action=action)
    await story.ask("What should I drink now?")
    await story.ask("What does Grace drink?", GRACE)

    before, after, other = (turns[-1]["content"] for turns in await story.prompts())
    assert before == "What should I drink?"
    assert after.startswith("What should I drink now?")
    assert "at most three sentences" in after
    assert other == "What does Grace drink?"
    assert "three sentences" not in json.dumps([run.request for run in await story.runs()])


async def test_home_of_a_newcomer_says_how_to_begin(story: Story) -> None:
    shown = seen(await story.home(ALAN))
    assert "Your figures appear here once you have asked me something." in shown
    assert "/save-workflow" in shown
    await story.post("open-home", user=ALAN, tab="messages")
    await story.idle()
    prompts = seen((await story.get("state"))["prompts"])
    assert "What can you do?" in prompts
