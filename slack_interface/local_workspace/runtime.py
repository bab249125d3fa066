"""The parts of a running workspace, wired together."""

import asyncio

from slack_interface.local_workspace import payloads
from slack_interface.local_workspace.activity_log import ActivityLog
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.clock import Clock
from slack_interface.local_workspace.config import BOT_USER_ID, Json, WorkspaceConfig
from slack_interface.local_workspace.delivery import Delivery, Parcel
from slack_interface.local_workspace.faults import Faults
from slack_interface.local_workspace.http_push import HttpPush
from slack_interface.local_workspace.live import LivePages
from slack_interface.local_workspace.pacing import RateRules
from slack_interface.local_workspace.socket_mode import SocketHub
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
    """Everything the routes share. `base_url` is known once the server listens."""

    def __init__(self, config: WorkspaceConfig) -> None:
        self.config = config
        self.secrets = config.secrets
        self.base_url = f"http://{config.host}:{config.port}"
        self.workspace = Workspace(config.app, config.team_name)
        self.clock = Clock(config.clock_rate)
        self.faults = Faults(
            pacing=config.pacing,
            clock_rate=config.clock_rate,
            stream_lifetime_s=config.limits.stream_lifetime_s,
        )
        self.log = ActivityLog(config.log_size)
        self.rates = RateRules(self.clock)
        self.triggers = Triggers(self.clock, config.limits)
        self.sockets = SocketHub(self.clock, config.limits, self.app_changed)
        self.delivery = Delivery(self.clock, config.limits, self.faults, self.log, self.sockets)
        self.live = LivePages(self.workspace)
        self.scheduled: dict[str, asyncio.TimerHandle] = {}
        self.oauth_codes: set[str] = set()
        self.uploads: dict[str, str] = {}
        self.revoked = False
        self._push: HttpPush | None = None

    def app_changed(self) -> None:
        """The app came or went: the pages show it."""
        self.live.tell_all({"type": "app", "connected": self.delivery.is_connected()})

    async def set_request_url(self, url: str | None) -> None:
        """Switch to HTTP mode (after url_verification), or back to Socket Mode with None.

        Raises ControlError `url_verification_failed`, `invalid_request_url`.
        """
        push = HttpPush(url, self.secrets) if url else None
        if push is not None:
            try:
                await push.verify(self.clock.deadline(self.config.limits.ack_s))
            except BaseException:
                await push.close()
                raise
        if self._push is not None:
            await self._push.close()
        self._push = self.delivery.push = push
        self.app_changed()

    async def reset(self) -> None:
        """Forget everything said and done; the app stays connected."""
        await self.delivery.drop_pending()
        self._cancel_scheduled()
        self.workspace.reset()
        self.triggers.clear()
        self.rates.clear()
        self.log.clear()
        self.revoked = False
        defaults = Faults(
            pacing=self.config.pacing,
            clock_rate=self.config.clock_rate,
            stream_lifetime_s=self.config.limits.stream_lifetime_s,
        )
        self.set_faults(defaults.as_json())
        self.live.tell_all({"type": "reset"})

    def set_faults(self, wanted: Json) -> None:
        """Change faults, pacing and clock.

        Raises ControlError `invalid_fault`.
        """
        self.faults.update(wanted)
        self.clock.rate = self.faults.clock_rate

    async def close(self) -> None:
        """Stop deliveries."""
        self._cancel_scheduled()
        await self.delivery.close()
        if self._push is not None:
            await self._push.close()

    def _cancel_scheduled(self) -> None:
        for handle in self.scheduled.values():
            handle.cancel()
        self.scheduled.clear()

    def emit(self, subscription: str, event: Json, scope: str | None = None) -> bool:
        """Send an event when the app subscribed to it and has its scope; says whether."""
        app = self.config.app
        needed = scope or EVENT_SCOPES.get(subscription)
        if subscription not in app.events or (needed and needed not in app.scopes):
            return False
        payload = payloads.event_callback(self.secrets.verification_token, event)
        self.delivery.send_event(Parcel("events_api", event["type"], payload))
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
