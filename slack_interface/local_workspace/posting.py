"""Putting messages of the app and of people into a channel."""

from copy import copy
from typing import Any

import orjson

from slack_interface.local_workspace import payloads, rules
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import APP_ID, BOT_ID, BOT_USER_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.runtime import Runtime


def parsed(value: Any, error: str) -> Any:
    """An argument that may be a JSON string.

    Raises SlackError `error`.
    """
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise SlackError(error) from None


def content(args: Json) -> Json:
    """Text, blocks, attachments and metadata of a message, checked.

    Raises SlackError `no_text`, `invalid_blocks`, `msg_too_long`, `markdown_text_conflict` ...
    """
    text, markdown = str(args.get("text") or ""), str(args.get("markdown_text") or "")
    blocks = parsed(args.get("blocks"), "invalid_blocks_format")
    attachments = parsed(args.get("attachments"), "invalid_attachments")
    if markdown and (text or blocks):
        raise SlackError("markdown_text_conflict")
    if markdown:
        if len(markdown) > rules.MARKDOWN_CHARS:
            raise SlackError("msg_too_long")
        text, blocks = markdown, [{"type": "markdown", "text": markdown}]
    if not (text or blocks or attachments):
        raise SlackError("no_text")
    found: Json = {"text": text[: rules.TEXT_CHARS]}
    if blocks:
        found["blocks"] = rules.check_message_blocks(blocks)
    if attachments:
        found["attachments"] = _attachments(attachments)
    metadata = parsed(args.get("metadata"), "invalid_metadata_format")
    if metadata:
        found["metadata"] = rules.check_metadata(metadata)
    return found


def _attachments(attachments: Any) -> list[Json]:
    if not isinstance(attachments, list):
        raise SlackError("invalid_attachments")
    if len(attachments) > rules.ATTACHMENTS:
        raise SlackError("too_many_attachments")
    found = []
    for index, attachment in enumerate(attachments):
        if not isinstance(attachment, dict):
            raise SlackError("invalid_attachments")
        if "blocks" in attachment:
            attachment = {**attachment, "blocks": rules.check_message_blocks(attachment["blocks"])}
        found.append({"id": index + 1, **attachment})
    return found


def root_of(channel: Channel, thread_ts: Any) -> str | None:
    """The root of the thread a new message goes to; a reply's ts leads to its own root.

    Raises SlackError `thread_not_found`.
    """
    if not thread_ts:
        return None
    message = channel.messages.get(thread_ts) if isinstance(thread_ts, str) else None
    if message is None:
        raise SlackError("thread_not_found")
    root: str = message.get("thread_ts") or thread_ts
    return root


def bot_message(runtime: Runtime, args: Json, body: Json, root_ts: str | None) -> Json:
    """A message of the app with a fresh ts, not yet in a channel."""
    name = str(args.get("username") or runtime.config.app.name)
    message: Json = {
        "type": "message",
        "user": BOT_USER_ID,
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "team": runtime.team.id,
        "ts": runtime.workspace.next_ts(),
        "bot_profile": payloads.bot_profile(name, runtime.team),
        **body,
    }
    if args.get("client_msg_id"):
        message["client_msg_id"] = args["client_msg_id"]
    if args.get("username"):
        message["username"] = name
    if args.get("icon_emoji") or args.get("icon_url"):
        message["icons"] = {k: args[f"icon_{k}"] for k in ("emoji", "url") if args.get(f"icon_{k}")}
    if root_ts is not None:
        message["thread_ts"] = root_ts
    return message


def post(runtime: Runtime, channel: Channel, args: Json) -> Json:
    """Post a message of the app and tell the app of it as Slack does; returns it.

    Raises SlackError for what Slack would refuse, RateLimitedError when paced.
    """
    body = content(args)
    root_ts = root_of(channel, args.get("thread_ts"))
    if runtime.faults.pacing:
        runtime.rates.spend_message(channel.id)
    message = bot_message(runtime, args, body, root_ts)
    runtime.workspace.add_message(channel, message)
    clear_status(runtime, channel, root_ts)
    if runtime.config.echo_own_messages:
        runtime.emit_message(channel, payloads.message_event(channel, message))
    return message


def edit(runtime: Runtime, channel: Channel, message: Json, body: Json) -> None:
    """Replace a message's content and send message_changed."""
    previous = copy(message)
    if "blocks" not in body and "text" in body:
        message.pop("blocks", None)
    message.update(body)
    ts = runtime.workspace.next_ts()
    message["edited"] = {"user": message.get("user", BOT_USER_ID), "ts": ts}
    runtime.workspace.changed_message(channel, message)
    own = message.get("user") == BOT_USER_ID
    if not own or runtime.config.echo_own_messages:
        event = payloads.changed_event(channel, copy(message), previous, ts)
        runtime.emit_message(channel, event)


def remove(runtime: Runtime, channel: Channel, ts: str) -> None:
    """Delete a message and send message_deleted."""
    message = runtime.workspace.remove_message(channel, ts)
    if message is None:
        raise SlackError("message_not_found")
    own = message.get("user") == BOT_USER_ID
    if not own or runtime.config.echo_own_messages:
        event = payloads.deleted_event(channel, message, runtime.workspace.next_ts())
        runtime.emit_message(channel, event)


def post_ephemeral(
    runtime: Runtime, channel: Channel, user_id: str, args: Json, body: Json
) -> Json:
    """Show a message of the app to one person."""
    message = bot_message(runtime, args, body, args.get("thread_ts") or None)
    runtime.workspace.add_ephemeral(channel, user_id, message)
    return message


def clear_status(runtime: Runtime, channel: Channel, root_ts: str | None) -> None:
    """A reply of the app ends its "is thinking" status in that thread."""
    if root_ts is None:
        return
    if runtime.workspace.statuses.pop((channel.id, root_ts), None) is not None:
        show_status(runtime, channel, root_ts, "", [])


def show_status(
    runtime: Runtime, channel: Channel, root_ts: str, status: str, loading: list[str]
) -> None:
    """Draw a thread's status on the open pages; an empty one clears it."""
    event = {
        "type": "status",
        "channel": channel.id,
        "thread_ts": root_ts,
        "status": status,
        "loading_messages": loading,
    }
    runtime.workspace.publish(event, runtime.workspace.viewers(channel))


def sweep_statuses(runtime: Runtime) -> None:
    """Slack drops a status nobody cleared after two minutes."""
    now, workspace = runtime.clock.now(), runtime.workspace
    old = [key for key, status in workspace.statuses.items() if status["expires"] <= now]
    for channel_id, root_ts in old:
        del workspace.statuses[channel_id, root_ts]
        show_status(runtime, workspace.channels[channel_id], root_ts, "", [])
