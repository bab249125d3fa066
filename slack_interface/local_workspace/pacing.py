"""Slack's rate rules: a tier for each method, one message a second for each channel."""

import math

from slack_interface.local_workspace.clock import Clock
from slack_interface.local_workspace.errors import RateLimitedError

TIERS = {1: 1, 2: 20, 3: 50, 4: 100}
"""Calls a minute for each method and app (docs.slack.dev, rate limits)."""

MESSAGES_A_SECOND = 1.0
SPECIAL = 0
"""Tier of methods that only the one-message-a-second rule limits."""


class RateRules:
    """Token buckets in workspace time; a bucket holds what its minute (or second) allows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def clear(self) -> None:
        """Fill every bucket again."""
        self._buckets.clear()

    def spend_tier(self, method: str, tier: int) -> None:
        """Count one call of a method.

        Raises RateLimitedError when its tier is used up.
        """
        if tier != SPECIAL:
            self._spend(method, capacity=TIERS[tier], per_second=TIERS[tier] / 60)

    def spend_message(self, channel_id: str) -> None:
        """Count one message posted to a channel.

        Raises RateLimitedError on the second within a second.
        """
        self._spend(channel_id, capacity=1, per_second=MESSAGES_A_SECOND)

    def _spend(self, key: str, capacity: float, per_second: float) -> None:
        now = self._clock.now()
        level, filled_at = self._buckets.get(key, (capacity, now))
        level = min(capacity, level + (now - filled_at) * per_second)
        if level >= 1 - 1e-9:
            self._buckets[key] = (level - 1, now)
            return
        self._buckets[key] = (level, now)
        wait = self._clock.real((1 - level) / per_second)
        raise RateLimitedError(max(1, math.ceil(wait)))
