"""The wire to an OpenAI-compatible provider: ChatOpenAI's client and payload, read as raw bytes.

Importing this module takes about 2 s (langchain and openai); `Models` does it once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
import openai
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_openai import ChatOpenAI

from agents.errors import ModelAnswerMalformed
from agents.streaming import AnswerReader
from agents.turns import ToolCall, Turn


def http_client(keep_alive_s: float) -> httpx2.AsyncClient:
    """The connection pool that all models of a provider share.

    openai's aiohttp transport gives all bytes that have arrived in one read, and takes a tenth of
    the CPU of the default one, which gives each HTTP chunk by itself.
    """
    limits = httpx2.Limits(max_connections=1000, keepalive_expiry=keep_alive_s)
    return openai.DefaultAioHttpClient(limits=limits)


class DirectChat(ChatOpenAI):
    """ChatOpenAI whose streamed answers skip langchain's and openai's object for each chunk."""

    async def open(
        self, turns: Sequence[Turn], options: Mapping[str, Any], timeout: httpx2.Timeout
    ) -> httpx2.Response:
        """Send the request and return once the provider has answered with its headers.

        Raises the errors of openai, which `agents.failures` translates.
        """
        payload = self._get_request_payload([_message(turn) for turn in turns], **options)
        payload |= {"stream": True, "stream_options": {"include_usage": True}}
        response: httpx2.Response = await self.root_async_client.post(
            "/chat/completions",
            body=payload,
            cast_to=httpx2.Response,
            options={"timeout": timeout, "security": {"bearer_auth": True}},
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        return response


class OpenAnswer:
    """One answer that is being read; whoever has it closes it, read to the end or not."""

    def __init__(self, response: httpx2.Response) -> None:
        self.reader = AnswerReader()
        self.calls: tuple[ToolCall, ...] | None = None
        self._response = response
        self._chunks = response.aiter_bytes()

    async def read(self) -> str | None:
        """The text that the next reads bring, at least one character; None once it has ended.

        `calls` are the tools asked for, known at the end. Raises the errors of `AnswerReader`.
        """
        if self.calls is not None:
            return None
        async for data in self._chunks:
            if text := self.reader.feed(data):
                return text
        rest, self.calls = self.reader.finish()
        return rest or None

    async def read_first(self) -> str | None:
        """As `read`, and not before there is more than white space, so that an answer without a
        word is found empty while it can still be asked for again.

        Also understands a provider that does not stream.
        """
        kind = self._response.headers.get("content-type", "")
        if kind.startswith("text/event-stream"):
            text = await self.read()
            while text is not None and not self.reader.spoke and self.calls is None:
                text += await self.read() or ""
            return text
        if not kind.startswith("application/json"):
            raise ModelAnswerMalformed(
                f"The model server answered with {kind or 'no content type'} instead of a stream "
                "of events. Check that OPENAI_BASE_URL names an OpenAI-compatible address."
            )
        text = self.reader.read_whole(await self._response.aread())
        _, self.calls = self.reader.finish()
        return text or None

    async def aclose(self) -> None:
        """Give the connection back, or cut it when the answer was not read to its end."""
        # shielded: a cancelled reader must still hang up, or the provider goes on generating
        await asyncio.shield(self._close())

    async def _close(self) -> None:
        await self._chunks.aclose()
        await self._response.aclose()


def _message(turn: Turn) -> BaseMessage:
    if turn.role == "system":
        return SystemMessage(turn.text)
    if turn.role == "user":
        return HumanMessage(turn.text)
    if turn.role == "tool":
        return ToolMessage(turn.text, tool_call_id=turn.tool_call_id or "")
    calls = [{"id": c.id, "name": c.name, "args": dict(c.arguments)} for c in turn.tool_calls]
    return AIMessage(turn.text, tool_calls=calls)
