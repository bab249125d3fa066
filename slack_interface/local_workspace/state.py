"""The workspace itself: who is there and what has been said. No network, no clock but time."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from slack_interface.local_workspace import seed
from slack_interface.local_workspace.channel import Channel
from slack_interface.local_workspace.config import BOT_USER_ID, AppConfig, Json, Team
from slack_interface.local_workspace.errors import ControlError
from slack_interface.local_workspace.streams import OpenStream

Listener = Callable[[Json, Iterable[str]], None]
ThreadKey = tuple[str, str]

EPHEMERALS_KEPT = 200


@dataclass(slots=True)
class StoredFile:
    """A file: what the Web API says of it, and its bytes once they were uploaded."""

    info: Json
    content: bytes | None = None
    shared: bool = False


@dataclass
class Workspace:
    """State of one team. Messages, views and sessions are kept in Slack's own JSON shapes.

    `path` stands before the addresses of its page; `installed_on` is the team or organisation
    that the app is installed on.
    """

    app: AppConfig
    team: Team
    path: str = ""
    installed_on: str = ""
    users: dict[str, Json] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    views: dict[str, Json] = field(default_factory=dict)
    modals: dict[str, list[str]] = field(default_factory=dict)
    homes: dict[str, Json] = field(default_factory=dict)
    ephemerals: dict[str, deque[Json]] = field(default_factory=dict)
    files: dict[str, StoredFile] = field(default_factory=dict)
    streams: dict[ThreadKey, OpenStream] = field(default_factory=dict)
    stopped_streams: set[ThreadKey] = field(default_factory=set)
    sessions: dict[ThreadKey, Json] = field(default_factory=dict)
    statuses: dict[ThreadKey, Json] = field(default_factory=dict)
    prompts: dict[str, Json] = field(default_factory=dict)
    unread: dict[str, dict[str, int]] = field(default_factory=dict)
    selections: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    pins: dict[str, list[str]] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    on_change: Callable[[], None] = lambda: None
    _last_us: int = 0

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Back to the seeded people and channels, with nothing said and no app."""
        for kept in (self.views, self.modals, self.homes, self.ephemerals, self.files):
            kept.clear()
        for more in (self.streams, self.sessions, self.statuses, self.prompts, self.selections):
            more.clear()
        self.stopped_streams.clear()
        self.unread.clear()
        self.pins.clear()
        self.users = seed.people(self.team)
        self.channels = seed.channels()
        self.on_change()

    @property
    def has_app(self) -> bool:
        """Whether the app has a living bot user here."""
        return not self.users.get(BOT_USER_ID, {"deleted": True})["deleted"]

    def seed_app(self, installed_on: str) -> None:
        """The app as one that has always been here: a member of every channel."""
        self.add_app(installed_on)
        self.channels |= seed.direct_messages()
        for channel in self.channels.values():
            channel.members.add(BOT_USER_ID)

    def add_app(self, installed_on: str) -> None:
        """The app is installed: its bot user is here, and a member of no channel yet."""
        self.installed_on = installed_on
        self.users[BOT_USER_ID] = seed.bot_user(self.app, self.team)
        self.on_change()

    def remove_app(self) -> None:
        """The bot user is deactivated and leaves every channel; what was said stays."""
        if not self.has_app:
            return
        self.users[BOT_USER_ID]["deleted"] = True
        for channel in self.channels.values():
            if channel.kind != "im":
                channel.members.discard(BOT_USER_ID)
        for kept in (self.views, self.modals, self.homes, self.prompts):
            kept.clear()
        for more in (self.streams, self.sessions, self.statuses, self.selections):
            more.clear()
        self.on_change()

    def next_ts(self) -> str:
        """A timestamp greater than every one before."""
        self._last_us = max(self._last_us + 1, time.time_ns() // 1000)
        seconds, micros = divmod(self._last_us, 1_000_000)
        return f"{seconds}.{micros:06d}"

    def user_named(self, name: str) -> str:
        """The id of a person given by id or by name.

        Raises ControlError `user_not_found`.
        """
        if name in self.users:
            return name
        wanted = name.removeprefix("@").lower()
        for user_id, user in self.users.items():
            if wanted in (user["name"], user["real_name"].lower(), user_id.lower()):
                return user_id
        known = ", ".join(user["name"] for user in self.users.values())
        raise ControlError("user_not_found", f"No person {name!r} here; there are {known}.", 404)

    def channel_named(self, name: str, user_id: str | None = None) -> Channel:
        """A channel given by id or #name; `@assistant` is the person's direct message.

        Raises ControlError `channel_not_found`.
        """
        if name in self.channels:
            return self.channels[name]
        if name == "@assistant" and user_id is not None:
            return self.direct_message(user_id)
        wanted = name.removeprefix("#").lower()
        for channel in self.channels.values():
            if channel.kind != "im" and channel.name == wanted:
                return channel
        known = ", ".join(f"#{c.name}" for c in self.channels.values() if c.kind != "im")
        raise ControlError(
            "channel_not_found", f"No channel {name!r} here; there are {known}, @assistant.", 404
        )

    def direct_message(self, user_id: str) -> Channel:
        """A person's conversation with the app, made when it is first needed."""
        for channel in self.channels.values():
            if channel.kind == "im" and channel.user == user_id:
                return channel
        channel_id = f"D{user_id[1:]}"
        members = {user_id, BOT_USER_ID}
        name = self.users[user_id]["name"]
        channel = Channel(channel_id, name, "im", members=members, user=user_id)
        self.channels[channel_id] = channel
        return channel

    def viewers(self, channel: Channel) -> Iterable[str]:
        """Who may read a channel: everybody for a public one, else its members."""
        return self.users if channel.kind == "channel" else channel.members

    def publish(self, event: Json, users: Iterable[str]) -> None:
        """Tell the open pages of `users`; nothing is built when no page is open."""
        for listener in self.listeners:
            listener(event, users)

    def add_message(self, channel: Channel, message: Json) -> None:
        """Keep a new message, count it as unread for the others, and show it."""
        channel.add(message)
        author = message.get("user")
        for user_id in self.viewers(channel):
            if user_id not in (author, BOT_USER_ID):
                counts = self.unread.setdefault(user_id, {})
                counts[channel.id] = counts.get(channel.id, 0) + 1
        self.on_change()
        self.show("message", channel, message)
        root = channel.messages.get(message.get("thread_ts", ""))
        if root is not None and root is not message:
            self.show("message_changed", channel, root)

    def show(self, kind: str, channel: Channel, message: Json) -> None:
        """Show a new or changed message on the open pages."""
        if self.listeners:
            shown = self.page_message(channel, message)
            event = {"type": kind, "channel": channel.id, "message": shown}
            self.publish(event, self.viewers(channel))

    def changed_message(self, channel: Channel, message: Json) -> None:
        """A kept message was changed in place."""
        self.on_change()
        self.show("message_changed", channel, message)

    def remove_message(self, channel: Channel, ts: str) -> Json | None:
        """Delete a message (a root with its thread); returns it, or None when there is none."""
        message = channel.remove(ts)
        if message is None:
            return None
        self.streams.pop((channel.id, ts), None)
        self.on_change()
        event = {"type": "message_deleted", "channel": channel.id, "ts": ts}
        self.publish(event, self.viewers(channel))
        root = channel.messages.get(message.get("thread_ts", ""))
        if root is not None:
            self.show("message_changed", channel, root)
        return message

    def add_ephemeral(self, channel: Channel, user_id: str, message: Json) -> None:
        """Show a message to one person only; the last ones are kept for the page and scripts."""
        kept = self.ephemerals.setdefault(user_id, deque(maxlen=EPHEMERALS_KEPT))
        kept.append({**message, "channel": channel.id, "is_ephemeral": True})
        event = {"type": "ephemeral", "channel": channel.id, "message": kept[-1]}
        self.publish(event, (user_id,))

    def ephemeral(self, user_id: str, ts: str) -> Json | None:
        """One of a person's ephemeral messages."""
        kept = self.ephemerals.get(user_id, ())
        return next((message for message in kept if message["ts"] == ts), None)

    def remove_ephemeral(self, user_id: str, ts: str) -> None:
        """Take an ephemeral message away again."""
        message = self.ephemeral(user_id, ts)
        if message is not None:
            self.ephemerals[user_id].remove(message)
            event = {"type": "message_deleted", "channel": message["channel"], "ts": ts}
            self.publish(event, (user_id,))

    def api_message(self, channel: Channel, message: Json) -> Json:
        """A message as the Web API returns it, with what a stream has brought so far."""
        stream = self.streams.get((channel.id, message["ts"])) if self.streams else None
        if stream is None:
            return message
        return {**message, "text": stream.text(), "blocks": stream.rendered()}

    def page_message(self, channel: Channel, message: Json) -> Json:
        """A message as the page draws it."""
        link = self.path + permalink(channel, message)
        shown = {**self.api_message(channel, message), "permalink": link}
        if (channel.id, message["ts"]) in self.streams:
            shown["streaming"] = True
        return shown

    def next_id(self, prefix: str) -> str:
        """A new id such as V0..., F0..., unique in this workspace."""
        self._last_us = max(self._last_us + 1, time.time_ns() // 1000)
        return f"{prefix}0{_base36(self._last_us).upper()}"


def permalink(channel: Channel, message: Json) -> str:
    """Path of a message below its team's address, in the form Slack's links have."""
    link = f"/archives/{channel.id}/p{message['ts'].replace('.', '')}"
    root = message.get("thread_ts")
    return link if root in (None, message["ts"]) else f"{link}?thread_ts={root}&cid={channel.id}"


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return text
