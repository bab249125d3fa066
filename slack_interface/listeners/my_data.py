"""What people press to have what is kept about them, or to be forgotten."""

from dataclasses import dataclass

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from slack_interface.background import Background
from slack_interface.cards import MY_DATA
from slack_interface.gate import ClickGuard
from slack_interface.incoming import Json, Kind
from slack_interface.listeners.pressed import Pressed, once_of, place_of, values_of, words_of
from slack_interface.my_data_cards import EXPORT, FORGET, FORGET_WORDS, forget_modal

NOT_SURE = f"Nothing was deleted. Type {FORGET_WORDS} to be forgotten, or press Cancel."


@dataclass(slots=True)
class MyDataClicks:
    """A click is for whoever clicked; what is done is done and told in their direct message."""

    pressed: Pressed
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
        await self._keep("my_data", body, once_of(body, action))
        await ack()

    async def on_export(self, ack: AsyncAck, body: Json, action: Json) -> None:
        """Give me all of it."""
        await self._keep("export_me", body, once_of(body, action))
        await ack()

    async def on_forget(self, ack: AsyncAck, body: Json) -> None:
        """Asks whether they are sure, and says what it means."""
        self.background.spawn(self.pressed.open(body, forget_modal()))
        await ack()

    async def on_sure(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """They are, if they typed the words."""
        if words_of(values_of(view)).strip(" .!\"'“”").lower() != FORGET_WORDS:
            await ack(response_action="errors", errors={"words": NOT_SURE})
            return
        await self._keep("forget_me", body, view["id"])
        await ack()

    async def _keep(self, kind: Kind, body: Json, once: str) -> None:
        """Keep what was asked for; it is done in the direct message, wherever it was pressed."""
        place, direct = place_of(body), await self.pressed.voice.direct_channel(body["user"]["id"])
        await self.pressed.keep(kind, body, once, place if place.get("channel") == direct else {})
