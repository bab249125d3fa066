"""chat.startStream, chat.appendStream, chat.stopStream: messages that grow."""

import re
from typing import Any

from slack_interface.local_workspace import posting, rules
from slack_interface.local_workspace.block_rules import MESSAGE_BLOCKS
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import BOT_USER_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.sessions import set_session
from slack_interface.local_workspace.streams import Display, Mode, OpenStream
from slack_interface.local_workspace.web_api.registry import Call, method

_PERSON = re.compile(r"[UW][A-Z0-9]+")


@method("chat.startStream", scope="chat:write", tier=2)
def start_stream(call: Call) -> Json:
    """Begin a streaming message; in channels a recipient must be named."""
    runtime, channel = call.runtime, call.member_channel()
    if channel.kind != "im":
        _check_recipient(call, channel)
    elif call.text("thread_ts") is None:
        raise SlackError("invalid_thread_ts")
    display = _display(call.text("task_display_mode") or "timeline")
    root_ts = posting.root_of(channel, call.text("thread_ts"))
    stream = OpenStream(channel.id, "", runtime.clock.now(), display)
    _add(runtime, stream, call)
    message = posting.bot_message(runtime, call.args, {"text": ""}, root_ts)
    stream.ts = message["ts"]
    call.workspace.streams[channel.id, stream.ts] = stream
    call.workspace.add_message(channel, message)
    posting.clear_status(runtime, channel, root_ts)
    return {"channel": channel.id, "ts": stream.ts}


@method("chat.appendStream", scope="chat:write", tier=4)
def append_stream(call: Call) -> Json:
    """Add text or chunks to an open stream."""
    channel, stream = _open_stream(call)
    if not call.args.get("markdown_text") and not call.args.get("chunks"):
        raise SlackError(
            "invalid_arguments", messages=["[ERROR] missing required field: markdown_text"]
        )
    _add(call.runtime, stream, call)
    call.runtime.live.grew((channel.id, stream.ts))
    return {"channel": channel.id, "ts": stream.ts}


@method("chat.stopStream", scope="chat:write", tier=2)
def stop_stream(call: Call) -> Json:
    """End a stream, with last content, blocks below it, metadata and the session's status."""
    channel, stream = _open_stream(call)
    blocks = posting.parsed(call.args.get("blocks"), "invalid_blocks_format")
    checked = rules.check_message_blocks(blocks) if blocks else []
    metadata = posting.parsed(call.args.get("metadata"), "invalid_metadata_format")
    extra = {"metadata": rules.check_metadata(metadata)} if metadata else {}
    _add(call.runtime, stream, call)
    message = finish_stream(call.runtime, channel, stream, checked, extra)
    status = call.text("session_status")
    root_ts = message.get("thread_ts")
    if status and root_ts:
        set_session(call.runtime, channel, root_ts, status)
    return {"channel": channel.id, "ts": stream.ts, "message": message}


def is_expired(runtime: Runtime, stream: OpenStream) -> bool:
    """Whether Slack would have closed a stream by itself."""
    return runtime.clock.now() - stream.opened_at > runtime.faults.stream_lifetime_s


def sweep_streams(runtime: Runtime) -> None:
    """Close the streams that nobody closed in time; the oldest stand first."""
    for stream in list(runtime.workspace.streams.values()):
        if not is_expired(runtime, stream):
            return
        finish_stream(runtime, runtime.workspace.channels[stream.channel], stream, [], {})


def finish_stream(
    runtime: Runtime, channel: Channel, stream: OpenStream, blocks: list[Json], extra: Json
) -> Json:
    """Turn an open stream into an ordinary message with what has arrived."""
    workspace = runtime.workspace
    workspace.streams.pop((channel.id, stream.ts), None)
    message = channel.messages[stream.ts]
    message["text"] = stream.text()
    message["blocks"] = rules.name_blocks(stream.rendered()) + blocks
    message.update(extra)
    workspace.changed_message(channel, message)
    return message


def _display(mode: str) -> Display:
    if mode == "plan":
        return "plan"
    if mode != "timeline":
        problem = "[ERROR] must be a valid enum value [json-pointer:/task_display_mode]"
        raise SlackError("invalid_arguments", messages=[problem])
    return "timeline"


def _check_recipient(call: Call, channel: Channel) -> None:
    user, team = call.text("recipient_user_id"), call.text("recipient_team_id")
    if user is None:
        raise SlackError("missing_recipient_user_id")
    if team is None:
        raise SlackError("missing_recipient_team_id")
    if not _PERSON.fullmatch(user):
        problem = "[ERROR] failed to match pattern [json-pointer:/recipient_user_id]"
        raise SlackError("invalid_arguments", messages=[problem])
    if user not in channel.members or user == BOT_USER_ID:
        raise SlackError("user_not_found")
    if team not in call.runtime.team.ids:
        raise SlackError("team_not_found")


def _open_stream(call: Call) -> tuple[Channel, OpenStream]:
    channel = call.channel()
    message = call.message(channel)
    if message.get("user") != BOT_USER_ID:
        raise SlackError("message_not_owned_by_app")
    key = (channel.id, message["ts"])
    stream = call.workspace.streams.get(key)
    if stream is None:
        if key in call.workspace.stopped_streams:
            raise SlackError("stopped_by_user")
        raise SlackError("message_not_in_streaming_state")
    if is_expired(call.runtime, stream):
        finish_stream(call.runtime, channel, stream, [], {})
        raise SlackError("message_not_in_streaming_state")
    return channel, stream


def _add(runtime: Runtime, stream: OpenStream, call: Call) -> None:
    """Apply the call's content, or nothing of it when any part is refused."""
    text, chunks = call.text("markdown_text"), _chunks(call)
    if not text and not chunks:
        return
    _check_addition(runtime, stream, text or "", chunks)
    stream.mode = "text" if text else "chunks"
    if text:
        stream.add_text(text)
    for chunk in chunks:
        stream.add_chunk(chunk)


def _check_addition(runtime: Runtime, stream: OpenStream, text: str, chunks: list[Json]) -> None:
    if text and chunks:
        raise SlackError("invalid_arguments", messages=["[ERROR] use markdown_text or chunks"])
    if len(text) > rules.MARKDOWN_CHARS:
        raise SlackError("msg_too_long")
    mode: Mode = "text" if text else "chunks"
    if stream.mode not in (None, mode):
        raise SlackError("streaming_mode_mismatch")
    more = len(text) + sum(len(c["text"]) for c in chunks if c["type"] == "markdown_text")
    if stream.chars + more > runtime.config.limits.stream_chars:
        raise SlackError("msg_too_long")
    added = sum(len(c["blocks"]) for c in chunks if c["type"] == "blocks")
    if stream.blocks + added > MESSAGE_BLOCKS:
        raise SlackError("msg_blocks_too_long")


def _chunks(call: Call) -> list[Json]:
    chunks: Any = posting.parsed(call.args.get("chunks"), "invalid_chunks")
    return rules.check_chunks(chunks) if chunks else []
