"""Messages in, answers out."""

import asyncio
from collections.abc import AsyncIterator

from slack_sdk.web.async_client import AsyncWebClient

from agents.ports import FilesPort
from agents.turns import StepFinished, StepStarted, TextDelta
from database.records import one_person, private_channel
from orchestrator.requests import ReplyEvent, Request
from slack_interface.members import Members
from slack_interface.places import Places
from tests.people import ADA, BOT, GRACE, eventually, find
from tests.slack_interface.world import World, echo, finished, over_both_transports, saying


@over_both_transports
async def test_a_direct_message_is_answered_in_its_thread_with_two_calls(world: World) -> None:
    await world.replies(await world.say("Warm up"))
    before = await world.calls()
    ts = await world.say("What is tea?")
    [reply] = await world.replies(ts)
    run_id = world.orchestrator.requests[-1].run_id
    assert reply["text"] == "You said: What is tea?"
    assert reply["metadata"]["event_payload"]["run_id"] == run_id
    [buttons] = find(reply["blocks"], "feedback_buttons")
    assert buttons["positive_button"]["value"] == f"up:{run_id}"
    assert (await world.calls())[len(before) :] == ["chat.startStream", "chat.stopStream"]
    run = await world.store.run_of_message("D0ADA", reply["ts"])
    assert run is not None
    assert run.run_id == run_id
    assert await world.rows.pending() == []


@over_both_transports
async def test_a_mention_and_its_twin_are_answered_once(world: World) -> None:
    ts = await world.say("@Virtuous6 what is &lt;b&gt;?", channel="general")
    [reply] = await world.replies(ts, "C0GENERAL")
    [request] = world.orchestrator.requests
    assert request.text.startswith("what is ")
    assert request.audience == "public"
    assert request.reader.channels == frozenset()
    assert reply["thread_ts"] == ts


@over_both_transports
async def test_duplicates_retries_and_reordering_lead_to_one_answer_each(world: World) -> None:
    await world.post("faults", duplicate=1.0, reorder=0.5)
    stamps = [await world.say(f"@Virtuous6 number {n}", channel="general") for n in range(8)]
    for ts in stamps:
        assert len(await world.replies(ts, "C0GENERAL")) == 1
    assert len(world.orchestrator.requests) == 8


@over_both_transports
async def test_a_thread_reply_is_answered_where_the_assistant_takes_part(world: World) -> None:
    ts = await world.say("@Virtuous6 hello", channel="general")
    await world.replies(ts, "C0GENERAL")
    await world.say("and now?", GRACE, "general", thread=ts)
    replies = await world.replies(ts, "C0GENERAL", 2)
    assert replies[1]["text"] == "You said: and now?"


async def test_it_keeps_quiet_elsewhere_but_remembers(world: World) -> None:
    ts = await world.say("lunch?", GRACE, "general")
    await world.say("yes please", ADA, "general", thread=ts)
    mine = await world.say("@Virtuous6 hello", channel="general")
    await world.replies(mine, "C0GENERAL")
    await world.say("@grace what do you think?", ADA, "general", thread=mine)

    async def heard() -> bool:
        return len(world.orchestrator.heard_messages) == 3

    await eventually(heard, "three messages heard")
    await world.idle()
    assert len(world.orchestrator.requests) == 1
    assert [m.role for m in world.orchestrator.heard_messages] == ["person"] * 3
    assert await world.thread(ts, "C0GENERAL") == [
        m for m in await world.thread(ts, "C0GENERAL") if m["user"] != BOT
    ]


async def test_taking_part_in_a_thread_survives_a_restart(world: World) -> None:
    ts = await world.say("@Virtuous6 hello", channel="general")
    await world.replies(ts, "C0GENERAL")
    assert world.bot
    await world.bot.stop()
    await world.start()
    await world.say("still there?", ADA, "general", thread=ts)
    assert len(await world.replies(ts, "C0GENERAL", 2)) == 2


async def test_a_private_channel_is_private_even_when_only_the_mention_arrives(
    world: World,
) -> None:
    ts = await world.say("@Virtuous6 salaries?", channel="leadership")
    await world.replies(ts, "C0LEADERSHIP")
    dm = await world.say("a secret")
    await world.replies(dm)
    channel, direct = world.orchestrator.requests
    assert channel.audience == private_channel("C0LEADERSHIP")
    assert channel.reader.channels == {"C0LEADERSHIP"}
    assert direct.audience == one_person(ADA)


async def test_steps_are_shown_as_task_cards(world: World) -> None:
    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        yield StepStarted("s1", "Calculating 2+2")
        yield StepFinished("s1", "Calculating 2+2", True, "4")
        yield TextDelta("Four.")
        yield finished(request, "Four.")

    world.orchestrator.script = script
    [reply] = await world.replies(await world.say("2+2?"))
    [card] = find(reply["blocks"], "task_card")
    assert (card["title"], card["status"]) == ("Calculating 2+2", "complete")
    assert reply["text"] == "Four."


async def test_threads_are_ordered_inside_and_parallel_across(world: World) -> None:
    gate = asyncio.Event()

    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        if request.text == "slow":
            await gate.wait()
        async for event in echo(request, files):
            yield event

    world.orchestrator.script = script
    slow = await world.say("slow")
    await world.say("after it", thread=slow)
    other = await world.say("meanwhile")

    async def answered() -> bool:
        return bool(await world.thread(other))

    await eventually(answered, "the other thread is answered")
    assert {r.text for r in world.orchestrator.requests} == {"slow", "meanwhile"}
    gate.set()
    replies = await world.replies(slow, count=2)
    assert [r["text"] for r in replies] == ["You said: slow", "You said: after it"]


async def test_a_problem_is_told_in_words(world: World) -> None:
    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        yield TextDelta("Let me")
        yield finished(request, None, "The model is away; try again in a minute.")

    world.orchestrator.script = script
    [reply] = await world.replies(await world.say("hello"))
    assert reply["text"] == "Let me\n\n:warning: The model is away; try again in a minute."
    assert find(reply["blocks"], "feedback_buttons") == []


async def test_a_broken_orchestrator_is_told_without_a_stack_trace(world: World) -> None:
    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        yield TextDelta("So")
        raise KeyError("secret-internal")

    world.orchestrator.script = script
    [reply] = await world.replies(await world.say("hello"))
    assert "Something went wrong on my side" in reply["text"]
    assert "secret-internal" not in reply["text"]
    [(done, shown)] = world.orchestrator.recorded
    assert (done.run.error, shown) == ("internal error", reply["ts"])


async def test_an_empty_mention_is_greeted_and_an_empty_answer_said(world: World) -> None:
    ts = await world.say("@Virtuous6", channel="general")
    [greeting] = await world.replies(ts, "C0GENERAL")
    assert "help" in greeting["text"]
    world.orchestrator.script = saying()
    [reply] = await world.replies(await world.say("hello"))
    assert "no answer" in reply["text"]


@over_both_transports
async def test_what_was_not_done_before_a_crash_is_done_after_it(world: World) -> None:
    async def hangs(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        await asyncio.Event().wait()
        yield TextDelta("never")

    world.orchestrator.script = hangs
    ts = await world.say("important")

    async def begun() -> bool:
        return bool(world.orchestrator.requests)

    await eventually(begun, "the answer began")
    assert world.bot
    await world.bot.stop(grace_s=0.01)
    assert await world.thread(ts) == []
    world.orchestrator.script = echo
    await world.start()
    [reply] = await world.replies(ts)
    assert reply["text"] == "You said: important"
    assert await world.rows.pending() == []


async def test_the_row_is_on_disk_before_slack_hears_of_it(world: World) -> None:
    world.rows.failures = 1
    ts = await world.say("hello")
    [reply] = await world.replies(ts)
    assert reply["text"] == "You said: hello"


async def test_edits_and_deletions_reach_the_memory(world: World) -> None:
    ts = await world.say("what is tee?")
    await world.replies(ts)
    await world.post("edit-message", channel="@assistant", user=ADA, ts=ts, text="what is tea?")
    await world.post("delete-message", channel="@assistant", user=ADA, ts=ts)

    async def both() -> bool:
        return bool(world.orchestrator.edits and world.orchestrator.deletions)

    await eventually(both, "the edit and the deletion")
    assert world.orchestrator.edits == [("D0ADA", ts, "what is tea?")]
    assert world.orchestrator.deletions == [("D0ADA", ts)]
    [correction] = world.orchestrator.feedback
    assert (correction.kind, correction.value, correction.weight) == ("correction", -0.3, 0.2)


@over_both_transports
async def test_a_shared_file_can_be_read_in_the_thread(world: World) -> None:
    read: list[bytes] = []

    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        for ref in files.files():
            read.append(await files.read(ref.file_id))
        async for event in echo(request, files):
            yield event

    world.orchestrator.script = script
    await world.share("notes.txt", b"tea is nice", "read this")

    async def done() -> bool:
        return bool(world.orchestrator.recorded)

    await eventually(done, "the answer")
    assert read == [b"tea is nice"]


async def test_a_file_that_was_not_for_us_can_be_asked_about_in_its_thread(world: World) -> None:
    names: list[str] = []

    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        names.extend(ref.name for ref in files.files())
        async for event in echo(request, files):
            yield event

    world.orchestrator.script = script
    shared = await world.http.post(
        "/_page/upload",
        params={"channel": "general", "user": GRACE},
        files={"file": ("plan.txt", b"tea at five", "text/plain")},
    )
    ts = str(shared.json()["message"]["ts"])
    await world.say("@Virtuous6 what is the plan?", channel="general", thread=ts)
    await world.replies(ts, "C0GENERAL")
    assert names == ["plan.txt"]


async def test_after_a_command_in_a_thread_it_takes_part_there(world: World) -> None:
    first = await world.say("@Virtuous6 what is tea?", channel="general")
    await world.replies(first, "C0GENERAL")
    await world.say("@Virtuous6 save-workflow tea", channel="general", thread=first)
    ts = await world.say("who runs it today?", GRACE, "general")
    await world.say("the assistant does", ADA, "general", thread=ts)
    await world.say("@Virtuous6 run tea", ADA, "general", thread=ts)
    await world.replies(ts, "C0GENERAL")
    await world.say("and now without milk", GRACE, "general", thread=ts)
    assert len(await world.replies(ts, "C0GENERAL", 2)) == 2


async def test_a_place_counts_as_private_while_slack_is_away() -> None:
    nobody = AsyncWebClient(token="xoxb-1", base_url="http://127.0.0.1:9/api/", retry_handlers=[])
    places = Places(nobody, Members(nobody))
    assert await places.channel_type("C0LEADERSHIP") == "group"
    assert (await places.reader(ADA)).channels == frozenset()
    assert await places.name(ADA) == ADA
