"""Which places are private, and which private places a person is in."""

import time
from dataclasses import dataclass, field

import structlog
from cachetools import LRUCache, TTLCache
from slack_sdk.web.async_client import AsyncWebClient

from database.records import Person, Reader
from slack_interface.incoming import channel_type_of
from slack_interface.transport import TRANSPORT_ERRORS, in_words

PRIVATE_CHANNELS_TTL_S = 300
CHANNEL_TYPE_TTL_S = 3600
"""A public channel can be made private: look again after an hour at the latest."""

log = structlog.get_logger()


@dataclass(slots=True)
class Places:
    """Answers from what events taught or a short memory; asks Slack only when it must."""

    client: AsyncWebClient
    _types: TTLCache[str, str] = field(
        default_factory=lambda: TTLCache(10_000, CHANNEL_TYPE_TTL_S, timer=time.monotonic)
    )
    _private: TTLCache[str, frozenset[str]] = field(
        default_factory=lambda: TTLCache(10_000, PRIVATE_CHANNELS_TTL_S, timer=time.monotonic)
    )
    _names: LRUCache[str, str] = field(default_factory=lambda: LRUCache(10_000))

    def learn(self, channel_id: str, channel_type: str) -> None:
        """An event told the type of a channel."""
        if channel_type:
            self._types[channel_id] = channel_type

    def known(self, channel_id: str) -> str:
        """The type as far as known without asking, else ''."""
        return self._types.get(channel_id) or channel_type_of(channel_id)

    async def channel_type(self, channel_id: str) -> str:
        """`im`, `channel` (public), `group` or `mpim`; private where Slack does not tell."""
        known = self.known(channel_id)
        if known:
            return known
        try:
            answer = await self.client.conversations_info(channel=channel_id)
        except TRANSPORT_ERRORS as error:
            log.warning("channel_type_unknown", channel=channel_id, error=in_words(error))
            return "group"
        found = _type_of(answer["channel"])
        self._types[channel_id] = found
        return found

    def reader_here(self, user_id: str, channel_id: str, channel_type: str) -> Reader:
        """What this person may read as far as known without asking Slack."""
        if channel_type == "im":
            return Reader(user_id, self._private.get(user_id, frozenset()))
        if channel_type == "channel":
            return Reader(user_id)
        return Reader(user_id, frozenset({channel_id}))

    def reader_of_place(self, reader: Reader, channel_id: str, channel_type: str) -> Reader:
        """What everybody who can read a place may read; in a direct message, what they may."""
        if channel_type == "im":
            return reader
        return Reader("", frozenset() if channel_type == "channel" else frozenset({channel_id}))

    async def reader(self, user_id: str) -> Reader:
        """Everything this person may read; no private channel where Slack does not tell."""
        channels = self._private.get(user_id)
        if channels is None:
            channels = await self._private_channels(user_id)
        return Reader(user_id, channels)

    async def _private_channels(self, user_id: str) -> frozenset[str]:
        found: set[str] = set()
        cursor = ""
        try:
            while True:
                page = await self.client.users_conversations(
                    user=user_id, types="private_channel,mpim", limit=200, cursor=cursor or None
                )
                found.update(channel["id"] for channel in page["channels"])
                cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
                if not cursor:
                    break
        except TRANSPORT_ERRORS as error:
            log.warning("private_channels_unknown", user=user_id, error=in_words(error))
            return frozenset()
        self._private[user_id] = frozenset(found)
        return self._private[user_id]

    async def name(self, user_id: str) -> str:
        """How people call a person; their id where Slack does not tell."""
        if user_id not in self._names:
            try:
                user = (await self.client.users_info(user=user_id))["user"]
            except TRANSPORT_ERRORS as error:
                log.warning("name_unknown", user=user_id, error=in_words(error))
                return user_id
            profile = user.get("profile") or {}
            self._names[user_id] = (
                profile.get("display_name") or user.get("real_name") or user.get("name") or user_id
            )
        return self._names[user_id]

    async def person(self, user_id: str) -> Person:
        """A person as Slack knows them: first name and time zone, as far as it tells."""
        try:
            user = (await self.client.users_info(user=user_id))["user"]
        except TRANSPORT_ERRORS as error:
            log.warning("person_unknown", user=user_id, error=in_words(error))
            return Person(user_id, user_id)
        profile = user.get("profile") or {}
        name = profile.get("first_name") or profile.get("display_name") or user.get("name")
        zone = user.get("tz")
        return Person(user_id, name or user_id, {"time_zone": zone} if zone else {})

    async def person_called(self, name: str) -> str | None:
        """The id of the person with this name, as typed after an `@`."""
        try:
            async for page in await self.client.users_list(limit=200):
                for user in page["members"]:
                    profile = user.get("profile") or {}
                    names = (user.get("name"), profile.get("display_name"), user.get("real_name"))
                    if name.lower() in (str(entry).lower() for entry in names if entry):
                        return str(user["id"])
        except TRANSPORT_ERRORS as error:
            log.warning("people_unknown", error=in_words(error))
        return None

    async def channel_called(self, name: str) -> str | None:
        """The id of the channel with this name, as typed after a `#`."""
        try:
            async for page in await self.client.conversations_list(
                limit=200, types="public_channel,private_channel", exclude_archived=True
            ):
                for channel in page["channels"]:
                    if channel.get("name") == name.lower():
                        return str(channel["id"])
        except TRANSPORT_ERRORS as error:
            log.warning("channels_unknown", error=in_words(error))
        return None

    async def channel_name(self, channel_id: str) -> str:
        """A channel's name; its id where Slack does not tell."""
        if channel_id not in self._names:
            try:
                channel = (await self.client.conversations_info(channel=channel_id))["channel"]
            except TRANSPORT_ERRORS as error:
                log.warning("name_unknown", channel=channel_id, error=in_words(error))
                return channel_id
            self._names[channel_id] = channel.get("name") or channel_id
        return self._names[channel_id]


def _type_of(channel: dict[str, object]) -> str:
    if channel.get("is_im"):
        return "im"
    if channel.get("is_mpim"):
        return "mpim"
    return "group" if channel.get("is_private") else "channel"
