"""reactions.* and pins.add."""

import re

from slack_interface.local_workspace import payloads
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import BOT_USER_ID, Json
from slack_interface.local_workspace.errors import SlackError
from slack_interface.local_workspace.runtime import Runtime
from slack_interface.local_workspace.web_api.registry import Call, method

_NAME = re.compile(r"[a-z0-9_+'\-]+(::skin-tone-[2-6])?")


@method("reactions.add", scope="reactions:write", tier=3)
def add(call: Call) -> Json:
    """React as the app."""
    channel, message = _target(call)
    add_reaction(call.runtime, channel, message, BOT_USER_ID, call.required("name"))
    return {}


@method("reactions.remove", scope="reactions:write", tier=2)
def remove(call: Call) -> Json:
    """Take the app's reaction back."""
    channel, message = _target(call)
    remove_reaction(call.runtime, channel, message, BOT_USER_ID, call.required("name"))
    return {}


@method("reactions.get", scope="reactions:read", tier=3)
def get(call: Call) -> Json:
    """A message with its reactions."""
    channel, message = _target(call)
    return {"type": "message", "channel": channel.id, "message": message}


@method("pins.add", scope="pins:write", tier=2)
def pin(call: Call) -> Json:
    """Pin a message."""
    channel, message = _target(call)
    pinned = call.workspace.pins.setdefault(channel.id, [])
    if message["ts"] in pinned:
        raise SlackError("already_pinned")
    pinned.append(message["ts"])
    message["pinned_to"] = [channel.id]
    call.workspace.changed_message(channel, message)
    return {}


def add_reaction(runtime: Runtime, channel: Channel, message: Json, user: str, name: str) -> None:
    """Anybody reacts; the app hears of it.

    Raises SlackError `invalid_name`, `already_reacted`.
    """
    if not _NAME.fullmatch(name):
        raise SlackError("invalid_name")
    reactions = message.setdefault("reactions", [])
    found = next((r for r in reactions if r["name"] == name), None)
    if found is None:
        found = {"name": name, "users": [], "count": 0}
        reactions.append(found)
    if user in found["users"]:
        raise SlackError("already_reacted")
    found["users"].append(user)
    found["count"] += 1
    _changed(runtime, "reaction_added", channel, message, user, name)


def remove_reaction(
    runtime: Runtime, channel: Channel, message: Json, user: str, name: str
) -> None:
    """Anybody takes a reaction back.

    Raises SlackError `no_reaction`.
    """
    reactions = message.get("reactions", [])
    found = next((r for r in reactions if r["name"] == name and user in r["users"]), None)
    if found is None:
        raise SlackError("no_reaction")
    found["users"].remove(user)
    found["count"] -= 1
    if not found["users"]:
        reactions.remove(found)
    if not reactions:
        message.pop("reactions")
    _changed(runtime, "reaction_removed", channel, message, user, name)


def _changed(
    runtime: Runtime, kind: str, channel: Channel, message: Json, user: str, name: str
) -> None:
    runtime.workspace.changed_message(channel, message)
    ts = runtime.workspace.next_ts()
    if BOT_USER_ID in channel.members:
        runtime.emit(kind, payloads.reaction_event(kind, channel, message, user, name, ts))


def _target(call: Call) -> tuple[Channel, Json]:
    channel = call.member_channel()
    return channel, call.message(channel, "timestamp")
