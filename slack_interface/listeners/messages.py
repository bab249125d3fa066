"""Messages and mentions: new, edited, deleted."""

import time
from dataclasses import dataclass, field

from cachetools import TTLCache
from slack_bolt.async_app import AsyncApp

from slack_interface.background import Background
from slack_interface.conversation import Conversation
from slack_interface.inbox import Inbox
from slack_interface.incoming import Incoming, Json, message_from, plain_text
from slack_interface.typed import is_stop

TWIN_S = 600.0


@dataclass(slots=True)
class Messages:
    """Takes messages in: each is on disk, or known, when its listener returns."""

    bot_user_id: str
    inbox: Inbox
    conversation: Conversation
    background: Background
    _stops: TTLCache[str, bool] = field(
        default_factory=lambda: TTLCache(1_000, TWIN_S, timer=time.monotonic)
    )

    def register(self, app: AsyncApp) -> None:
        """Listen."""
        app.event("message")(self.on_message)
        app.event("app_mention")(self.on_message)

    async def on_message(self, body: Json) -> None:
        """A `message` of any subtype, or an `app_mention`; the two may be twins."""
        event = body["event"]
        subtype = event.get("subtype")
        if subtype == "message_changed":
            self.background.spawn(self._changed(event))
        elif subtype == "message_deleted":
            await self._deleted(event)
        elif item := message_from(body, self.bot_user_id):
            await self._said(item)

    async def _said(self, item: Incoming) -> None:
        self.conversation.places.learn(item.channel_id, item.channel_type)
        if await self._stopped(item):
            return
        if self.conversation.may_answer(item):
            await self.inbox.accept(item)
        else:
            await self.conversation.hear(item)

    async def _stopped(self, item: Incoming) -> bool:
        """The word "stop" must not wait behind what it is to stop; what waits is not begun.

        Whether that is all: where a plan was being changed it may be for the plan.
        """
        if len(item.text) > 60 or not is_stop(plain_text(item.text, self.bot_user_id)):
            return False
        if item.key in self._stops:
            return True
        everywhere = item.direct and not item.in_thread
        stopped = self.conversation.answering.running.stop(
            item.channel_id, item.thread_ts, item.user_id, everywhere
        )
        if not stopped:
            return False
        self._stops[item.key] = True

        def waiting(other: Incoming) -> bool:
            same = other.channel_id == item.channel_id and other.kind == "message"
            return same and other.ts < item.ts and (everywhere or other.lane == item.lane)

        for dropped in await self.inbox.drop(waiting):
            await self.conversation.hear(dropped)
        return not any(reply.hears for reply in stopped)

    async def _changed(self, event: Json) -> None:
        """A person's words changed; links that unfold change a message too, but not its text."""
        message, before = event.get("message") or {}, event.get("previous_message") or {}
        user = message.get("user")
        if not user or user == self.bot_user_id or message.get("bot_id"):
            return
        if message.get("text") == before.get("text"):
            return
        text = plain_text(message.get("text") or "", self.bot_user_id)
        channel, ts = event["channel"], message["ts"]
        await self.conversation.orchestrator.edited(channel, ts, text)
        await self.conversation.feedback.edited_question(channel, ts, user, text)

    async def _deleted(self, event: Json) -> None:
        ts = event.get("deleted_ts") or (event.get("previous_message") or {}).get("ts")
        if ts:
            await self.conversation.orchestrator.deleted(event["channel"], ts)
