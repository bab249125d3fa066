"""The parts of one running team, wired together."""

import asyncio
from typing import Any

from slack_interface.local_workspace import payloads
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import BOT_USER_ID, Json, Team
from slack_interface.local_workspace.delivery import Parcel
from slack_interface.local_workspace.installations import Installation
from slack_interface.local_workspace.live import LivePages
from slack_interface.local_workspace.pacing import RateRules
from slack_interface.local_workspace.platform import Platform
from slack_interface.local_workspace.state import Workspace
from slack_interface.local_workspace.triggers import Triggers

MESSAGE_SUBSCRIPTIONS = {
    "channel": ("message.channels", "channels:history"),
    "private": ("message.groups", "groups:history"),
    "im": ("message.im", "im:history"),
}
EVENT_SCOPES = {
    "app_mention": "app_mentions:read",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "file_shared": "files:read",
}


class Runtime:
    """Everything the routes of one team share; `path` leads to its page and scripting API."""

    def __init__(self, platform: Platform, team: Team, path: str = "") -> None:
        self.platform = platform
        self.team = team
        self.config = platform.config
        self.secrets = platform.secrets
        self.base_url = platform.base_url + path
        self.workspace = Workspace(platform.config.app, team, path)
        self.clock = platform.clock
        self.faults = platform.faults
        self.log = platform.log
        self.sockets = platform.sockets
        self.delivery = platform.delivery
        self.rates = RateRules(self.clock)
        self.triggers = Triggers(self.clock, platform.config.limits)
        self.live = LivePages(self.workspace)
        self.scheduled: dict[str, asyncio.TimerHandle] = {}
        self.uploads: dict[str, str] = {}
        platform.watchers.append(self.live.tell_all)

    @property
    def installation(self) -> Installation | None:
        """How the app is installed here, or None."""
        return self.platform.installations.of_team(self.team)

    @property
    def scopes(self) -> frozenset[str]:
        """What the app may do here."""
        installation = self.installation
        return installation.scopes if installation else frozenset()

    def knows(self, args: Json) -> bool:
        """Whether what the arguments of a call name is in this team."""
        workspace = self.workspace
        trigger_id, view_id, file_id = (args.get(n) for n in ("trigger_id", "view_id", "file"))
        if trigger_id or view_id or file_id:
            views = {view["id"] for view in workspace.homes.values()} | set(workspace.views)
            is_here = view_id in views or file_id in workspace.files
            return is_here or self.triggers.knows(str(trigger_id))
        channel = workspace.channels.get(args.get("channel") or args.get("channel_id") or "")
        if channel is None:
            return False
        named = [args[n] for n in ("ts", "message_ts", "thread_ts") if args.get(n)]
        return not named or named[0] in channel.messages

    def set_faults(self, wanted: Json) -> None:
        """Change faults, pacing and clock of all teams.

        Raises ControlError `invalid_fault`.
        """
        self.platform.set_faults(wanted)

    def reset(self) -> None:
        """Forget everything said and done in this team."""
        self.cancel_scheduled()
        self.workspace.reset()
        self.triggers.clear()
        self.rates.clear()
        self.uploads.clear()

    def cancel_scheduled(self) -> None:
        """Messages that were to be posted later are not."""
        for handle in self.scheduled.values():
            handle.cancel()
        self.scheduled.clear()

    def interaction(self, kind: str, user_id: str, **more: Any) -> Json:
        """An interactive payload of a person here."""
        installation = self.installation
        return payloads.interaction(
            self.secrets.verification_token,
            kind,
            self.workspace.users[user_id],
            self.team,
            is_enterprise_install=installation is not None and installation.is_enterprise_install,
            **more,
        )

    def emit(self, subscription: str, event: Json, scope: str | None = None) -> bool:
        """Send an event when the app subscribed to it and has its scope here; says whether."""
        installation = self.installation
        needed = scope or EVENT_SCOPES.get(subscription)
        if installation is None or subscription not in self.config.app.events:
            return False
        if needed and needed not in installation.scopes:
            return False
        payload = payloads.event_callback(
            self.secrets.verification_token,
            event,
            self.team.id,
            self.team.enterprise.id if self.team.enterprise else None,
            is_enterprise_install=installation.is_enterprise_install,
        )
        self.delivery.send_event(Parcel("events_api", event["type"], payload, team=self.team.id))
        return True

    def emit_message(self, channel: Channel, event: Json) -> None:
        """Send a message event of any subtype, where the app is a member."""
        if BOT_USER_ID in channel.members:
            subscription, scope = MESSAGE_SUBSCRIPTIONS[channel.kind]
            self.emit(subscription, event, scope)

    def emit_posted(self, channel: Channel, message: Json) -> None:
        """Send what a new message causes: its message event, and app_mention before it."""
        mentions_app = f"<@{BOT_USER_ID}>" in message.get("text", "")
        is_member = BOT_USER_ID in channel.members
        if mentions_app and is_member and channel.kind != "im":
            self.emit("app_mention", payloads.mention_event(channel, message))
        self.emit_message(channel, payloads.message_event(channel, message))
