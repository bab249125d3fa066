"""The messages that an answer consists of, and every call that makes or changes them.

Nothing is said twice: where it is not known what became of a call, or a former process left a
message behind, that message is written over from its beginning with what is known to be its text.
"""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.incoming import Json
from slack_interface.pace import Pace
from slack_interface.sends import Earlier, Place, Sends, reply_metadata
from slack_interface.splitting import split_point
from slack_interface.transport import (
    TRANSPORT_ERRORS,
    code_of,
    in_words,
    no_such_method,
    passes,
    perhaps_done,
    refuses_form,
    retry_after,
)
from slack_interface.voice import NO_PREVIEWS
from slack_interface.working_notice import WorkingNotice

log = structlog.get_logger()

STREAM_CHARS = 30_000
"""A streamed message's text; Slack answers msg_too_long near 40,000 (measured by others)."""
CALL_CHARS = 11_500
"""Text of one call; Slack's limit for markdown_text is 12,000."""

NO_STREAMING = frozenset(
    {
        "unknown_method",
        "missing_scope",
        "method_not_supported_for_channel_type",
        "not_allowed_token_type",
        "feature_not_enabled",
        "method_deprecated",
        "deprecated_endpoint",
    }
)
"""Streaming is not offered in this workspace: the next answers do not ask either."""
FATAL = frozenset(
    {
        "channel_not_found",
        "not_in_channel",
        "is_archived",
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "restricted_action",
    }
)
"""Another kind of message would be refused as well."""
STREAM_OVER = frozenset({"message_not_in_streaming_state", "msg_too_long", "msg_blocks_too_long"})
"""The stream is full or too old, and a new one will do."""
GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""That message cannot be written any more: the text goes into another."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The thread that an answer goes to and the person it is for.

    `asked_ts` is the question, `asked` what was asked in whose words, as Slack writes it.
    """

    channel_id: str
    thread_ts: str
    team_id: str
    user_id: str
    direct: bool = False
    asked_ts: str = ""
    asked: str = ""

    @property
    def place(self) -> Place:
        """Where the answer would be found."""
        return Place(self.channel_id, self.thread_ts, self.asked_ts)


@dataclass(slots=True)
class _Open:
    """The message being written: what it holds, and since when.

    `bare` while a stream holds nothing, `final` where the message cannot grow.
    """

    ts: str
    streamed: bool
    chars: int
    opened_at: float
    text: str = ""
    bare: bool = True
    final: bool = False

    def add(self, text: str) -> None:
        """Slack took this."""
        self.text += text
        self.chars += len(text)


@dataclass(slots=True)
class Delivery:
    """Brings the text and steps added to it into messages; `earlier` ones are written over.

    `kept` is the note of the whole answer, for which the last call waits.
    """

    client: AsyncWebClient
    to: Destination
    run_id: str
    pace: Pace
    sends: Sends
    earlier: Earlier
    notice: WorkingNotice
    kept: Awaitable[object] | None = None
    posting: bool = False
    _text: list[str] = field(default_factory=list)
    _steps: dict[str, Json] = field(default_factory=dict)
    _message: _Open | None = None
    _returned: str = ""
    _in_doubt: bool = False
    _known: list[str] = field(default_factory=list)
    _to_write_over: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.earlier.begun:
            self.posting, self._in_doubt = True, self.earlier.in_doubt
            self._known += self.earlier.known
            self._to_write_over += self.earlier.known
            self.notice.shown = True  # perhaps: it is taken back in the end

    @property
    def visible_ts(self) -> str | None:
        """The message that holds the newest part of the answer."""
        return self._message.ts if self._message else None

    @property
    def waiting(self) -> bool:
        """Whether there is anything that can be sent before the answer is complete."""
        return bool(self._text or self._steps) and not self._only_whole

    @property
    def _only_whole(self) -> bool:
        """Where no message can grow, all that is not said yet is said in the end."""
        return self.posting and not self.pace.updating

    def add(self, text: str) -> None:
        """The next piece of the answer."""
        self._text.append(text)

    def add_step(self, chunk: Json) -> None:
        """A task card, new or changed."""
        self._steps[chunk["id"]] = chunk

    async def send(self, *, last: bool, blocks: list[Json]) -> None:
        """Send what was added; `last` closes the answer with `blocks` below it.

        What could not be sent is kept for the next call, so that nothing is lost or said twice.

        Raises:
            TRANSPORT_ERRORS: Slack did not take it, or it is not known yet.
        """
        if self._only_whole and not last:
            return
        text, steps = "".join(self._text), list(self._steps.values())
        self._text.clear()
        self._steps.clear()
        try:
            while True:
                await self._settle_doubt()
                room = self._room()
                if room <= 0 or self._outlived():
                    await self._close()
                    continue
                part = text[: split_point(text, room)]
                rest = text[len(part) :]
                closing = last and not rest
                if not await self._send_part(part, steps, closing, blocks if closing else []):
                    text, self._returned = self._returned + text, ""
                    continue
                text, steps = rest, []
                if not text:
                    return
        except BaseException:
            self._text.insert(0, self._returned + text)
            self._returned = ""
            self._steps = {chunk["id"]: chunk for chunk in steps} | self._steps
            raise

    async def delete_leftovers(self) -> None:
        """A former attempt needed more messages than this one."""
        while self._to_write_over:
            ts = self._to_write_over[-1]
            await self._end_stream(ts)
            try:
                await self.client.chat_delete(channel=self.to.channel_id, ts=ts)
            except SlackApiError as error:
                if passes(error):
                    raise
                log.warning("leftover_not_deleted", run_id=self.run_id, error=in_words(error))
            self._to_write_over.pop()

    async def _settle_doubt(self) -> None:
        """Find the message of which it is not known whether Slack took it."""
        if not self._in_doubt:
            return
        ts = await self.sends.stray(self.run_id, self.to.place, self._known)
        if ts:
            log.info("stray_found", run_id=self.run_id, ts=ts)
            self._note_sent(ts)
            self._to_write_over.append(ts)
        self._in_doubt = False

    def _give_up(self, message: _Open, *, write_over: bool) -> bool:
        """What this message holds is not known, or not to be changed: its text goes elsewhere."""
        self._returned, self._message, self.posting = message.text, None, True
        if write_over:
            self._to_write_over.append(message.ts)
        return False

    def _room(self) -> int:
        """Characters that the next call may carry."""
        message = self._message
        if message is None:
            return CALL_CHARS
        if message.final:
            return 0
        if not message.streamed:
            return CALL_CHARS - message.chars
        return min(CALL_CHARS, STREAM_CHARS - message.chars)

    def _outlived(self) -> bool:
        message = self._message
        if message is None or not message.streamed:
            return False
        return time.monotonic() - message.opened_at > self.pace.stream_seconds

    async def _send_part(
        self, text: str, steps: list[Json], closing: bool, blocks: list[Json]
    ) -> bool:
        """Whether Slack took it; False: the message was given up, try in the next one."""
        if self._message is None and self._to_write_over:
            await self._begin_over()
        if self._message is None and not self.posting and self.pace.streaming():
            return await self._open_stream(text, steps, closing, blocks)
        if self._message is None:
            return await self._post(text, closing, blocks)
        if self._message.streamed:
            return await self._grow_stream(text, steps, closing, blocks)
        return await self._update(self._message, text, closing, blocks)

    async def _whole_is_kept(self) -> None:
        """Before the call that ends the answer; one that makes a message waits for its intent."""
        if self.kept:
            await self.sends.on_disk(self.kept)
            self.kept = None

    async def _begin_over(self) -> None:
        """The next message is one that is there already; what it holds will be replaced."""
        ts = self._to_write_over[0]
        await self._end_stream(ts)
        self._to_write_over.pop(0)
        self._message = _Open(ts, False, 0, time.monotonic())

    async def _create(self, method: str, arguments: Json, *, closing: bool) -> str:
        """A call that makes a message: its intent is on disk before, its `ts` after.

        Slack always tells the `ts`; '' where a server that is not Slack does not. Where the next
        call is the last, the `ts` is noted together with the end of the work.
        """
        await self.sends.intend(self.run_id)
        try:
            answer = await self.client.api_call(method, json=arguments)
        except TRANSPORT_ERRORS as error:
            self._in_doubt = perhaps_done(error)
            raise
        ts = str(answer.get("ts") or "")
        if ts:
            self._note_sent(ts, soon=closing)
        return ts

    def _note_sent(self, ts: str, *, soon: bool = False) -> None:
        self._known.append(ts)
        self.sends.sent(self.run_id, ts, soon=soon)

    async def _open_stream(
        self, text: str, steps: list[Json], closing: bool, blocks: list[Json]
    ) -> bool:
        to = self.to
        arguments: Json = {"channel": to.channel_id, "thread_ts": to.thread_ts}
        if not to.direct:
            arguments |= {"recipient_team_id": to.team_id, "recipient_user_id": to.user_id}
        if not closing:
            arguments |= _content(text, steps)
        try:
            ts = await self._create("chat.startStream", arguments, closing=closing)
        except TRANSPORT_ERRORS as error:
            if not self._in_doubt:
                self._give_up_streaming(error)
            else:
                self.posting = True
                await asyncio.sleep(self.pace.doubt_s)
            return False
        if not ts:  # such a server says yes to whatever it does not know
            self.pace.no_streaming()
            self.posting = True
            return False
        self._message = _Open(ts, True, 0, time.monotonic())
        if closing:
            return await self._grow_stream(text, steps, closing, blocks)
        self._message.bare = "chunks" not in arguments
        self._message.add(text)
        return True

    def _give_up_streaming(self, error: Exception) -> None:
        """Go on with a plain message, or raise where that would not help either."""
        reason = code_of(error)
        if not isinstance(error, SlackApiError) or reason in FATAL:
            raise error
        if reason in NO_STREAMING:
            self.pace.no_streaming()
        elif reason == "ratelimited":
            self.pace.no_streaming(retry_after(error))
        log.info("stream_refused", run_id=self.run_id, error=reason)
        self.posting = True

    async def _grow_stream(
        self, text: str, steps: list[Json], closing: bool, blocks: list[Json]
    ) -> bool:
        message = self._message
        assert message is not None
        arguments: Json = {"channel": self.to.channel_id, "ts": message.ts}
        arguments |= _content(text, steps, whole=closing and message.bare)
        if closing:
            await self._whole_is_kept()
            arguments |= self._closing(blocks)
        method = "chat.stopStream" if closing else "chat.appendStream"
        try:
            await self.client.api_call(method, json=arguments)
        except TRANSPORT_ERRORS as error:
            if refuses_form(error) and blocks:
                log.warning("blocks_refused", run_id=self.run_id)
                return await self._grow_stream(text, steps, closing, [])
            if perhaps_done(error):
                log.info("reply_in_doubt", run_id=self.run_id, error=in_words(error))
                if not (closing and await self._stopped_again(arguments)):
                    return self._give_up(message, write_over=True)
            else:
                return await self._leave_stream(message, text, blocks, error)
        message.bare = message.bare and "chunks" not in arguments
        message.add(text)
        if "session_status" in arguments:
            self.notice.shown = False
        return True

    async def _stopped_again(self, arguments: Json) -> bool:
        """A stream ends once: whether it had not, and does with this call."""
        await asyncio.sleep(self.pace.doubt_s)
        try:
            await self.client.api_call("chat.stopStream", json=arguments)
        except TRANSPORT_ERRORS:
            return False
        return True

    async def _leave_stream(
        self, message: _Open, text: str, blocks: list[Json], error: Exception
    ) -> bool:
        """The stream takes no more: the rest goes into the next message."""
        if code_of(error) not in STREAM_OVER:
            self._give_up_streaming(error)
        if text:
            self._message = None
            return False
        if blocks and len(message.text) <= CALL_CHARS:
            return await self._update(message, "", True, blocks)
        return True

    def _closing(self, blocks: list[Json]) -> Json:
        arguments: Json = {"metadata": reply_metadata(self.run_id, last=True)}
        if blocks:
            arguments["blocks"] = blocks
        if self.notice.shown:
            arguments["session_status"] = "active"
        return arguments

    async def _post(self, text: str, closing: bool, blocks: list[Json]) -> bool:
        if not text and not closing:
            return True
        arguments: Json = {
            "channel": self.to.channel_id,
            "thread_ts": self.to.thread_ts,
            "metadata": reply_metadata(self.run_id, last=closing),
            **NO_PREVIEWS,
        }
        async with self.pace.turn(self.to.channel_id):
            ts = await self._with_blocks("chat.postMessage", arguments, text, blocks)
        self.pace.updating = self.pace.updating and bool(ts)
        self._message = _Open(ts, False, 0, time.monotonic(), final=not self.pace.updating)
        self._message.add(text)
        return True

    async def _update(self, message: _Open, text: str, closing: bool, blocks: list[Json]) -> bool:
        if not text and not closing:
            return True
        if closing:
            await self._whole_is_kept()
        arguments: Json = {
            "channel": self.to.channel_id,
            "ts": message.ts,
            "metadata": reply_metadata(self.run_id, last=closing),
        }
        try:
            await self._with_blocks("chat.update", arguments, message.text + text, blocks)
        except SlackApiError as error:
            if code_of(error) in GONE:
                return self._give_up(message, write_over=False)
            if not no_such_method(error, self.client):
                raise
            return self._leave_as_it_is(message, text)
        message.add(text)
        return True

    def _leave_as_it_is(self, message: _Open, text: str) -> bool:
        """No message can be changed here: what is said stays, the rest goes into another one."""
        self.pace.updating, message.final = False, True
        return not text

    async def _with_blocks(
        self, method: str, arguments: Json, text: str, blocks: list[Json]
    ) -> str:
        """Post or update with Markdown and `blocks` below; as plain text where Slack refuses.

        Returns the `ts` of what was posted.
        """
        shown: list[Json] = [{"type": "markdown", "text": text}] if text else []
        rich = arguments | {"text": text[:3000], "blocks": shown + blocks}
        try:
            return await self._call(method, rich)
        except SlackApiError as error:
            if not refuses_form(error):
                raise
            log.warning("form_refused", run_id=self.run_id, error=code_of(error))
            if "metadata" in code_of(error) or "argument" in code_of(error):
                arguments.pop("metadata")
            return await self._call(method, arguments | {"text": text})

    async def _call(self, method: str, arguments: Json) -> str:
        if method == "chat.postMessage":
            payload = arguments.get("metadata", {}).get("event_payload", {})
            return await self._create(method, arguments, closing=bool(payload.get("last")))
        await self.client.api_call(method, json=arguments)
        return str(arguments["ts"])

    async def _close(self) -> None:
        """End the message that is full or old; the next part opens another."""
        message = self._message
        if message and message.streamed:
            await self._end_stream(message.ts, reply_metadata(self.run_id, last=False))
        self._message = None

    async def _end_stream(self, ts: str, metadata: Json | None = None) -> None:
        """Whatever it was before, this message is no open stream any more."""
        arguments: Json = {"channel": self.to.channel_id, "ts": ts}
        if metadata:
            arguments["metadata"] = metadata
        try:
            await self.client.api_call("chat.stopStream", json=arguments)
        except SlackApiError as error:
            if passes(error):
                raise
            log.debug("stream_was_over", run_id=self.run_id, error=in_words(error))


def _content(text: str, steps: list[Json], *, whole: bool = False) -> Json:
    """A stream takes markdown_text or chunks, never both: steps may come yet, unless it is `whole`.

    markdown_text is the older form, which more servers know.
    """
    if whole and text and not steps:
        return {"markdown_text": text}
    chunks = [*steps, *([{"type": "markdown_text", "text": text}] if text else [])]
    return {"chunks": chunks} if chunks else {}
