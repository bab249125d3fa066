"""What people press to have what is kept about them, or to be forgotten."""

import time
from dataclasses import dataclass
from uuid import uuid4

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from database.errors import InputError
from database.records import run_id_of
from slack_interface.background import Background
from slack_interface.cards import MY_DATA
from slack_interface.gate import ClickGuard
from slack_interface.inbox import Inbox
from slack_interface.incoming import Incoming, Json, Kind
from slack_interface.listeners.actions import (
    NO_PLACE,
    TOO_LATE,
    place_of,
    team_of,
    trigger_of,
    values_of,
    words_of,
)
from slack_interface.my_data_cards import EXPORT, FORGET, FORGET_WORDS, forget_modal
from slack_interface.voice import Voice

NOT_SURE = f"Nothing was deleted. Type {FORGET_WORDS} to be forgotten, or press Cancel."


@dataclass(slots=True)
class MyDataClicks:
    """A click is for whoever clicked; what is done is done and told in their direct message."""

    inbox: Inbox
    voice: Voice
    background: Background
    guard: ClickGuard

    def register(self, app: AsyncApp) -> None:
        """Listen."""
        guarded = [self.guard.check]
        app.action(MY_DATA, middleware=guarded)(self.on_show)
        app.action(EXPORT, middleware=guarded)(self.on_export)
        app.action(FORGET, middleware=guarded)(self.on_forget)
        app.view(FORGET, middleware=guarded)(self.on_sure)

    async def on_show(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """The button in App Home."""
        await self._accept("my_data", body, _once(body, action))
        await ack()

    async def on_export(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """Give me all of it."""
        await self._accept("export_me", body, _once(body, action))
        await ack()

    async def on_forget(self, ack: AsyncAck, body: Json) -> None:
        """Asks whether they are sure, and says what it means."""
        self.background.spawn(self._ask(body))
        await ack()

    async def _ask(self, body: Json) -> None:
        if await self.voice.open_view(trigger_of(body), forget_modal()):
            return
        if direct := await self.voice.direct_channel(body["user"]["id"]):
            await self.voice.post(direct, TOO_LATE)

    async def on_sure(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """They are, if they typed the words."""
        if words_of(values_of(view)).strip(" .!\"'“”").lower() != FORGET_WORDS:
            await ack(response_action="errors", errors={"words": NOT_SURE})
            return
        await self._accept("forget_me", body, view["id"])
        await ack()

    async def _accept(self, kind: Kind, body: Json, once: str) -> None:
        """Keep what was asked for; it is done in the direct message, wherever it was pressed."""
        user_id, place = body["user"]["id"], place_of(body)
        direct = await self.voice.direct_channel(user_id)
        if not direct:
            raise InputError(NO_PLACE)
        app_id, team_id = body.get("api_app_id") or "", team_of(body)
        await self.inbox.accept(
            Incoming(
                kind=kind,
                key=run_id_of(app_id, team_id, kind, once),
                app_id=app_id,
                team_id=team_id,
                channel_id=direct,
                channel_type="im",
                user_id=user_id,
                text="",
                thread_ts=place.get("thread_ts", "") if place.get("channel") == direct else "",
                received_at=time.time(),
            )
        )


def _once(body: Json, action: Json) -> str:
    """Tells clicks apart, which Slack always dates."""
    return str(action.get("action_ts") or trigger_of(body) or uuid4().hex)
