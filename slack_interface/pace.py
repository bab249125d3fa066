"""How eagerly answers are sent, so that all together stay within Slack's rates."""

import asyncio
import time
from dataclasses import dataclass, field

from cachetools import LRUCache

STREAM_SECONDS = 240.0
"""Slack closes a stream after about five minutes."""
UPDATE_S = 1.2
"""Slack takes about fifty updates a minute."""
NO_STREAMING_RETRY_S = 600.0
POST_GAP_S = 1.0
"""Slack allows about one message a second in a channel."""
POST_PAUSE_S = 5.0
"""Before a post that Slack could not take just now is tried again."""


@dataclass(slots=True)
class Pace:
    """How eagerly all streams together speak, so that many at once stay within Slack's rates.

    `active` counts the answers under way: the more there are, the more each gathers before it
    sends. `streaming_again` is when streaming is tried again after Slack said that it is not
    offered. `updating` is False where messages cannot be changed. `doubt_s` is the pause before a
    look at what became of a call, or another try. `post_gap_s` lies between two posts in a channel
    that are nobody's reply, `post_pause_s` before another try of one.
    """

    interval_s: float = 0.3
    per_stream_s: float = 0.02
    slow_s: float = 0.7
    update_s: float = UPDATE_S
    stream_seconds: float = STREAM_SECONDS
    doubt_s: float = 0.5
    post_gap_s: float = POST_GAP_S
    post_pause_s: float = POST_PAUSE_S
    active: int = 0
    streaming_again: float = 0.0
    updating: bool = True
    _turns: LRUCache[str, asyncio.Lock] = field(default_factory=lambda: LRUCache(10_000))

    def interval(self, *, updating: bool = False) -> float:
        """Seconds to gather text before it is sent."""
        gathered = max(self.interval_s, self.per_stream_s * self.active)
        return max(gathered, self.update_s) if updating else gathered

    def slow(self) -> float:
        """Seconds without a word after which the person is told that work goes on."""
        return self.slow_s + self.per_stream_s * self.active

    def streaming(self) -> bool:
        """Whether streaming is worth a try."""
        return time.monotonic() >= self.streaming_again

    def no_streaming(self, seconds: float = NO_STREAMING_RETRY_S) -> None:
        """Slack does not offer it, or not so many: ask again later."""
        self.streaming_again = time.monotonic() + seconds

    def turn(self, channel_id: str) -> asyncio.Lock:
        """One post at a time in a channel: where Slack makes one wait, the others queue."""
        return self._turns.setdefault(channel_id, asyncio.Lock())
