"""Clicks, forms and commands made by hand: nobody gets or does through them what is not theirs.

Slack signs what it sends, so nobody can make these; what they claim is not believed all the same.
"""

import asyncio
import json

import pytest

from database.records import Run, RunQuery, private_channel
from orchestrator.policy import Policy
from slack_interface.answer_cards import FEEDBACK
from slack_interface.slack_bot import Mode
from tests.people import ADA, ALAN, BOT, GRACE, Json, eventually
from tests.slack_interface.goal_samples import ScriptedGoals
from tests.slack_interface.learning_samples import LearningInMemory, finding, proposal
from tests.slack_interface.samples import SAMPLES, as_sent, click, form
from tests.slack_interface.sender import Sender
from tests.slack_interface.world import World

GENERAL, LEADERSHIP = "C0GENERAL", "C0LEADERSHIP"


@pytest.fixture
def transport() -> Mode:
    return "http"


@pytest.fixture
async def learning(quiet_world: World) -> LearningInMemory:
    """A suggestion that waits and a pattern, both of the leadership's channel; to be asked for
    before `world`."""
    private = private_channel(LEADERSHIP)
    waiting, found = proposal(audience=private), finding(audience=private)
    made = LearningInMemory({waiting.proposal_id: waiting}, {found.finding_id: found})
    quiet_world.improvement = made
    await Policy(quiet_world.store.policy).set("approvers", ADA, ADA)
    return made


async def said(world: World, text: str, user: str, channel: str) -> Json:
    """The bot's answer to `text`."""
    ts = await world.say(text, user, channel)
    place = f"D{user[1:]}" if channel == "@assistant" else f"C0{channel.upper()}"
    [answer] = await world.replies(ts, place)
    return answer


async def private_run(world: World, user: str = ADA, channel: str = "@assistant") -> str:
    """A run that others may not read."""
    await said(world, "@Virtuous6 our heliotrope plan", user, channel)
    return world.orchestrator.requests[-1].run_id


async def told(world: World, user: str) -> str:
    """What a person was told by a whisper or in their direct message, once there is something."""

    async def something() -> str:
        await world.idle()
        whispers = (await world.get(f"ephemeral/{user}"))["messages"]
        direct = (await world.get(f"messages/D{user[1:]}"))["messages"]
        return " ".join(m["text"] for m in [*whispers, *direct] if m.get("user") == BOT)

    return str(await eventually(something, f"{user} is told"))


async def test_nobody_judges_what_they_may_not_read(world: World, sender: Sender) -> None:
    run_id = await private_run(world)
    for verdict in ("up", "down"):
        value = f"{verdict}:{run_id}"
        await sender.send(click(GRACE, GENERAL, action_id=FEEDBACK, value=value))
    about = {"run_id": run_id, "channel": GENERAL}
    await sender.send(form("why", GRACE, about))
    assert "no longer have that answer" in await told(world, GRACE)
    assert world.orchestrator.feedback == []
    assert (await world.get(f"views/{GRACE}"))["modals"] == []


async def test_a_form_speaks_only_where_its_person_is(world: World, sender: Sender) -> None:
    run_id = await private_run(world)
    await sender.send(form("improve", GRACE, {"run_id": run_id, "channel": "D0ADA"}))
    assert "you are not in" in await told(world, GRACE)
    inside = await private_run(world, ADA, "leadership")
    for name, channel in (("channel", LEADERSHIP), ("im", LEADERSHIP), ("mpdm", LEADERSHIP)):
        about = {"run_id": inside, "channel": channel, "channel_name": name}
        await sender.send(form("improve", ALAN, about))
        await sender.send(form("save", ALAN, about))
    assert "you are not in" in await told(world, ALAN)
    assert len(world.orchestrator.requests) == 2
    assert world.workflows.saved == {}


async def test_an_answer_is_made_better_only_where_it_was(world: World, sender: Sender) -> None:
    run_id = await private_run(world, ADA, "leadership")
    for name in ("improve", "save"):
        await sender.send(form(name, ADA, {"run_id": run_id, "channel": GENERAL}))
    assert "no longer have that answer here" in await told(world, ADA)
    assert len(world.orchestrator.requests) == 1
    assert world.workflows.saved == {}
    public = (await world.get(f"messages/{GENERAL}"))["messages"]
    assert "heliotrope" not in json.dumps(public)


async def test_a_workflow_that_is_not_ones_own_is_not_found(world: World, sender: Sender) -> None:
    await said(world, "our heliotrope plan", ADA, "@assistant")
    await world.command("/save-workflow", "heliotrope")
    await world.idle()
    await sender.send(form("run", GRACE, {"name": "heliotrope", "channel": "D0GRACE"}))
    assert "There is no workflow" in await told(world, GRACE)
    assert len(world.orchestrator.requests) == 1


async def test_a_plan_is_read_and_moved_only_where_it_is(
    quiet_world: World, goals: ScriptedGoals, sender: Sender
) -> None:
    """Alan is an approver and not in the leadership's channel, where the plan is."""
    world = quiet_world
    await world.say("@Virtuous6 plan: our heliotrope", ADA, "leadership")
    await eventually(lambda: is_planned(goals), "a plan")
    await world.idle()
    about = {"subject": goals.only.goal_id, "number": "1"}
    for channel in (GENERAL, LEADERSHIP, "D0ALAN"):
        for verb in ("start", "cancel", "skip", "plainly", "results", "change", "reply"):
            value = f"{goals.only.goal_id}:1"
            await sender.send(click(ALAN, channel, action_id=f"goal:{verb}", value=value))
        for name in ("goal_change", "goal_answer"):
            payload = form("improve", ALAN, about | {"channel": channel})
            payload["view"] |= {"callback_id": name, "id": f"V{name}{channel}"}
            await sender.send(payload)
    for value in ("", ":", "x:²", "x" * 2_000, goals.only.goal_id + ":-1"):
        await sender.send(click(ADA, GENERAL, action_id="goal:skip", value=value))
        await sender.send(click(ADA, GENERAL, action_id="goal:reply", value=value))
    seen = await told(world, ALAN)
    assert "I do not have that plan any more" in seen
    assert "you are not in" in seen
    assert "heliotrope" not in seen
    assert goals.acts == []
    assert goals.only.state == "proposed"
    assert world.orchestrator.requests == []
    assert (await world.get(f"views/{ALAN}"))["modals"] == []


async def is_planned(goals: ScriptedGoals) -> bool:
    return bool(goals.goals)


async def test_whatever_a_form_says_only_its_person_is_forgotten(
    world: World, sender: Sender
) -> None:
    await private_run(world)
    await said(world, "my own plan", GRACE, "@assistant")
    forged = form("forget", GRACE, {"user": ADA, "user_id": ADA, "channel": "D0ADA"})
    unsure = form("forget", ADA, {})
    unsure["view"]["state"]["values"]["words"]["text"]["value"] = "forget Grace"
    await sender.send(unsure)
    await sender.send(forged)
    assert "You are forgotten" in await told(world, GRACE)
    assert {run.user_id for run in await world.store.runs(RunQuery())} == {ADA, None}


async def test_a_stranger_has_nothing_shown_given_or_forgotten(
    world: World, sender: Sender
) -> None:
    stranger = "U0STRANGER"
    world.store.append(Run("r1", "our heliotrope plan", "generalist", user_id=stranger))
    for name in ("my_data", "export_my_data", "forget_me"):
        await sender.send(click(stranger, GENERAL, type="button", action_id=name))
    await sender.send(form("forget", stranger, {}))
    await world.idle()
    [run] = await world.store.runs(RunQuery())
    assert run.user_id == stranger
    assert await world.calls("views.open") == []
    assert await world.calls("files.getUploadURLExternal") == []


async def test_what_is_kept_of_a_person_goes_to_no_other_place(
    world: World, sender: Sender
) -> None:
    await private_run(world)
    for user in (ADA, GRACE):
        await sender.send(click(user, LEADERSHIP, type="button", action_id="export_my_data"))
    await world.idle()
    channels = world.workspace.runtime.workspace.channels
    files = {
        name: [m for m in channel.messages.values() if m.get("files")]
        for name, channel in channels.items()
    }
    assert {name for name, found in files.items() if found} == {"D0ADA"}


@pytest.mark.parametrize("key", ["speak", "allow_guests", f"allow_external.{GENERAL}", "approvers"])
async def test_only_approvers_decide_whatever_is_pressed(
    world: World, sender: Sender, key: str
) -> None:
    payload = as_sent(SAMPLES["policy"])
    payload["user"]["id"] = GRACE
    payload["actions"][0]["action_id"] = f"policy:{key}"
    for value in ("everything", "yes", GRACE):
        payload["actions"][0]["selected_option"]["value"] = value
        await sender.send(as_sent(payload))
    assert "can decide that" in await told(world, GRACE)
    settings = Policy(world.store.policy).settings()
    assert [setting.key for setting in settings if setting.set_by] == []


async def test_an_answer_goes_to_slack_only(world: World, sender: Sender) -> None:
    """A response_url that leads elsewhere is not used."""
    taken: list[asyncio.StreamWriter] = []
    thief = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.2", 0)
    async with thief:
        payload = as_sent(SAMPLES["/metrics"])
        payload["response_url"] = f"http://127.0.0.2:{thief.sockets[0].getsockname()[1]}/steal"
        await sender.send(payload)
        [whisper] = await world.whispers(ADA)
    assert "You" in whisper["text"]
    assert not taken


@pytest.mark.parametrize("verb", ["true", "untrue"])
async def test_nobody_judges_a_pattern_that_they_may_not_read(
    learning: LearningInMemory, world: World, sender: Sender, verb: str
) -> None:
    pressed: Json = {"type": "button", "action_id": f"learn:{verb}", "value": finding().finding_id}
    await sender.send(click(ALAN, GENERAL, **pressed))
    assert "may not read" in await told(world, ALAN)
    assert learning.all_findings[finding().finding_id].state == "open"
    await sender.send(click(GRACE, GENERAL, **pressed))
    await world.idle()
    assert learning.all_findings[finding().finding_id].decided_by == GRACE


async def test_only_approvers_decide_on_suggestions_whatever_is_pressed_or_sent(
    learning: LearningInMemory, world: World, sender: Sender
) -> None:
    waiting = proposal().proposal_id
    for verb in ("approve", "reject", "back", "conclude", "card", "on", "paused", "off"):
        pressed: Json = {"type": "button", "action_id": f"learn:{verb}", "value": waiting}
        await sender.send(click(GRACE, GENERAL, **pressed))
    for name in ("learn_reject", "learn_back", "learn_conclude"):
        about = {"subject": waiting, "channel": GENERAL}
        await sender.send(form(f"{name} of learning", GRACE, about))
    assert f"Only <@{ADA}> can decide that" in await told(world, GRACE)
    await world.idle()
    assert learning.all_proposals == {waiting: proposal(audience=private_channel(LEADERSHIP))}
    assert learning.standing.set_by == ""
    assert (await world.get(f"views/{GRACE}"))["modals"] == []


@pytest.mark.parametrize("typed", ["why", "why ", "why f", "why f0a1b2c"])
async def test_a_short_id_picks_nothing(
    learning: LearningInMemory, world: World, typed: str
) -> None:
    await world.replies(await world.say(typed), "D0ADA")
    assert [request.text for request in world.orchestrator.requests] == [typed.strip()]
