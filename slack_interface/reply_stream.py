"""One answer on its way into a thread, however long it is and whatever Slack says meanwhile.

A short answer costs two calls (`chat.startStream`, `chat.stopStream`). Text is gathered and sent
a few times a second; nothing that a reader of the events does waits for Slack. A message that
reaches Slack's limits of size or time is closed and the answer goes on in the next one. Where
streaming is not offered, or not just now, the same text goes out as messages that are updated
while they grow.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import InitVar, dataclass, field

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from slack_interface.delivery import Delivery, Destination
from slack_interface.incoming import Json
from slack_interface.model_words import ModelWords
from slack_interface.pace import Pace
from slack_interface.sends import Earlier, Sends
from slack_interface.transport import TRANSPORT_ERRORS, in_words, passes
from slack_interface.working_notice import WorkingNotice

log = structlog.get_logger()

PATIENCE_S = 600.0
"""So long an answer that Slack cannot take is offered again."""
MAX_PAUSE_S = 30.0


@dataclass(slots=True)
class ReplyStream:
    """Shows one answer; `say` and `step` never wait, `finish` returns when all of it is visible.

    `earlier` is what a former process left of this answer: its messages are written over. `words`
    makes harmless what the model says.
    """

    client: InitVar[AsyncWebClient]
    to: InitVar[Destination]
    run_id: str
    pace: Pace
    sends: InitVar[Sends]
    earlier: InitVar[Earlier]
    words: ModelWords = field(default_factory=ModelWords)
    _timer: asyncio.TimerHandle | None = None
    _sending: asyncio.Task[None] | None = None
    _failed: bool = False
    _notice: WorkingNotice = field(init=False)
    _delivery: Delivery = field(init=False)

    def __post_init__(
        self, client: AsyncWebClient, to: Destination, sends: Sends, earlier: Earlier
    ) -> None:
        self.pace.active += 1
        self._notice = WorkingNotice(client, to.channel_id, to.thread_ts, self.pace.slow())
        self._delivery = Delivery(client, to, self.run_id, self.pace, sends, earlier, self._notice)

    def say(self, text: str) -> None:
        """The next piece of the answer."""
        if text:
            self._notice.spoke = True
            if safe := self.words.passes(text):
                self._delivery.add(safe)
                self._wake()

    def step(self, step_id: str, title: str, status: str, detail: str = "") -> None:
        """A step began or ended: `status` is `in_progress`, `complete` or `error`."""
        title = self.words.whole(title)[:250]
        chunk: Json = {"type": "task_update", "id": step_id, "title": title, "status": status}
        if detail:
            chunk["details"] = self.words.whole(detail)[:500]
        self._delivery.add_step(chunk)
        self._wake()

    async def finish(self, blocks: list[Json], kept: Awaitable[object] | None) -> str | None:
        """Send the rest and close with `blocks`; the `ts` of the last message.

        The last call waits for `kept`, the note of the whole answer (None: it is on disk). Where
        Slack takes nothing at all (the channel is gone, say), None; that is logged.
        """
        self._stop_timer()
        self._notice.no_more()
        delivery = self._delivery
        delivery.kept = kept
        if rest := self.words.rest():
            delivery.add(rest)
        try:
            if self._sending:
                await self._sending
            await self._patiently(lambda: delivery.send(last=True, blocks=blocks))
            await self._patiently(delivery.delete_leftovers)
        except TRANSPORT_ERRORS as error:
            log.warning("reply_not_shown", run_id=self.run_id, error=in_words(error))
        finally:
            self.pace.active -= 1
            await self._notice.end()
        return delivery.visible_ts

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        """Try until Slack takes it, or will never take it, or for ten minutes."""
        deadline, pause = time.monotonic() + PATIENCE_S, self.pace.doubt_s
        while True:
            try:
                return await work()
            except TRANSPORT_ERRORS as error:
                if not passes(error) or time.monotonic() > deadline:
                    raise
                log.info("reply_waits", run_id=self.run_id, error=in_words(error))
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE_S)

    def abandon(self) -> None:
        """The process stops: no more calls; what was sent stays."""
        self._stop_timer()
        self._notice.abandon()
        self.pace.active -= 1
        if self._sending:
            self._sending.cancel()

    def _wake(self) -> None:
        if self._timer is None and self._sending is None:
            loop = asyncio.get_running_loop()
            pause = self.pace.interval(updating=self._delivery.posting)
            self._timer = loop.call_later(pause, self._start_sending)

    def _start_sending(self) -> None:
        self._timer = None
        self._sending = asyncio.create_task(self._send_some())

    async def _send_some(self) -> None:
        try:
            await self._delivery.send(last=False, blocks=[])
        except TRANSPORT_ERRORS as error:
            log.warning("reply_part_not_shown", run_id=self.run_id, error=in_words(error))
            self._failed = True
        finally:
            self._sending = None
        if self._delivery.waiting and not self._failed:
            self._wake()

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
