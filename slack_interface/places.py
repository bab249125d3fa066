"""Which places are private, and which private places a person is in."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from cachetools import LRUCache, TTLCache
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from database.records import Person, Reader
from slack_interface.incoming import SHARED, Json, channel_type_of
from slack_interface.members import Members
from slack_interface.transport import TRANSPORT_ERRORS, code_of, in_words, no_such_method

PRIVATE_CHANNELS_TTL_S = 300
OURS_TTL_S = 60
CHANNEL_TYPE_TTL_S = 3600
"""A public channel can be made private: look again after an hour at the latest."""
MOST_ADMINS, LOOKED_AT = 5, 1_000
"""Whom we write to where no approver is named: so many of the first so many people."""

log = structlog.get_logger()


@dataclass(slots=True)
class Places:
    """Answers from what events taught or a short memory; asks Slack only when it must."""

    client: AsyncWebClient
    members: Members
    _types: TTLCache[str, str] = field(
        default_factory=lambda: TTLCache(10_000, CHANNEL_TYPE_TTL_S, timer=time.monotonic)
    )
    _private: TTLCache[str, frozenset[str]] = field(
        default_factory=lambda: TTLCache(10_000, PRIVATE_CHANNELS_TTL_S, timer=time.monotonic)
    )
    _shared: TTLCache[str, bool] = field(
        default_factory=lambda: TTLCache(10_000, CHANNEL_TYPE_TTL_S, timer=time.monotonic)
    )
    _ours: TTLCache[str, bool] = field(
        default_factory=lambda: TTLCache(100, OURS_TTL_S, timer=time.monotonic)
    )
    _admins: TTLCache[str, Sequence[str]] = field(
        default_factory=lambda: TTLCache(1, CHANNEL_TYPE_TTL_S, timer=time.monotonic)
    )
    _names: LRUCache[str, str] = field(default_factory=lambda: LRUCache(10_000))

    def learn(self, channel_id: str, channel_type: str) -> None:
        """An event told the type of a channel."""
        if channel_type:
            self._types[channel_id] = channel_type
        if channel_type == SHARED:
            self._shared[channel_id] = True

    def known(self, channel_id: str) -> str:
        """The type as far as known without asking, else ''."""
        return self._types.get(channel_id) or channel_type_of(channel_id)

    async def channel_type(self, channel_id: str) -> str:
        """`im`, `channel` (public), `group`, `mpim` or `shared`; private where Slack is silent."""
        known = self.known(channel_id)
        if known:
            return known
        return await self._asked(channel_id) or "group"

    async def placed(self, channel_id: str, told: str = "") -> str:
        """The type of a channel, `shared` where another organisation reads or is invited.

        `told` is what an event said; that does not tell of invitations, which Slack is asked about
        on first contact.
        """
        kind = told or self.known(channel_id)
        if kind in ("im", SHARED):
            return kind
        if channel_id not in self._shared:
            found = await self._asked(channel_id)
            if found is None:
                return kind or "group"
            return found
        return SHARED if self._shared[channel_id] else kind or await self.channel_type(channel_id)

    async def _asked(self, channel_id: str) -> str | None:
        try:
            answer = await self.client.conversations_info(channel=channel_id)
        except TRANSPORT_ERRORS as error:
            log.warning("channel_unknown", channel=channel_id, error=in_words(error))
            return self._elsewhere(channel_id) if no_such_method(error, self.client) else None
        channel = answer.get("channel")
        if not isinstance(channel, dict):
            return self._elsewhere(channel_id)
        found = self._types[channel_id] = _type_of(channel)
        self._shared[channel_id] = found == SHARED
        return found

    def told(self, channel_id: str) -> bool:
        """Whether `placed` was told by the server, and did not only assume the worst it knew."""
        return channel_id in self._shared

    async def is_in(self, channel_id: str) -> bool:
        """Whether we are in a channel; yes where Slack does not tell."""
        if channel_id not in self._ours:
            try:
                answer = await self.client.conversations_info(channel=channel_id)
            except TRANSPORT_ERRORS as error:
                log.warning("channel_unknown", channel=channel_id, error=in_words(error))
                return code_of(error) != "channel_not_found"
            found = answer.get("channel")
            channel = found if isinstance(found, dict) else {}
            self._ours[channel_id] = bool(channel.get("is_member", True))
        return self._ours[channel_id]

    def _elsewhere(self, channel_id: str) -> str:
        """On a server that is not Slack and does not tell: as events say, and private if they do
        not.
        """
        self._shared[channel_id] = False
        return self.known(channel_id) or "group"

    def reader_here(self, user_id: str, channel_id: str, channel_type: str) -> Reader:
        """What this person may read as far as known without asking Slack."""
        public = channel_type != SHARED and self.members.sees_public(user_id)
        if channel_type == "im":
            return Reader(user_id, self._private.get(user_id, frozenset()), public)
        if channel_type == "channel" and public:
            return Reader(user_id)
        return Reader(user_id, frozenset({channel_id}), public)

    def reader_of_place(self, reader: Reader, channel_id: str, channel_type: str) -> Reader:
        """What everybody who can read a place may read; in a direct message, what they may."""
        if channel_type == "im":
            return reader
        public = channel_type != SHARED and reader.public
        here = frozenset() if channel_type == "channel" else frozenset({channel_id})
        return Reader("", here, public)

    async def reader(self, user_id: str) -> Reader:
        """Everything this person may read; no private channel where Slack does not tell."""
        channels = self._private.get(user_id)
        if channels is None:
            channels = await self._private_channels(user_id)
        member = await self.members.member(user_id)
        return Reader(user_id, channels, member is not None and member.standing == "member")

    async def reader_now(self, user_id: str, channel_id: str) -> Reader:
        """What this person may read in a place, as `reader_here`, with Slack asked first."""
        kind, reader = await self.placed(channel_id), await self.reader(user_id)
        return reader if kind == "im" else self.reader_here(user_id, channel_id, kind)

    async def _private_channels(self, user_id: str) -> frozenset[str]:
        def page(cursor: str | None) -> Awaitable[AsyncSlackResponse]:
            return self.client.users_conversations(
                user=user_id, types="public_channel,private_channel,mpim", limit=200, cursor=cursor
            )

        try:
            channels = [channel async for channel in _entries(page, "channels")]
        except TRANSPORT_ERRORS as error:
            log.warning("private_channels_unknown", user=user_id, error=in_words(error))
            return frozenset()
        found = frozenset(channel["id"] for channel in channels if _type_of(channel) != "channel")
        self._private[user_id] = found
        return found

    async def own_channels(self) -> dict[str, str]:
        """Names of the public channels that we are in, by id; none where Slack is away."""
        try:
            page = await self.client.users_conversations(
                types="public_channel", limit=200, exclude_archived=True
            )
        except TRANSPORT_ERRORS as error:
            log.warning("own_channels_unknown", error=in_words(error))
            return {}
        channels = page.get("channels") or []
        return {channel["id"]: channel.get("name") or channel["id"] for channel in channels}

    async def name(self, user_id: str) -> str:
        """How people call a person; their id where Slack does not tell."""
        member = await self.members.member(user_id)
        return (member and member.display_name) or user_id

    async def person(self, user_id: str) -> Person:
        """A person as Slack knows them: first name and time zone, as far as it tells."""
        member = await self.members.member(user_id)
        if member is None:
            return Person(user_id, user_id)
        settings = {"time_zone": member.time_zone} if member.time_zone else {}
        return Person(user_id, member.first_name or user_id, settings)

    async def person_called(self, name: str) -> str | None:
        """The id of the person with this name, as typed after an `@`."""

        def page(cursor: str | None) -> Awaitable[AsyncSlackResponse]:
            return self.client.users_list(limit=200, cursor=cursor)

        try:
            async for user in _entries(page, "members"):
                profile = user.get("profile") or {}
                names = (user.get("name"), profile.get("display_name"), user.get("real_name"))
                if name.lower() in (str(entry).lower() for entry in names if entry):
                    return str(user["id"])
        except TRANSPORT_ERRORS as error:
            log.warning("people_unknown", error=in_words(error))
        return None

    async def admins(self) -> Sequence[str]:
        """The first admins of the workspace, of its first people; nobody where Slack is silent."""
        if "" in self._admins:
            return self._admins[""]

        def page(cursor: str | None) -> Awaitable[AsyncSlackResponse]:
            return self.client.users_list(limit=200, cursor=cursor)

        found: list[str] = []
        looked_at = 0
        try:
            async for user in _entries(page, "members"):
                looked_at += 1
                if self.members.described(user).admin:
                    found.append(str(user["id"]))
                if len(found) >= MOST_ADMINS or looked_at >= LOOKED_AT:
                    break
        except TRANSPORT_ERRORS as error:
            log.warning("people_unknown", error=in_words(error))
            return []
        self._admins[""] = tuple(found)
        return found

    async def channel_called(self, name: str) -> str | None:
        """The id of the channel with this name, as typed after a `#`."""

        def page(cursor: str | None) -> Awaitable[AsyncSlackResponse]:
            return self.client.conversations_list(
                limit=200, types="public_channel,private_channel", exclude_archived=True,
                cursor=cursor,
            )  # fmt: skip

        try:
            async for channel in _entries(page, "channels"):
                if channel.get("name") == name.lower():
                    return str(channel["id"])
        except TRANSPORT_ERRORS as error:
            log.warning("channels_unknown", error=in_words(error))
        return None

    async def channel_name(self, channel_id: str) -> str:
        """A channel's name; its id where Slack does not tell."""
        if channel_id not in self._names:
            try:
                answer = await self.client.conversations_info(channel=channel_id)
            except TRANSPORT_ERRORS as error:
                log.warning("name_unknown", channel=channel_id, error=in_words(error))
                return channel_id
            channel = answer.get("channel") or {}
            self._names[channel_id] = channel.get("name") or channel_id
        return self._names[channel_id]


async def _entries(
    page: Callable[[str | None], Awaitable[AsyncSlackResponse]], name: str
) -> AsyncIterator[Json]:
    """What a list that comes in pages holds. Raises TRANSPORT_ERRORS."""
    cursor: str | None = None
    while True:
        found = await page(cursor)
        for entry in found.get(name) or []:
            yield entry
        former, cursor = cursor, (found.get("response_metadata") or {}).get("next_cursor")
        if not cursor or cursor == former:
            return


def _type_of(channel: Json) -> str:
    if channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"):
        return SHARED
    if channel.get("is_im"):
        return "im"
    if channel.get("is_mpim"):
        return "mpim"
    return "group" if channel.get("is_private") else "channel"
