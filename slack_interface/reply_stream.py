"""One answer on its way into a thread, however long it is and whatever Slack says meanwhile.

A short answer costs two calls (`chat.startStream`, `chat.stopStream`). Text is gathered and sent
a few times a second; nothing that a reader of the events does waits for Slack. A message that
reaches Slack's limits of size or time is closed and the answer goes on in the next one. Where
streaming is not offered the same text goes out as messages that are updated while they grow.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.incoming import Json
from slack_interface.splitting import split_point
from slack_interface.transport import TRANSPORT_ERRORS, in_words
from slack_interface.working_notice import WorkingNotice

log = structlog.get_logger()

STREAM_CHARS = 30_000
"""A streamed message's text; Slack answers msg_too_long near 40,000 (measured by others)."""
CALL_CHARS = 11_500
"""Text of one call; Slack's limit for markdown_text is 12,000."""
STREAM_SECONDS = 240.0
"""Slack closes a stream after about five minutes."""

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
        "ratelimited",
        "restricted_action",
    }
)
"""Another kind of message would be refused as well."""
STREAM_OVER = frozenset({"message_not_in_streaming_state", "msg_too_long", "msg_blocks_too_long"})
"""The stream is full or too old, and a new one will do."""
NO_STREAMING_RETRY_S = 600.0


@dataclass(slots=True)
class Pace:
    """How eagerly all streams together speak, so that many at once stay within Slack's rates.

    `active` counts the answers under way: the more there are, the more each gathers before it
    sends. `streaming_again` is when streaming is tried again after Slack said that it is not
    offered.
    """

    interval_s: float = 0.3
    per_stream_s: float = 0.02
    slow_s: float = 0.7
    stream_seconds: float = STREAM_SECONDS
    active: int = 0
    streaming_again: float = 0.0

    def interval(self) -> float:
        """Seconds to gather text before it is sent."""
        return max(self.interval_s, self.per_stream_s * self.active)

    def slow(self) -> float:
        """Seconds without a word after which the person is told that work goes on."""
        return self.slow_s + self.per_stream_s * self.active

    def streaming(self) -> bool:
        """Whether streaming is worth a try."""
        return time.monotonic() >= self.streaming_again

    def no_streaming(self) -> None:
        """Slack does not offer it: ask again later."""
        self.streaming_again = time.monotonic() + NO_STREAMING_RETRY_S


@dataclass(frozen=True, slots=True)
class Destination:
    """The thread that an answer goes to and the person it is for."""

    channel_id: str
    thread_ts: str
    team_id: str
    user_id: str
    direct: bool = False


@dataclass(slots=True)
class _Open:
    """The message being written: how much it holds and since when; `text` only if posted."""

    ts: str
    streamed: bool
    chars: int
    opened_at: float
    text: str = ""

    def add(self, text: str) -> None:
        """Slack took this."""
        self.text += text
        self.chars += len(text)


@dataclass(slots=True)
class ReplyStream:
    """Shows one answer; `say` and `step` never wait, `finish` returns when all of it is visible."""

    client: AsyncWebClient
    to: Destination
    run_id: str
    pace: Pace
    spoke: bool = False
    _text: list[str] = field(default_factory=list)
    _steps: dict[str, Json] = field(default_factory=dict)
    _message: _Open | None = None
    _timer: asyncio.TimerHandle | None = None
    _sending: asyncio.Task[None] | None = None
    _failure: Exception | None = None
    _posting: bool = False
    _notice: WorkingNotice = field(init=False)

    def __post_init__(self) -> None:
        self.pace.active += 1
        self._notice = WorkingNotice(
            self.client, self.to.channel_id, self.to.thread_ts, self.pace.slow()
        )

    @property
    def visible_ts(self) -> str | None:
        """The message that holds the newest part of the answer."""
        return self._message.ts if self._message else None

    def say(self, text: str) -> None:
        """The next piece of the answer."""
        if text:
            self.spoke = True
            self._notice.spoke = True
            self._text.append(text)
            self._wake()

    def step(self, step_id: str, title: str, status: str, detail: str = "") -> None:
        """A step began or ended: `status` is `in_progress`, `complete` or `error`."""
        chunk: Json = {"type": "task_update", "id": step_id, "title": title[:250], "status": status}
        if detail:
            chunk["details"] = detail[:500]
        self._steps[step_id] = chunk
        self._wake()

    async def finish(self, blocks: list[Json]) -> str | None:
        """Send the rest and close with `blocks`; the `ts` of the last message.

        Where Slack takes nothing at all (the channel is gone, say), None; that is logged.
        """
        self._stop_timer()
        self._notice.no_more()
        try:
            if self._sending:
                await self._sending
            await self._send(last=True, blocks=blocks)
        except TRANSPORT_ERRORS as error:
            log.warning("reply_not_shown", run_id=self.run_id, error=in_words(error))
        finally:
            self.pace.active -= 1
            await self._notice.end()
        return self.visible_ts

    def abandon(self) -> None:
        """The process stops: no more calls; what was sent stays."""
        self._stop_timer()
        self._notice.abandon()
        self.pace.active -= 1
        if self._sending:
            self._sending.cancel()

    # Gathering

    def _wake(self) -> None:
        if self._timer is None and self._sending is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.pace.interval(), self._start_sending)

    def _start_sending(self) -> None:
        self._timer = None
        self._sending = asyncio.create_task(self._send_some())

    async def _send_some(self) -> None:
        try:
            await self._send(last=False, blocks=[])
        except TRANSPORT_ERRORS as error:
            log.warning("reply_part_not_shown", run_id=self.run_id, error=in_words(error))
            self._failure = error
        finally:
            self._sending = None
        if (self._text or self._steps) and self._failure is None:
            self._wake()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    # Sending: what could not be sent is put back, so that nothing is lost or said twice

    async def _send(self, *, last: bool, blocks: list[Json]) -> None:
        text, steps = "".join(self._text), list(self._steps.values())
        self._text.clear()
        self._steps.clear()
        try:
            while True:
                room = self._room()
                if room <= 0 or self._outlived():
                    await self._close([])
                    continue
                part = text[: split_point(text, room)]
                rest = text[len(part) :]
                closing = last and not rest
                sent = await self._send_part(part, steps, closing, blocks if closing else [])
                if not sent:
                    continue
                text, steps = rest, []
                if not text:
                    return
        except BaseException:
            self._text.insert(0, text)
            self._steps = {chunk["id"]: chunk for chunk in steps} | self._steps
            raise

    def _room(self) -> int:
        """Characters that the next call may carry."""
        message = self._message
        if message is None:
            return CALL_CHARS
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
        if self._message is None and not self._posting and self.pace.streaming():
            return await self._open_stream(text, steps, closing, blocks)
        if self._message is None:
            await self._post(text, closing, blocks)
        elif self._message.streamed:
            return await self._grow_stream(text, steps, closing, blocks)
        else:
            await self._update(self._message, text, closing, blocks)
        return True

    async def _open_stream(
        self, text: str, steps: list[Json], closing: bool, blocks: list[Json]
    ) -> bool:
        to = self.to
        arguments: Json = {"channel": to.channel_id, "thread_ts": to.thread_ts}
        if not to.direct:
            arguments |= {"recipient_team_id": to.team_id, "recipient_user_id": to.user_id}
        chunks = _chunks(text, steps)
        if chunks and not closing:
            arguments["chunks"] = chunks
        try:
            answer = await self.client.api_call("chat.startStream", json=arguments)
        except SlackApiError as error:
            self._give_up_streaming(error)
            return False
        self._message = _Open(str(answer["ts"]), True, 0, time.monotonic())
        if closing:
            return await self._grow_stream(text, steps, closing, blocks)
        self._message.add(text)
        return True

    def _give_up_streaming(self, error: SlackApiError) -> None:
        """Go on with a plain message, or raise where that would not help either."""
        reason = error.response["error"]
        if reason in FATAL:
            raise error
        if reason in NO_STREAMING:
            self.pace.no_streaming()
        log.info("stream_refused", run_id=self.run_id, error=reason)
        self._posting = True

    async def _grow_stream(
        self, text: str, steps: list[Json], closing: bool, blocks: list[Json]
    ) -> bool:
        message = self._message
        assert message is not None
        arguments: Json = {"channel": self.to.channel_id, "ts": message.ts}
        if chunks := _chunks(text, steps):
            arguments["chunks"] = chunks
        if closing:
            arguments |= self._closing(blocks)
        method = "chat.stopStream" if closing else "chat.appendStream"
        try:
            await self.client.api_call(method, json=arguments)
        except SlackApiError as error:
            if error.response["error"] == "invalid_blocks" and blocks:
                log.warning("blocks_refused", run_id=self.run_id)
                return await self._grow_stream(text, steps, closing, [])
            return await self._leave_stream(message, text, blocks, error)
        message.add(text)
        return True

    async def _leave_stream(
        self, message: _Open, text: str, blocks: list[Json], error: SlackApiError
    ) -> bool:
        """The stream takes no more: the rest goes into the next message."""
        if error.response["error"] not in STREAM_OVER:
            self._give_up_streaming(error)
        if text:
            self._message = None
            return False
        if blocks and len(message.text) <= CALL_CHARS:
            await self._update(message, "", True, blocks)
        return True

    def _closing(self, blocks: list[Json]) -> Json:
        arguments: Json = {"metadata": self._metadata()}
        if blocks:
            arguments["blocks"] = blocks
        if self._notice.shown:
            arguments["session_status"] = "active"
            self._notice.shown = False
        return arguments

    def _metadata(self) -> Json:
        return {"event_type": "virtuous6_reply", "event_payload": {"run_id": self.run_id}}

    async def _post(self, text: str, closing: bool, blocks: list[Json]) -> None:
        if not text and not closing:
            return
        answer = await self._with_blocks(
            "chat.postMessage",
            {
                "channel": self.to.channel_id,
                "thread_ts": self.to.thread_ts,
                "metadata": self._metadata(),
            },
            text,
            blocks,
        )
        self._message = _Open(str(answer["ts"]), False, 0, time.monotonic())
        self._message.add(text)

    async def _update(self, message: _Open, text: str, closing: bool, blocks: list[Json]) -> None:
        if not text and not closing:
            return
        whole = message.text + text
        arguments: Json = {"channel": self.to.channel_id, "ts": message.ts}
        if closing:
            arguments["metadata"] = self._metadata()
        await self._with_blocks("chat.update", arguments, whole, blocks)
        message.add(text)

    async def _with_blocks(
        self, method: str, arguments: Json, text: str, blocks: list[Json]
    ) -> Any:
        """Post or update with Markdown and `blocks` below; as plain text where Slack refuses."""
        shown: list[Json] = [{"type": "markdown", "text": text}] if text else []
        try:
            return await self.client.api_call(
                method, json=arguments | {"text": text[:3000], "blocks": shown + blocks}
            )
        except SlackApiError as error:
            if error.response["error"] not in ("invalid_blocks", "msg_blocks_too_long"):
                raise
            return await self.client.api_call(method, json=arguments | {"text": text})

    async def _close(self, blocks: list[Json]) -> None:
        """End the message that is full or old; the next part opens another."""
        message, self._message = self._message, None
        if message is None or not message.streamed:
            return
        try:
            await self.client.api_call(
                "chat.stopStream",
                json={
                    "channel": self.to.channel_id,
                    "ts": message.ts,
                    "metadata": self._metadata(),
                },
            )
        except SlackApiError as error:
            if error.response["error"] not in STREAM_OVER:
                raise


def _chunks(text: str, steps: list[Json]) -> list[Json]:
    chunks = list(steps)
    if text:
        chunks.append({"type": "markdown_text", "text": text})
    return chunks
