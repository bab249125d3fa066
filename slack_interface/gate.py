"""Whom the assistant answers, and where: others are told why not, briefly and once in a thread."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import structlog
from cachetools import TTLCache
from slack_bolt.response import BoltResponse

from database.errors import NotAllowed
from slack_interface.background import Background
from slack_interface.incoming import SHARED, Incoming, Json
from slack_interface.members import Members
from slack_interface.places import Places
from slack_interface.voice import Voice

ONCE_S = 30 * 86_400.0
"""A reason is not repeated in the same thread within a month, to a bot within a day."""
BOT_ONCE_S = 86_400.0
BOT_ANSWERS_AN_HOUR = 30
"""Two bots that answer each other would never end."""

SHARED_PLACE = (
    "I keep quiet here because this channel is shared with another organisation, and what I know "
    "belongs to this workspace. An admin of the workspace can let me answer here: "
    "`policy set allow_external.{channel} yes`, said to me."
)
GUEST = (
    "I am sorry, I answer full members of this workspace only, and you are here as a guest. An "
    "admin can let me answer you: `policy set allow_guests.{user} yes`, said to me."
)
STRANGER = (
    "I am sorry, I answer members of this workspace only. One of its admins can let me answer "
    "here: `policy set allow_external.{channel} yes`, said to me."
)
BOT = (
    "I answer people only, and you are a bot. An admin can let me answer it: "
    "`policy set allow_bots.{user} yes`, said to me."
)
BOT_TOO_OFTEN = (
    f"I have answered this bot {BOT_ANSWERS_AN_HOUR} times within an hour and stop here, so that "
    "the two of us do not talk forever. Mention me yourself, or wait an hour."
)
UNSURE = (
    "Slack does not tell me right now who you are or who can read here, so I would rather not "
    "answer. Please ask again in a minute."
)
NOT_ALLOWED_TO_SEE = (
    "Slack does not let me see who you are, so I would rather not answer. Whoever runs me can mend "
    "that: add the scope `users:read` at api.slack.com/apps, OAuth & Permissions, and install the "
    "app again."
)

log = structlog.get_logger()


class SpeakingPolicy(Protocol):
    """What approvers decided (orchestrator.policy)."""

    @property
    def approvers(self) -> Sequence[str]:
        """Who was named as an approver; nobody where that was never decided."""

    def speaking(self, channel_id: str) -> Literal["mentions", "threads", "everything"]:
        """When to speak in a channel."""

    def allows(self, name: Literal["external", "guests", "bots"], of: str) -> bool:
        """Whether an approver has let in this channel, guest or bot."""


class Claims(Protocol):
    """Something that happens once (database.coordination)."""

    async def claim(self, name: str, ttl: float) -> bool:
        """True for one caller only until `ttl` seconds have passed."""


@dataclass(slots=True)
class Gate:
    """Decides who is answered by what Slack says of them and what approvers decided."""

    policy: SpeakingPolicy
    members: Members
    places: Places
    claims: Claims
    voice: Voice
    first_approvers: Sequence[str] = ()
    _bots: TTLCache[str, int] = field(
        default_factory=lambda: TTLCache(1_000, 3600, timer=time.monotonic)
    )

    async def refusal(self, user_id: str, channel_id: str, channel_type: str) -> str:
        """Why this person is not answered there; nothing where they are."""
        shared = channel_type == SHARED
        if shared and not self.policy.allows("external", channel_id):
            return SHARED_PLACE.format(channel=channel_id)
        member = await self.members.member(user_id)
        if member is None:
            return NOT_ALLOWED_TO_SEE if self.members.not_allowed else UNSURE
        words = {"channel": channel_id, "user": user_id}
        match member.standing:
            case "bot":
                return "" if self.policy.allows("bots", user_id) else BOT.format(**words)
            case "guest":
                return "" if self.policy.allows("guests", user_id) else GUEST.format(**words)
            case "stranger":
                in_here = shared or self.policy.allows("external", channel_id)
                return "" if in_here else STRANGER.format(**words)
            case _:
                return ""

    async def refuses(self, item: Incoming, addressed: bool) -> bool:
        """Whether `item` is not answered; the person is told why, once in a thread."""
        if item.bot:
            allowed = self.policy.allows("bots", item.user_id)
            reason = self._too_often(item) if allowed else BOT.format(user=item.user_id)
        else:
            reason = await self.refusal(item.user_id, item.channel_id, item.channel_type)
        if reason and addressed:
            await self._tell(item, reason)
        return bool(reason)

    @property
    def named(self) -> Sequence[str]:
        """The approvers that were named; nobody where the admins of the workspace decide."""
        return self.policy.approvers or self.first_approvers

    async def is_approver(self, user_id: str) -> bool:
        """Whether somebody may decide: those named, or else the admins of the workspace."""
        if self.named:
            return user_id in self.named
        member = await self.members.member(user_id)
        return member is not None and member.admin

    async def deciders(self) -> Sequence[str]:
        """Whom to write to for a decision: those named, or else the first admins."""
        return self.named or await self.places.admins()

    async def require_approver(self, user_id: str) -> None:
        """Raises NotAllowed with whom to ask."""
        if not await self.is_approver(user_id):
            raise NotAllowed(f"Only {self.approvers_in_words()} can decide that: please ask there.")

    def approvers_in_words(self) -> str:
        """Whom to ask."""
        return ", ".join(f"<@{user}>" for user in self.named) or "the admins of this workspace"

    def _too_often(self, item: Incoming) -> str:
        count = self._bots.get(item.user_id, 0) + 1
        self._bots[item.user_id] = count
        return BOT_TOO_OFTEN if count > BOT_ANSWERS_AN_HOUR else ""

    async def _tell(self, item: Incoming, reason: str) -> None:
        log.info("not_answered", **item.described())
        if item.kind != "message":
            await self.voice.tell(item, reason)
            return
        where = item.user_id if item.bot else f"{item.thread_ts}:{item.user_id}"
        once = BOT_ONCE_S if item.bot else ONCE_S
        first = await self.claims.claim(f"refused:{item.channel_id}:{where}", once)
        if first or item.resumed or reason == UNSURE:
            await self.voice.tell(item, reason, openly=item.bot)


@dataclass(slots=True)
class ClickGuard:
    """The same for what people press: a listener middleware that lets the others through."""

    gate: Gate
    background: Background

    async def check(self, body: Json, next: Callable[[], Awaitable[None]]) -> BoltResponse | None:
        """Go on, or say why not."""
        user_id = str(body["user"]["id"])
        channel_id = _channel_of(body)
        kind = await self.gate.places.placed(channel_id) if channel_id else "im"
        reason = await self.gate.refusal(user_id, channel_id, kind)
        if not reason:
            await next()
            return None
        self.background.spawn(self._say(user_id, channel_id, reason))
        return BoltResponse(status=200)

    async def _say(self, user_id: str, channel_id: str, reason: str) -> None:
        voice = self.gate.voice
        if channel_id:
            await voice.whisper(channel_id, user_id, reason)
        elif direct := await voice.direct_channel(user_id):
            await voice.post(direct, reason)


def _channel_of(body: Json) -> str:
    channel = (body.get("channel") or {}).get("id")
    return str(channel or (body.get("container") or {}).get("channel_id") or "")
