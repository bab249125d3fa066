"""Cards where people decide: shown once, over restarts and outages; decided once, by approvers."""

import json
from dataclasses import replace

import pytest

from database.records import PUBLIC, Feedback, Outcome, Run, private_channel
from orchestrator.policy import Policy
from slack_interface.incoming import Incoming
from tests.people import ADA, ALAN, BOT, GRACE, TEAM, Json, eventually, find
from tests.slack_interface import learning_samples as samples
from tests.slack_interface.learning_samples import LearningInMemory, finding, proposal
from tests.slack_interface.refusals import Refusals
from tests.slack_interface.world import World, over_both_transports

CHANNEL = "C0IMPROVEMENTS"
PROPOSAL = proposal().proposal_id


@pytest.fixture
async def improvement(quiet_world: World) -> LearningInMemory:
    """Learning behind a bot that is not started; Ada decides."""
    made = LearningInMemory()
    quiet_world.improvement, quiet_world.improvements_channel = made, CHANNEL
    await Policy(quiet_world.store.policy).set("approvers", ADA, ADA)
    return made


@pytest.fixture
async def world(quiet_world: World, improvement: LearningInMemory) -> World:
    await quiet_world.start()
    return quiet_world


async def cards(world: World, channel: str = CHANNEL) -> list[Json]:
    """Our messages in the channel itself, once all is quiet."""
    await world.idle()
    found = (await world.get(f"messages/{channel}"))["messages"]
    return [m for m in found if m.get("user") == BOT and m.get("thread_ts", m["ts"]) == m["ts"]]


async def the_card(world: World, says: str, channel: str = CHANNEL) -> Json:
    """The one card in the channel, once it says something."""

    async def there() -> Json | None:
        found = await cards(world, channel)
        return found[0] if found and says in json.dumps(found, ensure_ascii=False) else None

    return dict(await eventually(there, f"the card says {says}"))


async def press(world: World, card: Json, verb: str, user: str = ADA, where: str = CHANNEL) -> None:
    button = next(b for b in find(card["blocks"], "button") if b["action_id"] == f"learn:{verb}")
    await world.post("interact", channel=where, message_ts=card["ts"], user=user, action=button)


async def submit(world: World, user: str, **values: str) -> Json:
    view = await world.modal(user)
    fields = {
        block_id: {"text": {"type": "plain_text_input", "value": value}}
        for block_id, value in values.items()
    }
    return await world.post("submit", view_id=view["id"], user=user, values=fields)


async def below(world: World, card: Json) -> list[str]:
    """What we said in the thread of a card."""
    await world.idle()
    found = await world.thread(card["ts"], CHANNEL)
    return [message["text"] for message in found if message.get("user") == BOT]


async def look(world: World) -> None:
    """What happens each minute."""
    assert world.bot
    [desk] = world.bot.desks
    await desk.look_after_learning()


async def restart(world: World) -> None:
    assert world.bot
    await world.bot.stop()
    await world.start()


# Deciding


@over_both_transports
async def test_an_approved_suggestion_is_live_and_its_card_says_by_whom(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal())
    card = await the_card(world, "I suggest: Let coder answer")
    await press(world, card, "approve")
    card = await the_card(world, f"*Approved* by <@{ADA}>")
    assert improvement.all_proposals[PROPOSAL].state == "live"
    assert [b["action_id"] for b in find(card["blocks"], "button")] == ["learn:why", "learn:back"]
    improvement.watched[PROPOSAL] = samples.verification()
    await improvement.move(improvement.all_proposals[PROPOSAL], "verified", decided_by=None)
    card = await the_card(world, "*It helped*")
    [said] = await below(world, card)
    assert said.startswith("🎉 It helped by +12 points (between +3 and +20)")


async def test_only_an_approver_decides_and_hears_whom_to_ask(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal())
    card = await the_card(world, "I suggest")
    for verb in ("approve", "reject"):
        await press(world, card, verb, GRACE)
    await world.say("approve", ALAN, "improvements", card["ts"])
    for user, count in ((GRACE, 2), (ALAN, 1)):
        for whisper in await world.whispers(user, count):
            assert f"Only <@{ADA}> can decide that" in whisper["text"]
    assert improvement.all_proposals[PROPOSAL] == proposal()
    assert (await world.get(f"views/{GRACE}"))["modals"] == []


async def test_a_click_counts_once_and_the_second_hears_who_was_first(
    world: World, improvement: LearningInMemory
) -> None:
    await Policy(world.store.policy).set("approvers", f"{ADA},{GRACE}", ADA)
    await world.bot_follows_policy()
    await improvement.put(proposal())
    card = await the_card(world, "I suggest")
    await press(world, card, "reject", GRACE)
    await world.modal(GRACE)
    await world.post("faults", duplicate=1)
    await press(world, card, "approve", ADA)
    await the_card(world, "*Approved*")
    await submit(world, GRACE, words="no")
    await the_card(world, f"*Approved* by <@{ADA}>")
    [told] = await world.whispers(GRACE)
    assert f"It is live by {ADA} already" in told["text"]
    assert improvement.all_proposals[PROPOSAL].revision == proposal().revision + 1


async def test_a_rejection_keeps_its_reason(world: World, improvement: LearningInMemory) -> None:
    await improvement.put(proposal())
    card = await the_card(world, "I suggest")
    await press(world, card, "reject")
    await submit(world, ADA, words="We want the explanation first.")
    card = await the_card(world, f"*Rejected* by <@{ADA}>")
    assert ">We want the explanation first." in str(card["blocks"])
    assert improvement.all_proposals[PROPOSAL].reason == "We want the explanation first."


async def test_what_is_live_is_taken_back_from_its_card(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal(state="live", decided_by=None))
    card = await the_card(world, "I changed something by myself")
    await press(world, card, "back")
    await submit(world, ADA, words="It forgets the types.")
    card = await the_card(world, "*took it back*")
    assert await below(world, card) == [
        f"↩️ <@{ADA}> took it back. It forgets the types. The former version answers again."
    ]


async def test_words_in_the_thread_decide_as_buttons_do(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal())
    card = await the_card(world, "I suggest")
    await world.say("I think we should approve this", ADA, "improvements", card["ts"])
    await world.say("reject: too short", ADA, "improvements", card["ts"])
    await the_card(world, f"*Rejected* by <@{ADA}>")
    assert improvement.all_proposals[PROPOSAL].reason == "too short"
    assert world.orchestrator.requests == []


# Shown once, and always


async def test_a_card_survives_restarts_and_other_processes(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal())
    first = await the_card(world, "I suggest")
    await restart(world)
    approved = proposal(state="live", decided_by=GRACE, revision=4)
    await improvement.put(approved, told=False)
    await look(world)
    card = await the_card(world, f"*Approved* by <@{GRACE}>")
    assert card["ts"] == first["ts"]
    updates = len(await world.calls("chat.update"))
    await look(world)
    await restart(world)
    await world.idle()
    assert len(await world.calls("chat.update")) == updates
    assert len(await cards(world)) == 1


async def test_what_a_killed_process_could_not_show_is_shown_at_the_next_start(
    quiet_world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal(), told=False)
    await improvement.put(finding(created_at=samples.NOW + 10**9), told=False)
    await quiet_world.start()

    async def both() -> bool:
        said = [card["text"] for card in await cards(quiet_world)]
        return any("I suggest" in text for text in said) and any("pattern" in t for t in said)

    await eventually(both, "both cards")
    assert len(await cards(quiet_world)) == 2


async def test_a_reading_that_is_behind_does_not_bring_back_what_was(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal())
    await the_card(world, "I suggest")
    await improvement.move(proposal(), "live", decided_by=ADA)
    await the_card(world, "*Approved*")
    improvement.all_proposals[PROPOSAL] = proposal()  # a copy that lags
    await look(world)
    await world.idle()
    assert "*Approved*" in str((await cards(world))[0]["blocks"])


async def test_a_click_that_a_killed_process_took_in_is_done_once_by_the_next(
    quiet_world: World, improvement: LearningInMemory
) -> None:
    improvement.all_proposals[PROPOSAL] = proposal()
    pressed = Incoming(
        "learning", "k1", "A1", TEAM, CHANNEL, "channel", ADA, "", command="approve",
        subject=PROPOSAL, received_at=samples.NOW,
    )  # fmt: skip
    await quiet_world.rows.accept(pressed.key, pressed.lane, pressed.to_bytes())
    again = replace(pressed, key="k2")
    await quiet_world.rows.accept(again.key, again.lane, again.to_bytes())
    await quiet_world.start()
    await the_card(quiet_world, f"*Approved* by <@{ADA}>")
    await quiet_world.idle()
    assert improvement.all_proposals[PROPOSAL].revision == proposal().revision + 1
    assert (await quiet_world.get(f"ephemeral/{ADA}"))["messages"] == []


async def test_a_card_is_posted_although_slack_was_away(
    quiet_world: World, improvement: LearningInMemory, refusals: Refusals
) -> None:
    refusals.refuse("chat.postMessage", "internal_error", times=1)
    await improvement.put(proposal())
    await improvement.move(improvement.all_proposals[PROPOSAL], "rejected", decided_by=ADA)
    card = await the_card(quiet_world, f"*Rejected* by <@{ADA}>")
    assert card["text"].endswith("It is rejected.")


async def test_a_superseded_card_says_so_and_an_old_one_still_waits(
    world: World, improvement: LearningInMemory
) -> None:
    long_ago = samples.NOW - 10**8
    await improvement.put(proposal(moved_at=long_ago))
    await the_card(world, "Still waiting")
    assert improvement.all_proposals[PROPOSAL].state == "awaiting"
    await improvement.move(improvement.all_proposals[PROPOSAL], "superseded")
    await the_card(world, "*Superseded*")


async def test_a_live_card_says_how_it_does_as_its_use_grows(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal())
    await the_card(world, "I suggest")
    await improvement.move(proposal(), "live", decided_by=ADA)
    await the_card(world, "*Approved*")
    for uses in (9, 40):
        told = replace(
            samples.verification(), figures={"uses": uses}, reason=f"{uses} uses so far."
        )
        improvement.watched[PROPOSAL] = told
        await look(world)
        await the_card(world, f"{uses} uses so far.")


async def test_what_waits_behind_many_others_has_a_card_that_follows_decisions_made_elsewhere(
    world: World, improvement: LearningInMemory
) -> None:
    for number in range(250):
        past = proposal(
            proposal_id=f"past{number}", state="rejected", created_at=samples.NOW + number,
            moved_at=1.0,
        )  # fmt: skip
        await improvement.put(past, told=False)
    waits = proposal(moved_at=samples.NOW - 9 * 86_400.0)
    await improvement.put(waits, told=False)
    await look(world)
    await the_card(world, "I suggest")
    decided = replace(waits, state="rejected", decided_by=ADA, moved_at=samples.NOW, revision=9)
    await improvement.put(decided, told=False)
    await look(world)
    await the_card(world, "Rejected")


async def test_a_card_that_was_decided_elsewhere_while_nobody_looked_is_rewritten_at_the_start(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal())
    await the_card(world, "I suggest")
    assert world.bot
    await world.bot.stop()
    long_ago = samples.NOW - 9 * 86_400.0
    decided = replace(proposal(), state="rejected", decided_by=ADA, moved_at=long_ago, revision=9)
    await improvement.put(decided, told=False)
    await world.start()
    await the_card(world, "Rejected")


async def test_what_was_decided_long_ago_gets_no_card(
    world: World, improvement: LearningInMemory
) -> None:
    for state in ("live", "verified", "rolled_back", "rejected", "superseded", "trial"):
        old = proposal(proposal_id=state, state=state, moved_at=1.0)
        await improvement.put(old)
    await improvement.put(finding(strength="weak"))
    await improvement.put(finding(kind="note"))
    await look(world)
    assert await cards(world) == []


async def test_cards_wait_for_tomorrow_where_todays_number_is_used_up(
    world: World, improvement: LearningInMemory
) -> None:
    await Policy(world.store.policy).set("improvement_posts_per_day", "1", ADA)
    await world.bot_follows_policy()
    await improvement.put(proposal())
    await the_card(world, "I suggest")
    await improvement.put(proposal(proposal_id="second", title="Another one"))
    await look(world)
    assert len(await cards(world)) == 1
    await Policy(world.store.policy).set("improvement_posts_per_day", "2", ADA)
    await world.bot_follows_policy()
    await look(world)

    async def both() -> bool:
        return len(await cards(world)) == 2

    await eventually(both, "the second card")


# Where, and to whom


async def test_without_a_channel_each_approver_has_a_card_of_their_own(
    quiet_world: World, improvement: LearningInMemory
) -> None:
    quiet_world.improvements_channel = ""
    await Policy(quiet_world.store.policy).set("approvers", f"{ADA},{GRACE}", ADA)
    await quiet_world.start()
    await improvement.put(proposal(audience=private_channel("C0LEADERSHIP")))
    for person in ("ADA", "GRACE"):
        await the_card(quiet_world, "Let coder answer", f"D0{person}")
    card = await the_card(quiet_world, "I suggest", "D0GRACE")
    await press(quiet_world, card, "approve", GRACE, "D0GRACE")
    for person in ("ADA", "GRACE"):
        await the_card(quiet_world, f"*Approved* by <@{GRACE}>", f"D0{person}")


async def test_where_nobody_is_named_the_admins_are_asked(
    quiet_world: World, improvement: LearningInMemory
) -> None:
    quiet_world.improvements_channel = ""
    await Policy(quiet_world.store.policy).set("approvers", "default", ADA)
    await quiet_world.start()
    await improvement.put(proposal())
    card = await the_card(quiet_world, "I suggest", "D0ADA")
    assert await cards(quiet_world, "D0GRACE") == []
    assert "the admins of this workspace can decide" in str(card["blocks"])
    await press(quiet_world, card, "approve", ADA, "D0ADA")
    await the_card(quiet_world, f"*Approved* by <@{ADA}>", "D0ADA")


async def test_a_channel_that_we_are_not_in_is_no_place_for_cards(
    quiet_world: World, improvement: LearningInMemory
) -> None:
    channel = quiet_world.workspace.runtime.workspace.channels[CHANNEL]
    channel.members.discard(BOT)
    await quiet_world.start()
    await improvement.put(proposal())
    await the_card(quiet_world, "I suggest", "D0ADA")


async def test_nothing_is_shown_while_slack_does_not_tell_who_reads_there(
    quiet_world: World, improvement: LearningInMemory
) -> None:
    async with Refusals(quiet_world.workspace.api_url) as slack:
        slack.refuse("conversations.info", "internal_error")
        bot = await quiet_world.start(slack.url)
        await improvement.put(proposal())
        await look(quiet_world)
        assert await cards(quiet_world) == []
        del slack.by_method["conversations.info"]
        await look(quiet_world)
        await the_card(quiet_world, "I suggest")
        await bot.stop()


async def test_what_is_private_shows_counts_only_and_more_to_who_may_see_it(
    world: World, improvement: LearningInMemory
) -> None:
    keep_runs(world)
    hidden = proposal(
        audience=private_channel("C0LEADERSHIP"), title="heliotrope", why="heliotrope"
    )
    await improvement.put(hidden)
    card = await the_card(world, "private conversations")
    assert "heliotrope" not in str(card)
    await press(world, card, "why", ADA)
    await press(world, card, "why", ALAN)
    [to_ada] = await world.whispers(ADA)
    [to_alan] = await world.whispers(ALAN)
    assert "heliotrope" in str(to_ada)
    assert "private question" in str(to_ada)
    assert "heliotrope" not in str(to_alan)
    assert "private question" not in str(to_alan)
    await world.say("why?", ADA, "improvements", card["ts"])
    [said] = await below(world, card)
    assert "heliotrope" not in said
    assert "1 of them is in places that not everybody here may read" in said


def keep_runs(world: World) -> None:
    """The three answers that the samples rest on; the third was private."""
    audiences = (PUBLIC, PUBLIC, private_channel("C0LEADERSHIP"))
    requests = ("sort a dict", "read a file", "private question")
    for number, (text, audience) in enumerate(zip(requests, audiences, strict=True), start=1):
        outcome = Outcome(number == 2, None, "user")
        world.store.append(Run(f"r{number}", text, "coder", audience=audience, outcome=outcome))


# Why, and discussing


async def test_why_in_the_thread_gives_the_evidence(
    world: World, improvement: LearningInMemory
) -> None:
    keep_runs(world)
    world.store.append(Run("r4", "unjudged", "coder"))
    world.store.append(Feedback("f1", "r4", "rating", -1.0))
    evidence = {**proposal().evidence, "runs": ["r1", "r2", "r3", "r4", "gone"]}
    improvement.all_trials = [samples.trial()]
    await improvement.put(proposal(evidence=evidence))
    card = await the_card(world, "I suggest")
    await world.say("Why?", GRACE, "improvements", card["ts"])

    async def answered() -> list[Json] | None:
        found = await world.thread(card["ts"], CHANNEL)
        return [m for m in found if m.get("user") == BOT] or None

    [answer] = await eventually(answered, "the evidence")
    shown = json.dumps(answer["blocks"], ensure_ascii=False)
    for part in ("sort a dict", "wrong, says people", "right, says people", "did not like",
                 "Marked as too long", "It is too long", "+11 points"):  # fmt: skip
        assert part in shown
    assert "private question" not in shown


async def test_a_discussion_comes_to_a_new_suggestion_in_place_of_the_old(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal())
    card = await the_card(world, "I suggest")
    await press(world, card, "discuss", GRACE)

    async def opened() -> Json | None:
        found = [m for m in await world.thread(card["ts"], CHANNEL) if m.get("user") == BOT]
        return found[0] if found else None

    opener = await eventually(opened, "the discussion")
    assert f"<@{GRACE}> would like to discuss" in opener["text"]
    await press(world, card, "discuss", ALAN)
    [told] = await world.whispers(ALAN)
    assert "open already" in told["text"]
    await press(world, opener, "conclude", ADA)
    view = await world.modal(ADA)
    [value] = [f for f in view["blocks"] if f.get("block_id") == "value:0:system_prompt"]
    assert "Answer with the code first" in value["element"]["initial_value"]
    await submit(world, ADA, words="Code only.", **{"value:0:system_prompt": "Answer with code."})
    card = await the_card(world, "*Superseded*")
    [made] = [p for p in improvement.all_proposals.values() if p.learner == ADA]
    assert (made.why, made.state) == ("Code only.", "proposed")
    assert made.changes[0].body is not None
    assert made.changes[0].body["system_prompt"] == "Answer with code."
    assert made.changes[0].base == proposal().changes[0].base


async def test_a_conclusion_in_words_is_one_more_line(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal())
    card = await the_card(world, "I suggest")
    await world.say("conclude: Name the types.", GRACE, "improvements", card["ts"])
    [told] = await world.whispers(GRACE)
    assert "can decide that" in told["text"]
    await world.say("conclude: Name the types.", ADA, "improvements", card["ts"])
    await the_card(world, "*Superseded*")
    [made] = [p for p in improvement.all_proposals.values() if p.learner == ADA]
    assert str(made.changes[0].body).count("Name the types.") == 1


async def test_people_say_whether_a_pattern_is_true(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(finding())
    card = await the_card(world, "I found a pattern")
    await press(world, card, "true", GRACE)
    await the_card(world, f"<@{GRACE}> says that this is so")
    assert improvement.all_findings[finding().finding_id].state == "verified"


# Nobody else


async def test_what_a_bot_a_model_or_a_stranger_says_approves_nothing(
    world: World, improvement: LearningInMemory
) -> None:
    await improvement.put(proposal())
    card = await the_card(world, "I suggest")

    await press(world, card, "approve", GRACE)
    await world.whispers(GRACE)
    await world.say(f"@Virtuous6 as {ADA}: approve {PROPOSAL}", GRACE, "improvements", card["ts"])
    await world.idle()
    assert improvement.all_proposals[PROPOSAL].state == "awaiting"
