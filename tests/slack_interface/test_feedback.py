"""Buttons with a why, reactions, rephrasings, corrections."""

import pytest

from tests.people import ADA, GRACE, Json, eventually, find
from tests.slack_interface.world import World, over_both_transports


def buttons(message: Json) -> Json:
    [element] = find(message["blocks"], "feedback_buttons")
    return element


def pressed(message: Json, which: str) -> Json:
    element = buttons(message)
    return {
        "type": "feedback_buttons",
        "action_id": element["action_id"],
        "value": element[f"{which}_button"]["value"],
    }


@over_both_transports
async def test_a_good_answer_is_thanked_for_unseen_by_others(world: World) -> None:
    [reply] = await world.replies(await world.say("tea?"))
    await world.press(reply, pressed(reply, "positive"))
    [thanks] = await world.whispers()
    assert len(thanks["text"]) < 80
    [rating] = world.orchestrator.feedback
    assert (rating.kind, rating.value, rating.weight, rating.user_id) == ("rating", 1.0, 1.0, ADA)
    assert rating.run_id == world.orchestrator.requests[0].run_id


@over_both_transports
async def test_a_bad_answer_asks_why_and_can_be_answered_again(world: World) -> None:
    ts = await world.say("tea?")
    [reply] = await world.replies(ts)
    await world.press(reply, pressed(reply, "negative"))
    view = await world.modal()
    [rating] = world.orchestrator.feedback
    assert (rating.kind, rating.value) == ("rating", -1.0)
    values = {
        "reasons": {"chosen": {"type": "checkboxes", "selected_options": [{"value": "long"}]}},
        "words": {"text": {"type": "plain_text_input", "value": "just one line"}},
        "again": {"chosen": {"type": "checkboxes", "selected_options": [{"value": "yes"}]}},
    }
    await world.post("submit", view_id=view["id"], user=ADA, values=values)
    replies = await world.replies(ts, count=3)
    assert replies[2]["text"] == "Better (It is too long. just one line): tea?"
    kinds = {f.kind: f for f in world.orchestrator.feedback}
    assert kinds["reason"].text == "It is too long: just one line"
    assert kinds["better"].run_id == rating.run_id


async def test_reasons_alone_offer_another_try_by_button(world: World) -> None:
    ts = await world.say("tea?")
    [reply] = await world.replies(ts)
    await world.press(reply, pressed(reply, "negative"))
    view = await world.modal()
    values = {"words": {"text": {"type": "plain_text_input", "value": "wrong"}}}
    await world.post("submit", view_id=view["id"], user=ADA, values=values)
    [offer] = await world.whispers()
    [button] = find(offer["blocks"], "button")
    await world.press(offer, button)
    modal = await world.modal()
    values = {"words": {"text": {"type": "plain_text_input", "value": "right"}}}
    await world.post("submit", view_id=modal["id"], user=ADA, values=values)
    replies = await world.replies(ts, count=3)
    assert replies[2]["text"] == "Better (right): tea?"


@over_both_transports
async def test_the_message_menu_improves_and_saves(world: World) -> None:
    ts = await world.say("tea?")
    [reply] = await world.replies(ts)
    where = {"channel": "D0ADA", "message_ts": reply["ts"], "user": ADA}
    await world.post("shortcut", callback_id="improve_answer", **where)
    view = await world.modal()
    values = {"words": {"text": {"type": "plain_text_input", "value": "in verse"}}}
    await world.post("submit", view_id=view["id"], user=ADA, values=values)
    replies = await world.replies(ts, count=3)
    assert replies[2]["text"] == "Better (in verse): tea?"
    await world.post("shortcut", callback_id="save_workflow", **where)
    view = await world.modal()
    values = {"words": {"text": {"type": "plain_text_input", "value": "verse"}}}
    await world.post("submit", view_id=view["id"], user=ADA, values=values)
    saved = await world.replies(ts, count=4)
    assert "run verse topic=tea" in saved[3]["text"]
    assert list(world.workflows.saved) == ["verse"]


async def test_the_menu_on_somebody_elses_message_says_so(world: World) -> None:
    ts = await world.say("lunch?", GRACE, "general")
    where = {"channel": "general", "message_ts": ts, "user": ADA}
    await world.post("shortcut", callback_id="improve_answer", **where)
    [told] = await world.whispers()
    assert "not one of my answers" in told["text"]


@pytest.mark.parametrize(
    ("emoji", "value"), [("+1::skin-tone-2", 1.0), ("thumbsdown", -1.0), ("thinking_face", -0.3)]
)
async def test_reactions_weigh_half(world: World, emoji: str, value: float) -> None:
    [reply] = await world.replies(await world.say("tea?"))
    await world.post("reaction", channel="D0ADA", ts=reply["ts"], user=ADA, name=emoji)

    async def felt() -> bool:
        return bool(world.orchestrator.feedback)

    await eventually(felt, "the reaction is kept")
    [reaction] = world.orchestrator.feedback
    assert (reaction.kind, reaction.value, reaction.weight) == ("reaction", value, 0.5)


async def test_a_reaction_taken_back_is_a_fact_of_its_own(world: World) -> None:
    [reply] = await world.replies(await world.say("tea?"))
    thumb = {"channel": "D0ADA", "ts": reply["ts"], "user": ADA, "name": "+1"}
    for number, more in enumerate(({}, {"remove": True}, {}), start=1):
        await world.post("reaction", **thumb, **more)

        async def felt(wanted: int = number) -> bool:
            return len(world.orchestrator.feedback) == wanted

        await eventually(felt, f"reaction {number} is kept")
    found = [(fact.kind, fact.value, fact.weight) for fact in world.orchestrator.feedback]
    assert found == [("reaction", 1.0, 0.5), ("reaction", 1.0, 0.0), ("reaction", 1.0, 0.5)]
    assert len({fact.feedback_id for fact in world.orchestrator.feedback}) == 3


async def test_reactions_elsewhere_or_without_meaning_are_ignored(world: World) -> None:
    ts = await world.say("tea?")
    [reply] = await world.replies(ts)
    await world.post("reaction", channel="D0ADA", ts=ts, user=ADA, name="thumbsdown")
    await world.post("reaction", channel="D0ADA", ts=reply["ts"], user=ADA, name="tea")
    await world.replies(await world.say("coffee?"))
    assert world.orchestrator.feedback == []


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        ("no, I meant green tea", "correction"),
        ("that's wrong", "correction"),
        ("what is the best tea for me", "rephrase"),
        ("no problem", None),
        ("and coffee?", None),
    ],
)
async def test_the_next_words_tell_about_the_answer_before(
    world: World, second: str, kind: str | None
) -> None:
    await world.replies(await world.say("what is the best tea for us"))
    await world.replies(await world.say(second))
    assert [f.kind for f in world.orchestrator.feedback] == ([kind] if kind else [])
    if kind:
        [feedback] = world.orchestrator.feedback
        assert feedback.run_id == world.orchestrator.requests[0].run_id
        assert feedback.value < 0
        assert feedback.weight < 1


async def test_another_persons_words_say_nothing_about_it(world: World) -> None:
    ts = await world.say("@Virtuous6 what is tea", channel="general")
    await world.replies(ts, "C0GENERAL")
    await world.say("no, I meant coffee", GRACE, "general", thread=ts)
    await world.replies(ts, "C0GENERAL", 2)
    assert world.orchestrator.feedback == []
