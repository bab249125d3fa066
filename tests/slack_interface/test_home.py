"""App Home, prompts, being added and sent away, starting badly."""

import json

import pytest
from pydantic import SecretStr

from database.errors import ConfigurationError
from slack_interface.blocks import bars, shortened
from tests.people import ADA, BOT, GRACE, eventually, find
from tests.slack_interface.refusals import Refusals
from tests.slack_interface.world import Settings, World, over_both_transports


@over_both_transports
async def test_home_shows_the_persons_own_runs_figures_and_abilities(world: World) -> None:
    await world.replies(await world.say("What is <tea> & *cake*?"))
    await world.replies(await world.say("graces secret", GRACE), "D0GRACE")
    shown = json.dumps(await world.home(), ensure_ascii=False)
    assert "Hello Ada" in shown
    assert "What is &lt;tea&gt; &amp; *cake*?" in shown
    assert "Answers: 1" in shown
    assert "graces secret" not in shown
    assert "/save-workflow" in shown


async def test_a_persons_time_zone_is_the_one_they_have_in_slack(world: World) -> None:
    zones = find((await world.home(GRACE))["blocks"], "static_select")
    assert zones[1]["initial_option"]["value"] == "Europe/London"
    assert await world.store.person(GRACE) is None
    for _ in range(2):
        await world.replies(await world.say("What time is it?", GRACE), "D0GRACE")
    person = await world.store.person(GRACE)
    assert person is not None
    assert (person.name, dict(person.settings)) == ("Grace", {"time_zone": "Europe/London"})
    assert len(await world.calls("users.info")) == 1


@over_both_transports
async def test_settings_are_kept_and_shown_again(world: World) -> None:
    home = await world.home()
    selects = {element["action_id"]: element for element in find(home["blocks"], "static_select")}
    for action_id, value in (
        ("settings:answer_length", "short"),
        ("settings:time_zone", "Asia/Tokyo"),
    ):
        chosen = next(o for o in selects[action_id]["options"] if o["value"] == value)
        action = {"type": "static_select", "action_id": action_id, "selected_option": chosen}
        await world.post("interact", view_id=home["id"], user=ADA, action=action)
    person = await world.store.person(ADA)
    assert person is not None
    assert dict(person.settings) == {"answer_length": "short", "time_zone": "Asia/Tokyo"}
    again = find((await world.home())["blocks"], "static_select")
    mine = [s for s in again if s["action_id"].startswith("settings:")]
    assert [s["initial_option"]["value"] for s in mine] == ["short", "Asia/Tokyo", "yes"]


@over_both_transports
async def test_a_workflow_runs_from_home_into_the_direct_message(world: World) -> None:
    await world.replies(await world.say("describe tea"))
    await world.command("/save-workflow", "describe")
    await world.whispers()
    home = await world.home()
    button = find(home["blocks"], "button")[0]
    await world.post("interact", view_id=home["id"], user=ADA, action=button)
    view = await world.modal()
    values = {"input:topic": {"text": {"type": "plain_text_input", "value": "cocoa"}}}
    await world.post("submit", view_id=view["id"], user=ADA, values=values)

    async def answered() -> bool:
        return len(world.orchestrator.recorded) == 2

    await eventually(answered, "the workflow ran")
    request = world.orchestrator.requests[-1]
    assert (request.channel_id, request.text) == ("D0ADA", "1 cocoa")


async def test_the_messages_tab_suggests_what_to_ask(world: World) -> None:
    await world.post("open-home", user=ADA, tab="messages")

    async def suggested() -> bool:
        return "help" in json.dumps((await world.get("state"))["prompts"])

    await eventually(suggested, "prompts")


async def test_it_says_hello_once_in_a_channel(world: World) -> None:
    members = world.workspace.runtime.workspace.channels["C0GENERAL"].members

    async def said() -> bool:
        return bool((await world.get("messages/C0GENERAL"))["messages"])

    async def heard_all() -> bool:
        log = (await world.get("log?kind=delivery&method=member_joined_channel"))["log"]
        return [row["outcome"] for row in log] == ["acked"] * 3

    for who in (BOT, BOT, GRACE):
        members.discard(who)
        await world.post("join", channel="general", user=who, inviter=ADA)
        await eventually(said, "hello")
    await eventually(heard_all, "every joining is heard of")
    await world.idle()
    [hello] = (await world.get("messages/C0GENERAL"))["messages"]
    assert "Mention me" in hello["text"]
    assert await world.rows.posts() == []


async def test_a_refused_home_or_table_is_not_fatal(quiet_world: World, refusals: Refusals) -> None:
    refusals.refuse("views.publish", "invalid_arguments")
    await quiet_world.post("open-home", user=ADA, tab="home")
    [reply] = await quiet_world.replies(await quiet_world.say("still there?"))
    assert reply["text"] == "You said: still there?"


async def test_refused_charts_are_told_in_words(quiet_world: World, refusals: Refusals) -> None:
    await quiet_world.replies(await quiet_world.say("one"))
    refusals.refuse("chat.postMessage", "invalid_blocks", times=1)
    [told] = await quiet_world.replies(await quiet_world.say("metrics me"))
    assert "Answers: 1" in told["text"]
    assert find(told.get("blocks") or [], "data_table") == []


@pytest.mark.parametrize(
    ("bot", "app", "says"),
    [
        (None, "xapp-1", "SLACK_BOT_TOKEN"),
        ("xoxb-1", None, "SLACK_APP_TOKEN"),
        ("xoxb-wrong", "xapp-wrong", "refuses SLACK_BOT_TOKEN"),
        ("right", "xapp-wrong", "refuses SLACK_APP_TOKEN"),
    ],
)
async def test_a_bad_token_says_which_and_where_to_get_it(
    quiet_world: World, bot: str | None, app: str | None, says: str
) -> None:
    bot = quiet_world.workspace.bot_token if bot == "right" else bot
    slack = quiet_world.bot_with(
        Settings(
            SecretStr(bot) if bot else None,
            SecretStr(app) if app else None,
            quiet_world.workspace.api_url,
        )
    )
    with pytest.raises(ConfigurationError, match=says):
        await slack.start()


async def test_being_sent_away_is_survived(world: World) -> None:
    await world.post("uninstall")
    await world.idle()


async def test_a_reader_knows_the_private_channels_of_a_person(world: World) -> None:
    assert world.bot
    [desk] = world.bot.desks
    assert (await desk.places.reader(ADA)).channels == {"C0LEADERSHIP"}
    assert (await desk.places.reader("U0ALAN")).channels == frozenset()
    asked = await world.calls("users.conversations")
    await desk.places.reader(ADA)
    assert await world.calls("users.conversations") == asked


def test_pieces_keep_within_slacks_limits() -> None:
    assert shortened("x" * 10, 5) == "xxxx…"
    chart = bars("t" * 60, ["a very long category name"] * 30, [("s", [1.0] * 30)])
    labels = chart["chart"]["axis_config"]["categories"]
    assert len(labels) == len(set(labels)) == 20
    assert max(map(len, labels)) <= 20
