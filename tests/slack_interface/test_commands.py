"""/better, /save-workflow, /metrics, run, help, and their twins."""

import pytest

from database.errors import InputError
from slack_interface.metrics_request import MetricsRequest, parse_metrics
from slack_interface.typed import inputs_from, typed_command
from tests.people import ADA, GRACE, find
from tests.slack_interface.world import World, over_both_transports


@over_both_transports
async def test_better_answers_again_in_the_thread_of_the_last_answer(world: World) -> None:
    ts = await world.say("What is tea?")
    [first] = await world.replies(ts)
    await world.command("/better", "shorter")
    replies = await world.replies(ts, count=3)
    assert "<@U0ADA> asked for a better answer: _shorter_" in replies[1]["text"]
    assert replies[2]["text"] == "Better (shorter): What is tea?"
    again = world.orchestrator.requests[1]
    assert again.parent_run_id == world.orchestrator.requests[0].run_id
    assert (again.thread_ts, again.message_ts) == (ts, replies[1]["ts"])
    [wish] = world.orchestrator.feedback
    assert (wish.kind, wish.text, wish.weight) == ("better", "shorter", 1.0)
    assert wish.value < 0
    run = await world.store.run_of_message("D0ADA", first["ts"])
    assert run is not None
    assert wish.run_id == run.run_id


async def test_better_as_words_in_a_thread_needs_no_announcement(world: World) -> None:
    ts = await world.say("@Virtuous6 What is tea?", channel="general")
    await world.replies(ts, "C0GENERAL")
    await world.say("better: in French", GRACE, "general", thread=ts)
    replies = await world.replies(ts, "C0GENERAL", 2)
    assert replies[1]["text"] == "Better (in French): What is tea?"


async def test_small_print_says_who_answered_and_a_question_says_more(world: World) -> None:
    ts = await world.say("What is tea?")
    [reply] = await world.replies(ts)
    [small] = find(reply["blocks"], "context")
    assert small["elements"][0]["text"] == "Answered by generalist in 0.1 s"
    await world.say("Who answered?", thread=ts)
    [_, told] = await world.replies(ts, count=2)
    assert "*generalist* answered in 0.1 s" in told["text"]
    assert len(world.orchestrator.requests) == 1
    why = await world.say("why?", thread=ts)
    await world.idle()
    assert world.orchestrator.requests[-1].message_ts == why


async def test_the_menu_of_an_answer_tells_how_it_came_about(world: World) -> None:
    ts = await world.say("@Virtuous6 What is tea?", channel="general")
    [reply] = await world.replies(ts, "C0GENERAL")
    where = {"channel": "C0GENERAL", "message_ts": reply["ts"], "user": GRACE}
    await world.post("shortcut", callback_id="how_answered", **where)
    [told] = await world.whispers(GRACE)
    assert "*generalist* answered" in told["text"]


@pytest.mark.parametrize(
    ("command", "text", "says"),
    [
        ("/better", "shorter", "not answered you here yet"),
        ("/save-workflow", "tea", "not answered you here yet"),
        ("/metrics", "for the last fortnight", "I do not understand “fortnight”"),
        ("/metrics", "agent coder 0d", "not between"),
        ("/metrics", "9999d", "not between"),
    ],
)
async def test_a_command_that_cannot_be_done_says_what_to_do(
    world: World, command: str, text: str, says: str
) -> None:
    await world.command(command, text, channel="general")
    [told] = await world.whispers()
    assert says in told["text"]


async def test_commands_without_what_they_need_say_how(world: World) -> None:
    await world.replies(await world.say("What is tea?"))
    await world.command("/better")
    await world.command("/save-workflow")
    told = await world.whispers(count=2)
    assert sorted("`/better shorter`" in entry["text"] for entry in told) == [False, True]
    assert sorted("save-workflow NAME" in entry["text"] for entry in told) == [False, True]


async def test_a_saved_thread_runs_again_with_new_inputs(world: World) -> None:
    ts = await world.say("@Virtuous6 describe tea", channel="general")
    await world.replies(ts, "C0GENERAL")
    await world.say("shorter please", channel="general", thread=ts)
    await world.replies(ts, "C0GENERAL", 2)
    await world.say("save-workflow describe", channel="general", thread=ts)
    [card] = await world.whispers()
    assert "describe" in card["text"]
    runs, author, audience = world.workflows.saved["describe"]
    assert [run.request for run in runs] == ["describe tea", "shorter please"]
    assert (author, audience) == (ADA, "public")
    again = await world.say("run describe topic=green coffee")
    replies = await world.replies(again, count=2)
    assert [r["text"] for r in replies] == ["You said: 1 green coffee", "You said: 2 green coffee"]


@over_both_transports
async def test_a_workflow_runs_from_its_button_with_a_modal(world: World) -> None:
    await world.replies(await world.say("describe tea"))
    await world.command("/save-workflow", "describe")
    [card] = await world.whispers()
    [button] = find(card["blocks"], "button")
    await world.press(card, button)
    view = await world.modal()
    [field] = find(view["blocks"], "plain_text_input")
    assert field["initial_value"] == "tea"
    values = {"input:topic": {"text": {"type": "plain_text_input", "value": "cocoa"}}}
    await world.post("submit", view_id=view["id"], user=ADA, values=values)
    await world.idle()
    assert world.orchestrator.requests[-1].text == "1 cocoa"


async def test_an_unknown_workflow_is_named_with_its_neighbour(world: World) -> None:
    await world.replies(await world.say("describe tea"))
    await world.command("/save-workflow", "describe")
    await world.whispers()
    [told] = await world.replies(await world.say("run descibe"))
    assert "Did you mean `run describe`?" in told["text"]
    for words in ("run a mile with me", "run it"):
        [reply] = await world.replies(await world.say(words))
        assert reply["text"] == f"You said: {words}"


async def test_a_workflow_of_a_direct_message_is_not_seen_by_others(world: World) -> None:
    await world.replies(await world.say("describe tea"))
    await world.command("/save-workflow", "describe")
    await world.whispers()
    [told] = await world.replies(await world.say("run describe x=1", GRACE), "D0GRACE")
    assert "There is no workflow “describe”" in told["text"]
    assert "There are:" not in told["text"]


async def test_help_lists_what_can_be_done(world: World) -> None:
    [told] = await world.replies(await world.say("help"))
    assert "/save-workflow" in told["text"]
    assert world.orchestrator.requests == []


async def test_metrics_show_charts_a_table_and_the_same_in_words(world: World) -> None:
    for question in ("one", "two"):
        await world.replies(await world.say(question))
    await world.command("/metrics", "me 7 days")
    [shown] = await world.whispers()
    assert "You, last 7 days" in shown["text"]
    assert "Answers: 2" in shown["text"]
    assert "Cost: unknown" in shown["text"]
    assert find(shown["blocks"], "data_visualization")
    [table] = find(shown["blocks"], "data_table")
    assert [cell["text"] for cell in table["rows"][1]][:2] == ["generalist", "2"]


async def test_metrics_of_another_person_are_public_counts_only(world: World) -> None:
    await world.replies(await world.say("a secret"))
    await world.replies(await world.say("@Virtuous6 hi", channel="general"), "C0GENERAL")
    await world.command("/metrics", "@ada 7d", GRACE, "general")
    [shown] = await world.whispers(GRACE)
    assert shown["text"] == "ada, last 7 days: 1 answer in public channels."
    assert find(shown["blocks"], "data_table") == []


async def test_everyones_metrics_leave_out_what_the_person_may_not_read(world: World) -> None:
    await world.replies(await world.say("a secret"))
    await world.replies(await world.say("@Virtuous6 plans", channel="leadership"), "C0LEADERSHIP")
    await world.replies(await world.say("@Virtuous6 hi", channel="general"), "C0GENERAL")
    await world.command("/metrics", "everyone", "alan", "general")
    await world.command("/metrics", "everyone", GRACE, "general")
    [alan] = await world.whispers("alan")
    [grace] = await world.whispers(GRACE)
    assert "Answers: 1\n" in alan["text"]
    assert "Answers: 2\n" in grace["text"]


async def test_metrics_in_a_thread_are_seen_by_the_asker_alone(world: World) -> None:
    ts = await world.say("@Virtuous6 hi", channel="general")
    await world.replies(ts, "C0GENERAL")
    await world.say("metrics", channel="general", thread=ts)
    [shown] = await world.whispers()
    assert "Everyone, last 30 days" in shown["text"]
    assert len(await world.replies(ts, "C0GENERAL")) == 1
    await world.say("metrics are hard to get right", channel="general", thread=ts)
    assert len(await world.replies(ts, "C0GENERAL", 2)) == 2


async def test_a_private_channels_metrics_are_for_its_members(world: World) -> None:
    await world.replies(await world.say("@Virtuous6 plans", channel="leadership"), "C0LEADERSHIP")
    for user in ("alan", GRACE):
        await world.command("/metrics", "<#C0LEADERSHIP|leadership> 7d", user, "general")
    [alan] = await world.whispers("alan")
    [grace] = await world.whispers(GRACE)
    assert "Only members" in alan["text"]
    assert "#leadership, last 7 days" in grace["text"]


@pytest.mark.parametrize(
    ("text", "direct", "meant"),
    [
        ("", False, MetricsRequest("everyone", "", 30)),
        ("", True, MetricsRequest("me", "", 30)),
        ("me 7d", False, MetricsRequest("me", "", 7)),
        ("7 days me", False, MetricsRequest("me", "", 7)),
        ("for me, last 2 weeks", False, MetricsRequest("me", "", 14)),
        ("<@U2|bob> today", False, MetricsRequest("person", "U2", None)),
        ("<#C2> 90", False, MetricsRequest("channel", "C2", 90)),
        ("agent coder this week", False, None),
        ("agent coder week", False, MetricsRequest("agent", "coder", 7)),
        ("ALL 24h", False, MetricsRequest("everyone", "", 1)),
        ("nonsense", False, None),
    ],
)
def test_metrics_are_asked_for_in_many_ways(
    text: str, direct: bool, meant: MetricsRequest | None
) -> None:
    if meant is None:
        with pytest.raises(InputError, match=r"/metrics \[me"):
            parse_metrics(text, direct)
    else:
        assert parse_metrics(text, direct) == meant


@pytest.mark.parametrize(
    ("text", "name", "rest"),
    [
        ("better: shorter", "better", "shorter"),
        ("/better shorter", "better", "shorter"),
        ("Better:\nin French", "better", "in French"),
        ("save-workflow weekly", "save-workflow", "weekly"),
        ("metrics me 7d", "metrics", "me 7d"),
        ("run weekly topic=tea", "run", "topic=tea"),
        ("help", "help", ""),
        ("What can you do?", "help", ""),
        ("better late than never", None, ""),
        ("how do I run this?", None, ""),
    ],
)
def test_commands_are_recognised_among_ordinary_words(
    text: str, name: str | None, rest: str
) -> None:
    command = typed_command(text)
    assert (command and (command.name, command.rest)) == (name and (name, rest))


@pytest.mark.parametrize(
    ("text", "sure"),
    [("run it", False), ("run tests", False), ("/run it", True), ("run it a=b", True)],
)
def test_plain_words_run_a_workflow_only_if_there_is_one(text: str, sure: bool) -> None:
    command = typed_command(text)
    assert command is not None
    assert (command.name, command.sure) == ("run", sure)


def test_inputs_take_quotes_spaces_and_apostrophes() -> None:
    assert inputs_from('a=1 b="two words" c=three more') == {
        "a": "1",
        "b": "two words",
        "c": "three more",
    }
    assert inputs_from("topic=Ada's tea") == {"topic": "Ada's tea"}
    assert inputs_from("nothing here") == {}


async def test_a_private_workflow_is_not_run_before_others(world: World) -> None:
    await world.replies(await world.say("describe tea"))
    await world.command("/save-workflow", "describe")
    await world.whispers()
    await world.say("@Virtuous6 run describe", channel="general")
    [_, told] = await world.whispers(count=2)
    assert "Run it in a direct message" in told["text"]
    assert len(world.orchestrator.requests) == 1
