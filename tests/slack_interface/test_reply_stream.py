"""Long, slow, refused and stopped answers."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from agents.ports import FilesPort
from agents.turns import TextDelta
from orchestrator.requests import ReplyEvent, Request
from slack_interface.splitting import split_point
from tests.patience import PATIENCE_S
from tests.people import ADA, GRACE, eventually, find
from tests.slack_interface.refusals import Refusal, Refusals
from tests.slack_interface.world import World, finished, saying

LONG = "".join(f"Sentence number {n} of a long answer.\n" for n in range(1_600))[:60_000]


async def test_a_long_answer_arrives_whole_over_several_messages(world: World) -> None:
    pieces = [LONG[start : start + 700] for start in range(0, len(LONG), 700)]
    world.orchestrator.script = saying(*pieces)
    replies = await world.replies(await world.say("tell me all"), count=2)
    assert "".join(reply["text"] for reply in replies) == LONG
    assert [bool(find(reply["blocks"], "feedback_buttons")) for reply in replies] == [False, True]
    assert world.orchestrator.recorded[0][1] == replies[-1]["ts"]


async def test_a_stream_that_slack_closed_goes_on_in_the_next_message(world: World) -> None:
    await world.post("faults", stream_lifetime_s=0.2)
    world.orchestrator.script = slowly([f"part {n} " for n in range(12)], 0.08)
    replies = await world.replies(await world.say("go"), count=3)
    assert "".join(reply["text"] for reply in replies) == "".join(f"part {n} " for n in range(12))


async def test_its_own_clock_closes_a_stream_before_slack_does(world: World) -> None:
    world.pace.stream_seconds = 0.2
    world.orchestrator.script = slowly([f"part {n} " for n in range(12)], 0.08)
    replies = await world.replies(await world.say("go"), count=3)
    assert "".join(reply["text"] for reply in replies) == "".join(f"part {n} " for n in range(12))
    assert (await world.calls("chat.stopStream")) == ["chat.stopStream"] * len(replies)


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope", "internal_error"])
async def test_without_streaming_the_answer_is_a_message_that_grows(
    quiet_world: World, refusals: Refusals, error: str
) -> None:
    world = quiet_world
    refusals.refuse("chat.startStream", error)
    world.orchestrator.script = slowly(["Hello ", "there ", "Ada."], 0.1)
    [reply] = await world.replies(await world.say("hi"))
    assert [b["text"] for b in find(reply["blocks"], "markdown")] == ["Hello there Ada."]
    assert find(reply["blocks"], "feedback_buttons")
    assert reply["metadata"]["event_payload"]["run_id"] == world.orchestrator.requests[0].run_id
    await world.replies(await world.say("hi again"))
    assert refusals.asked.count("chat.startStream") == (2 if error == "internal_error" else 1)


async def test_a_long_answer_without_streaming_is_whole_too(
    quiet_world: World, refusals: Refusals
) -> None:
    refusals.refuse("chat.startStream", "unknown_method")
    quiet_world.orchestrator.script = saying(LONG)
    replies = await quiet_world.replies(await quiet_world.say("all"), count=6)
    shown = [block["text"] for reply in replies for block in find(reply["blocks"], "markdown")]
    assert "".join(shown) == LONG


async def test_a_stream_that_breaks_is_written_over_in_place(
    quiet_world: World, refusals: Refusals
) -> None:
    refusals.refuse("chat.appendStream", "internal_error")
    pieces = [f"part {n} " for n in range(6)]
    quiet_world.orchestrator.script = slowly(pieces, 0.1)
    [reply] = await quiet_world.replies(await quiet_world.say("go"))
    assert [b["text"] for b in find(reply["blocks"], "markdown")] == ["".join(pieces)]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    "method", ["chat.startStream", "chat.appendStream", "chat.stopStream", "chat.postMessage"]
)
async def test_a_call_whose_answer_is_lost_is_not_blindly_made_again(
    quiet_world: World, refusals: Refusals, method: str, streaming: bool
) -> None:
    if not streaming:
        refusals.refuse("chat.startStream", "unknown_method")
    refusals.lose(method, times=2)
    quiet_world.pace.doubt_s = 0.01
    pieces = [f"part {n} " for n in range(8)]
    quiet_world.orchestrator.script = slowly(pieces, 0.06)
    ts = await quiet_world.say("@Virtuous6 go", channel="general")
    [reply] = await quiet_world.replies(ts, "C0GENERAL")
    assert [b["text"] for b in find(reply["blocks"], "markdown")] == ["".join(pieces)]
    assert find(reply["blocks"], "feedback_buttons")
    assert not reply.get("streaming")
    assert quiet_world.orchestrator.recorded[0][1] == reply["ts"]


async def test_a_long_answer_in_doubt_is_written_over_whole(
    quiet_world: World, refusals: Refusals
) -> None:
    refusals.lose("chat.stopStream", times=2)
    quiet_world.pace.doubt_s = 0.01
    quiet_world.orchestrator.script = saying(LONG[:25_000])
    replies = await quiet_world.replies(await quiet_world.say("all"), count=3)
    shown = [block["text"] for reply in replies for block in find(reply["blocks"], "markdown")]
    assert "".join(shown) == LONG[:25_000]
    assert [bool(find(reply["blocks"], "feedback_buttons")) for reply in replies][-1]


async def test_above_the_rate_of_streams_an_answer_is_posted_and_not_waited_for(
    quiet_world: World, refusals: Refusals
) -> None:
    limited = {"ok": False, "error": "ratelimited"}
    refusals.by_method["chat.startStream"] = Refusal(limited, 9, 429, {"Retry-After": "60"})
    for question in ("one", "two"):
        [reply] = await quiet_world.replies(await quiet_world.say(question))
        assert find(reply["blocks"], "markdown")[0]["text"] == f"You said: {question}"
    assert refusals.asked.count("chat.startStream") == 1


async def test_many_at_once_stay_within_slacks_rates(world: World) -> None:
    await world.post("faults", pacing=True, clock_rate=10)
    asked = [(user, await world.say(f"{n}", user)) for n in range(12) for user in (ADA, GRACE)]
    for user, ts in asked:
        [reply] = await world.replies(ts, f"D{user[1:]}")
        assert find(reply["blocks"], "feedback_buttons")


async def test_refused_blocks_do_not_cost_the_answer(
    quiet_world: World, refusals: Refusals
) -> None:
    refusals.refuse("chat.stopStream", "invalid_blocks", times=1)
    [reply] = await quiet_world.replies(await quiet_world.say("hi"))
    assert reply["text"] == "You said: hi"


async def test_rate_limits_and_server_errors_are_waited_for(
    quiet_world: World, refusals: Refusals
) -> None:
    limited = {"ok": False, "error": "ratelimited"}
    refusals.by_method["chat.stopStream"] = Refusal(limited, 1, 429, {"Retry-After": "1"})
    refusals.by_method["chat.startStream"] = Refusal({"ok": False, "error": "oops"}, 1, 500)
    [reply] = await quiet_world.replies(await quiet_world.say("hi"))
    assert reply["text"] == "You said: hi"


async def test_where_slack_takes_nothing_the_run_is_kept_all_the_same(
    quiet_world: World, refusals: Refusals
) -> None:
    refusals.refuse("chat.startStream", "is_archived")
    await quiet_world.say("hi")

    async def recorded() -> bool:
        return bool(quiet_world.orchestrator.recorded)

    await eventually(recorded, "the run is recorded")
    [(done, shown)] = quiet_world.orchestrator.recorded
    assert (done.run.reply, shown) == ("You said: hi", None)


async def test_a_slow_answer_shows_the_native_stop_button_and_ends_it(world: World) -> None:
    world.pace.slow_s = 0.05
    release = asyncio.Event()
    world.orchestrator.script = holding(release)
    ts = await world.say("slow one")

    async def processing() -> bool:
        sessions = (await world.get("state"))["sessions"]
        return any(entry["status"] == "processing" for entry in sessions.values())

    await eventually(processing, "the session is processing")
    release.set()
    await world.replies(ts)
    assert not await processing()


@pytest.mark.parametrize("how", ["word", "button", "twin"])
async def test_stop_ends_the_model_call_and_keeps_what_was_said(world: World, how: str) -> None:
    cancelled = asyncio.Event()
    world.pace.slow_s = 0.05

    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        yield TextDelta("The first half")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    world.orchestrator.script = script
    channel, name = ("C0GENERAL", "general") if how == "twin" else ("D0ADA", "@assistant")
    ts = await world.say("@Virtuous6 tell me" if how == "twin" else "tell me", channel=name)

    async def speaking() -> bool:
        if how == "button":
            sessions = (await world.get("state"))["sessions"]
            return any(entry["status"] == "processing" for entry in sessions.values())
        return any(m.get("text") or m.get("streaming") for m in await world.thread(ts, channel))

    await eventually(speaking, "the answer began")
    if how == "button":
        await world.post("stop", channel="@assistant", user=ADA, thread_ts=ts)
    else:
        text = "@Virtuous6 stop" if how == "twin" else "Stop!"
        await world.say(text, GRACE if how == "twin" else ADA, name, thread=ts)
    await asyncio.wait_for(cancelled.wait(), PATIENCE_S)
    await world.idle()
    texts = [m["text"] for m in await world.replies(ts, channel)]
    assert texts[0].startswith("The first half")
    assert "Stopped" in texts[-1]
    assert "".join(texts).count("The first half") == 1
    [(done, shown)] = world.orchestrator.recorded
    assert (done.run.reply, done.run.error) == ("The first half", "stopped by the person")
    assert shown is not None
    assert (await world.get(f"ephemeral/{GRACE}"))["messages"] == []


async def test_stop_with_nothing_to_stop_says_so(world: World) -> None:
    [reply] = await world.replies(await world.say("stop"))
    assert "nothing to stop" in reply["text"]
    assert world.orchestrator.requests == []


async def test_an_orchestrator_that_ends_a_stopped_answer_itself_is_believed(
    world: World,
) -> None:
    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        yield TextDelta("Half")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield finished(request, "Half")

    world.orchestrator.script = script
    ts = await world.say("go")

    async def asked() -> bool:
        return bool(world.orchestrator.requests)

    await eventually(asked, "the question arrived")
    await world.say("stop", thread=ts)
    [reply] = await world.replies(ts)
    assert reply["text"] == "Half\n\n_Stopped. What I had said is kept above._"
    assert world.orchestrator.recorded[0][0].run.reply == "Half"


async def test_stop_also_drops_what_waits_behind_the_answer_and_nothing_said_later(
    world: World,
) -> None:
    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        if request.text != "go":
            yield finished(request, request.text)
            return
        yield TextDelta("Half")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield finished(request, "Half")

    world.orchestrator.script = script
    ts = await world.say("go")

    async def asked() -> bool:
        return bool(world.orchestrator.requests)

    await eventually(asked, "the question arrived")
    await world.say("and then this", thread=ts)

    async def waiting() -> bool:
        return len(await world.rows.pending()) == 2

    await eventually(waiting, "the second one waits behind the first")
    await world.say("stop", thread=ts)
    await world.say("something else", thread=ts)
    await world.replies(ts, count=2)
    assert [r.text for r in world.orchestrator.requests] == ["go", "something else"]
    assert [m.text for m in world.orchestrator.heard_messages] == ["and then this"]


def slowly(pieces: list[str], pause: float) -> Callable[..., AsyncIterator[ReplyEvent]]:
    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        for piece in pieces:
            yield TextDelta(piece)
            await asyncio.sleep(pause)
        yield finished(request, "".join(pieces))

    return script


def holding(release: asyncio.Event) -> Callable[..., AsyncIterator[ReplyEvent]]:
    async def script(request: Request, files: FilesPort) -> AsyncIterator[ReplyEvent]:
        await release.wait()
        yield TextDelta("done")
        yield finished(request, "done")

    return script


@pytest.mark.parametrize(
    ("text", "room", "first"),
    [
        ("short", 10, "short"),
        ("one two three", 8, "one two "),
        ("a\nbcd efg", 5, "a\nbcd"),
        ("x" * 20, 7, "xxxxxxx"),
        ("first part\n\nsecond part", 15, "first part\n\n"),
    ],
)
def test_a_text_is_cut_where_it_reads_well(text: str, room: int, first: str) -> None:
    assert text[: split_point(text, room)] == first
