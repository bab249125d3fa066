"""Streaming messages and agent sessions: growth, limits, lifetime, Stop."""

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.models.messages.chunk import MarkdownTextChunk, PlanUpdateChunk, TaskUpdateChunk
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.local_workspace import AppConfig, LocalWorkspace
from slack_interface.local_workspace.config import DEFAULT_EVENTS
from tests.slack_interface.local_workspace.conftest import Bolt, Script, until

FEEDBACK = {
    "type": "context_actions",
    "elements": [
        {
            "type": "feedback_buttons",
            "action_id": "feedback",
            "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "good"},
            "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "bad"},
        }
    ],
}
RECIPIENT = {"recipient_team_id": "T0VIRTUOUS", "recipient_user_id": "U0ADA"}


def code(problem: pytest.ExceptionInfo[SlackApiError]) -> str:
    return str(problem.value.response["error"])


async def start(client: AsyncWebClient, script: Script, **more: Any) -> dict[str, Any]:
    """A stream below a message of Ada's in her direct message: channel and ts."""
    asked = await script.say("@assistant", "ada", "question")
    started = await client.chat_startStream(channel="D0ADA", thread_ts=asked["ts"], **more)
    return {"channel": "D0ADA", "ts": str(started["ts"])}


async def shown(script: Script, ts: str) -> dict[str, Any]:
    """The streamed message as the page gets it."""
    asked = (await script.messages("D0ADA"))[-1]
    thread = await script.messages("D0ADA", f"?thread_ts={asked['ts']}")
    return next(message for message in thread if message["ts"] == ts)


async def test_the_sdk_helper_streams_a_whole_answer(
    client: AsyncWebClient, script: Script
) -> None:
    asked = await script.say("C0GENERAL", "ada", "<@U0VIRTUOUS> question")
    stream = await client.chat_stream(
        channel="C0GENERAL", thread_ts=asked["ts"], buffer_size=10, **RECIPIENT
    )
    await stream.append(markdown_text="**hello** ")
    await stream.append(markdown_text="streamed world")
    await stream.stop(blocks=[FEEDBACK], metadata={"event_type": "r", "event_payload": {"a": 1}})
    thread = await client.conversations_replies(
        channel="C0GENERAL", ts=asked["ts"], include_all_metadata=True
    )
    reply = thread["messages"][1]
    assert reply["text"] == "**hello** streamed world"
    assert [block["type"] for block in reply["blocks"]] == ["markdown", "context_actions"]
    assert reply["metadata"]["event_payload"] == {"a": 1}


async def test_a_growing_stream_is_visible(client: AsyncWebClient, script: Script) -> None:
    where = await start(client, script, markdown_text="one ")
    await client.chat_appendStream(**where, markdown_text="two")
    message = await shown(script, where["ts"])
    assert (message["text"], message["streaming"]) == ("one two", True)
    await client.chat_stopStream(**where, markdown_text="!")
    message = await shown(script, where["ts"])
    assert (message["text"], "streaming" in message) == ("one two!", False)


async def test_task_cards_stand_between_the_text_or_in_a_plan(
    client: AsyncWebClient, script: Script
) -> None:
    def task(status: str) -> TaskUpdateChunk:
        return TaskUpdateChunk(id="t1", title="Look", status=status, details="in the files")

    for display, types in (
        ("timeline", ["markdown", "task_card", "markdown"]),
        ("plan", ["plan", "markdown"]),
    ):
        first = [MarkdownTextChunk(text="Let me see. "), task("in_progress")]
        where = await start(client, script, chunks=first, task_display_mode=display)
        more = [task("complete"), MarkdownTextChunk(text="Found.")]
        if display == "plan":
            more.append(PlanUpdateChunk(title="Searching"))
        await client.chat_appendStream(**where, chunks=more)
        stopped = await client.chat_stopStream(**where)
        blocks = stopped["message"]["blocks"]
        assert [block["type"] for block in blocks] == types
        card = blocks[1] if display == "timeline" else blocks[0]["tasks"][0]
        assert (card["task_id"], card["status"]) == ("t1", "complete")
        assert blocks[0].get("title") == ("Searching" if display == "plan" else None)


async def test_a_stream_keeps_the_mode_it_began_with(
    client: AsyncWebClient, script: Script
) -> None:
    chunk = MarkdownTextChunk(text="x")
    for first, second in (
        ({"markdown_text": "x"}, {"chunks": [chunk]}),
        ({"chunks": [chunk]}, {"markdown_text": "x"}),
    ):
        where = await start(client, script, **first)
        with pytest.raises(SlackApiError) as problem:
            await client.chat_appendStream(**where, **second)
        assert code(problem) == "streaming_mode_mismatch"
        await client.chat_stopStream(**where, **first)


async def test_who_may_stream_where(client: AsyncWebClient, script: Script) -> None:
    asked = await script.say("C0GENERAL", "ada", "question")
    where = {"channel": "C0GENERAL", "thread_ts": asked["ts"]}
    team = {"recipient_team_id": "T0VIRTUOUS"}
    refusals = [
        (where | team, "missing_recipient_user_id"),
        (where | {"recipient_user_id": "U0ADA"}, "missing_recipient_team_id"),
        (where | team | {"recipient_user_id": "B0VIRTUOUS"}, "invalid_arguments"),
        (where | team | {"recipient_user_id": "U0NOBODY"}, "user_not_found"),
        (where | RECIPIENT | {"thread_ts": "1.000001"}, "thread_not_found"),
        (where | RECIPIENT | {"task_display_mode": "pile"}, "invalid_arguments"),
        ({"channel": "D0ADA"}, "invalid_thread_ts"),
    ]
    for arguments, error in refusals:
        with pytest.raises(SlackApiError) as problem:
            await client.api_call("chat.startStream", json=arguments)
        assert code(problem) == error, arguments
    [message] = await script.messages("C0GENERAL")
    assert "reply_count" not in message


async def test_size_limits_of_a_stream(client: AsyncWebClient, script: Script) -> None:
    where = await start(client, script)
    with pytest.raises(SlackApiError) as problem:
        await client.chat_appendStream(**where, markdown_text="x" * 12_001)
    assert code(problem) == "msg_too_long"
    for _ in range(4):
        await client.chat_appendStream(**where, markdown_text="x" * 10_000)
    with pytest.raises(SlackApiError) as problem:
        await client.chat_appendStream(**where, markdown_text="x")
    assert code(problem) == "msg_too_long"
    stopped = await client.chat_stopStream(**where)
    assert len(stopped["message"]["text"]) == 40_000
    with pytest.raises(SlackApiError) as problem:
        await client.chat_appendStream(**where, markdown_text="x")
    assert code(problem) == "message_not_in_streaming_state"


async def test_a_refused_chunk_changes_nothing(client: AsyncWebClient, script: Script) -> None:
    where = await start(client, script)
    bad: list[dict[str, Any]] = [
        {"type": "markdown_text"},
        {"type": "task_update", "id": "1", "title": "t", "status": "lost"},
        {"type": "drawing"},
    ]
    for chunk in bad:
        with pytest.raises(SlackApiError) as problem:
            await client.chat_appendStream(
                **where, chunks=[{"type": "markdown_text", "text": "x"}, chunk]
            )
        assert code(problem) == "invalid_chunks"
    blocks = [{"type": "header", "text": {"type": "plain_text", "text": "h" * 151}}]
    with pytest.raises(SlackApiError) as problem:
        await client.chat_appendStream(**where, chunks=[{"type": "blocks", "blocks": blocks}])
    assert code(problem) == "invalid_blocks"
    assert (await client.chat_stopStream(**where))["message"]["text"] == ""


async def test_a_stream_dies_of_age_and_can_then_be_edited(
    workspace: LocalWorkspace, client: AsyncWebClient, script: Script
) -> None:
    where = await start(client, script, markdown_text="so far")
    with pytest.raises(SlackApiError) as problem:
        await client.chat_update(**where, text="edited")
    assert code(problem) == "streaming_state_conflict"
    workspace.runtime.clock.advance(301)
    for act in (client.chat_appendStream, client.chat_stopStream):
        with pytest.raises(SlackApiError) as problem:
            await act(**where, markdown_text="more")
        assert code(problem) == "message_not_in_streaming_state"
    message = await shown(script, where["ts"])
    assert (message["text"], "streaming" in message) == ("so far", False)
    await client.chat_update(**where, text="so far and on")


async def test_a_forgotten_stream_ends_by_itself(client: AsyncWebClient, script: Script) -> None:
    where = await start(client, script, markdown_text="so far")
    await script.post("faults", stream_lifetime_s=0.01)

    async def is_over() -> bool:
        return "streaming" not in await shown(script, where["ts"])

    await until(is_over)


async def test_a_session_shows_stop_and_stop_ends_the_stream(
    client: AsyncWebClient, script: Script, bolt: Bolt
) -> None:
    bolt.keep("agent_session_stopped", "message")
    where = await start(client, script, markdown_text="working")
    root_ts = (await script.messages("D0ADA"))[0]["ts"]
    asked = {"channel": "D0ADA", "thread_ts": root_ts, "user": "ada"}
    assert await script.refused("stop", **asked) == "not_processing"
    session = {"channel_id": "D0ADA", "thread_ts": root_ts}
    answer = await client.agents_sessions_setStatus(**session, status="processing", title="Work")
    assert (answer["status"], answer["title"], "warning" in answer) == ("processing", "Work", False)
    stopped = await script.post("stop", **asked)
    assert stopped["streaming_message_ts"] == [where["ts"]]
    [event] = await until(lambda: bolt.events("agent_session_stopped"))
    assert event["streaming_message_ts"] == [where["ts"]]
    assert (event["thread_ts"], event["user"]) == (root_ts, "U0ADA")
    with pytest.raises(SlackApiError) as problem:
        await client.chat_appendStream(**where, markdown_text="more")
    assert code(problem) == "stopped_by_user"
    state = await script.get("/_page/state?user=ada")
    assert state["sessions"][f"D0ADA:{root_ts}"]["status"] == "processing"
    await client.agents_sessions_rename(**session, title="Stopped work")
    await client.agents_sessions_setStatus(**session, status="active", title="ignored")
    state = await script.get("/_page/state?user=ada")
    assert state["sessions"][f"D0ADA:{root_ts}"] == {"status": "active", "title": "Stopped work"}
    with pytest.raises(SlackApiError) as problem:
        await client.agents_sessions_setStatus(**session, status="tired")
    assert code(problem) == "invalid_arguments"


async def test_stopping_a_stream_may_move_the_session_on(
    client: AsyncWebClient, script: Script
) -> None:
    where = await start(client, script, markdown_text="x")
    root_ts = (await script.messages("D0ADA"))[0]["ts"]
    await client.agents_sessions_setStatus(
        channel_id="D0ADA", thread_ts=root_ts, status="processing"
    )
    await client.chat_stopStream(channel=where["channel"], ts=where["ts"], session_status="closed")
    sessions = (await script.get("/_control/state"))["sessions"]
    assert sessions[f"D0ADA:{root_ts}"]["status"] == "closed"


async def test_without_the_stop_event_there_is_a_warning() -> None:
    app = AppConfig(events=DEFAULT_EVENTS - {"agent_session_stopped"})
    async with LocalWorkspace(pacing=False, app=app) as workspace:
        client = AsyncWebClient(workspace.bot_token, base_url=workspace.api_url)
        script = Script(workspace)
        asked = await script.say("@assistant", "ada", "question")
        answer = await client.agents_sessions_setStatus(
            channel_id="D0ADA", thread_ts=asked["ts"], status="processing"
        )
        assert answer["warning"] == "missing_agent_session_stopped_event_subscription"
        assert (await script.get("/_page/state?user=ada"))["can_stop"] is False
        await script.http.aclose()


async def test_a_status_is_cleared_by_the_reply_or_by_age(
    workspace: LocalWorkspace, client: AsyncWebClient, script: Script
) -> None:
    asked = await script.say("@assistant", "ada", "question")
    where = {"channel_id": "D0ADA", "thread_ts": asked["ts"]}
    key = f"D0ADA:{asked['ts']}"
    await client.assistant_threads_setStatus(
        **where, status="is thinking...", loading_messages=["Reading"]
    )
    state = await script.get("/_control/state")
    assert state["status"][key] == {"status": "is thinking...", "loading_messages": ["Reading"]}
    await client.chat_postMessage(channel="D0ADA", thread_ts=asked["ts"], text="done")
    assert (await script.get("/_control/state"))["status"] == {}
    await client.assistant_threads_setStatus(**where, status="is thinking...")
    workspace.runtime.clock.advance(121)
    assert (await script.get("/_control/state"))["status"] == {}


async def test_suggested_prompts_and_titles(client: AsyncWebClient, script: Script) -> None:
    prompts = [{"title": f"T{n}", "message": f"M{n}"} for n in range(4)]
    await client.assistant_threads_setSuggestedPrompts(
        channel_id="D0ADA", title="Try", prompts=prompts
    )
    state = await script.get("/_page/state?user=ada")
    assert state["prompts"] == {"title": "Try", "prompts": prompts}
    with pytest.raises(SlackApiError) as problem:
        await client.assistant_threads_setSuggestedPrompts(
            channel_id="D0ADA", prompts=[*prompts, prompts[0]]
        )
    assert code(problem) == "invalid_arguments"
    asked = await script.say("@assistant", "ada", "question")
    await client.assistant_threads_setTitle(
        channel_id="D0ADA", thread_ts=asked["ts"], title="About it"
    )
    sessions = (await script.get("/_control/state"))["sessions"]
    assert sessions[f"D0ADA:{asked['ts']}"]["title"] == "About it"
