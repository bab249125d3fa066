"""Things an app may use only so often and so long: trigger ids and response URLs."""

import secrets
from dataclasses import dataclass

from slack_interface.local_workspace.clock import Clock
from slack_interface.local_workspace.config import Limits
from slack_interface.local_workspace.errors import SlackError


@dataclass(slots=True)
class Trigger:
    """A person's act that allows one modal, for three seconds."""

    user: str
    expires: float
    view_id: str | None = None
    used: bool = False


@dataclass(slots=True)
class ResponseUrl:
    """Where an app may answer an interaction, five times in thirty minutes."""

    channel: str
    user: str
    expires: float
    uses_left: int
    message_ts: str | None = None
    is_ephemeral: bool = False
    thread_ts: str | None = None


class Triggers:
    """Issues and checks both; old ones are swept when new ones are issued."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._triggers: dict[str, Trigger] = {}
        self._urls: dict[str, ResponseUrl] = {}

    def issue_trigger(self, user: str, view_id: str | None = None) -> str:
        """A new trigger id; `view_id` when the act happened inside a modal."""
        self._sweep()
        trigger_id = f"{secrets.randbits(40)}.{secrets.randbits(40)}.{secrets.token_hex(16)}"
        lifetime = self._clock.deadline(self._limits.trigger_s) * self._clock.rate
        self._triggers[trigger_id] = Trigger(user, self._clock.now() + lifetime, view_id)
        return trigger_id

    def knows(self, trigger_id: str) -> bool:
        """Whether a trigger id was issued here."""
        return trigger_id in self._triggers

    def use_trigger(self, trigger_id: str) -> Trigger:
        """Spend a trigger id.

        Raises SlackError `invalid_trigger_id`, `exchanged_trigger_id` or `expired_trigger_id`.
        """
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if self._clock.now() > trigger.expires:
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger

    def issue_url(self, channel: str, user: str, **where: str | bool | None) -> str:
        """The secret part of a new response URL."""
        expires = self._clock.now() + self._limits.response_url_s
        url = ResponseUrl(channel, user, expires, self._limits.response_url_uses)
        for name, value in where.items():
            setattr(url, name, value)
        key = secrets.token_urlsafe(24)
        self._urls[key] = url
        return key

    def use_url(self, key: str) -> ResponseUrl:
        """Spend one use of a response URL.

        Raises SlackError `used_url` (HTTP 404) or `expired_url`.
        """
        url = self._urls.get(key)
        if url is None or url.uses_left <= 0:
            raise SlackError("used_url", status=404)
        if self._clock.now() > url.expires:
            raise SlackError("expired_url", status=404)
        url.uses_left -= 1
        return url

    def clear(self) -> None:
        """Forget all of them."""
        self._triggers.clear()
        self._urls.clear()

    def _sweep(self) -> None:
        if len(self._triggers) < 1_000:
            return
        now = self._clock.now()
        self._triggers = {k: t for k, t in self._triggers.items() if t.expires > now}
        self._urls = {k: u for k, u in self._urls.items() if u.expires > now and u.uses_left}
