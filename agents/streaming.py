"""Server-sent events of a chat completion -> what was said; no network, no provider's types.

Everything that arrived in one read becomes one piece. A 63-chunk answer that arrives at once then
costs one piece instead of 63 pydantic objects, which is most of what streaming costs otherwise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from agents.errors import ModelAnswerCut, ModelAnswerEmpty, ModelAnswerMalformed
from agents.turns import ToolCall

_DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Usage:
    """The provider's own token counts; `cached` are the input tokens it did not read again."""

    input_tokens: int
    output_tokens: int
    cached: int = 0


@dataclass(slots=True)
class _PartialCall:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ProviderReported(Exception):
    """The provider put an error into the stream: `code` and `message` are its words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class EventLines:
    """Cuts a byte stream into the payloads of its events, at any chunk boundary."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads completed by `data`; comments and other fields are skipped."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()

    def rest(self) -> Iterator[bytes]:
        """The payload of a last line that was not ended, if there is one."""
        yield from self.feed(b"\n")


class AnswerReader:
    """Reads one answer piece by piece, and knows at the end whether it is whole."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.spoke = False
        self._lines = EventLines()
        self._done = False
        self._calls: dict[int, _PartialCall] = {}

    def feed(self, data: bytes) -> str:
        """The text that `data` adds; tool calls are kept for `finish`.

        Raises:
            ModelAnswerMalformed: an event is not JSON or not a chat completion.
            ProviderReported: the event is an error.
        """
        return self._read(self._lines.feed(data))

    def finish(self) -> tuple[str, tuple[ToolCall, ...]]:
        """The last text and the tools asked for, once the stream has ended.

        Raises:
            ModelAnswerCut: it ended without saying so.
            ModelAnswerEmpty: it said nothing and asked for nothing.
            ModelAnswerMalformed: as `feed`, or the arguments of a tool are not a JSON object.
        """
        text = self._read(self._lines.rest())
        if not self._done and self.finish_reason is None:
            raise cut()
        calls = tuple(_whole(call) for _, call in sorted(self._calls.items()))
        if not calls and not self.spoke:
            raise ModelAnswerEmpty(_EMPTY.get(self.finish_reason or "", _EMPTY[""]))
        return text, calls

    def read_whole(self, body: bytes) -> str:
        """The text of an answer that came as one JSON document instead of a stream."""
        self._done = True
        return self._take(_loads(body), "message")

    def _read(self, payloads: Iterator[bytes]) -> str:
        text = []
        for payload in payloads:
            if payload == _DONE:
                self._done = True
            elif payload:
                text.append(self._take(_loads(payload), "delta"))
        return "".join(text)

    def _take(self, event: Any, key: str) -> str:
        try:
            if event.get("error"):
                raise _reported(event["error"])
            if event.get("usage"):
                self.usage = _usage(event["usage"])
            if not event.get("choices"):
                return ""
            choice = event["choices"][0]
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            return self._said(choice.get(key) or {})
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            raise _malformed() from None

    def _said(self, delta: Mapping[str, Any]) -> str:
        for call in delta.get("tool_calls") or ():
            self._add_call(call)
        text: str = delta.get("content") or ""
        if delta.get("refusal"):
            self.finish_reason = "refusal"
            text += delta["refusal"]
        self.spoke = self.spoke or not (text == "" or text.isspace())
        return text

    def _add_call(self, delta: Mapping[str, Any]) -> None:
        # some servers leave the index out and send each call whole
        index = delta.get("index")
        call = self._calls.setdefault(len(self._calls) if index is None else index, _PartialCall())
        function = delta.get("function") or {}
        call.id = delta.get("id") or call.id
        call.name = function.get("name") or call.name
        if function.get("arguments"):
            call.arguments.append(function["arguments"])


_EMPTY = {
    "": "The model answered nothing. Ask again, perhaps in other words.",
    "length": "The model used up its tokens before it said anything. Allow it more tokens.",
    "content_filter": "The provider's content filter held the answer back. Ask in other words.",
}


def cut() -> ModelAnswerCut:
    """The failure of an answer that ended in the middle."""
    return ModelAnswerCut(
        "The model's answer broke off in the middle. Ask again; if it happens often, look at the "
        "network or the model server."
    )


def _loads(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise _malformed() from None


def _malformed() -> ModelAnswerMalformed:
    return ModelAnswerMalformed(
        "The model server sent something that is not a chat completion. Check that "
        "OPENAI_BASE_URL names an OpenAI-compatible address, usually ending in /v1."
    )


def _reported(error: Any) -> ProviderReported:
    if not isinstance(error, Mapping):
        return ProviderReported("", str(error))
    code = error.get("code") or error.get("type") or ""
    return ProviderReported(str(code), str(error.get("message") or ""))


def _usage(usage: Mapping[str, Any]) -> Usage:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0), int(cached))


def _whole(call: _PartialCall) -> ToolCall:
    try:
        arguments = orjson.loads("".join(call.arguments) or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not call.name or not isinstance(arguments, dict):
        raise ModelAnswerMalformed(
            f"The model asked for the tool {call.name!r} with arguments that are not a JSON "
            "object. Ask again."
        )
    return ToolCall(call.id or f"call_{call.name}", call.name, arguments)
