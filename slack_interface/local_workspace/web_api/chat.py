"""chat.*: posting, editing, deleting, scheduling."""

import asyncio
import time

from slack_interface.local_workspace import posting, rules
from slack_interface.local_workspace.config import BOT_USER_ID, Json
from slack_interface.local_workspace.errors import RateLimitedError, SlackError
from slack_interface.local_workspace.pacing import SPECIAL
from slack_interface.local_workspace.state import permalink
from slack_interface.local_workspace.web_api.registry import Call, method

SCHEDULED_AHEAD_S = 120 * 24 * 3600


@method("chat.postMessage", scope="chat:write", tier=SPECIAL)
def post_message(call: Call) -> Json:
    """Post to a channel, a thread or a person."""
    channel = call.channel()
    is_open = channel.kind == "channel" and "chat:write.public" in call.scopes
    if BOT_USER_ID not in channel.members and not is_open:
        raise SlackError("not_in_channel")
    message = posting.post(call.runtime, channel, call.args)
    return {"channel": channel.id, "ts": message["ts"], "message": message}


@method("chat.postEphemeral", scope="chat:write", tier=4)
def post_ephemeral(call: Call) -> Json:
    """Show a message to one person in a channel."""
    channel, user = call.member_channel(), call.required("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    body = posting.content(call.args)
    message = posting.post_ephemeral(call.runtime, channel, user, call.args, body)
    return {"message_ts": message["ts"]}


@method("chat.update", scope="chat:write", tier=3)
def update(call: Call) -> Json:
    """Edit one of the app's own messages."""
    channel = call.channel()
    message = call.message(channel)
    if message.get("user") != BOT_USER_ID:
        raise SlackError("cant_update_message")
    if (channel.id, message["ts"]) in call.workspace.streams:
        raise SlackError("streaming_state_conflict")
    if len(call.text("text") or "") > rules.UPDATE_CHARS:
        raise SlackError("msg_too_long")
    body = posting.content(call.args)
    posting.edit(call.runtime, channel, message, body)
    return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": message}


@method("chat.delete", scope="chat:write", tier=3)
def delete(call: Call) -> Json:
    """Delete one of the app's own messages."""
    channel = call.channel()
    message = call.message(channel)
    if message.get("user") != BOT_USER_ID:
        raise SlackError("cant_delete_message")
    posting.remove(call.runtime, channel, message["ts"])
    return {"channel": channel.id, "ts": message["ts"]}


@method("chat.getPermalink", tier=SPECIAL)
def get_permalink(call: Call) -> Json:
    """The address of a message."""
    channel = call.channel()
    message = call.message(channel, "message_ts")
    return {
        "channel": channel.id,
        "permalink": call.runtime.base_url + permalink(channel, message),
    }


@method("chat.scheduleMessage", scope="chat:write", tier=3)
def schedule_message(call: Call) -> Json:
    """Post later."""
    channel = call.member_channel()
    try:
        post_at = int(call.required("post_at"))
    except ValueError:
        raise SlackError("invalid_time") from None
    ahead = post_at - time.time()
    if ahead <= 0:
        raise SlackError("time_in_past")
    if ahead > SCHEDULED_AHEAD_S:
        raise SlackError("time_too_far")
    posting.content(call.args)
    scheduled_id = call.workspace.next_id("Q")
    scheduled = call.runtime.scheduled

    def fire() -> None:
        scheduled.pop(scheduled_id, None)
        try:
            posting.post(call.runtime, channel, call.args)
        except RateLimitedError:
            loop.call_later(1, fire)

    loop = asyncio.get_running_loop()
    scheduled[scheduled_id] = loop.call_later(call.runtime.clock.real(ahead), fire)
    return {"channel": channel.id, "scheduled_message_id": scheduled_id, "post_at": post_at}


@method("chat.deleteScheduledMessage", scope="chat:write", tier=3)
def delete_scheduled_message(call: Call) -> Json:
    """Cancel a scheduled message."""
    handle = call.runtime.scheduled.pop(call.required("scheduled_message_id"), None)
    if handle is None:
        raise SlackError("invalid_scheduled_message_id")
    handle.cancel()
    return {}
