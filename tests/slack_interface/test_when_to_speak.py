"""When to speak, decided by admins from Slack; and posts that nobody asked for."""

import pytest

from database.records import RunQuery
from orchestrator.policy import Policy
from slack_interface.outgoing import Post
from slack_interface.proactive import Proactive
from tests.people import ADA, ALAN, BOT, GRACE, eventually, find
from tests.slack_interface.world import World

GENERAL = "C0GENERAL"


async def decide(world: World, words: str, user: str = ADA) -> str:
    """What an admin says in #general; what they are told there for all to see."""
    ts = await world.say(f"@Virtuous6 {words}", user, "general")
    [told] = await world.replies(ts, GENERAL)
    return str(told["text"])


async def asked(world: World) -> list[str]:
    await world.idle()
    return [request.text for request in world.orchestrator.requests]


async def test_quiet_by_default(world: World) -> None:
    await world.say("does anybody know tea?", GRACE, "general")
    ts = await world.say("@Virtuous6 what is tea?", GRACE, "general")
    await world.replies(ts, GENERAL)
    await world.say("and coffee?", GRACE, "general", thread=ts)
    await world.replies(ts, GENERAL, 2)
    assert await asked(world) == ["what is tea?", "and coffee?"]


async def test_mentions_only(world: World) -> None:
    told = await decide(world, "channel: mentions")
    assert told == "From now on I answer here only when I am mentioned."
    ts = await world.say("@Virtuous6 what is tea?", GRACE, "general")
    await world.replies(ts, GENERAL)
    await world.say("how nice", GRACE, "general", thread=ts)
    assert await asked(world) == ["what is tea?"]
    await world.say("@Virtuous6 and coffee?", GRACE, "general", thread=ts)
    await world.replies(ts, GENERAL, 2)
    assert (await asked(world))[-1] == "and coffee?"


async def test_everything_but_what_is_for_somebody_else(world: World) -> None:
    ts = await world.say("@Virtuous6 what is tea?", GRACE, "general")
    await world.replies(ts, GENERAL)
    await world.say("@Virtuous6 channel: everything", ADA, "general", thread=ts)
    await world.replies(ts, GENERAL, 2)
    await world.say("@grace have you seen this?", ALAN, "general")
    asks = await world.say("does anybody know coffee?", ALAN, "general")
    await world.replies(asks, GENERAL)
    assert await asked(world) == ["what is tea?", "does anybody know coffee?"]
    await world.say("not for you, other channel", ALAN, "engineering")
    assert len(await asked(world)) == 2


async def test_a_decision_holds_after_a_restart_and_is_audited(world: World) -> None:
    await decide(world, "channel: mentions")
    policy = Policy(world.store.policy)
    assert policy.speaking(GENERAL) == "mentions"
    assert [(c.key, c.value, c.set_by) for c in policy.history()] == [
        (f"speak.{GENERAL}", "mentions", ADA)
    ]


@pytest.mark.parametrize("words", ["channel: mentions", "policy set allow_guests yes", "policy"])
async def test_others_are_told_whom_to_ask_and_change_nothing(world: World, words: str) -> None:
    await world.say(f"@Virtuous6 {words}", GRACE, "general")
    [told] = await world.whispers(GRACE)
    assert told["text"] == "Only the admins of this workspace can decide that: please ask there."
    assert list(Policy(world.store.policy).history()) == []


async def test_named_approvers_decide_instead_of_admins(world: World) -> None:
    await Policy(world.store.policy).set("approvers", GRACE, "command line")
    await world.bot_follows_policy()
    assert "From now on" in await decide(world, "channel: mentions", GRACE)
    await world.say("@Virtuous6 channel: threads", ADA, "general")
    [told] = await world.whispers(ADA)
    assert f"Only <@{GRACE}> can decide" in told["text"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("channel: loudly", "Here I answer when I am mentioned, and in the threads that I am in."),
        ("policy set speak loudly", "must be one of mentions, threads, everything"),
        ("policy set volume 11", "There is no policy volume"),
        ("policy set", "Say `policy show`"),
        ("policy show speak", "speak: threads"),
        ("policy set person_at_once.<@U0GRACE> 2", "`person_at_once.U0GRACE` is 2 now"),
    ],
)
async def test_words_that_are_not_quite_right_say_how(world: World, words: str, says: str) -> None:
    await world.say(f"@Virtuous6 {words}", ADA, "general")
    [told] = await world.whispers(ADA)
    assert says in told["text"]
    assert await world.store.runs(RunQuery()) == []


async def test_approvers_decide_in_app_home_and_others_see_nothing_of_it(world: World) -> None:
    assert "For admins" not in str(await world.home(GRACE))
    home = await world.home(ADA)
    selects = {element["action_id"]: element for element in find(home["blocks"], "static_select")}
    action_id = f"policy:speak.{GENERAL}"
    chosen = next(o for o in selects[action_id]["options"] if o["value"] == "mentions")
    action = {"type": "static_select", "action_id": action_id, "selected_option": chosen}
    await world.post("interact", view_id=home["id"], user=ADA, action=action)
    assert Policy(world.store.policy).speaking(GENERAL) == "mentions"
    again = find((await world.home(ADA))["blocks"], "static_select")
    now = {element["action_id"]: element["initial_option"]["value"] for element in again}
    assert now[action_id] == "mentions"
    assert now["policy:speak"] == "threads"


async def test_so_many_unasked_posts_a_channel_and_day(world: World) -> None:
    policy = Policy(world.store.policy)
    await policy.set("proactive_per_day", "2", ADA)
    assert world.bot
    [desk] = world.bot.desks
    now = [1_800_000_000.0]
    proactive = Proactive(policy, world.rows, desk.outgoing, clock=lambda: now[0])

    async def post(number: int, channel: str = GENERAL) -> bool:
        return await proactive.post(Post(f"note-{channel}-{number}", channel, f"note {number}"))

    assert [await post(1), await post(2), await post(3)] == [True, True, False]
    assert await post(1, "C0ENGINEERING")
    now[0] += 86_400
    assert await post(4)

    async def shown() -> bool:
        found = (await world.get(f"messages/{GENERAL}"))["messages"]
        return [m["text"] for m in found if m.get("user") == BOT] == ["note 1", "note 2", "note 4"]

    await eventually(shown, "the posts")
