"""Posts that are nobody's reply (notes, cards, progress): kept first, sent once, in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import orjson
import structlog

from slack_interface.incoming import Json
from slack_interface.pace import POST_GAP_S, POST_PAUSE_S
from slack_interface.sends import Place
from slack_interface.transport import TRANSPORT_ERRORS, in_words, passes
from slack_interface.voice import Voice

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Post:
    """One message; the same `post_id` is posted once, ever.

    `keep`: where it is is remembered for ever, so that others may name it: `under` posts into its
    thread, `rewrites` shows something else in its place (its `post_id` is then the version's).
    """

    post_id: str
    channel_id: str
    text: str
    blocks: list[Json] | None = None
    thread_ts: str = ""
    keep: bool = False
    under: str = ""
    rewrites: str = ""


class OutgoingEntry(Protocol):
    """A post that waits."""

    @property
    def body(self) -> bytes:
        """What was queued."""


class Kept(Protocol):
    """A message of ours that may be rewritten."""

    @property
    def post_id(self) -> str:
        """As it was posted."""

    @property
    def channel_id(self) -> str:
        """Where it is."""

    @property
    def ts(self) -> str:
        """Which message it is."""

    @property
    def shown(self) -> str:
        """The id of the post that it shows now: its own, or that which rewrote it last."""


class OutgoingRows(Protocol):
    """The rows on disk (database.coordination)."""

    async def queue_post(self, post_id: str, channel_id: str, body: bytes) -> bool:
        """Encrypted and flushed when this returns; False if the id is known."""

    async def knows_post(self, post_id: str) -> bool:
        """Whether `queue_post` would refuse this id."""

    async def posts(self) -> Sequence[OutgoingEntry]:
        """What was queued and not sent, in order."""

    async def note_post(
        self, post_id: str, state: Literal["sent", "failed"], ts: str | None = None
    ) -> None:
        """It is out, or can never be: delete the body, keep the id."""

    async def keep_post(self, post_id: str, channel_id: str, ts: str, shown: str) -> None:
        """Remember for ever where a post is, and what it shows."""

    async def kept_post(self, post_id: str) -> Kept | None:
        """Where a post is; None where it was never sent."""

    async def kept_posts(self) -> Sequence[Kept]:
        """All of them."""


class Outgoing:
    """One sender for all channels, slow enough for each of them."""

    def __init__(
        self,
        rows: OutgoingRows,
        voice: Voice,
        gap_s: float = POST_GAP_S,
        pause_s: float = POST_PAUSE_S,
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

    async def knows(self, post_id: str) -> bool:
        """Whether it waits or was posted already."""
        return await self._rows.knows_post(post_id)

    async def kept(self) -> Sequence[Kept]:
        """Every post that may be rewritten."""
        return await self._rows.kept_posts()

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
        while True:
            wait = self._last.get(post.channel_id, 0.0) + self._gap_s - loop.time()
            await asyncio.sleep(max(0.0, wait))
            try:
                ts = await self._show(post)
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

    async def _show(self, post: Post) -> str:
        """The `ts` of what shows it now. Raises TRANSPORT_ERRORS."""
        if post.rewrites and (kept := await self._rows.kept_post(post.rewrites)):
            return await self._rewrite(post, kept)
        above = await self._rows.kept_post(post.under) if post.under else None
        place = Place(post.channel_id, above.ts if above else post.thread_ts)
        ts = await self._voice.deliver_once(f"post:{post.post_id}", place, post.text, post.blocks)
        if post.keep or post.rewrites:
            name = post.rewrites or post.post_id
            await self._rows.keep_post(name, post.channel_id, ts, post.post_id)
        return ts

    async def _rewrite(self, post: Post, kept: Kept) -> str:
        """Raises TRANSPORT_ERRORS where another attempt may help; what cannot be is said below."""
        # Without `blocks` Slack keeps the former ones.
        where: Json = {"channel": kept.channel_id, "ts": kept.ts, "blocks": []}
        try:
            await self._voice.deliver("chat.update", where, post.text, post.blocks)
        except TRANSPORT_ERRORS as error:
            if passes(error):
                raise
            log.warning("not_rewritten", post_id=post.post_id, error=in_words(error))
            place = Place(kept.channel_id, kept.ts)
            await self._voice.deliver_once(f"post:{post.post_id}", place, post.text, None)
        await self._rows.keep_post(kept.post_id, kept.channel_id, kept.ts, post.post_id)
        return kept.ts
