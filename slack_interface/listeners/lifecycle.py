"""Being added and stopped; being sent away is `departures`, as it is no single desk's."""

import re
from dataclasses import dataclass

import structlog
from slack_bolt.async_app import AsyncApp

from slack_interface.incoming import Json
from slack_interface.outgoing import Post
from slack_interface.proactive import Proactive
from slack_interface.running import RunningReplies

log = structlog.get_logger()

HELLO = (
    "Hello! Mention me with a question and I answer in its thread; there you need not mention me "
    "again. Otherwise I keep quiet. Say `help` to me to see what else I can do."
)


@dataclass(slots=True)
class Lifecycle:
    """What happens around conversations."""

    bot_user_id: str
    running: RunningReplies
    proactive: Proactive

    def register(self, app: AsyncApp) -> None:
        """Listen."""
        app.event("agent_session_stopped")(self.on_stop)
        app.event("member_joined_channel")(self.on_joined)
        app.event(re.compile(""))(self.on_other)

    async def on_stop(self, event: Json) -> None:
        """Slack's own Stop button."""
        channel, thread_ts = event["channel"], event.get("thread_ts") or ""
        stopped = self.running.stop(channel, thread_ts, event.get("user") or "")
        log.info("stop_pressed", channel=channel, thread_ts=thread_ts, stopped=len(stopped))

    async def on_joined(self, event: Json) -> None:
        """We were added to a channel: say hello, once ever."""
        if event.get("user") != self.bot_user_id:
            return
        channel = event["channel"]
        await self.proactive.post(Post(f"hello:{channel}", channel, HELLO))

    async def on_other(self) -> None:
        """An event that means nothing to us is acknowledged, else Slack sends it again."""
