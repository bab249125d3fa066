"""Posts that nobody asked for: so many in a channel and day, over all processes and restarts."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from slack_interface.gate import Claims
from slack_interface.outgoing import Outgoing, Post

_DAY_S = 86_400.0

log = structlog.get_logger()


class ProactivePolicy(Protocol):
    """What approvers decided."""

    def proactive_per_day(self, channel_id: str) -> int | None:
        """How many; None is any number."""

    def improvement_posts_per_day(self) -> int | None:
        """The same for cards and summaries of learning, where those are shown."""


@dataclass(slots=True)
class Proactive:
    """The only way to post where nobody asked."""

    policy: ProactivePolicy
    claims: Claims
    outgoing: Outgoing
    clock: Callable[[], float] = time.time

    async def post(self, post: Post) -> bool:
        """Keep and send `post`; False where today's number is used up, or it was posted before."""
        return await self._post(post, self.policy.proactive_per_day(post.channel_id))

    async def post_improvement(self, post: Post, most: float = 1.0) -> bool:
        """The same for what learning has to say; `most` is the share of the day's number that is
        for posts like this.
        """
        limit = self.policy.improvement_posts_per_day()
        return await self._post(post, None if limit is None else round(limit * most))

    async def _post(self, post: Post, limit: int | None) -> bool:
        if await self.outgoing.knows(post.post_id):
            return False
        if limit is not None and not await self._place_today(post.channel_id, limit):
            log.info("too_many_proactive_posts", channel=post.channel_id, post_id=post.post_id)
            return False
        return await self.outgoing.post(post)

    async def _place_today(self, channel_id: str, limit: int) -> bool:
        day = int(self.clock() // _DAY_S)
        for number in range(limit):
            if await self.claims.claim(f"proactive:{channel_id}:{day}:{number}", 2 * _DAY_S):
                return True
        return False
