"""What fails in a listener ends in words: nobody presses or says something and hears nothing."""

import time
from dataclasses import dataclass, field

import structlog
from cachetools import TTLCache
from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.response import BoltResponse

from database.errors import VirtuousError
from slack_interface.background import Background
from slack_interface.blocks import notice_modal
from slack_interface.incoming import ANSWERABLE_SUBTYPES, Json
from slack_interface.voice import Voice

UNEXPECTED = (
    "Something went wrong on my side, and nothing was done. Please try again in a moment; if it "
    "happens again, tell whoever runs me to look at the log."
)
AGAIN = (
    "I could not take your message in. {words}\nSlack brings it to me again within some minutes; "
    "if I have not answered by then, please send it once more."
)
TOLD_S = 900.0
"""Slack repeats an event for some minutes; the person is told once."""

log = structlog.get_logger()


@dataclass(slots=True)
class Failures:
    """Answers for listeners that raised; an event is left to Slack, which sends it again."""

    bot_user_id: str
    voice: Voice
    background: Background
    _failed: TTLCache[tuple[str, str], bool] = field(
        default_factory=lambda: TTLCache(1_000, TOLD_S, timer=time.monotonic)
    )
    _told: TTLCache[str, bool] = field(
        default_factory=lambda: TTLCache(1_000, TOLD_S, timer=time.monotonic)
    )

    def register(self, app: AsyncApp) -> None:
        """Listen."""
        app.error(self.on_error)

    async def on_error(self, error: Exception, body: Json, ack: AsyncAck) -> BoltResponse | None:
        """Tell the person in the way that fits what they did."""
        kind = str(body.get("type") or ("command" if "command" in body else ""))
        if isinstance(error, VirtuousError):
            words = str(error)
            log.warning("listener_failed", kind=kind, error=words)
        else:
            words = UNEXPECTED
            log.error("listener_failed", kind=kind, exc_info=error)
        if kind == "event_callback":
            self.background.spawn(self._tell_of_event(body.get("event"), words))
            return None
        if kind == "view_submission":
            return await ack(
                response_action="update", view=notice_modal("That did not work", words)
            )
        if kind == "command":
            return await ack(words)
        self.background.spawn(self._tell_presser(body, words))
        return await ack()

    async def _tell_presser(self, body: Json, words: str) -> None:
        user_id = _text(_part(body, "user"), "id")
        channel_id = _text(_part(body, "channel"), "id")
        channel_id = channel_id or _text(_part(body, "container"), "channel_id")
        if user_id and channel_id:
            await self.voice.whisper(channel_id, user_id, words)
        elif user_id and (direct := await self.voice.direct_channel(user_id)):
            await self.voice.post(direct, words)

    async def _tell_of_event(self, event: object, words: str) -> None:
        """Only whoever surely spoke to us, once the second delivery failed too.

        Slack repeats the first one at once, so that a short trouble is over unnoticed.
        """
        if not isinstance(event, dict) or event.get("bot_id"):
            return
        if event.get("subtype") not in ANSWERABLE_SUBTYPES:
            return
        channel, ts, user = (_text(event, name) for name in ("channel", "ts", "user"))
        spoken = channel.startswith("D") or f"<@{self.bot_user_id}" in _text(event, "text")
        if not (spoken and ts and user) or user == self.bot_user_id or ts in self._told:
            return
        delivery = (_text(event, "type"), ts)
        if delivery not in self._failed:
            self._failed[delivery] = True
            return
        self._told[ts] = True
        thread_ts = _text(event, "thread_ts") or ts
        await self.voice.post(channel, AGAIN.format(words=words), thread_ts=thread_ts)


def _part(body: Json, name: str) -> Json:
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def _text(part: Json, name: str) -> str:
    value = part.get(name)
    return value if isinstance(value, str) else ""
