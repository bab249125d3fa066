"""conversations.*: lists, history, replies, membership."""

import base64
from collections.abc import Callable
from itertools import islice

from slack_interface.local_workspace import payloads
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import BOT_USER_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.web_api.registry import Call, method

KINDS = {"public_channel": "channel", "private_channel": "private", "im": "im", "mpim": "mpim"}


def encode_cursor(value: str) -> str:
    """An opaque cursor."""
    return base64.b64encode(value.encode()).decode()


def decode_cursor(call: Call) -> str | None:
    """What the caller's cursor stands for.

    Raises SlackError `invalid_cursor`.
    """
    cursor = call.text("cursor")
    if cursor is None:
        return None
    try:
        return base64.b64decode(cursor, validate=True).decode()
    except ValueError:
        raise SlackError("invalid_cursor") from None


@method("conversations.list", tier=2, needs_team=True)
def list_conversations(call: Call) -> Json:
    """Conversations the app may see, of the kinds its scopes cover."""
    found = _listed(call, lambda channel: channel.kind == "channel" or _is_in(channel))
    return _page(call, found, "channels")


@method("users.conversations", tier=3, needs_team=True)
def user_conversations(call: Call) -> Json:
    """Conversations a person (default the app) is in."""
    user = call.text("user") or BOT_USER_ID
    return _page(call, _listed(call, lambda channel: user in channel.members), "channels")


@method("conversations.info", tier=3)
def info(call: Call) -> Json:
    """One conversation."""
    channel = call.channel()
    call.need_channel_scope(channel, "read")
    answer = call.conversation(channel)
    if call.flag("include_num_members"):
        answer["num_members"] = len(channel.members)
    return {"channel": answer}


@method("conversations.members", tier=4)
def members(call: Call) -> Json:
    """Who is in a conversation."""
    channel = call.channel()
    call.need_channel_scope(channel, "read")
    return _page(call, sorted(channel.members), "members")


@method("conversations.open", scope="im:write", tier=3)
def open_conversation(call: Call) -> Json:
    """The direct message with a person."""
    if call.text("channel"):
        channel = call.channel()
    else:
        wanted = [user for user in call.required("users").split(",") if user]
        if len(wanted) != 1:
            raise SlackError("method_not_supported_for_channel_type")
        if wanted[0] not in call.workspace.users or wanted[0] == BOT_USER_ID:
            raise SlackError("user_not_found")
        channel = call.workspace.direct_message(wanted[0])
    if call.flag("return_im"):
        return {"channel": call.conversation(channel), "already_open": True}
    return {"channel": {"id": channel.id}, "no_op": True, "already_open": True}


@method("conversations.join", scope="channels:join", tier=3)
def join(call: Call) -> Json:
    """Make the app a member of a public channel."""
    channel = call.channel()
    if channel.kind != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    answer: Json = {}
    if BOT_USER_ID in channel.members:
        answer["warning"] = "already_in_channel"
    else:
        channel.members.add(BOT_USER_ID)
        event = payloads.joined_event(
            BOT_USER_ID, channel, call.runtime.team, None, call.workspace.next_ts()
        )
        call.runtime.emit("member_joined_channel", event)
        call.workspace.on_change()
    return {"channel": call.conversation(channel), **answer}


@method("conversations.history", tier=3)
def history(call: Call) -> Json:
    """Messages outside threads, newest first."""
    channel = call.channel()
    call.need_channel_scope(channel, "history")
    if BOT_USER_ID not in channel.members:
        raise SlackError("not_in_channel")
    limit = call.number("limit", 100, 999)
    cursor = decode_cursor(call)
    latest = cursor or call.text("latest")
    inclusive = call.flag("inclusive") and cursor is None
    roots = channel.newest_roots(call.text("oldest") or "", latest, inclusive)
    messages = list(islice(roots, limit + 1))
    return _messages(call, channel, messages, limit)


@method("conversations.replies", tier=3)
def replies(call: Call) -> Json:
    """A thread's root and replies, oldest first."""
    channel = call.channel()
    call.need_channel_scope(channel, "history")
    if BOT_USER_ID not in channel.members:
        raise SlackError("not_in_channel")
    wanted = channel.messages.get(call.required("ts"))
    if wanted is None:
        raise SlackError("thread_not_found")
    root_ts = wanted.get("thread_ts") or wanted["ts"]
    limit = call.number("limit", 1000, 1000)
    cursor = decode_cursor(call)
    oldest = cursor or call.text("oldest") or ""
    inclusive = call.flag("inclusive") and cursor is None
    thread = channel.thread(root_ts, oldest, call.text("latest"), inclusive)
    found = [] if cursor or root_ts not in channel.messages else [channel.messages[root_ts]]
    found += islice(thread, limit + 1 - len(found))
    return _messages(call, channel, found, limit)


def _messages(call: Call, channel: Channel, found: list[Json], limit: int) -> Json:
    page = found[:limit]
    answer: Json = {
        "messages": [call.workspace.api_message(channel, message) for message in page],
        "has_more": len(found) > limit,
        "pin_count": len(call.workspace.pins.get(channel.id, ())),
    }
    if len(found) > limit:
        answer["response_metadata"] = {"next_cursor": encode_cursor(page[-1]["ts"])}
    if not call.flag("include_all_metadata"):
        answer["messages"] = [_without_metadata(message) for message in answer["messages"]]
    return answer


def _without_metadata(message: Json) -> Json:
    if "metadata" not in message:
        return message
    return {key: value for key, value in message.items() if key != "metadata"}


def _is_in(channel: Channel) -> bool:
    return BOT_USER_ID in channel.members


def _listed(call: Call, wanted: Callable[[Channel], bool]) -> list[Json]:
    kinds = [kind.strip() for kind in (call.text("types") or "public_channel").split(",")]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise SlackError("invalid_types")
    chosen = {KINDS[kind] for kind in kinds}
    found = []
    for channel in call.workspace.channels.values():
        if channel.kind in chosen and wanted(channel):
            call.need_channel_scope(channel, "read")
            found.append(call.conversation(channel))
    return found


def _page(call: Call, rows: list[Json] | list[str], key: str) -> Json:
    limit = call.number("limit", 100, 1000)
    cursor = decode_cursor(call)
    try:
        start = int(cursor) if cursor else 0
    except ValueError:
        raise SlackError("invalid_cursor") from None
    more = start + limit < len(rows)
    next_cursor = encode_cursor(str(start + limit)) if more else ""
    return {key: rows[start : start + limit], "response_metadata": {"next_cursor": next_cursor}}
