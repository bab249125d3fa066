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
    index: int | None
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def goes_on(self, index: int | None, id_: str, name: str) -> bool:
        """Whether a piece belongs to this call.

        Some servers send each call whole without an index, some give all calls the index 0, some
        repeat the id or the name in each piece, and some invent a new id for each.
        """
        if index != self.index:
            return False
        if id_ and self.id and index is None:
            return id_ == self.id
        said_again = name == self.name and id_ == self.id and bool(id_ or index is not None)
        return not name or not self.name or said_again


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


class ThoughtFilter:
    """Takes out `<think>...</think>` before an answer: so some models reason in front of everybody.

    Whoever serves them can have it told apart, but not everybody does.
    """

    _OPEN, _CLOSE = "<think>", "</think>"

    def __init__(self) -> None:
        self.thinking = False
        self._held = ""
        self._over = False

    def feed(self, text: str) -> str:
        """What of `text`, and of what was held back before, is to be said."""
        if self._over or not text:
            return text
        self._held += text
        if not self.thinking:
            start = self._held.lstrip()
            self.thinking = start.startswith(self._OPEN)
            self._over = not self.thinking and not self._OPEN.startswith(start)
        if self.thinking and self._CLOSE in self._held:
            self.thinking, self._over = False, True
            self._held = self._held.partition(self._CLOSE)[2].lstrip()
        return self.rest() if self._over else ""

    def rest(self) -> str:
        """What was held back and is no thought."""
        held, self._held = self._held, ""
        return "" if self.thinking else held


class AnswerReader:
    """Reads one answer piece by piece, and knows at the end whether it is whole.

    `thoughts` counts the pieces of reasoning, which are a sign of life and nothing to say.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.spoke = False
        self.thoughts = 0
        self._filter = ThoughtFilter()
        self._lines = EventLines()
        self._done = False
        self._trouble: ModelAnswerMalformed | ProviderReported | None = None
        self._calls: list[_PartialCall] = []

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
        text = self._read(self._lines.rest()) + self._filter.rest()
        self.spoke = self.spoke or bool(text.strip())
        if not self._done and self.finish_reason is None:
            raise cut()
        calls = tuple(map(_whole, sorted(self._calls, key=lambda call: call.index or 0)))
        if not calls and not self.spoke:
            raise ModelAnswerEmpty(_EMPTY.get(self.finish_reason or "", _EMPTY[""]))
        return text, calls

    def read_whole(self, body: bytes) -> str:
        """The text of an answer that came as one JSON document instead of a stream."""
        self._done = True
        return self._take(_loads(body), "message")

    def _read(self, payloads: Iterator[bytes]) -> str:
        if self._trouble:
            raise self._trouble
        text = ""
        try:
            for payload in payloads:
                if payload == _DONE:
                    self._done = True
                elif payload:
                    text += self._take(_loads(payload), "delta")
        except (ModelAnswerMalformed, ProviderReported) as trouble:
            if not text:
                raise
            self._trouble = trouble  # once what came before it has been said
        return text

    def _take(self, event: Any, key: str) -> str:
        try:
            if event.get("error") or event.get("object") == "error":
                raise _reported(event.get("error") or event)
            if event.get("usage"):
                self.usage = _usage(event["usage"]) or self.usage
            if not event.get("choices"):
                return ""
            choice = event["choices"][0]
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            # some servers that do not stream send their whole message as an event
            return self._said(choice.get(key if key in choice else "message") or {})
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            raise _malformed() from None

    def _said(self, delta: Mapping[str, Any]) -> str:
        for call in delta.get("tool_calls") or ():
            self._add_call(call)
        text = self._filter.feed(_text(delta.get("content")))
        reasons = delta.get("reasoning_content") or delta.get("reasoning")
        self.thoughts += bool(reasons or self._filter.thinking)
        if delta.get("refusal"):
            self.finish_reason = "refusal"
            text += delta["refusal"]
        self.spoke = self.spoke or not (text == "" or text.isspace())
        return text

    def _add_call(self, delta: Mapping[str, Any]) -> None:
        function = delta.get("function") or {}
        index, id_, name = delta.get("index"), delta.get("id") or "", function.get("name") or ""
        for call in reversed(self._calls):
            if call.goes_on(index, id_, name):
                break
        else:
            call = _PartialCall(index)
            self._calls.append(call)
        call.id = call.id or id_
        call.name = name or call.name
        if arguments := function.get("arguments"):
            is_text = isinstance(arguments, str)
            call.arguments.append(arguments if is_text else orjson.dumps(arguments).decode())


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


def _text(content: Any) -> str:
    """What was said, also where it comes as a list of parts."""
    if not isinstance(content, list):
        return content or ""
    return "".join(part["text"] for part in content if part.get("type", "text") == "text")


def _usage(usage: Mapping[str, Any]) -> Usage | None:
    """None where it does not say; nobody's answer is lost for that."""
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return None if read is None else Usage(int(read), int(written or 0), int(cached))


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
