"""Slack's payload shapes: events, commands, interactions. Pure builders."""

import secrets
import time
from typing import Any

from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import APP_ID, BOT_ID, BOT_USER_ID, Json, Team


def event_callback(
    token: str,
    event: Json,
    team_id: str | None,
    enterprise_id: str | None,
    *,
    is_enterprise_install: bool,
) -> Json:
    """The envelope of an Events API event, with a fresh event_id.

    `authorizations` names one installation that may see it, and where (docs.slack.dev,
    developing for Enterprise orgs): org-wide or not, `team_id` is the workspace's. Only what
    concerns the org-wide installation itself has none (team_access_granted's page).
    """
    event_id = f"Ev0{secrets.token_hex(5).upper()}"
    envelope: Json = {
        "token": token,
        "team_id": team_id,
        "context_team_id": team_id,
        "context_enterprise_id": enterprise_id,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(time.time()),
        "authorizations": [
            {
                "enterprise_id": enterprise_id,
                "team_id": team_id,
                "user_id": BOT_USER_ID,
                "is_bot": True,
                "is_enterprise_install": is_enterprise_install,
            }
        ],
        "is_ext_shared_channel": False,
        "event_context": f"4-{event_id}",
    }
    return envelope | ({"enterprise_id": enterprise_id} if enterprise_id else {})


def message_event(channel: Channel, message: Json) -> Json:
    """A new message, as message.channels, message.groups or message.im."""
    event = {key: value for key, value in message.items() if key not in _KEPT_BACK}
    event |= {
        "channel": channel.id,
        "event_ts": message["ts"],
        "channel_type": channel.channel_type,
    }
    root = channel.messages.get(message.get("thread_ts", ""))
    if root is not None and root is not message:
        event["parent_user_id"] = root.get("user", BOT_USER_ID)
    return event


_KEPT_BACK = frozenset(
    ("reply_count", "reply_users", "reply_users_count", "latest_reply", "reactions")
)


def mention_event(channel: Channel, message: Json) -> Json:
    """The twin of a message that mentions the app."""
    event = message_event(channel, message)
    for key in ("channel_type", "subtype", "parent_user_id"):
        event.pop(key, None)
    return event | {"type": "app_mention"}


def changed_event(channel: Channel, message: Json, previous: Json, ts: str) -> Json:
    """message_changed."""
    return {
        "type": "message",
        "subtype": "message_changed",
        "message": message,
        "previous_message": previous,
        "channel": channel.id,
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
        "channel_type": channel.channel_type,
    }


def deleted_event(channel: Channel, previous: Json, ts: str) -> Json:
    """message_deleted."""
    return {
        "type": "message",
        "subtype": "message_deleted",
        "previous_message": previous,
        "channel": channel.id,
        "hidden": True,
        "deleted_ts": previous["ts"],
        "ts": ts,
        "event_ts": ts,
        "channel_type": channel.channel_type,
    }


def reaction_event(
    kind: str, channel: Channel, message: Json, user: str, name: str, ts: str
) -> Json:
    """reaction_added or reaction_removed."""
    return {
        "type": kind,
        "user": user,
        "reaction": name,
        "item": {"type": "message", "channel": channel.id, "ts": message["ts"]},
        "item_user": message.get("user", BOT_USER_ID),
        "event_ts": ts,
    }


def home_opened_event(user: str, channel: Channel, tab: str, view: Json | None, ts: str) -> Json:
    """app_home_opened; `view` is the published Home, on the home tab only."""
    event: Json = {
        "type": "app_home_opened",
        "user": user,
        "channel": channel.id,
        "tab": tab,
        "event_ts": ts,
    }
    if tab == "home" and view is not None:
        event["view"] = view
    if tab == "messages":
        event["context"] = {}
    return event


def context_event(user: str, channel: Channel, entities: list[Json], ts: str) -> Json:
    """app_context_changed; `entities` is what the person looks at."""
    return {
        "type": "app_context_changed",
        "user": user,
        "channel": channel.id,
        "context": {"entities": entities} if entities else {},
        "event_ts": ts,
    }


def channel_entity(channel: Channel, team: Team) -> Json:
    """A channel as an entity of a context."""
    return {"type": "slack#/types/channel_id", "value": channel.id, "team_id": team.id}


def stopped_event(channel: str, thread_ts: str, user: str, streaming: list[str], ts: str) -> Json:
    """agent_session_stopped."""
    return {
        "type": "agent_session_stopped",
        "channel": channel,
        "thread_ts": thread_ts,
        "user": user,
        "streaming_message_ts": streaming,
        "event_ts": ts,
    }


def file_shared_event(file_id: str, user: str, channel: Channel, ts: str) -> Json:
    """file_shared."""
    return {
        "type": "file_shared",
        "file_id": file_id,
        "user_id": user,
        "file": {"id": file_id},
        "channel_id": channel.id,
        "event_ts": ts,
    }


def joined_event(user: str, channel: Channel, team: Team, inviter: str | None, ts: str) -> Json:
    """member_joined_channel."""
    event: Json = {
        "type": "member_joined_channel",
        "user": user,
        "channel": channel.id,
        "channel_type": "C" if channel.kind == "channel" else "G",
        "team": team.id,
        "event_ts": ts,
    }
    return event | ({"inviter": inviter} if inviter else {})


def command(
    token: str,
    team: Team,
    channel: Channel,
    user: Json,
    *,
    is_enterprise_install: bool,
    **more: str,
) -> Json:
    """A slash command, as its form fields; `more` has what was typed and where to answer."""
    names = {"im": "directmessage", "private": "privategroup"}
    fields = {
        "token": token,
        "team_id": team.id,
        "team_domain": team.domain,
        "channel_id": channel.id,
        "channel_name": names.get(channel.kind, channel.name),
        "user_id": user["id"],
        "user_name": user["name"],
        "api_app_id": APP_ID,
        "is_enterprise_install": "true" if is_enterprise_install else "false",
        **more,
    }
    if team.enterprise is not None:
        fields |= {"enterprise_id": team.enterprise.id, "enterprise_name": team.enterprise.name}
    return fields


def interaction(
    token: str, kind: str, user: Json, team: Team, *, is_enterprise_install: bool, **more: Any
) -> Json:
    """What every interactive payload starts with.

    An org-wide installation gets no `team` where the act belongs to no channel (Bolt's request
    parsing: "payload.team in interactivity payloads can be None"); the person's team remains.
    """
    enterprise = team.enterprise
    named: Json | None = {"id": team.id, "domain": team.domain}
    if enterprise is not None and named is not None:
        named |= {"enterprise_id": enterprise.id, "enterprise_name": enterprise.name}
    if is_enterprise_install and "channel" not in more:
        named = None
    return {
        "type": kind,
        "user": {
            "id": user["id"],
            "username": user["name"],
            "name": user["name"],
            "team_id": team.id,
        },
        "api_app_id": APP_ID,
        "token": token,
        "team": named,
        "enterprise": {"id": enterprise.id, "name": enterprise.name} if enterprise else None,
        "is_enterprise_install": is_enterprise_install,
        **more,
    }


def channel_stub(channel: Channel) -> Json:
    """A channel as interactive payloads name it."""
    names = {"im": "directmessage", "private": "privategroup"}
    return {"id": channel.id, "name": names.get(channel.kind, channel.name)}


def bot_profile(name: str, team: Team) -> Json:
    """The app's profile on its messages."""
    return {
        "id": BOT_ID,
        "app_id": APP_ID,
        "user_id": BOT_USER_ID,
        "name": name,
        "deleted": False,
        "updated": 1_750_000_000,
        "team_id": team.id,
    }
