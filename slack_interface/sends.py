"""What must be sent once: its intent is on disk before, its `ts` after; in doubt, a look.

The one use of Slack's history calls: after a crash or a lost connection, to learn whether a
message that was about to be sent is there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from database.errors import VirtuousError
from slack_interface.incoming import Json
from slack_interface.transport import in_words, passes

log = structlog.get_logger()

INTENT, SENT, ANSWER = "intent", "sent", "answer"
REPLY_EVENT, POST_EVENT = "virtuous6_reply", "virtuous6_post"
_PAGE = 200


class SendEntry(Protocol):
    """One moment of a send."""

    @property
    def state(self) -> str:
        """INTENT, SENT or ANSWER."""

    @property
    def ts(self) -> str | None:
        """The message, once Slack has told."""

    @property
    def body(self) -> bytes | None:
        """The whole answer, where it is complete."""


class SendRows(Protocol):
    """The rows on disk (database.coordination); what is queued stays in order."""

    def note_send(
        self,
        run_id: str,
        state: str,
        ts: str | None = None,
        body: bytes | None = None,
        *,
        soon: bool = False,
    ) -> asyncio.Future[int]:
        """Queued when this returns, on disk once awaited, or `soon` with the next write."""

    def settle_sends(self, run_id: str) -> asyncio.Future[int]:
        """Nothing of this is needed any more."""

    async def sends(self, run_id: str) -> Sequence[SendEntry]:
        """What was noted, in order."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message of ours would be: `after` is the `ts` of what it answers, if known."""

    channel_id: str
    thread_ts: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier attempt left behind: its messages, perhaps one more, perhaps the answer."""

    known: tuple[str, ...] = ()
    in_doubt: bool = False
    answer: bytes | None = None

    @property
    def begun(self) -> bool:
        """Whether anything may be visible."""
        return bool(self.known) or self.in_doubt


@dataclass(slots=True)
class Sends:
    """The ledger of sends, and the look that settles a doubt."""

    client: AsyncWebClient
    rows: SendRows
    bot_user_id: str

    async def intend(self, key: str) -> None:
        """A message is about to be sent; on disk when this returns."""
        await self.on_disk(self.rows.note_send(key, INTENT))

    def sent(self, key: str, ts: str, *, soon: bool = False) -> None:
        """Slack took it as `ts`; nobody need wait for the disk.

        With `soon` it is noted together with what comes next; until then a look would find it.
        """
        self.rows.note_send(key, SENT, ts, soon=soon).add_done_callback(_complain)

    def keep(self, key: str, answer: bytes) -> asyncio.Future[int]:
        """The answer is complete: after a crash it is shown as it is, not made again."""
        return self.rows.note_send(key, ANSWER, body=answer)

    def settle(self, key: str) -> None:
        """It is seen and recorded."""
        self.rows.settle_sends(key).add_done_callback(_complain)

    async def on_disk(self, noting: Awaitable[object]) -> None:
        """Wait for a note; a disk that is full does not keep an answer from being said."""
        try:
            await noting
        except VirtuousError as error:
            log.warning("send_not_noted", error=str(error))

    async def earlier(self, key: str) -> Earlier:
        """What is known of former attempts."""
        known: list[str] = []
        in_doubt, answer = False, None
        for note in await self.rows.sends(key):
            if note.state == INTENT:
                in_doubt = True
            elif note.state == SENT and note.ts:
                in_doubt = False
                known.append(note.ts)
            elif note.state == ANSWER:
                answer = note.body
        return Earlier(tuple(dict.fromkeys(known)), in_doubt, answer)

    async def once(self, key: str, place: Place, send: Callable[[], Awaitable[str]]) -> str:
        """Post one message with `post_metadata(key)`, unless it was posted before; its `ts`.

        Raises:
            TRANSPORT_ERRORS: Slack did not take it, or it is not known yet: call again.
        """
        earlier = await self.earlier(key)
        if earlier.known:
            return earlier.known[-1]
        if earlier.in_doubt:
            for message in await self._ours(place):
                if _key_of(message) == key:
                    self.sent(key, message["ts"])
                    return str(message["ts"])
        await self.intend(key)
        ts = await send()
        self.sent(key, ts)
        return ts

    async def stray(self, key: str, place: Place, known: Collection[str]) -> str | None:
        """The message of a run whose `ts` was never learned: at most one is in doubt at a time.

        A stream carries the run's id only from its end on, so that the newest message of ours
        without any id counts.
        """
        nameless = None
        for message in await self._ours(place):
            if message["ts"] in known:
                continue
            owner = _key_of(message)
            if owner == key:
                return str(message["ts"])
            if owner is None:
                nameless = str(message["ts"])
        return nameless

    async def complete(self, key: str, place: Place) -> str | None:
        """The last message of a run's answer, if all of it is visible."""
        for message in await self._ours(place):
            if _key_of(message) == key and message["metadata"]["event_payload"].get("last"):
                return str(message["ts"])
        return None

    async def _ours(self, place: Place) -> list[Json]:
        """Our messages there, oldest first; none where Slack does not let us look."""
        try:
            found = await self._messages(place)
        except SlackApiError as error:
            if passes(error):
                raise
            log.warning("look_refused", error=in_words(error))
            return []
        ours = (m for m in found if m.get("user") == self.bot_user_id and m["ts"] > place.after)
        return sorted(ours, key=lambda message: str(message["ts"]))

    async def _messages(self, place: Place) -> list[Json]:
        found: list[Json] = []
        cursor = None
        while True:
            if place.thread_ts:
                page = await self.client.conversations_replies(
                    channel=place.channel_id, ts=place.thread_ts, oldest=place.after or None,
                    limit=_PAGE, cursor=cursor, include_all_metadata=True,
                )  # fmt: skip
            else:
                page = await self.client.conversations_history(
                    channel=place.channel_id, limit=_PAGE, include_all_metadata=True
                )
            found += page["messages"]
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor or not place.thread_ts:
                return found


def reply_metadata(key: str, *, last: bool) -> Json:
    """Marks a part of a run's answer; `last` says that the answer is whole with it."""
    payload: Json = {"run_id": key}
    if last:
        payload["last"] = True
    return {"event_type": REPLY_EVENT, "event_payload": payload}


def post_metadata(key: str) -> Json:
    """Marks any other message of ours."""
    return {"event_type": POST_EVENT, "event_payload": {"key": key}}


def _key_of(message: Json) -> str | None:
    """Whose message this is; None where it does not say."""
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    key = payload.get("run_id") or payload.get("key")
    return str(key) if key else None


def _complain(noting: asyncio.Future[int]) -> None:
    if not noting.cancelled() and (error := noting.exception()):
        log.warning("send_not_noted", error=str(error))
