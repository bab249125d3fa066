"""What is said to a model and what comes back, free of any provider's types."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model wants called; `id` ties the result to the call."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool; `parameters` is a JSON schema of an object.

    `examples` are requests that need it, `known` what it found for the first of them: a small
    model decides by these better than by descriptions.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    examples: tuple[str, ...] = ()
    known: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation; a tool's result carries the id of its call."""

    role: Role
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of an answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallsRequested:
    """The model stopped speaking and asks for these tools."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class ModelFinished:
    """The end of one model call: what it took.

    Tokens are the provider's own count (None when it gave none), times milliseconds, cost US
    dollars (None: the price is unknown).
    """

    model: str
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    duration_ms: float
    first_token_ms: float | None = None
    finish_reason: str | None = None


ModelEvent = TextDelta | ToolCallsRequested | ModelFinished


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A tool call that a person may want to see has begun."""

    step_id: str
    title: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """That tool call ended; `detail` is its result or the reason it failed, shortened."""

    step_id: str
    title: str
    ok: bool
    detail: str
