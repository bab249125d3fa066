"""Slack as far as it signs and sends by HTTP."""

import asyncio
import json
import time
from urllib.parse import urlencode

import httpx

from slack_interface.http_server import BODY_LIMIT
from slack_interface.local_workspace.http_push import signature
from tests.patience import PATIENCE_S
from tests.people import Json
from tests.slack_interface.world import World

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
WRITES = ("chat.", "views.publish", "conversations.open", "assistant.", "agents.")


class Sender:
    """Slack, as far as it signs and sends; whatever it is answered must be an answer."""

    def __init__(self, world: World, client: httpx.AsyncClient) -> None:
        self._world = world
        self._client = client
        self._seen = 0

    async def send(self, payload: Json) -> int:
        """Sign and send; the status."""
        form = payload.get("type") != "event_callback"
        if "command" in payload:
            body = urlencode(payload).encode()
        elif form:
            body = urlencode({"payload": json.dumps(payload)}).encode()
        else:
            body = json.dumps(payload).encode()
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": FORM if form else JSON,
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": signature(self._world.workspace.signing_secret, stamp, body),
        }
        assert self._world.bot
        url = f"http://127.0.0.1:{self._world.bot.port}/slack/events"
        try:
            answer = await self._client.post(url, content=body, headers=headers)
        except (httpx.ReadError, httpx.WriteError):
            assert len(body) > BODY_LIMIT, "hung up on what is not too large"
            return 413
        assert answer.status_code < 500, (answer.status_code, payload)
        return answer.status_code

    async def said_since(self) -> list[Json]:
        """Every call since the last time that shows somebody something."""
        assert self._world.bot
        await asyncio.wait_for(self._world.bot.idle(), PATIENCE_S)
        rows = self._world.workspace.runtime.log.rows(kind="api")
        new, self._seen = rows[self._seen :], len(rows)
        return [row for row in new if row["method"].startswith(WRITES)]
