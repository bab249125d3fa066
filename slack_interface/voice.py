"""Saying things that are not answers: notes, cards and refusals, in the right place."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from slack_interface.incoming import Incoming, Json
from slack_interface.model_words import no_calls
from slack_interface.sends import Place, Sends, post_metadata
from slack_interface.transport import (
    TRANSPORT_ERRORS,
    code_of,
    in_words,
    is_the_servers,
    no_such_method,
    passes,
    refuses_form,
)

log = structlog.get_logger()

NO_PREVIEWS: Json = {"unfurl_links": False, "unfurl_media": False}
"""Slack fetches nothing that a message of ours links to."""
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Before a post that Slack could not take is tried again."""
PLAIN_S = 3_600.0
"""So long blocks that a server did not know are not offered to it again."""


@dataclass(slots=True)
class Voice:
    """Speaks to a person where they spoke to us; failures are logged and hurt nobody."""

    client: AsyncWebClient
    sends: Sends
    _plain_until: float = 0.0

    async def tell(
        self, item: Incoming, text: str, blocks: list[Json] | None = None, *, openly: bool = False
    ) -> str | None:
        """Tell the person of `item`: unseen by others, unless `openly` or in a direct message.

        Once for each item, also over a restart, as far as Slack lets us look: what only one person
        sees is said again where it is not known whether they have seen it.

        Returns the message's `ts` where it was an ordinary message.
        """
        if item.response_url and not openly:
            await self._respond(item, text, blocks)
            return None
        if openly or (item.direct and item.thread_ts):
            place = Place(item.channel_id, item.thread_ts, item.ts)
            return await self.post_once(f"{item.key}:told", place, text, blocks)
        await self.whisper(item.channel_id, item.user_id, text, blocks, thread_ts=item.thread_ts)
        return None

    async def post(
        self, channel_id: str, text: str, blocks: list[Json] | None = None, thread_ts: str = ""
    ) -> str | None:
        """An ordinary message."""
        arguments: Json = {"channel": channel_id, **NO_PREVIEWS}
        if thread_ts:
            arguments["thread_ts"] = thread_ts
        answer = await self._call("chat.postMessage", arguments, text, blocks)
        return str(answer.get("ts") or "") if answer else None

    async def post_once(
        self, key: str, place: Place, text: str, blocks: list[Json] | None = None
    ) -> str | None:
        """An ordinary message that is there once for its `key`, also over a restart."""
        for pause in (*_PAUSES_S, None):
            try:
                return await self.deliver_once(key, place, text, blocks)
            except TRANSPORT_ERRORS as error:
                if pause is None or not passes(error):
                    log.warning("not_said", key=key, error=in_words(error))
                    return None
            await asyncio.sleep(pause)
        return None

    async def deliver_once(
        self,
        key: str,
        place: Place,
        text: str,
        blocks: list[Json] | None,
        plainer: list[Json] | None = None,
    ) -> str:
        """The `ts` of the one message for `key`; blocks as in `deliver`.

        Raises:
            TRANSPORT_ERRORS: Slack did not take it, or it is not known yet: call again.
        """
        arguments: Json = {
            "channel": place.channel_id,
            "metadata": post_metadata(key),
            **NO_PREVIEWS,
        }
        if place.thread_ts:
            arguments["thread_ts"] = place.thread_ts

        async def send() -> str:
            answer = await self.deliver("chat.postMessage", arguments, text, blocks, plainer)
            return str(answer.get("ts") or "")

        return await self.sends.once(key, place, send)

    async def whisper(
        self,
        channel_id: str,
        user_id: str,
        text: str,
        blocks: list[Json] | None = None,
        thread_ts: str = "",
    ) -> None:
        """A message that only this person sees, where we cannot speak in a direct message."""
        arguments: Json = {"channel": channel_id, "user": user_id}
        if thread_ts:
            arguments["thread_ts"] = thread_ts
        if await self._call("chat.postEphemeral", arguments, text, blocks) is not None:
            return
        if direct := await self.direct_channel(user_id):
            await self.post(direct, text, blocks, thread_ts if direct == channel_id else "")

    async def direct_channel(self, user_id: str) -> str | None:
        """The direct message with a person; a post may name the person instead, if need be."""
        try:
            answer = await self.client.conversations_open(users=user_id)
        except TRANSPORT_ERRORS as error:
            log.warning("no_direct_message", user=user_id, error=in_words(error))
            return user_id if no_such_method(error, self.client) else None
        return str((answer.get("channel") or {}).get("id") or user_id)

    async def open_view(self, trigger_id: str, view: Json) -> bool:
        """Open a modal; False where the trigger was too old or Slack refused it."""
        try:
            await self.client.api_call("views.open", json={"trigger_id": trigger_id, "view": view})
        except TRANSPORT_ERRORS as error:
            log.warning("view_not_opened", error=str(error))
            return False
        return True

    async def publish_home(self, user_id: str, view: Json) -> None:
        """Show somebody their Home tab."""
        try:
            await self.client.api_call("views.publish", json={"user_id": user_id, "view": view})
        except TRANSPORT_ERRORS as error:
            log.warning("home_not_published", user=user_id, error=str(error))

    async def _respond(self, item: Incoming, text: str, blocks: list[Json] | None) -> None:
        if not is_the_servers(item.response_url, self.client.base_url):
            log.warning("response_url_elsewhere", **item.described())
            await self.whisper(item.channel_id, item.user_id, text, blocks)
            return
        webhook = AsyncWebhookClient(item.response_url, session=self.client.session)
        try:
            answer = await webhook.send_dict(_body(text, blocks))
            if answer.status_code != 200 and blocks:
                log.warning("blocks_refused", answer=answer.body)
                answer = await webhook.send_dict(_body(text, None))
        except TRANSPORT_ERRORS as error:
            log.warning("response_url_failed", error=str(error))
        else:
            if answer.status_code == 200:
                return
        await self.whisper(item.channel_id, item.user_id, text, blocks)

    async def deliver(
        self,
        method: str,
        arguments: Json,
        text: str,
        blocks: list[Json] | None,
        plainer: list[Json] | None = None,
    ) -> Any:
        """Say it with `blocks`, or with `text` alone where Slack refuses those.

        `plainer` are older blocks that say the same: a server that refuses the newer ones gets
        these, for an hour without being asked again.

        Raises:
            TRANSPORT_ERRORS: Slack did not take it.
        """
        if plainer and time.monotonic() < self._plain_until:
            blocks, plainer = plainer, None
        try:
            return await self.client.api_call(method, json=arguments | _body(text, blocks))
        except SlackApiError as error:
            if not (blocks and refuses_form(error)):
                raise
            log.warning("blocks_refused", method=method, answer=str(error.response.data))
            unknown = "too_long" not in code_of(error)
        if plainer:
            self._plain_until = time.monotonic() + PLAIN_S if unknown else 0.0
            return await self.deliver(method, arguments, text, plainer)
        return await self.client.api_call(method, json=arguments | _body(text, None))

    async def _call(
        self, method: str, arguments: Json, text: str, blocks: list[Json] | None
    ) -> Any:
        try:
            return await self.deliver(method, arguments, text, blocks)
        except TRANSPORT_ERRORS as error:
            log.warning("not_said", method=method, error=in_words(error))
        return None


def _body(text: str, blocks: list[Json] | None) -> Json:
    """`text` stands for the blocks where those cannot be seen or read; it calls nobody."""
    text = no_calls(text)
    return {"text": text, "blocks": blocks} if blocks else {"text": text}
