"""Posts that are nobody's reply (notes, cards, progress): kept first, sent once, in order."""

import asyncio
from collections import Counter, deque
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
    `plainer` are older blocks that say the same, for servers that do not know `blocks`. `minor`
    versions are left out where messages cannot be rewritten; others are said below.
    """

    post_id: str
    channel_id: str
    text: str
    blocks: list[Json] | None = None
    thread_ts: str = ""
    keep: bool = False
    under: str = ""
    rewrites: str = ""
    plainer: list[Json] | None = None
    minor: bool = False

    @property
    def card(self) -> str:
        """What it is a version of."""
        return self.rewrites or self.post_id


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
    """A sender for each channel, slow enough for it; no channel waits for another."""

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
        self._last: dict[str, float] = {}
        self._waiting: dict[str, deque[Post]] = {}
        self._unsent: Counter[str] = Counter()
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._open = False

    async def start(self) -> None:
        """Send what was left over, then whatever comes."""
        self._waiting.clear()
        self._unsent.clear()
        self._open = True
        for entry in await self._rows.posts():
            self._put(Post(**orjson.loads(entry.body)))

    async def post(self, post: Post) -> bool:
        """Keep `post` and send it soon; False where it was posted before."""
        body = orjson.dumps(asdict(post))
        if not await self._rows.queue_post(post.post_id, post.channel_id, body):
            return False
        self._put(post)
        return True

    async def knows(self, post_id: str) -> bool:
        """Whether it waits or was posted already."""
        return await self._rows.knows_post(post_id)

    async def kept(self) -> Sequence[Kept]:
        """Every post that may be rewritten."""
        return await self._rows.kept_posts()

    async def kept_post(self, card: str) -> Kept | None:
        """Where one of them is; None where it was never sent."""
        return await self._rows.kept_post(card)

    def waits(self, card: str) -> bool:
        """Whether a version of it is on its way."""
        return self._unsent[card] > 0

    async def idle(self) -> None:
        """Return when all are sent."""
        while self._senders:
            await asyncio.wait(list(self._senders.values()))

    async def close(self) -> None:
        """Stop sending; what waits is sent after the next start."""
        self._open = False
        senders = list(self._senders.values())
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    def _put(self, post: Post) -> None:
        self._unsent[post.card] += 1
        self._waiting.setdefault(post.channel_id, deque()).append(post)
        if self._open and post.channel_id not in self._senders:
            sender = asyncio.create_task(self._send_all(post.channel_id))
            self._senders[post.channel_id] = sender

    async def _send_all(self, channel_id: str) -> None:
        posts = self._waiting[channel_id]
        try:
            while posts:
                await self._send_next(posts)
        finally:
            del self._senders[channel_id]
            if not posts:
                del self._waiting[channel_id]

    async def _send_next(self, posts: deque[Post]) -> None:
        post = posts[0]
        try:
            await self._send(post)
        except Exception:
            log.exception("post_failed", post_id=post.post_id)
        posts.popleft()
        self._unsent[post.card] -= 1
        if not self._unsent[post.card]:
            del self._unsent[post.card]

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
        ts = await self._voice.deliver_once(
            f"post:{post.post_id}", place, post.text, post.blocks, post.plainer
        )
        if post.keep or post.rewrites:
            name = post.rewrites or post.post_id
            await self._rows.keep_post(name, post.channel_id, ts, post.post_id)
        return ts

    async def _rewrite(self, post: Post, kept: Kept) -> str:
        """Raises TRANSPORT_ERRORS where another attempt may help; what cannot be is said below."""
        # Without `blocks` Slack keeps the former ones.
        where: Json = {"channel": kept.channel_id, "ts": kept.ts, "blocks": []}
        try:
            answer = await self._voice.deliver(
                "chat.update", where, post.text, post.blocks, post.plainer
            )
            # A server that is not Slack may say yes to what it does not know; Slack tells the `ts`.
            why = "" if answer.get("ts") else "no ts in the answer"
        except TRANSPORT_ERRORS as error:
            if passes(error):
                raise
            why = in_words(error)
        if why:
            log.warning("not_rewritten", post_id=post.post_id, error=why)
            if not post.minor:
                await self._say_below(post, kept)
        await self._rows.keep_post(kept.post_id, kept.channel_id, kept.ts, post.post_id)
        return kept.ts

    async def _say_below(self, post: Post, kept: Kept) -> None:
        """In words; what stands in a thread already is the newest there, and has its buttons."""
        key, voice = f"post:{post.post_id}", self._voice
        if post.thread_ts:
            place = Place(kept.channel_id, post.thread_ts)
            await voice.deliver_once(key, place, post.text, post.blocks, post.plainer)
        else:
            await voice.deliver_once(key, Place(kept.channel_id, kept.ts), post.text, None)
