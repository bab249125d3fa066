"""The wire to an OpenAI-compatible provider: ChatOpenAI's client and payload, read as raw bytes.

Importing this module takes about 2 s (langchain and openai); `Models` does it once.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
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
from pydantic import PrivateAttr

from agents.errors import ModelAnswerMalformed
from agents.fitting import REFUSALS, blamed, without
from agents.streaming import AnswerReader
from agents.turns import ToolCall, Turn


def http_client(keep_alive_s: float) -> httpx2.AsyncClient:
    """The connection pool that all models of a provider share.

    openai's aiohttp transport gives all bytes that have arrived in one read, and takes a tenth of
    the CPU of the default one, which gives each HTTP chunk by itself. With 0 seconds each call has
    a connection of its own.
    """
    limits = httpx2.Limits(max_connections=1000, keepalive_expiry=keep_alive_s)
    headers = None if keep_alive_s else {"Connection": "close"}
    return openai.DefaultAioHttpClient(limits=limits, headers=headers)


class DirectChat(ChatOpenAI):
    """ChatOpenAI whose streamed answers skip langchain's and openai's object for each chunk.

    What its server refuses by name it is not asked again.
    """

    _left_out: frozenset[str] = PrivateAttr(default=frozenset())

    async def open(
        self, turns: Sequence[Turn], options: Mapping[str, Any], timeout: httpx2.Timeout
    ) -> httpx2.Response:
        """Send the request and return once the provider has answered with its headers.

        Raises the errors of openai, which `agents.failures` translates.
        """
        payload = self._get_request_payload([_message(turn) for turn in turns], **options)
        payload |= {"stream": True, "stream_options": {"include_usage": True}}
        left_out = self._left_out
        while True:
            fitted = without(payload, left_out)
            try:
                response = await self._post(fitted, timeout)
            except openai.APIStatusError as error:
                option = blamed(error.response.text, fitted)
                if error.status_code not in REFUSALS or option is None or option in left_out:
                    raise
                left_out |= {option}
            else:
                self._left_out = left_out
                return response

    async def _post(self, payload: Mapping[str, Any], timeout: httpx2.Timeout) -> httpx2.Response:
        response: httpx2.Response = await self.root_async_client.post(
            "/chat/completions",
            body=payload,
            cast_to=httpx2.Response,
            options={"timeout": timeout, "security": {"bearer_auth": True}},
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        return response


_BLANK = b" \t\r\n\xef\xbb\xbf"
_STREAM = re.compile(rb"(?:data|event|id|retry)?:|[dier][a-z]{0,4}\Z")
"""How a stream of events begins, cut anywhere; a comment begins with a colon."""


def _nothing() -> None:
    """Nobody wants to know."""


class OpenAnswer:
    """One answer that is being read; whoever has it closes it, read to the end or not.

    `on_thought` is called whenever the model reasons, which may take long and says nothing.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self.reader = AnswerReader()
        self.calls: tuple[ToolCall, ...] | None = None
        self.on_thought: Callable[[], None] = _nothing
        self._response = response
        self._chunks = response.aiter_bytes()

    async def read(self) -> str | None:
        """The text that the next reads bring, at least one character; None once it has ended.

        `calls` are the tools asked for, known at the end. Raises the errors of `AnswerReader`.
        """
        if self.calls is not None:
            return None
        async for data in self._chunks:
            if text := self._fed(data):
                return text
        rest, self.calls = self.reader.finish()
        return rest or None

    async def read_first(self) -> str | None:
        """As `read`, and not before there is more than white space, so that an answer without a
        word is found empty while it can still be asked for again.

        What comes is known by its first bytes, not by its label: there are servers that do not
        stream, and servers that call a stream anything.
        """
        start = b""
        async for data in self._chunks:
            start = (start + data).lstrip(_BLANK)
            if start:
                break
        if start.startswith((b"{", b"[")):
            start += b"".join([data async for data in self._chunks])
            whole = self.reader.read_whole(start)
            rest, self.calls = self.reader.finish()
            return whole + rest or None
        if start and not _STREAM.match(start):
            kind = self._response.headers.get("content-type", "") or "no content type"
            raise ModelAnswerMalformed(
                f"The model server answered with {kind} instead of a stream of events. Check that "
                "OPENAI_BASE_URL names an OpenAI-compatible address, usually ending in /v1."
            )
        text: str | None = self._fed(start) or await self.read()
        while text is not None and not self.reader.spoke and self.calls is None:
            text += await self.read() or ""
        return text

    def _fed(self, data: bytes) -> str:
        before = self.reader.thoughts
        text = self.reader.feed(data)
        if self.reader.thoughts > before:
            self.on_thought()
        return text

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
