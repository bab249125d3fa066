"""Calls to one provider: shared slots, retries before the first token, breakers, time and price.

Importing this module takes about 2 s (langchain and openai); `Models` does it once.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from typing import Any

import httpx2
import openai
import stamina
import structlog
from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState
from pydantic import BaseModel, SecretStr

from agents.chat import DirectChat, OpenAnswer, http_client
from agents.errors import (
    ModelFailure,
    ModelPaused,
    ModelRateLimited,
    ModelTimeout,
    ModelUnavailable,
)
from agents.failures import OUTSIDE, translated
from agents.model_settings import ModelSettings
from agents.pricing import cost_usd
from agents.streaming import cut
from agents.turns import ModelEvent, ModelFinished, TextDelta, ToolCallsRequested, Turn

_log = structlog.get_logger(__name__)

_FAILURES_UNTIL_PAUSE = 5
_PAUSE_SECONDS = 30
_LONGEST_WAIT = 20.0
_NO_KEY = "none"  # servers on this machine ask for no key, but openai's client insists on one


class Provider:
    """One base URL and key, with a connection pool, slots and a breaker for each model."""

    def __init__(self, settings: ModelSettings) -> None:
        self._settings = settings
        self._http = http_client(settings.keep_alive_s)
        self._chats: dict[str, DirectChat] = {}
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._breakers = AsyncCircuitBreakerFactory(
            default_threshold=_FAILURES_UNTIL_PAUSE,
            default_ttl=_PAUSE_SECONDS,
            exclude=[(BaseException, _blameless)],
        )
        self._secret = settings.api_key.get_secret_value() if settings.api_key else ""
        # httpx's clock runs per read, so it would also end a long wait for the first token
        self._http_timeout = httpx2.Timeout(None, connect=settings.connect_s)

    async def stream(
        self, turns: Sequence[Turn], model: str, options: Mapping[str, Any]
    ) -> AsyncGenerator[ModelEvent, None]:
        """The events of one call; closing the generator hangs up.

        Raises:
            ModelFailure: before the first token after the retries, after it at once.
        """
        async with self._slots:
            started = time.monotonic()
            answer, text = await self._open(turns, model, options)
            first_ms = _since(started)
            try:
                while text is not None:
                    yield TextDelta(text)
                    text = await self._next(answer, model)
            finally:
                await answer.aclose()
            if answer.calls:
                yield ToolCallsRequested(answer.calls)
            yield self._finished(answer, model, _since(started), first_ms)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _open(
        self, turns: Sequence[Turn], model: str, options: Mapping[str, Any]
    ) -> tuple[OpenAnswer, str | None]:
        attempts = stamina.retry_context(
            on=_patience, attempts=self._settings.max_retries + 1, timeout=None
        )
        async for attempt in attempts:
            with attempt:
                return await self._guarded(turns, model, options)
        raise AssertionError("stamina tries at least once")

    async def _guarded(
        self, turns: Sequence[Turn], model: str, options: Mapping[str, Any]
    ) -> tuple[OpenAnswer, str | None]:
        try:
            async with await self._breakers.get_breaker(model):
                return await self._attempt(turns, model, options)
        except OpenedState:
            raise ModelPaused(
                f"{model} failed {_FAILURES_UNTIL_PAUSE} times in a row and is left alone for "
                f"{_PAUSE_SECONDS} seconds. Try again after that, or use another model."
            ) from None

    async def _attempt(
        self, turns: Sequence[Turn], model: str, options: Mapping[str, Any]
    ) -> tuple[OpenAnswer, str | None]:
        answer = None
        try:
            async with asyncio.timeout(self._settings.timeout_s) as patience:
                chat = self._chat(model)
                answer = OpenAnswer(await chat.open(turns, options, self._http_timeout))
                answer.on_thought = partial(_go_on, patience, self._settings.timeout_s)
                return answer, await answer.read_first()
        except BaseException as error:
            if answer is not None:
                await answer.aclose()
            if isinstance(error, OUTSIDE):
                # not chained: the texts of providers can repeat a part of the key
                raise translated(error, model=model, secret=self._secret) from None
            raise

    async def _next(self, answer: OpenAnswer, model: str) -> str | None:
        try:
            async with asyncio.timeout(self._settings.silence_s) as patience:
                answer.on_thought = partial(_go_on, patience, self._settings.silence_s)
                return await answer.read()
        except OUTSIDE as error:
            failure = translated(error, model=model, secret=self._secret)
            if isinstance(failure, ModelTimeout) or not isinstance(failure, ModelUnavailable):
                raise failure from None
            raise cut() from None

    def _chat(self, model: str) -> DirectChat:
        if model not in self._chats:
            self._chats[model] = DirectChat(
                model=model,
                base_url=self._settings.base_url,
                api_key=self._settings.api_key or SecretStr(_NO_KEY),
                http_async_client=self._http,
                max_retries=0,
            )
        return self._chats[model]

    def _finished(
        self, answer: OpenAnswer, model: str, duration_ms: float, first_ms: float
    ) -> ModelFinished:
        usage = answer.reader.usage
        url = self._settings.base_url
        priced = None if self._settings.provider == "embedded" else usage
        return ModelFinished(
            model=model,
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            cost_usd=cost_usd(priced, model=model, base_url=url),
            duration_ms=duration_ms,
            first_token_ms=first_ms,
            finish_reason=answer.reader.finish_reason,
        )


def _go_on(patience: asyncio.Timeout, seconds: float) -> None:
    """A model that reasons is at work."""
    patience.reschedule(asyncio.get_running_loop().time() + seconds)


def _patience(error: Exception) -> bool | float:
    """Whether to try again, or the seconds after which the provider wants us to."""
    if not isinstance(error, ModelFailure) or not error.passing:
        return False
    if isinstance(error, ModelRateLimited) and error.retry_after is not None:
        return error.retry_after if error.retry_after <= _LONGEST_WAIT else False
    return True


def _blameless(error: BaseException) -> bool:
    return not (isinstance(error, ModelFailure) and error.provider_is_sick)


def _since(started: float) -> float:
    return (time.monotonic() - started) * 1000


def strict_schema(schema: type[BaseModel]) -> dict[str, Any] | None:
    """The JSON schema as OpenAI checks it strictly, or None where it cannot (open objects)."""
    body = openai.pydantic_function_tool(schema)["function"].get("parameters", {})
    return dict(body) if _closed(body) else None


def _closed(schema: object) -> bool:
    if isinstance(schema, Mapping):
        is_open = schema.get("type") == "object" and schema.get("additionalProperties") is not False
        return not is_open and all(_closed(value) for value in schema.values())
    return not isinstance(schema, list) or all(_closed(value) for value in schema)
