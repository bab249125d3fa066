"""Telling what an answer was worth, and having it made better."""

import pytest

from database.records import Feedback
from tests.model_server.server import answer
from tests.people import ADA, BOT, GRACE, eventually
from tests.stories.story import Story, asked

KINDS = answer("There are six kinds of tea.", when=asked("kinds of tea"))
BETTER = answer("Six.", when=asked("answer my request again"))


async def felt(story: Story, count: int = 1) -> list[Feedback]:
    """All feedback on the first run, once there is so much."""
    run = (await story.runs())[0]

    async def kept() -> list[Feedback] | None:
        found = await story.feedback_on(run)
        return found if len(found) >= count else None

    found: list[Feedback] = await eventually(kept, f"{count} pieces of feedback")
    return found


async def test_a_good_answer_is_rated_and_counts_as_a_success(story: Story) -> None:
    await story.told(KINDS)
    reply = await story.ask("How many kinds of tea are there?")

    await story.rate(reply, "positive")

    [thanks] = await story.whispers()
    assert "Thank you" in thanks["text"]
    [rating] = await felt(story)
    assert (rating.kind, rating.value, rating.weight) == ("rating", 1.0, 1.0)
    assert rating.user_id == ADA


async def test_a_bad_answer_is_asked_about_and_answered_again(story: Story) -> None:
    await story.told(BETTER, KINDS)
    reply = await story.ask("How many kinds of tea are there?")

    await story.rate(reply, "negative")
    why = await story.modal()
    await story.submit(why, reasons=["long"], words="Just the number", again=["yes"])
    replies = await story.replies(reply["thread_ts"], count=3)

    assert "asked for a better answer" in replies[1]["text"]
    assert replies[2]["text"] == "Six."
    [last] = (await story.prompts())[-1][-1:]
    assert "It is too long. Just the number" in last["content"]
    first, second = await story.runs()
    assert second.parent_run_id == first.run_id
    feedback = {entry.kind: entry for entry in await felt(story, 3)}
    assert (feedback["rating"].value, feedback["rating"].weight) == (-1.0, 1.0)
    assert feedback["reason"].text == "It is too long: Just the number"
    assert feedback["better"].text == "It is too long. Just the number"


async def test_better_improves_the_last_answer_and_keeps_the_wish(story: Story) -> None:
    await story.told(BETTER, KINDS)
    reply = await story.ask("How many kinds of tea are there?")

    await story.command("/better", "a number only")
    replies = await story.replies(reply["thread_ts"], count=3)

    assert replies[1]["text"] == f"<@{ADA}> asked for a better answer: _a number only_"
    assert replies[2]["text"] == "Six."
    question, before, wish = (await story.prompts())[-1][-3:]
    assert question["content"] == "How many kinds of tea are there?"
    assert before["content"] == "There are six kinds of tea."
    assert wish["content"].endswith("this time: a number only")
    first, second = await story.runs()
    assert (second.request, second.parent_run_id) == (first.request, first.run_id)
    assert second.agent == first.agent
    [better] = await felt(story)
    assert (better.kind, better.text, better.weight) == ("better", "a number only", 1.0)
    assert better.value < 0


async def test_better_in_the_words_of_a_thread_and_better_again(story: Story) -> None:
    await story.told(
        answer("Seis.", when=asked("in Spanish")), BETTER, KINDS,
    )  # fmt: skip
    reply = await story.mention("How many kinds of tea are there?")
    thread = reply["thread_ts"]

    await story.say("better: a number only", GRACE, "general", thread=thread)
    await story.replies(thread, "C0GENERAL", 2)
    await story.say("/better in Spanish", ADA, "general", thread=thread)
    replies = await story.replies(thread, "C0GENERAL", 3)

    assert [r["text"] for r in replies] == ["There are six kinds of tea.", "Six.", "Seis."]
    first, second, third = await story.runs()
    assert [second.parent_run_id, third.parent_run_id] == [first.run_id, second.run_id]
    assert {run.request for run in (first, second, third)} == {first.request}
    [wish] = await felt(story)
    assert (wish.text, wish.user_id) == ("a number only", GRACE)


@pytest.mark.parametrize(
    ("emoji", "value"), [("heart", 1.0), ("thumbsdown", -1.0), ("thinking_face", -0.3)]
)
async def test_a_reaction_weighs_less_than_a_word(story: Story, emoji: str, value: float) -> None:
    await story.told(KINDS)
    reply = await story.ask("How many kinds of tea are there?")

    await story.post("reaction", channel="D0ADA", ts=reply["ts"], user=ADA, name=emoji)

    [reaction] = await felt(story)
    assert (reaction.kind, reaction.value) == ("reaction", value)
    assert 0 < reaction.weight < 1


@pytest.mark.parametrize(
    ("next_words", "kind"),
    [
        ("How many kinds of tea do there exist?", "rephrase"),
        ("no, I meant green tea", "correction"),
    ],
)
async def test_asking_again_tells_that_the_answer_was_not_right(
    story: Story, next_words: str, kind: str
) -> None:
    await story.told(KINDS, answer("One.", when=asked("")))
    first = await story.ask("How many kinds of tea are there?")

    await story.say(next_words, thread=first["thread_ts"])
    await story.replies(first["thread_ts"], count=2)

    [feedback] = await felt(story)
    assert (feedback.kind, feedback.text) == (kind, next_words)
    assert feedback.value < 0
    assert 0 < feedback.weight < 1


async def test_a_question_edited_after_its_answer_is_a_weak_sign(story: Story) -> None:
    await story.told(KINDS)
    reply = await story.ask("How many kinds of tea are there?")
    where = {"channel": "@assistant", "ts": reply["thread_ts"], "user": ADA}

    await story.post("edit-message", text="How many kinds of green tea are there?", **where)

    [edit] = await felt(story)
    assert (edit.kind, edit.text) == ("correction", "How many kinds of green tea are there?")
    assert -1 < edit.value < 0
    assert 0 < edit.weight < 0.5
    answers = [m for m in await story.thread(reply["thread_ts"]) if m["user"] == BOT]
    assert len(answers) == 1, "an edit is not a new question"
