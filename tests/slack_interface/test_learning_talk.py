"""Asking about learning, its page and its switches, /metrics and the morning summary."""

import json

import pytest

from database.learning import Finding
from database.records import Run, one_person, private_channel
from orchestrator.policy import Policy
from slack_interface.learning_home import LearningPage
from tests.people import ADA, ALAN, BOT, GRACE, Json, eventually, find
from tests.slack_interface import learning_samples as samples
from tests.slack_interface.learning_samples import NOW, LearningInMemory, finding, proposal
from tests.slack_interface.world import World, over_both_transports

CHANNEL = "C0IMPROVEMENTS"


@pytest.fixture
async def improvement(quiet_world: World) -> LearningInMemory:
    """Learning behind a bot; Ada decides. One pattern is private."""
    made = LearningInMemory()
    made.all_proposals = {proposal().proposal_id: proposal()}
    private = finding(
        finding_id="secret", title="heliotrope", audience=private_channel("C0LEADERSHIP")
    )
    made.all_findings = {finding().finding_id: finding(), "secret": private}
    quiet_world.improvement = made
    await Policy(quiet_world.store.policy).set("approvers", ADA, ADA)
    return made


@pytest.fixture
async def world(quiet_world: World, improvement: LearningInMemory) -> World:
    await quiet_world.start()
    at(quiet_world, NOW)
    return quiet_world


def at(world: World, now: float) -> None:
    """The bot's idea of the time."""
    assert world.bot
    [desk] = world.bot.desks
    assert desk.learning
    desk.learning.clock = lambda: now
    desk.learning.approvals.clock = lambda: now


async def click(world: World, home: Json, action_id: str, user: str = ADA) -> Json:
    """The page after a button of it was pressed."""
    button = next(b for b in find(home["blocks"], "button") if b["action_id"] == action_id)
    await world.post("interact", view_id=home["id"], user=user, action=button)
    await world.idle()
    return dict((await world.get(f"views/{user}"))["home"])


async def page(world: World, user: str = ADA) -> Json:
    return await click(world, await world.home(user), "learn:page", user)


async def direct(world: World, user: str) -> str:
    """What we said to somebody in their direct message."""
    await world.idle()
    found = (await world.get(f"messages/D0{user[2:]}"))["messages"]
    return json.dumps([m for m in found if m.get("user") == BOT], ensure_ascii=False)


# Questions


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("What patterns did you find today?", "strong, 24 times, 5 people"),
        ("How can you improve yourself today?", "*1 suggestion* of mine waits"),
        ("What did you learn from recent interactions?", "From 812 answers in the last 7 days"),
        ("How much did you cost this week and what did you save?", "*Cost this week:* $4.37"),
    ],
)
async def test_questions_are_answered_from_the_records(world: World, asked: str, says: str) -> None:
    [answer] = await world.replies(await world.say(asked))
    assert says in answer["text"]
    assert world.orchestrator.requests == []


async def test_an_answer_tells_only_what_all_who_read_it_may_see(world: World) -> None:
    asked = "@Virtuous6 what patterns did you find today?"
    [public] = await world.replies(await world.say(asked, ADA, "general"), "C0GENERAL")
    assert "heliotrope" not in str(public)
    assert "1 in conversations that not everybody here may read" in public["text"]
    [alans] = await world.replies(await world.say(asked[12:], ALAN), "D0ALAN")
    assert "heliotrope" not in str(alans)
    [inside] = await world.replies(await world.say(asked, ADA, "leadership"), "C0LEADERSHIP")
    assert "heliotrope" in inside["text"]


async def test_why_and_an_id_gives_the_evidence(world: World) -> None:
    [answer] = await world.replies(await world.say("why f0a1b2c3?", GRACE), "D0GRACE")
    assert "Why:* People ask for the weekly numbers" in answer["text"]
    assert world.orchestrator.requests == []
    [answer] = await world.replies(await world.say("why 99999999", GRACE), "D0GRACE")
    assert "know nothing with that id" in answer["text"]
    await world.replies(await world.say("@Virtuous6 why `secret00`", ALAN, "general"), "C0GENERAL")
    assert len(world.orchestrator.requests) == 1  # no id: a question for the models


@pytest.mark.parametrize(
    "asked",
    ["How can you improve yourself today?", "What did you learn from recent interactions?",
     f"why {samples.proposal().proposal_id[:8]}"],
)  # fmt: skip
async def test_kinds_of_requests_are_called_by_an_example_that_the_reader_may_read(
    world: World, improvement: LearningInMemory, asked: str
) -> None:
    request = "Which team handles it: billing or garden?"
    world.store.append(Run("r1", request, "coder", audience=one_person(ADA)))
    shown = samples.proposal(
        title="Let coder answer for requests of kind-7 with examples",
        risk_reasons=("low: changes the instructions (agent coder--kind-7)",),
        state="live" if "learn" in asked else "awaiting", moved_at=NOW - 600,
    )  # fmt: skip
    improvement.all_proposals = {shown.proposal_id: shown}
    [answer] = await world.replies(await world.say(asked))
    assert f"for requests such as “{request}” with" in answer["text"]
    [answer] = await world.replies(await world.say(asked, GRACE), "D0GRACE")
    assert "for requests of one kind with" in answer["text"]
    assert "kind-7" not in json.dumps([answer, await page(world), await page(world, GRACE)])
    assert request not in json.dumps(await page(world, GRACE))


async def _said(world: World, user: str, words: str) -> bool:
    return words in await direct(world, user)


async def test_where_nothing_learns_questions_go_to_the_models(quiet_world: World) -> None:
    await quiet_world.start()
    [answer] = await quiet_world.replies(await quiet_world.say("what did you learn recently?"))
    assert answer["text"] == "You said: what did you learn recently?"
    assert "How I learn" not in str(await quiet_world.home())


# /metrics


async def test_metrics_say_what_learning_did_too(world: World) -> None:
    await world.replies(await world.say("hello"))
    await world.command("/metrics", "everyone 7d")
    [card] = await world.whispers()
    said = json.dumps(card, ensure_ascii=False)
    for part in ("Patterns: 4", "Proposals: 9", "Promotions: 4", "Rollbacks: 1",
                 "Prevented errors: 12", "Minutes saved: 38 (estimated"):  # fmt: skip
        assert part in said
    await world.command("/metrics", "agent coder")
    assert "Patterns" not in str((await world.whispers(count=2))[1])


# The page and its switches


@over_both_transports
async def test_the_page_is_one_press_from_home_and_back(world: World) -> None:
    home = await world.home()
    assert "1 suggestion waits for a decision" in str(home)
    shown = await click(world, home, "learn:page")
    for part in ("27 of 40 signals", "Waiting for a decision", "Let coder answer"):
        assert part in str(shown)
    assert "Hello Ada" in str(await click(world, shown, "learn:home"))


async def test_approvers_pause_learning_and_others_see_no_button(
    world: World, improvement: LearningInMemory
) -> None:
    shown = await click(world, await page(world), "learn:paused")
    assert (improvement.standing.switch, improvement.standing.set_by) == ("paused", ADA)
    assert "Learning pauses" in str(shown)
    shown = await click(world, shown, "learn:on")
    assert (improvement.standing.switch, improvement.standing.set_by) == ("on", ADA)
    assert [b["action_id"] for b in find((await page(world, GRACE))["blocks"], "button")] == [
        "learn:home"
    ]


async def test_the_mode_of_an_agent_is_set_on_the_page(
    world: World, improvement: LearningInMemory
) -> None:
    shown = await page(world)
    [menu] = [s for s in find(shown["blocks"], "static_select") if s["action_id"].endswith("coder")]
    chosen = next(o for o in menu["options"] if o["value"] == "automatic")
    action = {"type": "static_select", "action_id": menu["action_id"], "selected_option": chosen}
    await world.post("interact", view_id=shown["id"], user=ADA, action=action)
    assert improvement.standing.agents[0].mode == "automatic"


async def test_what_waits_is_brought_into_the_direct_message(
    world: World, improvement: LearningInMemory
) -> None:
    improvement.all_proposals = {"p2": proposal(proposal_id="p2", title="Ask who reads it")}
    await click(world, await page(world), "learn:card")
    await eventually(lambda: _said(world, ADA, "I suggest: Ask who reads it"), "the card")


async def test_words_pause_and_resume_learning_for_approvers_only(
    world: World, improvement: LearningInMemory
) -> None:
    for user, says, told in (
        (ADA, "learning paused", "I pause"),
        (GRACE, "learning on", "can decide that"),
        (GRACE, "learning", "Learning is paused"),
        (ADA, "resume learning", "I learn again"),
        (ADA, "learning: off", "Learning is off"),
    ):
        [answer] = await world.replies(await world.say(says, user), f"D0{user[2:]}")
        assert told in answer["text"]
    assert improvement.standing.switch == "off"
    assert improvement.standing.set_by == ADA


async def test_a_page_of_somebody_else_is_theirs(world: World) -> None:
    assert world.bot
    [desk] = world.bot.desks
    assert desk.learning
    alans: LearningPage = await desk.learning.page(ALAN)
    assert private_channel("C0LEADERSHIP") not in alans.audiences
    assert not alans.approver


# The morning


async def test_the_summary_comes_once_in_the_morning(
    quiet_world: World, improvement: LearningInMemory
) -> None:
    quiet_world.improvements_channel = CHANNEL
    improvement.all_proposals = {
        "p1": proposal(proposal_id="p1", state="trial", moved_at=NOW),
        "p2": proposal(proposal_id="p2", state="verified", title="Shorter greetings"),
    }
    improvement.all_findings["secret"] = finding(
        finding_id="secret", title="heliotrope", kind="note",
        audience=private_channel("C0LEADERSHIP"),
    )  # fmt: skip
    await quiet_world.start()
    [desk] = quiet_world.bot.desks if quiet_world.bot else []
    morning = NOW - NOW % 86_400 + 8 * 3_600 + 86_400

    async def summaries(now: float) -> list[str]:
        at(quiet_world, now)
        await desk.look_after_learning()
        await quiet_world.idle()
        found = (await quiet_world.get(f"messages/{CHANNEL}"))["messages"]
        return [m["text"] for m in found if m["text"].startswith("Good morning")]

    for early in (morning - 3_600, morning + 5 * 3_600):
        assert await summaries(early) == []
    improvement.all_findings = {
        key: samples.finding(**{**_fields(one), "created_at": morning - 60})
        for key, one in improvement.all_findings.items()
    }
    [text] = await summaries(morning + 60)
    assert "New findings: 2" in text
    assert "heliotrope" not in text
    assert len(await summaries(morning + 120)) == 1
    await Policy(quiet_world.store.policy).set("summary_hour", "off", ADA)
    await quiet_world.bot_follows_policy()
    assert len(await summaries(morning + 86_400)) == 1


def _fields(one: Finding) -> Json:
    return {"finding_id": one.finding_id, "title": one.title, "audience": one.audience}
