"""Telling a person that their answer takes a while."""

import asyncio
from dataclasses import dataclass

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.transport import TRANSPORT_ERRORS, in_words

log = structlog.get_logger()


@dataclass(slots=True)
class WorkingNotice:
    """After `after_s` seconds shows the session as `processing`: a loader, and Slack's own Stop.

    A quick answer costs no call. Where words are on their way already, it waits three times as
    long. `shown` while Slack shows it; whoever closes the stream may take it back with that call.
    """

    client: AsyncWebClient
    channel_id: str
    thread_ts: str
    after_s: float
    spoke: bool = False
    shown: bool = False
    _timer: asyncio.TimerHandle | None = None
    _patient: bool = True
    _task: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._wait(self.after_s)

    def no_more(self) -> None:
        """The answer is complete: begin nothing new."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def abandon(self) -> None:
        """The process stops."""
        self.no_more()
        if self._task:
            self._task.cancel()

    async def end(self) -> None:
        """Take it back, if nobody has."""
        if self._task:
            await self._task
        if not self.shown:
            return
        self.shown = False
        try:
            await self.client.agents_sessions_setStatus(
                channel_id=self.channel_id, thread_ts=self.thread_ts, status="active"
            )
        except TRANSPORT_ERRORS as error:
            log.info("status_not_shown", error=in_words(error))

    def _wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        if self.spoke and self._patient:
            self._patient = False
            self._wait(2 * self.after_s)
        else:
            self._task = asyncio.create_task(self._show())

    async def _show(self) -> None:
        try:
            await self.client.agents_sessions_setStatus(
                channel_id=self.channel_id, thread_ts=self.thread_ts, status="processing"
            )
            self.shown = True
        except SlackApiError as error:
            log.info("no_agent_sessions", error=in_words(error))
            await self._show_status()
        except TRANSPORT_ERRORS as error:
            log.info("status_not_shown", error=in_words(error))

    async def _show_status(self) -> None:
        """The older way, where sessions are not offered; a reply clears it."""
        try:
            await self.client.assistant_threads_setStatus(
                channel_id=self.channel_id, thread_ts=self.thread_ts, status="is thinking…"
            )
        except TRANSPORT_ERRORS as error:
            log.info("status_not_shown", error=in_words(error))
