"""The baseline of `message_overhead`: a bare Bolt app that streams a ChatOpenAI answer.

It keeps nothing, deduplicates nothing and routes nothing. It makes the same Slack calls as the
assistant (a stream, stopped with feedback buttons), so that the difference is what the assistant
adds. Run as `python -m benchmarks.bare_app` with the environment of `virtuous6 serve`.
"""

import asyncio
import os
from typing import Any

from langchain_openai import ChatOpenAI
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

_FEEDBACK = [
    {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": "feedback",
                "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "up"},
                "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "down"},
            }
        ],
    }
]


def build_app() -> AsyncApp:
    """The whole bare assistant."""
    client = AsyncWebClient(
        token=os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"]
    )
    app = AsyncApp(client=client, signing_secret="unused")
    model = ChatOpenAI(model=os.environ["VIRTUOUS6_MODEL"], stream_usage=True)

    @app.event("message")
    async def answer(event: dict[str, Any], client: AsyncWebClient) -> None:
        if event.get("subtype") or event.get("bot_id"):
            return
        stream = await client.chat_stream(
            channel=event["channel"],
            thread_ts=event.get("thread_ts") or event["ts"],
            recipient_team_id=event.get("team"),
            recipient_user_id=event["user"],
            buffer_size=256,
        )
        async for chunk in model.astream([("user", event["text"])]):
            if isinstance(chunk.content, str) and chunk.content:
                await stream.append(markdown_text=chunk.content)
        await stream.stop(blocks=_FEEDBACK)

    return app


async def main() -> None:
    """Serve until the process is stopped."""
    handler = AsyncSocketModeHandler(build_app(), os.environ["SLACK_APP_TOKEN"])
    await handler.start_async()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    asyncio.run(main())
