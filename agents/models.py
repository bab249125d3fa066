"""The one way to talk to a model."""

import re
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from agents import tool_schema
from agents.errors import ModelAnswerMalformed, ModelRefusedRequest, ModelRefusedTools
from agents.model_settings import ModelSettings
from agents.turns import (
    ModelEvent,
    ModelFinished,
    TextDelta,
    ToolCall,
    ToolCallsRequested,
    ToolSpec,
    Turn,
)

__all__ = ["ModelSettings", "Models"]

Answered = TypeVar("Answered", bound=BaseModel)

_PROBLEMS_SHOWN = 5


class Models:
    """The strong and the fast model of one provider, and any other that it has.

    Construct it once, in the process that answers: it imports langchain and openai.
    """

    def __init__(self, settings: ModelSettings) -> None:
        # these imports take about 2 s: here, so that `--help` and `doctor` start at once; the
        # prices first, as the others then use the 12 MB that reading them leaves free
        from agents.pricing import load_prices  # noqa: PLC0415

        load_prices()
        from agents.provider import Provider, strict_schema  # noqa: PLC0415

        self.settings = settings
        self._provider = Provider(settings)
        self._strict_schema = strict_schema
        self._without_tools: set[str] = set()

    def resolve(self, model: str) -> str:
        """The provider's name of "strong", "fast" or a model named outright."""
        return {"strong": self.settings.strong, "fast": self.settings.fast}.get(model, model)

    def stream(
        self,
        turns: Sequence[Turn],
        *,
        model: str = "strong",
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[ToolSpec] = (),
    ) -> AsyncGenerator[ModelEvent, None]:
        """Text as it comes, then the tools asked for, and last what the call took.

        Closing the generator (`contextlib.aclosing`) hangs up at once. Temperature None leaves it
        to the provider. A refusal is text, with "refusal" as its finish reason.

        Raises:
            ModelFailure: see `agents.errors`; retried only before the first token.
        """
        name, options = self.resolve(model), self._options(temperature, max_tokens)
        if not tools:
            told = turns if self._native(name) else tool_schema.as_text(turns)
            return self._provider.stream(told, name, options)
        if not self._native(name):
            return self._with_schema_tools(turns, name, options, tools)
        return self._with_native_tools(turns, name, options, tools)

    async def structured(
        self,
        turns: Sequence[Turn],
        schema: type[Answered],
        *,
        model: str = "strong",
        temperature: float | None = 0.0,
        max_tokens: int | None = None,
    ) -> tuple[Answered, ModelFinished]:
        """An answer of the given shape, and what it took; asked a second time if it does not fit.

        Raises:
            ModelAnswerMalformed: the second answer does not fit either.
            ModelRefusedRequest: the model declines to answer.
            ModelFailure: as `stream`.
        """
        name, options = self.resolve(model), self._options(temperature, max_tokens)
        options["response_format"] = self._format(schema)
        conversation = list(turns)
        if not self._native(name):
            conversation = tool_schema.as_text(turns)
        took: ModelFinished | None = None
        problem = ""
        for _ in range(2):
            text, finished = await self._complete(conversation, name, options)
            took = _together(took, finished)
            try:
                return tool_schema.read_as(text, schema), took
            except ValidationError as error:
                problem = _problem(error, finished)
            conversation += [Turn("assistant", text), Turn("user", _repair(problem))]
        raise ModelAnswerMalformed(
            f"{name} did not answer in the form asked for ({problem}). Ask again, allow more "
            "tokens, or use a stronger model."
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._provider.aclose()

    def _native(self, model: str) -> bool:
        return self.settings.native_tools and model not in self._without_tools

    async def _with_native_tools(
        self,
        turns: Sequence[Turn],
        model: str,
        options: dict[str, Any],
        tools: Sequence[ToolSpec],
    ) -> AsyncGenerator[ModelEvent, None]:
        asked, begun = options | {"tools": [_function(tool) for tool in tools]}, False
        try:
            async with aclosing(self._provider.stream(turns, model, asked)) as events:
                async for event in events:
                    begun = True
                    yield event
            return
        except ModelRefusedTools:
            if begun:
                raise
            self._without_tools.add(model)
        async with aclosing(self._with_schema_tools(turns, model, options, tools)) as events:
            async for event in events:
                yield event

    async def _with_schema_tools(
        self,
        turns: Sequence[Turn],
        model: str,
        options: dict[str, Any],
        tools: Sequence[ToolSpec],
    ) -> AsyncGenerator[ModelEvent, None]:
        try:
            call, took = await self._choose(turns, model, tools)
        except ModelAnswerMalformed:
            if not self.settings.native_tools:
                raise
            call, took = None, None  # nothing holds such a server to a schema: no tool then
        if call is not None and took is not None and not tool_schema.already_made(call, turns):
            yield ToolCallsRequested((call,))
            yield replace(took, finish_reason="tool_calls")
            return
        told = tool_schema.as_text(turns)
        async with aclosing(self._provider.stream(told, model, options)) as events:
            async for event in events:
                yield _together(took, event) if isinstance(event, ModelFinished) else event

    async def _choose(
        self, turns: Sequence[Turn], model: str, tools: Sequence[ToolSpec]
    ) -> tuple[ToolCall | None, ModelFinished]:
        asked, answer_format = tool_schema.choice(turns, tools)
        options = {"temperature": 0.0, "response_format": answer_format}
        limit = {"max_tokens": tool_schema.DECISION_TOKENS}
        text, took = await self._complete(asked, model, options | limit)
        tool = tool_schema.chosen(text, tools)
        if tool is None:
            return None, took
        arguments: dict[str, Any] = {}
        if tool.parameters.get("properties"):
            asked, options["response_format"] = tool_schema.filling(turns, tool)
            limit = {"max_tokens": tool_schema.ARGUMENT_TOKENS}
            text, finished = await self._complete(asked, model, options | limit)
            took = _together(took, finished)
            arguments = tool_schema.json_object(text, f"the arguments of {tool.name}")
        return ToolCall(f"call_{uuid.uuid4().hex[:12]}", tool.name, arguments), took

    async def _complete(
        self, turns: Sequence[Turn], model: str, options: dict[str, Any]
    ) -> tuple[str, ModelFinished]:
        text: list[str] = []
        finished: ModelFinished | None = None
        async with aclosing(self._provider.stream(turns, model, options)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    text.append(event.text)
                elif isinstance(event, ModelFinished):
                    finished = event
        if finished is None:
            raise AssertionError("a stream ends with ModelFinished or raises")
        if finished.finish_reason == "refusal":
            raise ModelRefusedRequest(f"{model} declines to answer: {''.join(text)}")
        return "".join(text), finished

    def _options(self, temperature: float | None, max_tokens: int | None) -> dict[str, Any]:
        limit = max_tokens or self.settings.answer_tokens
        options = {"temperature": temperature, "max_tokens": limit}
        return {name: value for name, value in options.items() if value is not None}

    def _format(self, schema: type[BaseModel]) -> dict[str, Any]:
        name = re.sub(r"\W", "_", schema.__name__)
        # a grammar may leave optional fields out, which saves a small model's time; the providers
        # that check strictly insist on every field
        strict = self._strict_schema(schema) if self.settings.native_tools else None
        body = strict or schema.model_json_schema()
        return tool_schema.json_answer(name, body, strict=strict is not None)


def _function(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": dict(tool.parameters),
        },
    }


def _together(before: ModelFinished | None, after: ModelFinished) -> ModelFinished:
    """Two calls as one: sums, unknown where one is unknown; the first token is the second's."""
    if before is None:
        return after
    first = after.first_token_ms
    return replace(
        after,
        input_tokens=_sum(before.input_tokens, after.input_tokens),
        output_tokens=_sum(before.output_tokens, after.output_tokens),
        cost_usd=_sum(before.cost_usd, after.cost_usd),
        duration_ms=before.duration_ms + after.duration_ms,
        first_token_ms=None if first is None else before.duration_ms + first,
    )


Number = TypeVar("Number", int, float)


def _sum(one: Number | None, other: Number | None) -> Number | None:
    return None if one is None or other is None else one + other


def _problem(error: ValidationError, finished: ModelFinished) -> str:
    if finished.finish_reason == "length":
        return "it was cut off by its token limit"
    places = [
        f"{'.'.join(str(part) for part in one['loc']) or 'answer'}: {one['msg']}"
        for one in error.errors(include_url=False, include_input=False)
    ]
    return "; ".join(places[:_PROBLEMS_SHOWN])


def _repair(problem: str) -> str:
    return f"That does not fit: {problem}. Answer again with the corrected JSON and nothing else."
