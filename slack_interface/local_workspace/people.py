"""What people do with messages: send, edit, delete, react, share files, join."""

from copy import copy
from uuid import uuid4

from slack_interface.local_workspace import mentions, payloads, posting
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import BOT_USER_ID, Json
from slack_interface.local_workspace.errors import ControlError, SlackError
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.web_api.files import new_file, share_file
from slack_interface.local_workspace.web_api.reactions import add_reaction, remove_reaction

MESSAGE_CHARS = 12_000
"""What Slack's own composer lets a person send at once."""


def place(runtime: Runtime, channel_name: str, user_name: str) -> tuple[Channel, str]:
    """The channel and person a request names; the person must be able to write there.

    Raises ControlError `user_not_found`, `channel_not_found`, `not_in_channel`.
    """
    user_id = runtime.workspace.user_named(user_name)
    channel = runtime.workspace.channel_named(channel_name, user_id)
    if user_id not in channel.members:
        raise ControlError(
            "not_in_channel", f"{user_name} is not in {channel.name}; add them first.", 403
        )
    return channel, user_id


def send(
    runtime: Runtime,
    channel: Channel,
    user_id: str,
    text: str,
    thread_ts: str | None = None,
    files: list[Json] | None = None,
) -> Json:
    """A person sends a message; the app hears of it. Returns the message.

    Raises ControlError `no_text`, `msg_too_long`, `thread_not_found`, `app_not_installed`.
    """
    if not text.strip() and not files:
        raise ControlError("no_text", "Write something first.")
    if channel.kind == "im" and not runtime.workspace.has_app:
        raise ControlError("app_not_installed", "The app is not installed here any more.", 409)
    if len(text) > MESSAGE_CHARS:
        raise ControlError("msg_too_long", f"At most {MESSAGE_CHARS} characters in one message.")
    root_ts = _root(channel, thread_ts)
    encoded = mentions.encode(runtime.workspace, text)
    message: Json = {
        "type": "message",
        "user": user_id,
        "text": encoded,
        "ts": runtime.workspace.next_ts(),
        "client_msg_id": str(uuid4()),
        "team": runtime.team.id,
    }
    if encoded:
        message["blocks"] = [mentions.rich_text(encoded)]
    if root_ts is not None:
        message["thread_ts"] = root_ts
    if files:
        message |= {"subtype": "file_share", "files": files, "upload": True}
    runtime.workspace.add_message(channel, message)
    runtime.emit_posted(channel, message)
    return message


def _root(channel: Channel, thread_ts: str | None) -> str | None:
    try:
        return posting.root_of(channel, thread_ts)
    except SlackError as problem:
        raise ControlError(
            problem.code, f"No message {thread_ts} in {channel.name} to reply to.", 404
        ) from None


def own_message(channel: Channel, ts: str, user_id: str) -> Json:
    """A message a person wrote.

    Raises ControlError `message_not_found`, `cant_edit_message`.
    """
    message = any_message(channel, ts)
    if message.get("user") != user_id:
        raise ControlError("cant_edit_message", "Only its author may change a message.", 403)
    return message


def any_message(channel: Channel, ts: str) -> Json:
    """A message of a channel.

    Raises ControlError `message_not_found`.
    """
    message = channel.messages.get(ts)
    if message is None:
        raise ControlError("message_not_found", f"No message {ts} in {channel.name}.", 404)
    return message


def edit(runtime: Runtime, channel: Channel, user_id: str, ts: str, text: str) -> Json:
    """A person edits their message."""
    message = own_message(channel, ts, user_id)
    if not text.strip():
        raise ControlError("no_text", "Write something, or delete the message.")
    encoded = mentions.encode(runtime.workspace, text)
    body = {"text": encoded, "blocks": [mentions.rich_text(encoded)]}
    posting.edit(runtime, channel, message, body)
    return message


def delete(runtime: Runtime, channel: Channel, user_id: str, ts: str) -> None:
    """A person deletes their message."""
    own_message(channel, ts, user_id)
    posting.remove(runtime, channel, ts)


def react(
    runtime: Runtime, channel: Channel, user_id: str, ts: str, name: str, *, remove: bool = False
) -> Json:
    """A person reacts, or takes a reaction back."""
    message = any_message(channel, ts)
    act = remove_reaction if remove else add_reaction
    try:
        act(runtime, channel, message, user_id, name.strip(":"))
    except SlackError as problem:
        raise ControlError(problem.code, f"The reaction {name!r} cannot be set so.", 409) from None
    return message


def share_files(
    runtime: Runtime,
    channel: Channel,
    user_id: str,
    uploads: list[tuple[str, bytes]],
    text: str,
    thread_ts: str | None,
) -> Json:
    """A person shares files with an optional text; returns the message."""
    _root(channel, thread_ts)
    shared = keep_files(runtime, user_id, uploads)
    for info in shared:
        share_file(channel, info)
    message = send(runtime, channel, user_id, text, thread_ts, shared)
    if BOT_USER_ID in channel.members:
        for info in shared:
            event = payloads.file_shared_event(info["id"], user_id, channel, message["ts"])
            runtime.emit("file_shared", event)
    return message


def keep_files(runtime: Runtime, user_id: str, uploads: list[tuple[str, bytes]]) -> list[Json]:
    """A person's files, stored but shared nowhere yet; returns what is known of each."""
    kept = []
    for name, content in uploads:
        info = new_file(runtime, name, len(content), user_id)
        runtime.workspace.files[info["id"]].content = content
        kept.append(info)
    return kept


def join(runtime: Runtime, channel: Channel, user_id: str, inviter: str | None = None) -> None:
    """A person (or the app) becomes a member of a channel."""
    if user_id in channel.members:
        return
    channel.members.add(user_id)
    runtime.workspace.on_change()
    ts = runtime.workspace.next_ts()
    event = payloads.joined_event(user_id, channel, runtime.team, inviter, ts)
    if BOT_USER_ID in channel.members:
        runtime.emit("member_joined_channel", event)


def history(
    runtime: Runtime, channel: Channel, thread_ts: str | None, user_id: str | None = None
) -> list[Json]:
    """Messages of a channel or thread as the page draws them, oldest first.

    With a person, their ephemeral messages are among them.
    """
    workspace = runtime.workspace
    if thread_ts:
        root = [channel.messages[thread_ts]] if thread_ts in channel.messages else []
        found = root + list(channel.thread(thread_ts))
    else:
        found = list(channel.newest_roots("", None, True))[::-1]
    shown = [workspace.page_message(channel, message) for message in found]
    if user_id is not None:
        shown += [copy(m) for m in _ephemerals(runtime, channel, thread_ts, user_id)]
        shown.sort(key=lambda message: str(message["ts"]))
    return shown


def _ephemerals(
    runtime: Runtime, channel: Channel, thread_ts: str | None, user_id: str
) -> list[Json]:
    kept = runtime.workspace.ephemerals.get(user_id, ())
    return [m for m in kept if m["channel"] == channel.id and m.get("thread_ts") == thread_ts]
