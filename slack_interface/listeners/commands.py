"""Slash commands: on disk, acknowledged, then done."""

import re
import time
from dataclasses import dataclass
from uuid import uuid4

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck

from database.records import run_id_of
from slack_interface.inbox import Inbox
from slack_interface.incoming import Incoming, Json, channel_type_of


@dataclass(slots=True)
class SlashCommands:
    """Takes commands in; what they do is in slack_interface/commands.py."""

    inbox: Inbox

    def register(self, app: AsyncApp) -> None:
        """Listen."""
        app.command(re.compile("^/"))(self.on_command)

    async def on_command(self, ack: AsyncAck, command: Json) -> None:
        """Any of them; its trigger id tells deliveries apart, which Slack always sends."""
        said_once = command.get("trigger_id") or command.get("response_url") or uuid4().hex
        app_id, team_id = command.get("api_app_id") or "", command.get("team_id") or ""
        channel = command["channel_id"]
        await self.inbox.accept(
            Incoming(
                kind="command",
                key=run_id_of(app_id, team_id, "command", said_once),
                app_id=app_id,
                team_id=team_id,
                channel_id=channel,
                channel_type=channel_type_of(channel, command.get("channel_name")),
                user_id=command["user_id"],
                text=(command.get("text") or "").strip(),
                command=command["command"],
                response_url=command.get("response_url") or "",
                received_at=time.time(),
            )
        )
        await ack()
