"""Posts that are nobody's reply (notes, cards, progress): kept first, sent once, in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import orjson
import structlog

from slack_interface.incoming import Json
from slack_interface.sends import Place
from slack_interface.transport import TRANSPORT_ERRORS, in_words, passes
from slack_interface.voice import Voice

log = structlog.get_logger()

GAP_S = 1.0
"""Slack allows about one message a second in a channel."""
PAUSE_S = 5.0
"""Before a post that Slack could not take just now is tried again."""


@dataclass(frozen=True, slots=True)
class Post:
    """One message; the same `post_id` is posted once, ever."""

    post_id: str
    channel_id: str
    text: str
    blocks: list[Json] | None = None
    thread_ts: str = ""


class OutgoingEntry(Protocol):
    """A post that waits."""

    @property
    def body(self) -> bytes:
        """What was queued."""


class OutgoingRows(Protocol):
    """The rows on disk (database.coordination)."""

    async def queue_post(self, post_id: str, channel_id: str, body: bytes) -> bool:
        """Encrypted and flushed when this returns; False if the id is known."""

    async def posts(self) -> Sequence[OutgoingEntry]:
        """What was queued and not sent, in order."""

    async def note_post(
        self, post_id: str, state: Literal["sent", "failed"], ts: str | None = None
    ) -> None:
        """It is out, or can never be: delete the body, keep the id."""


class Outgoing:
    """One sender for all channels, slow enough for each of them."""

    def __init__(
        self, rows: OutgoingRows, voice: Voice, gap_s: float = GAP_S, pause_s: float = PAUSE_S
    ) -> None:
        self._rows = rows
        self._voice = voice
        self._gap_s = gap_s
        self._pause_s = pause_s
        self._queue: asyncio.Queue[Post] = asyncio.Queue()
        self._last: dict[str, float] = {}
        self._sender: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Send what was left over, then whatever comes."""
        for entry in await self._rows.posts():
            self._queue.put_nowait(Post(**orjson.loads(entry.body)))
        self._sender = asyncio.create_task(self._send_all())

    async def post(self, post: Post) -> bool:
        """Keep `post` and send it soon; False where it was posted before."""
        body = orjson.dumps(asdict(post))
        if not await self._rows.queue_post(post.post_id, post.channel_id, body):
            return False
        self._queue.put_nowait(post)
        return True

    async def idle(self) -> None:
        """Return when all are sent."""
        await self._queue.join()

    async def close(self) -> None:
        """Stop sending; what waits is sent after the next start."""
        if self._sender:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    async def _send_all(self) -> None:
        while True:
            post = await self._queue.get()
            try:
                await self._send(post)
            except Exception:
                log.exception("post_failed", post_id=post.post_id)
            finally:
                self._queue.task_done()

    async def _send(self, post: Post) -> None:
        loop = asyncio.get_running_loop()
        place = Place(post.channel_id, post.thread_ts)
        while True:
            wait = self._last.get(post.channel_id, 0.0) + self._gap_s - loop.time()
            await asyncio.sleep(max(0.0, wait))
            try:
                ts = await self._voice.deliver_once(
                    f"post:{post.post_id}", place, post.text, post.blocks
                )
            except TRANSPORT_ERRORS as error:
                log.warning("post_not_taken", post_id=post.post_id, error=in_words(error))
                if not passes(error):
                    await self._rows.note_post(post.post_id, "failed")
                    return
                await asyncio.sleep(self._pause_s)
                continue
            self._last[post.channel_id] = loop.time()
            await self._rows.note_post(post.post_id, "sent", ts)
            return
