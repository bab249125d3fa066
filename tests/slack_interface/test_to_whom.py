"""Guests, other organisations and bots: refused briefly until an admin allows them."""

import json
import time
from typing import Any

import httpx
import pytest

from orchestrator.policy import Policy
from slack_interface.gate import BOT_ANSWERS_AN_HOUR
from slack_interface.local_workspace.http_push import signature
from slack_interface.members import member_of
from slack_interface.slack_bot import Mode
from tests.people import ADA, BOT, GRACE, TEAM, Json, find
from tests.slack_interface.refusals import Refusal, Refusals
from tests.slack_interface.world import World

GENERAL = "C0GENERAL"


def everybody_is(slack: Refusals, **what: bool) -> None:
    """What users.info says of whoever is asked about."""
    user = {"id": GRACE, "name": "grace", "profile": {}} | what
    slack.by_method["users.info"] = Refusal({"ok": True, "user": user})


def the_channel_is(slack: Refusals, **what: bool) -> None:
    channel = {"id": GENERAL, "name": "general", "is_channel": True} | what
    slack.by_method["conversations.info"] = Refusal({"ok": True, "channel": channel})


async def told_once(world: World, says: str) -> None:
    """Asking twice in a thread and once more in another gives two reasons and no answer."""
    ts = await world.say("@Virtuous6 what is tea?", GRACE, "general")
    await world.whispers(GRACE)
    await world.say("@Virtuous6 please", GRACE, "general", thread=ts)
    await world.idle()
    assert len(await world.whispers(GRACE)) == 1
    await world.say("@Virtuous6 hello", GRACE, "general")
    found = await world.whispers(GRACE, 2)
    assert all(says in message["text"] for message in found)
    assert world.orchestrator.requests == []


@pytest.mark.parametrize("flag", ["is_restricted", "is_ultra_restricted"])
async def test_a_guest_is_told_why_once_in_a_thread(
    quiet_world: World, refusals: Refusals, flag: str
) -> None:
    everybody_is(refusals, **{flag: True})
    await told_once(quiet_world, "you are here as a guest")


async def test_a_stranger_is_told_why(quiet_world: World, refusals: Refusals) -> None:
    everybody_is(refusals, is_stranger=True)
    await told_once(quiet_world, "I answer members of this workspace only")


@pytest.mark.parametrize("flag", ["is_ext_shared", "is_pending_ext_shared"])
async def test_a_channel_shared_with_others_is_told_why(
    quiet_world: World, refusals: Refusals, flag: str
) -> None:
    the_channel_is(refusals, **{flag: True})
    await told_once(quiet_world, "shared with another organisation")


async def test_a_guest_who_is_let_in_reads_only_where_they_are(
    quiet_world: World, refusals: Refusals
) -> None:
    world = quiet_world
    everybody_is(refusals, is_restricted=True)
    await Policy(world.store.policy).set(f"allow_guests.{GRACE}", "yes", ADA)
    await world.bot_follows_policy()
    await world.replies(await world.say("hello", GRACE), "D0GRACE")
    ts = await world.say("@Virtuous6 hello", GRACE, "general")
    await world.replies(ts, GENERAL)
    for request in world.orchestrator.requests:
        assert "public" not in request.reader.audiences()
    assert len(world.orchestrator.requests) == 2


async def test_in_a_shared_channel_that_is_allowed_nothing_else_is_read(
    quiet_world: World, refusals: Refusals
) -> None:
    world = quiet_world
    the_channel_is(refusals, is_ext_shared=True)
    await Policy(world.store.policy).set(f"allow_external.{GENERAL}", "yes", ADA)
    await world.bot_follows_policy()
    ts = await world.say("@Virtuous6 hello", GRACE, "general")
    await world.replies(ts, GENERAL)
    [request] = world.orchestrator.requests
    assert request.audience == f"channel:{GENERAL}"
    assert request.reader.audiences() == {f"channel:{GENERAL}", f"person:{GRACE}"}


async def test_an_admin_lets_a_channel_in_from_the_channel_itself(
    quiet_world: World, refusals: Refusals
) -> None:
    world = quiet_world
    the_channel_is(refusals, is_ext_shared=True)
    await world.say(f"@Virtuous6 policy set allow_external.{GENERAL} yes", ADA, "general")
    await world.whispers(ADA)
    ts = await world.say("@Virtuous6 hello", GRACE, "general")
    [reply] = await world.replies(ts, GENERAL)
    assert reply["text"] == "You said: hello"


async def test_while_slack_does_not_say_who_somebody_is_they_are_asked_to_wait(
    quiet_world: World, refusals: Refusals
) -> None:
    world = quiet_world
    refusals.refuse("users.info", "internal_error")
    ts = await world.say("hello", GRACE)
    [told] = await world.replies(ts, "D0GRACE")
    assert "ask again in a minute" in told["text"]
    del refusals.by_method["users.info"]
    [reply] = await world.replies(await world.say("hello", GRACE), "D0GRACE")
    assert reply["text"] == "You said: hello"


@pytest.mark.parametrize(
    ("user", "standing"),
    [
        ({"team_id": "T0OURS"}, "member"),
        ({}, "member"),
        ({"team_id": "T0OTHER"}, "stranger"),
        ({"team_id": "T0OTHER", "is_stranger": False, "is_admin": True}, "stranger"),
        ({"team_id": "T0OTHER", "enterprise_user": {"enterprise_id": "E0OTHER"}}, "stranger"),
        ({"team_id": "T0SISTER", "enterprise_user": {"enterprise_id": "E0OURS"}}, "member"),
        ({"team_id": "E0X", "enterprise_user": {"teams": ["T0OURS"]}}, "member"),
        ({"team_id": "T0OURS", "is_restricted": True, "is_admin": True}, "guest"),
    ],
)
def test_people_of_other_organisations_are_told_by_their_team(user: Json, standing: str) -> None:
    """Slack calls nobody a stranger with whom we share a channel."""
    member = member_of({"id": GRACE, "is_owner": True} | user, "T0OURS", "E0OURS")
    assert member.standing == standing
    assert member.admin == (standing == "member")


async def test_everywhere_else_a_guest_is_refused_too(
    quiet_world: World, refusals: Refusals
) -> None:
    """Commands, buttons, shortcuts and Home."""
    world = quiet_world
    ts = await world.say("@Virtuous6 what is tea?", ADA, "general")
    [answer] = await world.replies(ts, GENERAL)
    everybody_is(refusals, is_restricted=True)
    for number, command in enumerate(("/better", "/metrics", "/save-workflow"), start=1):
        await world.command(command, "everyone", GRACE, "general")
        assert "as a guest" in (await world.whispers(GRACE, number))[-1]["text"]
    [thumbs] = find(answer["blocks"], "feedback_buttons")
    rate = {"type": "feedback_buttons", "action_id": thumbs["action_id"],
            "value": thumbs["negative_button"]["value"]}  # fmt: skip
    await world.press(answer, rate, GENERAL, GRACE)
    assert "as a guest" in (await world.whispers(GRACE, 4))[-1]["text"]
    for number, name in enumerate(("improve_answer", "save_workflow", "how_answered"), start=5):
        where = {"channel": GENERAL, "message_ts": answer["ts"]}
        await world.post("shortcut", user=GRACE, callback_id=name, **where)
        assert "as a guest" in (await world.whispers(GRACE, number))[-1]["text"]
    home = json.dumps(await world.home(GRACE))
    assert "as a guest" in home
    assert "Settings" not in home
    assert (await world.get(f"views/{GRACE}"))["modals"] == []
    assert world.orchestrator.feedback == []
    assert len(world.orchestrator.requests) == 1


class TestFromOutside:
    """Events that the local workspace's people cannot make, signed as Slack signs them."""

    @pytest.fixture
    def transport(self) -> Mode:
        return "http"

    async def push(self, world: World, number: int, **event: Any) -> None:
        ts = f"1700000000.{number:06d}"
        whole: Json = {
            "type": "message", "channel": GENERAL, "channel_type": "channel",
            "user": "U0OTHERBOT", "ts": ts, "text": f"<@{BOT}> hello {number}",
        }  # fmt: skip
        external = bool(event.pop("external", False))
        body = json.dumps(
            {"type": "event_callback", "team_id": TEAM, "api_app_id": "A0", "event_id": f"Ev{ts}",
             "is_ext_shared_channel": external, "event": whole | event}
        ).encode()  # fmt: skip
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": signature(world.workspace.signing_secret, stamp, body),
        }
        assert world.bot
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"http://127.0.0.1:{world.bot.port}/slack/events"
            assert (await client.post(url, content=body, headers=headers)).status_code == 200
        await world.idle()

    async def said(self, world: World) -> list[str]:
        posted = (await world.get("log?kind=api"))["log"]
        return [row["method"] for row in posted if row["method"].startswith("chat.post")]

    async def test_a_bot_is_told_once_and_never_answered(self, world: World) -> None:
        for number in range(1, 6):
            await self.push(world, number, bot_id="B0OTHER")
        assert len(await self.said(world)) == 1
        assert world.orchestrator.requests == []

    async def test_what_a_bot_says_to_others_is_nothing_to_us(self, world: World) -> None:
        await self.push(world, 1, bot_id="B0OTHER", text="deployed")
        assert await self.said(world) == []
        assert world.orchestrator.heard_messages == []

    async def test_a_bot_that_is_let_in_cannot_talk_to_us_forever(self, world: World) -> None:
        await Policy(world.store.policy).set("allow_bots.U0OTHERBOT", "yes", ADA)
        await world.bot_follows_policy()
        for number in range(1, BOT_ANSWERS_AN_HOUR + 4):
            await self.push(world, number, bot_id="B0OTHER")
        assert len(world.orchestrator.requests) == BOT_ANSWERS_AN_HOUR

    async def test_what_is_said_in_a_shared_channel_is_not_kept(self, world: World) -> None:
        await self.push(world, 1, user=GRACE, text="our secret plans", external=True)
        assert world.orchestrator.heard_messages == []
        await self.push(world, 2, user=GRACE, external=True)
        assert world.orchestrator.requests == []
        [told] = await world.whispers(GRACE)
        assert "shared with another organisation" in told["text"]
